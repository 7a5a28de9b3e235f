"""`titan-state history`, `deliveries`, `subscriptions` and `journal`: what is written down, and what became of it.

Nothing is asked of the service; a monitor may be running meanwhile.
"""

from __future__ import annotations

import re
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from titan_state import wording
from titan_state.cli.connection import required
from titan_state.cli.exits import Exit
from titan_state.cli.named import require_ids
from titan_state.cli.output import emit, emit_json, remark
from titan_state.cli.places import journal_path, of_account
from titan_state.core.events import Transitioned
from titan_state.core.lifecycle import Lifecycle
from titan_state.core.tracking.state import FIELDS
from titan_state.errors import ConfigurationError, shorten
from titan_state.journal.address import journal_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence
    from pathlib import Path

    from titan_state.core.events import Event
    from titan_state.journal.base import Journal, Letter, SubscriptionState

AGE = re.compile(r"(\d+(?:\.\d+)?)\s*(d|h|m|s|w)?")
SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800, None: 86_400}
ERROR_LIMIT = 160
_ID = FIELDS.index("id")


def place(address: str | None, url: str | None, account: str | None) -> str | Path:
    """Return where the journal is that the options mean."""
    return of_account(address, account) if address else journal_path(required(url), account)


@asynccontextmanager
async def opened(where: str | Path) -> AsyncIterator[Journal]:
    """Open a journal that is there.

    Raises:
        ConfigurationError: There is none; the message says where it would be.
    """
    journal = _found(where)
    try:
        await journal.open()
        yield journal
    finally:
        await journal.close()


def _found(where: str | Path) -> Journal:
    journal = journal_of(where, stands_by=False)
    path: Path | None = getattr(journal, "path", None)
    if path is not None and not path.exists():
        raise ConfigurationError(
            f"there is no journal at {path}: titan-state watch writes one; --journal and --account say which is meant"
        )
    return journal


async def whole_id(journal: Journal, execution_id: str) -> str:
    """Return the id that tables show as this one, if the journal has exactly one; else what was given."""
    if not wording.is_short(execution_id):
        return execution_id
    names = [row[_ID] for row in await journal.records()]
    found = [name for name in names if name and wording.short_id(name) == execution_id]
    return found[0] if len(found) == 1 and execution_id not in names else execution_id


async def history(where: str | Path, execution_id: str, *, as_json: bool) -> int:
    """Write the timeline of an execution."""
    require_ids((execution_id,))
    async with opened(where) as journal:
        events = await journal.history(await whole_id(journal, execution_id))
    if not events:
        remark(f"the journal {journal.name} has nothing of execution {shorten(execution_id)}")
        return Exit.NOT_FOUND
    if as_json:
        for event in events:
            emit_json(event.to_dict())
        return Exit.OK
    for line in timeline(events, datetime.now(UTC)):
        emit(line)
    return Exit.OK


def timeline(events: Sequence[Event], now: datetime) -> list[str]:
    """Return the events of an execution as lines for people, with how long it was in each status."""
    lines = []
    entered: datetime | None = None
    status = ""
    if events[0].seq > 1:
        lines.append(f"{'':24}  {events[0].seq - 1} earlier events are not in the log any more")
    for event in events:
        told = wording.story(event)
        if isinstance(event, Transitioned):
            if entered is not None and event.source == status:
                told += f", after {wording.duration((event.at - entered).total_seconds())}"
            entered, status = event.at, event.dest
        when = event.at.isoformat(timespec="milliseconds").replace("+00:00", "Z")
        lines.append(f"{when}  {told}")
    if entered is not None and not Lifecycle.default().is_terminal(status):
        lines.append(f"{'':24}  has been {status} for {wording.duration((now - entered).total_seconds())}")
    return lines


async def deliveries(where: str | Path, *, dead_only: bool, as_json: bool) -> int:
    """Write the deliveries that did not succeed so far."""
    async with opened(where) as journal:
        letters = await journal.letters(dead_only=dead_only)
    _name(journal)
    if as_json:
        for letter in letters:
            emit_json(letter.to_dict())
        return Exit.OK
    for letter in letters:
        emit(_letter(letter))
    if not letters:
        remark("no delivery was given up" if dead_only else "no delivery was given up, and none is to be tried again")
    return Exit.OK


