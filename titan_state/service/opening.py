"""Opening: a journal that says when it has been opened, so that waiting for the lead is told from waiting for it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    from titan_state.journal.base import Journal


class Told:
    """A journal that says when it has been opened."""

    def __init__(self, journal: Journal, opened: Callable[[Journal], None]) -> None:
        """Stand for a journal.

        Args:
            journal: The journal.
            opened: Told of it.
        """
        self._journal = journal
        self._opened = opened

    def __getattr__(self, name: str) -> Any:
        return getattr(self._journal, name)

    async def open(self) -> None:
        """Open it, and say so."""
        await self._journal.open()
        self._opened(self._journal)
