"""A subscription of a NATS journal: hands out what its consumers deliver, and writes down what became of it.

Of each partition one message at a time is with one program, so events of one execution stay in order whichever of the
programs handles them. A program that is stopped, killed or cut off loses what it has to another one.
"""

from __future__ import annotations

import logging
from collections import deque
from functools import partial
from typing import TYPE_CHECKING, Final

import attrs

from titan_state.errors import JournalDamagedError, JournalError, PayloadError
from titan_state.journal.base import Delivery
from titan_state.journal.nats.inbox import Inbox
from titan_state.journal.nats.letters import AGAIN, DEAD, OPEN, Kept
from titan_state.journal.nats.messages import event_read

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from nats.aio.msg import Msg

    from titan_state.clock import Clock
    from titan_state.core.events import Event
    from titan_state.journal.nats.consumers import Known
    from titan_state.journal.nats.layout import Layout
    from titan_state.journal.nats.letters import Letters
    from titan_state.journal.nats.link import Link
    from titan_state.journal.nats.pulls import Held, Pull
    from titan_state.journal.nats.reading import Reader

logger = logging.getLogger("titan_state.journal")

DEAD_BETWEEN: Final = 500
"""After how many dead letters it is looked whether there are too many of them."""

MOST_READY: Final = 100
"""When more deliveries than this were offered and not fetched, those that are not here any more are forgotten."""


