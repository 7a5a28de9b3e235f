"""Faults: what goes wrong between the truth and the client, and when.

Which faults there are, and the seeded dice that decide about them. How a fault shows in an answer is in `gate.py`,
`spoiling.py` and the routes. A fault is never a change of the truth; for that there are plans and `move`.
"""

from __future__ import annotations

from collections.abc import Iterable
from random import Random

import attrs

from titan_state.emulator import checks
from titan_state.emulator.stories import seeded
from titan_state.errors import ConfigurationError, shorten

HOW_AT = "numbers of requests, the first is 1"
HOW_WHEN = "a probability from 0 to 1, numbers of requests such as {1, 3}, or When(…)"


def _numbers(numbers: Iterable[int]) -> frozenset[int]:
    found = frozenset(checks.several("at", numbers, int, HOW_AT))
    if any(number < 1 for number in found):
        raise ConfigurationError(f"at takes {HOW_AT}, not {min(found)}")
    return found


def _statuses(statuses: Iterable[int]) -> tuple[int, ...]:
    found = checks.several("error_statuses", statuses, int, "HTTP statuses")
    if not found:
        raise ConfigurationError("error_statuses takes at least one HTTP status")
    return found


@attrs.frozen
class When:
    """Which requests a fault hits. Any of the conditions is enough; without one it hits none.

    Attributes:
        probability: The share of requests, 0 to 1, drawn at random.
        every: Every n-th request.
        at: Exact numbers of requests, the first is 1.
        only: Count and hit only requests with this text in `METHOD /path`, for example `/pause` or `GET /api/v1/tasks`.

    Requests are counted per fault, among those that it can hit, from the moment that this value was put in place.
    """

    probability: float = attrs.field(
        default=0.0, validator=attrs.validators.and_(attrs.validators.ge(0), attrs.validators.le(1))
    )
    every: int | None = attrs.field(default=None, validator=attrs.validators.optional(attrs.validators.ge(1)))
    at: frozenset[int] = attrs.field(default=frozenset(), converter=_numbers)
    only: str = ""


def _when(value: When | float | Iterable[int]) -> When:
    if isinstance(value, When):
        return value
    if isinstance(value, int | float) and 0 <= value <= 1:
        return When(probability=float(value))
    if isinstance(value, Iterable) and not isinstance(value, str | bytes):
        return When(at=frozenset(value))
    raise ConfigurationError(f"a fault takes {HOW_WHEN}, not {shorten(repr(value))}")


