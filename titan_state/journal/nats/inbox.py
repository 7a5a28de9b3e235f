"""Inbox: the messages that a program has of a subscription's consumers; what is asked for, arrives, and is answered.

It knows nothing of events. While a message is here the server is told so; requests that got lost are sent again.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Final

from titan_state.errors import JournalUnavailableError, shorten
from titan_state.journal.nats.consumers import AGAIN_AT_ONCE, Consumers, Known
from titan_state.journal.nats.errands import Errands
from titan_state.journal.nats.identity import Identity
from titan_state.journal.nats.line import Line
from titan_state.journal.nats.link import taken
from titan_state.journal.nats.pulls import ACK, FIRST_PAUSE_S, HEARTBEAT, NAK, PROGRESS, Held, Pull

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from nats.aio.msg import Msg

    from titan_state.clock import Clock
    from titan_state.journal.nats.layout import Layout
    from titan_state.journal.nats.link import Link
    from titan_state.journal.nats.reading import Reader

logger = logging.getLogger("titan_state.journal")

TICK_S: Final = 0.5
"""How often it is looked whether something is to be asked again, or to be told the server; at the most."""

CLOSE_S: Final = 5.0
"""How long closing may take."""

SUSPECT_S: Final = 1.0
"""For how long after this program stood still what arrives may have been on its way for long."""


class Inbox:
    """What a program has of the consumers of one subscription.

    Attributes:
        pulls: One for each consumer.
        consumers: The consumers.
        errands: What is done beside, until it is closed.
        ack_wait_s: How long the server keeps a message for a program that it does not hear of.
        fresh_s: How long a message that was not handed out is ours for certain.
    """

    def __init__(
        self,
        link: Link,
        layout: Layout,
        reader: Reader,
        known: Known,
        received: Callable[[Pull, Held, Msg, int | None], Awaitable[None]],
        clock: Clock,
    ) -> None:
        """Make an inbox that asks for nothing yet.

        Args:
            link: The connection.
            layout: Where things are.
            reader: Reads the stream.
            known: The subscription, with consumers.
            received: Called with each message that was not here before, and with the number of its delivery if
                another program may have it already.
            clock: The time.
        """
        self.ack_wait_s = known.ack_wait_s
        self.fresh_s = known.ack_wait_s / 3
        self.errands = Errands(known.name, clock)
        self.consumers = Consumers(link, layout, ack_wait_s=known.ack_wait_s)
        self.pulls = [
            Pull(layout.consumer(known.name, partition), partition, index, AGAIN_AT_ONCE if partition is None else 1)
            for index, partition in enumerate((*range(layout.partitions), None))
        ]
        self._name = shorten(known.name)
        self._link = link
        place = layout.subscription(known.name)
        self._identity = Identity(
            reader, self.consumers, place, known, self.pulls, self.errands, self._resume, self._trouble, clock
        )
        self._doubtful: list[tuple[Pull, Held, Msg, int | None]] = []
        self._received = received
        self._clock = clock
        self._by_consumer = {pull.consumer: pull for pull in self.pulls}
        self._line = Line(link, layout.stream, known.name)
        self._reconnects = 0
        self._alive = self._suspect_until = 0.0
        self._is_troubled = False

    async def start(self) -> None:
        """Ask for messages.

        Raises:
            JournalError: The connection is closed for good.
        """
        self._alive = self._clock.time()
        self._reconnects = self._link.nc.stats["reconnects"]
        await self._line.open(self._take)
        for pull in self.pulls:
            await self._ask(pull)
        self.errands.begin(self._keep())

    async def close(self) -> None:
        """Let other programs have what was not dealt with, at once if that can be said soon."""
        if self.errands.is_closed:
            return
        self.errands.close()
        self._line.is_ended = True
        leaving = self._line.leave(self.pulls, self.consumers, self._let_go_of_all)
        limits = (self._clock.sleep(CLOSE_S), self._line.until_away(self._clock))
        works = [asyncio.ensure_future(one) for one in (leaving, *limits)]
        try:
            await asyncio.wait(works, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for work in works:
                work.cancel()  # not waited for: it may hang in what cannot be cancelled
                work.add_done_callback(taken)
            for pull in self.pulls:
                pull.held.clear()
            await self._line.close()

    async def _let_go_of_all(self) -> None:
        for pull in self.pulls:
            for held in list(pull.held.values()):
                await self.let_go(pull, held)

    # What its owner says.

    @property
    def is_certain(self) -> bool:
        """Whether what is here is of the subscription that there is now."""
        return self._identity.is_certain and self._link.nc.stats["reconnects"] == self._reconnects

    def ensure_certain(self) -> None:
        """Return if it is.

        Raises:
            JournalUnavailableError: That cannot be said at present.
        """
        if not self.is_certain:
            raise JournalUnavailableError("it is not known whether the subscription was removed meanwhile")

    def is_here(self, pull: Pull, held: Held) -> bool:
        """Return whether a message is here still."""
        return pull.held.get(held.sequence) is held

    def is_stale(self, held: Held) -> bool:
        """Return whether the server may have given a message to another program."""
        return held.is_lost or self._clock.time() - held.heard >= self.ack_wait_s

    async def settle(self, pull: Pull, held: Held) -> bool:
        """Take in that a message was dealt with: it is acknowledged, and the next one asked for.

        Returns:
            Whether it was here still.
        """
        if not self.is_here(pull, held):
            return False
        self.drop(pull, held)
        pull.settled(held)
        await self._acknowledge(pull, held.reply)
        return True

    async def _acknowledge(self, pull: Pull, reply: str) -> None:
        if self.is_certain:
            await self._line.acknowledge(pull, reply, self._clock.time())
        else:
            pull.unanswered.append(reply)

    async def let_go(self, pull: Pull, held: Held) -> None:
        """Let another program have a message, unless it may have it already."""
        self.drop(pull, held)
        if self.is_certain and not self.is_stale(held):
            await self._line.send(held.reply, NAK)

    def drop(self, pull: Pull, held: Held) -> None:
        """Keep a message no longer: when the server has not heard of it for long enough, it delivers it again."""
        if self.is_here(pull, held):
            del pull.held[held.sequence]

    async def progress(self, held: Held) -> None:
        """Tell the server that a message is here."""
        if await self._line.send(held.reply, PROGRESS):
            held.heard = self._clock.time()

    # What arrives.

    async def _take(self, message: Msg) -> None:
        try:
            if message.reply.startswith("$JS.ACK."):
                await self._arrived(self._by_consumer[message.metadata.consumer], message)
            else:
                await self._told(message)
        except Exception:  # a mistake of ours: the message is delivered again
            logger.exception("subscription %s could not take a message", self._name)

    async def _told(self, message: Msg) -> None:
        index, number = self._line.place_of(message.subject)
        headers = message.headers or {}
        status, pull = headers.get("Status", ""), self.pulls[index]
        pull.told(number, status, headers.get("Description", ""), self._clock.time())
        if pull.is_missing:
            self._trouble(f"its consumer {pull.consumer} cannot be found")
            self._identity.doubt(FIRST_PAUSE_S)  # it is not alone with that, as a rule
        elif status == HEARTBEAT:
            self._recovered()
        await self._ask(pull)

    async def _arrived(self, pull: Pull, message: Msg) -> None:
        now = self._clock.time()
        pull.arrived(now)
        if self.errands.is_closed:
            await self._line.send(message.reply, NAK)
            return
        self._recovered()
        place, written = message.metadata.sequence, message.metadata.timestamp
        held = pull.held.get(place.stream)
        if held is not None and held.written == written:  # it was too long ago that the server was told of it
            held.reply, held.heard, held.is_lost = message.reply, now, False
        else:
            is_suspect = now - self._alive > self.fresh_s or now < self._suspect_until
            held = pull.held[place.stream] = Held(place.stream, message.reply, now, written)
            held.may_have_letter = pull.partition is None or message.metadata.num_delivered > 1 or is_suspect
            await self._take_in(pull, held, message, place.consumer if is_suspect else None)
        await self._ask(pull)

    async def _take_in(self, pull: Pull, held: Held, message: Msg, number: int | None) -> None:
        """Hand a message on, once it is certain that it is of the subscription whose messages are here."""
        if pull.is_done(held):
            self._identity.doubt()
        if self.is_certain:
            await self._received(pull, held, message, number)
        else:
            self._doubtful.append((pull, held, message, number))

    # Whether it is the subscription that was opened.

    async def _ask(self, pull: Pull) -> None:
        """Ask for the next message of a consumer, if that is due."""
        now = self._clock.time()
        if pull.is_silent(now):
            pull.lose(now)
            self._identity.doubt()
        if self.is_certain:
            await self._line.ask(pull, now)

    async def _resume(self) -> None:
        """Do what was left undone as long as there was a doubt."""
        if not self.is_certain:
            return  # the connection is another one by now
        doubtful, self._doubtful = self._doubtful, []
        for pull, held, message, number in doubtful:
            if not self.is_here(pull, held):
                continue
            if pull.is_done(held):  # the answer got lost
                self.drop(pull, held)
                pull.unanswered.append(held.reply)
            else:
                await self._received(pull, held, message, number)
        for pull in self.pulls:
            replies, pull.unanswered = pull.unanswered, []
            for reply in (*replies, pull.answered):
                if reply is not None:  # the last answer may have been lost, too
                    await self._line.send(reply, ACK)
            await self._ask(pull)

    # What is done from time to time.

    async def _keep(self) -> None:
        while True:
            await self._clock.sleep(min(TICK_S, self.fresh_s / 2))
            try:
                await self._look()
            except Exception:  # a mistake of ours: it is tried again
                logger.exception("subscription %s could not look after its messages", self._name)

    async def _look(self) -> None:
        now = self._clock.time()
        if now - self._alive > self.fresh_s:  # this program, or its loop, stood still
            self._suspect_until = now + SUSPECT_S
        self._alive = now
        if not self._link.is_up:
            self._trouble("the connection is away")
            return
        is_new = self._link.nc.stats["reconnects"] != self._reconnects
        self._reconnects = self._link.nc.stats["reconnects"]
        if is_new:
            for pull in self.pulls:
                pull.lose(now)
            self._identity.doubt_anew()
        self._identity.keep_looking()
        for pull in self.pulls:
            for held in list(pull.held.values()):
                held.is_lost |= self.is_stale(held)
                age = now - held.heard
                if held.is_out and (is_new or age >= self.fresh_s):
                    await self.progress(held)
                elif not held.is_out and age > self.fresh_s:
                    await self.let_go(pull, held)
            await self._ask(pull)

    def _trouble(self, text: str) -> None:
        if not self._is_troubled:
            self._is_troubled = True
            logger.warning("subscription %s gets nothing at present, and is asked for again: %s", self._name, text)

    def _recovered(self) -> None:
        if self._is_troubled and self.is_certain and not any(pull.is_missing for pull in self.pulls):
            self._is_troubled = False
            logger.info("subscription %s gets events again", self._name)
