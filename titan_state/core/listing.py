"""Listing: what is known of one list, and where its executions are now.

A list that shows new executions first pushes the others back. So what is read again is not a page by its number but a
block: the executions of one page when the list was first read, and of each page that has come before it since. Where a
block begins now follows from how many have arrived. What to read is the planner's business.
"""

from __future__ import annotations

from math import ceil, exp, inf
from typing import TYPE_CHECKING, Final

import attrs

if TYPE_CHECKING:
    from collections.abc import Sequence

FORGOTTEN_S: Final = 600.0
"""In how many seconds what was seen of arrivals loses all but 37 % of its weight."""

FIRST_ARRIVAL_S: Final = 60.0
"""The prior: one new execution in so many seconds. No source gives one; it counts as one arrival."""

UNSEEN_YIELD: Final = 10.0
"""The prior: how many live executions a page shows that was never read."""


@attrs.frozen
class Shown:
    """What a page showed.

    Attributes:
        ids: The ids of the watched executions on it, in its order.
        last: Whether it is the last page; None if it does not tell.
        all_new: Whether it showed executions, and none of them was known before.
        places: The place on the page of each of `ids`; None where places are not known.
        offset: How many executions the service was asked to pass over.
        asked: How many executions the service was asked for.
        count: How many executions the page showed, watched or not.
        fresh: How many executions at its beginning were not known before.
        names: The ids of all of them.
    """

    ids: Sequence[str]
    last: bool | None
    all_new: bool = False
    places: Sequence[int] | None = None
    offset: int = 0
    asked: int = 0
    count: int = 0
    fresh: int = 0
    names: frozenset[str] = frozenset()


@attrs.define
class Listing:
    """What is known of one list.

    Attributes:
        size: How many executions are asked for at once: those of one block.
        watched: Whether all it shows is watched, and so whatever is new on it.
        newest_first: Whether new executions show on the first page.
        members: For each block that is read, the executions that were in it and are kept, in the list's order.
        read_at: For each of these blocks, when the last read was sent.
        sweep: The block that the sweep over the whole list has come to, None if there is none.
        sweeps_from: When the sweep may begin.
        began_at: When it was first read.
        dry: How many pages in a row an exploration has read for nothing.
        yields: How many live executions pages show that a sweep reads for the first time, on average of late.
        arrived: How many executions have arrived since it was first read.
    """

    size: int = 100
    watched: bool = False
    newest_first: bool = True
    members: dict[int, tuple[str, ...]] = attrs.field(factory=dict)
    read_at: dict[int, float] = attrs.field(factory=dict)
    sweep: int | None = None
    sweeps_from: float = -inf
    began_at: float = -inf
    dry: int = 0
    yields: float = UNSEEN_YIELD
    arrived: int = 0
    _previous: frozenset[str] = frozenset()
    _anchors: dict[int, tuple[tuple[str, int], ...]] = attrs.field(factory=dict)
    _arrivals: float = 0.0
    _looked_s: float = 0.0
    _counted_at: float = -inf
    _counted: int = 0

    @property
    def front(self) -> int:
        """The block that new executions arrive in."""
        return -ceil(self.arrived / self.size)

    def rate(self) -> float:
        """Return how many executions arrive per second."""
        return (self._arrivals + 1.0) / (self._looked_s + FIRST_ARRIVAL_S)

    def offset(self, block: int, now: float) -> int:
        """Return where a block begins now, as far as is known."""
        coming = 0.0
        if self.arrived and block > self.front and self._counted_at > -inf:
            coming = self._arrivals / max(self._looked_s, 1.0) * (now - self._counted_at)
        return max(0, block * self.size + self.arrived + round(coming))

    def ends(self, shown: Shown) -> bool:
        """Return whether nothing follows a page; learn on the way that the service sends fewer, or more, at once."""
        is_repeated = bool(shown.names) and shown.names == self._previous and shown.offset > 0
        self._previous = shown.names
        is_short = shown.count < shown.asked
        if shown.count > shown.asked or (is_short and shown.count and shown.offset == 0 and not shown.last):
            self.size = shown.count
        if is_repeated:  # the service takes no notice of where a page is to begin
            return True
        if shown.last is not None:
            return shown.last
        return is_short and shown.offset > 0  # a short first page may be all there is, or all that is sent at once

    def place(self, block: int, shown: Shown, now: float, *, last: bool) -> tuple[dict[int, list[str]], set[int]]:
        """Find out which blocks a page showed.

        Args:
            block: The one that was asked for.
            shown: The page.
            now: When the read was sent.
            last: Whether it was the last one.

        Returns:
            The ids by block, and which of these blocks were shown as a whole.
        """
        if shown.places is None or not self.newest_first:
            return {block: list(shown.ids)}, {block}
        self._align(block, shown, now)
        first = shown.offset - self.arrived
        end = first + shown.count
        blocks: dict[int, list[str]] = {}
        for name, place in zip(shown.ids, shown.places, strict=True):
            blocks.setdefault((first + place) // self.size, []).append(name)
        whole = set()
        for number in range(first // self.size, -(-end // self.size) + 1):
            begins = number * self.size >= first or shown.offset == 0
            ends = (number + 1) * self.size <= end or last
            if begins and ends:
                whole.add(number)
        if block in whole or block * self.size >= end or (block + 1) * self.size <= first:
            blocks.setdefault(block, [])
        return blocks, whole

    def keep(self, block: int, ids: tuple[str, ...], shown: Shown | None, read_at: float) -> None:
        """Take down what is in a block, and where its first and its last execution are."""
        self.members[block] = ids
        self.read_at[block] = read_at
        if shown is None or shown.places is None or not ids:
            self._anchors.pop(block, None)
            return
        places = dict(zip(shown.ids, shown.places, strict=True))
        first = shown.offset - self.arrived
        self._anchors[block] = tuple(
            (name, first + places[name]) for name in dict.fromkeys((ids[0], ids[-1])) if name in places
        )

    def drop(self, block: int) -> None:
        """Forget a block: there is nothing in it any more that is kept."""
        self.members.pop(block, None)
        self.read_at.pop(block, None)
        self._anchors.pop(block, None)

    def found(self, count: int) -> None:
        """Take in how many live executions a page showed that a sweep read for the first time."""
        self.yields += (count - self.yields) / 4

    def _align(self, block: int, shown: Shown, now: float) -> None:
        """Find out how many have arrived meanwhile: by executions of which the place was known, or new ones."""
        places = dict(zip(shown.ids, shown.places or (), strict=True))
        for number in (block, block - 1, block + 1):
            for name, known in self._anchors.get(number, ()):
                if name in places:
                    self._count(shown.offset + places[name] - known, now)
                    return
        if shown.offset == 0 and self._counted_at > -inf:
            self._count(self.arrived + shown.fresh, now)
        elif self._counted_at == -inf:
            self._count(0, now)

    def _count(self, arrived: int, now: float) -> None:
        if self._counted_at > -inf and now > self._counted_at:
            passed = now - self._counted_at
            fades = exp(-passed / FORGOTTEN_S)
            self._arrivals = self._arrivals * fades + max(0, arrived - self._counted)
            self._looked_s = self._looked_s * fades + passed
        if now > self._counted_at:
            self._counted_at, self._counted = now, arrived
            self.arrived = max(arrived, 0)
