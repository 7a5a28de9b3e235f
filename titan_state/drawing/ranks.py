"""Ranks: in which column of a diagram each status stands, and in which order the columns are read from the top.

Statuses that lead to each other and back share a column; every other move leads to the right. What has finished stands
in the last column. A move that skips columns holds a place in each of them, so that its line goes round the boxes.
"""

from __future__ import annotations

from itertools import chain, pairwise
from typing import TYPE_CHECKING, Final

import attrs

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from titan_state.core.lifecycle import Lifecycle

SWEEPS: Final = 12


@attrs.frozen
class Bundle:
    """All moves of one name: they lead to one status, from one status or several.

    Attributes:
        name: The name of the moves.
        dest: The status they lead to.
        sources: The statuses they leave.
        is_action: Whether a control action causes them.
    """

    name: str
    dest: str
    sources: tuple[str, ...]
    is_action: bool


@attrs.frozen
class Slot:
    """The place of a bundle in a column that it passes by.

    Attributes:
        bundle: The name of its moves.
        column: The column.
    """

    bundle: str
    column: int


Item = str | Slot
"""What stands in a column: a status, or a line that passes by."""

Block = tuple[Item, ...]
"""What stands together in a column."""


def bundles_of(lifecycle: Lifecycle) -> tuple[Bundle, ...]:
    """Return the moves of a model by their names, in the order of definition."""
    found: dict[str, Bundle] = {}
    for move in lifecycle.moves:
        known = found.get(move.name, Bundle(move.name, move.dest, (), move.action is not None))
        found[move.name] = attrs.evolve(known, sources=(*known.sources, move.source))
    return tuple(found.values())


def columns_of(lifecycle: Lifecycle) -> dict[str, int]:
    """Return the column of each status, counted from the left."""
    groups = _together(lifecycle)
    steps = {
        (groups[move.source], groups[move.dest]) for move in lifecycle.moves if groups[move.source] != groups[move.dest]
    }
    rank = dict.fromkeys(dict.fromkeys(groups.values()), 0)
    for _ in rank:  # the longest way has no more steps than there are groups
        for source, dest in steps:
            rank[dest] = max(rank[dest], rank[source] + 1)
    columns = {status: rank[groups[status]] for status in lifecycle.statuses}
    last = max(columns.values())
    return {status: last if status in lifecycle.terminal else column for status, column in columns.items()}


def _together(lifecycle: Lifecycle) -> dict[str, str]:
    """Return the first of the statuses to which there is a way, and from there a way back."""
    return {
        status: next(
            other
            for other in lifecycle.statuses
            if lifecycle.path(status, other) is not None and lifecycle.path(other, status) is not None
        )
        for status in lifecycle.statuses
    }


def ordered(lifecycle: Lifecycle, bundles: Iterable[Bundle], columns: Mapping[str, int]) -> list[list[Item]]:
    """Return what stands in each column, from the top, so that few lines cross.

    Args:
        lifecycle: The model.
        bundles: Its moves by their names.
        columns: The column of each status.
    """
    links = list(chain.from_iterable(links_of(bundle, columns) for bundle in bundles))
    groups = _together(lifecycle)
    blocks: list[list[Block]] = [[] for _ in range(max(columns.values()) + 1)]
    together: dict[str, list[str]] = {}
    for status in lifecycle.statuses:
        together.setdefault(groups[status], []).append(status)
    for members in together.values():
        blocks[columns[members[0]]].append(tuple(members))
    for slot in dict.fromkeys(item for link in links for item in link if isinstance(item, Slot)):
        blocks[slot.column].append((slot,))
    best = blocks
    least = _crossings(best, links)
    for sweep in range(SWEEPS):
        blocks = _swept(blocks, links, is_rightward=sweep % 2 == 0)
        count = _crossings(blocks, links)
        if count < least:
            best, least = blocks, count
    return [[*chain.from_iterable(column)] for column in best]


def links_of(bundle: Bundle, columns: Mapping[str, int]) -> list[tuple[Item, Item]]:
    """Return the lines of a bundle between columns that stand side by side, each from its left end to its right end."""
    last = columns[bundle.dest]
    sources = [source for source in bundle.sources if columns[source] < last]
    if not sources:
        return []
    first = min(columns[source] for source in sources)
    passed: dict[int, Item] = {column: Slot(bundle.name, column) for column in range(first + 1, last)}
    passed[last] = bundle.dest
    links: list[tuple[Item, Item]] = [(source, passed[columns[source] + 1]) for source in sources]
    return links + [(passed[column], passed[column + 1]) for column in range(first + 1, last)]


def _swept(
    blocks: Sequence[Sequence[Block]], links: Sequence[tuple[Item, Item]], *, is_rightward: bool
) -> list[list[Block]]:
    """Return the columns ordered anew, each by the middle of what it is linked with in the column before it."""
    swept = [list(column) for column in blocks]
    sequence = range(1, len(swept)) if is_rightward else range(len(swept) - 2, -1, -1)
    for number in sequence:
        beside = swept[number - 1 if is_rightward else number + 1]
        places = {item: place for place, item in enumerate(chain.from_iterable(beside))}
        middles: dict[Item, list[int]] = {}
        for left, right in links:
            item, other = (right, left) if is_rightward else (left, right)
            if other in places:
                middles.setdefault(item, []).append(places[other])
        swept[number] = _sorted(swept[number], middles)
    return swept


def _sorted(column: list[Block], middles: Mapping[Item, list[int]]) -> list[Block]:
    wanted: dict[Item, float] = {}
    for place, item in enumerate(chain.from_iterable(column)):
        seen = middles.get(item)
        wanted[item] = sum(seen) / len(seen) if seen else place
    inner = [tuple(sorted(block, key=wanted.__getitem__)) for block in column]
    return sorted(inner, key=lambda block: sum(wanted[item] for item in block) / len(block))


def _crossings(blocks: Sequence[Sequence[Block]], links: Sequence[tuple[Item, Item]]) -> int:
    place: dict[Item, tuple[int, int]] = {}
    for number, column in enumerate(blocks):
        for row, item in enumerate(chain.from_iterable(column)):
            place[item] = number, row
    by_column: dict[int, list[tuple[int, int]]] = {}
    for left, right in links:
        by_column.setdefault(place[left][0], []).append((place[left][1], place[right][1]))
    return sum(
        (first[0] - second[0]) * (first[1] - second[1]) < 0
        for lines in by_column.values()
        for number, first in enumerate(lines)
        for second in lines[:number]
    )


def neighbours(column: Sequence[Item]) -> set[tuple[str, str]]:
    """Return the pairs of statuses of which one stands right below the other."""
    return {(above, below) for above, below in pairwise(column) if isinstance(above, str) and isinstance(below, str)}
