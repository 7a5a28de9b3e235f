"""Promises that no part keeps alone: what is on the disk when a request arrives, what never is sent, what is nowhere.

They are those of docs/guarantees.md that are seen only from outside: a monitor, a journal on the disk and a service.
"""

from __future__ import annotations

import asyncio
import json
import logging
import sqlite3
from contextlib import closing

import pytest
from pace import posts, true

from titan_state import (
    IllegalActionError,
    Monitor,
    RequestBudget,
    Thresholds,
    UnauthorizedError,
    WaitTimeoutError,
)
from titan_state.emulator import Faults, Plan, Scenario, Step, TaskServiceEmulator, When

TOKEN = "tk/promised+0123456789"
LONG = Plan(id="long", task_id="t", steps=[Step("running", 0.0), Step("completed", 3600.0)])


def options():
    return {"budget": RequestBudget(per_minute=6000, min_interval_s=0.02), "drain_s": 1.0}


async def test_the_intent_is_on_the_disk_when_the_request_arrives(tmp_path):
    """While the service has the request in hand, another process would find the intent in the journal."""
    path = tmp_path / "journal.db"
    faults = Faults(slow=When(every=1, only="/pause"), slow_s=4.0)

    def written():
        with closing(sqlite3.connect(path)) as connection:
            rows = connection.execute("SELECT body FROM events ORDER BY position").fetchall()
        return [json.loads(row[0])["type"] for row in rows]

    async with (
        TaskServiceEmulator(Scenario([LONG]), per_minute=None, faults=faults) as service,
        Monitor(service.url, service.token, journal=path, **options()) as monitor,
    ):
        pausing = asyncio.create_task(monitor.pause("long"))
        await true(lambda: service.executions()["long"] == "paused")  # it has arrived; its answer takes longer
        assert "action_sent" in written()
        assert "action_accepted" not in written()
        assert (await pausing).status == "paused"
        assert written().count("action_sent") == 1


async def test_nothing_is_stopped_that_nobody_asked_to_stop():
    """Time-outs, cancelled waits, unwatching, errors and leaving send nothing, and the execution runs on."""
    async with TaskServiceEmulator(Scenario([LONG]), per_minute=None) as service:
        async with Monitor(service.url, service.token, **options()) as monitor:
            with pytest.raises(WaitTimeoutError):
                await monitor.wait("long", timeout=0.3)
            waiting = asyncio.create_task(monitor.wait("long"))
            await asyncio.sleep(0)
            waiting.cancel()
            await asyncio.gather(waiting, return_exceptions=True)
            monitor.watch_task("t")
            monitor.unwatch()

        async def failing():
            async with Monitor(service.url, service.token, **options()) as monitor:
                monitor.watch_all()
                await true(monitor.executions)
                raise LookupError

        with pytest.raises(LookupError):
            await failing()
        assert service.requests
        assert posts(service) == []
        assert service.executions() == {"long": "running"}


async def test_the_token_is_nowhere(tmp_path, caplog):
    """After broken and lost answers, alarms and refusals it is in no log, event, error, repr or journal."""
    caplog.set_level(logging.DEBUG)
    path, told = tmp_path / "journal.db", []
    plans = [
        LONG,
        Plan(id="ends", steps=[Step("running", 0.1), Step("completed", 0.3), Step("running", 2.0)]),
        Plan(id="odd", steps=[Step("running", 0.1), Step("throttled", 0.3)]),
    ]
    faults = Faults(
        lost_answer=When(every=1, only="/pause"), reset=When(at={3, 6}), server_error=When(at={8}), html=When(at={11})
    )
    thresholds = Thresholds(replica_lag_s=0.3)
    async with TaskServiceEmulator(Scenario(plans), token=TOKEN, per_minute=None, faults=faults) as service:
        async with Monitor(service.url, TOKEN, journal=path, thresholds=thresholds, **options()) as monitor:

            @monitor.on_transition(name="told", retries=0)
            def tell(event):
                told.append(repr(event))
                if event.dest == "completed":
                    raise ValueError(f"the callback of {event!r} with {TOKEN}") from KeyError(TOKEN)

            @monitor.on_anomaly(name="alarmed")
            def alarm(event):
                told.append(repr(event))

            monitor.watch_all()
            await true(lambda: any("left_terminal" in one for one in told) and any("unknown" in one for one in told))
            assert (await monitor.pause("long")).status == "paused"
            with pytest.raises(IllegalActionError) as illegal:
                await monitor.pause("long")
            told.append(f"{illegal.value!r} {illegal.value}")
            await true(lambda: monitor.deliveries.given_up)
            told += [repr(monitor), repr(monitor.health()), repr(monitor.explain()), repr(monitor.executions())]
            told.append(json.dumps([event.to_dict() for event in await monitor.journal.history("ends")]))
            told.append(repr(await monitor.journal.letters()))

        async def refused():
            async with Monitor(service.url, TOKEN + "x", **options()) as monitor:
                monitor.watch_all()
                await asyncio.Event().wait()

        with pytest.raises(UnauthorizedError) as caught:
            await refused()
        told.append(f"{caught.value!r} {caught.value}")
    assert len(told) > 10
    assert len(caplog.records) > 5
    for form in (TOKEN, "tk%2Fpromised", "promised"):
        assert form not in "\n".join(told)
        assert form not in caplog.text
        for file in tmp_path.iterdir():
            assert form.encode() not in file.read_bytes(), file.name


async def test_no_credential_is_written_down(tmp_path):
    """Credentials in what the service says, and in what a callback raises of it, are in no file of the journal."""
    path, secret, seen = tmp_path / "journal.db", "s3cr3t-0123456789", []
    dirty = Plan(
        id="dirty",
        steps=[Step("running", 0.0), Step("failed", 0.5)],
        phases=(f"at https://media.example/a.png?api_key={secret}",),
        error=f"GET /media/1?token={secret} was refused",
    )
    async with (
        TaskServiceEmulator(Scenario([dirty]), per_minute=None) as service,
        Monitor(service.url, service.token, journal=path, **options()) as monitor,
    ):

        @monitor.on_failed(name="failing", retries=0)
        def fail(event):
            seen.append(event.execution.error)
            raise ValueError(f"cannot load /media/1?token={secret}")

        monitor.watch("dirty")
        await true(lambda: monitor.deliveries.given_up)
        (letter,) = await monitor.journal.letters()
        assert (seen, letter.error) == (
            ["GET /media/1?token=[redacted] was refused"],
            "ValueError: cannot load /media/1?token=[redacted]",
        )
        files = {file.name: file.read_bytes() for file in tmp_path.iterdir() if file.is_file()}
        assert b"api_key=[redacted]" in b"".join(files.values())
    files |= {f"{file.name}, closed": file.read_bytes() for file in tmp_path.iterdir()}
    assert [name for name, held in files.items() if secret.encode() in held] == []
