"""Layout: where the boxes, lines and letters of a state diagram stand. It draws nothing.

From left to right a column is made of: the curves that arrive, the lanes of moves that stay in the column, the letters
above the lines, the boxes. Each of these has its room to itself, so that no line runs through a box or through letters
but its own.
"""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Final

import attrs

from titan_state.drawing import ranks
from titan_state.drawing.lettering import fitted, width_of
from titan_state.drawing.ranks import Slot
from titan_state.drawing.shapes import MOVE_LETTERS, Box, Drawn, Label, Layout, Stroke

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from titan_state.core.lifecycle import Lifecycle
    from titan_state.drawing.ranks import Bundle, Item

NAME_LETTERS: Final = 14
"""The size of the letters in boxes, in pixels; it is in `figures.css`, too."""
MARGIN: Final = 12
ARROW: Final = 9

_LONGEST_NAME: Final = 230
_LONGEST_LABEL: Final = 190
_BOX: Final = 46
_LEAST_WIDTH: Final = 104
_PORT: Final = 19
_EXIT: Final = 10
_EDGE: Final = 10
_SLOT: Final = 22
_GAP: Final = 26
_WIDE_GAP: Final = 56
_FAN: Final = 76
_START: Final = 30
_LANE: Final = 13
_ASIDE: Final = 12
_LONGEST_BESIDE: Final = 70
_SWEEPS: Final = 10


def layout_of(lifecycle: Lifecycle) -> Layout:
    """Return the layout of a model, the same for the same model."""
    return _Plan(lifecycle).layout()


@attrs.define
class _Column:
    """Where the parts of one column begin, from the left."""

    fan: float
    lanes: float
    letters: float
    boxes: float
    right: float


