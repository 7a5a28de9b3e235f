"""Bars: the stays of one execution on an axis, told apart by shape and sign, not by colour alone.

What waits is hollow, what is paused is low, what was not seen itself is hatched. What has finished, or goes on, has an
end of its own beyond the axis.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import attrs

from titan_state import wording
from titan_state.drawing.lettering import fitted, width_of
from titan_state.drawing.svg import add, number, status_class
from titan_state.drawing.timescale import exact_time
from titan_state.errors import shorten

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from xml.etree.ElementTree import Element

    from titan_state.core.timeline import Stay, Timeline
    from titan_state.drawing.timescale import Timescale

LETTERS: Final = 12
"""The size of the letters in bars, in pixels; it is in `figures.css`, too."""
LEAST: Final = 3.0
"""No stay is narrower than this, in pixels, however short it was."""
MANY: Final = 80
"""With more stays than that, those that have no width of their own are drawn together."""

_TOGETHER: Final = 8.0
_INSET: Final = 6
_SIGN: Final = 16
_HOLLOW: Final = frozenset({"queued"})
_LOW: Final = frozenset({"paused"})
_SOLID: Final = frozenset({"running", "completed", "completed_with_errors", "failed", "cancelled", "vanished"})
_VANISHED: Final = "vanished"


@attrs.frozen
class Row:
    """Where bars are drawn.

    Attributes:
        scale: The axis.
        top: The upper edge.
        height: The height.
        edge: The right edge: what has finished, or goes on, reaches from the axis to there.
        labelled: Whether there are letters in the bars.
    """

    scale: Timescale
    top: float
    height: float
    edge: float
    labelled: bool = True


def room_at_end(timeline: Timeline) -> float:
    """Return how much room is to be left at the end of the axis for how an execution ended, in pixels."""
    if not timeline.is_finished:
        return 10
    last = _VANISHED if timeline.is_vanished else timeline.status or ""
    return width_of(f"{sign(last)} {shorten(last, 24)}", LETTERS) + 2 * _INSET + 6


def sign(status: str) -> str:
    """Return the sign of a status."""
    return wording.GLYPHS.get(status, "?")


def draw_bars(parent: Element, timeline: Timeline, row: Row) -> None:
    """Draw the stays of an execution, and how it ended."""
    group = add(parent, "g", class_="stays")
    pieces = list(_pieces(timeline.stays, row.scale, timeline))
    pieces.sort(key=lambda piece: len(piece) == 1 and _width(piece[0], row.scale, timeline) < LEAST)
    for piece in pieces:
        if len(piece) > 1:
            _draw_many(group, piece, timeline, row)
        else:
            _draw(group, piece[0], timeline, row)
    if timeline.is_vanished:
        left = row.scale.x(timeline.end)
        made = add(group, "g", class_=f"stay is-end {status_class(_VANISHED)}")
        add(made, "title", f"vanished: the service no longer knew it, noticed {exact_time(timeline.end)}")
        _box(made, _VANISHED, left, row.edge, row)


def story_of(stay: Stay, timeline: Timeline) -> str:
    """Return all that is known of a stay, in words."""
    lines = [stay.status, f"from {exact_time(stay.begin)}"]
    if stay.end is not None:
        lasted = wording.duration((stay.end - stay.begin).total_seconds())
        lines.append(f"to {exact_time(stay.end)}, {lasted}")
    elif not timeline.is_finished:
        lines.append(f"still, for {wording.duration((timeline.end - stay.begin).total_seconds())}")
    if stay.move is not None:
        lines.append(f"entered by {stay.move}" + (", our action" if stay.cause == "action" else ""))
    elif not stay.is_forced:
        lines.append("how it was entered was not seen")
    if stay.is_forced:
        lines.append("the model does not allow this move" + ("; we asked for it" if stay.cause == "action" else ""))
    if stay.is_inferred:
        lines.append("inferred: nobody saw it in this status, but there is no other way")
    if stay.doubt.total_seconds() >= 1:
        lines.append(f"it may have begun {wording.duration(stay.doubt.total_seconds())} earlier")
    return "\n".join(shorten(line) for line in lines)


def _pieces(stays: Sequence[Stay], scale: Timescale, timeline: Timeline) -> Iterator[list[Stay]]:
    """Return the stays one by one, or together where there are too many of them."""
    together: list[Stay] = []
    for stay in stays:
        is_short = len(stays) > MANY and stay.end is not None and _width(stay, scale, timeline) < LEAST
        if together and (not is_short or scale.x(stay.begin) - scale.x(together[0].begin) > _TOGETHER):
            yield together
            together = []
        if is_short:
            together.append(stay)
        else:
            yield [stay]
    if together:
        yield together


def _width(stay: Stay, scale: Timescale, timeline: Timeline) -> float:
    return scale.x(stay.end or timeline.end) - scale.x(stay.begin)


def _draw_many(parent: Element, stays: list[Stay], timeline: Timeline, row: Row) -> None:
    left, right = row.scale.x(stays[0].begin), row.scale.x(stays[-1].end or timeline.end)
    made = add(parent, "g", class_="stay is-many status-other")
    between = f"{exact_time(stays[0].begin)} to {exact_time(stays[-1].end or timeline.end)}"
    add(made, "title", f"{shorten(wording.counted(stay.status for stay in stays))}\n{between}")
    right = max(right, left + LEAST)
    add(made, "rect", class_="bar", x=left, y=row.top, width=right - left, height=row.height)
    add(made, "path", class_="hatch", d=hatching(left, row.top, right - left, row.height, 4))


def _draw(parent: Element, stay: Stay, timeline: Timeline, row: Row) -> None:
    is_last = stay.end is None
    ends = is_last and timeline.is_finished
    names = ["stay", status_class(stay.status)]
    names += [name for name, applies in (("is-inferred", stay.is_inferred), ("is-end", ends)) if applies]
    made = add(parent, "g", class_=" ".join(names))
    add(made, "title", story_of(stay, timeline))
    left = row.scale.x(stay.begin)
    right = row.edge if ends else row.scale.x(stay.end or timeline.end)
    _box(made, stay.status, left, max(right, left + LEAST), row, is_inferred=stay.is_inferred)
    if is_last and not ends:
        middle, x = row.top + row.height / 2, max(right, left + LEAST) + 2
        add(made, "path", class_="onward", d=f"M{number(x)} {number(middle - 6)}l6 6l-6 6z")


def _box(parent: Element, status: str, left: float, right: float, row: Row, *, is_inferred: bool = False) -> None:
    top, height, width = row.top, row.height, right - left
    if status in _LOW:
        top, height = top + height * 0.38, height * 0.62
    is_filled = status in _SOLID | _LOW and not is_inferred
    is_known = status in _SOLID | _LOW | _HOLLOW
    shape = "bar" if is_filled else "bar is-hollow" if is_known else "bar is-hollow is-other"
    corner = min(3.0, width / 2)
    inner = 0.0 if is_filled else 0.75  # the outline is drawn within
    add(
        parent,
        "rect",
        class_=shape,
        x=left + inner,
        y=top + inner,
        width=max(width - 2 * inner - 0.5, 1),
        height=height - 2 * inner,
        rx=corner,
    )
    if is_inferred:
        add(parent, "path", class_="hatch", d=hatching(left + 1, top + 1, width - 2, height - 2))
    if row.labelled:
        told = _label(status, width - 2 * _INSET)
        if told or width >= _SIGN:
            place = f"label{'' if is_filled else ' on-panel'}"
            text = told or sign(status)
            middle = top + height / 2 + LETTERS * 0.36
            add(parent, "text", text, class_=place, x=left + width / 2, y=middle, text_anchor="middle")


def _label(status: str, room: float) -> str:
    whole = f"{sign(status)} {shorten(status)}"
    if width_of(whole, LETTERS) <= room:
        return whole
    told = fitted(whole, room, LETTERS)
    return told if len(told) > 6 else ""  # less than that tells no more than the sign alone


def hatching(left: float, top: float, width: float, height: float, apart: float = 6) -> str:
    """Return a path of slanted lines that fill a rectangle and do not leave it."""
    lines = []
    offset = -height + apart / 2
    while offset < width:
        first, last = max(offset, 0.0), min(offset + height, width)
        if first < last:
            begin = f"{number(left + first)} {number(top + height - (first - offset))}"
            lines.append(f"M{begin}L{number(left + last)} {number(top + height - (last - offset))}")
        offset += apart
    return "".join(lines)
