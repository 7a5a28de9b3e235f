"""The page in a browser, where answers are missing, late, in another order, or of a connection before."""

from __future__ import annotations

import pages
import pytest
from playwright.async_api import expect
from scripted import Script

SELECT = "() => getSelection().selectAllChildren(document.querySelector('#extra-entries dd'))"


@pytest.fixture
async def script():
    async with Script() as made:
        made.row("a", "running", task="shop", progress=10)
        made.execution("a", extra={"kept": "as it is"})
        yield made


async def test_rows_of_a_connection_before(script, page):
    """After a reconnect no row is shown as it was before, however often each was told of before and after."""
    script.row("b", "paused")
    await script.open(page)
    await pages.shows(page, a="running", b="paused")
    for name in ("a", "b"):
        script.row(name, "failed", over=True)
    script.cut()
    await pages.stands(page, "reconnecting")
    await pages.stands(page, "live")
    assert [await one.get_attribute("data-status") for one in await pages.rows(page).all()] == ["failed", "failed"]
    await expect(pages.chip(page, "failed")).to_contain_text("2")


async def test_a_row_that_goes(script, page):
    """A row that the server no longer keeps leaves the board, its counts and the list of tasks."""
    script.row("b", "on_hold", task="news")
    await script.open(page)
    await pages.shows(page, a="running", b="on_hold")
    await expect(pages.chip(page, "on_hold")).to_contain_text("1")
    script.tell_rows(gone=["b", "never there"])
    await pages.lists(page, "a")
    await expect(page.locator("#count")).to_have_text("1 execution")
    await expect(pages.chip(page, "on_hold")).to_have_count(0)
    assert await page.locator("#task option").all_inner_texts() == ["all tasks", "shop"]


async def test_a_question_that_fails_once(script, page, watch):
    """Details that could not be read again are called old, and nothing can be done, until they are read."""
    watch.tolerate(r"status of 500 .*/api/execution")
    await script.open(page, "#/execution/a")
    stop, problem = page.locator("#control-stop"), page.locator("#problem")
    await expect(stop).to_be_enabled()
    await expect(problem).to_be_empty()
    script.status = 500
    script.execution("a", allowed=False, error="what went wrong")
    script.tell_events("a")
    await expect(problem).to_contain_text("It could not be read again: a mistake")
    await expect(stop).to_be_disabled()
    await expect(page.locator("#reason-stop")).to_contain_text("a mistake")
    script.status = None
    await expect(page.locator("#execution-error-text")).to_have_text("what went wrong")
    await expect(problem).to_be_empty()
    await expect(page.locator("#reason-stop")).to_contain_text("it has finished")


async def test_no_answer_at_all(script, page):
    """A question without an answer is given up after 20 s, which is said; it is asked again."""
    await page.clock.install()
    await script.open(page)
    _, second = script.hold("/api/execution"), script.hold("/api/execution")
    await page.goto(script.address("#/execution/a"))
    await expect(page.locator("#execution-title")).to_have_text("a")
    await page.clock.fast_forward(11_000)
    await pages.stands(page, "live")  # what is told meanwhile is heard, so that the connection is not given up
    async with page.expect_event("requestfailed"):
        await page.clock.fast_forward(10_000)
    await expect(page.locator("#reason-stop")).to_contain_text("the dashboard has not answered for 20 s")
    second.set()
    await expect(page.locator("#control-stop")).to_be_enabled()


async def test_nothing_is_told_any_more(script, page):
    """A connection that stands but tells nothing is not live: that is said, and of when is what is shown."""
    await page.clock.install()
    await script.open(page)
    script.is_silent = True
    await expect(page.locator("html")).not_to_have_class("frozen")
    await page.clock.fast_forward(11_000)
    await pages.stands(page, "silent")
    await expect(page.locator("#banner")).to_contain_text("The dashboard tells nothing since")
    await expect(page.locator("html")).to_have_class("frozen")
    await expect(page).to_have_title("✕ Board · titan-state")
    script.is_silent = False
    await pages.stands(page, "live")
    await expect(page.locator("html")).not_to_have_class("frozen")


async def test_the_service_does_not_answer(script, page):
    """While the service answers nothing the page says for how long; what is read out is not said every second."""
    await script.open(page)
    script.state = {"dark_s": 12.0}
    await pages.stands(page, "dark")
    banner, said = page.locator("#banner"), page.locator("#announcement")
    await expect(banner).to_contain_text("The service has not answered for 12s")
    await expect(banner).to_contain_text("Check first: connectivity, credentials, rate limits")
    await expect(said).to_contain_text("The service has not answered for 12s")
    await expect(page.locator("html")).to_have_class("frozen")
    script.state = {"dark_s": 14.0}
    await expect(banner).to_contain_text("The service has not answered for 14s")
    await expect(said).to_contain_text("for 12s")
    assert await banner.evaluate("one => one.closest('[role=status], [role=alert], [aria-live]')") is None
    script.state = {}
    await pages.stands(page, "live")
    await expect(said).to_have_text("The connection is live")
    await expect(banner).to_be_hidden()


async def test_answers_in_another_order(script, page):
    """An answer that was asked for earlier, and comes later, is not shown: neither a drawing nor details."""
    drawing, details = script.hold("/api/timeline"), script.hold("/api/execution")
    script.execution("a", error="old")
    script.execution("b")
    await script.open(page, "#/execution/a")
    await expect(page.locator("#execution-title")).to_have_text("a")
    await page.goto(script.address("#/execution/b"))
    await expect(page.locator("#control-stop")).to_be_enabled()
    script.execution("a", error="new")
    await page.goto(script.address("#/execution/a"))
    error, timeline = page.locator("#execution-error-text"), page.locator("#timeline svg")
    await expect(error).to_have_text("new")
    await expect(timeline).to_be_visible()
    for held, path in ((details, "/api/execution"), (drawing, "/api/timeline")):
        shown = await error.inner_text(), await timeline.text_content()
        async with page.expect_event("requestfinished", lambda request, path=path: path in request.url):
            held.set()
        await page.evaluate("new Promise(requestAnimationFrame)")
        assert (await error.inner_text(), int(await timeline.text_content()) >= int(shown[1])) == (shown[0], True)


