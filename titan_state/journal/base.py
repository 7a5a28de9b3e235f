"""The Journal protocol: events are appended with the state after them, and handed out to named subscriptions.

A monitor leads a journal: it alone appends, and takes up the state where the monitor before it left off. Callbacks are
subscriptions, of the monitor or of another program: each has had everything up to some position, and tells what became
of every delivery after it. What a journal is made of is its own affair.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from math import inf
from types import MappingProxyType
from typing import Any, Final, Literal, Protocol

import attrs

from titan_state.core.events import Event
from titan_state.core.tracking.retention import Baseline
from titan_state.core.tracking.state import Row, State

Since = Literal["now", "beginning"] | datetime
"""Where a subscription begins that is new: at the end of the log, at its beginning, or at a time."""

UNLIMITED: Final = 1 << 62
"""A commit of any size."""

NOW: Final = "now"
BEGINNING: Final = "beginning"


@attrs.frozen(kw_only=True)
class Commit:
    """What is written down at once, or not at all.

    Attributes:
        events: What happened, in order.
        records: The rows of the executions that it changed, as they are after it.
        lists: The tasks that are watched since, None for all executions, each with its baseline, which says what had
            finished when that began; None in its place for one that is watched no longer.
        floor: See `titan_state.core.tracking.state.State`.
        horizon: See `titan_state.core.tracking.state.State`.
    """

    events: Sequence[Event] = ()
    records: Sequence[Row] = ()
    lists: Mapping[str | None, Baseline | None] = MappingProxyType({})
    floor: int = 0
    horizon: float = -inf


@attrs.frozen(kw_only=True)
class Delivery:
    """One event for one subscription.

    Attributes:
        position: The event's place in the log.
        event: The event.
        attempts: How often it was tried before, in vain.
        due: When it is to be tried again, an aware UTC time; None for at once.
        is_out_of_order: Whether it had been given up, and is tried again because somebody said so: later events of its
            execution were delivered meanwhile.
    """

    position: int
    event: Event
    attempts: int = 0
    due: datetime | None = None
    is_out_of_order: bool = False


@attrs.frozen(kw_only=True)
class SubscriptionState:
    """How far a subscription has come.

    Attributes:
        name: Its name.
        waiting: How many events of the log it has not looked at; it may not want all of them.
        unfinished: How many deliveries were tried and are to be tried again.
        dead: How many deliveries were given up.
        created: When it began, an aware UTC time.
        seen: When a program last had it open, an aware UTC time.
        holder: The program that has it open now, None if there is none.
    """

    name: str
    waiting: int
    unfinished: int
    dead: int
    created: datetime
    seen: datetime
    holder: str | None

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON types."""
        shown: dict[str, Any] = attrs.asdict(self)
        return shown | {"created": self.created.isoformat(), "seen": self.seen.isoformat()}


