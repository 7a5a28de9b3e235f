"""The page in a browser, and others that would like to be let in, by tokens, names and origins that are not right."""

from __future__ import annotations

import json
from urllib.parse import urlsplit

import browsers
import pages
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from playwright.async_api import expect

ATTACK = """async ([target, token]) => {
  const told = {};
  const attempt = async (name, does) => {
    try { told[name] = await does(); } catch (error) { told[name] = `refused: ${error.name}`; }
  };
  const text = async (answer) => `${answer.type} ${answer.status} ${await answer.text()}`;
  const body = JSON.stringify({ id: "a", action: "stop" });
  const post = { method: "POST", body };
  const given = { Authorization: `Bearer ${token}`, "Content-Type": "application/json" };
  await attempt("page", async () => text(await fetch(`${target}/`)));
  await attempt("simple page", async () => text(await fetch(`${target}/`, { mode: "no-cors" })));
  await attempt("read", async () => text(await fetch(`${target}/api/execution?id=a`, { headers: given })));
  await attempt("simple read", async () => text(await fetch(`${target}/api/execution?id=a`, { mode: "no-cors" })));
  await attempt("act", async () => text(await fetch(`${target}/api/act`, { ...post, headers: given })));
  await attempt("simple act", async () => text(await fetch(`${target}/api/act`, { ...post, mode: "no-cors" })));
  await attempt("script", () => new Promise((resolve, reject) => {
    const script = document.createElement("script");
    script.src = `${target}/static/main.js`;
    script.onload = () => resolve("loaded");
    script.onerror = () => reject(new TypeError());
    document.head.append(script);
  }));
  await attempt("image", () => new Promise((resolve, reject) => {
    const image = new Image();
    image.onload = () => resolve("loaded");
    image.onerror = () => reject(new TypeError());
    image.src = `${target}/static/icon.svg`;
  }));
  await attempt("form", () => new Promise((resolve) => {
    const frame = document.createElement("iframe");
    frame.name = "answer";
    const form = document.createElement("form");
    Object.assign(form, { action: `${target}/api/act`, method: "post", enctype: "text/plain", target: "answer" });
    const field = document.createElement("input");
    Object.assign(field, { name: body.slice(0, -1) + ', "x": "', value: '"}' });
    form.append(field);
    document.body.append(frame, form);
    frame.onload = () => resolve(frame.contentDocument?.body.textContent ?? "not readable");
    form.submit();
  }));
  return told;
}"""

ASK = """async (token) => {
  const headers = { Authorization: `Bearer ${token}`, "Content-Type": "application/json" };
  const post = { method: "POST", body: JSON.stringify({ id: "a", action: "stop" }) };
  const found = [];
  for (const path of ["/", "/static/main.js", "/api/execution?id=a", "/api/act"]) {
    found.push((await fetch(path, { headers, ...(path === "/api/act" ? post : {}) })).status);
  }
  return found;
}"""

# What devtools evaluate may evaluate text, what a timer calls may not.
INJECT = """() => new Promise((resolve) => setTimeout(() => {
  const told = [];
  const attempt = (does) => { try { does(); told.push("done"); } catch (error) { told.push(error.name); } };
  attempt(() => {
    const script = document.createElement("script");
    script.textContent = "window.pwned = 1";
    document.body.append(script);
  });
  attempt(() => { document.body.innerHTML += "<img src=x onerror='window.pwned = 1'>"; });
  attempt(() => { setTimeout("window.pwned = 1"); });
  attempt(() => { eval("window.pwned = 1"); });
  attempt(() => { document.createElement("script").src = "http://elsewhere.test/x.js"; });
  attempt(() => { document.body.setAttribute("onclick", "window.pwned = 1"); document.body.click(); });
  attempt(() => {
    const link = document.createElement("a");
    link.href = "javascript:window.pwned = 1";
    document.body.append(link);
    link.click();
  });
  resolve(told);
}))"""


