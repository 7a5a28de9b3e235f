"""Consumers: what JetStream keeps of a subscription, one durable pull consumer for each partition, and one more.

Every function may be called by several programs at once, and again after one that was cut short.
"""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Any, Final, TypeVar

import attrs

from titan_state.errors import JournalDamagedError, JournalUnavailableError, shorten

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable

    from titan_state.journal.nats.layout import Layout
    from titan_state.journal.nats.link import Link
    from titan_state.journal.nats.reading import Stored

T = TypeVar("T")

ACK_WAIT_S: Final = 30.0
"""How long a program that is not heard of keeps what was delivered to it, in seconds."""

AGAIN_AT_ONCE: Final = 16
"""How many dead letters of one subscription are delivered again at the same time: no order is kept among them."""

MOST_WAITING: Final = 4096
"""How many programs may wait for events of one partition at the same time."""

AT_ONCE: Final = 32
"""How many requests are on their way at the same time."""

MARK: Final = "titan_state_of"

EXISTS: Final = frozenset({10148, 10013, 10105})
GONE: Final = frozenset({10014, 10059})
"""The server's error codes for a consumer that is there already, or with other settings, and for one that is not
there; or whose stream is not."""


@attrs.frozen(kw_only=True)
class Known:
    """A subscription, as it is written down.

    Attributes:
        name: Its name.
        start: The position after which it begins.
        created: When it began.
        seen: When a program last had it open.
        ack_wait_s: How long a program that is not heard of keeps what was delivered to it.
    """

    name: str
    start: int
    created: datetime
    seen: datetime
    ack_wait_s: float = ACK_WAIT_S

    @property
    def mark(self) -> str:
        """What tells it from an earlier one of the same name."""
        return f"{self.start} {self.created.isoformat()}"

    def written(self) -> bytes:
        """Return it as a payload."""
        told = {
            "name": self.name,
            "start": self.start,
            "created": self.created.isoformat(),
            "seen": self.seen.isoformat(),
        }
        return json.dumps(told).encode()

    @classmethod
    def read(cls, stored: Stored) -> Known:
        """Return what was written.

        Raises:
            JournalDamagedError: It is no subscription.
        """
        try:
            told: dict[str, Any] = json.loads(stored.data)
            return cls(
                name=str(told["name"]),
                start=int(told["start"]),
                created=datetime.fromisoformat(told["created"]).astimezone(UTC),
                seen=datetime.fromisoformat(told["seen"]).astimezone(UTC),
            )
        except (ValueError, KeyError, TypeError, OverflowError, RecursionError) as error:
            text = f"the message at position {stored.position} is no subscription: {shorten(str(error))}"
            raise JournalDamagedError(text) from error


@attrs.frozen(kw_only=True)
class ConsumerState:
    """How far a consumer has come.

    Attributes:
        name: Its name.
        mark: Of which subscription it is, see `Known.mark`.
        waiting: How many programs wait for a message.
        pending: How many messages it has not delivered.
        outstanding: How many it has delivered that were not acknowledged.
        delivered: The number of its last delivery: they are counted.
        floor: Everything up to this position was acknowledged, or is none of its messages.
        ack_wait_s: How long a delivery is kept for a program that is not heard of.
    """

    name: str
    mark: str
    waiting: int
    pending: int
    outstanding: int
    delivered: int
    floor: int
    ack_wait_s: float

    @property
    def has_had_everything(self) -> bool:
        """Whether nothing is left for it."""
        return not self.pending and not self.outstanding


