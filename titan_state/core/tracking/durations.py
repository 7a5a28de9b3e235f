"""Durations: how long executions stay in a status, learned from stays that ended and from those that go on.

It is survival analysis, and knows nothing of requests: stays are Weibull-distributed, one curve for each task and
status. A shape of 1 is memoryless; above 1 the end becomes likelier with age (narrow durations), below 1 less likely
(heavy tails). Stays that are seen from their middle on, and those that have not ended yet, are counted for what they
show and no more (truncation and censoring), so that early samples do not mislead.
"""

from __future__ import annotations

from array import array
from math import exp, gamma, log
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

SHAPES: Final = (0.5, 0.7, 1.0, 1.4, 2.0, 2.8, 4.0, 5.6, 8.0, 11.0, 16.0)
"""The shapes that are weighed against each other. At 0.5 the standard deviation is 2.2 times the mean, at 11 a ninth
of it, at 16 a thirteenth."""

PER_SCALE: Final = tuple(gamma(1.0 + 1.0 / shape) for shape in SHAPES)
"""For each of them the mean, in scales."""

TYPICAL_S: Final[Mapping[str, float]] = {"queued": 60.0, "running": 600.0, "paused": 1800.0}
OTHERWISE_S: Final = 600.0
"""The prior: how long a stay takes on average before any was seen. No source gives one; it counts as a single stay."""

POOLED: Final = 3.0
"""As how many stays of its own all tasks together count for one task."""

DOUBT: Final = 3.0
"""How much likelier, as a logarithm, a shape other than 1 has to make what was seen: stays that are seen in part say
little of the shape, and memoryless is what to assume where nothing is known."""

REMEMBERED: Final = 400.0
"""At so many ended stays old ones are given half their weight: what tasks do changes."""

MOST_TASKS: Final = 10_000
"""How many tasks and statuses have a sample of their own; further ones use that of all tasks."""

REFIT: Final = 1.1
"""By which factor a sample grows before its curve is computed again."""

UNIT_S: Final = 60.0
"""The unit in which ages are counted, so that their powers stay within bounds."""

YOUNGEST: Final = 1 / 60
"""No age is taken to be lower, in that unit: the hazard of a heavy-tailed curve has no bound at 0."""


class Curve(NamedTuple):
    """A Weibull distribution of stays.

    Attributes:
        scale: In seconds: by then about 63 % have ended.
        shape: 1 is memoryless.
    """

    scale: float
    shape: float

    def between(self, start: float, end: float) -> float:
        """Return the cumulative hazard from one age to another: exp(-it) of those that reach `start` reach `end`."""
        if self.shape == 1.0:
            return (end - start) / self.scale
        return float((end / self.scale) ** self.shape - (start / self.scale) ** self.shape)

    def hazard(self, age: float) -> float:
        """Return how likely the end is, per second, at an age that was reached."""
        if self.shape == 1.0:
            return 1.0 / self.scale
        return float(self.shape / self.scale * (max(age / self.scale, 1e-3)) ** (self.shape - 1.0))


