"""Pages in a real browser, which fail the test for what a user would not see: errors, and requests to other hosts."""

from __future__ import annotations

import re
from contextlib import suppress
from urllib.parse import urlsplit

import browsers
import pytest
from playwright.async_api import Error, async_playwright, expect

TIMEOUT_MS = 10_000
"""Twice what playwright would wait for what is expected: the machine may be busy."""

FAILED = pytest.StashKey()
NAMES = f"MAP {browsers.REBOUND} 127.0.0.1, MAP * ~NOTFOUND, EXCLUDE 127.0.0.1, EXCLUDE localhost"
"""No name leads out of this machine, whatever a page asks for."""

expect.set_options(timeout=TIMEOUT_MS)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items):
    """Mark what needs a browser, before marks select."""
    for item in items:
        if "browser" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.browser)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    """Keep whether the test failed for the fixtures that end after it."""
    report = yield
    if call.when == "call":
        item.stash[FAILED] = report.failed
    return report


class Watch:
    """What went wrong in the pages of a test, without what the test says must go wrong."""

    def __init__(self):
        self._seen = []
        self._tolerated = []

    def tolerate(self, pattern):
        """Let pass what a regular expression finds in the text of a trouble, before or after it happens."""
        self._tolerated.append(re.compile(pattern))

    @property
    def troubles(self):
        """What nobody expected, in order."""
        return [one for one in self._seen if not any(pattern.search(one) for pattern in self._tolerated)]

    def follow(self, context):
        """Take note of what goes wrong in a context; the first page it opens says which origin is the right one."""
        origins = []

        def on_console(message):
            if message.type in ("error", "assert"):
                self._seen.append(f"console: {message.text} ({message.location['url']})")

        def on_request(request):
            parts = urlsplit(request.url)
            origin = f"{parts.scheme}://{parts.netloc}"
            if parts.netloc and origin not in (origins or [origin]):
                self._seen.append(f"another origin: {request.url}")
            if parts.netloc and not origins:
                origins.append(origin)

        context.on("console", on_console)
        context.on("weberror", lambda caught: self._seen.append(f"uncaught: {caught.error}"))
        context.on("request", on_request)
        context.on("page", lambda page: page.on("crash", lambda _: self._seen.append(f"crash: {page.url}")))


@pytest.fixture
def watch():
    """Return what takes note of troubles in pages; a test tells it those that it brings about."""
    return Watch()


@pytest.fixture
async def browser():
    """Start a browser for this test alone: a second more, and no loop, cache or crash is shared with others."""
    async with async_playwright() as playwright:
        path = browsers.find(playwright.chromium.executable_path)
        if path is None:
            pytest.fail(browsers.ADVICE, pytrace=False)
        started = await playwright.chromium.launch(executable_path=path, args=[f"--host-resolver-rules={NAMES}"])
        yield started
        await started.close()


@pytest.fixture
async def open_page(browser, watch, request, tmp_path):
    """Open pages, each in a context of its own, with playwright's options of contexts: a theme, the size of a phone.

    At the end the test fails for troubles in them. If it failed before, pictures and markup of them are kept.
    """
    contexts = []

    async def call(**options):
        context = await browser.new_context(**{"locale": "en-GB", "timezone_id": "UTC"} | options)
        contexts.append(context)
        context.set_default_timeout(TIMEOUT_MS)
        watch.follow(context)
        return await context.new_page()

    yield call
    pages = [page for context in contexts for page in context.pages]
    if request.node.stash.get(FAILED, True):
        for number, page in enumerate(pages, 1):
            await keep(page, tmp_path / f"page-{number}")
        request.node.add_report_section("teardown", "browser", "\n".join([f"kept in {tmp_path}", *watch.troubles]))
        return
    for page in pages:
        # What was reported before the answer comes has arrived then.
        with suppress(Error):
            await page.evaluate("0")
    if watch.troubles:
        pytest.fail("\n".join(["the pages had troubles:", *watch.troubles]), pytrace=False)


async def keep(page, path):
    """Write a picture and the markup of a page, as far as it still answers."""
    with suppress(Error):
        await page.screenshot(path=path.with_suffix(".png"), timeout=TIMEOUT_MS)
        path.with_suffix(".html").write_text(await page.content(), encoding="utf-8")


@pytest.fixture
async def page(open_page):
    """Return a page to go to the dashboard with. Ask for it after the server: what ends first is asked for last."""
    return await open_page()
