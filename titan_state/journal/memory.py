"""A journal in memory: it outlives nothing, and keeps an event only until every subscription has had it."""

from __future__ import annotations

from collections import deque
from datetime import UTC, datetime
from itertools import islice
from typing import TYPE_CHECKING, Final

import attrs

from titan_state.core.tracking.state import State
from titan_state.errors import JournalInUseError, SubscriptionInUseError
from titan_state.journal.base import BEGINNING, NOW, UNLIMITED, Delivery, Letter, SubscriptionState

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from titan_state.clock import Clock
    from titan_state.core.events import Event
    from titan_state.core.tracking.state import Row
    from titan_state.journal.base import Commit, Since

KEPT: Final = 1000
"""How many of the last events are kept for subscriptions that are still to come."""

KEPT_LETTERS: Final = 1000
"""How many dead letters of one subscription are kept."""


class MemoryJournal:
    """A journal in memory: it ends with the program. See `Journal` for what each method does.

    It keeps the last 1,000 events, and those that a subscription is still to have.
    """

    name = "memory"
    is_durable = False
    is_shared = False
    largest_commit = UNLIMITED
    trouble = None
    lease = None

    def __init__(self, clock: Clock | None = None) -> None:
        """Make an empty journal.

        Args:
            clock: Dates letters; the machine's own by default.
        """
        self._clock = clock
        self._log: deque[Event] = deque()
        self._first = 1  # the position of the first event in the log
        self._subscriptions: dict[str, MemorySubscription] = {}
        self._is_open = False

    @property
    def head(self) -> int:
        """The position of the last event; 0 before the first."""
        return self._first + len(self._log) - 1

    async def open(self) -> None:
        """Begin to use it. See `Journal.open`."""
        if self._is_open:
            raise JournalInUseError("this journal is used by another monitor: give each one its own")
        self._is_open = True

    async def lead(self, account: str) -> State:
        """Become the one that appends; nothing is known from before. See `Journal.lead`."""
        return State()

    async def append(self, commit: Commit) -> Sequence[int]:
        """Take in the events; what is known after them is kept by who appends. See `Journal.append`."""
        first = self.head + 1
        self._log.extend(commit.events)
        self._trim()
        return range(first, first + len(commit.events))

    async def subscribe(
        self,
        name: str,
        wants: Callable[[Event], bool],
        *,
        since: Since,
        head: int,
        notify: Callable[[], None],
    ) -> MemorySubscription:
        """Open a subscription; what was dropped already is not in it. See `Journal.subscribe`."""
        known = self._subscriptions.get(name)
        if known is not None and known.is_open:
            raise SubscriptionInUseError(name, "this program")
        if known is None:
            known = MemorySubscription(self, name, self._start(since, head))
            self._subscriptions[name] = known
        known.begin(wants)
        return known

    async def poll(self) -> bool:
        """Return False: nobody else has it."""
        return False

    async def close(self) -> None:
        """Let another monitor have it."""
        self._is_open = False

    async def history(self, execution_id: str) -> list[Event]:
        """Return the events of an execution that are kept still, in order. See `Journal.history`."""
        return [event for event in self._log if event.execution_id == execution_id]

    async def log(self, after: int, limit: int) -> list[tuple[int, Event]]:
        """Return events after a position, as far as they are kept still. See `Journal.log`."""
        return list(islice(self.after(after), limit))

    async def records(self) -> Sequence[Row]:
        """Return nothing: what is known of executions is kept by who appends."""
        return ()

    async def subscriptions(self) -> list[SubscriptionState]:
        """Return all subscriptions, by name."""
        return [self._subscriptions[name].state() for name in sorted(self._subscriptions)]

    async def unsubscribe(self, name: str) -> bool:
        """Remove a subscription. See `Journal.unsubscribe`."""
        known = self._subscriptions.get(name)
        if known is not None and known.is_open:
            raise SubscriptionInUseError(name, "this program")
        return self._subscriptions.pop(name, None) is not None

    async def letters(self, *, dead_only: bool = False) -> list[Letter]:
        """Return the deliveries that did not succeed so far, the oldest first. See `Journal.letters`."""
        found = [letter for one in self._subscriptions.values() for letter in one.letters.values()]
        return sorted((one for one in found if one.is_dead or not dead_only), key=lambda letter: letter.at)

    async def redeliver(self, event_ids: Iterable[str], *, subscription: str | None = None) -> list[Letter]:
        """Have dead letters tried again. See `Journal.redeliver`."""
        wanted = set(event_ids)
        return [
            letter
            for one in self._subscriptions.values()
            if subscription in (None, one.name)
            for letter in one.again(wanted)
        ]

    async def prune(self, before: datetime) -> int:
        """Return 0: an event is dropped as soon as every subscription has had it. See `Journal.prune`."""
        return 0

    async def verify(self) -> list[str]:
        """Return nothing: memory is in order."""
        return []

    def now(self) -> datetime:
        """Return the date."""
        return datetime.now(UTC) if self._clock is None else self._clock.now()

    def after(self, position: int) -> Iterator[tuple[int, Event]]:
        """Hand out the events after a position, as far as they are kept.

        Args:
            position: The position; 0 for all that are kept.
        """
        for index in range(max(0, position + 1 - self._first), len(self._log)):
            yield self._first + index, self._log[index]

    def _start(self, since: Since, head: int) -> int:
        if since == NOW:
            return head
        if since == BEGINNING:
            return self._first - 1
        return next((position - 1 for position, event in self.after(0) if event.at >= since), self.head)

    def _trim(self) -> None:
        needed = min((one.read for one in self._subscriptions.values() if one.is_open), default=self.head) + 1
        while self._first < needed and len(self._log) > KEPT:
            self._log.popleft()
            self._first += 1


