"""Retries: how long to wait before a request that failed is sent again. It sends nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import random

FIRST_RETRY_S = 0.5
LONGEST_RETRY_S = 30.0
"""How soon a request that failed is sent again: doubled from the first to the longest, with jitter."""


def retry_delay(failures: int, rng: random.Random) -> float:
    """Return how many seconds to wait after so many failures of the same request, one after the other."""
    delay_s: float = min(FIRST_RETRY_S * 2 ** min(failures - 1, 16), LONGEST_RETRY_S)
    return delay_s * (0.5 + rng.random() / 2)