@attrs.define(kw_only=True)
class Faults:
    """What goes wrong; every attribute may be set while the service runs.

    ```python
    faults = Faults(server_error=0.1, lost_answer={1}, stale=When(every=5), stale_s=3)
    ```

    Those that are a `When` also take a probability (0.1) or exact numbers of requests ({1, 3}). Durations of lag are
    scenario seconds, those of slowness are seconds of the service's clock.

    Attributes:
        server_error: Refused with one of `error_statuses`; nothing was carried out.
        error_statuses: The HTTP statuses of `server_error` and `error_after`.
        error_after: An action, a run or a new task is carried out, then answered with one of `error_statuses`.
        reset: The connection breaks before anything was carried out.
        lost_answer: An action, a run or a new task is carried out, then the connection breaks.
        late: The request is carried out `late_s` after it arrived.
        slow: The answer is made at once and sent `slow_s` later.
        truncated: The connection breaks in the middle of the answer's body.
        garbled: The answer's body is only half of what it should be, with a `Content-Length` that fits.
        wrong_length: The `Content-Length` of a body is wrong. By turns it is too large, and the connection is closed
            after the whole body; and too small, and only so much of the body is sent, up to the middle of a row.
        broken_body: The connection is reset after any part of the body, with the `Content-Length` of the whole.
        html: A proxy's page, with 200, instead of an answer; nothing was carried out.
        late_s: How long `late` is, in seconds.
        slow_s: How long `slow` is, in seconds.
        spurious_429: 429 though the limit was not reached.
        spurious_reset_s: In how many seconds `spurious_429` says that requests are possible again; None for no header.
        stale_s: How old `stale` answers are at most, in scenario seconds.
        stale: The answer to a read shows the truth of some moment of the last `stale_s`.
        list_lag_s: How far every list lags behind, in scenario seconds.
        shifting: A page after the first is shifted by one, as if an execution before it had appeared or disappeared.
        unreadable_new_s: For how long a new execution is answered with 404, though lists show it.
        ignored_action: An action is accepted and has no effect.
        dates_off_s: By how many seconds every `updated_at` of an execution is ahead; behind if negative.
        seed: The seed of the dice, None for the emulator's.
    """

    server_error: When = attrs.field(default=When(), converter=_when)
    error_statuses: tuple[int, ...] = attrs.field(default=(500, 502, 503), converter=_statuses)
    error_after: When = attrs.field(default=When(), converter=_when)
    reset: When = attrs.field(default=When(), converter=_when)
    lost_answer: When = attrs.field(default=When(), converter=_when)
    late: When = attrs.field(default=When(), converter=_when)
    late_s: float = attrs.field(default=1.0, validator=checks.seconds)
    slow: When = attrs.field(default=When(), converter=_when)
    slow_s: float = attrs.field(default=1.0, validator=checks.seconds)
    truncated: When = attrs.field(default=When(), converter=_when)
    garbled: When = attrs.field(default=When(), converter=_when)
    wrong_length: When = attrs.field(default=When(), converter=_when)
    broken_body: When = attrs.field(default=When(), converter=_when)
    html: When = attrs.field(default=When(), converter=_when)
    spurious_429: When = attrs.field(default=When(), converter=_when)
    spurious_reset_s: float | None = attrs.field(default=2.0, validator=checks.seconds_or_none)
    stale: When = attrs.field(default=When(), converter=_when)
    stale_s: float = attrs.field(default=2.0, validator=checks.seconds)
    list_lag_s: float = attrs.field(default=0.0, validator=checks.seconds)
    shifting: When = attrs.field(default=When(), converter=_when)
    unreadable_new_s: float = attrs.field(default=0.0, validator=checks.seconds)
    ignored_action: When = attrs.field(default=When(), converter=_when)
    dates_off_s: float = 0.0
    seed: int | None = None

    @classmethod
    def none(cls) -> Faults:
        """Return a service without faults."""
        return cls()

    @classmethod
    def rough(cls, seed: int | None = None) -> Faults:
        """Return a bit of everything that a network and lagging replicas do; nothing here lies about the model.

        Args:
            seed: The seed of the dice, None for the emulator's.
        """
        return cls(
            server_error=0.03,
            error_after=0.03,
            reset=0.02,
            lost_answer=0.05,
            late=0.02,
            late_s=0.1,
            slow=0.05,
            slow_s=0.2,
            truncated=0.01,
            garbled=0.01,
            broken_body=0.01,
            html=0.01,
            spurious_429=0.01,
            spurious_reset_s=1.0,
            stale=0.3,
            stale_s=2.0,
            list_lag_s=1.0,
            shifting=0.05,
            unreadable_new_s=0.5,
            seed=seed,
        )


class Dice:
    """Decides which request a fault hits; the same seed and the same requests give the same faults."""

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._sources: dict[str, Random] = {}
        self._counts: dict[str, tuple[When, int]] = {}

    def hit(self, faults: Faults, name: str, request: str) -> bool:
        """Return whether the fault `name` hits this request.

        Args:
            faults: The faults of the moment.
            name: The name of a `When` attribute of it.
            request: The request as `METHOD /path`.
        """
        when: When = getattr(faults, name)
        if when.only not in request:
            return False
        before, count = self._counts.get(name, (when, 0))
        count = count + 1 if before is when else 1
        self._counts[name] = (when, count)
        if count in when.at or (when.every and count % when.every == 0):
            return True
        return when.probability > 0 and self.source(faults, name).random() < when.probability

    def source(self, faults: Faults, name: str) -> Random:
        """Return the fault's own source of choices, so that one fault does not change another's story."""
        key = f"{self._seed if faults.seed is None else faults.seed}:{name}"
        source = self._sources.get(key)
        if source is None:
            source = self._sources[key] = seeded(key)
        return source
