"""The board: the rows that the page shows, and what changes in them. It neither reads nor sends."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import attrs

if TYPE_CHECKING:
    from collections.abc import Iterable

    from titan_state.core.sights import Sight

MOST_FINISHED: Final = 20_000
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

    Attributes:
        rows: The rows.
        hidden: How many finished executions were left out.
    """

    def __init__(self, most_finished: int = MOST_FINISHED) -> None:
        self.rows: dict[str, Sight] = {}
        self.hidden = 0
        self._most = most_finished

    def merge(self, sights: Iterable[Sight], *, is_whole: bool = False) -> Change:
        """Take in what is known; return what changes by it.

        Args:
            sights: What is known of executions.
            is_whole: Whether these are all that are known: what lives on the board, and is not among them, is watched
                no longer, and goes.
        """
        changed: dict[str, Sight] = {}
        named = set()
        for sight in sights:
            named.add(sight.id)
            known = self.rows.get(sight.id)
            if known != sight and not _says_less(sight, known):
                changed[sight.id] = self.rows[sight.id] = sight
        gone = [name for name, row in self.rows.items() if not row.is_over and name not in named] if is_whole else []
        for name in gone:
            del self.rows[name]
        beyond = self._beyond() if is_whole or len(self.rows) > self._most else []
        for name in beyond:
            del self.rows[name]
            if changed.pop(name, None) is None:
                gone.append(name)
        if is_whole:
            self.hidden = len(beyond)
        else:
            self.hidden += len(beyond)
        return Change(list(changed.values()), gone)

    def _beyond(self) -> list[str]:
        """Return the finished executions that have no room: those that ended first."""
        finished = [row for row in self.rows.values() if row.is_over]
        if len(finished) <= self._most:
            return []
        finished.sort(key=lambda row: (not row.anomalies, -(row.since or 0.0)))
        return [row.id for row in finished[self._most :]]


def _says_less(sight: Sight, known: Sight | None) -> bool:
    """Return whether a sight says what is known already, and less: an execution is not kept in full for ever."""
    if known is None or sight.seen is not None or known.seen is None:
        return False
    return (sight.status, sight.anomalies) == (known.status, known.anomalies)
