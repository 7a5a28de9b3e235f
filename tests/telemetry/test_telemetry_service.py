"""A service that is measured: who leads, who stands by, and what is said where no monitor is there."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import pytest
from exported import ACCOUNT, true
from scraping import Process
from tokens import TOKEN

from titan_state.clock import SystemClock
from titan_state.emulator import Plan, Scenario, Step, TaskServiceEmulator
from titan_state.service.accounts import Account, account_of
from titan_state.service.service import Service

sys.path.append(str(Path(__file__).parents[1] / "nats"))  # servers.py is there

SET_UP = """
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import ConsoleSpanExporter, SimpleSpanProcessor
from titan_state.cli import main

provider = TracerProvider()
provider.add_span_processor(SimpleSpanProcessor(ConsoleSpanExporter()))
trace.set_tracer_provider(provider)
main()
"""


class Hasty(SystemClock):
    """A clock on which sleeping takes a twentieth of the time, so that setbacks are soon waited out."""

    async def sleep(self, seconds):
        await super().sleep(seconds / 20)


@pytest.fixture
async def tasks():
    """An embedded service in real time."""
    async with TaskServiceEmulator(Scenario([Plan(id="a", steps=[Step("running", 0.1)])]), token=TOKEN) as emulator:
        yield emulator


@pytest.fixture
async def serve():
    """Run services; they end with the test."""
    running = []

    async def begin(*accounts, **options):
        service = Service(accounts, **options)
        running.append(asyncio.create_task(service.run()))
        return service

    yield begin
    for task in running:
        task.cancel()
    await asyncio.gather(*running, return_exceptions=True)


def leading(exported, **wanted):
    """Return by account whether it is led, as metrics tell."""
    return {point[ACCOUNT]: value for value, point in exported.points("titan_state.leader.active", **wanted)}


def ready(exported):
    """Return by account whether all is as it should be, as metrics tell."""
    return {point[ACCOUNT]: value for value, point in exported.points("titan_state.monitor.ready")}


async def test_accounts_that_are_led_and_that_cannot_be(tasks, exported, serve, tmp_path):
    """Each account is told of, also one whose token is refused, for which no monitor is there between two attempts."""
    good = Account(url=tasks.url, token=TOKEN, name="good")
    bad = Account(url=tasks.url, token="wrong-token-0123456789", name="bad")
    service = await serve(
        good, bad, journal=lambda one: tmp_path / f"{one.name}.db", telemetry=exported.telemetry(), clock=Hasty()
    )
    await true(lambda: leading(exported).get("good") == 1)
    await true(lambda: "refused" in [one.state for one in service.tendings])
    await true(lambda: leading(exported) == {"good": 1, "bad": 0})
    await true(lambda: ready(exported) == {"good": 1, "bad": 0})
    await true(lambda: exported.total("titan_state.leader.terms", titan_state__account="bad") >= 2)
    refused = {"error__type": "401", "titan_state__account": "bad"}
    await true(lambda: exported.total("http.client.request.duration", **refused) >= 2)


async def test_a_member_that_stands_by(tasks, exported, serve, tmp_path):
    """With a journal in NATS one member leads, and the one that stands by says that it does not, until it does."""
    from exported import Exported
    from servers import Server, running

    other = Exported()
    with running(Server(tmp_path / "nats")) as nats:
        account = Account(url=tasks.url, token=TOKEN, name="shop")
        options = {"journal": f"{nats.url}?lease=2", "spreads": False}
        first = await serve(account, **options, telemetry=exported.telemetry())
        await true(lambda: leading(exported) == {"shop": 1})
        await serve(account, **options, telemetry=other.telemetry())
        await true(lambda: leading(other) == {"shop": 0})
        assert other.total("titan_state.leader.terms") == 0
        first.tendings[0].leave()
        await true(lambda: leading(other) == {"shop": 1})
        assert other.total("titan_state.leader.terms") == 1
        assert exported.points("titan_state.leader.active") == []
    other.close()


@pytest.mark.parametrize(
    ("name", "journal", "told"),
    [
        ("shop", "nats://127.0.0.1:4222?account=other", "shop"),
        (None, "nats://127.0.0.1:4222?account=other", "other"),
        (None, "sqlite:///j.db", "https://api.example.com"),
    ],
)
def test_accounts_are_called_what_their_monitors_call_them(name, journal, told):
    """An account is called by its name, or as its journal calls it, or by its origin."""
    assert account_of(Account(url="https://api.example.com/", token=TOKEN, name=name), journal) == told


NO_PAGE = """
import sys
class Finder:
    def find_spec(self, name, path=None, target=None):
        if name.startswith(("opentelemetry.exporter", "prometheus_client")):
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
sys.meta_path.insert(0, Finder())
"""
"""What a program begins with that has an SDK of its own, and not the extra."""


async def test_an_sdk_without_what_the_page_needs(tasks, tmp_path):
    """Whoever has an SDK, and exports otherwise, needs nothing of Prometheus: the command works, and has its spans."""
    arguments = ("monitor", "--listen", "127.0.0.1:0", "--journal", f"sqlite:///{tmp_path}/j.db")
    environ = {"TITAN_API_URL": tasks.url, "TITAN_TOKEN": TOKEN}
    async with Process("-c", NO_PAGE + SET_UP, *arguments, environ=environ) as process:
        await true(lambda: '"name": "GET /api/v1/executions"' in "".join(process.lines))
        assert (await process.get())[0] == 404


async def test_an_sdk_that_was_set_up_before(tasks, tmp_path):
    """What `opentelemetry-instrument` sets up has the spans of the command, also without the page."""
    arguments = ("monitor", "--no-metrics", "--listen", "127.0.0.1:0", "--journal", f"sqlite:///{tmp_path}/j.db")
    environ = {"TITAN_API_URL": tasks.url, "TITAN_TOKEN": TOKEN}
    async with Process("-c", SET_UP, *arguments, environ=environ) as process:
        await true(lambda: '"name": "GET /api/v1/executions"' in "".join(process.lines))
        assert (await process.get())[0] == 404
    assert TOKEN not in "".join(process.lines)
