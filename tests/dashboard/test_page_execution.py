"""The page of one execution in a browser: what it shows, what it lets do, and what it says of results."""

from __future__ import annotations

import json

import pages
import pytest
from playwright.async_api import expect

from titan_state.emulator import Faults
from titan_state.emulator.faults import When


@pytest.fixture
async def site():
    async with pages.Site() as made:
        yield made


async def test_what_it_shows(site, page, watch):
    """Heading, facts, timeline, durations and events are there, the newest first, and follow what happens."""
    watch.tolerate(r"status of 404 .*id=nobody")
    site.add("a", steps=pages.progressing(30), task_id="shop", phases=("fetching",))
    await site.open(page)
    await pages.row(page, "a").click()
    await expect(page.get_by_role("heading", level=1, name="a", exact=True)).to_be_visible()
    await expect(page.get_by_role("heading", level=1)).to_be_focused()
    await expect(page).to_have_title("a · titan-state")
    await expect(page.locator("#execution-status")).to_have_attribute("data-status", "queued")
    await expect(page.locator("#execution-facts")).to_contain_text("shop")
    await expect(page.locator("#durations tr")).to_have_count(1)
    site.service.move("a", "running")
    await expect(page.locator("#execution-status")).to_have_attribute("data-status", "running")
    await expect(page.locator("#durations tr[data-status=running]")).to_contain_text("until now")
    await expect(page.locator("#execution-facts")).to_contain_text("fetching")
    await expect(page.locator("#execution-facts")).to_contain_text("%")
    await expect(page.locator("#legend")).to_contain_text("queued")
    timeline = page.locator("#timeline svg.timeline")
    await expect(timeline.locator(".status-queued").first).to_be_attached()
    await expect(timeline.locator(".status-running").first).to_be_attached()
    assert await timeline.evaluate("svg => svg.getBoundingClientRect().width > 300")
    await expect(page.locator("#flags")).to_contain_text("None so far.")
    await expect(page.locator("#outputs")).to_contain_text("Only executions that succeed have results.")
    site.service.move("a", "cancelled")
    history = page.locator("#history li")
    await expect(history).to_have_count(3)
    await expect(page.locator("#history-number")).to_have_text("3 events")
    assert [await one.get_attribute("data-event") for one in await history.all()] == ["a:3", "a:2", "a:1"]
    await expect(history.first).to_contain_text("cancelled")
    await expect(page.locator("#durations tr[data-status=running]")).to_contain_text("once")
    for action in ("Pause", "Resume", "Stop"):
        await expect(page.get_by_role("button", name=action, exact=True)).to_be_disabled()
    await page.get_by_role("link", name="shop").click()
    await expect(page.get_by_role("combobox", name="Task")).to_have_value("=shop")
    await page.goto(site.address("#/execution/nobody"))
    await expect(page.locator("#unknown")).to_contain_text("Nothing is known of this execution")
    await expect(page.locator("#known")).to_be_hidden()


async def test_control(site, page, watch):
    """A button that may not be used is disabled and says why; pause and resume work, also one after the other."""
    watch.tolerate(r"status of 409 .*/api/act")
    site.add("a", "running", steps=pages.progressing(30)[1:])
    await site.open(page, "a")
    pause, resume, stop = (page.get_by_role("button", name=name, exact=True) for name in ("Pause", "Resume", "Stop"))
    await expect(pause).to_be_enabled()
    await expect(stop).to_be_enabled()
    await expect(resume).to_be_disabled()
    await expect(page.locator("#reason-resume")).to_contain_text("resume is not legal in running")
    await expect(resume).to_have_accessible_description("resume is not legal in running: only 'paused' allows it")
    await resume.click(force=True)
    await pause.click()
    await expect(page.locator("#outcome")).to_contain_text("pause was accepted")
    await expect(page.locator("#execution-status")).to_have_attribute("data-status", "paused")
    assert site.posts == ["/api/v1/executions/a/pause"]
    await expect(resume).to_be_enabled()
    await expect(pause).to_be_disabled()
    await expect(page.locator("#reason-pause")).to_contain_text("pause is not legal in paused")
    await expect(page.locator("#history")).to_contain_text("our action")
    await resume.click()
    await expect(page.locator("#execution-status")).to_have_attribute("data-status", "running")
    await expect(pause).to_be_enabled()
    site.service.faults = Faults(server_error=When(1.0, only="/pause"), error_statuses=(409,))
    await pause.click()
    await expect(page.locator("#outcome")).to_contain_text("Pause did not work")
    await expect(page.locator("#outcome")).to_have_attribute("data-level", "error")
    await expect(page.locator("#execution-status")).to_have_attribute("data-status", "running")
    assert site.service.executions() == {"a": "running"}