async def test_an_execution_that_comes_to_be_known(script, page, watch):
    """The page of an id that nothing is known of yet shows the execution when its row comes, without any event."""
    watch.tolerate(r"status of 404 .*id=late")
    await script.open(page, "#/execution/late")
    await expect(page.locator("#unknown")).to_be_visible()
    script.execution("late")
    script.tell_rows(script.row("late"))
    await expect(page.locator("#unknown")).to_be_hidden()
    await expect(page.locator("#control-stop")).to_be_enabled()


async def test_events_that_were_skipped(script, page):
    """An execution of which not all events are told is asked for again."""
    await script.open(page, "#/execution/a")
    await expect(page.locator("#control-stop")).to_be_enabled()
    script.execution("a", error="what went wrong")
    script.tell_events(skipped=["b", "a"])
    await expect(page.locator("#execution-error-text")).to_have_text("what went wrong")


async def test_a_hidden_tab_tells_that_it_is_cut_off(script, page):
    """Where no frame is drawn, as in a hidden tab, the title says that the connection was lost, and is back."""
    await script.open(page)
    await page.evaluate("() => { window.requestAnimationFrame = () => 1; }")
    again = script.hold("/api/stream")
    script.cut()
    await expect(page).to_have_title("✕ Board · titan-state")
    again.set()
    await expect(page).to_have_title("Board · titan-state")


async def test_progress_takes_nothing_away(script, page):
    """Progress changes texts only: the focus, and what is selected, stay."""
    await script.open(page, "#/execution/a")
    await expect(page.locator("#extra-entries dd")).to_be_visible()
    link = page.get_by_role("link", name="shop")
    await link.focus()
    await page.evaluate(SELECT)
    for progress in (11, 12):
        script.tell_rows(script.row("a", task="shop", progress=progress))
        script.tell_events("a")
        await expect(page.locator("#execution-facts")).to_contain_text(f"{progress}%")
    await expect(link).to_be_focused()
    assert await page.evaluate("String(getSelection())") == "as it is"


async def test_escape_stays_on_the_page(script, page):
    """Escape on an execution leads to the board with its filters, never to what was before in the history."""
    await page.goto("about:blank")
    await script.open(page)
    await pages.chip(page, "running").click()
    await page.evaluate("() => location.replace('#/execution/a')")
    await expect(page.locator("#execution-title")).to_be_focused()
    await page.keyboard.press("Escape")
    await expect(page.locator("body")).to_have_attribute("data-view", "board")
    assert page.url == script.address("#/?status=running")
    await pages.lists(page, "a")


async def test_many_odd_statuses(script, page):
    """Of hundreds of statuses outside the model twenty have a chip, and those asked for; the table keeps its height."""
    for number in range(300):
        script.row(f"odd {number}", f"odd {number}")
        script.row(f"more {number}", f"odd {number % 5}")
    await script.open(page)
    chips, others = page.locator("#chips button"), page.locator("#others")
    known = 7
    await expect(chips).to_have_count(known + 20)
    await expect(others).to_contain_text("… 280 other statuses")
    for number in range(5):
        await expect(pages.chip(page, f"odd {number}")).to_contain_text("61")
    assert await page.locator("#grid").evaluate("grid => grid.clientHeight") > 300
    await page.goto(script.address("#/?status=odd%20299"))
    await expect(pages.chip(page, "odd 299")).to_have_attribute("aria-pressed", "true")
    await pages.lists(page, "odd 299")
    await pages.chip(page, "odd 299").click()
    await page.locator("#grid").focus()
    script.tell_rows(gone=[name for name in script.rows if name != "a"])
    await expect(chips).to_have_count(known)
    await expect(others).to_be_hidden()


async def test_tasks_with_odd_names(script, page):
    """The list of tasks has those that there are, whatever they are called, and says which one is asked for."""
    select = page.get_by_role("combobox", name="Task")
    script.row("b", task="null")
    script.row("c", task="\x00")
    script.row("d")
    await script.open(page)
    await select.select_option("=null")
    await pages.lists(page, "b")
    await select.select_option("=\x00")
    await pages.lists(page, "c")
    await select.select_option("-")
    await pages.lists(page, "d")
    await page.goto(script.address("#/"))
    await expect(select).to_have_value("")
    await expect(pages.rows(page)).to_have_count(4)
    await page.locator("#grid").focus()
    script.tell_rows(script.row("e", task="fresh"), gone=["b"])
    await expect(select.locator("option")).to_have_text(["all tasks", "␀", "fresh", "shop", "without a task"])


async def test_stop_of_what_has_ended_meanwhile(script, page):
    """The question whether to stop goes away, and says why, when the execution ends before the answer."""
    await script.open(page, "#/execution/a")
    await page.locator("#control-stop").click()
    await expect(page.locator("#stop-dialog")).to_be_visible()
    script.execution("a", allowed=False)
    script.tell_rows(script.row("a", "completed", over=True))
    await expect(page.locator("#stop-dialog")).to_be_hidden()
    await expect(page.locator("#outcome")).to_contain_text("Stop was not sent: it has finished")
