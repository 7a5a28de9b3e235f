"""Groups of exceptions, such as task groups raise: what is in them beside a fatal error of ours."""

from __future__ import annotations

import asyncio


def is_only(error: BaseException | None, fatal: Exception) -> bool:
    """Return whether a group, such as a task group raises, holds nothing but the fatal error and cancellations."""
    if not isinstance(error, BaseExceptionGroup):
        return False
    return error.split(lambda one: one is fatal or isinstance(one, asyncio.CancelledError))[1] is None
