"""Presence: tells the other members of a fleet that we are there, sees who else is, and says whose turn it is.

Each member has a key in a bucket of NATS that expires; its value names the accounts that it is able to tend. Where that
cannot be read, each member acts as if it were alone: the lease of each account is what keeps two from leading.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import re
import secrets
import socket
from typing import TYPE_CHECKING, Any, Final

from nats.js import errors as js_errors

from titan_state.clock import within
from titan_state.errors import ConfigurationError, JournalError, shorten
from titan_state.journal.nats.buckets import bucket_of
from titan_state.journal.nats.link import Link
from titan_state.journal.nats.settings import environment, settings_of
from titan_state.service.fleet import Fleet

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from nats.js.kv import KeyValue

    from titan_state.clock import Clock

logger = logging.getLogger("titan_state.service")

BUCKET: Final = "titan_members"

BEATS: Final = 3
"""How often a key is renewed in the time in which it expires."""

PATIENCE: Final = 2
"""For how many lease times the member that ranks first must have been there until an account is handed over to it."""

AGAIN_S: Final = 5.0
"""How soon it is tried again where nobody can be seen."""

MOST_MEMBERS: Final = 1000

_NAME: Final = re.compile(r"[A-Za-z0-9_-]{1,64}")


class Presence:
    """Our place in a fleet. It is a `titan_state.service.turns.Turns`.

    Attributes:
        member: Who we are.
        fleet: Who else is there.
        lease_s: The time in which keys expire.
    """

    def __init__(
        self, address: str, clock: Clock, *, able: Callable[[], Iterable[str]], member: str | None = None
    ) -> None:
        """Make one that nobody sees yet.

        Args:
            address: The address of the journals.
            clock: The time.
            able: Returns the accounts that this member is able to tend, or tends.
            member: Who we are, by default the machine and the process.

        Raises:
            ConfigurationError: The name cannot be one.
        """
        if member is not None and not _NAME.fullmatch(member):
            raise ConfigurationError(
                f"a member is named by up to 64 letters, digits, - and _, not by {shorten(repr(member))}"
            )
        self._settings = settings_of(address, environment())
        self.member = member or member_name()
        self.fleet = Fleet(self.member)
        self.lease_s = self._settings.lease_s or 10.0
        self._clock = clock
        self._able = able
        self._has_looked = asyncio.Event()
        self._is_told = False

    async def run(self) -> None:
        """Be seen, and see the others, until cancelled."""
        while True:
            link = Link(self._settings, self._clock)
            try:
                await link.open()
                bucket, self.lease_s = await bucket_of(link, BUCKET, self._settings, self._settings.lease_s)
                await self._beat(link, bucket)
            except (JournalError, ConfigurationError) as error:
                self._lost_sight()
                if not self._is_told:
                    logger.warning("other members cannot be seen: whoever is first leads: %s", error)
                    self._is_told = True
            except Exception:
                self._lost_sight()
                logger.exception("a mistake in titan_state: other members cannot be seen for a while")
            finally:
                await link.close()
            await self._clock.sleep(AGAIN_S)

    def _lost_sight(self) -> None:
        self.fleet.lost_sight()
        self._has_looked.set()

    async def _beat(self, link: Link, bucket: KeyValue) -> None:
        try:
            while True:
                value = json.dumps(sorted(self._able())).encode()
                await link.do(bucket.put(self.member, value), "tell who is there")
                self.fleet.saw(await link.do(_seen(bucket, link), "tell who is there"), self._clock.time())
                self._has_looked.set()
                self._is_told = False
                await self._clock.sleep(self.lease_s / BEATS)
        finally:
            await self._forget(link)

    async def _forget(self, link: Link) -> None:
        """Take our key away, if that can be done now: it expires anyway."""
        with contextlib.suppress(JournalError, TimeoutError):
            purge = link.js.purge_stream(f"KV_{BUCKET}", subject=f"$KV.{BUCKET}.{self.member}")
            await within(self._clock, 1.0, link.do(purge, "tell that nobody is there"))

    async def until_turn(self, account: str) -> None:
        """Return when we are to stand by for an account: one lease time later for each member that ranks before us."""
        begun = self._clock.time()
        with contextlib.suppress(TimeoutError):
            await within(self._clock, 2 * self.lease_s, self._has_looked.wait())
        while (left_s := begun + self.fleet.rank(account) * self.lease_s - self._clock.time()) > 0:
            await self._clock.sleep(min(left_s, self.lease_s / BEATS))

    async def until_due(self, account: str) -> None:
        """Return when an account that we lead is to be handed over: the first has been there for two lease times."""
        while not self.fleet.is_due(account, self._clock.time(), PATIENCE * self.lease_s):
            await self._clock.sleep(self.lease_s / BEATS)
        self.fleet.handed_over(account, self._clock.time())


async def _seen(bucket: KeyValue, link: Link) -> dict[str, list[str]]:
    """Return who is there, with the accounts of each."""
    prefix = f"$KV.{BUCKET}."
    info = await link.js.stream_info(f"KV_{BUCKET}", subjects_filter=f"{prefix}>")
    names = [subject.removeprefix(prefix) for subject in info.state.subjects or {}]
    found: dict[str, list[str]] = {}
    for name in sorted(names)[:MOST_MEMBERS]:
        try:
            entry = await bucket.get(name)
        except js_errors.KeyNotFoundError:  # it has just expired
            continue
        found[name] = _accounts(entry.value)
    return found


def _accounts(value: bytes | None) -> list[str]:
    try:
        told: Any = json.loads(value or b"[]")
    except ValueError:
        return []
    return [one for one in told if isinstance(one, str)] if isinstance(told, list) else []


def member_name() -> str:
    """Return a name of this process among all members: the machine, the process, and something random."""
    machine = re.sub(r"[^A-Za-z0-9-]+", "-", shorten(socket.gethostname(), 40)).strip("-") or "machine"
    return f"{machine}-{os.getpid()}-{secrets.token_hex(3)}"
