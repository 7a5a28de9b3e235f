"""Sizes: how many executions are asked for at once.

How many a service sends at most is not documented. One page, which is to be read anyway, is asked for larger than
usual: if more come than usual, that is the size from then on; if the service refuses it, or later sends less, that is
taken back. Pure.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from titan_state.core.listing import Shown
    from titan_state.core.reads import ListPage

TRIALS: Final = 2
"""How often a larger page is asked for, to find out: a second time if the first was the last page of its list."""

FAILURES: Final = 2
"""After how many failures in a row of larger pages usual ones are asked for again: they may be too much for it."""


class Sizes:
    """How many executions are asked for at once.

    Attributes:
        usual: What every service is taken to send.
        size: What is asked for now.
    """

    def __init__(self, usual: int, largest: int) -> None:
        """Make sizes of which nothing is known.

        Args:
            usual: What every service is taken to send.
            largest: What is asked for to find out.
        """
        self.usual = self.size = usual
        self._largest = largest
        self._trials_left = TRIALS if largest > usual else 0
        self._trial: ListPage | None = None
        self._failures = 0

    def begin(self, page: ListPage) -> None:
        """Ask for a larger page with the read of one that was never read, if that is not decided yet."""
        if self._trials_left and self._trial is None:
            self._trials_left -= 1
            self._trial = page

    def of(self, page: ListPage) -> int:
        """Return how many executions to ask for, to read a page."""
        return self._largest if page == self._trial else self.size

    def took(self, page: ListPage, shown: Shown, *, follows: bool) -> bool:
        """Take in what a page showed; return whether the service sends less than it did.

        Args:
            page: The page.
            shown: What it showed.
            follows: Whether more is known to follow it.
        """
        if page == self._trial:
            self._trial = None
            if shown.count > self.usual:
                self.size = self._largest if shown.last else shown.count
            if shown.count > self.usual or not shown.last:
                self._trials_left = 0
            return False
        if shown.asked <= self.usual:
            return False
        self._failures = 0
        if self.size <= self.usual or shown.count >= min(self.size, shown.asked) or not follows:
            return False
        self.size = max(self.usual, shown.count)
        return True

    def failed(self, page: ListPage, *, refused: bool) -> bool:
        """Take in that a page could not be read; return whether pages are smaller from now on than they were.

        Args:
            page: The page.
            refused: Whether the service, or its answer, says that the same request will fail again.
        """
        if self.of(page) <= self.usual:
            return False
        self._failures += 1
        if not refused and self._failures < FAILURES:
            return False
        was_larger = self.size > self.usual
        self._trial, self._trials_left, self._failures = None, 0, 0
        self.size = self.usual
        return was_larger