@attrs.define(eq=False)
class MemorySubscription:
    """See `titan_state.journal.base.Subscription`."""

    journal: MemoryJournal = attrs.field(repr=False)
    name: str
    read: int
    is_open: bool = False
    letters: dict[int, Letter] = attrs.field(factory=dict, repr=False)
    _wants: Callable[[Event], bool] = attrs.field(default=bool, repr=False)
    _open: dict[int, Delivery] = attrs.field(factory=dict, repr=False)
    _again: deque[Delivery] = attrs.field(factory=deque, repr=False)
    _created: datetime = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self._created = self.journal.now()

    def begin(self, wants: Callable[[Event], bool]) -> None:
        """Hand out from now on; what is unfinished first."""
        self._wants = wants
        self.is_open = True
        self._again.extend(self._open.values())

    async def fetch(self, limit: int) -> list[Delivery]:
        """Return deliveries that were not handed out yet."""
        found: list[Delivery] = []
        while self._again and len(found) < limit:
            found.append(self._again.popleft())
        for position, event in self.journal.after(self.read):
            if len(found) >= limit:
                break
            self.read = position
            if self._wants(event):
                delivery = self._open[position] = Delivery(position=position, event=event)
                found.append(delivery)
        return found

    async def fetch_of(self, execution_id: str, *, after: int, limit: int) -> list[Delivery]:
        """Return unfinished deliveries of one execution again."""
        found = [one for one in self._open.values() if one.event.execution_id == execution_id and one.position > after]
        return found[:limit]

    async def acknowledge(self, delivery: Delivery) -> None:
        """Forget a delivery that succeeded."""
        self._open.pop(delivery.position, None)
        self.letters.pop(delivery.position, None)

    async def retry(self, delivery: Delivery, *, due: datetime, error: str) -> None:
        """Take down that a delivery is to be tried again."""
        again = self._open[delivery.position] = attrs.evolve(delivery, attempts=delivery.attempts + 1, due=due)
        self._write(again, error, is_dead=False)

    async def set_aside(self, delivery: Delivery, *, error: str) -> None:
        """Take down that a delivery is given up."""
        self._open.pop(delivery.position, None)
        self._write(attrs.evolve(delivery, attempts=delivery.attempts + 1, due=None), error, is_dead=True)
        dead = [position for position, letter in self.letters.items() if letter.is_dead]
        for position in dead[: max(0, len(dead) - KEPT_LETTERS)]:
            del self.letters[position]

    async def close(self) -> None:
        """Let another one have it."""
        self.is_open = False
        self._again.clear()

    def again(self, event_ids: set[str]) -> list[Letter]:
        """Hand out dead letters once more."""
        found = [(position, one) for position, one in self.letters.items() if one.is_dead and one.event.id in event_ids]
        for position, letter in found:
            del self.letters[position]
            delivery = Delivery(position=position, event=letter.event, is_out_of_order=True)
            self._open[position] = delivery
            self._again.append(delivery)
        return [letter for _, letter in found]

    def state(self) -> SubscriptionState:
        """Return how far it has come."""
        dead = sum(letter.is_dead for letter in self.letters.values())
        return SubscriptionState(
            name=self.name,
            waiting=self.journal.head - self.read,
            unfinished=len(self.letters) - dead,
            dead=dead,
            created=self._created,
            seen=self.journal.now(),
            holder="this program" if self.is_open else None,
        )

    def _write(self, delivery: Delivery, error: str, *, is_dead: bool) -> None:
        self.letters.pop(delivery.position, None)  # the latest come last
        self.letters[delivery.position] = Letter(
            subscription=self.name,
            event=delivery.event,
            is_dead=is_dead,
            attempts=delivery.attempts,
            error=error,
            at=self.journal.now(),
            due=delivery.due,
        )
