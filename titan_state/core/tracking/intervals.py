"""Intervals: how far apart looks for results are. Who looks, and at what, is decided elsewhere."""

from __future__ import annotations

from typing import Final

FIRST_LOOK_S: Final = 1.0
"""How long after a success the first look comes at the earliest, and how far apart looks are at least."""

LONGEST_GAP_S: Final = 1800.0
"""How far apart looks are at most: results that are very late are noticed so soon."""


def gap_s(age_s: float, usual_s: float = 0.0) -> float:
    """Return how many seconds after a look that found nothing the next one is worth it.

    The later results are against what is usual, the longer: what is waited for doubles with each look.

    Args:
        age_s: For how long they have been waited for.
        usual_s: How late results usually come.
    """
    return min(max(FIRST_LOOK_S, usual_s / 4, age_s - usual_s), LONGEST_GAP_S)


def look_within(age_s: float, limit_s: float) -> float | None:
    """Return as `gap_s` does, but so that the last look comes at a limit; None once that is reached.

    Args:
        age_s: For how long they have been waited for.
        limit_s: For how long they are waited for at most.
    """
    return None if age_s >= limit_s else min(gap_s(age_s), limit_s - age_s)
