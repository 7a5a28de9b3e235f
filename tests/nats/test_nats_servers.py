"""The servers of these tests: what is started can be used, survives what is done to it, and is gone afterwards."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import nats as client
import pytest
from nats.js.api import StreamConfig
from servers import Cluster, Server, ServerError, running, wait_until


async def test_a_server_can_be_used(nats):
    """What a client writes into a stream of the server can be read from it."""
    async with await client.connect(nats.url) as nc:
        js = nc.jetstream()
        await js.add_stream(name="S", subjects=["s.>"])
        assert (await js.publish("s.a", b"hello")).seq == 1
        assert (await js.get_msg("S", 1)).data == b"hello"


async def test_what_was_written_outlives_a_kill(nats):
    """A server that is killed comes back on its port with its streams, and a client finds it again by itself."""
    again = asyncio.Event()

    async def reconnected() -> None:
        again.set()

    options = {"reconnect_time_wait": 0.05, "max_reconnect_attempts": -1, "reconnected_cb": reconnected}
    async with await client.connect(nats.url, **options) as nc:
        js = nc.jetstream()
        await js.add_stream(name="S", subjects=["s.>"])
        await js.publish("s.a", b"hello")
        before = nats.pid, nats.port
        nats.kill()
        assert not nats.is_running
        nats.restart()
        assert nats.pid != before[0]
        assert nats.port == before[1]
        await again.wait()
        assert (await js.get_msg("S", 1)).data == b"hello"


async def test_a_stopped_server_says_nothing_until_it_goes_on(nats):
    """A server that is stopped keeps its connections and answers nothing, and answers after it went on."""
    async with await client.connect(nats.url) as nc:
        js = nc.jetstream()
        await js.add_stream(name="S", subjects=["s.>"])
        nats.stop()
        assert nats.is_running
        with pytest.raises(client.errors.TimeoutError):
            await js.publish("s.a", b"hello", timeout=0.3)
        nats.resume()
        assert (await js.publish("s.a", b"hello")).seq == 2


def test_further_configuration_is_taken(tmp_path):
    """Text that a test adds to the configuration counts, and what is wrong with it is in the error."""
    with running(Server(tmp_path / "a", "max_payload: 4096")) as server:
        assert server.ask("varz")["max_payload"] == 4096
    with (
        pytest.raises(ServerError, match="no_such_setting"),
        running(Server(tmp_path / "b", "no_such_setting { a: 1 }")),
    ):
        pass


def test_a_port_that_is_taken_is_given_up(tmp_path):
    """Two servers that chose the same port at first both run in the end."""
    with running(Server(tmp_path / "a")) as one:
        other = Server(tmp_path / "b")
        other.port = one.port
        with running(other):
            assert other.is_ready
            assert other.port != one.port


def test_a_body_that_fails_leaves_no_server(tmp_path):
    """The server ends with the body, also when that fails, and also when it is stopped at that time."""
    server = Server(tmp_path / "a")

    def work() -> None:
        with running(server):
            server.stop()
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        work()
    assert server.pid is not None
    with pytest.raises(ProcessLookupError):
        os.kill(server.pid, 0)


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere nothing but the fixture ends them")
def test_a_test_run_that_is_killed_leaves_no_server(tmp_path):
    """The server ends with the program that started it, however that ends."""
    text = """
        import os, signal, sys
        from pathlib import Path
        from servers import Server
        server = Server(Path(sys.argv[1]))
        server.start()
        print(server.pid, flush=True)
        os.kill(os.getpid(), signal.SIGKILL)
    """
    command = [sys.executable, "-c", textwrap.dedent(text), tmp_path / "a"]
    told = subprocess.run(command, cwd=Path(__file__).parent, capture_output=True, text=True, timeout=60, check=False)
    process = Path(f"/proc/{int(told.stdout)}/stat")
    deadline = time.monotonic() + 20
    while process.exists() and process.read_text().rpartition(")")[2].split()[0] != "Z":
        assert time.monotonic() < deadline, "the server runs on"
        time.sleep(0.02)


@pytest.mark.timeout(180)
async def test_a_cluster_holds_together(cluster: Cluster):
    """Three servers keep a stream together, go on without its leader, and take it in again."""
    nodes = cluster.url.removeprefix("nats://").split(",")
    assert len(nodes) == 3
    addresses = [f"nats://{node}" for node in nodes]
    async with await client.connect(addresses, reconnect_time_wait=0.05, max_reconnect_attempts=-1) as nc:
        js = nc.jetstream(timeout=10)
        await js.add_stream(StreamConfig(name="S", subjects=["s.>"], num_replicas=3))
        await js.publish("s.a", b"1")
        leader = cluster.leader_of("S")
        assert leader is not None
        leader.kill()
        position = 0
        for _ in range(100):
            try:
                position = (await js.publish("s.a", b"2", timeout=1)).seq
                break
            except (TimeoutError, client.errors.Error):
                await asyncio.sleep(0.2)
        assert position >= 2
        leader.restart()
        wait_until(lambda: leader.is_healthy, leader.said)
        info = await js.stream_info("S")
        assert info.cluster is not None
        assert info.cluster.leader != leader.name
        assert json.dumps(leader.ask("jsz?streams=1")).count('"S"') >= 1
