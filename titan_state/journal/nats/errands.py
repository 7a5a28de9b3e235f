"""Errands: what a subscription does beside handing out events, patiently while NATS is away, until it is closed."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any, Final, TypeVar

from titan_state.errors import JournalUnavailableError, shorten

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine

    from titan_state.clock import Clock

T = TypeVar("T")

logger = logging.getLogger("titan_state.journal")

FIRST_RETRY_S: Final = 0.5
LONGEST_RETRY_S: Final = 15.0
"""How soon it is tried again to ask or write what cannot be at present: doubled from the first to the longest."""


class Errands:
    """What is done beside.

    Attributes:
        is_closed: Whether nothing more is begun.
    """

    def __init__(self, name: str, clock: Clock) -> None:
        """Make a place for errands.

        Args:
            name: The name of the subscription.
            clock: The time.
        """
        self.is_closed = False
        self._name = shorten(name)
        self._clock = clock
        self._tasks: set[asyncio.Task[None]] = set()

    def begin(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None] | None:
        """Have something be done beside; it is cancelled when this is closed."""
        if self.is_closed:
            work.close()
            return None
        task = asyncio.create_task(work, name=f"titan_state subscription {self._name}")
        self._tasks.add(task)
        task.add_done_callback(self._ended)
        return task

    async def patiently(self, work: Callable[[], Awaitable[T]], doing: str) -> T:
        """Do something, again and again while NATS is away.

        Args:
            work: What to do.
            doing: What cannot be done while it is away, for the log.

        Raises:
            JournalUnavailableError: NATS is away, and this was closed.
            JournalError: It is refused.
        """
        delay_s = FIRST_RETRY_S
        while True:
            try:
                return await work()
            except JournalUnavailableError as error:
                if self.is_closed:
                    raise
                level = logging.WARNING if delay_s == FIRST_RETRY_S else logging.DEBUG
                logger.log(level, "subscription %s could not %s, which is tried again: %s", self._name, doing, error)
                await self._clock.sleep(delay_s)
                delay_s = min(2 * delay_s, LONGEST_RETRY_S)

    def close(self) -> None:
        """Begin nothing more, and cancel what is under way."""
        self.is_closed = True
        for task in self._tasks:
            task.cancel()

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            logger.error("subscription %s: %s", self._name, shorten(str(error)), exc_info=error)
