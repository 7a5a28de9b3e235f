"""The page in a browser: the board fills, is narrowed and grouped, and follows what happens."""

from __future__ import annotations

import pages
import pytest
from playwright.async_api import expect

from titan_state.emulator import Faults


@pytest.fixture
async def site():
    async with pages.Site(thresholds={"stuck_queued_s": 0.3}) as made:
        yield made


@pytest.fixture
async def site_in_the_dark():
    """Return a site whose service does not answer yet: the page is there before the monitor has seen anything."""
    async with pages.Site(faults=Faults(server_error=1.0)) as made:
        yield made


def fill(site):
    """Add executions of two tasks; nothing happens to them."""
    site.add("r1", "running", task_id="shop", phases=("fetching",))
    site.add("r2", "running", task_id="news", phases=("storing",))
    site.add("p1", "paused", task_id="shop")
    site.add("c1", "completed", task_id="shop")
    site.add("c2", "completed", task_id="news")
    site.add("f1", "failed", task_id="news")


async def test_the_board_fills_and_is_narrowed(site, page):
    """Rows and counts are there; chips, search and tasks narrow them, alone and together, and can be taken back."""
    fill(site)
    await site.open(page)
    await expect(pages.rows(page)).to_have_count(6)
    await expect(page.locator("#count")).to_have_text("6 executions")
    await pages.shows(page, r1="running", r2="running", p1="paused", c1="completed", c2="completed", f1="failed")
    for status, number in {"queued": 0, "running": 2, "paused": 1, "completed": 2, "failed": 1, "cancelled": 0}.items():
        await expect(pages.chip(page, status)).to_contain_text(str(number))
    await expect(page.locator("#watched")).to_contain_text("all executions")
    await expect(page.locator("#left")).to_contain_text("of 1,500 requests left")
    await expect(page.locator("#delay")).to_contain_text("noticed after")
    await expect(page.get_by_role("grid", name="Executions")).to_have_attribute("aria-rowcount", "7")

    await pages.chip(page, "running").click()
    await expect(pages.rows(page)).to_have_count(2)
    await pages.chip(page, "failed").click()
    await expect(pages.rows(page)).to_have_count(3)
    await expect(pages.chip(page, "failed")).to_have_attribute("aria-pressed", "true")
    await expect(page.locator("#count")).to_have_text("3 of 6 executions")
    await page.get_by_role("combobox", name="Task").select_option(label="news")
    await expect(pages.rows(page)).to_have_count(2)
    await expect(pages.chip(page, "completed")).to_contain_text("1")
    await page.get_by_role("searchbox").fill("R2 news")
    await pages.lists(page, "r2")
    await page.get_by_role("searchbox").fill("storing")
    await pages.lists(page, "r2")
    await page.get_by_role("searchbox").fill("no such thing")
    await expect(page.locator("#nothing")).to_contain_text("Nothing matches")
    await expect(pages.rows(page)).to_have_count(0)
    await page.locator("#nothing").get_by_role("button", name="Clear filters").click()
    await expect(pages.rows(page)).to_have_count(6)
    await expect(page.locator("#nothing")).to_be_hidden()
    await expect(page.locator("#clear")).to_be_hidden()
    await expect(page.get_by_role("searchbox")).to_have_value("")


async def test_groups_and_filters_are_kept(site, page):
    """Groups have heads with counts, which fold; an execution and back, and a reload, keep what was asked for."""
    fill(site)
    await site.open(page)
    await expect(pages.rows(page)).to_have_count(6)
    heads = page.locator("#grid [role=row][data-group]")
    await page.get_by_label("Group by").select_option("task")
    await expect(heads).to_have_count(2)
    await expect(heads.nth(0)).to_have_attribute("data-group", "news")
    await expect(heads.nth(0)).to_contain_text("3")
    await page.get_by_label("Group by").select_option("status")
    await expect(heads).to_have_count(4)
    assert [await head.get_attribute("data-group") for head in await heads.all()] == [
        "running",
        "paused",
        "completed",
        "failed",
    ]
    await expect(page.get_by_role("treegrid", name="Executions")).to_be_visible()  # only there heads can be folded
    await expect(heads.first).to_have_attribute("aria-level", "1")
    await expect(pages.rows(page).first).to_have_attribute("aria-level", "2")
    completed = page.locator("#grid [data-group=completed]")
    await completed.click()
    await expect(completed).to_have_attribute("aria-expanded", "false")
    await expect(pages.rows(page)).to_have_count(4)
    await completed.click()
    await expect(pages.rows(page)).to_have_count(6)

    await pages.chip(page, "running").click()
    await page.get_by_role("searchbox").fill("shop")
    await expect(pages.rows(page)).to_have_count(1)
    await pages.row(page, "r1").click()
    await expect(page.locator("#execution-title")).to_have_text("r1")
    await page.go_back()
    for _ in range(2):
        await expect(pages.rows(page)).to_have_count(1)
        await expect(pages.chip(page, "running")).to_have_attribute("aria-pressed", "true")
        await expect(page.get_by_role("searchbox")).to_have_value("shop")
        await expect(page.get_by_label("Group by")).to_have_value("status")
        await expect(page.locator("#grid [data-group=running]")).to_be_visible()
        await page.reload()
        await pages.stands(page, "live")
    await pages.row(page, "r1").click()
    await page.get_by_role("link", name="← Board").click()
    await expect(page.get_by_role("searchbox")).to_have_value("shop")