class NatsSubscription:
    """What one handler has had of the log. See `titan_state.journal.base.Subscription`."""

    def __init__(
        self,
        link: Link,
        layout: Layout,
        reader: Reader,
        letters: Letters,
        known: Known,
        wants: Callable[[Event], bool],
        notify: Callable[[], None],
        clock: Clock,
    ) -> None:
        """Make a subscription that nothing is asked for yet.

        Args:
            link: The connection.
            layout: Where things are.
            reader: Reads the stream.
            letters: What is known of deliveries that failed.
            known: The subscription, with consumers.
            wants: Which events it is for.
            notify: Called when there is something to fetch.
            clock: The time.
        """
        self.name = known.name
        self._layout = layout
        self._letters = letters
        self._wants = wants
        self._notify = notify
        self._clock = clock
        self._inbox = Inbox(link, layout, reader, known, self._received, clock)
        self._ready: deque[tuple[Pull, Held]] = deque()
        self._fault: Exception | None = None
        self._dead = 0

    async def start(self) -> None:
        """Begin to ask for events.

        Raises:
            JournalError: The connection is closed for good.
        """
        await self._inbox.start()

    # What a program does with it.

    async def fetch(self, limit: int) -> list[Delivery]:
        """Return deliveries that have arrived and were not handed out yet.

        Raises:
            JournalDamagedError: One cannot be read.
        """
        if self._fault is not None:
            raise self._fault
        found: list[Delivery] = []
        while self._ready and len(found) < limit:
            pull, held = self._ready.popleft()
            if held.delivery is None or not self._inbox.is_here(pull, held):
                continue  # it was let go
            if self._clock.time() - held.heard > self._inbox.fresh_s:
                await self._inbox.let_go(pull, held)
                continue
            held.is_out = True
            found.append(held.delivery)
        return found

    async def fetch_of(self, execution_id: str, *, after: int, limit: int) -> list[Delivery]:
        """Return what was handed out of one execution again; there is at most one beside what is delivered once more.

        It is asked for where it came in while a dead letter of its execution was waited for.
        """
        pull = self._inbox.pulls[self._layout.partition(execution_id)]
        found = [
            held.delivery
            for held in pull.held.values()
            if held.is_out and held.delivery is not None
            if held.delivery.event.execution_id == execution_id and held.delivery.position > after
        ]
        return sorted(found, key=lambda one: one.position)[:limit]

    async def acknowledge(self, delivery: Delivery) -> None:
        """Have a delivery that succeeded not be delivered again."""
        found = self._found(delivery)
        if found is None:
            return
        if found[1].may_have_letter:
            await self._forget(delivery.position)
        await self._settle(*found)

    async def retry(self, delivery: Delivery, *, due: datetime, error: str) -> None:
        """Write down that a delivery failed and is to be tried again; it stays here."""
        state = AGAIN if delivery.is_out_of_order else OPEN
        await self._write(delivery, state=state, error=error, due=due)

    async def set_aside(self, delivery: Delivery, *, error: str) -> None:
        """Write down that a delivery is given up, and have the next one of its partition delivered."""
        found = await self._write(delivery, state=DEAD, error=error)
        if found is None:
            return
        await self._settle(*found)
        self._dead += 1
        if self._dead % DEAD_BETWEEN == 0:
            self._inbox.errands.begin(self._trim())

    async def close(self) -> None:
        """Let other programs have what was not dealt with, at once if that can be said soon."""
        await self._inbox.close()
        self._ready.clear()

    # What arrives.

    async def _received(self, pull: Pull, held: Held, message: Msg, number: int | None) -> None:
        """Take in a message that was not here before; with the number of its delivery, it may not be ours any more."""
        if pull.partition is None:
            await self._received_again(pull, held, message.data)
            return
        try:
            event = event_read(message.data)
            is_wanted = self._wants(event)
        except PayloadError as error:
            text = (
                f"the message at position {held.sequence} of the stream {self._layout.stream} cannot be read: {error}"
            )
            self._fail(JournalDamagedError(text))
            return
        except Exception as error:  # noqa: BLE001 - a filter of the handler's own that raises ends its feed, as elsewhere
            self._fail(error)
            return
        if not is_wanted:
            await self._settle(pull, held)
            return
        held.delivery = Delivery(position=held.sequence, event=event)
        if held.may_have_letter:
            self._inbox.errands.begin(self._look_up(pull, held, held.delivery, number))
        else:
            self._offer(pull, held, held.delivery)

    async def _received_again(self, pull: Pull, held: Held, data: bytes) -> None:
        """Take in a message that has a dead letter delivered once more."""
        try:
            kept = Kept.read(data, held.sequence)
        except PayloadError as error:
            logger.error("what is at position %d cannot be delivered again: %s", held.sequence, error)  # noqa: TRY400 - the words say it all
            await self._settle(pull, held)
        else:
            self._inbox.errands.begin(self._look_again(pull, held, kept))

    async def _look_up(self, pull: Pull, held: Held, delivery: Delivery, number: int | None) -> None:
        """Offer a delivery with how often it was tried before, if it is ours still."""
        inbox, doing = self._inbox, "read how often an event was tried"
        if number is not None:
            await inbox.progress(held)
            state = await inbox.errands.patiently(lambda: inbox.consumers.state(pull.consumer), doing)
            if state is not None and state.delivered != number:
                inbox.drop(pull, held)
                return
        kept = await inbox.errands.patiently(lambda: self._letters.find(self.name, held.sequence), doing)
        if not inbox.is_here(pull, held):
            return
        if kept is None:
            self._offer(pull, held, delivery)
        elif kept.state == OPEN:
            self._offer(pull, held, attrs.evolve(delivery, attempts=kept.attempts, due=kept.due))
        else:
            await self._settle(pull, held)  # it was given up, and the answer got lost

    async def _look_again(self, pull: Pull, held: Held, kept: Kept) -> None:
        """Offer a dead letter, unless it was dealt with since somebody said that it is to be delivered once more."""
        inbox, doing = self._inbox, "read a dead letter"
        letter = await inbox.errands.patiently(lambda: self._letters.find(self.name, kept.position), doing)
        event = await inbox.errands.patiently(lambda: self._letters.event_of(kept), doing)
        if not inbox.is_here(pull, held):
            return
        is_over = letter is None or (letter.state == DEAD and letter.sequence > held.sequence)
        if is_over or event is None:
            await self._settle(pull, held)
        elif not self._wants(event):
            await self._forget(kept.position)
            await self._settle(pull, held)
        else:
            self._offer(pull, held, Delivery(position=kept.position, event=event, is_out_of_order=True))

    def _offer(self, pull: Pull, held: Held, delivery: Delivery) -> None:
        held.delivery = delivery
        if len(self._ready) >= MOST_READY:  # nobody fetches: most of it was let go already
            self._ready = deque(one for one in self._ready if self._inbox.is_here(*one))
        self._ready.append((pull, held))
        self._notify()

    def _fail(self, error: Exception) -> None:
        self._fault = error
        self._notify()

    # What became of it.

    def _found(self, delivery: Delivery) -> tuple[Pull, Held] | None:
        """Return what is here of a delivery, None if it is not ours any more."""
        partition = self._layout.partition(delivery.event.execution_id)
        pull = self._inbox.pulls[-1 if delivery.is_out_of_order else partition]
        for held in pull.held.values():
            if held.is_out and held.delivery is not None and held.delivery.position == delivery.position:
                return pull, held
        return None

    async def _settle(self, pull: Pull, held: Held) -> None:
        if await self._inbox.settle(pull, held) and pull.partition is None:
            self._inbox.errands.begin(self._remove_again(held.sequence))

    async def _write(
        self, delivery: Delivery, *, state: str, error: str, due: datetime | None = None
    ) -> tuple[Pull, Held] | None:
        """Write a letter, and return what the delivery belongs to; None if it is not ours any more."""
        found = self._found(delivery)
        if found is None or await self._is_done_elsewhere(*found, delivery):
            return None
        pull, held = found
        held.may_have_letter = True

        async def write() -> None:
            if not self._inbox.is_here(pull, held):
                return  # the subscription is another one by now
            self._inbox.ensure_certain()
            await self._letters.write(
                self.name,
                delivery.position,
                delivery.event,
                state=state,
                attempts=delivery.attempts + 1,
                error=error,
                due=due,
            )

        try:
            await self._inbox.errands.patiently(write, "write down what became of an event")
        except JournalError:
            self._inbox.drop(pull, held)
            raise
        return found

    async def _is_done_elsewhere(self, pull: Pull, held: Held, delivery: Delivery) -> bool:
        """Return whether another program has dealt with a delivery, after this one had not been heard of for long."""
        if not self._inbox.is_stale(held):
            return False
        try:
            if pull.partition is None:
                is_done = await self._letters.find(self.name, delivery.position) is None
            else:
                state = await self._inbox.consumers.state(pull.consumer)
                is_done = state is not None and state.floor >= held.sequence
        except JournalError:
            return False
        if is_done:
            self._inbox.drop(pull, held)
        return is_done

    async def _forget(self, position: int) -> None:
        """Remove a letter, later if that cannot be done now: the handler is done, whatever is written of it."""
        try:
            await self._letters.remove(self.name, position)
        except JournalError:
            self._inbox.errands.begin(self._remove(position))

    async def _remove(self, position: int) -> None:
        await self._inbox.errands.patiently(lambda: self._letters.remove(self.name, position), "remove a letter")

    async def _remove_again(self, sequence: int) -> None:
        work = partial(self._letters.remove_again, self.name, sequence)
        await self._inbox.errands.patiently(work, "remove a letter")

    async def _trim(self) -> None:
        await self._inbox.errands.patiently(lambda: self._letters.trim(self.name), "remove old dead letters")