@attrs.frozen(kw_only=True)
class Letter:
    """A delivery that did not succeed so far.

    Attributes:
        subscription: The name of the subscription.
        event: The event.
        is_dead: Whether it was given up; else it is to be tried again.
        attempts: How often it was tried.
        error: What went wrong the last time.
        at: When that was, an aware UTC time.
        due: When it is to be tried again, an aware UTC time; None if it is dead, or at once.
    """

    subscription: str
    event: Event
    is_dead: bool
    attempts: int
    error: str
    at: datetime
    due: datetime | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON types."""
        return {
            "subscription": self.subscription,
            "event": self.event.to_dict(),
            "is_dead": self.is_dead,
            "attempts": self.attempts,
            "error": self.error,
            "at": self.at.isoformat(),
            "due": None if self.due is None else self.due.isoformat(),
        }


class Subscription(Protocol):
    """What one handler has had of the log, and what is still to come.

    Attributes:
        name: Its name, the same after a restart.
    """

    name: str

    async def fetch(self, limit: int) -> list[Delivery]:
        """Return deliveries that were not handed out yet, in the order of the log.

        What was handed out before a crash and not acknowledged comes first.

        Args:
            limit: How many at most.

        Returns:
            The deliveries; none if there is nothing at present.
        """
        ...

    async def fetch_of(self, execution_id: str, *, after: int, limit: int) -> list[Delivery]:
        """Return deliveries of one execution again, after a position: they were handed out, and are unfinished.

        Args:
            execution_id: The execution.
            after: The position; only later ones are meant.
            limit: How many at most.
        """
        ...

    async def acknowledge(self, delivery: Delivery) -> None:
        """Take down that a delivery succeeded; return when that is written.

        Args:
            delivery: The delivery.
        """
        ...

    async def retry(self, delivery: Delivery, *, due: datetime, error: str) -> None:
        """Take down that a delivery failed and is to be tried again; it stays with whoever has it.

        Args:
            delivery: The delivery.
            due: When it is to be tried again, an aware UTC time.
            error: What went wrong, in words.
        """
        ...

    async def set_aside(self, delivery: Delivery, *, error: str) -> None:
        """Take down that a delivery is given up.

        Args:
            delivery: The delivery.
            error: What went wrong, in words.
        """
        ...

    async def close(self) -> None:
        """Let another program have the subscription: what is unfinished is handed out to it."""
        ...


class Lease(Protocol):
    """That a monitor, of several that could, is the one that leads: for a while, and again and again."""

    @property
    def is_held(self) -> bool:
        """Whether it is certain at this moment that no other monitor leads."""
        ...

    @property
    def succeeds(self) -> bool:
        """Whether another monitor led before, which may just have sent requests."""
        ...

    async def until_held(self) -> None:
        """Return when it is certain.

        Raises:
            LeadershipLostError: Another monitor leads.
        """
        ...

    async def until_lost(self) -> None:
        """Wait for as long as no other monitor leads.

        Raises:
            LeadershipLostError: Another monitor leads.
        """
        ...


class Journal(Protocol):
    """Where events are written down, and handed out.

    Attributes:
        is_durable: Whether what is written down outlives the program.
        is_shared: Whether several programs may have one subscription open: they share its deliveries.
        largest_commit: How many events and records a commit has at most.
    """

    is_durable: bool
    is_shared: bool
    largest_commit: int

    @property
    def name(self) -> str:
        """What it is called in messages."""
        ...

    @property
    def trouble(self) -> str | None:
        """What is the matter with it at present, in words; None if nothing is known to be."""
        ...

    @property
    def lease(self) -> Lease | None:
        """What says whether the monitor leads still; None where nobody can take its place."""
        ...

    @property
    def head(self) -> int:
        """The position of the last event, as far as is known; 0 before the first."""
        ...

    async def open(self) -> None:
        """Make it ready to be read.

        Raises:
            JournalError: It cannot be used; the message says what to do.
        """
        ...

    async def lead(self, account: str) -> State:
        """Become the one that appends, and return what the one before knew.

        Args:
            account: Whose executions these are.

        Raises:
            JournalInUseError: Another monitor leads it.
            ConfigurationError: It belongs to another account.
            JournalError: It cannot be used; the message says what to do.
        """
        ...

    async def append(self, commit: Commit) -> Sequence[int]:
        """Write down events and what is known after them: all of it, or nothing. It returns when that is durable.

        Args:
            commit: The events, and the rows of the executions that they changed; at most `largest_commit` of both.

        Returns:
            The positions of the events, in their order.

        Raises:
            JournalUnavailableError: It is not known to be written. The same events are to be appended again, first of
                all: what turns out to have been written is not written twice.
            LeadershipLostError: Another monitor leads; nothing was written.
            JournalError: It cannot be used any more.
        """
        ...

    async def subscribe(
        self,
        name: str,
        wants: Callable[[Event], bool],
        *,
        since: Since,
        head: int,
        notify: Callable[[], None],
    ) -> Subscription:
        """Open a subscription.

        Args:
            name: Its name. One that is known goes on where it was left off.
            wants: Returns whether it is for an event.
            since: Where it begins if it is new: "now", "beginning", or an aware time.
            head: The position that "now" means.
            notify: Called when there may be something to fetch that `poll` does not tell of.

        Raises:
            SubscriptionInUseError: Another program has it open, and the journal is not shared.
        """
        ...

    async def poll(self) -> bool:
        """Return whether others have changed something since the last call."""
        ...

    async def close(self) -> None:
        """Write down what is left, and let go of everything."""
        ...

    # For people.

    async def history(self, execution_id: str) -> list[Event]:
        """Return the events of an execution that are in the log, in order.

        Args:
            execution_id: The execution.
        """
        ...

    async def log(self, after: int, limit: int) -> list[tuple[int, Event]]:
        """Return events after a position, each with its own, in the order of the log.

        Args:
            after: The position; 0 for the beginning.
            limit: How many events at most.
        """
        ...

    async def records(self) -> Sequence[Row]:
        """Return what is written down of every execution beside its events; nothing where nothing is durable.

        The rows are those of `titan_state.core.tracking.state`, the longest unchanged first.

        Raises:
            JournalError: It cannot be read.
        """
        ...

    async def subscriptions(self) -> list[SubscriptionState]:
        """Return all subscriptions, by name."""
        ...

    async def unsubscribe(self, name: str) -> bool:
        """Remove a subscription with everything that it has not had; return False if there is none.

        Args:
            name: The name of the subscription.

        Raises:
            SubscriptionInUseError: A program has it open.
        """
        ...

    async def letters(self, *, dead_only: bool = False) -> list[Letter]:
        """Return the deliveries that did not succeed so far, the oldest first.

        Args:
            dead_only: Whether those that are to be tried again are left out.
        """
        ...

    async def redeliver(self, event_ids: Iterable[str], *, subscription: str | None = None) -> list[Letter]:
        """Have dead letters tried again, out of order.

        Args:
            event_ids: The ids of the events (`Event.id`); others are passed over.
            subscription: The name of the only subscription that is meant; None for all.

        Returns:
            The letters that are tried again.
        """
        ...

    async def prune(self, before: datetime) -> int:
        """Drop events from before a time that every subscription has had.

        What is to be tried again, or was given up, stays.

        Args:
            before: The time, aware.

        Returns:
            How many events were dropped.
        """
        ...

    async def verify(self) -> list[str]:
        """Look whether everything in it is in order; return what is not, in words."""
        ...
