"""Line: what a subscription sends to the server, and where it is told something: requests, answers, a farewell."""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress
from typing import TYPE_CHECKING, Final

import nats.errors

from titan_state.errors import JournalError, shorten
from titan_state.journal.nats.link import taken
from titan_state.journal.nats.pulls import ACK, NEXT, REQUEST, Pull

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from nats.aio.msg import Msg
    from nats.aio.subscription import Subscription as Receiver

    from titan_state.clock import Clock
    from titan_state.journal.nats.consumers import Consumers
    from titan_state.journal.nats.link import Link

logger = logging.getLogger("titan_state.journal")

BETWEEN_S: Final = 0.05
"""How often it is asked whether something is on its way, in seconds."""

QUIET_S: Final = 1.0
"""How long a farewell waits for what is about to be delivered."""

AWAY_S: Final = 0.2
"""How often a farewell looks whether there is a server that waits for it."""

ROUND_TRIP_S: Final = 2.0
"""How long a farewell waits for the server to have had something."""


class Line:
    """Between one subscription and the server.

    Attributes:
        is_ended: Whether nothing is asked for any more.
    """

    def __init__(self, link: Link, stream: str, name: str) -> None:
        """Make a line that is not open.

        Args:
            link: The connection.
            stream: The name of the stream.
            name: The name of the subscription, for the log.
        """
        self.is_ended = False
        self._link = link
        self._stream = stream
        self._name = shorten(name)
        self._subject = ""
        self._receiver: Receiver | None = None

    async def open(self, take: Callable[[Msg], Awaitable[None]]) -> None:
        """Have messages be taken in.

        Raises:
            JournalError: The connection is closed for good.
        """
        self._subject = self._link.nc.new_inbox()
        with self._link.told("open a subscription"):
            self._receiver = await self._link.nc.subscribe(f"{self._subject}.*.*", cb=take)

    def place_of(self, subject: str) -> tuple[int, int]:
        """Return of which pull a status is, and of which of its requests."""
        index, number = subject.removeprefix(f"{self._subject}.").split(".")
        return int(index), int(number)

    async def ask(self, pull: Pull, now: float) -> None:
        """Ask for the next message of a consumer, if that is due."""
        if self.is_ended or not pull.is_due(now):
            return
        if pull.is_repeated and pull.answered is not None:
            await self.send(pull.answered, ACK)
        place = f"$JS.API.CONSUMER.MSG.NEXT.{self._stream}.{pull.consumer}"
        if not await self.send(place, REQUEST, f"{self._subject}.{pull.ask(now)}"):
            pull.lose(now)

    async def acknowledge(self, pull: Pull, reply: str, now: float) -> None:
        """Acknowledge a message, and ask for the next one with the same words."""
        if self.is_ended or not pull.is_due(now):
            await self.send(reply, ACK)
        elif not await self.send(reply, NEXT, f"{self._subject}.{pull.ask(now)}"):
            pull.lose(now)

    async def send(self, subject: str, payload: bytes, reply: str = "") -> bool:
        """Send a message; return False if that cannot be done now."""
        if not self._link.is_up:
            return False
        try:
            await self._link.nc.publish(subject, payload, reply=reply)
        except (nats.errors.Error, OSError) as error:
            logger.debug("subscription %s could not send: %s", self._name, error)
            return False
        return True

    async def leave(self, pulls: Sequence[Pull], consumers: Consumers, let_go: Callable[[], Awaitable[None]]) -> None:
        """Take leave of the server: nothing is delivered here any more, and everything that was to others.

        Args:
            pulls: What was asked for.
            consumers: The consumers.
            let_go: Lets go of the messages that are here.
        """
        if self._link.is_up:
            quiet = asyncio.ensure_future(_quiet(pulls, consumers))
            quiet.add_done_callback(taken)
            try:
                await asyncio.wait((quiet,), timeout=QUIET_S)
            finally:
                quiet.cancel()
        await self._hang_up(pulls[-1].consumer, let_go)

    async def until_away(self, clock: Clock) -> None:
        """Return when there is no server."""
        while self._link.is_up:
            await clock.sleep(AWAY_S)

    async def _hang_up(self, consumer: str, let_go: Callable[[], Awaitable[None]]) -> None:
        nc, receiver = self._link.nc, self._receiver
        if receiver is None or not self._link.is_up:
            return
        # The server is told first that nobody is interested, so that it delivers what is let go of to others. What is
        # on its way here is let go of, too: Subscription.unsubscribe would drop it. And not Subscription.drain: when
        # the flush in it is cut short, nats-py stops reading as soon as its answer comes.
        await nc._send_unsubscribe(receiver._id)  # noqa: SLF001 - see above
        await self._round_trip(consumer)
        for _ in range(receiver.pending_msgs + 1):
            await asyncio.sleep(0)
        await let_go()
        await self._round_trip(consumer)

    async def close(self) -> None:
        """Take in nothing more."""
        if self._receiver is not None:
            with suppress(nats.errors.Error):
                await self._receiver.unsubscribe()

    async def _round_trip(self, consumer: str) -> None:
        """Return when the server has had everything that was sent, and all that it had sent by then has arrived."""
        with suppress(JournalError):
            await self._link.ask(f"$JS.API.CONSUMER.INFO.{self._stream}.{consumer}", timeout_s=ROUND_TRIP_S)


async def _quiet(pulls: Sequence[Pull], consumers: Consumers) -> None:
    """Wait for what the server is about to deliver here.

    What is on its way within the server when nobody is interested any more comes to nobody until it is missed.
    """
    while asking := [pull.consumer for pull in pulls if pull.is_asking]:
        states = await consumers.states(asking)
        if not any(state.pending and not state.outstanding for state in states.values()):
            return
        await asyncio.sleep(BETWEEN_S)
