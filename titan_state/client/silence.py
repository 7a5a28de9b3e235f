"""Silence: how long the service has not answered, read off what a client counts. It neither sends nor decides."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

from titan_state import wording

if TYPE_CHECKING:
    from collections.abc import Callable

    from titan_state.client.statistics import Statistics

DARK_S: Final = 10.0
"""From when on a silence is worth a remark: a request gets an answer or fails sooner, and one failure is no news."""

UNSEEN_S: Final = 120.0
"""After so long without a look nothing is said of the time before: it may have been quiet, not silent."""


class Silence:
    """Tells how long requests have been going without a good answer.

    It only compares counts: look often. What happened while nobody looked for long is not told.
    """

    def __init__(self, statistics: Statistics, *, now: Callable[[], float] = time.monotonic) -> None:
        """Begin to look.

        Args:
            statistics: What the client counts.
            now: The time in seconds.
        """
        self._statistics = statistics
        self._now = now
        self._seen: tuple[int, int] | None = None
        self._since = self._looked = now()

    def dark_s(self) -> float:
        """Return for how many seconds requests were sent in vain; 0 where nothing was asked, or it was answered."""
        counts = self._statistics
        now, before = self._now(), self._looked
        self._looked = now
        good = counts.answers["2xx"] + counts.answers["4xx"] - counts.throttled
        if self._seen is None or good != self._seen[0] or counts.requests == self._seen[1] or now - before > UNSEEN_S:
            self._seen = good, counts.requests
            self._since = now
        return now - self._since

    def remark(self) -> str:
        """Return what there is to say: how long nothing was seen, or nothing."""
        dark_s = self.dark_s()
        return f"no answer for {wording.duration(dark_s)}" if dark_s >= DARK_S else ""
