"""Pulls: when a program asks a consumer for its next message, and what it has of it. No input or output.

One request asks for one message. It ends with that message, with a status, or unnoticed: with the connection, or with
a server. So the server is asked for heartbeats, and a request without them is sent again.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Final

import attrs

if TYPE_CHECKING:
    from datetime import datetime

    from titan_state.journal.base import Delivery

EXPIRES_S: Final = 30.0
"""How long a request waits at the server: so long a program that was stopped can have another message delivered."""

HEARTBEAT_S: Final = 2.5
SILENCE_S: Final = 6.0
"""How often the server says that a request waits still, and after what silence it is taken for lost, in seconds."""

FIRST_PAUSE_S: Final = 0.25
LONGEST_PAUSE_S: Final = 15.0
"""How soon a request is sent again that was refused: doubled from the first to the longest."""

SHORT_S: Final = 1.0
"""A request that ends sooner without a message has been refused, whatever its status says."""

REQUEST: Final = json.dumps(
    {"batch": 1, "expires": round(EXPIRES_S * 1e9), "idle_heartbeat": round(HEARTBEAT_S * 1e9)}, separators=(",", ":")
).encode()

ACK, NAK, PROGRESS = b"+ACK", b"-NAK", b"+WPI"
NEXT: Final = b"+NXT " + REQUEST
"""What a message is answered with; the last one acknowledges it, and asks for the next one."""

HEARTBEAT: Final = "100"
EXPIRED: Final = "408"
NOBODY: Final = "503"
"""Statuses of the server; the last one says that there is no such consumer, or that nobody leads it at present."""


@attrs.define(eq=False)
class Held:
    """A message that was delivered here and is not dealt with.

    Attributes:
        sequence: The position of the message: that of the event, unless it is delivered once more.
        reply: Where it is answered.
        heard: When it arrived, or the server was last told that it is in progress, by the clock.
        written: When it was written, as the server says.
        delivery: What is handed out.
        is_out: Whether it was handed out.
        is_lost: Whether the server may have given it to another program meanwhile.
        may_have_letter: Whether something may be written down of it.
    """

    sequence: int
    reply: str
    heard: float
    written: datetime | None = None
    delivery: Delivery | None = None
    is_out: bool = False
    is_lost: bool = False
    may_have_letter: bool = False


@attrs.define(eq=False)
class Pull:
    """What a program has of one consumer.

    Attributes:
        consumer: The name of the consumer.
        partition: Its partition, None for dead letters that are delivered once more.
        index: Which of the pulls it is, as a part of subjects.
        width: How many messages it may have at the same time.
        held: What it has, by the position of the message.
        last: The last event that was dealt with here: all earlier ones of the partition were, too.
        last_written: When that one was written: a server that has lost messages gives their positions again.
        answered: Where that one was answered, to say it again if the answer may have been lost.
        unanswered: Where it is to be said that a message was dealt with, which could not be said so far.
        is_missing: Whether the consumer may not be there.
    """

    consumer: str
    partition: int | None
    index: int
    width: int
    held: dict[int, Held] = attrs.field(factory=dict)
    last: int = 0
    last_written: datetime | None = None
    answered: str | None = None
    unanswered: list[str] = attrs.field(factory=list)
    is_missing: bool = False
    _number: int = 0
    _asked: float | None = None
    _heard: float = 0.0
    _again: float = 0.0
    _refusals: int = 0

    @property
    def has_room(self) -> bool:
        """Whether it may have one more message."""
        return len(self.held) < self.width

    def is_due(self, now: float) -> bool:
        """Return whether a request is to be sent."""
        if not self.has_room:
            return False
        if self._asked is not None:
            return now - self._heard >= SILENCE_S
        return now >= self._again

    @property
    def is_asking(self) -> bool:
        """Whether a request is at the server, as far as is known."""
        return self._asked is not None

    @property
    def is_repeated(self) -> bool:
        """Whether the request before has ended in a way that may have cost an answer of ours as well."""
        return self._asked is not None or self._refusals > 0

    def is_silent(self, now: float) -> bool:
        """Return whether a request may have been lost."""
        return self._asked is not None and now - self._heard >= SILENCE_S

    def is_done(self, held: Held) -> bool:
        """Return whether a message was dealt with here before it arrived."""
        if self.partition is None or self.last_written is None or held.written is None:
            return False
        return held.sequence <= self.last and held.written <= self.last_written

    def settled(self, held: Held) -> None:
        """Take in that a message was dealt with."""
        if self.partition is not None:
            self.last, self.last_written, self.answered = held.sequence, held.written, held.reply

    def forget(self) -> None:
        """Take in that the subscription is another one: what was had of the earlier one says nothing of it."""
        self.held.clear()
        self.unanswered.clear()
        self.last, self.last_written, self.answered = 0, None, None

    def ask(self, now: float) -> str:
        """Take in that a request is sent, and return the end of the subject that its status comes on."""
        self._number += 1
        self._asked = self._heard = now
        return f"{self.index}.{self._number}"

    def arrived(self, now: float) -> None:
        """Take in a message."""
        self._asked, self._heard = None, now
        self._again, self._refusals, self.is_missing = now, 0, False

    def told(self, number: int, status: str, description: str, now: float) -> None:
        """Take in a status of the server.

        Args:
            number: Of which request.
            status: The status.
            description: What it says.
            now: The time.
        """
        if number != self._number or self._asked is None:
            return  # of a request that was given up
        self._heard = now
        if status == HEARTBEAT:
            self._refusals, self.is_missing = 0, False
            return
        is_fine = status == EXPIRED and now - self._asked >= SHORT_S
        self._asked = None
        self.is_missing = status == NOBODY or "deleted" in description.lower()
        self._refusals = 0 if is_fine else self._refusals + 1
        self._again = now + (0.0 if is_fine else pause_s(self._refusals))

    def lose(self, now: float) -> None:
        """Take in that the connection is another one: whatever was asked for does not come."""
        self._asked, self._again, self._refusals = None, now, 0


def pause_s(refusals: int) -> float:
    """Return how long to wait after so many refusals."""
    return min(FIRST_PAUSE_S * 2.0 ** min(refusals - 1, 16), LONGEST_PAUSE_S)
