"""Retries: which requests are worth sending again, and how long to wait before. It sends nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

from titan_state.errors import (
    BodyTooLargeError,
    InternalServiceError,
    NotSupportedError,
    PayloadError,
    ResultsNotReadyError,
    TokenUnavailableError,
    TooManyRequestsError,
    TransportError,
)

if TYPE_CHECKING:
    import random

    from titan_state.errors import ServiceError

FIRST_RETRY_S = 0.5
LONGEST_RETRY_S = 30.0
"""How soon a request that failed is sent again: doubled from the first to the longest, with jitter."""


def retry_delay(failures: int, rng: random.Random) -> float:
    """Return how many seconds to wait after so many failures of the same request, one after the other."""
    delay_s: float = min(FIRST_RETRY_S * 2 ** min(failures - 1, 16), LONGEST_RETRY_S)
    return delay_s * (0.5 + rng.random() / 2)


def may_pass(error: ServiceError) -> bool:
    """Return whether the same request may succeed when it is sent again."""
    if isinstance(error, BodyTooLargeError | TokenUnavailableError | NotSupportedError):
        return False
    passing = (TransportError, PayloadError, InternalServiceError, TooManyRequestsError, ResultsNotReadyError)
    return isinstance(error, passing)
