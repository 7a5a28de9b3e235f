"""The page in a browser, where the service says what no service should: it stays text, and stays in its place."""

from __future__ import annotations

import pages
import pytest
from playwright.async_api import expect

from titan_state.emulator import answers, output_routes, routes

IMAGE = "<img src=x onerror=window.pwned=1>"
PICTURE = '"><svg onload=window.pwned=1><script>window.pwned=1</script>'
DECEIVING = "a\u202egnp.exe\u2066\x07\x1b[31m\nb\u200f"
EMOJI = "💥👩\u200d👩\u200d👧 ￼ größer"
LINK = "javascript:window.pwned=1//#/model?status=x&q=%00"
LONG = "<b>" + "w" * 10_000 + "</b>"
NAMES = ("__proto__", "constructor", "toString")
TEXTS = (IMAGE, PICTURE, DECEIVING, EMOJI, LINK, *NAMES)
DONE = f"done {IMAGE}"
STATUSES = {text: ("running", "failed", "paused")[number % 3] for number, text in enumerate(TEXTS)} | {
    DONE: "completed"
}


@pytest.fixture
def spoiled(monkeypatch):
    """Let the service put fields of its own, with markup in names and values, into executions and metadata."""

    def payload(*given):
        return answers.execution_payload(*given) | {IMAGE: PICTURE, "nested": {"a": [IMAGE]}}

    def success(data, **given):
        return answers.success(data | {PICTURE: IMAGE, "columns": [IMAGE, PICTURE]}, **given)

    monkeypatch.setattr(routes, "execution_payload", payload)
    monkeypatch.setattr(output_routes, "success", success)


@pytest.fixture
async def site(spoiled):
    async with pages.Site(account=IMAGE) as made:
        for text in TEXTS:
            made.add(text, "running", task_id=text, phases=(text,), error=text, steps=pages.progressing(30)[1:])
        made.add(DONE, "running", task_id=PICTURE)
        made.add(f"odd {IMAGE}", IMAGE, task_id=IMAGE)
        yield made


async def open_board(site, page):
    """Open the board; what is to move has moved when it returns."""
    await site.open(page)
    await expect(page.locator("#grid [data-status=running]")).to_have_count(len(STATUSES))
    for text, status in STATUSES.items():
        if status != "running":
            site.service.move(text, status)
    for text, status in STATUSES.items():
        await expect(pages.row(page, text)).to_have_attribute("data-status", status)


async def is_harmless(page):
    """Wait a moment, then check that nothing ran, nothing was made of the texts, and nothing sticks out."""
    await page.evaluate("new Promise(resolve => requestAnimationFrame(() => setTimeout(resolve)))")
    assert await page.evaluate("window.pwned") is None
    assert (
        await page.locator(
            "img:not(.brand img), [onload], [onerror], script:not([src^='/static/']), b:text-matches('^w+$')"
        ).count()
        == 0
    )
    assert await page.locator("a[href^='javascript']").count() == 0
    assert await pages.fits(page)


async def test_everything_on_the_board_stays_text(site, page):
    """Ids, tasks, phases, statuses and the account may hold anything: rows, filters and feed show it as it is."""
    await open_board(site, page)
    await expect(pages.rows(page)).to_have_count(len(STATUSES) + 1)
    first = pages.row(page, IMAGE)
    await expect(first.get_by_role("gridcell").nth(1)).to_have_text(IMAGE)
    await expect(first.get_by_role("gridcell").nth(2)).to_have_text(IMAGE)
    await expect(first).to_contain_text(IMAGE)
    await expect(page.locator("#watched")).to_contain_text(IMAGE)
    await expect(pages.row(page, f"odd {IMAGE}")).to_have_attribute("data-status", IMAGE)
    await expect(pages.chip(page, IMAGE)).to_contain_text("1")
    deceiving = pages.row(page, DECEIVING).get_by_role("gridcell").nth(1)
    await expect(deceiving).to_have_text("a�gnp.exe�␇␛[31m␊b�")
    await expect(page.locator("#feed-list")).to_contain_text("failed")
    await is_harmless(page)
    for group in ("task", "status"):
        await page.get_by_label("Group by").select_option(group)
        await expect(page.locator(f"#grid [data-group={pages.quoted(IMAGE)}]")).to_be_visible()
        await is_harmless(page)
    await page.get_by_label("Group by").select_option("")
    await page.get_by_role("combobox", name="Task").select_option(f"={PICTURE}")
    await expect(pages.rows(page)).to_have_count(2)
    await page.get_by_role("combobox", name="Task").select_option("")
    await pages.chip(page, IMAGE).click()
    await pages.lists(page, f"odd {IMAGE}")
    await page.get_by_role("searchbox").fill(PICTURE)
    await expect(page.locator("#nothing")).to_be_visible()
    await is_harmless(page)
    await page.reload()
    await expect(page.get_by_role("searchbox")).to_have_value(PICTURE)
    await page.locator("#clear").click()
    await expect(pages.rows(page)).to_have_count(len(STATUSES) + 1)
    await page.goto(site.address("#/model"))
    await expect(page.locator(f"#outside a[data-status={pages.quoted(IMAGE)}]")).to_contain_text(IMAGE)
    await is_harmless(page)