def _name(journal: Journal) -> None:
    """Say which journal was looked into: there is one for each account and URL, and it may be the wrong one."""
    remark(f"journal {journal.name}")


def _letter(letter: Letter) -> str:
    times = f"{letter.attempts} attempt{'s' * (letter.attempts != 1)}"
    if letter.is_dead:
        told = f"given up after {times}"
    else:
        told = f"{times} so far, the next one {f'at {wording.clock_time(letter.due)}' if letter.due else 'at once'}"
    return f"{letter.event.id}  {letter.subscription}  {told}: {shorten(letter.error, ERROR_LIMIT)}"


async def retry(where: str | Path, event_ids: Sequence[str], *, subscription: str | None) -> int:
    """Have dead letters delivered once more, by the program that has the subscription open, or opens it next."""
    async with opened(where) as journal:
        letters = await journal.redeliver(event_ids, subscription=subscription)
    for letter in letters:
        emit(f"{letter.event.id}  {letter.subscription}  is delivered again, out of order")
    missing = sorted(set(event_ids) - {letter.event.id for letter in letters})
    if missing:
        told = shorten(", ".join(missing))
        remark(f"no delivery of {told} was given up: titan-state deliveries --dead lists those of {journal.name}")
    return Exit.NOT_FOUND if missing else Exit.OK


async def subscriptions(where: str | Path, *, as_json: bool) -> int:
    """Write which subscriptions there are, and how far each has come."""
    async with opened(where) as journal:
        found = await journal.subscriptions()
    _name(journal)
    now = datetime.now(UTC)
    for one in found:
        emit_json(one.to_dict()) if as_json else emit(_subscription(one, now))
    if not found and not as_json:
        remark("there are no subscriptions: programs with a Monitor or a Subscriber of this journal make them")
    return Exit.OK


def _subscription(one: SubscriptionState, now: datetime) -> str:
    seen = (
        f"open in {one.holder}" if one.holder else f"last open {wording.duration((now - one.seen).total_seconds())} ago"
    )
    counts = f"{one.waiting} waiting, {one.unfinished} to be tried again, {one.dead} given up"
    return f"{one.name}  {counts}  {seen}"


async def unsubscribe(where: str | Path, name: str) -> int:
    """Remove a subscription, with everything that it has not had."""
    async with opened(where) as journal:
        is_removed = await journal.unsubscribe(name)
        names = [one.name for one in await journal.subscriptions()]
    if is_removed:
        emit(f"{name}  was removed")
        return Exit.OK
    remark(f"there is no subscription {shorten(name)}; there are {shorten(', '.join(names)) or 'none'}")
    return Exit.NOT_FOUND


async def prune(where: str | Path, older_than: str) -> int:
    """Drop events that are older, and that every subscription has had."""
    age = age_of(older_than)
    async with opened(where) as journal:
        count = await journal.prune(datetime.now(UTC) - age)
    emit(f"{count} event{'s' * (count != 1)} dropped from {journal.name}")
    return Exit.OK


async def verify(where: str | Path) -> int:
    """Say whether everything in a journal is in order."""
    async with opened(where) as journal:
        faults = await journal.verify()
    for fault in faults:
        emit(fault)
    if faults:
        return Exit.ERROR
    emit(f"{journal.name} is in order")
    return Exit.OK


def age_of(text: str) -> timedelta:
    """Return an age that is written as `30d`, `12h`, `90m`, or as a number of days.

    Raises:
        ConfigurationError: It is none.
    """
    found = AGE.fullmatch(text.strip().lower())
    try:
        if found is not None:
            values: tuple[Any, ...] = found.groups()
            return timedelta(seconds=float(values[0]) * SECONDS[values[1]])
    except OverflowError:
        pass
    raise ConfigurationError(f"{shorten(repr(text))} is no age: write 30d, 12h or 90m")
