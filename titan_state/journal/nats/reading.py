"""Reading: messages of a stream, in their order, of any replica; or a single one, of the leader. Without consumers."""

from __future__ import annotations

import asyncio
import base64
import json
from contextlib import aclosing
from typing import TYPE_CHECKING, Any, Final

import attrs

from titan_state.errors import JournalDamagedError, JournalUnavailableError, PayloadError
from titan_state.journal.nats.link import ANSWER_S, NO_MESSAGE
from titan_state.journal.nats.messages import event_read

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from nats.aio.msg import Msg

    from titan_state.core.events import Event
    from titan_state.journal.nats.layout import Layout
    from titan_state.journal.nats.link import Link

PART: Final = 1000
"""How many messages are asked for at once."""

PART_BYTES: Final = 4 * 1024 * 1024
"""How many bytes the server sends for one request at most, about."""

NOTHING_THERE: Final = "404"
END_OF_PART: Final = "204"


@attrs.frozen
class Stored:
    """A message of the stream.

    Attributes:
        position: Its sequence.
        subject: Its subject.
        data: Its payload.
        headers: Its headers, the server's own among them.
    """

    position: int
    subject: str
    data: bytes
    headers: dict[str, str] = attrs.field(factory=dict, repr=False)


class Reader:
    """Reads the stream of an account."""

    def __init__(self, link: Link, layout: Layout) -> None:
        self._link = link
        self._layout = layout

    async def scan(self, subject: str, *, after: int = 0, limit: int | None = None) -> AsyncGenerator[Stored]:
        """Hand out messages in order.

        Args:
            subject: Which ones, with wildcards.
            after: Only those after this position.
            limit: At most so many.

        Raises:
            JournalUnavailableError: They cannot be read at present.
        """
        left = limit
        while left is None or left > 0:
            part = await self._part(subject, after, PART if left is None else min(PART, left))
            for stored in part:
                yield stored
                after = stored.position
            if not part:
                return
            left = None if left is None else left - len(part)

    async def _part(self, subject: str, after: int, count: int) -> list[Stored]:
        """Return the next messages; none at all at the end."""
        nc = self._link.nc
        self._link.ensure_up()
        inbox = nc.new_inbox()
        found: list[Stored] = []
        ended: asyncio.Future[str] = asyncio.get_running_loop().create_future()

        async def take(message: Msg) -> None:
            headers = message.headers or {}
            status = headers.get("Status")
            if status is None:
                found.append(
                    Stored(int(headers["Nats-Sequence"]), headers["Nats-Subject"], message.data, dict(headers))
                )
            elif not ended.done():
                ended.set_result(status)

        asked = {"seq": after + 1, "batch": count, "next_by_subj": subject, "max_bytes": PART_BYTES}
        with self._link.told("read"):
            subscription = await nc.subscribe(inbox, cb=take, pending_msgs_limit=-1, pending_bytes_limit=-1)
            try:
                place = f"$JS.API.DIRECT.GET.{self._layout.stream}"
                await nc.publish(place, json.dumps(asked).encode(), reply=inbox)
                count_before = -1
                while not ended.done() and len(found) > count_before:  # as long as something comes
                    count_before = len(found)
                    await asyncio.wait((ended,), timeout=ANSWER_S)
            finally:
                if not nc.is_closed:
                    await subscription.unsubscribe()
        status = ended.result() if ended.done() else None
        if status == NOTHING_THERE:
            return []
        if status != END_OF_PART:
            text = "no answer" if status is None else f"status {status}"
            raise JournalUnavailableError(f"{self._link.name} could not read: {text}")
        return found

    async def first(self, subject: str, *, after: int = 0) -> Stored | None:
        """Return the first message of a subject after a position."""
        async with aclosing(self.scan(subject, after=after, limit=1)) as found:
            async for stored in found:
                return stored
        return None

    async def count(self, subject: str, *, after: int = 0) -> int:
        """Return how many messages of a subject there are after a position."""
        first = await self.first(subject, after=after)
        return 0 if first is None else 1 + int(first.headers.get("Nats-Num-Pending", 0))

    async def last(self, subject: str) -> Stored | None:
        """Return the newest message of a subject, as the stream's leader has it."""
        return await self._get({"last_by_subj": subject})

    async def at(self, position: int) -> Stored | None:
        """Return the message at a position, as the stream's leader has it."""
        return await self._get({"seq": position})

    async def _get(self, wanted: dict[str, Any]) -> Stored | None:
        place = f"STREAM.MSG.GET.{self._layout.stream}"
        answer = await self._link.api(place, wanted, passes=NO_MESSAGE, doing="read")
        if "error" in answer:
            return None
        message = answer["message"]
        return Stored(message["seq"], message["subject"], base64.b64decode(message.get("data", "")))

    def event(self, stored: Stored) -> Event:
        """Return the event of a message.

        Raises:
            JournalDamagedError: It is none.
        """
        try:
            return event_read(stored.data)
        except PayloadError as error:
            raise JournalDamagedError(
                f"the message at position {stored.position} of the stream {self._layout.stream} is no event: {error}"
            ) from error
