"""The view of the model in a browser: how many executions are in each status, and where a status leads."""

from __future__ import annotations

import pages
import pytest
from playwright.async_api import expect


@pytest.fixture
async def site():
    async with pages.Site() as made:
        for name in ("r1", "r2", "r3"):
            made.add(name, "running")
        made.add("p1", "paused")
        made.add("c1", "completed")
        yield made


async def counts(page, **numbers):
    """Wait until the diagram and the list beside it have these numbers."""
    for status, number in numbers.items():
        await expect(page.locator(f"#diagram [data-count={status}]")).to_have_text(str(number))
        await expect(page.locator(f"#inside a[data-status={status}] .number")).to_have_text(str(number))


async def test_counts_are_live_and_lead_to_the_board(site, page):
    """The counts are those of the board and follow what happens; a status leads to its executions."""
    await site.open(page)
    await pages.shows(page, r1="running", r2="running", r3="running", p1="paused", c1="completed")
    await page.get_by_role("link", name="Model").click()
    await expect(page.get_by_role("heading", level=1, name="The model")).to_be_focused()
    await expect(page.get_by_role("link", name="Model", exact=True)).to_have_attribute("aria-current", "page")
    await expect(page).to_have_title("Model · titan-state")
    await counts(page, queued=0, running=3, paused=1, completed=1, failed=0)
    site.service.move("r1", "completed")
    site.service.move("p1", "running")
    site.add("q1")
    await counts(page, queued=1, running=3, paused=0, completed=2, failed=0)
    site.add("x1", "on_hold")
    outside = page.locator("#outside a[data-status=on_hold]")
    await expect(outside).to_contain_text("1")
    await expect(page.locator("#outside-heading")).to_be_visible()
    running = page.get_by_role("link", name="running: 3 executions, show on the board")
    await expect(running).to_be_visible()
    await running.click()
    await expect(pages.rows(page)).to_have_count(3)
    await pages.shows(page, p1="running", r2="running", r3="running")
    await expect(pages.chip(page, "running")).to_have_attribute("aria-pressed", "true")
    await expect(pages.chip(page, "running")).to_contain_text("3")
    await page.go_back()
    await outside.click()
    await pages.lists(page, "x1")
    await page.get_by_role("link", name="Model").click()
    await page.get_by_role("link", name="completed: 2 executions, show on the board").focus()
    await page.keyboard.press("Enter")
    await expect(pages.rows(page)).to_have_count(2)
    await pages.shows(page, c1="completed", r1="completed")


async def test_it_is_loaded_once(site, page):
    """A page that is opened with the model asks for it once; views in between do not ask again."""
    await site.open(page)
    await page.goto(site.address("#/model"))
    await expect(page.locator("#diagram svg")).to_be_visible()
    asked = []
    page.on("request", lambda request: asked.append(request.url))
    await page.reload()
    await expect(page.locator("#diagram svg")).to_be_visible()
    await page.keyboard.press("b")
    await page.keyboard.press("m")
    await counts(page, running=3, paused=1)
    assert asked.count(site.address("api/model")) == 1
