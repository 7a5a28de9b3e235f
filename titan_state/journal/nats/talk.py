"""Talk: other programs ask the monitor that leads an account, and it answers, as requests and replies of NATS.

Nothing of it is kept in the stream. An answer may take its time, and may be longer than a message: while it is thought
about the asker is told so, and it comes in parts.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any, Final

from nats.errors import Error as NatsError

from titan_state.errors import ConfigurationError, JournalError, MonitorClosedError, shorten

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from nats.aio.msg import Msg
    from nats.aio.subscription import Subscription

    from titan_state.clock import Clock
    from titan_state.journal.nats.layout import Layout
    from titan_state.journal.nats.link import Link

logger = logging.getLogger("titan_state.journal")

WORKING_S: Final = 2.0
"""How often an asker is told that its answer is thought about."""

SILENCE_S: Final = 10.0
"""After what silence a monitor that was asked is taken for gone."""

PART: Final = 512 * 1024
"""How many bytes of an answer one message holds."""

LONGEST: Final = 64 * 1024 * 1024
"""The longest answer in bytes."""

MOST_AT_ONCE: Final = 100
"""How many questions are thought about at the same time; others are not answered, and their askers told so."""

_MORE: Final = "Titan-More"
_BUSY: Final = "Titan-Working"


class Talk:
    """Asks, or answers, over NATS."""

    def __init__(self, link: Link, layout: Layout) -> None:
        self._link = link
        self._subject = layout.questions
        self._account = shorten(layout.account)
        self._clock: Clock = link.clock
        self._inbox: Subscription | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    async def serve(self, answer: Callable[[bytes], Awaitable[bytes]]) -> None:
        """Answer questions from now on.

        Args:
            answer: Returns the answer to a question.
        """

        async def take(message: Msg) -> None:
            if not message.reply:
                return
            if len(self._tasks) >= MOST_AT_ONCE:
                logger.warning("too many questions are asked of the monitor of %s at once", self._account)
                return
            task = asyncio.create_task(self._think(message, answer), name="titan_state answer")
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

        with self._link.told("listen"):
            self._inbox = await self._link.nc.subscribe(self._subject, cb=take)

    async def _think(self, message: Msg, answer: Callable[[bytes], Awaitable[bytes]]) -> None:
        thinking = asyncio.ensure_future(answer(message.data))
        try:
            while True:
                await self._send(message.reply, b"", {_BUSY: "1"})
                pause = asyncio.ensure_future(self._clock.sleep(WORKING_S))
                try:
                    await asyncio.wait((thinking, pause), return_when=asyncio.FIRST_COMPLETED)
                finally:
                    pause.cancel()
                if thinking.done():
                    break
            told = thinking.result()
            for first in range(0, max(1, len(told)), PART):
                has_more = first + PART < len(told)
                await self._send(message.reply, told[first : first + PART], {_MORE: "1"} if has_more else {})
        except (NatsError, OSError) as error:
            logger.debug("a program that asked cannot be answered: %s", error)
        finally:
            thinking.cancel()
            await asyncio.gather(thinking, return_exceptions=True)

    async def _send(self, subject: str, payload: bytes, headers: dict[str, Any]) -> None:
        if self._link.is_up:
            await self._link.nc.publish(subject, payload, headers=headers or None)

    async def ask(self, question: bytes) -> bytes:
        """Return the answer of the monitor that leads.

        Raises:
            MonitorClosedError: None answers, or no longer.
            ConfigurationError: The question is too long.
        """
        nc = self._link.nc
        if self._link.is_up and len(question) > nc.max_payload:
            raise ConfigurationError(f"the question is longer than {self._link.name} takes in one message")
        news: asyncio.Queue[Msg] = asyncio.Queue()
        inbox: Subscription | None = None
        try:
            self._link.ensure_up()
            with self._link.told("ask the monitor"):
                place = nc.new_inbox()
                inbox = await nc.subscribe(place, cb=news.put, pending_msgs_limit=-1, pending_bytes_limit=-1)
                await nc.publish(self._subject, question, reply=place)
            return await self._collected(news)
        except JournalError as error:
            raise MonitorClosedError(f"the monitor of {self._account} cannot be asked: {error}") from error
        finally:
            if inbox is not None and not nc.is_closed:
                await inbox.unsubscribe()

    async def _collected(self, news: asyncio.Queue[Msg]) -> bytes:
        parts: list[bytes] = []
        size = 0
        while True:
            waiting = asyncio.ensure_future(news.get())
            alarm = asyncio.ensure_future(self._clock.sleep(SILENCE_S))
            try:
                await asyncio.wait((waiting, alarm), return_when=asyncio.FIRST_COMPLETED)
            finally:
                alarm.cancel()
                if not waiting.done():
                    waiting.cancel()
            if not waiting.done() or waiting.cancelled():
                raise MonitorClosedError(f"the monitor of {self._account} was asked, and is not heard of any more")
            message = waiting.result()
            headers = message.headers or {}
            if headers.get("Status") == "503":
                raise MonitorClosedError(f"no monitor leads {self._account} at present")
            if _BUSY in headers:
                continue
            parts.append(message.data)
            size += len(message.data)
            if size > LONGEST:
                raise MonitorClosedError(f"the monitor of {self._account} answers at too great length")
            if _MORE not in headers:
                return b"".join(parts)

    async def close(self) -> None:
        """Answer no more; what is thought about is cut short."""
        inbox, self._inbox = self._inbox, None
        if inbox is not None and self._link.is_up:
            try:
                await inbox.unsubscribe()
            except (NatsError, OSError) as error:
                logger.debug("listening could not be ended: %s", error)
        for task in tuple(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
