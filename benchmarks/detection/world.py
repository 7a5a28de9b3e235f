"""The simulated service: executions in a list, newest first, a request limit, and faults; nothing about clients.

The executions of a steady state: created at even intervals, each for a duration of its own. Looked at from any moment,
the newest are likelier to live than the old ones, as they are in reality.
"""

from __future__ import annotations

import random
from bisect import bisect_right
from collections import deque
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from math import erfc, exp, log, pi, sqrt

import attrs

from titan_state import Execution

MEAN_S = 1800.0
"""How long executions run on average."""

NARROW = 0.1
"""The standard deviation of narrow durations, against their mean."""

HEAVY = 1.5
"""The standard deviation of the logarithm of heavy-tailed durations."""

WINDOW_S = 60.0
EPOCH = datetime(2026, 1, 1, tzinfo=UTC)


@attrs.frozen
class Durations:
    """How long executions run.

    Attributes:
        name: What it is called.
        draw: Draws a duration, in seconds.
        survival: The share of executions that run for longer.
        density: How likely an end is, per second, at a duration.
    """

    name: str
    draw: Callable[[random.Random], float]
    survival: Callable[[float], float]
    density: Callable[[float], float]

    def hazard(self, age: float) -> float:
        """Return how likely an end is, per second, at an age that was reached."""
        left = self.survival(age)
        return self.density(age) / left if left > 1e-12 else 1.0


def exponential(mean: float = MEAN_S) -> Durations:
    """Return durations without memory."""
    return Durations(
        "exponential",
        lambda rng: rng.expovariate(1.0 / mean),
        lambda age: exp(-age / mean),
        lambda age: exp(-age / mean) / mean,
    )


def narrow(mean: float = MEAN_S) -> Durations:
    """Return durations that differ by a tenth of their mean."""
    sd = NARROW * mean
    return Durations(
        "narrow",
        lambda rng: max(1.0, rng.gauss(mean, sd)),
        lambda age: erfc((age - mean) / sd / sqrt(2.0)) / 2.0,
        lambda age: exp(-(((age - mean) / sd) ** 2) / 2.0) / sd / sqrt(2.0 * pi),
    )


def heavy(mean: float = MEAN_S) -> Durations:
    """Return log-normal durations: most are short, a few take very long."""
    mu = log(mean) - HEAVY**2 / 2.0
    return Durations(
        "heavy-tailed",
        lambda rng: rng.lognormvariate(mu, HEAVY),
        lambda age: 1.0 if age <= 0.0 else erfc((log(age) - mu) / HEAVY / sqrt(2.0)) / 2.0,
        lambda age: (
            0.0 if age <= 0.0 else exp(-(((log(age) - mu) / HEAVY) ** 2) / 2.0) / (age * HEAVY * sqrt(2.0 * pi))
        ),
    )


@attrs.frozen(eq=False)
class Run:
    """One execution.

    Attributes:
        created_at: When it was created, in seconds of the simulation; it runs at once.
        ends_at: When it ends.
        durations: What its duration was drawn from.
        live: What the service says of it before that.
        done: What it says of it afterwards.
    """

    created_at: float
    ends_at: float
    durations: Durations
    live: Execution
    done: Execution

    def at(self, time: float) -> Execution:
        """Return what the service says of it at a time."""
        return self.done if time >= self.ends_at else self.live


def run_of(number: int, created_at: float, task: str, durations: Durations, rng: random.Random) -> Run:
    """Make an execution."""
    ends_at = created_at + durations.draw(rng)
    created, ended = EPOCH + timedelta(seconds=created_at), EPOCH + timedelta(seconds=ends_at)
    name = f"e{number}"
    return Run(
        created_at,
        ends_at,
        durations,
        Execution(name, "running", task, created_at=created, started_at=created),
        Execution(name, "completed", task, created_at=created, started_at=created, finished_at=ended),
    )