class _Plan:
    """Puts a model in its places, step by step."""

    def __init__(self, lifecycle: Lifecycle) -> None:
        self._initial = lifecycle.initial
        self._statuses = lifecycle.statuses
        self._bundles = {bundle.name: bundle for bundle in ranks.bundles_of(lifecycle)}
        self._columns = ranks.columns_of(lifecycle)
        self._order = ranks.ordered(lifecycle, self._bundles.values(), self._columns)
        self._labels = {name: fitted(name, _LONGEST_LABEL, MOVE_LETTERS) for name in self._bundles}
        self._links = {name: ranks.links_of(one, self._columns) for name, one in self._bundles.items()}
        self._upright = self._find_upright()
        self._widths = [self._width(column) for column in self._order]
        self._inner = {
            name: [source for source in one.sources if self._columns[source] == self._columns[one.dest]]
            for name, one in self._bundles.items()
            if name not in self._upright
        }
        self._entries = {status: self._entering(status) for status in self._statuses}
        self._exits = {status: self._leaving(status) for status in self._statuses}
        self._heights = {item: self._height(item) for column in self._order for item in column}
        self._tops = self._stack()
        self._across = self._spread()

    def layout(self) -> Layout:
        """Return the layout."""
        ports = {status: self._ports(status) for status in self._statuses}
        boxes = tuple(
            Box(
                status,
                self._across[self._columns[status]].boxes,
                self._tops[status],
                self._widths[self._columns[status]],
                self._heights[status],
            )
            for status in self._statuses
        )
        lanes = self._lanes()
        drawn = tuple(
            self._draw_upright(one) if name in self._upright else self._draw(one, ports, lanes.get(name))
            for name, one in self._bundles.items()
        )
        y = ports[self._initial]["in", ""]
        start = ((MARGIN + 8.0, y), (self._across[self._columns[self._initial]].boxes, y))
        bottom = max(box.y + box.height for box in boxes)
        slots = [top + _SLOT for item, top in self._tops.items() if isinstance(item, Slot)]
        return Layout(self._across[-1].right + MARGIN, max([bottom, *slots]) + MARGIN, boxes, drawn, start)

    def _width(self, column: Sequence[Item]) -> float:
        names = [width_of(f"W {shown_name(item)}", NAME_LETTERS) for item in column if isinstance(item, str)]
        beside = [self._wide(name) for name in self._upright if self._bundles[name].dest in column]
        return max([_LEAST_WIDTH, *(width + 42 for width in names), *(2 * (wide + _ASIDE + 10) for wide in beside)])

    def _find_upright(self) -> set[str]:
        """Return the moves that are drawn upright, between a box and the one right above or below it."""
        found: set[str] = set()
        for column in self._order:
            for pair in sorted(ranks.neighbours(column)):
                for source, dest in (pair, pair[::-1]):
                    fits = [
                        name
                        for name, one in self._bundles.items()
                        if (one.sources, one.dest) == ((source,), dest) and self._wide(name) <= _LONGEST_BESIDE
                    ]
                    found |= {*fits[:1]}
        return found

    def _wide(self, name: str) -> float:
        return width_of(self._labels[name], MOVE_LETTERS)

    def _entering(self, status: str) -> list[str]:
        """Return the moves that come in on the left; an empty name is the way in from outside."""
        names = [name for name, one in self._bundles.items() if one.dest == status and name not in self._upright]
        return ["", *names] if status == self._initial else names

    def _leaving(self, status: str) -> list[str]:
        """Return the moves that go out on the left, and stay in the column."""
        return [name for name, sources in self._inner.items() if status in sources]

    def _forward(self, status: str) -> list[tuple[str, Item]]:
        """Return the moves that go out on the right, each with where its line arrives in the next column."""
        return [(name, right) for name, links in self._links.items() for left, right in links if left == status]

    def _height(self, item: Item) -> float:
        if isinstance(item, Slot):
            return _SLOT
        ports = len(self._entries[item]) + len(self._exits[item])
        return max(_BOX, ports * _PORT + _EDGE, len(self._forward(item)) * _EXIT + _EDGE)

    def _stack(self) -> dict[Item, float]:
        """Return the upper edge of everything: near what it is linked with, in order, and with gaps."""
        offsets = [self._offsets(column) for column in self._order]
        tops: dict[Item, float] = {}
        for column, places in zip(self._order, offsets, strict=True):
            half = (places[-1] + self._heights[column[-1]]) / 2
            tops |= {item: place - half for item, place in zip(column, places, strict=True)}
        links = [link for one in self._links.values() for link in one]
        for sweep in range(_SWEEPS):
            for number in range(len(self._order)) if sweep % 2 else reversed(range(len(self._order))):
                column = self._order[number]
                wanted = [self._wanted(item, links, tops) for item in column]
                shifts = _rising([want - place for want, place in zip(wanted, offsets[number], strict=True)])
                tops |= {
                    item: shift + place for item, shift, place in zip(column, shifts, offsets[number], strict=True)
                }
        highest = min(tops.values())
        return {item: round(top - highest + MARGIN, 2) for item, top in tops.items()}

    def _offsets(self, column: Sequence[Item]) -> list[float]:
        """Return where everything in a column would stand without any room to spare."""
        places = [0.0]
        for above, below in pairwise(column):
            is_joined = any(
                {*self._bundles[name].sources, self._bundles[name].dest} == {above, below} for name in self._upright
            )
            gap = _WIDE_GAP if is_joined else _GAP if isinstance(above, str) and isinstance(below, str) else _GAP / 2
            places.append(places[-1] + self._heights[above] + gap)
        return places

    def _wanted(self, item: Item, links: Sequence[tuple[Item, Item]], tops: Mapping[Item, float]) -> float:
        others = [right if left == item else left for left, right in links if item in (left, right)]
        half = self._heights[item] / 2
        middles = [tops[other] + self._heights[other] / 2 for other in others] or [tops[item] + half]
        return sum(middles) / len(middles) - half

    def _spread(self) -> list[_Column]:
        """Return where the parts of each column begin."""
        columns: list[_Column] = []
        x = float(MARGIN)
        for number, width in enumerate(self._widths):
            here = [status for status in self._statuses if self._columns[status] == number]
            names = [name for status in here for name in self._entries[status] if name]
            inner = sum(bool(self._inner[name]) for name in names)
            letters = max((self._wide(name) for name in names), default=0)
            lanes = x + (_FAN if number else _START)
            labels = lanes + (inner * _LANE + _LANE if inner else 4)
            boxes = labels + (letters + ARROW + 12 if letters else ARROW)
            columns.append(_Column(x, lanes, labels, boxes, boxes + width))
            x = boxes + width
        return columns

    def _middle(self, item: Item) -> float:
        return self._tops[item] + self._heights[item] / 2

    def _ports(self, status: str) -> dict[tuple[str, str], float]:
        """Return the heights at which lines touch a box: `in` and `back` on its left, `out` on its right."""
        left: list[tuple[float, str, str]] = [
            (self._arrival(name, status), "in", name) for name in self._entries[status]
        ]
        left += [(self._middle(self._bundles[name].dest), "back", name) for name in self._exits[status]]
        right = [(self._middle(item), "out", name) for name, item in self._forward(status)]
        ports = {}
        for found, apart in ((left, _PORT), (right, _EXIT)):
            first = self._middle(status) - apart * (len(found) - 1) / 2
            for place, (_, side, name) in enumerate(sorted(found)):
                ports[side, name] = first + place * apart
        return ports

    def _arrival(self, name: str, status: str) -> float:
        """Return how high a line comes from that enters a box."""
        if not name:
            return self._middle(status)
        origins = [left for left, right in self._links[name] if right == status] or self._inner[name]
        return sum(self._middle(origin) for origin in origins) / len(origins)

    def _lanes(self) -> dict[str, float]:
        """Return where the upright lines stand of moves that stay in their column."""
        counts: dict[int, int] = {}
        lanes = {}
        for name, sources in self._inner.items():
            if sources:
                column = self._columns[self._bundles[name].dest]
                counts[column] = counts.get(column, 0) + 1
                lanes[name] = self._across[column].lanes + counts[column] * _LANE
        return lanes

    def _draw(self, one: Bundle, ports: Mapping[str, Mapping[tuple[str, str], float]], lane: float | None) -> Drawn:
        """Draw moves that enter a box on its left."""
        strokes: list[Stroke] = []
        goal = self._across[self._columns[one.dest]]
        port = ports[one.dest]["in", one.name]
        begin = lane if lane is not None and not self._links[one.name] else goal.lanes
        for left, right in self._links[one.name]:
            number = left.column if isinstance(left, Slot) else self._columns[left]
            start = self._middle(left) if isinstance(left, Slot) else ports[left]["out", one.name]
            end = self._middle(right) if isinstance(right, Slot) else port
            here = self._across[number]
            if isinstance(left, Slot):
                strokes.append(Stroke(((here.lanes, start), (here.right, start))))
            strokes.append(Stroke(((here.right, start), (self._across[number + 1].lanes, end)), is_curve=True))
        for source in self._inner[one.name]:
            exit_ = ports[source]["back", one.name]
            x = goal.lanes if lane is None else lane
            strokes.append(Stroke(((goal.boxes, exit_), (x, exit_), (x, port))))
        strokes.append(Stroke(((begin, port), (goal.boxes - ARROW + 1, port))))
        label = Label(self._labels[one.name], goal.boxes - ARROW - 5, port - 6, is_turned=True)
        return Drawn(one, tuple(strokes), (goal.boxes, port), "right", label)

    def _draw_upright(self, one: Bundle) -> Drawn:
        """Draw a move between two boxes of which one stands right below the other."""
        source, dest = one.sources[0], one.dest
        column = self._columns[dest]
        is_down = self._tops[source] < self._tops[dest]
        x = self._across[column].boxes + self._widths[column] / 2 + (-_ASIDE if is_down else _ASIDE)
        begin = self._tops[source] + (self._heights[source] if is_down else 0)
        end = self._tops[dest] + (0 if is_down else self._heights[dest])
        way = 1 if is_down else -1
        label = Label(self._labels[one.name], x + (-6 if is_down else 6), (begin + end) / 2 + 4, is_turned=is_down)
        stroke = Stroke(((x, begin), (x, end - way * (ARROW - 1))))
        return Drawn(one, (stroke,), (x, end), "down" if is_down else "up", label)


def shown_name(status: str) -> str:
    """Return the name of a status as far as it has room in a box."""
    return fitted(status, _LONGEST_NAME, NAME_LETTERS)


def _rising(wanted: Sequence[float]) -> list[float]:
    """Return the numbers nearest to those wanted of which none is smaller than the one before it."""
    pools: list[list[float]] = []
    for want in wanted:
        pools.append([want])
        while len(pools) > 1 and _mean(pools[-2]) > _mean(pools[-1]):
            last = pools.pop()
            pools[-1] += last
    return [_mean(pool) for pool in pools for _ in pool]


def _mean(numbers: Sequence[float]) -> float:
    return sum(numbers) / len(numbers)
