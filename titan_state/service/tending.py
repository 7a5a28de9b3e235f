"""Tending: one account, for as long as the service runs: stand by, lead, and after every setback again.

What an error means is said in `setbacks.py`, whose turn it is in `fleet.py`.
"""

from __future__ import annotations

import asyncio
import logging
import os
import random
import socket
from typing import TYPE_CHECKING, Any, Final, cast

import attrs

from titan_state.clock import Clock, SystemClock
from titan_state.core.budget import RequestBudget
from titan_state.errors import TitanStateError
from titan_state.instrumentation import Figure
from titan_state.journal.address import journal_of
from titan_state.monitor.monitor import Monitor
from titan_state.service.accounts import account_of
from titan_state.service.logs import current_account
from titan_state.service.opening import Told
from titan_state.service.setbacks import READY, State, setback
from titan_state.service.turns import Alone

if TYPE_CHECKING:
    from collections.abc import Sequence

    from titan_state.instrumentation import Telemetry
    from titan_state.journal.base import Journal
    from titan_state.monitor.handlers import Handlers
    from titan_state.service.accounts import Account
    from titan_state.service.setbacks import Setback
    from titan_state.service.turns import Turns

logger = logging.getLogger("titan_state.service")

STEADY_S: Final = 60.0
"""Whoever has led for so long begins anew to count failures."""

DOUBTED_S: Final = 300.0
"""For how long a token that was refused is not trusted, where nothing shows whether it is good now."""


