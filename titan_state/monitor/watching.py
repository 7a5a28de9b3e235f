"""Watching: begins and ends watches, and keeps watched what somebody is busy with.

Watches are kept in `watches.py`; here the planner and the tracker learn of them.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from titan_state.errors import ExecutionNotFoundError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from titan_state.clock import Clock
    from titan_state.core.planner import Planner
    from titan_state.core.tracker import Tracker
    from titan_state.monitor.watches import Watches


class Watching:
    """Begins and ends watches."""

    def __init__(
        self, watches: Watches, planner: Planner, tracker: Tracker, clock: Clock, *, wake: Callable[[], None]
    ) -> None:
        """Make what begins and ends watches.

        Args:
            watches: What is watched.
            planner: Told what to read.
            tracker: Told what to expect, and what to forget.
            clock: The time.
            wake: Called when there is something new to read.
        """
        self._watches = watches
        self._planner = planner
        self._tracker = tracker
        self._clock = clock
        self._wake = wake

    def begin(self, execution_ids: Iterable[str]) -> None:
        """Watch executions by their ids."""
        for name in execution_ids:
            if name not in self._watches.ids:
                self._watches.ids.add(name)
                self._tracker.expect(name)
                self._planner.watch(name, self._clock.time())
        self._wake()

    def begin_list(self, task_id: str | None) -> None:
        """Watch the executions of a task, None for all."""
        if self._watches.enlist(task_id):
            now = self._clock.time()
            self._planner.watch_list(task_id, now)
            known = (name for name, task in self._tracker.tasks() if self._watches.covers(name, task))
            self._planner.expect([name for name in known if not self._watches.is_named(name)], now)
            self._wake()

    def end(self, execution_ids: Iterable[str], task_ids: Iterable[str | None]) -> None:
        """Watch executions, and lists, no longer."""
        for name in execution_ids:
            self._watches.ids.discard(name)
            if not self._watches.is_named(name):
                self._planner.unwatch(name)
        for key in task_ids:
            self._watches.unlist(key)
            self._planner.unwatch_list(key)
        for name, task in tuple(self._tracker.tasks()):
            self._forget_unless_watched(name, task)

    def end_all(self) -> None:
        """Watch nothing any longer."""
        self.end(tuple(self._watches.ids), tuple(self._watches.lists))

    @contextmanager
    def busy_with(self, *execution_ids: str) -> Iterator[None]:
        """Watch executions from now on, and keep them watched meanwhile, also if somebody ends the watch.

        One that turns out never to have been there is not watched any further.
        """
        new = {name for name in execution_ids if name not in self._watches.ids}
        self.begin(execution_ids)
        self._watches.hold(*execution_ids)
        try:
            yield
        except ExecutionNotFoundError as error:
            if error.execution is None:
                self._watches.ids -= new & {error.execution_id}
            raise
        finally:
            self._watches.release(*execution_ids)
            for name in execution_ids:
                if not self._watches.is_named(name):
                    self._planner.unwatch(name)
                    self._forget_unless_watched(name, self._tracker.task_of(name))

    def _forget_unless_watched(self, execution_id: str, task_id: str | None) -> None:
        if not self._watches.covers(execution_id, task_id):
            self._tracker.forget(execution_id, at=self._clock.time())
