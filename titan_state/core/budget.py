"""RequestBudget: how many requests may still be sent, and when. Pure: time and chance come in as arguments.

It keeps a sliding log of what was sent and a bucket that paces it. It does not know what requests are for, beyond
their priority, and it sends nothing.
"""

from __future__ import annotations

from collections import deque
from enum import IntEnum
from math import inf
from typing import Final

from titan_state.errors import ConfigurationError, shorten

WINDOW_S: Final = 60.0
"""The window of the limit. The documentation says "requests a minute", and leaves open what kind of window it is; a
slot that frees a minute after its answer was received is within the limit for any kind."""

SHORTEST_RESET_S: Final = 1.0
LONGEST_RESET_S: Final = 120.0
"""Between these a reset time that a 429 names is believed."""

FIRST_BACKOFF_S: Final = 1.0
LONGEST_BACKOFF_S: Final = 60.0
"""How long all requests wait after a 429 that names no reset to come: at least the first, doubled with each further
one, at most the longest; jitter takes up to a half off, so that clients do not come back together."""

LARGEST: Final = 1_000_000
"""No limit above it is believed: a header with more is nonsense, and arithmetic with it would be too."""

KEPT_SHARE: Final = 20
"""One in how many slots of the minute is kept for control at most: what is kept is lost to polls for good, and a low
limit has none to spare."""

ROUNDING: Final = 1e-9
"""By how much of a request the refilled bucket may be short, so that the time that `ready_at` names is one."""


class Priority(IntEnum):
    """What goes first."""

    CONTROL = 0  # pause, resume, stop, run, and the reads that they need
    CONFIRMATION = 1  # reads of what contradicts what is known
    OUTPUT = 2  # results, exports, datasets
    POLL = 3  # all other reads


