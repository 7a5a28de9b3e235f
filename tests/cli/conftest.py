"""An embedded service in a thread of its own, and ways to call the command: in this process, or as a user does."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import threading
from contextlib import ExitStack, contextmanager

import pytest
from tokens import TOKEN
from typer.testing import CliRunner

from titan_state.cli.app import app
from titan_state.cli.connection import Connection
from titan_state.core.anomalies import Thresholds
from titan_state.emulator import TaskServiceEmulator


async def end_others():
    """End what still answers a client that has gone."""
    others = asyncio.all_tasks() - {asyncio.current_task()}
    for task in others:
        task.cancel()
    await asyncio.gather(*others, return_exceptions=True)


@contextmanager
def served(scenario=None, **options):
    """Run a service on a loop of its own, so that commands may run theirs."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    service = TaskServiceEmulator(scenario, token=TOKEN, **{"per_minute": None, **options})
    asyncio.run_coroutine_threadsafe(service.__aenter__(), loop).result(20)
    try:
        yield service
    finally:
        asyncio.run_coroutine_threadsafe(service.__aexit__(None, None, None), loop).result(20)
        asyncio.run_coroutine_threadsafe(end_others(), loop).result(20)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(20)
        loop.close()


@pytest.fixture
def serve():
    """Start services; they end with the test."""
    with ExitStack() as stack:
        yield lambda *arguments, **options: stack.enter_context(served(*arguments, **options))


@pytest.fixture(autouse=True)
def state_directory(monkeypatch, tmp_path):
    """Keep journals of the command in a directory of the test's own."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    return tmp_path / "state"


@pytest.fixture
def environment():
    """Return the environment of a user who has set, or not set, the two variables."""

    def of(service=None):
        kept = {name: value for name, value in os.environ.items() if not name.startswith("TITAN_")}
        return kept if service is None else kept | {"TITAN_API_URL": service.url, "TITAN_TOKEN": TOKEN}

    return of


@pytest.fixture
def titan(monkeypatch):
    """Call the command in this process."""

    def call(*arguments, service=None):
        for name in ("TITAN_API_URL", "TITAN_TOKEN"):
            monkeypatch.delenv(name, raising=False)
        env = {"TITAN_API_URL": service.url, "TITAN_TOKEN": TOKEN} if service is not None else {}
        result = CliRunner().invoke(app, [str(one) for one in arguments], env=env)
        assert TOKEN not in result.output
        return result

    return call


@pytest.fixture
def short_grace(monkeypatch):
    """Believe sooner than after 10 s that an execution does not exist."""
    monitor = Connection.monitor
    thresholds = Thresholds(not_found_s=0.5, replica_lag_s=0.2)
    monkeypatch.setattr(Connection, "monitor", lambda self, **more: monitor(self, thresholds=thresholds, **more))


@contextmanager
def heeding_ctrl_c():
    """Let children heed SIGINT also where this test run, as one in the background, was told to ignore it."""
    before = signal.getsignal(signal.SIGINT)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


@pytest.fixture
def start(environment):
    """Start the command as a process of its own; what still runs at the end is killed."""
    started = []

    def call(*arguments, service=None, **options):
        options = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True} | options
        command = [sys.executable, "-m", "titan_state", *(str(one) for one in arguments)]
        with heeding_ctrl_c():
            process = subprocess.Popen(command, env=environment(service), **options)
        started.append(process)
        return process

    yield call
    for process in started:
        if process.poll() is None:
            process.kill()
        process.communicate()