class Consumers:
    """The consumers of all subscriptions of an account."""

    def __init__(self, link: Link, layout: Layout, *, ack_wait_s: float = ACK_WAIT_S) -> None:
        """Make what asks for consumers.

        Args:
            link: The connection.
            layout: Where things are.
            ack_wait_s: How long a program that is not heard of keeps what was delivered to it; consumers that exist
                stay as they are.
        """
        self._link = link
        self._layout = layout
        self._ack_wait_s = ack_wait_s

    async def ensure(self, known: Known) -> float:
        """Have all consumers of a subscription be there, and return how long a silent program keeps a delivery."""
        partitions = (*range(self._layout.partitions), None)
        states = await all_of(partial(self.ensure_one, known, partition) for partition in partitions)
        return min(one.ack_wait_s for one in states)

    async def ensure_one(self, known: Known, partition: int | None, *, after: int = 0) -> ConsumerState:
        """Have the consumer of one partition be there; None for that of dead letters that are delivered again.

        Args:
            known: The subscription.
            partition: The partition.
            after: The position up to which everything of the partition is known to be dealt with.
        """
        name = self._layout.consumer(known.name, partition)
        while True:
            state = await self.state(name)
            if state is None:
                state = await self._created(known, partition, name, max(known.start, after))
            if state is not None:
                if state.mark == known.mark:
                    return state
                await self.remove(name)  # it is of an earlier subscription of that name, whose removal was cut short

    async def state(self, name: str) -> ConsumerState | None:
        """Return how far a consumer has come, None if there is none of that name."""
        answer = await self._link.api(f"CONSUMER.INFO.{self._layout.stream}.{name}", passes=GONE)
        return None if "error" in answer else _state(answer)

    async def states(self, names: Iterable[str]) -> dict[str, ConsumerState]:
        """Return how far consumers have come, by their names; those that are not there are left out."""
        found = await all_of(partial(self.state, name) for name in names)
        return {one.name: one for one in found if one is not None}

    async def of(self, name: str) -> dict[str, ConsumerState]:
        """Return how far the consumers of a subscription have come, by their names."""
        return await self.states(self.names_of(name))

    def names_of(self, name: str) -> list[str]:
        """Return what the consumers of a subscription are called."""
        return [self._layout.consumer(name, partition) for partition in (*range(self._layout.partitions), None)]

    async def names(self) -> list[str]:
        """Return the names of all consumers that there are."""
        found: list[str] = []
        while True:
            answer = await self._link.api(f"CONSUMER.NAMES.{self._layout.stream}", {"offset": len(found)})
            part = answer.get("consumers") or []
            found += part
            if not part or len(found) >= answer["total"]:
                return found

    async def remove(self, name: str) -> None:
        """Remove a consumer, if it is there."""
        await self._link.api(f"CONSUMER.DELETE.{self._layout.stream}.{name}", passes=GONE)

    async def _created(self, known: Known, partition: int | None, name: str, start: int) -> ConsumerState | None:
        """Create a consumer, unless somebody was faster: None then."""
        layout = self._layout
        subject = layout.again(known.name) if partition is None else layout.events(partition)
        settings: dict[str, Any] = {
            "name": name,
            "durable_name": name,
            "description": f"titan_state of {layout.token}",
            "filter_subject": subject,
            "deliver_policy": "all",
            "ack_policy": "explicit",
            "ack_wait": round(self._ack_wait_s * 1e9),
            "max_deliver": -1,
            "max_ack_pending": AGAIN_AT_ONCE,
            "max_waiting": MOST_WAITING,
            "replay_policy": "instant",
            "metadata": {MARK: known.mark},
        }
        if partition is not None:  # one at a time keeps the order
            settings |= {"max_ack_pending": 1, "deliver_policy": "by_start_sequence", "opt_start_seq": start + 1}
        asked = {"stream_name": layout.stream, "config": settings, "action": "create"}
        answer = await self._link.api(f"CONSUMER.CREATE.{layout.stream}.{name}.{subject}", asked, passes=EXISTS)
        return None if "error" in answer else _state(answer)


async def all_of(works: Iterable[Callable[[], Awaitable[T]]], at_once: int = AT_ONCE) -> list[T]:
    """Do several things, some at the same time; all have ended when one of their errors is raised."""
    places = asyncio.Semaphore(at_once)

    async def placed(work: Callable[[], Awaitable[T]]) -> T:
        async with places:
            return await work()

    outcomes = await asyncio.gather(*(placed(work) for work in works), return_exceptions=True)
    failures = [one for one in outcomes if isinstance(one, BaseException)]
    lasting = [one for one in failures if not isinstance(one, JournalUnavailableError)]
    for failure in (*lasting, *failures):
        raise failure
    return [one for one in outcomes if not isinstance(one, BaseException)]


def _state(answer: dict[str, Any]) -> ConsumerState:
    settings = answer["config"]
    return ConsumerState(
        name=answer["name"],
        mark=(settings.get("metadata") or {}).get(MARK, ""),
        waiting=answer.get("num_waiting", 0),
        pending=answer.get("num_pending", 0),
        outstanding=answer.get("num_ack_pending", 0),
        delivered=answer.get("delivered", {}).get("consumer_seq", 0),
        floor=answer.get("ack_floor", {}).get("stream_seq", 0),
        ack_wait_s=settings.get("ack_wait", 0) / 1e9,
    )
