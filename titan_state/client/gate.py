"""Gate: lets requests out when the budget allows, better priorities first.

It waits for the budget; it neither sends requests nor knows what they are for.
"""

from __future__ import annotations

import asyncio
import heapq
from math import isinf
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from titan_state.clock import Clock
    from titan_state.core.budget import Priority, RequestBudget


class Gate:
    """The one door that all requests of a client go through."""

    def __init__(self, budget: RequestBudget, clock: Clock) -> None:
        self._budget = budget
        self._clock = clock
        self._waiting: list[tuple[Priority, int, asyncio.Future[int]]] = []
        self._count = 0
        self._keeper: asyncio.Task[None] | None = None
        self._changed = asyncio.Event()

    async def enter(self, priority: Priority) -> int:
        """Wait for a slot and take it.

        Args:
            priority: Better ones go first, equal ones in the order of their coming.

        Returns:
            The budget's ticket, which must be handed back with the answer.
        """
        future: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self._count += 1
        heapq.heappush(self._waiting, (priority, self._count, future))
        self._admit()
        if not future.done():
            self._changed.set()
            if self._keeper is None or self._keeper.done():
                self._keeper = asyncio.create_task(self._keep(), name="titan_state gate")
        try:
            return await future
        except asyncio.CancelledError:
            if future.done() and not future.cancelled():  # the slot was taken, and will not be used
                self._budget.answered(future.result(), self._clock.time())
            raise

    def answered(self) -> None:
        """Look again: an answer is in, and may have freed a slot."""
        self._admit()
        self._changed.set()

    async def close(self) -> None:
        """Stop waiting; whoever still waits is cancelled."""
        if self._keeper is not None:
            self._keeper.cancel()
            await asyncio.gather(self._keeper, return_exceptions=True)
        for _, _, future in self._waiting:
            future.cancel()
        self._waiting.clear()

    def _admit(self) -> None:
        """Let out whoever may go now."""
        while self._waiting:
            priority, _, future = self._waiting[0]
            if not future.done():
                now = self._clock.time()
                if self._budget.ready_at(now, priority) > now:
                    return
                future.set_result(self._budget.send(now, priority))
            heapq.heappop(self._waiting)

    async def _keep(self) -> None:
        """Let waiting requests out as their time comes, until none waits."""
        while self._waiting:
            self._changed.clear()
            now = self._clock.time()
            at = self._budget.ready_at(now, self._waiting[0][0])
            changed = asyncio.ensure_future(self._changed.wait())
            alarm = None if isinf(at) else asyncio.ensure_future(self._clock.sleep(at - now))
            try:
                await asyncio.wait(
                    (changed,) if alarm is None else (changed, alarm), return_when=asyncio.FIRST_COMPLETED
                )
            finally:
                changed.cancel()
                if alarm is not None:
                    alarm.cancel()
            self._admit()
