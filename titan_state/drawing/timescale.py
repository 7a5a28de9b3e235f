"""Timescale: where a moment stands on an axis, and which moments are written there.

Times are written by the clocks of their own zone, UTC unless somebody has changed it, and say which that is.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from math import ceil, floor
from typing import Final

import attrs

EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
RELATIVE_S: Final = 10
"""What is shorter is told in seconds from its beginning: times of day would be all the same."""

_DAY: Final = 86_400
_YEAR: Final = 365 * _DAY
_STEPS: Final = (
    *(0.1, 0.2, 0.5),
    *(1, 2, 5, 10, 15, 30),
    *(60, 120, 300, 600, 900, 1800),
    *(3600, 7200, 10_800, 21_600, 43_200),
    *(_DAY, 2 * _DAY, 7 * _DAY, 14 * _DAY, 30 * _DAY, 90 * _DAY, 180 * _DAY),
    *(_YEAR * many for many in (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000)),
)
_MONTHS: Final = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


def seconds_of(moment: datetime) -> float:
    """Return a time in seconds since 1970."""
    return (moment - EPOCH).total_seconds()


def exact_time(moment: datetime) -> str:
    """Return date and time to the millisecond, for a tooltip: `2026-11-27 12:00:01.250 UTC`."""
    return f"{moment.replace(tzinfo=None).isoformat(' ', timespec='milliseconds')} {zone_name(moment)}"


def zone_name(moment: datetime) -> str:
    """Return how far the clocks of a moment's zone are ahead: `UTC`, `UTC+02:00`."""
    offset = moment.utcoffset() or timedelta(0)
    minutes = round(offset.total_seconds() / 60)
    return f"UTC{'-' if minutes < 0 else '+'}{abs(minutes) // 60:02}:{abs(minutes) % 60:02}" if minutes else "UTC"


def day(moment: datetime) -> str:
    """Return a date for people: `27 Nov 2026`. The machine's language has no say in it."""
    return f"{moment.day} {_MONTHS[moment.month - 1]} {moment.year}"


@attrs.frozen
class Tick:
    """A moment that is written on the axis.

    Attributes:
        x: Where.
        label: What is written.
    """

    x: float
    label: str


@attrs.frozen
class Timescale:
    """An axis from one time to another.

    Attributes:
        begin: The time at its left end.
        end: The time at its right end.
        left: Where it begins, in pixels.
        right: Where it ends, in pixels.
    """

    begin: datetime
    end: datetime
    left: float
    right: float

    @property
    def seconds(self) -> float:
        """How long it is."""
        return max(0.0, (self.end - self.begin).total_seconds())

    def x(self, moment: datetime) -> float:
        """Return where a moment stands; what lies outside stands at the end that is nearer."""
        if not self.seconds:
            return self.left
        share = (moment - self.begin).total_seconds() / self.seconds
        return self.left + (self.right - self.left) * min(max(share, 0.0), 1.0)

    @property
    def is_relative(self) -> bool:
        """Whether its labels count from its beginning."""
        return self.seconds < RELATIVE_S

    @property
    def caption(self) -> str:
        """What has to be said once of all its labels."""
        if self.is_relative:
            return f"seconds after {exact_time(self.begin)}"
        first, last = day(self.begin), day(self.end)
        return f"{first if first == last else f'{first} to {last}'}, {zone_name(self.begin)}"

    def ticks(self, apart: float = 84) -> list[Tick]:
        """Return the moments that are written, at least `apart` pixels from each other."""
        most = max(1.0, (self.right - self.left) / apart)
        if not self.seconds:
            return [Tick(self.left, "0 s")]
        step = next((step for step in _STEPS if self.seconds / step <= most), _STEPS[-1])
        offset = self.begin.utcoffset() or timedelta(0)
        zero = seconds_of(self.begin) if self.is_relative else -offset.total_seconds()
        begin, end = (seconds_of(moment) - zero for moment in (self.begin, self.end))
        places = range(ceil(begin / step), floor(end / step) + 1)
        return [self._tick(zero, place * step, step) for place in places]

    def _tick(self, zero: float, at: float, step: float) -> Tick:
        if self.is_relative:
            share = at / self.seconds
            return Tick(self.left + (self.right - self.left) * share, f"{at:.1f} s" if step < 1 else f"{at:.0f} s")
        moment = EPOCH + timedelta(seconds=zero + at)
        moment = min(max(moment, self.begin), self.end).astimezone(self.begin.tzinfo)
        return Tick(self.x(moment), _label(moment, step))


def _label(moment: datetime, step: float) -> str:
    if step >= _YEAR:
        return str(moment.year)
    if step >= _DAY or (moment.hour, moment.minute, moment.second) == (0, 0, 0):
        return f"{moment.day} {_MONTHS[moment.month - 1]}"
    return f"{moment:%H:%M}" if step >= 60 else f"{moment:%H:%M:%S}"
