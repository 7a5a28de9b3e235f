"""How soon callbacks begin after the answer has arrived that shows the change: 10,000 tracked, 1,000 changing at once.

Run it by hand, on a machine that does nothing else: `python benchmarks/callbacks.py`. A service in a process of its own
lists 10,000 executions, 1,000 a page, over HTTP on loopback; again and again all of one page finish at once. Printed is
what passes from the last byte of the answer to the first line of each callback, against the time that decoding such a
page alone takes.
"""

from __future__ import annotations

import asyncio
import json
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path

from aiohttp import ClientSession, web

from titan_state import Handlers, Monitor, RequestBudget, Transitioned

TRACKED = 10_000
AT_ONCE = 1000
ROUNDS = 5


def payload(number: int, status: str) -> dict[str, object]:
    """Return an execution as JSON types."""
    return {
        "id": f"e{number:05}",
        "task_id": f"t{number % 20}",
        "status": status,
        "created_at": "2026-01-01T00:00:00Z",
        "updated_at": "2026-01-01T00:00:00Z",
        "progress": number % 100,
    }


def serve() -> None:
    """Be the service; print the port."""
    finished = 0

    async def page(request: web.Request) -> web.Response:
        limit, offset = int(request.query["limit"]), int(request.query["offset"])
        last = min(TRACKED, offset + min(limit, AT_ONCE))
        items = [payload(at, "completed" if at < finished else "running") for at in range(offset, last)]
        return web.json_response({"success": True, "data": {"items": items, "total": TRACKED}})

    async def finish(request: web.Request) -> web.Response:
        nonlocal finished
        finished += AT_ONCE
        return web.json_response({})

    async def run() -> None:
        app = web.Application()
        app.router.add_get("/api/v1/executions", page)
        app.router.add_post("/finish", finish)
        runner = web.AppRunner(app)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        print(runner.addresses[0][1], flush=True)
        await asyncio.Event().wait()

    asyncio.run(run())


async def measure(port: int, journal: str | None) -> list[float]:
    """Return how many seconds after the answer each callback began."""
    url = f"http://127.0.0.1:{port}"
    handlers, waits, arrived = Handlers(), [], asyncio.Event()

    @handlers.on_completed(name="measured")
    async def note(event: Transitioned) -> None:
        waits.append((datetime.now(UTC) - event.at).total_seconds())
        if len(waits) % AT_ONCE == 0:
            arrived.set()

    options = {} if journal is None else {"journal": journal}
    budget = RequestBudget(per_minute=6000, min_interval_s=0.01)
    async with (
        ClientSession() as session,
        Monitor(url, "token", handlers=handlers, budget=budget, **options) as monitor,
    ):
        monitor.watch_all()
        while len(monitor.executions()) < TRACKED:  # noqa: ASYNC110 - there is no event for that
            await asyncio.sleep(0.1)
        for _ in range(ROUNDS):
            arrived.clear()
            async with session.post(f"{url}/finish"):
                pass
            await asyncio.wait_for(arrived.wait(), 60)
            await asyncio.sleep(0.5)
    return sorted(waits)


def main() -> None:
    """Measure and print everything."""
    body = json.dumps({"data": {"items": [payload(number, "running") for number in range(AT_ONCE)]}})
    alone = []
    for _ in range(50):
        begun = time.perf_counter()
        json.loads(body)
        alone.append(time.perf_counter() - begun)
    decoding = statistics.median(alone)
    versions = ", ".join(f"{name} {metadata.version(name)}" for name in ("titan-state", "aiohttp"))
    print(f"Python {platform.python_version()}, {versions}; {TRACKED:,} tracked, {AT_ONCE:,} finish at once")
    print(f"{'the start of callbacks after the answer':<44} {'p50 ms':>8} {'p99 ms':>8} {'p99 / decoding a page':>22}")
    with tempfile.TemporaryDirectory() as folder:
        for name, journal in (
            ("journal in memory", None),
            ("journal in SQLite", f"sqlite:///{Path(folder) / 'journal.db'}"),
        ):
            with subprocess.Popen(  # noqa: S603 - this program
                [sys.executable, __file__, "serve"], stdout=subprocess.PIPE, text=True
            ) as service:
                try:
                    waits = asyncio.run(measure(int(service.stdout.readline()), journal))
                finally:
                    service.terminate()
            half, late = waits[len(waits) // 2], waits[int(0.99 * len(waits))]
            print(f"{name:<44} {half * 1000:>8.0f} {late * 1000:>8.0f} {late / decoding:>22.0f}")


if __name__ == "__main__":
    if sys.argv[1:] == ["serve"]:
        serve()
    else:
        main()