async def test_everything_of_an_execution_stays_text(site, page):
    """Heading, facts, error, other fields, metadata and the question on stop show markup as text."""
    await open_board(site, page)
    for text, status in STATUSES.items():
        await pages.row(page, text).click()
        await expect(page.locator("#execution-status")).to_have_attribute("data-status", status)
        await expect(page.locator("#timeline svg.timeline")).to_be_visible()
        await expect(page.locator("#extra-entries")).to_contain_text(PICTURE)
        if text not in (DECEIVING, EMOJI):
            await expect(page.locator("#execution-title")).to_have_text(text)
        if status == "failed":
            await expect(page.locator("#execution-error-text")).to_have_text(text)
        if status == "running":
            await page.get_by_role("button", name="Stop", exact=True).click()
            await expect(page.locator("#stop-id")).not_to_be_empty()
            await is_harmless(page)
            await page.keyboard.press("Escape")
        await is_harmless(page)
        if text != DONE:
            await page.go_back()
    outputs = page.locator("#outputs")
    await expect(outputs).to_contain_text(PICTURE)
    await expect(outputs).to_contain_text(IMAGE)
    await is_harmless(page)
    async with page.expect_download() as waiting:
        await outputs.locator("[data-does=json]").click()
    assert (await (await waiting.value).path()).read_bytes() == site.service.export_bytes(DONE)
    await page.goto(site.address("#/"))
    await pages.row(page, f"odd {IMAGE}").click()
    await expect(page.locator("#execution-status")).to_have_text("?" + IMAGE)
    await expect(page.locator("#flags li[data-kind=unknown_status]")).to_contain_text(IMAGE)
    await is_harmless(page)
    assert site.posts == []


async def test_statuses_named_as_what_the_language_has(site, page):
    """A status that is called as something that every object has in JavaScript is shown as any other unknown one."""
    for name in NAMES:
        site.add(f"odd {name}", name)
    await site.open(page)
    for name in NAMES:
        await expect(pages.row(page, f"odd {name}").get_by_role("gridcell").first).to_have_text(f"?{name}")
        await expect(pages.chip(page, name)).to_have_text(f"?{name} 1")
    await is_harmless(page)


@pytest.mark.parametrize("options", [{}, pages.PHONE], ids=["desk", "phone"])
async def test_endless_ids(site, open_page, options):
    """An id of 10,000 characters is cut where there is no room, found and opened, and makes nothing wider."""
    site.add(LONG, "running", task_id=LONG, phases=(LONG,))
    page = await open_page(**options)
    await site.open(page)
    await page.get_by_role("searchbox").fill("wwww")
    await expect(pages.rows(page)).to_have_count(1)
    await is_harmless(page)
    await pages.rows(page).click()
    await expect(page.locator("#execution-status")).to_have_attribute("data-status", "running")
    await expect(page.locator("#timeline svg.timeline")).to_be_visible()
    stop = page.get_by_role("button", name="Stop", exact=True)
    await expect(stop).to_be_enabled()
    await is_harmless(page)
    await stop.click()
    await expect(page.locator("#stop-confirm")).to_be_in_viewport(ratio=1)
    await is_harmless(page)