# The body of a stream that goes on cannot be asked for: the page keeps a copy of it.
KEEP = """
window.streamed = "";
const plain = window.fetch;
window.fetch = async (...given) => {
  const answer = await plain(...given);
  if (String(given[0]).includes("/api/stream")) {
    const reader = answer.clone().body.pipeThrough(new TextDecoderStream()).getReader();
    (async () => { for (;;) window.streamed += (await reader.read()).value; })();
  }
  return answer;
};
"""


@pytest.fixture
async def site():
    async with pages.Site() as made:
        made.add("a", "running", rows=2, steps=pages.progressing(30)[1:])
        yield made


@pytest.fixture
async def elsewhere():
    """Serve a page of another origin."""

    async def index(_):
        return web.Response(text="<!doctype html><title>elsewhere</title><body>", content_type="text/html")

    async def icon(_):
        return web.Response(status=204)

    application = web.Application()
    application.router.add_get("/", index)
    application.router.add_get("/favicon.ico", icon)
    async with TestServer(application) as server:
        yield server


async def test_a_link_that_is_not_right(site, open_page, watch):
    """Without the token, or with another, the page says what to do, shows nothing, and asks no more; the link helps."""
    watch.tolerate("status of 401 .*/api/stream")
    page, asked = await open_page(), []
    page.context.on("request", lambda request: "/api/" in request.url and asked.append(request.url))
    await page.clock.install()
    for number, fragment in enumerate(("", "#token=wrong", "#token=%ff")):  # without one there is nothing to ask with
        await page.goto("about:blank")
        await page.goto(site.address(fragment))
        await pages.stands(page, "refused")
        await expect(page.locator("#banner")).to_contain_text("This page has no access")
        await expect(page.locator("#banner")).to_contain_text("open the link printed there")
        await expect(pages.rows(page)).to_have_count(0)
        assert asked == [site.address("api/stream")] * number
    before = len(asked)
    await page.clock.run_for(60_000)  # a new attempt would be after 0.5 s
    await page.goto(site.address("#/execution/a"))
    await page.goto(site.address("#/model"))
    await page.clock.run_for(60_000)
    await page.evaluate("0")
    assert asked[before:] == []
    await page.goto(site.dashboard.url)
    await pages.stands(page, "live")
    await pages.shows(page, a="running")
    await expect(page.locator("#banner")).to_be_hidden()


async def test_secrets_stay_where_they_are(site, page, watch):
    """The token leaves the address bar, and is in no address asked for; the service's own never reaches the page."""
    answers, addresses, asked = [], [], []
    await page.add_init_script(KEEP)
    page.on("response", lambda answer: answers.append(answer))
    page.on("request", lambda request: asked.append(request.url))
    page.on("framenavigated", lambda frame: addresses.append(frame.url))
    await site.open(page)
    assert page.url == site.address("#/")
    assert await page.evaluate("history.length") <= 2
    await pages.shows(page, a="running")
    await pages.row(page, "a").click()
    await expect(page.locator("#timeline svg")).to_be_visible()
    await page.get_by_role("button", name="Pause", exact=True).click()
    await expect(page.locator("#execution-status")).to_have_attribute("data-status", "paused")
    site.service.move("a", "completed")
    async with page.expect_download():
        await page.locator("#outputs [data-does=json]").click()
    await page.keyboard.press("m")
    await expect(page.locator("#diagram svg")).to_be_visible()
    assert site.dashboard.token not in " ".join(asked)
    assert {url.partition("#")[2] for url in addresses if "#token=" not in url} == {"/", "/execution/a", "/model"}
    seen = [await page.content(), await page.evaluate("streamed")]
    assert '"completed"' in seen[1]
    for answer in answers:
        seen.append(json.dumps(await answer.all_headers()))
        if "/api/stream" not in answer.url and "/download/" not in answer.url:
            seen.append((await answer.body()).decode())
    paths = {urlsplit(answer.url).path for answer in answers}
    assert paths >= {"/", "/static/main.js", "/api/stream", "/api/execution", "/api/timeline", "/api/model", "/api/act"}
    for secret in (pages.TITAN_TOKEN, site.dashboard.token):
        assert secret not in "".join(seen)
    await page.reload()
    await pages.stands(page, "live")
    assert page.url == site.address("#/model")


