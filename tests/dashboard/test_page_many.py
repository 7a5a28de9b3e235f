"""The page in a browser with 10,000 executions: all are counted, few are drawn, any is found, and it stays live."""

from __future__ import annotations

import pages
import pytest
from playwright.async_api import expect

MANY = 10_000
DRAWN = 150
"""More rows than that fit on no screen."""

TO_THE_END = """async index => {
    const grid = document.getElementById("grid");
    grid.scrollTo(0, grid.scrollHeight);
    await new Promise(drawn => requestAnimationFrame(() => requestAnimationFrame(drawn)));
    const last = [...grid.querySelectorAll("[role=row][data-id]")].at(-1);
    return last.getAttribute("aria-rowindex") === index
        && last.getBoundingClientRect().bottom <= grid.getBoundingClientRect().bottom + 1;
}"""
"""Whether the last row is drawn last, and in sight, once the end is scrolled to. It is asked again until it is: where
rows come in above meanwhile, what is in sight stays, and the end moves away."""

STATUSES = ("running", "queued", "paused", "running", "running")


@pytest.fixture
async def site():
    async with pages.Site(max_limit=1000, per_minute=600) as made:
        for number in range(MANY):
            made.add(f"e{number:05}", STATUSES[number % 5], task_id=f"task {number % 7}")
        yield made


async def test_ten_thousand(site, page):
    """The counts sum up, the last row can be scrolled to, one is found by its id, and its change shows."""
    await site.open(page)
    await expect(page.locator("#count")).to_have_text("10,000 executions", timeout=30_000)
    numbers = await page.locator("#chips .number").all_inner_texts()
    assert sum(int(number.replace(",", "")) for number in numbers) == MANY
    await expect(pages.chip(page, "running")).to_contain_text("6,000")
    assert 10 < await pages.rows(page).count() < DRAWN
    assert await page.evaluate("document.getElementsByTagName('*').length") < 3000

    grid = page.locator("#grid")
    await expect(grid).to_have_attribute("aria-rowcount", str(MANY + 1))
    await page.wait_for_function(TO_THE_END, arg=str(MANY + 1))
    assert await pages.rows(page).count() < DRAWN
    await grid.focus()
    await page.keyboard.press("Home")
    await expect(page.locator("#grid [role=row][aria-rowindex='2']")).to_be_in_viewport()

    await page.get_by_label("Group by").select_option("task")
    await expect(grid).to_have_attribute("aria-rowcount", str(MANY + 8))
    await page.locator("#grid [data-group='task 0']").click()
    await expect(page.locator("#grid [data-group='task 1']")).to_be_in_viewport()
    await page.get_by_label("Group by").select_option("")
    await page.get_by_role("searchbox").fill("e04321")
    await pages.lists(page, "e04321")
    await expect(page.locator("#count")).to_have_text("1 of 10,000 executions")
    before = await pages.row(page, "e04321").get_attribute("data-status")
    assert before == "queued"
    site.service.move("e04321", "failed")
    await pages.shows(page, e04321="failed")
    await page.get_by_role("searchbox").fill("")
    await expect(pages.chip(page, "failed")).to_contain_text("1")
    await pages.chip(page, "failed").click()
    await pages.lists(page, "e04321")
    await pages.row(page, "e04321").click()
    await expect(page.locator("#execution-status")).to_have_attribute("data-status", "failed")
    await page.keyboard.press("m")
    await expect(page.locator("#inside a[data-status=running]")).to_contain_text("6,000")
