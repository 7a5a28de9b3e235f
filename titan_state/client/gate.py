"""Gate: lets requests out when the budget allows, better priorities first.

It waits for the budget; it neither sends requests nor knows what they are for.
"""

from __future__ import annotations

import asyncio
import contextlib
from bisect import insort
from math import inf, isinf
from typing import TYPE_CHECKING, Any, Final, Protocol

from titan_state.clock import within
from titan_state.core.budget import Priority
from titan_state.errors import ConnectionFailedError

if TYPE_CHECKING:
    from titan_state.clock import Clock
    from titan_state.core.budget import RequestBudget

LOOK_AGAIN_S: Final = 1.0
"""How soon the budget is asked again while it waits for answers: they may be another client's that shares it."""

PATIENCE_S: Final = 5.0
"""For how long what somebody asked for waits for the permit: they are told then. What is read by itself waits on."""

UNPERMITTED: Final = (
    "nothing is sent at present, and this was not: it is not certain that no other monitor leads the account; "
    "check that the journal can be reached, then ask again"
)


class Permit(Protocol):
    """That this client, of several that could, is the one that may send requests."""

    @property
    def is_held(self) -> bool:
        """Whether it may at this moment."""
        ...

    async def until_held(self) -> None:
        """Return when it may; raise if it never will."""
        ...


class Gate:
    """The one door that all requests of a client go through.

    Attributes:
        permit: Whether requests may be sent at all; None for always.
    """

    permit: Permit | None = None

    def __init__(self, budget: RequestBudget, clock: Clock) -> None:
        self._budget = budget
        self._clock = clock
        self._waiting: list[tuple[Priority, int, asyncio.Future[int]]] = []  # sorted; the number is unique
        self._count = 0
        self._keeper: asyncio.Task[None] | None = None
        self._changed = asyncio.Event()
        self._is_closed = False

    @property
    def waiting(self) -> int:
        """How many requests wait for a slot."""
        return len(self._waiting)

    @property
    def is_closed(self) -> bool:
        """Whether nobody is let out any more."""
        return self._is_closed

    async def enter(self, priority: Priority) -> int:
        """Wait for the permit and a slot, and take it. Cancelling leaves no waiter behind.

        Args:
            priority: Better ones go first, equal ones in the order of their coming.

        Returns:
            The budget's ticket, which must be handed back with the answer.

        Raises:
            ConnectionFailedError: The client is closed, or was while this waited; or somebody asked for it
                (`Priority.CONTROL`), and the permit is not to be had at present.
        """
        while True:
            await self._permitted(inf if priority is not Priority.CONTROL else PATIENCE_S)
            ticket = await self._slot(priority)
            if self.permit is None or self.permit.is_held:
                return ticket
            self._budget.answered(ticket, self._clock.time())  # spent: the budget takes nothing back

    async def _permitted(self, patience_s: float) -> None:
        deadline = self._clock.time() + patience_s
        while self.permit is not None and not self.permit.is_held:
            self.ensure_open()
            left_s = deadline - self._clock.time()
            if left_s <= 0:
                raise ConnectionFailedError(UNPERMITTED, sent=False)
            with contextlib.suppress(TimeoutError):
                await within(self._clock, min(LOOK_AGAIN_S, left_s), self.permit.until_held())

    async def _slot(self, priority: Priority) -> int:
        self.ensure_open()
        self._count += 1
        future: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        waiter = (priority, self._count, future)
        insort(self._waiting, waiter)
        self._admit()
        if not future.done():
            self._changed.set()
            if self._keeper is None or self._keeper.done():
                self._keeper = asyncio.create_task(self._keep(), name="titan_state gate")
        try:
            ticket = await future
        except asyncio.CancelledError:
            if not future.cancelled() and future.exception() is None:
                # The slot was given in the same moment. It counts as spent: the budget takes nothing back.
                self._budget.answered(future.result(), self._clock.time())
            elif waiter in self._waiting:
                self._waiting.remove(waiter)
            self.answered()
            raise
        try:
            self.ensure_open()  # again: closed in the same moment, a connection opened now would be left open
        except ConnectionFailedError:
            self._budget.answered(ticket, self._clock.time())
            raise
        return ticket

    def answered(self) -> None:
        """Look again: an answer is in, and may have freed a slot."""
        self._admit()
        self._changed.set()

    async def close(self) -> None:
        """Let nobody out any more; whoever still waits gets an error."""
        self._is_closed = True
        waiting, self._waiting = self._waiting, []
        for _, _, future in waiting:
            if not future.done():
                future.set_exception(_closed())
        self._changed.set()
        if self._keeper is not None:
            await asyncio.wait((self._keeper,))

    def ensure_open(self) -> None:
        """Return if anybody is let out still.

        Raises:
            ConnectionFailedError: The client is closed.
        """
        if self._is_closed:
            raise _closed()

    def _admit(self) -> None:
        """Let out whoever may go now."""
        while self._waiting:
            priority, _, future = self._waiting[0]
            if not future.done():
                now = self._clock.time()
                if self._budget.ready_at(now, priority) > now:
                    return
                future.set_result(self._budget.send(now, priority))
            del self._waiting[0]

    async def _keep(self) -> None:
        """Let waiting requests out as their time comes, until none waits."""
        while self._waiting:
            self._changed.clear()
            now = self._clock.time()
            at = self._budget.ready_at(now, self._waiting[0][0])
            wait_s = LOOK_AGAIN_S if isinf(at) else at - now
            changes: list[asyncio.Future[Any]] = [
                asyncio.ensure_future(self._changed.wait()),
                asyncio.ensure_future(self._clock.sleep(wait_s)),
            ]
            try:
                await asyncio.wait(changes, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for change in changes:
                    change.cancel()
            self._admit()


def _closed() -> ConnectionFailedError:
    return ConnectionFailedError("the client is closed: make another one", sent=False)
