"""What the tests of journals share: each kind of journal, opened, and a clock moved by hand."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from titan_state.journal.base import Journal
from titan_state.journal.memory import MemoryJournal
from titan_state.journal.sqlite import SqliteJournal
from titan_state.testing import ManualClock


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "journal.db"


@pytest.fixture(params=["memory", "sqlite"])
async def journal(request: pytest.FixtureRequest, path: Path, clock: ManualClock) -> AsyncIterator[Journal]:
    """A journal of each kind, led by us."""
    made: Journal = MemoryJournal(clock) if request.param == "memory" else SqliteJournal(path, clock=clock)
    await made.open()
    await made.lead("us")
    yield made
    await made.close()


@pytest.fixture
async def sqlite(path: Path, clock: ManualClock) -> AsyncIterator[Callable[[], SqliteJournal]]:
    """Make journals of one file; those that are open still are closed in the end."""
    made: list[SqliteJournal] = []

    def make() -> SqliteJournal:
        made.append(SqliteJournal(path, clock=clock))
        return made[-1]

    yield make
    for one in made:
        await one.close()
