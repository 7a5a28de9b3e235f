"""The page in a browser by keyboard alone, by its roles and names, on a phone, and in each theme."""

from __future__ import annotations

import pages
import pytest
from playwright.async_api import expect

HEADER = """
- banner:
  - navigation "Views":
    - link "Board"
    - link "Model"
  - group "Theme":
    - radio "Auto" [checked]
    - radio "Light"
    - radio "Dark"
  - button "Keys"
"""
FILTERS = """
- heading "Board" [level=1]
- group "Filter by status":
  - button "with anomalies 0"
  - button "queued 0"
  - button "running 2"
  - button "paused 1"
- searchbox "Search id, task, phase and anomaly"
- combobox "Task"
- combobox "Group by"
"""
GRID = """
- grid "Executions":
  - row "Status Execution Task For Progress Anomalies Seen":
    - columnheader "Status"
    - columnheader "Execution"
  - rowgroup:
    - row /running r2 shop/:
      - gridcell "running"
      - gridcell "r2"
"""
CONTROL = """
- heading "r1" [level=1]
- group "Control":
  - button "Pause"
  - button "Resume" [disabled]
  - button "Stop"
- region "Timeline":
  - heading "Timeline" [level=2]
- region "Anomalies"
- region /Events/
- region "Time in each status":
  - table
- region "Outputs"
"""

MOVES = """() => new Promise((resolve) => {
  const look = () => (document.getAnimations().length ? resolve(true) : requestAnimationFrame(look));
  look();
})"""


@pytest.fixture
async def site():
    async with pages.Site(thresholds={"stuck_queued_s": 0.3}) as made:
        made.add("r1", "running", task_id="shop", steps=pages.progressing(30)[1:])
        made.add("p1", "paused", task_id="shop")
        yield made


async def open_board(site, page):
    """Open the board with rows in a known order: the latest change first."""
    await site.open(page)
    await pages.shows(page, r1="running", p1="paused")
    site.add("r2", "running", task_id="shop", steps=pages.progressing(30)[1:])
    await pages.shows(page, r2="running")


async def active(page):
    """Return the id of the execution whose row is the active one for the keyboard and for screen readers."""
    return await page.locator("#grid").evaluate(
        "grid => document.getElementById(grid.getAttribute('aria-activedescendant'))?.dataset.id ?? null"
    )


async def shows_focus(page):
    """Return whether the element that has the focus, or a part of it, looks as if it had."""
    return await page.evaluate(
        """() => {
          const focused = document.activeElement;
          return focused !== document.body && [focused, ...focused.querySelectorAll("*")].some((one) => {
            const { outlineStyle, boxShadow } = getComputedStyle(one);
            return outlineStyle !== "none" || boxShadow !== "none";
          });
        }"""
    )


async def test_by_keyboard_alone(site, page):
    """Everything on the board can be reached and done without a mouse, and the focus shows where it is."""
    await open_board(site, page)
    grid, search = page.locator("#grid"), page.get_by_role("searchbox")
    await page.keyboard.press("Tab")
    await expect(page.get_by_role("link", name="Skip to the content")).to_be_focused()
    await expect(page.get_by_role("link", name="Skip to the content")).to_be_in_viewport()
    assert await shows_focus(page)
    await page.keyboard.press("Enter")
    await expect(grid).to_be_focused()
    assert await shows_focus(page)
    order = [await one.get_attribute("data-id") for one in await pages.rows(page).all()]
    for key, place in (
        ("j", 0),
        ("ArrowDown", 1),
        ("j", 2),
        ("j", 2),
        ("k", 1),
        ("ArrowUp", 0),
        ("End", 2),
        ("Home", 0),
    ):
        await page.keyboard.press(key)
        assert await active(page) == order[place], key
    await page.keyboard.press("Enter")
    await expect(page.locator("#execution-title")).to_have_text(order[0])
    await expect(page.locator("#execution-title")).to_be_focused()
    await page.keyboard.press("Escape")
    await expect(grid).to_be_focused()
    assert await active(page) == order[0]

    await page.keyboard.press("/")
    await expect(search).to_be_focused()
    assert await shows_focus(page)
    await page.keyboard.type("jakbm?p1")
    await expect(search).to_have_value("jakbm?p1")
    await page.keyboard.press("Escape")
    await expect(search).to_have_value("")
    await page.keyboard.type("p1")
    await pages.lists(page, "p1")
    await page.keyboard.press("Enter")
    await expect(grid).to_be_focused()
    assert await active(page) == "p1"
    await page.keyboard.press("/")
    await page.keyboard.press("Escape")
    await page.keyboard.press("Escape")
    await expect(grid).to_be_focused()
    await expect(pages.rows(page)).to_have_count(3)
    await page.keyboard.press("a")
    await expect(page.locator("#flawed")).to_have_attribute("aria-pressed", "true")
    await page.keyboard.press("a")
    await expect(pages.rows(page)).to_have_count(3)

    await page.keyboard.press("?")
    dialog = page.get_by_role("dialog", name="Keys")
    await expect(dialog).to_be_visible()
    await page.keyboard.press("m")
    await expect(page.locator("body")).to_have_attribute("data-view", "board")
    await page.keyboard.press("Escape")
    await expect(dialog).to_be_hidden()
    await expect(grid).to_be_focused()
    await page.keyboard.press("m")
    await expect(page.locator("body")).to_have_attribute("data-view", "model")
    await page.keyboard.press("b")
    await expect(page.locator("body")).to_have_attribute("data-view", "board")
    await page.get_by_label("Group by").select_option("status")
    await grid.focus()
    await page.keyboard.press("Home")
    head = page.locator("#grid [data-group=running]")
    await expect(head).to_have_attribute("aria-expanded", "true")
    await page.keyboard.press("Enter")
    await expect(head).to_have_attribute("aria-expanded", "false")


