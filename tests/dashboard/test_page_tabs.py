"""Several tabs of the page in one browser: they share the token, and few of them keep a connection."""

from __future__ import annotations

import pages
import pytest
from playwright.async_api import expect
from scripted import Script

SEEN = "Object.defineProperty(document, 'hidden', { get: () => window.isHidden ?? false });"
LOOK = """(isHidden) => {
  window.isHidden = isHidden;
  document.dispatchEvent(new Event("visibilitychange"));
}"""


@pytest.fixture
async def script():
    async with Script() as made:
        made.row("a")
        made.execution("a")
        yield made


async def test_a_new_tab_gets_the_token(script, page):
    """A row opened in a new tab has access through the tab it came from."""
    await script.open(page)
    async with page.context.expect_page() as waiting:
        await pages.row(page, "a").get_by_role("link").click(modifiers=["ControlOrMeta"])
    other = await waiting.value
    await pages.stands(other, "live")
    await expect(other.locator("#execution-title")).to_have_text("a")
    await expect(other.locator("#control-stop")).to_be_enabled()
    assert script.TOKEN not in other.url
    await pages.stands(page, "live")
    await page.close()
    await other.reload()
    await pages.stands(other, "live")


async def test_a_tab_without_access_gets_it_later(script, page):
    """A tab that has no access, for none could answer it, takes the token when another tab is opened by the link."""
    await page.goto(script.address("#/execution/a"))
    await pages.stands(page, "refused")
    assert [path for path in script.asked if path.startswith("/api/")] == []
    other = await page.context.new_page()
    await script.open(other)
    await pages.stands(page, "live")
    await expect(page.locator("#control-stop")).to_be_enabled()
    await expect(page.locator("#banner")).to_be_hidden()


async def test_hidden_tabs_rest(script, page):
    """A hidden tab alone stays connected; when another is looked at it rests, says so, and goes on when looked at."""
    await page.context.add_init_script(SEEN)
    await script.open(page)
    await page.evaluate(LOOK, True)
    script.tell_rows(script.row("b"))
    await pages.shows(page, a="running", b="running")
    await pages.stands(page, "live")
    other = await page.context.new_page()
    await script.open(other)
    await pages.stands(page, "resting")
    await expect(page).to_have_title("‖ Board · titan-state")
    await expect(page.locator("html")).to_have_class("frozen")
    script.tell_rows(script.row("c"))
    await pages.shows(other, c="running")
    await expect(pages.row(page, "c")).to_have_count(0)
    await other.evaluate(LOOK, True)
    await page.evaluate(LOOK, False)
    await pages.stands(page, "live")
    await pages.shows(page, c="running")
    await expect(page).to_have_title("Board · titan-state")
    await pages.stands(other, "resting")


async def test_a_tab_that_is_opened_hidden(script, page):
    """A tab that nobody has looked at yet asks for no stream; when it is looked at it connects."""
    await script.open(page)
    before = script.asked.count("/api/stream")
    other = await page.context.new_page()
    await other.add_init_script(SEEN + "window.isHidden = true;")
    await other.goto(script.address("#/"))
    await pages.stands(other, "resting")
    assert script.asked.count("/api/stream") == before
    await other.evaluate(LOOK, False)
    await pages.stands(other, "live")
    await pages.shows(other, a="running")
