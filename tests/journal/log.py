"""What the tests of journals say in few words: events of executions, and what a subscription hands out."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from titan_state import Execution
from titan_state.core.events import Event, Transitioned
from titan_state.journal.base import Commit, Journal, Subscription

START = datetime(2026, 1, 1, tzinfo=UTC)


def moved(name: str, seq: int, *, minutes: float = 0.0, dest: str = "completed", **fields: object) -> Transitioned:
    """Return an event of an execution, noticed some minutes after the start."""
    at = START + timedelta(minutes=minutes)
    execution = Execution(name, dest, **fields)  # type: ignore[arg-type]  # fields of the caller's own
    return Transitioned(
        execution_id=name, seq=seq, at=at, execution=execution, source="running", dest=dest, move="complete", before=at
    )


def everything(event: Event) -> bool:
    return True


async def write(journal: Journal, *events: Event) -> None:
    await journal.append(Commit(events=events))


async def subscribed(journal: Journal, name: str = "us", **options: object) -> Subscription:
    values = {"since": "now", "head": 0, "notify": lambda: None} | options
    return await journal.subscribe(name, values.pop("wants", everything), **values)  # type: ignore[arg-type]  # options of the caller's own


def ids(deliveries: list) -> list[str]:
    return [one.event.id for one in deliveries]
