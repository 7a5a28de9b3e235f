"""For tests of this library and of its users: a clock moved by hand, and a pytest fixture of the embedded service.

The module is loaded by pytest wherever titan_state is installed, so it imports little and changes nothing: no options,
no hooks, no autouse fixtures. The emulator is imported when the fixture is asked for. Without pytest there is the clock
alone.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from titan_state.emulator import TaskServiceEmulator


class ManualClock:
    """A clock that stands still until it is moved; a `titan_state.clock.Clock`.

    Example:
        ```python
        clock = ManualClock()
        waiting = asyncio.create_task(clock.sleep(300))
        await clock.advance(300)  # no time passes for real
        await waiting
        ```
    """

    def __init__(self, start: float = 1000.0, *, now: datetime | None = None, turns: int = 50) -> None:
        """Make a clock.

        Args:
            start: What `time` says first, in seconds.
            now: What `now` says first; default: 2026-01-01 in UTC.
            turns: How often the event loop runs before and after each sleeper is woken. Raise it where a reaction
                takes more turns, such as one that goes through a server on loopback; threads are not waited for.
        """
        self._start = start
        self._time = start
        self._now = datetime(2026, 1, 1, tzinfo=UTC) if now is None else now.astimezone(UTC)
        self._turns = turns
        self._asleep: dict[asyncio.Future[None], float] = {}

    def time(self) -> float:
        """Return the seconds of this clock."""
        return self._time

    def now(self) -> datetime:
        """Return the wall time, which moves with `time`."""
        return self._now + timedelta(seconds=self._time - self._start)

    @property
    def sleepers(self) -> int:
        """How many sleep on this clock."""
        return len(self._asleep)

    @property
    def next_wake(self) -> float | None:
        """The time at which the first sleeper wakes, None if nobody sleeps."""
        return min(self._asleep.values(), default=None)

    async def sleep(self, seconds: float) -> None:
        """Sleep until the clock was moved by `seconds`; for 0 or less, only give other tasks their turn.

        Args:
            seconds: How long.
        """
        if seconds <= 0:
            await asyncio.sleep(0)
            return
        waked = asyncio.get_running_loop().create_future()
        self._asleep[waked] = self._time + seconds
        try:
            await waked
        finally:
            self._asleep.pop(waked, None)

    async def advance(self, seconds: float) -> None:
        """Move the clock on, waking sleepers one time after the other, each at its own time.

        The event loop runs in between, so what a sleeper does next, also sleeping again, happens at its own time too.

        Args:
            seconds: By how much.

        Raises:
            ValueError: `seconds` is below 0; a clock never goes back.
        """
        await self.advance_to(self._time + seconds)

    async def advance_to(self, time: float) -> None:
        """Move the clock on to a time; see `advance`.

        Args:
            time: The time, in seconds of this clock.

        Raises:
            ValueError: The time is over already.
        """
        if time < self._time:
            raise ValueError(f"a clock never goes back: it is {self._time}, not yet {time}")
        await self.settle()
        while (due := self.next_wake) is not None and due <= time:
            self._time = max(self._time, due)
            for sleeper in [one for one, at in self._asleep.items() if at <= due]:
                del self._asleep[sleeper]
                if not sleeper.done():
                    sleeper.set_result(None)
            await self.settle()
        self._time = max(self._time, time)

    async def settle(self) -> None:
        """Let the event loop run a while without moving the clock."""
        for _ in range(self._turns):
            await asyncio.sleep(0)


try:
    import pytest
except ModuleNotFoundError:  # the clock is of use in programs and other test runners too
    pass
else:

    @pytest.fixture
    def titan_service() -> Callable[..., TaskServiceEmulator]:
        """Return a factory of embedded Task Services: the class `TaskServiceEmulator` itself.

        The tests are `async def`, so pytest-asyncio is needed, with `asyncio_mode = auto` in pytest's settings or
        `@pytest.mark.asyncio` on each of them. The fixture is there once titan_state is installed; nothing has to be
        imported for it.

        Hand `clock=clock` to both the service and the monitor: then minutes of a story go by in a moment, and nothing
        happens unless the clock is moved. Leaving a monitor waits for open callbacks by the same clock, which nobody
        moves then: let them come to their end first, or give `drain_s=0`. The arguments are those of
        `TaskServiceEmulator`: a deployment with further statuses hands `lifecycle=` to both as well.

        Example:
            ```python
            import asyncio

            from titan_state import Monitor
            from titan_state.emulator import Plan, Scenario, Step
            from titan_state.testing import ManualClock


            async def test_a_failure_is_noticed(titan_service):
                clock = ManualClock()
                nightly = Plan(id="nightly", steps=[Step("running", 5), Step("failed", 60)])
                async with (
                    titan_service(Scenario([nightly]), clock=clock) as service,
                    Monitor(service.url, service.token, clock=clock) as monitor,
                ):
                    waiting = asyncio.create_task(monitor.wait("nightly", timeout=600, check=False))
                    while not waiting.done():
                        await clock.advance(1)
                    assert (await waiting).status == "failed"
            ```
        """
        from titan_state.emulator import TaskServiceEmulator  # kept out of pytest runs that do not use it

        return TaskServiceEmulator
