"""The board: the rows that the page shows, and what changes in them. It neither reads nor sends."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import attrs

from titan_state.monitor.survey import MOST_LIVE, MOST_NOTED

if TYPE_CHECKING:
    from collections.abc import Iterable

    from titan_state.core.tracking.sights import Sight

MOST_FINISHED: Final = MOST_NOTED
"""How many finished executions are kept on the board; beyond that those that ended first are left out."""


@attrs.frozen
class Change:
    """What changed on the board.

    Attributes:
        rows: The rows that are new or different.
        gone: The ids of rows that are not there any more.
    """

    rows: list[Sight]
    gone: list[str]

    def __bool__(self) -> bool:
        return bool(self.rows or self.gone)


class Board:
    """The rows of a board, by execution.

    Of those that live there are as many as one survey tells of; beyond that those are left out of which nothing has
    changed for the longest.

    Attributes:
        rows: The rows.
        hidden: The executions that were left out.
    """

    def __init__(self, most_finished: int = MOST_FINISHED, most_live: int = MOST_LIVE) -> None:
        self.rows: dict[str, Sight] = {}
        self.hidden: set[str] = set()
        self._most = {True: most_finished, False: most_live}

    def merge(self, sights: Iterable[Sight], *, is_whole: bool = False) -> Change:
        """Take in what is known; return what changes by it.

        Args:
            sights: What is known of executions.
            is_whole: Whether these are all that are known: what lives on the board, and is not among them, is watched
                no longer, and goes.
        """
        changed: dict[str, Sight] = {}
        new: set[str] = set()
        named = set()
        for sight in sights:
            named.add(sight.id)
            known = self.rows.get(sight.id)
            if known != sight and not _says_less(sight, known):
                changed[sight.id] = self.rows[sight.id] = sight
                if known is None:
                    new.add(sight.id)
                self.hidden.discard(sight.id)
        gone = [name for name, row in self.rows.items() if not row.is_over and name not in named] if is_whole else []
        for name in gone:
            del self.rows[name]
        if is_whole:
            self.hidden &= named
        for name in self._beyond():
            del self.rows[name]
            self.hidden.add(name)
            changed.pop(name, None)
            if name not in new:  # what nobody was told of need not go
                gone.append(name)
        return Change(list(changed.values()), gone)

    def _beyond(self) -> list[str]:
        """Return the executions that have no room: of those without an anomaly, those that changed first."""
        beyond: list[str] = []
        if len(self.rows) <= min(self._most.values()):
            return beyond
        for is_over, most in self._most.items():
            rows = [row for row in self.rows.values() if row.is_over is is_over]
            if len(rows) > most:
                rows.sort(key=lambda row: (not row.anomalies, -(row.since or 0.0)))
                beyond += [row.id for row in rows[most:]]
        return beyond


def _says_less(sight: Sight, known: Sight | None) -> bool:
    """Return whether a sight says what is known already, and less: an execution is not kept in full for ever."""
    if known is None or sight.seen is not None or known.seen is None:
        return False
    return (sight.status, sight.anomalies) == (known.status, known.anomalies)
