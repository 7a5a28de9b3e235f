"""Flags: the anomalies of one execution, above its bars: a pennant, a line to the moment, a line until it ended."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import attrs

from titan_state import wording
from titan_state.core.anomalies import Severity
from titan_state.drawing.lettering import width_of
from titan_state.drawing.svg import add, number
from titan_state.drawing.timescale import exact_time
from titan_state.errors import shorten

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime
    from xml.etree.ElementTree import Element

    from titan_state.core.timeline import Flag
    from titan_state.drawing.timescale import Timescale

LANE: Final = 19
"""How high one row of flags is, in pixels."""
LETTERS: Final = 11
"""The size of their letters, in pixels; it is in `figures.css`, too."""

_MOST_LANES: Final = 4
_PENNANT: Final = 10
_APART: Final = 5
_TOGETHER: Final = 7.0
_TOLD: Final = 5
_GRAVITY: Final = tuple(Severity)


@attrs.define
class Pennant:
    """One or several anomalies at one place.

    Attributes:
        flags: The anomalies.
        x: Where they were detected.
        until: Where the last of them ended.
        label: What is written beside it, empty where there is no room.
        lane: The row, counted from the bars upwards.
        is_turned: Whether its label is on its left.
    """

    flags: list[Flag]
    x: float
    until: float
    label: str = ""
    lane: int = 0
    is_turned: bool = False

    @property
    def is_open(self) -> bool:
        """Whether one of them has not ended."""
        return any(flag.is_open for flag in self.flags)

    @property
    def severity(self) -> Severity:
        """How grave the gravest is."""
        return max((flag.severity for flag in self.flags), key=_GRAVITY.index)

    @property
    def lasts(self) -> bool:
        """Whether it is more than a moment."""
        return self.until - self.x > 1


def story_of(flag: Flag, end: datetime) -> str:
    """Return all that is known of an anomaly, in words."""
    if flag.until is None:
        span = f", open for {wording.duration((end - flag.at).total_seconds())}"
    elif flag.until > flag.at:
        span = f", ended {exact_time(flag.until)}, after {wording.duration((flag.until - flag.at).total_seconds())}"
    else:
        span = ""
    lines = [f"{flag.kind} ({flag.severity})", shorten(flag.message), f"{exact_time(flag.at)}{span}"]
    return "\n".join([*lines, f"check first: {flag.check_first}"])


def arranged(flags: Sequence[Flag], scale: Timescale, right: float) -> list[Pennant]:
    """Return flags with places in rows where they do not cover each other.

    Args:
        flags: The anomalies, in order.
        scale: The axis.
        right: Nothing may be written beyond that.
    """
    pennants: list[Pennant] = []
    for flag in flags:
        x, until = scale.x(flag.at), scale.x(flag.until or scale.end)
        if pennants and len(flags) > _MOST_LANES * 2 and x - pennants[-1].x < _TOGETHER:
            pennants[-1].flags.append(flag)
            pennants[-1].until = max(pennants[-1].until, until)
        else:
            pennants.append(Pennant([flag], x, until))
    taken = [float("-inf")] * _MOST_LANES
    for pennant in pennants:
        _place(pennant, taken, right)
    return pennants


def _place(pennant: Pennant, taken: list[float], right: float) -> None:
    first, more = pennant.flags[0], len(pennant.flags) - 1
    label = f"{first.kind} +{more}" if more else str(first.kind)
    width = _PENNANT + 3 + width_of(label, LETTERS)
    ways: list[tuple[str, float, float, bool]] = [(label, pennant.x, max(pennant.until, pennant.x + width), False)]
    if pennant.x + width > right:
        ways = [(label, pennant.x - width + _PENNANT, max(pennant.until, pennant.x + _PENNANT), True)]
    ways.append(("", pennant.x, max(pennant.until, pennant.x + _PENNANT), False))
    for told, begin, end, is_turned in ways:
        for lane, until in enumerate(taken):
            if begin >= until and begin >= 0:
                pennant.label, pennant.lane, pennant.is_turned = told, lane, is_turned
                taken[lane] = end + _APART
                return
    pennant.lane = len(taken) - 1  # no room at all: only its pennant stands there, its story is in the tooltip
    pennant.until = pennant.x


def lanes(pennants: Sequence[Pennant]) -> int:
    """Return how many rows there are."""
    return max((pennant.lane + 1 for pennant in pennants), default=0)


def draw_flags(parent: Element, pennants: Sequence[Pennant], *, bars: float, height: float, end: datetime) -> None:
    """Draw flags.

    Args:
        parent: Where.
        pennants: The flags in their places.
        bars: The upper edge of the bars.
        height: The height of the bars.
        end: The end of the timeline.
    """
    group = add(parent, "g", class_="flags")
    for pennant in pennants:  # all lines are behind all letters
        top = _top(pennant, bars)
        add(group, "path", class_=_names("stem", pennant), d=f"M{number(pennant.x)} {number(top)}V{bars + height}")
    for pennant in pennants:
        top = _top(pennant, bars)
        made = add(group, "g", class_=_names("flag", pennant))
        told = [story_of(flag, end) for flag in pennant.flags[:_TOLD]]
        if len(pennant.flags) > _TOLD:
            told.append(f"and {len(pennant.flags) - _TOLD} more")
        add(made, "title", "\n\n".join(told))
        if pennant.lasts:
            line = f"M{number(pennant.x)} {number(top + 15)}H{number(pennant.until)}"
            add(made, "path", class_="span", d=line)
        way = -1 if pennant.is_turned else 1
        add(made, "path", class_="pennant", d=f"M{number(pennant.x)} {number(top + 1)}l{way * 9} 4.5l{-way * 9} 4.5z")
        if pennant.label:
            x = pennant.x + way * (_PENNANT + 3)
            anchor = "end" if pennant.is_turned else "start"
            add(made, "text", pennant.label, class_="flag-label", x=x, y=top + 10, text_anchor=anchor)


def _top(pennant: Pennant, bars: float) -> float:
    return bars - LANE * (pennant.lane + 1)


def _names(what: str, pennant: Pennant) -> str:
    return f"{what} severity-{pennant.severity}" + (" is-open" if pennant.is_open else "")
