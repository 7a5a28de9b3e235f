"""What the tests of the page share: a service, a monitor and a dashboard put together, and where things are on it.

It starts no browser: that is for the fixtures of `conftest.py`.
"""

from __future__ import annotations

from contextlib import AsyncExitStack

from playwright.async_api import expect

from titan_state import Monitor, RequestBudget, Thresholds
from titan_state.dashboard.server import Dashboard
from titan_state.dashboard.sources import MonitorSource
from titan_state.emulator import Plan, Step, TaskServiceEmulator

TITAN_TOKEN = "secret-0123456789-never-shown"
PER_MINUTE = 1500
"""A budget that lets a change be noticed at once, and leaves most of a core to the browser."""

PHONE = {"viewport": {"width": 390, "height": 844}, "has_touch": True, "is_mobile": True, "device_scale_factor": 2}
LATER = 1000.0
"""After so many seconds a plan does by itself what a test brings about sooner, or never sees."""


class Site:
    """A dashboard with all that is behind it, in this process.

    Attributes:
        service: The embedded Task Service.
        monitor: Watches all its executions.
        dashboard: Shows what the monitor knows. It can be stopped, and started again where it was.
    """

    def __init__(self, *, thresholds=None, per_minute=PER_MINUTE, account=None, **settings):
        self.service = TaskServiceEmulator(per_minute=None, token=TITAN_TOKEN, **settings)
        self._thresholds = {"replica_lag_s": 0.1} | (thresholds or {})
        self._per_minute = per_minute
        self._account = account
        self._stack = AsyncExitStack()
        self.dashboard = None

    async def __aenter__(self):
        await self._stack.enter_async_context(self.service)
        monitor = Monitor(
            self.service.url,
            TITAN_TOKEN,
            budget=RequestBudget(per_minute=self._per_minute),
            thresholds=Thresholds(**self._thresholds),
            account=self._account,
            drain_s=0,
        )
        self.monitor = await self._stack.enter_async_context(monitor)
        self.monitor.watch_all()
        await self.start()
        return self

    async def __aexit__(self, *raised):
        await self.stop()
        await self._stack.__aexit__(*raised)

    async def start(self):
        """Start the dashboard; one that was stopped is reached by the same link again."""
        before = self.dashboard
        given = {} if before is None else {"port": before.port, "token": before.token}
        self.dashboard = await Dashboard(MonitorSource(self.monitor), **given).__aenter__()

    async def stop(self):
        """Stop the dashboard, as far as it runs; the monitor goes on."""
        if self.dashboard is not None:
            await self.dashboard.__aexit__(None, None, None)

    def address(self, fragment="#/"):
        """Return the address of a view, without the token."""
        return self.dashboard.url.partition("/#")[0] + "/" + fragment

    async def open(self, page, name=None):
        """Open the page by its link, and then that of an execution; return when it is connected, and knows of it."""
        await page.goto(self.dashboard.url)
        await stands(page, "live")
        if name is not None:
            await expect(row(page, name)).to_be_visible()
            await page.goto(self.address(f"#/execution/{name}"))

    def add(self, name, status="queued", **given):
        """Add an execution that is in a status, and stays in it."""
        steps = given.pop("steps", ())
        self.service.add(Plan(id=name, initial=status, steps=steps, **given))

    @property
    def posts(self):
        """The paths of what was posted to the service: control actions and the like."""
        return [one.path for one in self.service.requests if one.method == "POST"]


def progressing(seconds):
    """Return steps by which an execution that a test moves to running reports progress for some seconds."""
    return [Step("running", LATER), Step("completed", seconds)]


async def stands(page, kind):
    """Wait until the page says how it is connected."""
    await expect(page.locator("#connection")).to_have_attribute("data-kind", kind)


def rows(page):
    """Return the rows of executions that are in the document."""
    return page.locator("#grid [role=row][data-id]")


def row(page, name):
    """Return the row of an execution."""
    return page.locator(f"#grid [role=row][data-id={quoted(name)}]")


async def shows(page, **statuses):
    """Wait until executions have these statuses on the board."""
    for name, status in statuses.items():
        await expect(row(page, name)).to_have_attribute("data-status", status)


async def lists(page, *names):
    """Wait until the board shows these executions and no others, in this order."""
    await expect(rows(page)).to_have_count(len(names))
    found = [await one.get_attribute("data-id") for one in await rows(page).all()]
    assert found == list(names)


def chip(page, status):
    """Return the button that filters by a status."""
    return page.locator(f"#chips button[data-status={quoted(status)}]")


def quoted(text):
    """Return a text as a string of CSS."""
    return '"' + "".join(sign if sign.isalnum() else f"\\{ord(sign):x} " for sign in text) + '"'


async def fits(page):
    """Return whether nothing makes the page wider than the window."""
    return await page.evaluate(
        "document.documentElement.scrollWidth <= innerWidth && document.body.scrollWidth <= innerWidth"
    )