class World:
    """A service that holds executions.

    Attributes:
        runs: The executions, the newest last.
        by_id: The same by their ids.
    """

    def __init__(
        self,
        live: int,
        tasks: Iterable[tuple[str, float, Durations]],
        *,
        seed: int,
        per_minute: int = 120,
        arrivals_until: float = 0.0,
        fault: float = 0.0,
        page_limit: int = 100,
        filters: bool = False,
    ) -> None:
        """Make a world as it is at time 0.

        Args:
            live: How many executions live at time 0; five times as many have finished.
            tasks: The tasks: the share of each in what is created, and the durations of its executions.
            seed: The seed.
            per_minute: The request limit.
            arrivals_until: Until when new executions are created; none are without it.
            fault: The share of requests that are answered with an error, or not at all.
            page_limit: How many executions a page holds at most.
            filters: Whether a list can be of one status.
        """
        self.rng = random.Random(seed)
        kinds = list(tasks)
        self.page_limit = page_limit
        self._filters = filters
        self.limiter = Limiter(per_minute)
        self._fault = fault
        spacing = _spacing(6 * live, live, kinds)
        until = int(arrivals_until / spacing)
        self.runs: list[Run] = []
        weights = [share for _, share, _ in kinds]
        for number in range(-6 * live + 1, until + 1):
            task, _, durations = self.rng.choices(kinds, weights)[0]
            at = (number - self.rng.random()) * spacing if live < 50 else number * spacing - spacing / 2
            self.runs.append(run_of(number, at, task, durations, self.rng))
        self.runs.sort(key=lambda run: run.created_at)
        self.by_id = {run.live.id: run for run in self.runs}
        self._created = [run.created_at for run in self.runs]

    def page(self, offset: int, limit: int, at: float, status: str | None = None) -> tuple[list[Execution], int]:
        """Return a page as it is at a time, and how many executions there are in all."""
        limit = min(limit, self.page_limit)
        if status is not None and self._filters:
            there = [run.at(at) for _, run in self.living(at)] if status == "running" else []
            there.reverse()
            return there[offset : offset + limit], len(there)
        count = bisect_right(self._created, at)
        end = max(0, count - offset)
        start = max(0, end - limit)
        return [run.at(at) for run in reversed(self.runs[start:end])], count

    def living(self, at: float) -> list[tuple[int, Run]]:
        """Return the executions that live at a time, each with its place in the list."""
        there = bisect_right(self._created, at)
        return [(there - 1 - place, self.runs[place]) for place in range(there) if self.runs[place].ends_at > at]

    def fails(self) -> bool:
        """Return whether the next request is answered with an error."""
        return self.rng.random() < self._fault


class Limiter:
    """A sliding window: no more than so many requests in any minute; one that is refused does not count."""

    def __init__(self, per_minute: int) -> None:
        self.per_minute = per_minute
        self._sent: deque[float] = deque()

    def free(self, now: float) -> int:
        """Return how many requests are admitted now."""
        while self._sent and self._sent[0] <= now - WINDOW_S:
            self._sent.popleft()
        return self.per_minute - len(self._sent)

    def admit(self, now: float) -> bool:
        """Count a request, if it is within the limit, and return whether it is."""
        if self.free(now) < 1:
            return False
        self._sent.append(now)
        return True

    def reset_at(self) -> float:
        """Return when the next request is admitted, if none is now."""
        return self._sent[0] + WINDOW_S


def _spacing(count: int, live: int, kinds: list[tuple[str, float, Durations]]) -> float:
    """Return at which intervals executions are created, so that the wanted number of so many lives."""
    shares = sum(share for _, share, _ in kinds)
    low, high = 1e-6, 1e6
    for _ in range(60):
        spacing = sqrt(low * high)
        step = max(1, count // 3000)
        alive = step * sum(
            share / shares * durations.survival(place * spacing)
            for place in range(0, count, step)
            for _, share, durations in kinds
        )
        low, high = (spacing, high) if alive > live else (low, spacing)
    return spacing
