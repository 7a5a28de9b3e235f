"""Talk: other programs ask the monitor that leads an account, and it answers, as requests and replies of NATS.

Nothing of it is kept in the stream. Whoever leads offers to answer, and begins only when the asker has agreed: one that
has given up meanwhile does not, so nothing is done behind its back, and it agrees with one only. An answer may take its
time, and may be longer than a message: while it is thought about the asker is told so, and it comes in parts.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import secrets
from typing import TYPE_CHECKING, Any, Final

from nats.errors import Error as NatsError

from titan_state.clock import within
from titan_state.errors import ConfigurationError, JournalError, JournalUnavailableError, MonitorClosedError, shorten

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator

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

ELSEWHERE_S: Final = 2.0
"""For how long another monitor is waited for, after one has said that it is not certain of its lead."""

LISTEN_S: Final = 5
"""How long the server may take to hear that somebody listens."""

OFFER_S: Final = 5.0
"""For how long a monitor that was asked waits for the asker to agree."""

PART: Final = 512 * 1024
"""How many bytes of an answer one message holds, at most: half of what NATS takes where that is less."""

LONGEST: Final = 64 * 1024 * 1024
"""The longest answer in bytes."""

MOST_AT_ONCE: Final = 100
"""How many questions are thought about at the same time; others are not taken, and their askers told so."""

_FROM: Final = "Titan-From"
"""The header that says which responder it is."""

_SAYS: Final = "Titan-Says"
"""The header that says what a message is: one of the following, or a part of the answer by its number."""

_OFFERS: Final = "offers"
_WORKING: Final = "working"
_LAPSED: Final = "not-leading"
_BUSY: Final = "busy"
_FAILED: Final = "failed"
_GONE: Final = "gone"

_MORE: Final = "Titan-More"
"""The header of a part that is not the last one."""


class Talk:
    """Asks, or answers, over NATS."""

    def __init__(self, link: Link, layout: Layout) -> None:
        self._link = link
        self._subject = layout.questions
        self._account = shorten(layout.account)
        self._clock: Clock = link.clock
        self._mark = secrets.token_hex(8)
        self._inboxes: list[Subscription] = []
        self._offers: dict[str, asyncio.Future[None]] = {}
        self._tasks: dict[asyncio.Task[None], str] = {}  # what is thought about, each with where its answer goes
        self._is_busy = False

    async def serve(self, answer: Callable[[bytes], Awaitable[bytes]], leads: Callable[[], bool]) -> None:
        """Answer questions from now on.

        Args:
            answer: Returns the answer to a question.
            leads: Returns whether it is certain at this moment that no other monitor leads: none is answered otherwise.
        """

        async def take(message: Msg) -> None:
            if not message.reply:
                return
            if not leads():
                await self._say(message.reply, _LAPSED)
            elif len(self._tasks) >= MOST_AT_ONCE:
                if not self._is_busy:
                    logger.warning("too many questions are asked of the monitor of %s at once", self._account)
                self._is_busy = True
                await self._say(message.reply, _BUSY)
            else:
                self._is_busy = False
                task = asyncio.create_task(self._take(message, answer, leads), name="titan_state answer")
                self._tasks[task] = message.reply
                task.add_done_callback(self._tasks.pop)

        with self._link.told("listen"):
            self._inboxes.append(await self._link.nc.subscribe(f"{self._subject}.{self._mark}", cb=self._agreed))
            self._inboxes.append(await self._link.nc.subscribe(self._subject, cb=take))
        await self._link.do(self._link.nc.flush(LISTEN_S), "listen")  # from now on the server knows that somebody does

    async def _take(self, message: Msg, answer: Callable[[bytes], Awaitable[bytes]], leads: Callable[[], bool]) -> None:
        """Answer a question, if it is for us still."""
        if not await self._is_wanted(message.reply):
            logger.debug("a program that asked has given up, or chosen another monitor")
        elif leads():
            await self._think(message, answer)
        else:
            await self._say(message.reply, _LAPSED)

    async def _is_wanted(self, asker: str) -> bool:
        """Offer to answer, and return whether the asker agrees."""
        offer: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._offers[asker] = offer
        try:
            await self._say(asker, _OFFERS)
            await within(self._clock, OFFER_S, offer)
        except TimeoutError:
            return False
        finally:
            self._offers.pop(asker, None)
        return True

    async def _agreed(self, message: Msg) -> None:
        offer = self._offers.get(message.data.decode(errors="replace"))
        if offer is not None and not offer.done():
            offer.set_result(None)

    async def _think(self, message: Msg, answer: Callable[[bytes], Awaitable[bytes]]) -> None:
        thinking = asyncio.ensure_future(answer(message.data))
        try:
            while not thinking.done():
                await self._say(message.reply, _WORKING)
                pause = asyncio.ensure_future(self._clock.sleep(WORKING_S))
                try:
                    await asyncio.wait((thinking, pause), return_when=asyncio.FIRST_COMPLETED)
                finally:
                    pause.cancel()
            if thinking.cancelled():
                await self._say(message.reply, _GONE)
            else:
                await self._tell(message.reply, thinking.result())
        except Exception:  # a mistake of ours: whoever asked must not wait for it
            logger.exception("a question could not be answered")
            await self._say(message.reply, _FAILED)
        finally:
            thinking.cancel()
            await asyncio.gather(thinking, return_exceptions=True)

    async def _tell(self, asker: str, told: bytes) -> None:
        """Send an answer, in parts."""
        size = min(PART, self._link.nc.max_payload // 2)
        for number, first in enumerate(range(0, max(1, len(told)), size)):
            more = {_MORE: "1"} if first + size < len(told) else {}
            if not await self._say(asker, str(number), told[first : first + size], more):
                return

    async def _say(self, asker: str, what: str, payload: bytes = b"", more: dict[str, Any] | None = None) -> bool:
        """Send one message to an asker, and return whether it is on its way."""
        if not self._link.is_up:
            return False
        try:
            await self._link.nc.publish(asker, payload, headers={_FROM: self._mark, _SAYS: what, **(more or {})})
        except (NatsError, OSError) as error:
            logger.debug("a program that asked cannot be answered: %s", error)
            return False
        return True

    async def ask(self, question: bytes) -> bytes:
        """Return the answer of the monitor that leads.

        Raises:
            MonitorClosedError: None answers, or no longer. If its cause is an error of the journal, none has taken the
                question.
            JournalUnavailableError: It is asked too much at once, and has not taken the question.
            ConfigurationError: The question is too long.
        """
        nc = self._link.nc
        if self._link.is_up and len(question) > nc.max_payload:
            raise ConfigurationError(f"the question is longer than {self._link.name} takes in one message")
        news: asyncio.Queue[Msg] = asyncio.Queue()
        inbox: Subscription | None = None
        try:
            with self._asking():
                place = nc.new_inbox()
                inbox = await nc.subscribe(place, cb=news.put, pending_msgs_limit=-1, pending_bytes_limit=-1)
                await nc.publish(self._subject, question, reply=place)
            responder = await self._responder(news)
            with self._asking():
                await nc.publish(f"{self._subject}.{responder}", place.encode())
            return await self._collected(news, responder)
        finally:
            if inbox is not None and not nc.is_closed:
                with contextlib.suppress(NatsError, OSError):  # the connection is away: so is what was listened to
                    await inbox.unsubscribe()

    @contextlib.contextmanager
    def _asking(self) -> Iterator[None]:
        try:
            self._link.ensure_up()
            with self._link.told("ask the monitor"):
                yield
        except JournalError as error:
            raise MonitorClosedError(f"the monitor of {self._account} cannot be asked: {error}") from error

    async def _responder(self, news: asyncio.Queue[Msg]) -> str:
        """Return the one who offers to answer. None has done anything until it is told that the offer is taken."""
        deadline, story = self._clock.time() + SILENCE_S, f"the monitor of {self._account} does not answer"
        while (message := await self._next(news, deadline)) is not None:
            headers = message.headers or {}
            said = headers.get(_SAYS)
            if headers.get("Status") == "503":
                story = f"no monitor leads {self._account} at present"
                break
            if said == _OFFERS:
                return str(headers.get(_FROM, ""))
            if said == _BUSY:
                raise JournalUnavailableError(
                    f"the monitor of {self._account} is asked too much at once; nothing was done, ask again"
                )
            if said == _LAPSED:
                deadline = min(deadline, self._clock.time() + ELSEWHERE_S)
                story = f"the monitor of {self._account} is not certain to lead at present, and does not answer"
        raise MonitorClosedError(story) from JournalUnavailableError(story)

    async def _collected(self, news: asyncio.Queue[Msg], responder: str) -> bytes:
        """Return the answer of one responder; others may have offered to answer, too."""
        monitor = f"the monitor of {self._account}"
        parts: list[bytes] = []
        size, deadline = 0, self._clock.time() + SILENCE_S
        while (message := await self._next(news, deadline)) is not None:
            headers = message.headers or {}
            said = headers.get(_SAYS)
            if headers.get(_FROM) != responder:
                continue
            deadline = self._clock.time() + SILENCE_S
            if said in (_OFFERS, _WORKING):
                continue
            if said == _LAPSED:
                lapsed = f"{monitor} is not certain to lead any more"
                raise MonitorClosedError(lapsed) from JournalUnavailableError(lapsed)
            if said in (_FAILED, _GONE):
                story = "could not answer: see its log" if said == _FAILED else "was left before it had answered"
                raise MonitorClosedError(f"{monitor} {story}")
            if said != str(len(parts)):
                raise MonitorClosedError(f"{monitor} has answered, but a part of it was lost")
            parts.append(message.data)
            size += len(message.data)
            if size > LONGEST:
                raise MonitorClosedError(f"{monitor} answers at too great length")
            if _MORE not in headers:
                return b"".join(parts)
        raise MonitorClosedError(f"{monitor} was asked, and is not heard of any more")

    async def _next(self, news: asyncio.Queue[Msg], deadline: float) -> Msg | None:
        """Return what arrives next, None if nothing does in time."""
        waiting = asyncio.ensure_future(news.get())
        alarm = asyncio.ensure_future(self._clock.sleep(deadline - self._clock.time()))
        try:
            await asyncio.wait((waiting, alarm), return_when=asyncio.FIRST_COMPLETED)
            return waiting.result() if waiting.done() else None
        finally:
            alarm.cancel()
            waiting.cancel()

    async def close(self) -> None:
        """Answer no more; what is thought about is cut short, and whoever asked is told so."""
        inboxes, self._inboxes = self._inboxes, []
        for inbox in inboxes if self._link.is_up else ():
            try:
                await inbox.unsubscribe()
            except (NatsError, OSError) as error:
                logger.debug("listening could not be ended: %s", error)
        tasks = dict(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for task, asker in tasks.items():
            if task.cancelled():
                await self._say(asker, _GONE)
