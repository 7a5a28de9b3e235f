"""NatsJournal: the journal of an account in NATS JetStream. It puts the parts together, and says what is done when."""

from __future__ import annotations

import asyncio
import logging
import os
import ssl
from collections.abc import Sequence
from contextlib import AsyncExitStack
from datetime import datetime
from typing import TYPE_CHECKING, Final

from titan_state.clock import Clock, SystemClock
from titan_state.errors import (
    ConfigurationError,
    JournalError,
    JournalUnavailableError,
    MonitorClosedError,
    PayloadError,
    shorten,
)
from titan_state.journal.base import BEGINNING, Commit
from titan_state.journal.nats import stream
from titan_state.journal.nats.leading import Leading
from titan_state.journal.nats.link import Link
from titan_state.journal.nats.messages import row_read
from titan_state.journal.nats.parts import Parts
from titan_state.journal.nats.settings import Settings, environment, settings_of
from titan_state.journal.nats.subscription import NatsSubscription
from titan_state.journal.nats.writer import LARGEST_COMMIT

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable

    from titan_state.core.events import Event
    from titan_state.core.tracking.state import Row, State
    from titan_state.journal.base import Letter, Since, SubscriptionState
    from titan_state.journal.nats.lease import NatsLease

logger = logging.getLogger("titan_state.journal")

LOOK_S: Final = 1.0
"""How often it is looked for a stream that is still to be made, and for events that others have written."""