async def test_an_execution_moves_live(site, page):
    """On an empty board the first execution appears; it moves, progresses and ends, and the page is never reloaded."""
    await site.open(page)
    await expect(page.locator("#nothing")).to_contain_text("Nothing is watched yet")
    await page.evaluate("window.isSamePage = true")
    site.add("a", steps=pages.progressing(20), task_id="shop")
    await pages.shows(page, a="queued")
    await expect(page.locator("#nothing")).to_be_hidden()
    site.service.move("a", "running")
    await pages.shows(page, a="running")
    await expect(pages.chip(page, "running")).to_contain_text("1")
    await expect(pages.chip(page, "queued")).to_contain_text("0")
    progress = pages.row(page, "a").get_by_role("gridcell").nth(4)
    await expect(progress).to_contain_text("%")
    before = await progress.inner_text()
    await expect(progress).not_to_have_text(before)
    site.service.move("a", "completed")
    await pages.shows(page, a="completed")
    events = page.locator("#feed-list li")
    await expect(events.first).to_have_attribute("data-level", "good")
    assert await events.evaluate_all("items => items.every(item => item.dataset.event.startsWith('a:'))")
    assert await page.evaluate("window.isSamePage")


async def test_an_anomaly_appears_and_clears(site, page):
    """What is wrong stands first, with a badge, is counted, is in the title and on the execution's page; it clears."""
    fill(site)
    await site.open(page)
    await expect(pages.rows(page)).to_have_count(6)
    await expect(page).to_have_title("Board · titan-state")
    await page.locator("#flawed").click()
    await expect(page.locator("#nothing")).to_contain_text("Nothing matches")
    await page.locator("#flawed").click()
    site.add("slow", task_id="shop")
    badge = pages.row(page, "slow").locator(".badge[data-kind=stuck_queued]")
    await expect(badge).to_be_visible()
    await expect(pages.rows(page).first).to_have_attribute("data-id", "slow")
    await expect(page).to_have_title("(1) Board · titan-state")
    await expect(page.locator("#flawed-number")).to_have_text("1")
    await expect(page.locator("#feed-list li[data-level=warning]")).to_have_count(1)
    site.service.move("c1", "running")
    await expect(pages.row(page, "c1").locator(".badge[data-kind=left_terminal]")).to_be_visible()
    assert [await one.get_attribute("data-id") for one in (await pages.rows(page).all())[:2]] == ["c1", "slow"]
    await page.locator("#flawed").click()
    await expect(pages.rows(page)).to_have_count(2)
    await page.locator("#flawed").click()
    await page.locator("#search").fill("left_term")
    await expect(pages.rows(page)).to_have_count(1)
    await page.locator("#search").fill("")
    await page.locator("#flawed").click()
    await page.set_viewport_size({"width": 1280, "height": 520})  # a list that is longer than its place grows no page
    assert await page.evaluate("document.documentElement.scrollHeight <= innerHeight")
    await page.set_viewport_size({"width": 1280, "height": 720})

    await pages.row(page, "slow").click()
    flag = page.locator("#flags li[data-kind=stuck_queued]")
    await expect(flag).to_have_attribute("data-open", "true")
    await expect(flag).to_contain_text("Check first: worker capacity and scheduler health")
    site.service.move("slow", "running")
    await expect(flag).to_have_attribute("data-open", "false")
    await expect(page.locator("#execution-status")).to_have_attribute("data-status", "running")
    await page.go_back()
    await expect(pages.row(page, "slow")).to_have_count(0)
    await expect(page.locator("#flawed-number")).to_have_text("1")
    await page.locator("#flawed").click()
    await expect(pages.rows(page)).to_have_count(7)
    await expect(badge).to_have_count(0)


async def test_what_had_finished_before(site_in_the_dark, page, watch):
    """What had finished before the monitor saw it shows at once, also where the page was opened before."""
    watch.tolerate("status of 404 .*/api/timeline")
    site = site_in_the_dark
    for name in ("c1", "c2"):
        site.add(name, "completed")
    site.add("r1", "running")
    await site.open(page)
    await expect(page.locator("#nothing")).to_contain_text("Nothing is watched yet")
    site.service.faults = Faults.none()
    await pages.shows(page, r1="running", c1="completed", c2="completed")
    await pages.row(page, "c1").click()
    await expect(page.locator("#execution-status")).to_have_attribute("data-status", "completed")
    await expect(page.locator("#timeline")).to_contain_text("Nothing is written down")
