"""Take the pictures of the dashboard that stand in the documentation: `make screenshots`.

The story is an hour of an embedded Task Service, on a clock that is moved by hand: the pictures show the same at every
run, but for what random ids and paces leave to chance.
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from browsers import ADVICE, find
from playwright.async_api import Page, async_playwright

from titan_state import AnomalyKind, Monitor, Thresholds
from titan_state.dashboard.server import Dashboard
from titan_state.dashboard.sources import MonitorSource
from titan_state.emulator import Plan, Scenario, Step, Task, TaskServiceEmulator
from titan_state.testing import ManualClock

PLACE = Path(__file__).with_name("images")
SIZE = {"width": 1280, "height": 800}
PHONE = {"width": 390, "height": 844}
SEED = 11
STEP_S = 0.5

PRICES, REVIEWS, STOCK = "prices-daily", "reviews-weekly", "stock-hourly"
SHOWN = "7c9e6679-7425-40de-944b-e07fc1f90ae7"
STUCK = "3f2504e0-4f89-41d3-9a0c-0305e82c3301"
AGAIN = "9b2d8f3a-1c47-4b60-8d5e-6f70a1b2c3d4"


def story() -> Scenario:
    """Return an hour in which most goes well."""
    others = Scenario.random(40, seed=SEED, tasks=3, duration_s=1100, illegal=0.0, pauses=0.2, min_stay_s=10)
    tasks = dict(zip((task.id for task in others.tasks), (PRICES, REVIEWS, STOCK), strict=True))
    plans = [
        Plan(
            id=plan.id,
            task_id=tasks[plan.task_id],
            created_after_s=plan.created_after_s * 12,
            steps=plan.steps,
            rows=120 + 7 * number,
        )
        for number, plan in enumerate(others.plans)
    ]
    flips = [Step("paused", 420), Step("running", 150)]
    shown = [Step("running", 160), *flips, Step("completed", 4000)]
    special = [
        Plan(id=SHOWN, task_id=PRICES, created_after_s=1200, steps=shown),
        Plan(id=STUCK, task_id=STOCK, created_after_s=2300, steps=[]),
        Plan(
            id=AGAIN,
            task_id=REVIEWS,
            created_after_s=1500,
            steps=[Step("running", 60), Step("completed", 600), Step("running", 420), Step("completed", 9000)],
        ),
    ]
    names = (Task(id=PRICES, name="Prices"), Task(id=REVIEWS, name="Reviews"), Task(id=STOCK, name="Stock"))
    return Scenario([*plans, *special], names)


async def play(monitor: Monitor, clock: ManualClock) -> None:
    """Let most of an hour go by, with a pause of ours in it."""
    begun = clock.time()

    async def until(seconds: float) -> None:
        while clock.time() < begun + seconds:
            await clock.advance(STEP_S)

    async def act(action: str) -> None:
        acting = asyncio.create_task(monitor.act(SHOWN, action))
        while not acting.done():
            await clock.advance(STEP_S)
        await acting

    await until(2150)
    await act("pause")
    await until(2400)
    await act("resume")
    await until(2760)
    if AnomalyKind.STUCK_QUEUED not in monitor.anomalies(STUCK):
        raise SystemExit("the story has changed: nothing is stuck in it")


async def settle(page: Page, clock: ManualClock) -> None:
    """Let the page hear of the latest state, and draw it."""
    for _ in range(20):
        await clock.advance(STEP_S)
        await page.clock.set_fixed_time(clock.now())
        await page.wait_for_timeout(50)


async def take(page: Page, clock: ManualClock, link: str, name: str) -> None:
    """Take a picture of each view."""
    await page.clock.set_fixed_time(clock.now())
    for view, place in (("board", "#/"), ("execution", f"#/execution/{SHOWN}"), ("model", "#/model")):
        await page.goto(link if view == "board" else link.partition("#")[0] + place)
        await settle(page, clock)
        await page.screenshot(path=PLACE / f"{view}-{name}.png")
        print(f"docs/images/{view}-{name}.png")


async def main() -> None:
    """Tell the story, and take the pictures."""
    PLACE.mkdir(exist_ok=True)
    clock = ManualClock()
    async with async_playwright() as playwright:
        path = find(playwright.chromium.executable_path)
        if path is None:
            sys.exit(ADVICE)
        browser = await playwright.chromium.launch(executable_path=path)
        async with TaskServiceEmulator(story(), clock=clock, seed=SEED) as service:
            thresholds = Thresholds(retention_s=7200)
            async with Monitor(
                service.url, service.token, account="shop", clock=clock, thresholds=thresholds, drain_s=0
            ) as monitor:
                monitor.watch_all()
                await play(monitor, clock)
                async with Dashboard(MonitorSource(monitor), clock=clock) as dashboard:
                    for theme in ("light", "dark"):
                        page = await browser.new_page(color_scheme=theme, viewport=SIZE, timezone_id="UTC")
                        await take(page, clock, dashboard.url, theme)
                        await page.close()
                    phone = await browser.new_page(color_scheme="light", viewport=PHONE, device_scale_factor=2)
                    await phone.clock.set_fixed_time(clock.now())
                    await phone.goto(dashboard.url)
                    await settle(phone, clock)
                    await phone.screenshot(path=PLACE / "board-phone.png")
        await browser.close()


if __name__ == "__main__":
    asyncio.run(main())
