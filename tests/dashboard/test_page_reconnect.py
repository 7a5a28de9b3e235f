"""The page in a browser, when what is behind it goes away: it says so, shows nothing old as new, and comes back."""

from __future__ import annotations

from contextlib import asynccontextmanager

import pages
import pytest
from playwright.async_api import expect

from titan_state import Monitor, RequestBudget, Thresholds
from titan_state.dashboard.server import Dashboard
from titan_state.dashboard.sources import JournalSource
from titan_state.emulator import Faults, TaskServiceEmulator
from titan_state.journal.sqlite import SqliteJournal


@pytest.fixture
def thresholds():
    """Return what counts as an anomaly; a test may say otherwise."""
    return {}


@pytest.fixture
async def site(thresholds):
    async with pages.Site(thresholds=thresholds) as made:
        made.add("a", "running", task_id="shop", steps=pages.progressing(30)[1:])
        made.add("b", "paused", task_id="shop")
        yield made


@pytest.fixture
async def page(page):
    """Return a page whose clock a test can let run ahead."""
    await page.clock.install()
    return page


async def is_frozen(page, *places):
    """Check that the page is marked, says as of when it is, and that ages in these places stand still."""
    await expect(page.locator("html")).to_have_class("frozen")
    await expect(page.locator("#frozen")).to_contain_text("as it was at")
    # ages are written anew once in a second
    before = [await place.inner_text() for place in places]
    assert all(before)
    await page.clock.run_for(1300)
    assert [await place.inner_text() for place in places] == before


async def is_live(page):
    """Check that nothing of that is left."""
    await pages.stands(page, "live")
    await expect(page.locator("html")).not_to_have_class("frozen")
    await expect(page.locator("#frozen")).to_be_empty()
    await expect(page.locator("#banner")).to_be_hidden()


async def test_the_server_restarts(site, page, watch):
    """While it is away the page says so and stands still; when it is back the page shows what is true then."""
    watch.tolerate("ERR_CONNECTION_REFUSED|ERR_INCOMPLETE_CHUNKED_ENCODING|ERR_CONNECTION_RESET")
    await site.open(page)
    await pages.shows(page, a="running", b="paused")
    await page.evaluate("window.isSamePage = true")
    await site.stop()
    await pages.stands(page, "reconnecting")
    await expect(page.locator("#banner")).to_contain_text("Not connected since")
    await expect(page.locator("#banner")).to_contain_text("whether titan-state dashboard is still running")
    await expect(page).to_have_title("✕ Board · titan-state")
    await expect(page.locator("#budget")).to_be_hidden()
    await is_frozen(page, page.locator("#grid"), page.locator("#frozen"))
    await pages.row(page, "a").click()
    await expect(page.locator("#execution-status")).to_have_attribute("data-status", "running")
    for action in ("pause", "resume", "stop"):
        await expect(page.locator(f"#control-{action}")).to_be_disabled()
        await expect(page.locator(f"#reason-{action}")).to_contain_text("connect")
    site.service.move("a", "completed")
    site.service.move("b", "queued")
    site.add("c", "running")
    await site.start()
    await is_live(page)
    await expect(page.locator("#execution-status")).to_have_attribute("data-status", "completed")
    await expect(page.locator("#history")).to_contain_text("completed")
    await expect(page.locator("#timeline svg.timeline")).to_be_visible()
    await page.go_back()
    await pages.shows(page, a="completed", b="queued", c="running")
    await expect(page.locator("#count")).to_have_text("3 executions")
    await expect(page.locator("#feed-list")).to_contain_text("is running")
    assert await page.evaluate("isSamePage")


