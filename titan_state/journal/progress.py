"""Progress: how far one subscription has come, in as few words as can be. Pure: it neither reads nor writes.

A cursor says up to where everything was dealt with. What was dealt with out of turn, after it, is kept as exceptions
until the cursor comes by.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable


class Progress:
    """Keeps account of what was handed out and dealt with.

    Attributes:
        cursor: Everything at or before this position was dealt with.
        read: Everything at or before this position was looked at.
    """

    def __init__(self, cursor: int, done: Iterable[int] = ()) -> None:
        """Begin after a position.

        Args:
            cursor: The position.
            done: Later ones that were dealt with already.
        """
        self.cursor = cursor
        self.read = cursor
        self._queue: deque[int] = deque()
        self._done: set[int] = set()
        self._done_before = frozenset(done)

    def __len__(self) -> int:
        """Return how many were handed out and wait for the cursor."""
        return len(self._queue)

    def is_done(self, position: int) -> bool:
        """Return whether a position was dealt with."""
        return position <= self.cursor or position in self._done or position in self._done_before

    def looked(self, position: int) -> None:
        """Take in that everything up to a position was looked at."""
        self.read = max(self.read, position)

    def handed_out(self, position: int) -> None:
        """Take in that the event at a position, after all those before, was handed out."""
        self._queue.append(position)
        self.looked(position)

    def dealt_with(self, position: int) -> None:
        """Take in that the event at a position was dealt with."""
        self._done.add(position)

    def advance(self) -> int:
        """Move the cursor as far as it goes, and return it."""
        while self._queue and self._queue[0] in self._done:
            self._done.discard(self._queue.popleft())
        self.cursor = max(self.cursor, self._queue[0] - 1 if self._queue else self.read)
        return self.cursor

    def oldest(self) -> int | None:
        """Return the position of the first event that was handed out and not dealt with."""
        return next((position for position in self._queue if position not in self._done), None)
