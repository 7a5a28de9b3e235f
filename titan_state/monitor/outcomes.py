"""Outcomes: whether a request that failed may have been carried out, and for how long that is looked for by reading."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final, TypeVar

from titan_state.errors import (
    InternalServiceError,
    NotSupportedError,
    PayloadError,
    ServiceError,
    TooManyRequestsError,
    TransportError,
)

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

T = TypeVar("T")

logger = logging.getLogger("titan_state.monitor")

ATTEMPTS: Final = 5
"""How often a request is sent that was answered with 429, which says that it was not carried out."""

RESOLVE_LAGS: Final = 3
"""For how many replica lags an outcome is looked for that no answer told, by reading."""

LOOKS: Final = 6
"""How many reads look for it in that time."""


def is_ambiguous(error: ServiceError) -> bool:
    """Return whether a request that failed may have been carried out."""
    if isinstance(error, TransportError):
        return error.sent
    if isinstance(error, NotSupportedError):
        return False
    return isinstance(error, InternalServiceError | PayloadError)


def look_pause(replica_lag_s: float) -> float:
    """Return how many seconds there are between two looks for an outcome."""
    return RESOLVE_LAGS * replica_lag_s / LOOKS


async def unless_throttled(send: Callable[[], Awaitable[T]]) -> T:
    """Send a request, and again while it is answered with 429: the budget waits in between."""
    for _ in range(ATTEMPTS - 1):
        try:
            return await send()
        except TooManyRequestsError as error:
            logger.info("a request waits for the request limit: %s", error)
    return await send()