async def test_a_name_that_was_made_to_lead_here(site, page, watch):
    """A page of a name that somebody else's name server leads here gets nothing, neither the page nor an answer."""
    watch.tolerate(r"another origin: http://rebound\.test")
    watch.tolerate(r"status of 403 .*http://rebound\.test")
    watch.tolerate("Cross-Origin-Opener-Policy header has been ignored")  # such an origin is not one to be trusted
    await site.open(page)
    port = site.dashboard.port
    rebound = f"http://{browsers.REBOUND}:{port}"
    answer = await page.goto(f"{rebound}/#token={site.dashboard.token}")
    assert answer.status == 403
    assert "this name does not belong to the dashboard" in await answer.text()
    found = await page.evaluate(ASK, site.dashboard.token)
    assert found == [403] * 4
    assert site.posts == []


async def test_a_page_of_another_origin(site, elsewhere, open_page, watch):
    """A page from elsewhere can neither read, act, load nor frame, nor touch what it opens, even with the token."""
    # everything that it tries goes wrong, and nothing else does
    watch.tolerate(r"^another origin: http://127\.0\.0\.1:\d+/")
    watch.tolerate(r"blocked by CORS policy")
    watch.tolerate(r"status of 403 ")
    watch.tolerate(r"ERR_(FAILED|BLOCKED_BY_(RESPONSE|ORB|CSP))")
    watch.tolerate(r"frame-ancestors|Framing")
    page = await open_page()
    await page.goto(str(elsewhere.make_url("/")))
    target = site.address("").rstrip("/")
    told = await page.evaluate(ATTACK, [target, site.dashboard.token])
    assert {name for name, result in told.items() if not result.startswith("refused")} <= {"form", "simple act"}, told
    assert told["form"] in ("", "not readable")
    assert told.get("simple act", "refused").startswith(("refused", "opaque 0"))
    await page.evaluate(
        "target => { const made = document.createElement('iframe'); made.src = target; document.body.append(made); }",
        site.dashboard.url,
    )
    await expect(page.locator("iframe")).to_have_count(2)
    await page.evaluate("new Promise(resolve => setTimeout(resolve, 300))")
    for frame in page.frames[1:]:
        assert await frame.locator("#connection").count() == 0
    async with page.context.expect_page() as waiting:
        await page.evaluate("target => { window.opened = open(target); }", site.dashboard.url)
    opened = await waiting.value
    await pages.stands(opened, "live")  # a link in a message, say, is to work; who opened it is cut off
    assert await opened.evaluate("window.opener") is None
    assert await page.evaluate("opened.closed")
    assert site.posts == []
    assert site.service.executions() == {"a": "running"}


async def test_the_policy_holds(site, page, watch):
    """What would be put into the page by mistake does not run, and leads nowhere."""
    watch.tolerate("Content Security Policy|TrustedScript|TrustedHTML|trusted|Trusted")
    await site.open(page)
    told = await page.evaluate(INJECT)
    await page.evaluate("new Promise(resolve => setTimeout(resolve, 100))")
    assert await page.evaluate("window.pwned") is None
    # a script's text, what markup is, text for a timer, eval, a script's address: none may be given; the attribute and
    # the link can be made, and then do nothing
    assert "done" not in told[:5], told
    assert told[5:] in (["done", "done"], ["TypeError", "done"]), told
    for source in ("http://elsewhere.test/", f"http://localhost:{site.dashboard.port}/"):
        with pytest.raises(Exception, match="Failed to fetch"):
            await page.evaluate("source => fetch(source)", source)
    await pages.shows(page, a="running")