class RequestBudget:
    """Says when the next request may be sent.

    In no 60 s window more requests are sent than the limit, where each counts from when it is sent until 60 s after
    its answer was received. Within that they are paced: a bucket refills at the limit's rate, and holds a small burst.
    Everything but control leaves a reserve in the bucket, so that a burst of polls does not hold control up, and keeps
    the same number of slots in the window free, up to a twentieth of the limit.

    Attributes:
        min_interval_s: How soon the same thing is read again, at the earliest.
    """

    def __init__(
        self,
        per_minute: int = 120,
        burst: int | None = None,
        *,
        reserve: int = 2,
        learn: bool = False,
        min_interval_s: float = 1.0,
    ) -> None:
        """Make a budget.

        Args:
            per_minute: The most requests in any minute. The documentation's typical default is about 120 for each
                account, shared by all its processes. Headers of the service only lower it.
            burst: How many requests may go at once after a quiet time, those of the reserve included; a twelfth of
                the limit by default, and always one more than the reserve.
            reserve: How many requests everything but control leaves to it; less where the limit is that low.
            learn: Whether headers of the service may raise the limit above `per_minute`, too.
            min_interval_s: How soon the same thing is read again, at the earliest, in seconds.

        Raises:
            ConfigurationError: A number that cannot work.
        """
        _check("per_minute", per_minute, least=1)
        _check("reserve", reserve, least=0)
        if burst is not None:
            _check("burst", burst, least=1)
        is_number = isinstance(min_interval_s, int | float) and not isinstance(min_interval_s, bool)
        if not is_number or not 0 <= min_interval_s < inf:
            raise ConfigurationError(f"min_interval_s must be a number of seconds, 0 or more, not {min_interval_s!r}")
        self.min_interval_s = float(min_interval_s)
        self._cap = per_minute
        self._learn = learn
        self._limit = per_minute
        self._wanted_reserve = reserve
        self._wanted_burst = burst
        self._level = float(1 + self._reserve)  # one request at once; a restart must not be a burst
        self._filled_at = -inf
        self._in_flight: dict[int, float] = {}  # by ticket: when it was sent
        self._tickets = 0
        self._frees_at: deque[float] = deque()
        self._blocked_until = -inf
        self._throttles = 0  # in a row
        self._throttled_at = -inf
        self._told = inf  # what the service says may still be sent, less what was sent, refilled at the limit's rate
        self._told_at = -inf

    def __repr__(self) -> str:
        return f"<RequestBudget of {self._limit} a minute, {len(self._in_flight)} in flight>"

    @property
    def limit(self) -> int:
        """The most requests in any minute, as far as is known now."""
        return self._limit

    @property
    def in_flight(self) -> int:
        """How many requests have no answer yet."""
        return len(self._in_flight)

    def ready_at(self, now: float, priority: Priority) -> float:
        """Return when a request may be sent at the earliest; `now` if at once.

        Args:
            now: The time, in seconds.
            priority: What the request is for.

        Returns:
            The time; infinity if that depends on an answer that is still out.
        """
        self._advance(now)
        need = 1 if priority is Priority.CONTROL else 1 + self._reserve
        at = max(now, self._blocked_until)
        rate = self._limit / WINDOW_S
        have = min(self._level, self._told)
        if have < need - ROUNDING:
            at = max(at, now + (need - have) / rate)
        kept = min(need - 1, self._limit // KEPT_SHARE)
        over = len(self._in_flight) + len(self._frees_at) + 1 + kept - self._limit
        if over > 0:
            if over > len(self._frees_at):
                return inf
            at = max(at, self._frees_at[over - 1])
        return at

    def send(self, now: float, priority: Priority) -> int:
        """Take a slot for a request that is sent now.

        Returns:
            A ticket, to be handed back with the answer.

        Raises:
            RuntimeError: It may not be sent yet; ask `ready_at` first.
        """
        if self.ready_at(now, priority) > now:
            raise RuntimeError("the budget has no slot now: ask ready_at first")
        self._level -= 1
        self._told -= 1
        self._tickets += 1
        self._in_flight[self._tickets] = now
        return self._tickets

    def answered(self, ticket: int, now: float, *, limit: int | None = None, remaining: int | None = None) -> None:
        """Take in that a request was answered, or failed, otherwise than by 429.

        Headers that cannot be meant (a limit below 1, less than nothing remaining) are passed over.

        Args:
            ticket: The request's ticket.
            now: When the answer was received.
            limit: What the answer says the limit is.
            remaining: What the answer says may still be sent.

        Raises:
            RuntimeError: No such request is in flight.
        """
        if self._done(ticket, now) > self._throttled_at:  # what was sent before a 429 says nothing about it
            self._throttles = 0
        if limit is not None and limit >= 1:
            self._limit = min(limit, LARGEST if self._learn else self._cap)
            self._level = min(self._level, self._burst)
        if remaining is not None and remaining >= 0:
            # The service may or may not have counted what is in flight: it is taken as not counted.
            self._told = min(self._told, float(min(remaining, LARGEST)) - len(self._in_flight))
            self._told_at = max(self._told_at, now)

    def throttled(self, ticket: int, now: float, *, reset_s: float | None, jitter: float) -> None:
        """Take in that a request was answered with 429: everything waits, control too.

        Args:
            ticket: The request's ticket.
            now: When the answer was received.
            reset_s: In how many seconds the service says that requests are possible again; None if it does not. One
                that is over already tells nothing: clocks differ.
            jitter: A random number from 0 up to, not including, 1.

        Raises:
            RuntimeError: No such request is in flight.
        """
        if self._done(ticket, now) > self._throttled_at:  # one burst that is refused is one refusal
            self._throttles += 1
            self._throttled_at = now
        if reset_s is not None and 0 < reset_s < inf:
            wait_s = min(max(reset_s, SHORTEST_RESET_S), LONGEST_RESET_S)
        else:
            most_s = min(FIRST_BACKOFF_S * 2 ** min(self._throttles, 10), LONGEST_BACKOFF_S)
            wait_s = max(FIRST_BACKOFF_S, most_s * (1 - jitter / 2))
        self._blocked_until = max(self._blocked_until, now + wait_s)
        self._level = min(self._level, 1.0 + self._reserve)

    def remaining(self, now: float) -> int:
        """Return how many requests may still be sent within the present minute."""
        self._advance(now)
        left = self._limit - len(self._in_flight) - len(self._frees_at)
        return max(0, int(min(left, self._told)))

    @property
    def _reserve(self) -> int:
        return min(self._wanted_reserve, self._limit - 1)

    @property
    def _burst(self) -> float:
        wanted = self._limit // 12 if self._wanted_burst is None else self._wanted_burst
        return float(max(1 + self._reserve, wanted))

    def _advance(self, now: float) -> None:
        while self._frees_at and self._frees_at[0] <= now:
            self._frees_at.popleft()
        rate = self._limit / WINDOW_S
        if self._filled_at == -inf:
            self._filled_at = now
        if now > self._filled_at:
            self._level = min(self._burst, self._level + (now - self._filled_at) * rate)
            self._filled_at = now
        if now > self._told_at and self._told != inf:
            self._told += (now - self._told_at) * rate
            self._told_at = now
            if self._told >= self._limit:
                self._told = inf

    def _done(self, ticket: int, now: float) -> float:
        """Move a request from those in flight to those of the past minute, and return when it was sent."""
        self._advance(now)
        sent_at = self._in_flight.pop(ticket, None)
        if sent_at is None:
            raise RuntimeError(f"ticket {ticket} is not in flight")
        at = now + WINDOW_S
        if self._frees_at and self._frees_at[-1] > at:
            at = self._frees_at[-1]
        self._frees_at.append(at)
        return sent_at


def _check(name: str, value: object, *, least: int) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= LARGEST:
        raise ConfigurationError(f"{name} must be a whole number from {least} to {LARGEST}, not {shorten(repr(value))}")
