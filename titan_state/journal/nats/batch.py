"""Batch: messages that are written all at once, or not at all (ADR-50), which nats-py has no function for.

The first message of a batch rewrites the head of the stream, and expects the head that was there before. That fences
whoever does not lead any more, and whatever arrives late: of several batches that expect the same head, one is written.
"""

from __future__ import annotations

import asyncio
import json
import secrets
from typing import TYPE_CHECKING, Final

import attrs
from nats.errors import NoRespondersError

from titan_state.errors import JournalError, JournalUnavailableError, shorten
from titan_state.journal.nats.link import FULL, WRONG_SEQUENCE, FullError, WrongSequenceError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from titan_state.journal.nats.link import Link

AT_ONCE: Final = 64
"""How many messages are sent at once."""

MOST: Final = 1000
"""How many messages the server takes in one batch."""


@attrs.frozen
class Message:
    """One message of a batch.

    Attributes:
        subject: Its subject.
        payload: What it says.
        replaces: Whether it takes the place of earlier ones of its subject.
        epoch: In which epoch it is written; None where that does not matter.
    """

    subject: str
    payload: bytes
    replaces: bool = True
    epoch: int | None = None


class DoubtfulError(JournalUnavailableError):
    """It is not known whether a batch was, or will be, written."""


async def send(link: Link, messages: Iterable[Message], count: int, expected: int) -> int:
    """Write messages at once, or not at all.

    Args:
        link: The connection.
        messages: The messages, 1,000 at most; the first one is the head.
        count: How many they are.
        expected: The sequence of the head that was there before, 0 for none.

    Returns:
        The sequence of the first one; the others follow it without a gap.

    Raises:
        WrongSequenceError: The head is another one. Nothing was written.
        DoubtfulError: It is not known whether they were, or will be, written.
        JournalUnavailableError: Nothing was written; a `FullError` if there is no room.
        JournalError: The server refuses it. Nothing was written.
    """
    link.ensure_up()
    name, publish, message = secrets.token_hex(8), link.nc.publish, None
    with link.told("write"):
        for number, message in enumerate(messages, start=1):
            if number == count:
                break
            await publish(message.subject, message.payload, headers=_headers(message, name, number, expected))
            if number % AT_ONCE == 0:
                await asyncio.sleep(0)  # has what is there sent while others are made
    if message is None:
        raise ValueError("a batch has one message at least")
    headers = _headers(message, name, count, expected) | {"Nats-Batch-Commit": "1"}
    try:
        answer = await link.ask(message.subject, message.payload, headers, doing="write")
    except JournalUnavailableError as error:
        if isinstance(error.__cause__, NoRespondersError):
            raise  # there is nobody who could have written it
        raise DoubtfulError(str(error)) from error
    return _first(link, answer.data, count)


def _headers(message: Message, name: str, number: int, expected: int) -> dict[str, str]:
    headers = {"Nats-Batch-Id": name, "Nats-Batch-Sequence": str(number)}
    if number == 1:
        headers["Nats-Expected-Last-Subject-Sequence"] = str(expected)
    if message.replaces:
        headers["Nats-Rollup"] = "sub"
    if message.epoch is not None:
        headers["Titan-Epoch"] = str(message.epoch)
    return headers


def _first(link: Link, data: bytes, count: int) -> int:
    try:
        told = json.loads(data)
        error = told.get("error")
        if error is None:
            if told.get("count") != count:
                raise JournalError(
                    f"{link.name} has written {told.get('count')} of {count} messages at once: start the monitor again"
                )
            return int(told["seq"]) - count + 1
        code, text = error.get("err_code"), shorten(str(error.get("description")))
    except (ValueError, KeyError, AttributeError) as error:
        raise DoubtfulError(f"what {link.name} answered is not understood") from error
    if code in WRONG_SEQUENCE:
        raise WrongSequenceError(text)
    if code in FULL:
        raise FullError(f"{link.name} has no room left: {text}")
    raise JournalUnavailableError(f"{link.name} could not write: {text}")
