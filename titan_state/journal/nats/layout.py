"""Layout: what an account's stream is called, and on which subject of it each thing is. Pure.

Subjects hold hashes only, so that an id may be any text: the real one is in the payload. What must stay in order is on
subjects of one partition, which is computed from the execution's id.
"""

from __future__ import annotations

import hashlib
import re
from functools import lru_cache
from typing import Final

import attrs

PARTITIONS: Final = 16
"""Into how many partitions executions are divided, unless the stream was made with another number."""

MOST_PARTITIONS: Final = 1024

ROOT: Final = "titan"
"""The first token of all subjects."""

_UNSAFE: Final = re.compile(r"[^a-z0-9]+")


@attrs.frozen
class Layout:
    """Where things are in the stream of an account.

    Attributes:
        account: Whose executions these are.
        partitions: Into how many partitions they are divided, fixed when the stream is made.
    """

    account: str
    partitions: int = PARTITIONS
    token: str = attrs.field(init=False, repr=False)

    def __attrs_post_init__(self) -> None:
        object.__setattr__(self, "token", account_token(self.account))

    @property
    def stream(self) -> str:
        """The name of the stream."""
        return stream_of(self.token)

    @property
    def everything(self) -> str:
        """All subjects of the stream."""
        return f"{ROOT}.{self.token}.>"

    def partition(self, execution_id: str) -> int:
        """Return the partition of an execution."""
        return int(mark_of(execution_id), 16) % self.partitions

    def event(self, execution_id: str) -> str:
        """Return the subject of an execution's events."""
        mark = mark_of(execution_id)
        return f"{ROOT}.{self.token}.event.{int(mark, 16) % self.partitions}.{mark}"

    def events(self, partition: int | None = None) -> str:
        """Return the subjects of all events, or of those of one partition."""
        return f"{ROOT}.{self.token}.event.{'' if partition is None else f'{partition}.'}>"

    @property
    def state(self) -> str:
        """The subjects of what is known beside the events."""
        return f"{ROOT}.{self.token}.state.>"

    @property
    def head(self) -> str:
        """The subject that every batch rewrites."""
        return f"{ROOT}.{self.token}.state.head"

    @property
    def records(self) -> str:
        """The subjects of what is known of executions."""
        return f"{ROOT}.{self.token}.state.record.*"

    def record(self, execution_id: str) -> str:
        """Return the subject of what is known of an execution."""
        return f"{ROOT}.{self.token}.state.record.{mark_of(execution_id)}"

    def list(self, task_id: str | None) -> str:
        """Return the subject of a list that is watched, None for that of all executions."""
        return f"{ROOT}.{self.token}.state.list.{'all' if task_id is None else mark_of(task_id)}"

    @property
    def subscriptions(self) -> str:
        """The subjects of all subscriptions."""
        return f"{ROOT}.{self.token}.subscription.*"

    def subscription(self, name: str) -> str:
        """Return the subject of a subscription."""
        return f"{ROOT}.{self.token}.subscription.{name_token(name)}"

    def letters(self, name: str | None = None) -> str:
        """Return the subjects of the letters of all subscriptions, or of one."""
        return f"{ROOT}.{self.token}.letter.{'*' if name is None else name_token(name)}.*"

    def letter(self, name: str, position: int) -> str:
        """Return the subject of what is known of one delivery that failed."""
        return f"{ROOT}.{self.token}.letter.{name_token(name)}.{position}"

    def again(self, name: str) -> str:
        """Return the subject of a subscription's dead letters that are to be delivered once more."""
        return f"{ROOT}.{self.token}.again.{name_token(name)}"

    @property
    def questions(self) -> str:
        """The subject on which the monitor that leads is asked; nothing of it is in the stream."""
        return f"{ROOT}_ask.{self.token}"

    def consumer(self, name: str, partition: int | None) -> str:
        """Return the name of a subscription's consumer of a partition, None for what is delivered once more."""
        return f"{name_token(name)}-{'again' if partition is None else f'{partition:04}'}"


def account_token(account: str) -> str:
    """Return what an account is called where only plain names are allowed: readable, and its own."""
    return _token(account, 32)


def name_token(name: str) -> str:
    """Return what a subscription is called where only plain names are allowed."""
    return _token(name, 24)


def stream_of(token: str) -> str:
    """Return the name of the stream of an account, by its token."""
    return f"TITAN_{token}"


@lru_cache(maxsize=2048)  # of an execution an event and a record are written at the same time
def mark_of(text: str) -> str:
    """Return the hash that stands for an id in a subject."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:32]


def _token(text: str, longest: int) -> str:
    readable = _UNSAFE.sub("-", text.lower()).strip("-")[:longest].rstrip("-")
    return f"{readable or 'x'}-{mark_of(text)[:12]}"