async def test_stop_asks_first(site, page):
    """Stop asks for confirmation: whoever cancels has sent nothing; whoever confirms has stopped it."""
    site.add("a", "running", steps=pages.progressing(30)[1:])
    await site.open(page, "a")
    stop = page.get_by_role("button", name="Stop", exact=True)
    dialog = page.get_by_role("dialog", name="Stop this execution?")
    await expect(stop).to_be_enabled()

    async def cancel():
        await dialog.get_by_role("button", name="Do not stop").click()

    async def press_escape():
        await page.keyboard.press("Escape")

    async def press_enter():
        await page.keyboard.press("Enter")

    async def click_beside():
        await page.mouse.click(5, 5)

    for leave in (cancel, press_escape, press_enter, click_beside):
        await stop.click()
        await expect(dialog).to_be_visible()
        await expect(dialog).to_contain_text("This cannot be undone")
        await expect(page.locator("#stop-id")).to_have_text("a")
        await expect(page.locator("#stop-cancel")).to_be_focused()
        await leave()
        await expect(dialog).to_be_hidden()
        await expect(stop).to_be_focused()
        await expect(page.locator("#execution-title")).to_have_text("a")
    assert site.posts == []
    await stop.click()
    await dialog.get_by_role("button", name="Stop execution").click()
    await expect(page.locator("#execution-status")).to_have_attribute("data-status", "cancelled")
    assert site.posts == ["/api/v1/executions/a/stop"]
    assert site.service.executions() == {"a": "cancelled"}
    await expect(stop).to_be_disabled()
    await expect(page.locator("#reason-stop")).to_contain_text("it has finished: cancelled is terminal")


async def test_results_become_ready(site, page, watch, caplog):
    """Results are waited for, looked for when asked, told when they are there, and come as a file."""
    watch.tolerate(r"status of 409 .*/api/results")
    site.add("a", "running", rows=4, results_after_s=None, steps=pages.progressing(30)[1:])
    site.add("b", "running", rows=4, steps=pages.progressing(30)[1:])
    await site.open(page, "a")
    await expect(page.locator("#execution-status")).to_have_attribute("data-status", "running")
    site.service.move("a", "completed")
    outputs = page.locator("#outputs")
    await expect(outputs).to_contain_text("its results are waited for")
    await outputs.get_by_role("button", name="Look for results now").click()
    await expect(outputs.get_by_role("status")).to_contain_text("✗")
    await expect(outputs.locator("[data-does=json]")).to_have_count(0)

    await page.goto(site.address("#/execution/b"))
    await expect(page.locator("#execution-status")).to_have_attribute("data-status", "running")
    site.service.move("b", "completed")
    await expect(outputs).to_contain_text("4 rows")
    await expect(outputs).to_contain_text("columns")
    await expect(outputs).to_contain_text("position")
    async with page.expect_download() as waiting:
        await outputs.locator("[data-does=json]").click()
    download = await waiting.value
    assert download.suggested_filename == "b.json"
    found = json.loads((await download.path()).read_bytes())
    assert found == json.loads(site.service.export_bytes("b"))
    assert len(found) == 4
    async with page.expect_download() as waiting:
        await outputs.locator("[data-does=csv]").click()
    assert (await waiting.value).suggested_filename == "b.csv"
    assert [one.getMessage() for one in caplog.records if one.name.startswith("aiohttp")] == []
    await expect(page.locator("#execution-title")).to_have_text("b")


async def test_a_failure_shows_its_error(site, page):
    """The error of the service is shown in full, on several lines; an execution that vanished says so."""
    site.add("f", "running", error="Traceback:\n  line 1\n  <b>line</b> 2", steps=pages.progressing(30)[1:])
    site.add("gone", "running")
    await site.open(page, "f")
    await expect(page.locator("#execution-error")).to_be_hidden()
    site.service.move("f", "failed")
    await expect(page.locator("#execution-error")).to_be_visible()
    await expect(page.locator("#execution-error-text")).to_have_text("Traceback:\n  line 1\n  <b>line</b> 2")
    await expect(page.locator("#execution-status")).to_have_attribute("data-status", "failed")
    await expect(page.locator("#history li").first).to_have_attribute("data-level", "error")
    await page.goto(site.address("#/execution/gone"))
    await expect(page.locator("#execution-status")).to_have_attribute("data-status", "running")
    await expect(page.locator("#execution-error")).to_be_hidden()
    site.service.remove("gone")
    await expect(page.locator("#execution-status")).to_have_attribute("data-status", "vanished")
    await expect(page.locator("#flags li[data-kind=vanished]")).to_contain_text("whether it or its task was deleted")
