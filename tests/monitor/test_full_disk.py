"""A real program whose files may not grow: nothing is torn, nothing is told too early, and it goes on when they may."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from pathlib import Path

from titan_state.emulator import Plan, Step, TaskServiceEmulator
from titan_state.journal.sqlite import SqliteJournal

CONFINED = Path(__file__).with_name("confined.py")
LIMIT = 200_000


async def test_files_that_may_not_grow(tmp_path):
    """Until there is room no callback is called of what is not written, also after a kill; then everything is told."""
    journal, calls, errors = tmp_path / "journal.db", tmp_path / "calls", tmp_path / "errors"
    async with TaskServiceEmulator(per_minute=None) as service:
        env = os.environ | {"TITAN_API_URL": service.url, "TITAN_TOKEN": service.token}

        async def start() -> asyncio.subprocess.Process:
            with errors.open("ab") as file:
                return await asyncio.create_subprocess_exec(
                    sys.executable, CONFINED, journal, calls, str(LIMIT), env=env, stdout=file, stderr=file
                )

        def told() -> set[str]:
            return set(calls.read_text().splitlines()) if calls.exists() else set()

        async def until(condition, seconds: float = 30.0) -> None:
            for _ in range(int(seconds * 20)):
                if condition():
                    return
                await asyncio.sleep(0.05)
            raise AssertionError(f"it never came true: {errors.read_text()[-500:]}")

        async def written() -> dict[str, set[str]]:
            one = SqliteJournal(journal)
            await one.open()
            assert await one.verify() == []
            found = {name: {f"{event.id} {event.dest}" for event in await one.history(name)} for name in names}
            await one.close()
            return found

        names = [service.add(Plan(steps=[Step("running", 0.1)])) for _ in range(5)]
        process = await start()
        try:
            await until(lambda: len(told()) >= 5)
            names += [service.add(Plan(steps=[Step("running"), Step("completed", 0.5)])) for _ in range(600)]
            await until(lambda: "events wait to be written to the journal" in errors.read_text())
            assert str(journal) in errors.read_text()
            process.kill()
            await process.wait()
            assert told() <= set().union(*(await written()).values())
            process = await start()
            await until(lambda: errors.read_text().count("events wait to be written to the journal") == 2)
            assert process.returncode is None
            process.send_signal(signal.SIGUSR1)
            ends = len(names) - 5
            await until(lambda: sum(line.endswith(" completed") for line in told()) == ends, 60)
            assert "events are written to the journal again" in errors.read_text()
        finally:
            if process.returncode is None:
                process.kill()
            await process.wait()
        assert set().union(*(await written()).values()) == told()