@attrs.frozen(kw_only=True)
class Report:
    """How an account fares; no execution is named.

    Attributes:
        account: What it is called.
        state: What is done for it.
        for_s: For how many seconds.
        is_ready: Whether it is led as it should be, or stood by for.
        leader: Who leads it, as far as is known; None where nobody is known to.
        remaining: How many requests may still be sent in the present minute; None where it is not led.
        backlog: How many events wait to be written down or delivered here.
        reasons: Why it is not ready.
    """

    account: str
    state: State
    for_s: float
    is_ready: bool
    leader: str | None = None
    remaining: int | None = None
    backlog: int = 0
    reasons: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON types."""
        return attrs.asdict(self) | {"state": str(self.state), "for_s": round(self.for_s, 1)}


class Tending:
    """Tends one account.

    Attributes:
        account: The account.
        state: What is done for it.
        failure: The error that ended it for good, None as long as it goes on.
    """

    def __init__(
        self,
        account: Account,
        journal: str | os.PathLike[str],
        *,
        handlers: Handlers | None = None,
        turns: Turns | None = None,
        clock: Clock | None = None,
        drain_s: float = 10.0,
        rng: random.Random | None = None,
        telemetry: Telemetry | None = None,
    ) -> None:
        """Make one that has not begun.

        Args:
            account: The account.
            journal: The address of its journal, unless the account has one of its own.
            handlers: Callbacks that are called in this process while it leads.
            turns: Whose turn it is, where there are several members.
            clock: The time.
            drain_s: How many seconds open deliveries have when it ends.
            rng: Jitter comes from it.
            telemetry: What measures, None for nothing.
        """
        self.account = account
        self.state = State.STARTING
        self.failure: Exception | None = None
        self._address = account.journal or journal
        self._handlers = handlers
        self._turns: Turns = Alone() if turns is None else turns
        self._clock = clock or SystemClock()
        self._drain_s = drain_s
        self._rng = rng or random.Random()  # noqa: S311 - jitter, nothing secret
        self._budget = RequestBudget() if account.per_minute is None else RequestBudget(account.per_minute)
        self._telemetry = telemetry
        self._leaving = asyncio.Event()
        self._attempt: asyncio.Task[None] | None = None
        self._is_leading = False
        self._monitor: Monitor | None = None
        self._journal: Journal | None = None
        self._since = self._clock.time()
        self._reason = ""
        self._failures = 0

    def __repr__(self) -> str:
        return f"<Tending of {self.account.label}: {self.state}>"

    @property
    def is_able(self) -> bool:
        """Whether this member could lead the account, or does."""
        return self.state in READY and not self._doubts() and not self._leaving.is_set()

    def report(self) -> Report:
        """Return how it fares."""
        doubts, monitor = self._doubts(), self._monitor
        is_ready, backlog = self.state in READY and not doubts, 0
        reasons = [self._reason] if self._reason else [] if is_ready else [f"it is {self.state}"]
        if self._leaving.is_set():
            is_ready, reasons = False, [*reasons, "the service is ending"]
        if self.state is State.STANDING_BY and self._journal is not None and self._journal.trouble is not None:
            is_ready, reasons = False, [*reasons, f"the journal: {self._journal.trouble}"]
        if monitor is not None:
            health = monitor.health()
            is_ready, reasons, backlog = is_ready and health.is_ready, [*reasons, *health.reasons], health.backlog
        return Report(
            account=self.account.label,
            state=self.state,
            for_s=self._clock.time() - self._since,
            is_ready=is_ready,
            leader=_this_process() if self._is_leading else getattr(self._journal, "leader", None),
            remaining=None if monitor is None else monitor.remaining,
            backlog=backlog,
            reasons=tuple(reasons),
        )

    def _doubts(self) -> bool:
        """Return whether the last refusal may last: nothing was answered since, and it is not long ago."""
        if self._reason and self.state in READY:
            monitor = self._monitor
            is_answered = monitor is not None and monitor.service.statistics.answers["2xx"] > 0
            if is_answered or self._clock.time() - self._since > DOUBTED_S:
                self._reason = ""
        return bool(self._reason)

    def leave(self) -> None:
        """Come to an end: stand by no longer, or stop leading in order, open deliveries first."""
        self._leaving.set()
        if self._attempt is not None and not self._is_leading:
            self._attempt.cancel()

    async def run(self) -> None:
        """Tend the account until `leave` is called, or until an error says that only a person can help."""
        current_account.set(self.account.label)
        if self._telemetry is None:
            await self._tend()
            return
        measures = self._telemetry.instrument(account_of(self.account, self._address), str)
        measures.show(self._figures)
        try:
            await self._tend()
        finally:
            measures.leave()

    def _figures(self) -> Sequence[Figure]:
        """Return what is to be shown while no monitor is there to stand by, or to lead."""
        if self._journal is not None:
            return ()
        return Figure("leader.active", 0), Figure("monitor.ready", self.report().is_ready)

    async def _tend(self) -> None:
        while not self._leaving.is_set():
            self._attempt = asyncio.create_task(self._lead(), name="titan_state tending")
            try:
                await asyncio.wait((self._attempt,))
            except asyncio.CancelledError:
                self._attempt.cancel()
                await asyncio.wait((self._attempt,))
                raise
            error = None if self._attempt.cancelled() else self._attempt.exception()
            if error is not None and not await self._endured(error):
                return
        self._enter(State.ENDED)
        logger.info("the account is let go")

    async def _lead(self) -> None:
        """Wait for our turn, stand by, lead, and return when the account is to be handed over, or we are to leave."""
        await self._until_turn()
        self._journal = journal_of(self._address, self._clock)
        monitor = Monitor(
            self.account.url,
            self.account.token,
            account=self.account.name,
            journal=cast("Journal", Told(self._journal, self._opened)),
            handlers=self._handlers,
            budget=self._budget,
            clock=self._clock,
            drain_s=self._drain_s,
            telemetry=self._telemetry,
        )
        try:
            async with monitor:
                self._is_leading, self._monitor = True, monitor
                self._watch(monitor)
                self._enter(State.LEADING)
                logger.info("leads the account")
                await self._until_over()
        finally:
            self._is_leading, self._monitor, self._journal = False, None, None

    def _opened(self, journal: Journal) -> None:
        """Take in that the journal can be reached: from now on it is waited for the lead, if others can have it."""
        if journal.is_shared:
            self._enter(State.STANDING_BY)

    async def _until_turn(self) -> None:
        turn = asyncio.ensure_future(self._turns.until_turn(self.account.label))
        try:
            await asyncio.sleep(0)
            if not turn.done() and not self._reason:
                self._enter(State.DEFERRING)
            await turn
        finally:
            turn.cancel()

    def _watch(self, monitor: Monitor) -> None:
        monitor.watch(*self.account.ids)
        for task in self.account.tasks:
            monitor.watch_task(task)
        if not (self.account.ids or self.account.tasks):
            monitor.watch_all()

    async def _until_over(self) -> None:
        leaving = asyncio.ensure_future(self._leaving.wait())
        due = asyncio.ensure_future(self._turns.until_due(self.account.label))
        try:
            await asyncio.wait((leaving, due), return_when=asyncio.FIRST_COMPLETED)
            if due.done():
                due.result()
                logger.info("the account is handed over to another member")
        finally:
            leaving.cancel()
            due.cancel()
            await asyncio.gather(leaving, due, return_exceptions=True)

    async def _endured(self, error: BaseException) -> bool:
        """Take in what ended the last attempt, and return when the next one is due; False if there is none."""
        told = setback(error)
        if self.state in READY and self._clock.time() - self._since >= STEADY_S:
            self._failures = 0
        self._failures = self._failures + 1 if told.reason else 0
        if told.state is State.FAILED:
            self.failure = error if isinstance(error, Exception) else RuntimeError(repr(error))
            logger.error("the account is tended no longer, until a person has helped: %s", error)
            self._enter(State.FAILED, told.reason)
            return False
        delay_s = told.delay_s(max(self._failures, 1), self._rng)
        _tell(error, told, delay_s)
        self._enter(told.state, told.reason)
        alarm = asyncio.ensure_future(self._clock.sleep(delay_s))
        leaving = asyncio.ensure_future(self._leaving.wait())
        try:
            await asyncio.wait((alarm, leaving), return_when=asyncio.FIRST_COMPLETED)
        finally:
            alarm.cancel()
            leaving.cancel()
            await asyncio.gather(alarm, leaving, return_exceptions=True)
        return True

    def _enter(self, state: State, reason: str | None = None) -> None:
        """Take in what is done from now on, and why if that is no good; a refusal stays in doubt until it is over."""
        if reason is None:
            is_doubted = self.state is State.REFUSED or (self.state in READY and bool(self._reason))
            reason = self._reason if is_doubted and state in READY else ""
        if state is not self.state:
            self._since = self._clock.time()
        self.state, self._reason = state, reason


def _this_process() -> str:
    """Return who leads what is led here, as journals have it."""
    return f"process {os.getpid()} on {socket.gethostname()}"


def _tell(error: BaseException, told: Setback, delay_s: float) -> None:
    """Log what ended an attempt."""
    if isinstance(error, TitanStateError | OSError):
        logger.warning("%s; next attempt in %.1f s: %s", told.cause or "the lead was lost", delay_s, error)
    else:
        logger.error("%s; next attempt in %.1f s", told.cause, delay_s, exc_info=error)
