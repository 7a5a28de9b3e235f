"""The outbox while the journal cannot be written: how soon it is tried again, and who hears of it when."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace

import pytest

from titan_state import Execution, JournalUnavailableError, Tracker
from titan_state.journal.memory import MemoryJournal
from titan_state.monitor.outbox import LONGEST_RETRY_S, LONGEST_RETRY_SHARED_S, Outbox


class Journal(MemoryJournal):
    """A journal that cannot be written until a test says so."""

    is_durable = True

    def __init__(self, *, is_shared):
        super().__init__()
        self.is_shared = is_shared
        self.is_away = True
        self.attempts = 0

    async def append(self, commit):
        self.attempts += 1
        if self.is_away:
            raise JournalUnavailableError("away")
        return range(len(commit.events))


@pytest.fixture(params=[False, True], ids=["alone", "shared"])
async def outbox(request, clock):
    """An outbox with an event that has waited for a minute, with its journal."""
    tracker = Tracker()
    tracker.remember_changes()
    journal = Journal(is_shared=request.param)
    watches = SimpleNamespace(changed=False, take_changes=dict)
    made = Outbox(journal, tracker, watches, clock, publish=lambda positions, events: None)
    running = asyncio.create_task(made.run())
    made.put(tracker.observe(Execution("a", "running"), sent_at=0.0, received_at=0.1))
    await clock.advance(90.0)
    yield made, journal
    made.leave()
    await asyncio.gather(running)


async def test_how_soon_it_is_tried_again(outbox, clock):
    """What is shared is soon there again; asking a full disk more and more seldom is enough."""
    made, journal = outbox
    longest_s = LONGEST_RETRY_SHARED_S if journal.is_shared else LONGEST_RETRY_S
    before = journal.attempts
    await clock.advance(longest_s)
    assert journal.attempts == before + 1
    journal.is_away = False
    await clock.advance(longest_s)
    assert made.waiting == 0
    assert made.trouble is None


async def test_somebody_who_waits_hears_at_once(outbox, clock):
    """An action that must be written down first is not held up by the pause: it is tried now, and told."""
    made, journal = outbox
    for is_away in (True, True, False):
        journal.is_away = is_away
        made.put()
        waiting = asyncio.create_task(made.committed(patiently=False))
        await clock.settle()
        assert waiting.done()
        assert isinstance(waiting.exception(), JournalUnavailableError) is is_away
    assert made.waiting == 0


async def test_leaving_while_it_pauses(outbox, clock):
    """Leaving tries once more, now, and ends."""
    made, journal = outbox
    before = journal.attempts
    made.leave()
    await clock.settle()
    assert journal.attempts == before + 1
    assert made.waiting == 1
