"""Marks: what was done to one execution, and when its results could be read, below its bars."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import attrs

from titan_state import wording
from titan_state.core.events import ActionEvent, ResultsReady
from titan_state.drawing.lettering import width_of
from titan_state.drawing.svg import add, number
from titan_state.drawing.timescale import exact_time
from titan_state.errors import shorten

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from xml.etree.ElementTree import Element

    from titan_state.core.timeline import Mark, Stay, Timeline
    from titan_state.drawing.timescale import Timescale

HEIGHT: Final = 18
"""How high the row of marks is, in pixels."""
LETTERS: Final = 11
"""The size of their letters, in pixels; it is in `figures.css`, too."""

_HALF: Final = 5
_APART: Final = 4
_TOGETHER: Final = 9.0
_TOLD: Final = 6
_SHAPES: Final = {
    "moved": "M-5 4.5L0 -4.5L5 4.5z",
    "results_ready": "M0 -5L5 0L0 5L-5 0z",
    "action_sent": "M-3 0a3 3 0 1 0 6 0a3 3 0 1 0 -6 0z",
    "action_accepted": "M-3 0a3 3 0 1 0 6 0a3 3 0 1 0 -6 0z",
    "action_refused": "M-4 -4L4 4M4 -4L-4 4",
    "action_unknown": "M-4 -4H4V4H-4z",
}
"""What each kind of mark looks like, around the middle of it."""

_IMPORTANCE: Final = ("action_sent", "action_accepted", "moved", "results_ready", "action_unknown", "action_refused")
_SAYS: Final = {"action_refused": " refused", "action_unknown": ": no answer"}


@attrs.define
class Sign:
    """One or several marks at one place.

    Attributes:
        kind: Its shape: that of the most important one.
        x: Where it stands.
        label: What is written beside it, empty where there is no room.
        stories: All that is known, in words.
        left: Where the label begins.
    """

    kind: str
    x: float
    label: str
    stories: list[str]
    left: float = 0.0


def signs(timeline: Timeline, scale: Timescale, right: float) -> list[Sign]:
    """Return the marks of a timeline with places where they do not cover each other.

    Args:
        timeline: The timeline.
        scale: The axis.
        right: Nothing may be written beyond that.
    """
    found = [_of_mark(mark, scale) for mark in timeline.marks]
    found += [_of_stay(stay, scale) for stay in timeline.stays if stay.cause == "action"]
    found.sort(key=lambda sign: sign.x)
    together: list[Sign] = []
    for sign in found:
        if together and sign.x - together[-1].x < _TOGETHER:
            _join(together[-1], sign)
        else:
            together.append(sign)
    _letter(together, right)
    return together


def draw_signs(parent: Element, found: Iterable[Sign], *, top: float) -> None:
    """Draw marks in a row that begins at `top`."""
    group = add(parent, "g", class_="marks")
    middle = top + HEIGHT / 2
    for sign in found:
        made = add(group, "g", class_=f"mark is-{sign.kind.replace('_', '-')}")
        more = [f"and {len(sign.stories) - _TOLD} more"] if len(sign.stories) > _TOLD else []
        add(made, "title", "\n".join([*sign.stories[:_TOLD], *more]))
        place = f"translate({number(sign.x)} {number(middle)})"
        add(made, "path", class_="sign", d=_SHAPES[sign.kind], transform=place)
        if sign.label:
            add(made, "text", sign.label, class_="mark-label", x=sign.left, y=middle + 4)


def _of_mark(mark: Mark, scale: Timescale) -> Sign:
    event = mark.event
    label = "results" if isinstance(event, ResultsReady) else ""
    if isinstance(event, ActionEvent) and event.type != "action_accepted":
        label = f"{event.action}{_SAYS.get(event.type, '')}"
    kind = event.type if event.type in _SHAPES else "action_unknown"
    return Sign(kind, scale.x(mark.at), label, [f"{exact_time(mark.at)}: {shorten(wording.story(event))}"])


def _of_stay(stay: Stay, scale: Timescale) -> Sign:
    told = f"{exact_time(stay.begin)}: {shorten(stay.status)}, by our action"
    return Sign("moved", scale.x(stay.begin), shorten(stay.move or stay.status, 24), [told])


def _join(first: Sign, second: Sign) -> None:
    if _IMPORTANCE.index(second.kind) >= _IMPORTANCE.index(first.kind):
        first.kind, first.label = second.kind, second.label or first.label
    first.label = first.label or second.label
    first.stories += second.stories


def _letter(found: Sequence[Sign], right: float) -> None:
    """Keep the labels that have room, the important ones first, each on the right of its sign or on the left."""
    taken = [(sign.x - _HALF - 1, sign.x + _HALF + 1) for sign in found]
    for sign in sorted(found, key=lambda one: -_IMPORTANCE.index(one.kind)):
        width = width_of(sign.label, LETTERS)
        for left in (sign.x + _HALF + 3, sign.x - _HALF - 3 - width):
            end = left + width
            if left >= 0 and end <= right and all(end + 2 <= begin or left - 2 >= until for begin, until in taken):
                taken.append((left - _APART, end + _APART))
                sign.left = left
                break
        else:
            sign.label = ""
