"""A monitor that is killed again and again: against the truth of the service, nothing is lost, and order is kept."""

from __future__ import annotations

import asyncio
import os
import random
import sqlite3
import sys
from collections import defaultdict
from contextlib import closing
from pathlib import Path

import attrs
import pytest

from titan_state import Transitioned
from titan_state.emulator import Plan, Step, TaskServiceEmulator
from titan_state.journal.sqlite import SqliteJournal

KILLS = 50
VICTIM = Path(__file__).with_name("victim.py")
ENDS = ("completed", "failed", "cancelled", "completed_with_errors")


@attrs.frozen
class Call:
    """One call of a callback, as the victim wrote it down."""

    life: int
    name: str
    seq: int
    source: str
    dest: str


class Victim:
    """Lives of one program, each ended by SIGKILL."""

    def __init__(self, service: TaskServiceEmulator, place: Path) -> None:
        self.journal, self.file = place / "journal.db", place / "calls"
        self._env = os.environ | {"TITAN_API_URL": service.url, "TITAN_TOKEN": service.token}
        self._lives: dict[int, int] = {}
        self._errors = place / "errors"

    async def live(self, seconds: float) -> None:
        """Run it, and kill it after so many seconds."""
        with self._errors.open("ab") as errors:
            process = await asyncio.create_subprocess_exec(
                sys.executable, VICTIM, self.journal, self.file, env=self._env, stdout=errors, stderr=errors
            )
        self._lives[process.pid] = len(self._lives)
        try:
            await asyncio.sleep(seconds)
            assert process.returncode is None, self._errors.read_text()
        finally:
            if process.returncode is None:
                process.kill()
            await process.wait()

    def calls(self) -> list[Call]:
        """Return every call so far, in order."""
        lines = self.file.read_text().splitlines() if self.file.exists() else []
        found = []
        for line in lines:
            pid, name, seq, source, dest = line.split()
            found.append(Call(self._lives[int(pid)], name, int(seq), source, dest))
        return found

    def has_baseline(self) -> bool:
        """Return whether everything that was there before was looked through once."""
        if not self.journal.exists():
            return False
        with closing(sqlite3.connect(self.journal)) as connection:
            return connection.execute("SELECT complete FROM lists").fetchone() == (1,)


def plan(rng: random.Random) -> Plan:
    steps = [Step("running", rng.random() * 2), Step(rng.choice(ENDS), rng.random() * 2)]
    return Plan(steps=steps, created_after_s=0.0)


@pytest.mark.timeout(400)
async def test_nothing_is_lost_by_kills(tmp_path):
    """Every move of every execution is called at least once and in order, and twice only if that may be unwritten."""
    rng = random.Random(20)
    async with TaskServiceEmulator(per_minute=None) as service:
        old = [service.add(Plan(steps=[Step("running"), Step("completed")])) for _ in range(30)]
        victim = Victim(service, tmp_path)
        while not victim.has_baseline():
            await victim.live(2.0)
        assert victim.calls() == []
        names = []
        for _ in range(KILLS):
            names += [service.add(plan(rng)) for _ in range(rng.randint(1, 12))]
            await victim.live(rng.random() * 1.2)
        for _ in range(10):
            await victim.live(4.0)
            ended = {call.name for call in victim.calls() if call.dest in ENDS}
            if ended >= set(names):
                break
        truth = {name: [entry.status for entry in service.history(name)] for name in names}
    calls = victim.calls()
    assert not {call.name for call in calls} & set(old), "what had finished before the watch began never fires"
    by_name: dict[str, list[Call]] = defaultdict(list)
    for call in calls:
        by_name[call.name].append(call)
    assert by_name.keys() == truth.keys()
    for name, own in by_name.items():
        firsts: dict[int, Call] = {}
        for call in own:
            known = firsts.setdefault(call.seq, call)
            assert (known.source, known.dest) == (call.source, call.dest), "one event.id, one event"
            if known is not call:
                assert call.life > known.life, "in one life each is called once"
                later = [one for one in own[: own.index(call)] if one.seq > call.seq]
                assert not later, "what was acknowledged is not called again"
        assert list(firsts) == list(range(1, len(firsts) + 1)), "in order, and none is missing"
        told = [call.dest for call in firsts.values()]
        happened = iter(truth[name])
        assert all(status in happened for status in told), "what is told is what happened, in that order"
        assert told[-1] == truth[name][-1]
        if told[-1].startswith("completed"):  # there is one way there, and it is told whole
            assert told == truth[name][-len(told) :]
        assert [call.source for call in list(firsts.values())[1:]] == told[:-1]
    journal = SqliteJournal(victim.journal)
    await journal.open()
    assert await journal.verify() == []
    history = {name: await journal.history(name) for name in names}
    written = {name: [event.id for event in told if isinstance(event, Transitioned)] for name, told in history.items()}
    await journal.close()
    assert {name: sorted({f"{name}:{call.seq}" for call in own}) for name, own in by_name.items()} == {
        name: sorted(ids) for name, ids in written.items()
    }
