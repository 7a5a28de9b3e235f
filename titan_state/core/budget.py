"""RequestBudget: how many requests may still be sent, and when. Pure: time and chance come in as arguments.

It keeps a sliding log of what was sent and a bucket that paces it. It does not know what requests are for, beyond
their priority, and it sends nothing.
"""

from __future__ import annotations

from collections import deque
from enum import IntEnum
from math import exp, inf
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

HEADROOM: Final = 4
"""What other clients of the account spend is left to them, and one in how many of it more: so much they may grow
before a request of theirs, or of ours, is refused."""

LEAST_SHARE: Final = 10
"""One in how many slots of the minute is for reads at least, however much others spend; `Remaining` still binds."""

OTHERS_FADE_S: Final = 30.0
"""In how many seconds an estimate of what others spend that has become too high loses all but 37 % of the excess."""

INTERVAL_S: Final = 0.5
UNLIMITED_INTERVAL_S: Final = 1.0
"""How soon the same thing is read again at the earliest, by default, and where no limit is in force: a change is then
noticed after half of it on average. The first is what 120 requests a minute allow for a single thing."""

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

    ```python
    budget = RequestBudget(60, reserve=1)  # hand it over: Monitor(url, token, budget=budget)
    ```

    In no 60 s window more requests are sent than the limit, where each counts from when it is sent until 60 s after
    its answer was received. Within that they are paced: a bucket refills at the limit's rate, and holds a small burst.
    Everything but control leaves a reserve in the bucket, so that a burst of polls does not hold control up, and keeps
    the same number of slots in the window free, up to a twentieth of the limit. What other clients of the account
    spend shows in the service's headers: everything but control leaves it to them, with some room to grow.

    A monitor asks and tells it by itself. All times are seconds of one clock that never goes back.

    Attributes:
        min_interval_s: How soon the same thing is read again, at the earliest, in seconds.
    """

    def __init__(
        self,
        per_minute: int | None = 120,
        burst: int | None = None,
        *,
        reserve: int = 2,
        learn: bool = False,
        min_interval_s: float | None = None,
    ) -> None:
        """Make a budget.

        Args:
            per_minute: The most requests in any minute. The documentation's typical default is about 120 for each
                account, shared by all its processes. Headers of the service only lower it. None where the deployment
                has no limit: reads then keep the pace of `min_interval_s`, unless a header tells of a limit after all.
            burst: How many requests may go at once after a quiet time, those of the reserve included; a twelfth of
                the limit by default, and always one more than the reserve.
            reserve: How many requests everything but control leaves to it; less where the limit is that low.
            learn: Whether headers of the service may raise the limit above `per_minute`, too.
            min_interval_s: How soon the same thing is read again, at the earliest, in seconds: 0.5 by default, and 1
                where there is no limit.

        Raises:
            ConfigurationError: A number that cannot work.
        """
        if per_minute is not None:
            _check("per_minute", per_minute, least=1)
        _check("reserve", reserve, least=0)
        if burst is not None:
            _check("burst", burst, least=1)
        if min_interval_s is None:
            min_interval_s = INTERVAL_S if per_minute is not None else UNLIMITED_INTERVAL_S
        is_number = isinstance(min_interval_s, int | float) and not isinstance(min_interval_s, bool)
        if not is_number or not 0 <= min_interval_s < inf:
            raise ConfigurationError(f"min_interval_s must be a number of seconds, 0 or more, not {min_interval_s!r}")
        self.min_interval_s: float = float(min_interval_s)
        self._cap = LARGEST if per_minute is None else per_minute
        self._learn = learn
        self._limit = self._cap
        self._others = 0.0  # what other clients of the account spend in a minute
        self._others_at = -inf
        self._told_limit = 0  # what the service says, which may be more than ours
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
        limit = "no limit" if self.limit is None else f"{self.limit} a minute"
        return f"<RequestBudget of {limit}, {len(self._in_flight)} in flight>"

    @property
    def limit(self) -> int | None:
        """The most requests in any minute, as far as is known now; None if there is no limit."""
        return self._limit if self._limit < LARGEST else None

    @property
    def others(self) -> int:
        """How many requests other clients of the account have sent in the past minute, as far as headers show it."""
        return round(self._others)

    def rate(self, now: float) -> float:
        """Return how many reads may be sent per second at present, in the long run.

        Args:
            now: The time, in seconds.
        """
        self._advance(now)
        return self._share / WINDOW_S

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
        have = min(self._level, self._told)
        if have < need - ROUNDING:
            at = max(at, now + (need - have) / (self._limit / WINDOW_S))
        most = self._limit if priority is Priority.CONTROL else self._share
        over = len(self._in_flight) + len(self._frees_at) + 1 - most
        if over > 0:
            if over > len(self._frees_at):
                return inf
            at = max(at, self._frees_at[over - 1])
        return at

    def send(self, now: float, priority: Priority) -> int:
        """Take a slot for a request that is sent now.

        Args:
            now: The time, in seconds.
            priority: What the request is for: control goes first, then confirmation, outputs and polls.

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
            self._told_limit = min(limit, LARGEST)
        if remaining is not None and remaining >= 0:
            ours = len(self._in_flight) + len(self._frees_at)
            self._saw_others(self._told_limit - min(remaining, LARGEST) - ours, now)
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

    def succeed(self, now: float) -> None:
        """Take in that another client has just stopped, of which it is not known what it has spent.

        It may have spent its burst at last, and a minute's requests in the minute before. Nothing is sent until that
        would have been made up for, and no more than the pace allows after it, so that both together stay within the
        limit.

        Args:
            now: The time, in seconds.
        """
        self._advance(now)
        self._level = -self._burst

    def remaining(self, now: float) -> int:
        """Return how many requests may still be sent within the present minute.

        Args:
            now: The time, in seconds.
        """
        left = self._limit - self.spent(now)
        return max(0, int(min(left, self._told)))

    def spent(self, now: float) -> int:
        """Return how many requests of the present minute are spent, those in flight included.

        Args:
            now: The time, in seconds.
        """
        self._advance(now)
        return len(self._in_flight) + len(self._frees_at)

    @property
    def _share(self) -> int:
        """How many requests in any minute everything but control is held to."""
        kept = min(self._reserve, self._limit // KEPT_SHARE)
        most = self._limit - kept
        if self._others < 1 or self._told_limit < 1:
            return most
        left = self._told_limit - kept - int(self._others * (1 + 1 / HEADROOM)) - 1
        return max(1, min(most, max(left, self._limit // LEAST_SHARE)))

    def _saw_others(self, spent: int, now: float) -> None:
        """Take in what others have spent in the past minute, by the service's count less ours."""
        fades = exp(-max(0.0, now - self._others_at) / OTHERS_FADE_S)
        self._others_at = max(now, self._others_at)
        self._others = max(float(spent), self._others * fades + max(0, spent) * (1.0 - fades), 0.0)

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
