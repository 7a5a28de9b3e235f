"""The rate limiter: a sliding window of requests per credential.

Seconds are those of the service's clock, which the client's budget runs on too, not of the scenario.
"""

from __future__ import annotations

from collections import deque
from typing import Final

WINDOW_S: Final = 60.0


class RateLimiter:
    """Lets in no more than `per_minute + burst` requests of one credential in any 60 s."""

    def __init__(self, per_minute: int | None, burst: int) -> None:
        self.per_minute = per_minute
        self.burst = burst
        self._seen: dict[str, deque[float]] = {}

    def admit(self, credential: str, now: float) -> float | None:
        """Count a request, if it is within the limit.

        Returns:
            None if it is admitted, else in how many seconds one will be; a refused request does not count.
        """
        if self.per_minute is None:
            return None
        seen = self._window(credential, now)
        allowed = self.per_minute + self.burst
        if len(seen) < allowed:
            seen.append(now)
            return None
        return seen[len(seen) - allowed] + WINDOW_S - now if allowed > 0 else WINDOW_S

    def remaining(self, credential: str, now: float) -> int:
        """Return what is left of `per_minute`; the burst on top is not told to clients."""
        return max(0, (self.per_minute or 0) - len(self._window(credential, now)))

    def _window(self, credential: str, now: float) -> deque[float]:
        seen = self._seen.setdefault(credential, deque())
        while seen and seen[0] <= now - WINDOW_S:
            seen.popleft()
        return seen
