"""Explanation: why the planner sends what it sends, and what delay to expect. Nothing is chosen here.

The formulas are derived in docs/performance.md.
"""

from __future__ import annotations

from math import exp, sqrt

import attrs

from titan_state.errors import ConfigurationError

REMEMBERED = 50
"""How many of the latest requests are explained."""


@attrs.frozen
class Request:
    """A read that was chosen.

    Attributes:
        number: How many were chosen before it.
        at: When, in seconds of the clock that the planner is told.
        target: What is read, in words.
        reason: Why, in words.
    """

    number: int
    at: float
    target: str
    reason: str


@attrs.frozen
class Explanation:
    """What is read, why, and what to expect of it.

    Attributes:
        requests: The latest requests, oldest first.
        pages: How many pages of lists are read in turn.
        singles: How many executions are read by themselves in turn.
        per_minute: How many reads the budget allows in a minute at present.
        expected_delay_s: How long after a change it is noticed on average at the present load, in seconds; None where
            nothing is read in turn. What answers take is not in it.
    """

    requests: tuple[Request, ...]
    pages: int
    singles: int
    per_minute: float
    expected_delay_s: float | None

    def __str__(self) -> str:
        if self.expected_delay_s is None:
            return "nothing is read in turn"
        load = f"pages: {self.pages}, single executions: {self.singles}, reads a minute: {self.per_minute:.0f}"
        return f"{load}; a change is noticed after {self.expected_delay_s:.3g} s on average"


@attrs.frozen
class Estimate:
    """What to expect of a load, without a service.

    Attributes:
        one_by_one_s: The mean delay where each execution is read by itself, in turn.
        sweep_s: The mean delay where all pages of the list are read in turn.
        planned_s: The mean delay where pages are read by what a look is worth.
        full_at: From how many executions on one GET every 3 s for each exceeds the request limit.
    """

    one_by_one_s: float
    sweep_s: float
    planned_s: float
    full_at: int


def estimate(executions: int, per_minute: float, *, finished: int | None = None, page_size: int = 100) -> Estimate:
    """Return what delay to expect, if durations are memoryless and the list shows new executions first.

    Args:
        executions: How many live.
        per_minute: How many reads may be sent in a minute.
        finished: How many finished ones the list shows among them, five times as many by default.
        page_size: How many executions a page shows.

    Raises:
        ConfigurationError: A number that cannot be.
    """
    finished = 5 * executions if finished is None else finished
    for name, value, least in (("executions", executions, 1), ("finished", finished, 0), ("page_size", page_size, 1)):
        if value < least:
            raise ConfigurationError(f"{name} must be at least {least}, not {value}")
    if not per_minute > 0:
        raise ConfigurationError(f"per_minute must be above 0, not {per_minute}")
    per_second = per_minute / 60.0
    total = executions + finished
    pages = -(-total // page_size)
    ratio = _ages(executions, total)
    living = [ratio**first - ratio ** min(first + page_size, total) for first in range(0, total, page_size)]
    planned = sum(map(sqrt, living)) ** 2 / (2.0 * per_second * sum(living)) if finished else pages / 2.0 / per_second
    return Estimate(
        one_by_one_s=executions / 2.0 / per_second,
        sweep_s=pages / 2.0 / per_second,
        planned_s=min(planned, executions / 2.0 / per_second),
        full_at=int(per_second * 3.0),
    )


def _ages(executions: int, total: int) -> float:
    """Return the share of survivors from one place of the list to the next, so that so many of all live."""
    low, high = 0.0, 1.0
    for _ in range(60):
        ratio = (low + high) / 2.0
        alive = total if ratio == 1.0 else (1.0 - ratio**total) / (1.0 - ratio)
        low, high = (ratio, high) if alive < executions else (low, ratio)
    return min(ratio, exp(-1e-12))