class NatsJournal:
    """A journal in NATS JetStream. See `Journal` for what each method does.

    Any number of programs use it at the same time, on any number of machines: of the monitors of an account one leads,
    and the others stand by; programs with the same subscription share its deliveries, in order for each execution.

    Attributes:
        account: Whose executions these are, None as long as that is not said.
    """

    is_durable = True
    is_shared = True
    largest_commit = LARGEST_COMMIT

    def __init__(
        self,
        servers: str | Sequence[str],
        *,
        account: str | None = None,
        replicas: int | None = None,
        partitions: int | None = None,
        age_s: float | None = None,
        max_events: int | None = None,
        max_bytes: int | None = None,
        lease_s: float | None = None,
        user: str | None = None,
        password: str | None = None,
        token: str | None = None,
        creds: str | os.PathLike[str] | None = None,
        nkey: str | os.PathLike[str] | None = None,
        tls: ssl.SSLContext | None = None,
        stands_by: bool = True,
        clock: Clock | None = None,
    ) -> None:
        """Make a journal that is not open yet.

        What is None is taken from the address, and credentials then from the environment (`NATS_USER`,
        `NATS_PASSWORD`, `NATS_TOKEN`, `NATS_CREDS`, `NATS_NKEY`, `NATS_CA`, `NATS_CERT`, `NATS_KEY`).

        Args:
            servers: `nats://[user:password@]host:port[,host:port]?option=value`, or `tls://…`; or several addresses of
                one cluster. The options are `account`, `replicas`, `partitions`, `age`, `events`, `bytes`, `lease`,
                `creds`, `nkey`, `ca`, `cert` and `key`.
            account: Whose executions these are. A monitor says so itself; a program that only follows needs it where
                there are several.
            replicas: On how many servers a stream is kept that is made, 1 by default; one that exists stays as it is.
            partitions: Into how many partitions its executions are divided, 16 by default, fixed when it is made.
            age_s: For how long the log is kept by itself, in seconds, 30 days by default.
            max_events: How many events are kept by themselves, 1,000,000 by default.
            max_bytes: How large a stream may become that is made; as large as the server lets it by default.
            lease_s: How long a leader that is not heard of keeps its place, in seconds: 10 by default, the same for all
                accounts of one NATS.
            user: The user, with `password`.
            password: The password.
            token: A token.
            creds: A file with credentials.
            nkey: A file with the seed of an nkey.
            tls: How the server is to be recognised.
            stands_by: Whether a monitor waits while another one leads, and a subscriber until there is a stream; else
                that is an error.
            clock: The time, the machine's own by default.

        Raises:
            ConfigurationError: Something cannot work; the message says what to do.
        """
        self._settings: Settings = settings_of(
            servers,
            environment(),
            account=account,
            replicas=replicas,
            partitions=partitions,
            age_s=age_s,
            max_events=max_events,
            max_bytes=max_bytes,
            lease_s=lease_s,
            user=user,
            password=password,
            token=token,
            creds=None if creds is None else os.fspath(creds),
            nkey=None if nkey is None else os.fspath(nkey),
            tls=tls,
        )
        self.account: str | None = self._settings.account
        self._stands_by = stands_by
        self._clock = clock or SystemClock()
        self._link = Link(self._settings, self._clock)
        self._parts: Parts | None = None
        self._leading: Leading | None = None
        self._head = 0
        self._looked_at = float("-inf")
        self._several: Sequence[str] = ()  # the accounts that there are, where it is not clear which one is meant
        self._open: dict[str, NatsSubscription] = {}
        self._is_open = False

    def __repr__(self) -> str:
        return f"<NatsJournal at {self.name}>"

    @property
    def name(self) -> str:
        """Where it is, for messages: without credentials."""
        return self._settings.name + (f", account {shorten(self.account)}" if self.account else "")

    @property
    def head(self) -> int:
        """The position of the last event, as far as is known; 0 before the first."""
        return self._head if self._leads is None else self._leads.writer.head

    @property
    def lease(self) -> NatsLease | None:
        """What says whether the monitor leads still; None as long as it does not lead."""
        return None if self._leading is None else self._leading.lease

    @property
    def _leads(self) -> Leading | None:
        return self._leading if self._leading is not None and self._leading.has_begun else None

    @property
    def trouble(self) -> str | None:
        """What is the matter with the connection at present, None if nothing is."""
        if not self._is_open:
            return None
        try:
            self._link.ensure_up()
        except JournalError as error:
            return str(error)
        if self._leading is not None and (trouble := self._leading.trouble or self._leading.lease.trouble) is not None:
            return trouble
        if self._leads is not None and not self._leads.lease.is_held:
            return "the lease is not held, so no request is sent"
        return None

    @property
    def leader(self) -> str | None:
        """Who leads, while it is waited for."""
        return None if self._leading is None else self._leading.lease.leader

    async def open(self) -> None:
        """Connect; a stream that is there is found. See `Journal.open`."""
        if self._is_open:
            raise JournalError(f"the journal {self.name} is open already: make another object for another use")
        self._is_open = True
        try:
            await self._link.open()
            stream.ensure_supported(self._link)
            await stream.ensure_enabled(self._link)
            await self._find()
        except BaseException:
            self._is_open = False
            await self._link.close()
            raise

    async def _find(self) -> bool:
        """Look for the stream, and return whether it is there."""
        account = self.account
        if account is None:
            found = await stream.accounts(self._link)
            account = found[0] if len(found) == 1 else None
            self._several = found if len(found) > 1 else ()
        known = None if account is None else await stream.existing(self._link, account)
        if known is None or account is None:
            return False
        self._parts = Parts(self._link, known[0])
        self.account = account
        await self._look()
        return True

    async def _look(self) -> None:
        last = await self._there.reader.last(self._there.layout.events())
        self._head = 0 if last is None else max(self._head, last.position)

    @property
    def _there(self) -> Parts:
        if self._parts is not None:
            return self._parts
        if self._several:
            raise ConfigurationError(
                f"there are journals of {len(self._several)} accounts at {self.name}: say which one is meant, as in "
                f"nats://host:4222?account=NAME; there are {shorten(', '.join(self._several), 400)}"
            )
        raise JournalError(
            f"there is no journal at {self.name} so far: a monitor makes it, as in titan-state monitor --journal nats://…"
        )

    async def _is_found(self) -> bool:
        try:
            return self._parts is not None or await self._find()
        except JournalUnavailableError as error:
            if not self._stands_by:
                raise
            logger.debug("it cannot be looked for the stream: %s", error)
            return False

    async def _attached(self) -> Parts:
        """Return what works on the stream, once it is there."""
        is_told = False
        while not await self._is_found():
            if self._several or not self._stands_by:
                break
            if not is_told:
                logger.info("waiting for a monitor to make the stream at %s", self.name)
                is_told = True
            await self._clock.sleep(LOOK_S)
        return self._there

    async def lead(self, account: str) -> State:
        """Wait until no other monitor leads, take its place, and return what it knew. See `Journal.lead`."""
        if self._settings.account not in (None, account):
            raise ConfigurationError(
                f"the address of the journal says account {shorten(str(self.account))}, the monitor "
                f"{shorten(account)}: leave one of them out"
            )
        self.account = account
        self._parts = Parts(self._link, await stream.ensured(self._link, account, self._settings))
        leading = Leading(self._parts, self._settings)
        await leading.prepare()
        self._leading = leading
        return await leading.begin(stands_by=self._stands_by)

    async def append(self, commit: Commit) -> Sequence[int]:
        """Write down events and what is known after them; return when that is durable. See `Journal.append`."""
        if self._leads is None:
            raise JournalError("nothing can be appended to a journal that is not led: see Journal.lead")
        return await self._leads.append(commit)

    async def subscribe(
        self,
        name: str,
        wants: Callable[[Event], bool],
        *,
        since: Since,
        head: int,
        notify: Callable[[], None],
    ) -> NatsSubscription:
        """Open a subscription, which other programs may have open, too. See `Journal.subscribe`."""
        parts = await self._attached()
        if isinstance(since, datetime):
            start = await parts.upkeep.first_since(since) - 1
        else:
            start = 0 if since == BEGINNING else head
        known = await parts.roster.hold(name, start)
        subscription = NatsSubscription(
            self._link, parts.layout, parts.reader, parts.letters, known, wants, notify, self._clock
        )
        self._open[name] = subscription
        await subscription.start()
        return subscription

    async def poll(self) -> bool:
        """Return whether others have written something since the last call; they are asked once a second at most."""
        now = self._clock.time()
        if self._leads is not None or self._parts is None or now - self._looked_at < LOOK_S:
            return False
        self._looked_at = now
        before = self._head
        await self._look()
        return self._head > before

    async def close(self) -> None:
        """Write down what is left, let another monitor lead, and disconnect."""
        async with AsyncExitStack() as stack:  # each of them, also if one is cut short
            stack.push_async_callback(self._link.close)
            if self._leading is not None:
                stack.push_async_callback(self._leading.end)
            if self._parts is not None:
                stack.push_async_callback(self._parts.talk.close)
            await asyncio.gather(*(one.close() for one in self._open.values()), return_exceptions=True)
        self._is_open = False

    # Between programs.

    async def serve(self, answer: Callable[[bytes], Awaitable[bytes]]) -> None:
        """Let programs with the same journal ask this monitor, for as long as it leads.

        Args:
            answer: Returns the answer to a question.
        """
        await self._there.talk.serve(answer, lambda: self.lease is not None and self.lease.is_held)

    async def ask(self, question: bytes) -> bytes:
        """Ask the monitor that leads.

        Args:
            question: The question, as `titan_state.monitor.wire` writes it.

        Returns:
            The answer.

        Raises:
            MonitorClosedError: None answers. If its cause is an error of the journal, none has taken the question.
            JournalUnavailableError: It is asked too much at once, and has not taken the question.
        """
        if self._parts is None and not self._several:
            raise MonitorClosedError(
                f"no monitor has led {shorten(str(self.account))} at {self.name} so far: start one"
            )
        return await self._there.talk.ask(question)

    # For people.

    async def history(self, execution_id: str) -> list[Event]:
        """Return the events of an execution that are in the log, in order. See `Journal.history`."""
        reader = self._there.reader
        return [
            event
            async for stored in reader.scan(self._there.layout.event(execution_id))
            if (event := reader.event(stored)).execution_id == execution_id
        ]

    async def log(self, after: int, limit: int) -> list[tuple[int, Event]]:
        """Return events after a position. See `Journal.log`."""
        reader = self._there.reader
        found = reader.scan(self._there.layout.events(), after=after, limit=limit)
        return [(stored.position, reader.event(stored)) async for stored in found]

    async def records(self) -> Sequence[Row]:
        """Return what is written down of every execution beside its events. See `Journal.records`."""
        try:
            return [row_read(stored.data) async for stored in self._there.reader.scan(self._there.layout.records)]
        except PayloadError as error:
            raise JournalError(f"a record in the stream {self._there.layout.stream} cannot be read: {error}") from error

    async def subscriptions(self) -> list[SubscriptionState]:
        """Return all subscriptions, by name."""
        return await self._there.roster.states()

    async def unsubscribe(self, name: str) -> bool:
        """Remove a subscription with everything that it has not had. See `Journal.unsubscribe`."""
        return await self._there.roster.remove(name)

    async def letters(self, *, dead_only: bool = False) -> list[Letter]:
        """Return the deliveries that did not succeed so far, the oldest first. See `Journal.letters`."""
        return await self._there.letters.listed(dead_only=dead_only)

    async def redeliver(self, event_ids: Iterable[str], *, subscription: str | None = None) -> list[Letter]:
        """Have dead letters tried again, out of order. See `Journal.redeliver`."""
        return await self._there.letters.redeliver(event_ids, subscription)

    async def prune(self, before: datetime) -> int:
        """Drop events from before a time that every subscription has had; return how many. See `Journal.prune`."""
        return await self._there.upkeep.prune(before)

    async def verify(self) -> list[str]:
        """Look whether everything in it is in order; return what is not, in words."""
        return await self._there.upkeep.verify()