class Sample:
    """What was seen of the stays of one kind: sufficient statistics for each shape.

    Attributes:
        ended: How many ended, old ones at less than their full weight.
        logs: The sum of the logarithms of their ages.
        exposure: For each shape the sum of what ages add up to, to the power of it.
        unit: In what ages are counted, in seconds; it keeps powers within bounds.
    """

    __slots__ = ("_curve", "_fitted", "ended", "exposure", "logs", "unit")

    def __init__(self, unit: float) -> None:
        self.ended = 0.0
        self.unit = unit
        self.logs = 0.0
        self.exposure = array("d", [0.0] * len(SHAPES))  # a quarter of what a list of numbers takes; tasks are many
        self._curve: Curve | None = None
        self._fitted = 0.0

    def expose(self, exposure: Sequence[float]) -> None:
        """Take in what a part of a stay adds up to, for each shape."""
        for place, more in enumerate(exposure):
            self.exposure[place] += more

    def left(self, age: float) -> None:
        """Take in that a stay ended at an age that was taken in as exposure already."""
        self.ended += 1.0
        self.logs += log(max(age / self.unit, YOUNGEST))
        if self.ended >= REMEMBERED:
            self.ended, self.logs, self._fitted = self.ended / 2, self.logs / 2, 0.0
            self.exposure = array("d", [total / 2 for total in self.exposure])

    def curve(self, typical: float, pool: Sample | None = None) -> Curve:
        """Return the likeliest curve.

        Args:
            typical: The prior mean, in the unit of the ages handed in.
            pool: Stays of a wider kind, which count for as many as `POOLED`.
        """
        size = self.exposed + (0.0 if pool is None else min(pool.exposed, POOLED))
        if self._curve is not None and self._fitted / REFIT <= size <= self._fitted * REFIT:
            return self._curve
        share = 0.0 if pool is None or pool.ended <= 0 else min(1.0, POOLED / pool.ended)
        ended = self.ended + (share * pool.ended if pool is not None else 0.0)
        logs = self.logs + (share * pool.logs if pool is not None else 0.0)
        best, likeliest = -float("inf"), Curve(typical, 1.0)
        for place, shape in enumerate(SHAPES):
            prior = (typical / self.unit / PER_SCALE[place]) ** shape
            exposure = self.exposure[place] + prior + (share * pool.exposure[place] if pool is not None else 0.0)
            level = exposure / (ended + 1.0)  # the scale to the power of the shape
            likelihood = ended * (log(shape) - log(level)) + (shape - 1.0) * logs - DOUBT * (shape != 1.0)
            if likelihood > best:
                best, likeliest = likelihood, Curve(self.unit * exp(log(level) / shape), shape)
        self._curve, self._fitted = likeliest, size
        return likeliest

    @property
    def exposed(self) -> float:
        """How much was seen: ended stays, and time in units of the prior's order."""
        return self.ended + self.exposure[SHAPES.index(1.0)]


class Durations:
    """The curves of all tasks and statuses."""

    def __init__(
        self, typical_s: Mapping[str, float] = TYPICAL_S, otherwise_s: float = OTHERWISE_S, unit: float = UNIT_S
    ) -> None:
        """Make durations of which only the prior is known.

        Args:
            typical_s: The prior mean by status, in seconds.
            otherwise_s: The prior mean of other statuses.
            unit: In what ages are counted.
        """
        self._typical_s = typical_s
        self._otherwise_s = otherwise_s
        self._unit = unit
        self._samples: dict[tuple[str | None, str], Sample] = {}
        self._pools: dict[str, Sample] = {}

    def stayed(self, task_id: str | None, status: str, start: float, end: float, weight: float = 1.0) -> None:
        """Take in that an execution was seen to stay in a status from one age to another.

        Args:
            task_id: Its task.
            status: The status.
            start: How long it had been in it, in seconds.
            end: How long it was in it when that was last known.
            weight: For how many executions it stands.
        """
        start, end = max(start, 0.0) / self._unit, end / self._unit
        if end > start:
            exposure = [weight * (end**shape - start**shape) for shape in SHAPES]
            for sample in self._of(task_id, status):
                sample.expose(exposure)

    def left(self, task_id: str | None, status: str, age: float) -> None:
        """Take in that an execution left a status after so many seconds."""
        for sample in self._of(task_id, status):
            sample.left(age)

    def curve(self, task_id: str | None, status: str) -> Curve:
        """Return how long executions of a task stay in a status."""
        pool = self._pools.get(status)
        typical_s = self._typical_s.get(status, self._otherwise_s)
        if pool is None:
            return Curve(typical_s, 1.0)
        sample = self._samples.get((task_id, status))
        return pool.curve(typical_s) if sample is None else sample.curve(typical_s, pool)

    def ended(self, task_id: str | None, status: str) -> float:
        """Return how many ended stays of a task are known, old ones at less than their full weight."""
        sample = self._samples.get((task_id, status))
        return 0.0 if sample is None else sample.ended

    def _of(self, task_id: str | None, status: str) -> tuple[Sample, ...]:
        pool = self._pools.get(status)
        if pool is None:
            pool = self._pools[status] = Sample(self._unit)
        sample = self._samples.get((task_id, status))
        if sample is None:
            if len(self._samples) >= MOST_TASKS:
                return (pool,)
            sample = self._samples[task_id, status] = Sample(self._unit)
        return sample, pool