async def test_focus_is_not_lost(site, page):
    """What has the focus keeps it, and the active row stays the same execution, while things change and move."""
    await open_board(site, page)
    grid = page.locator("#grid")
    await grid.focus()
    while await active(page) != "r1":
        await page.keyboard.press("j")
    site.add("slow")  # it is stuck soon, and stands first then
    await expect(pages.rows(page).first).to_have_attribute("data-id", "slow")
    await expect(page.locator("#grid .badge")).to_have_count(1)
    assert await active(page) == "r1"
    await expect(grid).to_be_focused()
    site.service.move("r1", "paused")
    await pages.shows(page, r1="paused")
    assert await active(page) == "r1"
    await pages.chip(page, "paused").focus()
    site.service.move("slow", "running")
    await expect(page.locator("#grid .badge")).to_have_count(0)
    await expect(pages.chip(page, "paused")).to_be_focused()
    await page.keyboard.press("Space")
    await expect(pages.chip(page, "paused")).to_have_attribute("aria-pressed", "true")
    await expect(pages.chip(page, "paused")).to_be_focused()
    assert await shows_focus(page)

    await page.goto(site.address("#/execution/r2"))
    pause = page.get_by_role("button", name="Pause", exact=True)
    await expect(pause).to_be_enabled()
    await pause.focus()
    await page.keyboard.press("Enter")
    await expect(page.locator("#execution-status")).to_have_attribute("data-status", "paused")
    await expect(pause).to_be_disabled()
    await expect(pause).to_be_focused()
    await expect(page.locator("#outcome")).to_contain_text("pause was accepted")
    await expect(page.locator("#announcement")).to_have_text("The connection is live")


async def test_roles_and_names(site, page):
    """Assistive technology is told what everything is, and what it is called."""
    await open_board(site, page)
    await expect(page.locator("body")).to_match_aria_snapshot(HEADER)
    await expect(page.locator("#board")).to_match_aria_snapshot(FILTERS)
    await expect(page.locator("#board")).to_match_aria_snapshot(GRID)
    await expect(page.get_by_role("complementary", name="Latest events")).to_be_visible()
    await page.goto(site.address("#/execution/r1"))
    await expect(page.locator("#durations tr")).to_have_count(1)
    await expect(page.locator("#execution")).to_match_aria_snapshot(CONTROL)
    assert (
        await page.evaluate(
            """[...document.querySelectorAll("button, a, input, select")].filter((one) =>
          one.checkVisibility() && !(one.innerText.trim() || one.ariaLabel || one.labels?.length || one.closest("svg"))
        ).map((one) => one.outerHTML)"""
        )
        == []
    )
    names = await page.evaluate("[...document.querySelectorAll('[id]')].map((one) => one.id)")
    assert len(names) == len(set(names))


async def test_on_a_phone(site, open_page):
    """On a small screen nothing is wider than it, nothing is out of reach, and a finger opens a row."""
    page = await open_page(**pages.PHONE)
    name = "0f8fad5b-d9cb-469f-a165-70867728950e"
    site.add(name, task_id="7c9e6679-7425-40de-944b-e07fc1f90ae7", phases=("extracting the details of all the pages",))
    await open_board(site, page)
    await expect(pages.row(page, name).locator(".badge")).to_be_visible()
    assert await page.evaluate("innerWidth") == 390
    assert await pages.fits(page)
    for place in ("#search", "#task", "#group", "#flawed", "#grid", "#feed-toggle", "#connection"):
        await expect(page.locator(place)).to_be_in_viewport()
    await pages.row(page, name).tap()
    await expect(page.locator("#flags li")).to_have_count(1)
    await expect(page.locator("#timeline svg")).to_be_visible()
    assert await pages.fits(page)
    stop = page.get_by_role("button", name="Stop", exact=True)
    await expect(stop).to_be_enabled()
    await stop.tap()
    dialog = page.get_by_role("dialog", name="Stop this execution?")
    await expect(dialog.get_by_role("button", name="Stop execution")).to_be_in_viewport(ratio=1)
    assert await pages.fits(page)
    await dialog.get_by_role("button", name="Do not stop").tap()
    assert site.posts == []
    await page.get_by_role("link", name="Model").tap()
    await expect(page.locator("#diagram svg")).to_be_visible()
    assert await pages.fits(page)


async def test_themes_and_motion(site, open_page):
    """The system's theme holds until one is chosen, which is kept; whoever wants no motion sees none."""

    async def colours(page):
        told = "root => [getComputedStyle(root).backgroundColor, getComputedStyle(root).color]"
        return await page.locator("html").evaluate(told)

    dark = await open_page(color_scheme="dark", reduced_motion="reduce")
    light = await open_page(color_scheme="light")
    await open_board(site, dark)
    await site.open(light)
    await pages.shows(light, r1="running")
    by_night, by_day = await colours(dark), await colours(light)
    assert by_night != by_day
    await light.get_by_role("radio", name="Dark").check(force=True)
    assert await colours(light) == by_night
    await light.reload()
    await pages.stands(light, "live")
    await expect(light.get_by_role("radio", name="Dark")).to_be_checked()
    assert await colours(light) == by_night
    await light.get_by_role("radio", name="Auto").check(force=True)
    assert await colours(light) == by_day
    await dark.get_by_role("radio", name="Light").check(force=True)
    assert await colours(dark) == by_day

    site.service.move("r1", "paused")
    assert await light.evaluate(MOVES)
    await pages.shows(dark, r1="paused")
    assert await dark.evaluate("document.getAnimations().length") == 0
