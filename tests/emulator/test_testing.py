"""What users' tests get: the clock moved by hand and the fixture."""

from __future__ import annotations

import asyncio
import re
import subprocess
import sys
import textwrap
from datetime import UTC, datetime, timedelta, timezone

import pytest

import titan_state.testing
from titan_state import Action, Lifecycle, Monitor, Move
from titan_state.clock import Clock
from titan_state.emulator import Plan, Scenario, Step
from titan_state.testing import ManualClock


async def test_time_stands_still_until_moved():
    """Both times move together, and only by hand."""
    clock: Clock = ManualClock(5.0, now=datetime(2026, 5, 1, 2, tzinfo=timezone(timedelta(hours=2))))
    assert (clock.time(), clock.now()) == (5.0, datetime(2026, 5, 1, tzinfo=UTC))
    await clock.advance(2.5)
    assert (clock.time(), clock.now()) == (7.5, datetime(2026, 5, 1, 0, 0, 2, 500_000, tzinfo=UTC))
    await clock.advance_to(8)
    assert clock.time() == 8


async def test_sleepers_wake_in_the_order_of_their_time():
    """Each wakes at its own time, also when it sleeps again on the way."""
    clock = ManualClock(0)
    woken = []

    async def sleeper(name, *naps):
        for nap in naps:
            await clock.sleep(nap)
            woken.append((name, clock.time()))

    tasks = [asyncio.create_task(sleeper("a", 3, 3)), asyncio.create_task(sleeper("b", 1, 1, 10))]
    await clock.settle()
    assert (clock.sleepers, clock.next_wake) == (2, 1)
    await clock.advance(7)
    assert woken == [("b", 1), ("b", 2), ("a", 3), ("a", 6)]
    assert (clock.sleepers, clock.next_wake, clock.time()) == (1, 12, 7)
    await clock.advance(5)
    assert (clock.sleepers, clock.next_wake) == (0, None)
    await asyncio.gather(*tasks)


async def test_those_of_one_time_wake_together():
    """Sleepers of the same time wake at the same turn, in the order in which they fell asleep."""
    clock = ManualClock()
    woken = []

    async def sleeper(name):
        await clock.sleep(1)
        woken.append(name)

    tasks = [asyncio.create_task(sleeper(name)) for name in "abc"]
    await clock.advance(1)
    assert woken == ["a", "b", "c"]
    await asyncio.gather(*tasks)


async def test_sleeping_for_nothing_gives_others_their_turn():
    """Zero or less does not wait for the clock."""
    clock = ManualClock()
    other = asyncio.create_task(asyncio.sleep(0))
    await clock.sleep(0)
    await clock.sleep(-1)
    assert other.done()
    assert clock.sleepers == 0


async def test_cancelled_sleepers_are_forgotten():
    """A cancelled sleep leaves nothing behind, also when it was about to wake."""
    clock = ManualClock(turns=0)
    task = asyncio.create_task(clock.sleep(1))
    await asyncio.sleep(0)
    task.cancel()
    await clock.advance(1)
    with pytest.raises(asyncio.CancelledError):
        await task
    assert clock.sleepers == 0


async def test_a_clock_never_goes_back():
    """Moving to the past is refused."""
    clock = ManualClock()
    with pytest.raises(ValueError, match="never goes back"):
        await clock.advance(-1)
    with pytest.raises(ValueError, match="never goes back"):
        await clock.advance_to(1)


async def test_the_fixture_makes_services(titan_service):
    """The fixture is the emulator's class, ready for `async with`."""
    async with titan_service(Scenario.demo(), clock=ManualClock()) as service:
        assert len(service.executions()) > 5


async def test_a_model_of_ones_own_is_tested_end_to_end(titan_service):
    """Service and monitor with the same extended model agree on what is legal in its statuses."""
    clock = ManualClock()
    model = Lifecycle.default().extend(
        statuses=["assigned"],
        moves=[Move("assign", "queued", "assigned"), Move("stop", "assigned", "cancelled", Action.STOP)],
    )
    async with (
        titan_service(Scenario([Plan(id="e", steps=[Step("assigned", 1)])]), clock=clock, lifecycle=model) as service,
        Monitor(service.url, service.token, clock=clock, lifecycle=model) as monitor,
    ):
        monitor.watch("e")
        while monitor.check("e", "stop").reason != "stop leads from assigned to cancelled":
            await clock.advance(1)
        stopping = asyncio.create_task(monitor.stop("e"))
        while not stopping.done():
            await clock.advance(1)
        assert (await stopping).status == "cancelled"
        assert [entry.status for entry in service.history("e")] == ["queued", "assigned", "cancelled"]


@pytest.mark.parametrize("needs", ["setting", "marker"])
def test_the_example_of_the_fixture_runs_as_it_stands(needs, tmp_path):
    """Pasted into a file in another project, with what the text says is needed, it is a test that passes."""
    documented = titan_state.testing.titan_service.__doc__
    (example,) = re.findall(r"```python\n(.*?)```", textwrap.dedent(documented.split("\n", 1)[1]), re.DOTALL)
    example = textwrap.dedent(example)
    if needs == "setting":
        (tmp_path / "pytest.ini").write_text("[pytest]\nasyncio_mode = auto\n", encoding="utf-8")
    else:
        example = "import pytest\n" + example.replace("async def test", "@pytest.mark.asyncio\nasync def test")
    (tmp_path / "test_example.py").write_text(example, encoding="utf-8")
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:xdist"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert "1 passed" in done.stdout, done.stdout + done.stderr


def test_the_clock_needs_no_pytest():
    """Where pytest is not installed the clock can be imported and works; the fixture is not there."""
    code = (
        "import sys; sys.modules['pytest'] = None\n"
        "import asyncio, titan_state.testing as testing\n"
        "clock = testing.ManualClock(0.0)\n"
        "asyncio.run(clock.advance(5))\n"
        "print(clock.time(), hasattr(testing, 'titan_service'))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.stdout.strip(), done.stderr) == ("5.0 False", "")


def test_the_plugin_does_not_load_the_emulator():
    """Pytest runs of people who do not use the fixture do not pay for it."""
    code = "import sys, titan_state.testing; print('titan_state.emulator' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
