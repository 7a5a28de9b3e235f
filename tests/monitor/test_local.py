"""Other programs of this machine ask the monitor that runs: one budget, one account of what we did, one owner."""

from __future__ import annotations

import asyncio
import json
import os
import stat
from contextlib import asynccontextmanager

import pytest

from titan_state import (
    Action,
    ActionOutcomeUnknownError,
    ConfigurationError,
    Execution,
    ExecutionNotFoundError,
    IllegalActionError,
    Monitor,
    MonitorClosedError,
    RequestBudget,
    RunOutcomeUnknownError,
    Thresholds,
    Transitioned,
)
from titan_state.client.readings import Page
from titan_state.emulator import Faults, Plan, Step, TaskServiceEmulator
from titan_state.monitor.local import local_monitor
from titan_state.monitor.local_server import LocalServer, socket_path
from titan_state.monitor.wire import read, written

THRESHOLDS = Thresholds(not_found_s=0.2, replica_lag_s=0.1)


@pytest.fixture
async def service():
    async with TaskServiceEmulator(per_minute=None) as emulator:
        yield emulator


@pytest.fixture
def path(tmp_path):
    return tmp_path / "journal.db"


@asynccontextmanager
async def asked(service, path):
    """Run a monitor, and hand out what another program has of it, with the monitor itself."""
    budget = RequestBudget(per_minute=60_000)
    async with (
        Monitor(service.url, service.token, journal=path, budget=budget, thresholds=THRESHOLDS) as monitor,
        local_monitor(path) as other,
    ):
        assert other is not None
        yield other, monitor


async def test_what_is_done_is_explained(service, path):
    """A pause by another program goes through the monitor: its events say that it was ours, and nothing is raised."""
    service.add(Plan(id="a", steps=[Step("running")]))
    async with asked(service, path) as (other, monitor):
        assert (await other.verdict("a", "pause")).leads_to == "paused"
        assert isinstance(await other.act("a", Action.PAUSE), Execution)
        async with asyncio.timeout(20):
            async for event in monitor.events():
                if isinstance(event, Transitioned) and event.dest == "paused":
                    break
        assert event.cause == "action"
        history = await monitor.journal.history("a")
    assert [one.type for one in history] == ["transitioned", "action_sent", "action_accepted", "transitioned"]


async def test_errors_are_the_same(service, path):
    """What a monitor raises comes out of the other program's call, with its attributes."""
    service.add(Plan(id="a", steps=[Step("running"), Step("completed")]))
    async with asked(service, path) as (other, _):
        with pytest.raises(IllegalActionError, match="pause of execution a was not sent: it has finished") as caught:
            await other.act("a", "pause")
        assert caught.value.verdict.as_of is not None
        with pytest.raises(ExecutionNotFoundError) as missing:
            await other.verdict("b", "stop")
        assert missing.value.execution_id == "b"
        with pytest.raises(ConfigurationError, match="cannot be asked to dance"):
            await other._ask("dance")
        with pytest.raises(ConfigurationError, match="was not understood"):
            await other._ask("act", "a", "pause", unheard=1)


async def test_runs_and_lists(service, path):
    """A task is run, and a page is read, by the monitor's own requests."""
    async with asked(service, path) as (other, monitor):
        execution = await other.run(next(iter(service.tasks())))
        page = await other.list(limit=10)
        assert [one.id for one in page.items] == [execution.id]
        assert page.is_last in (True, None)
        sent = monitor.service.statistics.requests
        assert sent == len(service.requests)


async def test_nobody_is_there(path):
    """Without a monitor, and with the socket of one that was killed, nobody can be asked."""
    async with local_monitor(path) as other:
        assert other is None
    server = await asyncio.start_unix_server(lambda reader, writer: None, socket_path(path))
    server.close()
    async with local_monitor(path) as other:
        assert other is None


async def test_the_socket_is_its_owners(service, path):
    """Nobody else can use it; what a killed monitor left is replaced; leaving takes it away."""
    server = await asyncio.start_unix_server(lambda reader, writer: None, socket_path(path))
    server.close()
    async with asked(service, path):
        mode = socket_path(path).stat().st_mode
        assert stat.S_ISSOCK(mode)
        assert stat.S_IMODE(mode) == 0o600
    assert not socket_path(path).exists()


async def test_sockets_leave_the_modes_of_other_files_alone(tmp_path):
    """Monitors that are entered side by side leave the process's mode for new files as it was."""
    servers = [LocalServer({}) for _ in range(3)]
    before = os.umask(0o022)
    try:
        await asyncio.gather(*(server.open(tmp_path / f"{n}.db") for n, server in enumerate(servers)))
        assert os.umask(0o022) == 0o022
    finally:
        os.umask(before)
        for server in servers:
            await server.close()
    assert [path.name for path in tmp_path.iterdir()] == []


async def test_a_deep_journal(service, tmp_path, monkeypatch):
    """Where the path is too long for a socket, it is in the user's own temporary directory, which must be theirs."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    path = tmp_path / ("d" * 100) / "journal.db"
    assert socket_path(path).parent.parent == tmp_path
    async with asked(service, path):
        assert stat.S_IMODE(socket_path(path).parent.stat().st_mode) == 0o700
    socket_path(path).parent.chmod(0o755)
    async with Monitor(service.url, service.token, journal=path), local_monitor(path) as other:
        assert other is None


@pytest.mark.parametrize("what", ["act", "run", "verdict"])
async def test_it_goes_away(service, path, what):
    """If the monitor is left before it has answered, an action's outcome is unknown, and a question has no answer."""
    service.add(Plan(id="a", steps=[Step("running")]))
    service.faults = Faults(slow=1.0, slow_s=5.0)
    expected = {"act": ActionOutcomeUnknownError, "run": RunOutcomeUnknownError, "verdict": MonitorClosedError}
    calls = {"act": ("a", "pause"), "run": (next(iter(service.tasks())),), "verdict": ("a", "pause")}
    async with asked(service, path) as (other, monitor):
        call = asyncio.ensure_future(getattr(other, what)(*calls[what]))
        await asyncio.sleep(0.3)
        await monitor._local.close()
        with pytest.raises(expected[what]):
            await call
        with pytest.raises(MonitorClosedError):
            await other.verdict("a", "pause")


@pytest.mark.parametrize(
    "line", [b"\n", b"[]\n", b"7\n", b"{}\n", b'{"method": []}\n', b"\xff\xfe\n", b'{"$": "error"}\n']
)
async def test_nonsense_is_answered(service, path, line):
    """Whatever another program writes, it gets an answer, and the monitor goes on."""
    async with asked(service, path) as (other, _):
        assert isinstance(read(await other._exchange(line))["error"], ConfigurationError)
        assert (await other.list()).items == ()


def test_values_cross_the_wire():
    """An execution comes back as it was, also if its payload looks like the wire's own words."""
    execution = Execution.from_payload(
        {"id": "a", "status": "running", "x": {"$": "error", "type": "x"}, "y": "\ud800"}
    )
    page = Page((execution,), 0, 10, None, 1)
    again = read(written({"result": page}))["result"]
    assert again.items[0].to_dict() == execution.to_dict()
    assert json.loads(written({"a": 1})) == {"a": 1}
    with pytest.raises(TypeError, match="object cannot be sent"):
        written({"a": object()})
    strange = read(json.dumps({"$": "error", "type": "shorten", "args": ["x"], "state": {}}).encode())
    assert str(strange) == "x"
