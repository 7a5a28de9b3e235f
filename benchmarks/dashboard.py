"""How soon the dashboard's page shows something, and an update, with 10,000 executions against 100, in one run.

An embedded Task Service, a monitor that watches all of it, the dashboard and a real Chromium on one machine. First
rows: from the navigation until they are painted; all rows: until the page counts them all. Update: from when
an event is committed until its row is painted, for rows that are in view. Scrolling: the longest task while the page
is scrolled from end to end. The median of some rounds; ratios are those of the medians.

    PYTHONPATH=tests/dashboard python benchmarks/dashboard.py [--many 10000] [--few 100] [--rounds 5]
"""

from __future__ import annotations

import argparse
import asyncio
import platform
import statistics
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp
import attrs
from browsers import ADVICE, find
from playwright.async_api import Browser, Page, async_playwright

from titan_state import Monitor, RequestBudget, Transitioned
from titan_state.dashboard.server import Dashboard
from titan_state.dashboard.sources import MonitorSource
from titan_state.emulator import Plan, Scenario, Step, TaskServiceEmulator

UPDATES = 10
FILLED_S = 120.0
WATCHER = """
window.seen = {first: null, running: new Map(), longest: 0};
new PerformanceObserver(list => {
  for (const task of list.getEntries()) window.seen.longest = Math.max(window.seen.longest, task.duration);
}).observe({type: "longtask", buffered: true});
const painted = act => requestAnimationFrame(() => setTimeout(act));
new MutationObserver(() => {
  const rows = document.querySelectorAll("[role=row][data-id]");
  if (rows.length && window.seen.first === null) {
    window.seen.first = 0;
    painted(() => { window.seen.first = performance.now(); });
  }
  for (const row of rows) {
    const id = row.dataset.id;
    if (window.seen.running.has(id) || !row.textContent.includes("running")) continue;
    window.seen.running.set(id, 0);
    painted(() => window.seen.running.set(id, Date.now() / 1000));
  }
}).observe(document, {subtree: true, childList: true, characterData: true, attributes: true});
"""
"""What watches the page from inside: when rows were painted first, and when each was first shown as running."""


@attrs.frozen
class Figures:
    """What one round measured, in milliseconds.

    Attributes:
        first: From the navigation to the first rows.
        whole: From the navigation to the last ones.
        update: From a committed event to its row, the median of some.
        longest: The longest task of the page while it is scrolled.
    """

    first: float
    whole: float
    update: float
    longest: float


@attrs.frozen
class Stage:
    """What the page shows.

    Attributes:
        service: The embedded Task Service.
        monitor: The monitor.
        url: The link to the page.
        count: How many executions there are.
    """

    service: TaskServiceEmulator
    monitor: Monitor
    url: str
    count: int


@asynccontextmanager
async def watched(count: int, waiting: int) -> AsyncIterator[Stage]:
    """Run a monitor that has seen so many executions, of which some are queued, with its dashboard."""
    plans = [
        Plan(id=f"e{n:06}", task_id=f"t{n % 20}", steps=[] if n < waiting else [Step("running")]) for n in range(count)
    ]
    budget = RequestBudget(per_minute=1200)
    async with (
        TaskServiceEmulator(Scenario(plans), per_minute=None) as service,
        Monitor(service.url, service.token, budget=budget, drain_s=0) as monitor,
    ):
        monitor.watch_all()
        deadline = time.monotonic() + FILLED_S
        while sum(one.status == "running" for one in monitor.executions()) < count - waiting:
            if time.monotonic() > deadline:
                sys.exit(f"{len(monitor.executions())} of {count} executions were seen in {FILLED_S:g} s")
            await asyncio.sleep(0.5)
        async with Dashboard(MonitorSource(monitor)) as dashboard:
            yield Stage(service, monitor, dashboard.url, count)


async def measure(browser: Browser, stage: Stage, round_: int) -> Figures:
    """Open the page anew, and measure."""
    context = await browser.new_context(viewport={"width": 1280, "height": 800}, bypass_csp=True)  # to wait in the page
    page = await context.new_page()
    await page.add_init_script(WATCHER)
    await page.goto(stage.url)
    await page.wait_for_function("window.seen.first > 0")
    await page.wait_for_function(
        "count => document.body.innerText.replaceAll(/[ ,.\\u202f]/g, '').includes(`${count}executions`)",
        arg=stage.count,
    )
    whole = await page.evaluate("performance.now()")
    first = await page.evaluate("window.seen.first")
    names = (f"e{UPDATES * round_ + number:06}" for number in range(UPDATES))
    updates = [await updated(page, stage, name) for name in names]
    await page.evaluate("window.seen.longest = 0")
    await page.mouse.move(400, 500)
    for _ in range(40):
        await page.mouse.wheel(0, max(600.0, stage.count * 30 / 40))
        await page.wait_for_timeout(30)
    longest = await page.evaluate("window.seen.longest")
    await context.close()
    return Figures(first, whole, statistics.median(updates), longest)


async def updated(page: Page, stage: Stage, name: str) -> float:
    """Return how long after it was committed a move is painted: the row comes to the top, as the latest that lives."""
    stream = stage.monitor.events()
    stage.service.move(name, "running")
    async for event in stream:
        if isinstance(event, Transitioned) and event.execution_id == name:
            break
    committed = time.time()
    await stream.aclose()
    painted = await page.wait_for_function("name => window.seen.running.get(name)", arg=name)
    return 1000.0 * (float(await painted.json_value()) - committed)


async def main() -> None:
    """Measure both, and print the ratios."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--many", type=int, default=10_000)
    parser.add_argument("--few", type=int, default=100)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    found: dict[int, list[Figures]] = {}
    async with async_playwright() as playwright:
        path = find(playwright.chromium.executable_path)
        if path is None:
            sys.exit(ADVICE)
        browser = await playwright.chromium.launch(executable_path=path)
        print(f"Python {platform.python_version()}, aiohttp {aiohttp.__version__}, Chromium {browser.version}")
        for count in (options.few, options.many):
            async with watched(count, UPDATES * options.rounds) as stage:
                found[count] = [await measure(browser, stage, round_) for round_ in range(options.rounds)]
        await browser.close()
    print(f"{'':<26}{options.few:>10,}{options.many:>10,}     ratio")
    for name, label in (
        ("first", "first rows painted, ms"),
        ("whole", "all rows there, ms"),
        ("update", "an update painted, ms"),
        ("longest", "longest task, ms"),
    ):
        few, many = (statistics.median(getattr(one, name) for one in found[n]) for n in (options.few, options.many))
        ratio = f"{many / few:8.1f}" if few else "       -"
        print(f"{label:<26}{few:>10.0f}{many:>10.0f}  {ratio}")


if __name__ == "__main__":
    asyncio.run(main())
