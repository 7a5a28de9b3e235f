"""Shapes: what a state diagram is made of, with the place of each in it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import attrs

from titan_state.drawing.lettering import width_of

if TYPE_CHECKING:
    from titan_state.drawing.ranks import Bundle

MOVE_LETTERS: Final = 12
"""The size of the letters at moves, in pixels; it is in `figures.css`, too."""

Point = tuple[float, float]


@attrs.frozen
class Box:
    """The place of a status."""

    status: str
    x: float
    y: float
    width: float
    height: float

    @property
    def middle(self) -> float:
        """The height of its middle."""
        return self.y + self.height / 2


@attrs.frozen
class Stroke:
    """A line from point to point; between two points only, it is a curve that begins and ends level if `is_curve`."""

    points: tuple[Point, ...]
    is_curve: bool = False


@attrs.frozen
class Label:
    """Letters at a move; `x` is their beginning, or their end if `is_turned`, and `y` is the line they stand on."""

    text: str
    x: float
    y: float
    is_turned: bool = False

    @property
    def left(self) -> float:
        """Where they begin."""
        return self.x - width_of(self.text, MOVE_LETTERS) if self.is_turned else self.x

    @property
    def right(self) -> float:
        """Where they end."""
        return self.left + width_of(self.text, MOVE_LETTERS)


@attrs.frozen
class Drawn:
    """The lines of all moves of one name.

    Attributes:
        bundle: The moves.
        strokes: Their lines.
        tip: The point of the arrow.
        way: The direction of the arrow: right, down or up.
        label: Their name.
    """

    bundle: Bundle
    strokes: tuple[Stroke, ...]
    tip: Point
    way: str
    label: Label


@attrs.frozen
class Layout:
    """A whole diagram.

    Attributes:
        width: Its width in pixels.
        height: Its height in pixels.
        boxes: The statuses, in the order of the model.
        drawn: The moves, in the order of the model.
        start: The way into the first status: from a dot to the tip of an arrow.
    """

    width: float
    height: float
    boxes: tuple[Box, ...]
    drawn: tuple[Drawn, ...]
    start: tuple[Point, Point]