@pytest.mark.parametrize("thresholds", [{"blind_s": 1.0}], ids=["soon"])
async def test_the_monitor_is_blind(site, page):
    """When the service gives no answers, a banner says since when and what to check; it goes when there are some."""
    await site.open(page)
    await pages.shows(page, a="running")
    site.service.faults = Faults(server_error=1.0)
    await pages.stands(page, "blind")
    banner = page.locator("#banner")
    await expect(banner).to_contain_text("The monitor is blind since")
    await expect(banner).to_contain_text("Check first: connectivity, credentials, rate limits")
    await expect(page).to_have_title("(1) Board · titan-state")
    await is_frozen(page, pages.row(page, "a"))
    await expect(page.locator("#feed-list li[data-level=critical]")).to_have_count(1)
    await pages.row(page, "a").click()
    await expect(page.locator("#reason-stop")).to_contain_text("as it was at")
    site.service.move("a", "failed")
    site.service.faults = Faults.none()
    await is_live(page)
    await expect(page.locator("#execution-status")).to_have_attribute("data-status", "failed")
    await expect(page.locator("#reason-stop")).to_contain_text("it has finished")


@pytest.fixture
async def service():
    async with TaskServiceEmulator(per_minute=None, token=pages.TITAN_TOKEN) as made:
        yield made


@pytest.fixture
async def journal(tmp_path):
    made = SqliteJournal(tmp_path / "journal.db")
    await made.open()
    yield made
    await made.close()


@asynccontextmanager
async def monitor_of(service, journal):
    """Run a monitor as another program would, which writes the journal."""
    given = {"thresholds": Thresholds(replica_lag_s=0.1), "budget": RequestBudget(per_minute=pages.PER_MINUTE)}
    async with Monitor(service.url, pages.TITAN_TOKEN, journal=journal.path, drain_s=0, **given) as monitor:
        monitor.watch_all()
        yield monitor


@pytest.fixture
async def dashboard(journal):
    async with Dashboard(JournalSource(journal, account="us")) as made:
        yield made


async def test_the_monitor_of_another_program(service, journal, dashboard, page):
    """A journal's monitor ends: the page says that none is running, and stands still; with the next one it is live."""
    service.add(pages.Plan(id="a", initial="running"))
    await page.goto(dashboard.url)
    await pages.stands(page, "unwatched")
    await expect(page.locator("#nothing")).to_be_visible()
    async with monitor_of(service, journal):
        await is_live(page)
        await pages.shows(page, a="running")
        await pages.row(page, "a").click()
        await page.get_by_role("button", name="Pause", exact=True).click()
        await expect(page.locator("#execution-status")).to_have_attribute("data-status", "paused")
        await expect(page.locator("#history")).to_contain_text("our action")
    await pages.stands(page, "unwatched")
    await expect(page.locator("#banner")).to_contain_text("No monitor is running")
    await expect(page.locator("#banner")).to_contain_text(
        "whether the monitor that writes this journal is still running"
    )
    service.move("a", "running")
    await is_frozen(page, page.locator("#execution-age"))
    await expect(page.locator("#execution-status")).to_have_attribute("data-status", "paused")
    await page.keyboard.press("b")
    await pages.shows(page, a="paused")
    async with monitor_of(service, journal):
        await is_live(page)
        await pages.shows(page, a="running")
        service.add(pages.Plan(id="b", initial="running"))
        await pages.shows(page, b="running")


async def test_control_needs_a_monitor(service, journal, dashboard, page):
    """While no monitor runs the buttons are disabled and say so, also on a page that was open before; then not."""
    service.add(pages.Plan(id="a", initial="running"))
    stop = page.get_by_role("button", name="Stop", exact=True)
    async with monitor_of(service, journal):
        await page.goto(dashboard.url)
        await is_live(page)
        await pages.row(page, "a").click()
        await expect(stop).to_be_enabled()
    await pages.stands(page, "unwatched")
    await expect(stop).to_be_disabled()
    await expect(page.locator("#reason-stop")).to_contain_text("no monitor")
    async with monitor_of(service, journal):
        await is_live(page)
        await expect(stop).to_be_enabled()
