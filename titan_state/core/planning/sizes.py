"""Sizes: how many executions are asked for at once.

How many a service sends at most is not documented. One page, which is to be read anyway, is asked for larger than
usual: if more come than usual, that is the size from then on; if the service refuses it, or later sends less, that is
taken back; if larger pages fail otherwise, for a while. Pure.
"""

from __future__ import annotations

from math import inf
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from titan_state.core.planning.reads import ListPage, Scope
    from titan_state.core.planning.window import Shown

TRIALS: Final = 2
"""How often a larger page is asked for, to find out: a second time if the first was the last page of its list."""

FAILURES: Final = 2
"""After how many failures in a row of larger pages usual ones are asked for again: they may be too much for it."""

AGAIN_S: Final = 600.0
"""After how many seconds a larger page is tried again that failed without being refused: it may have been an outage."""


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
        self._again_at = inf

    def begin(self, page: ListPage, now: float, *, is_new: bool) -> None:
        """Ask for a larger page with a read, if that is not decided yet, or is to be tried again.

        Args:
            page: The page.
            now: The time.
            is_new: Whether it was never read.
        """
        if self._trial is not None:
            return
        if now >= self._again_at:
            self._trial = page
        elif self._trials_left and is_new:
            self._trials_left -= 1
            self._trial = page

    def forget(self, scope: Scope) -> None:
        """Take in that pages of a list are not read any more as they were to be."""
        if self._trial is not None and self._trial.scope == scope:
            self._trial = None

    def of(self, page: ListPage) -> int:
        """Return how many executions to ask for, to read a page."""
        return self._largest if page == self._trial else self.size

    def took(self, page: ListPage, shown: Shown, *, follows: bool) -> bool:
        """Take in what a page showed; return whether pages show more or less from now on, so that all move.

        Args:
            page: The page.
            shown: What it showed.
            follows: Whether more is known to follow it.
        """
        if page == self._trial:
            self._trial = None
            if shown.count > self.usual:
                self.size = self._largest if shown.last else shown.count
            elif shown.last:
                return False  # that was all there is: it tells nothing
            is_again = self._again_at < inf
            self._trials_left, self._again_at = 0, inf
            return is_again and self.size > self.usual
        if shown.asked <= self.usual:
            return False
        self._failures = 0
        if self.size <= self.usual or shown.count >= min(self.size, shown.asked) or not follows:
            return False
        self.size = max(self.usual, shown.count)
        return True

    def failed(self, page: ListPage, now: float, *, refused: bool) -> bool:
        """Take in that a page could not be read; return whether pages are smaller than they were, for a while at least.

        Args:
            page: The page.
            now: The time.
            refused: Whether the service, or its answer, says that the same request will fail again.
        """
        if self.of(page) <= self.usual:
            return False
        self._failures += 1
        if not refused and self._failures < FAILURES:
            return False
        was_larger = self.size > self.usual
        self._trial, self._trials_left, self._failures = None, 0, 0
        self._again_at = inf if refused else now + AGAIN_S
        self.size = self.usual
        return was_larger
