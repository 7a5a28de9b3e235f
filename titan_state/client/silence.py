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


class Silence:
    """Tells how long requests have been going without a good answer; look often, since it only compares counts."""

    def __init__(self, statistics: Statistics, *, now: Callable[[], float] = time.monotonic) -> None:
        """Begin to look.

        Args:
            statistics: What the client counts.
            now: The time in seconds.
        """
        self._statistics = statistics
        self._now = now
        self._seen: tuple[int, int] | None = None
        self._since = now()

    def dark_s(self) -> float:
        """Return for how many seconds requests were sent in vain; 0 where nothing was asked, or it was answered."""
        counts = self._statistics
        good = counts.answers["2xx"] + counts.answers["4xx"] - counts.throttled
        if self._seen is None or good != self._seen[0] or counts.requests == self._seen[1]:
            self._seen = good, counts.requests
            self._since = self._now()
        return self._now() - self._since

    def remark(self) -> str:
        """Return what there is to say: how long nothing was seen, or nothing."""
        dark_s = self.dark_s()
        return f"no answer for {wording.duration(dark_s)}" if dark_s >= DARK_S else ""
