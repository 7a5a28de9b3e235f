"""Timelines to scale: one execution with all that is known of it, or many on one axis.

Statuses are bars, anomalies are flags above them, actions and results are marks below. What has no room is not written
but said in the tooltip.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from titan_state import wording
from titan_state.drawing import bars, flags, marks
from titan_state.drawing.bars import Row, draw_bars, room_at_end, sign
from titan_state.drawing.lettering import fitted, width_of
from titan_state.drawing.svg import add, element, number, picture, status_class, written
from titan_state.drawing.timescale import Timescale
from titan_state.errors import shorten

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from xml.etree.ElementTree import Element

    from titan_state.core.timeline import Timeline

NARROWEST: Final = 240
"""A picture is at least that wide, in pixels."""
WIDEST: Final = 8000

_MARGIN: Final = 8
_BARS: Final = 26
_DOUBT: Final = 5
_AXIS: Final = 20
_CAPTION: Final = 15
_LETTERS: Final = 11
_SLIM: Final = 14
_STRIDE: Final = 22
_NAME_SHARE: Final = 0.28


def timeline_svg(timeline: Timeline, *, width: float = 720, standalone: bool = False) -> str:
    """Return the timeline of one execution as SVG.

    Args:
        timeline: The timeline.
        width: The width in pixels.
        standalone: Whether it is a file of its own, with its styles in it.
    """
    return written(timeline_figure(timeline, width=width), standalone=standalone)


def timeline_figure(timeline: Timeline, *, width: float = 720) -> Element:
    """Return the timeline of one execution as a picture; see `timeline_svg`."""
    width = min(max(width, NARROWEST), WIDEST)
    right = width - _MARGIN
    room = min(room_at_end(timeline), width * 0.4)
    scale = Timescale(timeline.begin, timeline.end, _MARGIN, right - room)
    pennants = flags.arranged(timeline.flags, scale, right)
    signs = marks.signs(timeline, scale, right)
    top = 4 + flags.LANE * flags.lanes(pennants)
    bottom = top + _BARS + (marks.HEIGHT if signs else 8)
    title = f"Timeline of execution {shorten(timeline.execution_id)}"
    root = picture(width, bottom + _AXIS + _CAPTION, title=title, description=summary(timeline), class_="timeline")
    _draw_axis(root, scale, top=top, bottom=bottom, right=right)
    draw_bars(root, timeline, Row(scale, top, _BARS, right))
    _draw_doubts(root, timeline, scale, top + _BARS)
    flags.draw_flags(root, pennants, bars=top, height=_BARS, end=timeline.end)
    _draw_forced(root, timeline, scale, top)
    marks.draw_signs(root, signs, top=top + _BARS)
    return root


def overview_figure(
    timelines: Sequence[Timeline], *, width: float = 720, links: Mapping[str, str] | None = None
) -> Element:
    """Return many timelines on one axis, one slim row for each.

    Args:
        timelines: The timelines, from top to bottom.
        width: The width in pixels.
        links: Where in the page each execution is told of, by id.
    """
    width = min(max(width, NARROWEST), WIDEST)
    right = width - _MARGIN
    names = min(width * _NAME_SHARE, max((width_of(_name(one), _LETTERS) for one in timelines), default=0) + 18)
    begin = min(one.begin for one in timelines)
    scale = Timescale(begin, max(one.end for one in timelines), _MARGIN + names, right - 26)
    bottom = 4 + _STRIDE * len(timelines)
    root = picture(
        width,
        bottom + _AXIS + _CAPTION,
        title=f"Timelines of {len(timelines)} execution{'s' * (len(timelines) != 1)}",
        description="One row for each execution, all on one axis.",
        class_="timeline overview",
    )
    _draw_axis(root, scale, top=2, bottom=bottom, right=right)
    for place, timeline in enumerate(timelines):
        link = (links or {}).get(timeline.execution_id)
        parent = root if link is None else add(root, "a", href=link)
        top = 4 + _STRIDE * place + (_STRIDE - _SLIM) / 2
        _draw_slim(parent, timeline, scale, top, names)
    return root


def summary(timeline: Timeline) -> str:
    """Return a timeline in a sentence, for those who do not see the picture."""
    told = [f"{shorten(one.status, 40)} for {wording.duration(one.seconds)}" for one in timeline.durations]
    if timeline.is_finished:
        told.append(f"then {'vanished' if timeline.is_vanished else shorten(timeline.status or '', 40)}")
    opened = sum(flag.is_open for flag in timeline.flags)
    if timeline.flags:
        told.append(f"{len(timeline.flags)} anomal{'y' if len(timeline.flags) == 1 else 'ies'}, {opened} open")
    if timeline.missing:
        told.append(f"{timeline.missing} earlier events are not in the log any more")
    return "; ".join(told) + "." if told else "Nothing was seen of it."


def _name(timeline: Timeline) -> str:
    return wording.short_id(shorten(timeline.execution_id, 60))


def _draw_axis(root: Element, scale: Timescale, *, top: float, bottom: float, right: float) -> None:
    group = add(root, "g", class_="axis")
    add(group, "path", class_="line", d=f"M{number(scale.left)} {number(bottom)}H{number(scale.right)}")
    free = 0.0
    for tick in scale.ticks():
        x = number(tick.x)
        add(group, "path", class_="grid", d=f"M{x} {number(top)}V{number(bottom + 4)}")
        half = width_of(tick.label, _LETTERS) / 2
        middle = min(max(tick.x, half + 2), right - half)
        if middle - half >= free:
            add(group, "text", tick.label, class_="tick", x=middle, y=bottom + 15, text_anchor="middle")
            free = middle + half + 6
    caption = fitted(scale.caption, right - scale.left, _LETTERS)
    add(group, "text", caption, class_="caption", x=scale.left, y=bottom + _AXIS + 9)


def _draw_doubts(root: Element, timeline: Timeline, scale: Timescale, bottom: float) -> None:
    """Draw how much earlier each stay may have begun."""
    group = element("g", class_="doubts")
    for stay in timeline.stays:
        if stay.earliest is not None and not stay.is_inferred:
            left, right = scale.x(stay.earliest), scale.x(stay.begin)
            if right - left >= bars.LEAST:
                made = add(group, "g", class_="doubt")
                add(made, "title", bars.story_of(stay, timeline))
                add(made, "rect", x=left, y=bottom - _DOUBT, width=right - left, height=2 * _DOUBT)
                add(made, "path", d=f"M{number(left)} {number(bottom - 2)}v4.5H{number(right)}")
    if len(group):
        root.append(group)


def _draw_forced(root: Element, timeline: Timeline, scale: Timescale, top: float) -> None:
    """Draw a bolt through the bars where the model does not allow the move."""
    last = float("-inf")
    for stay in timeline.stays:
        x = scale.x(stay.begin)
        if stay.is_forced and x - last >= bars.LEAST:
            last = x
            made = add(root, "g", class_="forced")
            add(made, "title", bars.story_of(stay, timeline))
            bolt = f"M{number(x + 3)} {number(top - 3)}l-6 17h6l-6 17"
            add(made, "path", class_="halo", d=bolt)
            add(made, "path", class_="bolt", d=bolt)


def _draw_slim(parent: Element, timeline: Timeline, scale: Timescale, top: float, names: float) -> None:
    last = "vanished" if timeline.is_vanished else timeline.status or ""
    made = add(parent, "g", class_="row")
    add(made, "title", f"{shorten(timeline.execution_id)}\n{summary(timeline)}")
    add(made, "rect", class_="reach", x=0, y=top - 4, width=scale.right + 26, height=_STRIDE)
    told = fitted(_name(timeline), names - 12, _LETTERS)
    add(made, "text", told, class_="row-name", x=_MARGIN, y=top + 11)
    edge = scale.x(timeline.end)
    draw_bars(made, timeline, Row(scale, top, _SLIM, edge + 4, labelled=False))
    for flag in timeline.flags:
        if flag.is_open:
            place = f"M{number(scale.x(flag.at))} {number(top - 3)}"
            add(made, "path", class_=f"pennant severity-{flag.severity} is-open", d=f"{place}l8 4l-8 4z")
    x = edge + (16 if timeline.is_finished else 20)
    status = f"row-status {status_class(last)}"
    add(made, "text", sign(last), class_=status, x=x, y=top + 11, text_anchor="middle")
