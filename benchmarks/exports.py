"""How fast a large export arrives, against a bare aiohttp loop in the same run, and what memory it takes.

A server in a process of its own sends a JSON array of rows. Each way of taking it runs in a process of its own, by
turns; ratios are those of the medians. Memory is the highest resident set while it arrives, less that before.

    python benchmarks/exports.py [--megabytes 1024] [--rounds 3]
"""

from __future__ import annotations

import argparse
import asyncio
import os
import platform
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import aiohttp
from aiohttp import web

from titan_state import RequestBudget, TaskService

ROW = b'{"position":"%07d","title":"a row of some length, as rows are","note":"%s"}'
BLOCK_ROWS = 2000
WAYS = ("bare", "bare, written", "export", "rows")
BAR_RATE, BAR_MEMORY = 0.7, 40.0


def block(end: bytes) -> bytes:
    """Return some rows, with what follows them."""
    return b",".join(ROW % (n, b"x" * 400) for n in range(BLOCK_ROWS)) + end


async def serve(megabytes: int) -> None:
    """Send exports until killed; the port is written first."""
    body, last = block(b","), block(b"]")
    count = megabytes * 1024 * 1024 // len(body)

    async def export(request: web.Request) -> web.StreamResponse:
        headers = {"Content-Disposition": 'attachment; filename="x.json"', "Content-Type": "application/json"}
        answer = web.StreamResponse(headers=headers)
        answer.content_length = 1 + (count - 1) * len(body) + len(last)
        await answer.prepare(request)
        await answer.write(b"[")
        for _ in range(count - 1):
            await answer.write(body)
        await answer.write(last)
        return answer

    app = web.Application()
    app.router.add_get("/api/v1/executions/e/results/export", export)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    print(runner.addresses[0][1], flush=True)
    await asyncio.Event().wait()


async def take(way: str, port: int, place: Path) -> None:
    """Take the export one way; write seconds, bytes, and megabytes of memory above idle."""
    url = f"http://127.0.0.1:{port}"
    path = place / "export.json"
    async with (
        aiohttp.ClientSession() as session,
        TaskService(url, "token-of-a-benchmark", budget=RequestBudget(per_minute=6000)) as service,
    ):
        outputs = service.outputs("e")
        idle = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        began, size = time.perf_counter(), 0
        if way == "export":
            size = (await outputs.export(path)).size
        elif way == "rows":
            async for _ in outputs.rows():
                size += 1
        else:
            async with session.get(f"{url}/api/v1/executions/e/results/export") as response:
                with path.open("wb") as file:
                    async for chunk in response.content.iter_chunked(64 * 1024):
                        size += len(chunk)
                        if way != "bare":
                            file.write(chunk)
        seconds = time.perf_counter() - began
    path.unlink(missing_ok=True)
    print(seconds, size, (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - idle) / 1024)


def measure(way: str, port: str, place: str) -> tuple[float, int, float]:
    """Take the export in a process of its own."""
    command = [sys.executable, __file__, "--take", way, "--port", port, "--place", place]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)  # noqa: S603 - this very file
    seconds, size, memory = done.stdout.split()
    return float(seconds), int(size), float(memory)


def main() -> None:
    """Do what the arguments say."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--megabytes", type=int, default=1024)
    parser.add_argument("--rounds", type=int, default=3)
    for name in ("--serve", "--take", "--port", "--place"):
        parser.add_argument(name, help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.serve:
        asyncio.run(serve(chosen.megabytes))
    elif chosen.take:
        asyncio.run(take(chosen.take, int(chosen.port), Path(chosen.place)))
    else:
        compare(chosen.megabytes, chosen.rounds)


def compare(megabytes: int, rounds: int) -> None:
    """Measure every way by turns, and print the table."""
    command = [sys.executable, __file__, "--serve", "yes", "--megabytes", str(megabytes)]
    server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)  # noqa: S603 - this very file
    found: dict[str, list[tuple[float, int, float]]] = {way: [] for way in WAYS}
    try:
        port = "" if server.stdout is None else server.stdout.readline().strip()
        with tempfile.TemporaryDirectory() as place:
            for _ in range(rounds):
                for way in WAYS:
                    found[way].append(measure(way, port, place))
    finally:
        server.kill()
        server.wait()
    print(
        f"{megabytes} MiB of JSON, {rounds} rounds; Python {platform.python_version()}, aiohttp {aiohttp.__version__}"
    )
    print(f"{os.cpu_count()} cores, {platform.system()}\n")
    bare = statistics.median(seconds for seconds, _, _ in found["bare"])
    written = statistics.median(seconds for seconds, _, _ in found["bare, written"])
    print("| way | rate against bare | against bare, written | memory above idle |\n|---|---|---|---|")
    for way, runs in found.items():
        seconds = statistics.median(run[0] for run in runs)
        memory = max(run[2] for run in runs)
        print(f"| {way} | {bare / seconds:.2f} | {written / seconds:.2f} | {memory:.0f} MB |")
    seconds = statistics.median(run[0] for run in found["export"])
    for holds, bar in (
        (bare / seconds >= BAR_RATE, f"export: at least {BAR_RATE} of the bare rate"),
        (max(run[2] for run in found["export"]) <= BAR_MEMORY, f"export: at most {BAR_MEMORY:.0f} MB above idle"),
    ):
        print(f"{'met' if holds else 'MISSED'}: {bar}")


if __name__ == "__main__":
    main()
