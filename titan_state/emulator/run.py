"""Run: the ground truth of one execution, computed from its plan, the actions it accepted and forced moves.

Times are scenario seconds that are handed in and never go back. What a request gets to see of this truth (lag,
errors, payloads) is not decided here.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import deque
from datetime import datetime
from math import inf
from typing import Final, Literal

import attrs

from titan_state.core.lifecycle import Action, Lifecycle
from titan_state.emulator.plan import Plan

Cause = Literal["platform", "action", "created"]

SUCCESSES: Final = frozenset({"completed", "completed_with_errors"})
"""Statuses with results. Whether `completed_with_errors` has any is not documented; this is the emulator's reading."""


@attrs.frozen
class HistoryEntry:
    """One change of the true status.

    Attributes:
        status: The status entered.
        at: When, in scenario seconds.
        cause: `created`, `platform` (its plan, or a forced move) or `action` (an accepted control action).
        wall: The same moment by the service's wall clock.
    """

    status: str
    at: float
    cause: Cause
    wall: datetime


@attrs.frozen
class Mark:
    """One change of the truth.

    Attributes:
        at: When, in scenario seconds.
        status: The status that was entered; None where the execution vanished.
        cause: `created`, `platform` (its plan, or a forced move) or `action` (an accepted control action).
    """

    at: float
    status: str | None
    cause: Cause


class Run:
    """One execution of the embedded service."""

    __slots__ = (
        "_effects",
        "_left",
        "_lifecycle",
        "_pending",
        "_since",
        "_times",
        "created_at",
        "id",
        "marks",
        "plan",
        "task_id",
    )

    def __init__(self, plan: Plan, *, execution_id: str, task_id: str, created_at: float, lifecycle: Lifecycle) -> None:
        self.plan = plan
        self._lifecycle = lifecycle
        self.id = execution_id
        self.task_id = task_id
        self.created_at = created_at
        self.marks: list[Mark] = [Mark(created_at, plan.initial, "created")]
        self._times: list[float] = [created_at]
        self._pending = deque(plan.steps)
        self._since = created_at
        self._left: float | None = None  # seconds to the next step, kept while a pause suspends the plan
        self._effects: list[tuple[float, Action]] = []

    @property
    def status(self) -> str | None:
        """The true status, None once it has vanished."""
        return self.marks[-1].status

    def next_due(self) -> float:
        """Return when the truth changes by itself next, infinity for never."""
        return min(self._step_due(), self._effects[0][0] if self._effects else inf)

    def advance(self, now: float) -> None:
        """Let everything happen that is due by `now`, in the order of time."""
        while (due := self.next_due()) <= now:
            if self._effects and self._effects[0][0] <= self._step_due():
                self._take_effect(self._effects.pop(0)[1], due)
            else:
                self._since = due
                self._mark(self._pending.popleft().status, due, "platform")

    def act(self, action: Action, *, now: float, delay_s: float) -> None:
        """Accept an action that is legal now; it takes effect after `delay_s`, if it is still legal then."""
        if delay_s <= 0:
            self._take_effect(action, now)
        else:
            self._effects.append((now + delay_s, action))
            self._effects.sort()

    def move(self, status: str | None, *, now: float) -> None:
        """Force the truth to a status, legal or not; what was left of the plan and of accepted actions is dropped."""
        self._pending.clear()
        self._effects.clear()
        self._left = None
        self._mark(status, now, "platform")

    def mark_at(self, at: float) -> Mark | None:
        """Return the last change at or before a scenario time, None before the creation."""
        index = bisect_right(self._times, at)
        return self.marks[index - 1] if index else None

    def results_at(self, at: float) -> float | None:
        """Return since when the results are readable at a scenario time, None if they are not."""
        mark = self.mark_at(at)
        if mark is None or mark.status not in SUCCESSES or self.plan.results_after_s is None:
            return None
        ready = mark.at + self.plan.results_after_s
        return ready if ready <= at else None

    def running_s(self, at: float) -> float:
        """Return for how many scenario seconds it has been running by `at`."""
        ends = [*self._times[1:], at]
        return sum(
            max(0.0, min(until, at) - mark.at)
            for mark, until in zip(self.marks, ends, strict=True)
            if mark.status == "running"
        )

    def _step_due(self) -> float:
        return self._since + self._pending[0].after_s if self._pending and self._left is None else inf

    def _take_effect(self, action: Action, at: float) -> None:
        if self.status is None:
            return
        dest = self._lifecycle.verdict(self.status, action).leads_to
        if dest is None:
            return
        if action is Action.PAUSE:
            if self._pending and self._left is None:  # a model may allow a further pause on the way to the first
                self._left = self._step_due() - at
        elif action is Action.RESUME:
            if self._left is not None:
                self._since = at - (self._pending[0].after_s - self._left)
                self._left = None
        else:
            self._pending.clear()
            self._effects.clear()
            self._left = None
        self._mark(dest, at, "action")

    def _mark(self, status: str | None, at: float, cause: Cause) -> None:
        if status != self.status:
            self.marks.append(Mark(at, status, cause))
            self._times.append(at)
