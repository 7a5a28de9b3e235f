"""The model as a picture: statuses as boxes, legal moves as arrows, and room for a count in each status."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from titan_state import wording
from titan_state.drawing.layout import ARROW, MARGIN, layout_of, shown_name
from titan_state.drawing.lettering import width_of
from titan_state.drawing.shapes import MOVE_LETTERS
from titan_state.drawing.svg import add, number, picture, status_class, written
from titan_state.errors import shorten

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element

    from titan_state.core.lifecycle import Lifecycle
    from titan_state.drawing.shapes import Box, Drawn, Point, Stroke

_LEGEND: Final = 30
_WAYS: Final = {
    "right": f"l{-ARROW} -4.5v9z",
    "down": f"l-4.5 {-ARROW}h9z",
    "up": f"l-4.5 {ARROW}h9z",
}
_MEANINGS: Final = (
    ("move", "the platform's own move"),
    ("move is-action", "control action"),
    ("status is-terminal", "has finished: nothing leaves it"),
)


def model_svg(lifecycle: Lifecycle, *, standalone: bool = False, with_counts: bool = True) -> str:
    """Return a model as SVG.

    Args:
        lifecycle: The model.
        standalone: Whether it is a file of its own, with its styles in it.
        with_counts: Whether there is room in each status for a count: an empty text of the class `count`.
    """
    return written(model_figure(lifecycle, with_counts=with_counts), standalone=standalone)


def model_figure(lifecycle: Lifecycle, *, with_counts: bool = True) -> Element:
    """Return a model as a picture; see `model_svg`."""
    layout = layout_of(lifecycle)
    width = max(layout.width, sum(_room(meaning) for _, meaning in _MEANINGS) + 2 * MARGIN)
    root = picture(
        width,
        layout.height + _LEGEND,
        title="The model of statuses and legal moves",
        description=_in_words(lifecycle),
        class_="model",
    )
    moves = add(root, "g", class_="moves")
    _draw_start(moves, *layout.start)
    for drawn in layout.drawn:
        _draw_move(moves, drawn)
    for box in layout.boxes:
        _draw_status(root, box, is_terminal=lifecycle.is_terminal(box.status), with_counts=with_counts)
    _draw_legend(root, layout.height + _LEGEND / 2 - 2)
    return root


def _in_words(lifecycle: Lifecycle) -> str:
    told = [f"{move.name}: {move.source} to {move.dest}" for move in lifecycle.moves]
    return shorten(f"Begins in {lifecycle.initial}. {'; '.join(told)}.", 4000)


def _draw_start(parent: Element, dot: Point, tip: Point) -> None:
    made = add(parent, "g", class_="move is-start")
    add(made, "title", "every execution begins here")
    add(made, "path", class_="way", d=f"M{_at(dot)}H{number(tip[0] - ARROW + 1)}")
    add(made, "path", class_="tip", d=f"M{_at(tip)}{_WAYS['right']}")
    add(made, "circle", class_="dot", cx=dot[0], cy=dot[1], r=6)


def _draw_move(parent: Element, drawn: Drawn) -> None:
    bundle = drawn.bundle
    made = add(parent, "g", class_="move is-action" if bundle.is_action else "move", data_move=bundle.name)
    cause = "control action" if bundle.is_action else "the platform's own move"
    sources = ", ".join(shorten(source, 60) for source in bundle.sources)
    add(made, "title", shorten(f"{bundle.name}: {sources} to {bundle.dest} ({cause})", 1000))
    for stroke in drawn.strokes:
        add(made, "path", class_="way", d=_path(stroke))
    add(made, "path", class_="tip", d=f"M{_at(drawn.tip)}{_WAYS[drawn.way]}")
    label = drawn.label
    anchor = "end" if label.is_turned else "start"
    add(made, "text", label.text, class_="move-label", x=label.x, y=label.y, text_anchor=anchor)


def _path(stroke: Stroke) -> str:
    first, *others = stroke.points
    if stroke.is_curve:
        last = others[0]
        middle = number((first[0] + last[0]) / 2)
        return f"M{_at(first)}C{middle} {number(first[1])} {middle} {number(last[1])} {_at(last)}"
    return f"M{_at(first)}" + "".join(f"L{_at(point)}" for point in others)


def _at(point: Point) -> str:
    return f"{number(point[0])} {number(point[1])}"


def _draw_status(root: Element, box: Box, *, is_terminal: bool, with_counts: bool) -> None:
    names = f"status {status_class(box.status)}" + (" is-terminal" if is_terminal else "")
    made = add(root, "g", class_=names, data_status=box.status)
    add(made, "title", shorten(box.status) + (": it has finished" if is_terminal else ""))
    add(made, "rect", class_="box", x=box.x, y=box.y, width=box.width, height=box.height, rx=7)
    if is_terminal:
        inner = {"x": box.x + 3.5, "y": box.y + 3.5, "width": box.width - 7, "height": box.height - 7}
        add(made, "rect", class_="border", rx=4, **inner)
    middle = box.x + box.width / 2
    name = f"{wording.GLYPHS.get(box.status, '?')} {shown_name(box.status)}"
    line = box.middle + (-3 if with_counts else 5)
    add(made, "text", name, class_="name", x=middle, y=line, text_anchor="middle")
    if with_counts:
        place = {"x": middle, "y": box.middle + 15}
        add(made, "text", class_="count", data_count=box.status, text_anchor="middle", **place)


def _room(meaning: str) -> float:
    return 34 + width_of(meaning, MOVE_LETTERS) + 18


def _draw_legend(root: Element, y: float) -> None:
    group = add(root, "g", class_="legend")
    x = float(MARGIN)
    for names, meaning in _MEANINGS:
        made = add(group, "g", class_=names)
        if names.startswith("move"):
            add(made, "path", class_="way", d=f"M{number(x)} {number(y)}h20")
            add(made, "path", class_="tip", d=f"M{number(x + 28)} {number(y)}{_WAYS['right']}")
        else:
            add(made, "rect", class_="box", x=x + 4, y=y - 7, width=22, height=14, rx=3)
            add(made, "rect", class_="border", x=x + 7, y=y - 4, width=16, height=8, rx=1.5)
        add(group, "text", meaning, class_="meaning", x=x + 34, y=y + 4)
        x += _room(meaning)
