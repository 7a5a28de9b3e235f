"""Arrivals: how many executions have arrived at the beginning of a list, and how many more are to be expected. Pure.

The service's total tells it, where there is one that can be meant; else what is new at the front does.
"""

from __future__ import annotations

from math import exp, inf
from typing import Final

import attrs

USUAL_S: Final = 600.0
RECENT_S: Final = 60.0
"""In how many seconds what was seen of arrivals loses all but 37 % of its weight: where it is asked how many are usual,
and where, how many have come since the last look. They come in bursts, and end."""

FIRST_ARRIVAL_S: Final = 60.0
"""The prior: one new execution in so many seconds. No source gives one; it counts as one arrival."""

DOUBTS: Final = 3
"""After how many reads of the first page in a row that tell the same, while others tell more, a total is none."""


@attrs.define
class Pace:
    """How many arrive per second, on average of late.

    Attributes:
        memory_s: In how many seconds what was seen loses all but 37 % of its weight.
        count: How many were seen, by their weight.
        seconds: For how long it was looked, by its weight.
    """

    memory_s: float
    count: float = 0.0
    seconds: float = 0.0

    def took(self, count: float, seconds: float) -> None:
        """Take in how many arrived in how many seconds."""
        fades = exp(-seconds / self.memory_s)
        self.count = self.count * fades + count
        self.seconds = self.seconds * fades + seconds


@attrs.define
class Arrivals:
    """How many executions have arrived.

    Attributes:
        lag_s: For how many seconds a total that is less than one before is taken for that of a replica that lags; after
            that it is that of a list of which a part is gone (`Thresholds.replica_lag_s`).
        count: How many have since the list was first read, as far as is known.
        counted_at: As of when.
    """

    lag_s: float = 5.0
    count: float = 0.0
    counted_at: float = -inf
    _usual: Pace = attrs.field(factory=lambda: Pace(USUAL_S))
    _recent: Pace = attrs.field(factory=lambda: Pace(RECENT_S))
    _nothing: float | None = None  # what the total was when none had arrived
    _highest_at: float = -inf
    _is_total: bool = True
    _front_total: int | None = None
    _is_front_exceeded: bool = False
    _doubts: int = 0

    @property
    def are_told(self) -> bool:
        """Whether the service tells a total that can be one, as far as is known."""
        return self._is_total and self._nothing is not None

    def rate(self) -> float:
        """Return how many arrive per second, as far as is known."""
        return (self._usual.count + 1.0) / (self._usual.seconds + FIRST_ARRIVAL_S)

    def by(self, now: float) -> float:
        """Return how many there are at a time, those included that are to be expected until then."""
        if self.counted_at == -inf:
            return self.count
        return self.count + self._recent.count / max(self._recent.seconds, 1.0) * max(0.0, now - self.counted_at)

    def told(self, fresh: int, total: int | None, sent_at: float, *, at_front: bool, counts_fresh: bool) -> float:
        """Take in what a page tells.

        Args:
            fresh: How many executions at its beginning were not known before.
            total: How many there are in all by the service's word, None if it does not say.
            sent_at: When the read was sent.
            at_front: Whether the page is the first of the list.
            counts_fresh: Whether what is new on it has arrived, where the total does not tell.

        Returns:
            How many had arrived where the page was made: fewer on a replica that lags.
        """
        is_first = self.counted_at == -inf
        if is_first:
            self.saw(0.0, sent_at)
        elif at_front:
            self._check(fresh, total)
        if is_first or at_front:
            self._front_total, self._is_front_exceeded = total, False
        elif total is not None and self._front_total is not None and total > self._front_total:
            self._is_front_exceeded = True
        if not self._is_total or total is None:
            if counts_fresh and not is_first:
                self.saw(self.count + fresh, sent_at)
            return self.count
        if self._nothing is None:
            self._nothing = total - self.count
        count = total - self._nothing
        if sent_at > self.counted_at:
            if count >= self.count:
                self._highest_at = sent_at
            elif sent_at - self._highest_at > self.lag_s:  # so many are gone, most likely those that came first
                self._nothing -= self.count - count
                self._highest_at, count = sent_at, self.count
            self.saw(max(self.count, count), sent_at)
        return count

    def found(self, count: float, told: float, total: int | None, sent_at: float, *, former: float) -> float:
        """Take in where executions of a list were found again of which the first page is not watched.

        Args:
            count: How many have arrived if they are there.
            told: What `told` returned of the page.
            total: How many there are in all by the service's word, None if it does not say.
            sent_at: When the read was sent.
            former: What `told` returned where they were seen before.

        Returns:
            How many had arrived where the page was made.
        """
        if self._is_total and total is not None:
            if not count > told == former:
                return told
            self._disprove()  # they were pushed back, and it has not grown
        self.saw(max(self.count, count), sent_at)
        return self.count

    def _check(self, fresh: int, total: int | None) -> None:
        """See whether the total can be one: it grows with what is new, and is the same for all pages."""
        if total is None or total != self._front_total:
            self._doubts = 0
        elif fresh:
            self._disprove()
        elif self._is_front_exceeded:
            self._doubts += 1
            if self._doubts >= DOUBTS:  # fewer may be those of replicas that lag
                self._disprove()

    def _disprove(self) -> None:
        """Believe no total any more, nor what was learned from it."""
        if self._is_total:
            self._is_total = False
            self._usual, self._recent = Pace(USUAL_S), Pace(RECENT_S)

    def saw(self, count: float, sent_at: float) -> None:
        """Take in that so many have arrived by a time."""
        if self.counted_at > -inf:
            passed = max(0.0, sent_at - self.counted_at)
            for pace in (self._usual, self._recent):
                pace.took(max(0.0, count - self.count), passed)
        self.count, self.counted_at = count, max(sent_at, self.counted_at)
