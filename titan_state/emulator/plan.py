"""Step and Plan: what one execution is going to do, as data.

A plan may hold anything, also what the model forbids. This module knows neither the clock nor HTTP: what became of a
plan in a running service (actions, forced moves) is `run.py`'s business.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import pairwise

import attrs

from titan_state.core.lifecycle import Lifecycle
from titan_state.emulator import checks

HOW_STEP = "Step(status, after_s)"


def _status(status: str | None) -> str | None:
    return None if status is None else checks.text("status", status, f"a text, as in {HOW_STEP}")


def _initial(status: str) -> str:
    return checks.text("initial", status, "the text of a status")


@attrs.frozen
class Step:
    """The next thing that an execution does by itself.

    Attributes:
        status: The status it enters; any text. None makes it vanish: it is not found from then on.
        after_s: Scenario seconds since the step before, or since the creation.
    """

    status: str | None = attrs.field(converter=_status)
    after_s: float = attrs.field(default=0.0, validator=checks.seconds)

    @classmethod
    def vanish(cls, after_s: float = 0.0) -> Step:
        """Return the step after which the execution is not found any more.

        Args:
            after_s: Scenario seconds since the step before, or since the creation.
        """
        return cls(None, after_s)


def _steps(steps: Iterable[Step]) -> tuple[Step, ...]:
    return checks.several("steps", steps, Step, HOW_STEP)


@attrs.frozen(kw_only=True)
class Plan:
    """What one execution is going to do, if no action and no forced move interferes.

    Attributes:
        steps: What it does after its creation, in order.
        id: Its id; None for a UUID made from the emulator's seed.
        task_id: The task it is a run of; None for the first task of the scenario.
        created_after_s: When it is created: scenario seconds since the start of the scenario, or since `add`.
        initial: The status in which it is created, also where the service's lifecycle begins in another.
        reports_progress: Whether its payload has `progress` (0 to 100) and `phase`.
        phases: The phases of the work, gone through evenly while it is running.
        error: The text of `error` once it ends in `failed` or `completed_with_errors`.
        results_after_s: Scenario seconds between a success and readable results; None for never.
        rows: How many rows its results have.
        padding: How many characters of text each row's `note` has on top of its own, for large exports.
        note: A label for people and tests.
    """

    steps: tuple[Step, ...] = attrs.field(default=(), converter=_steps)
    id: str | None = None
    task_id: str | None = None
    created_after_s: float = attrs.field(default=0.0, validator=checks.seconds)
    initial: str = attrs.field(default="queued", converter=_initial)
    reports_progress: bool = True
    phases: tuple[str, ...] = ("fetching", "extracting", "storing")
    error: str = "the target site refused the connection"
    results_after_s: float | None = attrs.field(default=0.0, validator=checks.seconds_or_none)
    rows: int = attrs.field(default=3, validator=attrs.validators.ge(0))
    padding: int = attrs.field(default=0, validator=attrs.validators.ge(0))
    note: str = ""

    def timeline(self) -> tuple[tuple[float, str | None], ...]:
        """Return when the execution enters which status, if left alone.

        Returns:
            Pairs of scenario seconds (from `created_after_s` on) and status, None where it vanishes. A step to the
            status it is already in is no change and is left out.
        """
        at = self.created_after_s
        marks: list[tuple[float, str | None]] = [(at, self.initial)]
        for step in self.steps:
            at += step.after_s
            if step.status != marks[-1][1]:
                marks.append((at, step.status))
        return tuple(marks)

    def status_at(self, at: float) -> str | None:
        """Return the status at a scenario time if left alone, None before the creation and once it has vanished.

        Args:
            at: The scenario time, in seconds.
        """
        found: str | None = None
        for since, status in self.timeline():
            if since <= at:
                found = status
        return found

    @property
    def final(self) -> str | None:
        """The status in which the plan ends, None if it vanishes."""
        return self.timeline()[-1][1]

    def is_legal(self, lifecycle: Lifecycle | None = None) -> bool:
        """Return whether every change of the plan is one move of the model.

        Args:
            lifecycle: The model; None for `Lifecycle.default()`.
        """
        model = lifecycle or Lifecycle.default()
        legal = {(move.source, move.dest) for move in model.moves}
        statuses = [status for _, status in self.timeline()]
        return statuses[0] == model.initial and all((source, dest) in legal for source, dest in pairwise(statuses))

    def running_s(self) -> float:
        """Return for how many seconds the plan is in `running`, its last status not counted."""
        marks = self.timeline()
        return sum(until - since for (since, status), (until, _) in pairwise(marks) if status == "running")
