"""Window: what pages of a list showed. What it means for the list is reckoned in `listing.py`. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs

if TYPE_CHECKING:
    from collections.abc import Sequence


@attrs.frozen
class Shown:
    """What a page showed.

    Attributes:
        ids: The ids of the watched executions on it, in its order.
        last: Whether it is the last page; None if it does not tell.
        ends_new: Whether the last execution on it was not known before.
        offset: How many executions the service was asked to pass over.
        asked: How many executions the service was asked for.
        fresh: How many executions at its beginning were not known before.
        names: The ids of all executions on it, watched or not.
        broken: How many more were on it that could not be read.
        total: How many there are in all by the service's own word, None if it does not say.
        strangers: How many on it are in another status than was asked for.
    """

    ids: Sequence[str]
    last: bool | None
    ends_new: bool = False
    offset: int = 0
    asked: int = 0
    fresh: int = 0
    names: tuple[str, ...] = ()
    broken: int = 0
    total: int | None = None
    strangers: int = 0

    @property
    def count(self) -> int:
        """How many executions were on it."""
        return len(self.names) + self.broken


@attrs.define
class Window:
    """What one answer showed.

    Attributes:
        offset: Where it began when it was read.
        arrived: How many had arrived where it was read.
        read_at: When the last read was sent.
        members: The executions in it that are kept, in the list's order.
        anchors: Some executions in it, each with its place.
        lost: How many reads in a row have shown nothing of it.
        cut: When the last reads in a row were sent that have shown a part of it only.
        live: How many executions in it lived when it was read, but for those that are read on another list.
    """

    offset: int
    arrived: float
    read_at: float
    members: tuple[str, ...] = ()
    anchors: tuple[tuple[str, int], ...] = ()
    lost: int = 0
    cut: tuple[float, ...] = ()
    live: int = 0


@attrs.frozen
class Taken:
    """What became of a page.

    Attributes:
        number: The window that it showed: another than was asked for where that was elsewhere.
        former: What that was before, None if it is new.
        is_whole: Whether all of it was shown.
        outside: The executions that were shown beside it.
        is_recent: Whether it is at the front, or behind it where that was not known before: what follows may be new.
    """

    number: int
    former: Window | None
    is_whole: bool
    outside: frozenset[str]
    is_recent: bool
