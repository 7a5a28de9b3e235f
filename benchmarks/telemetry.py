"""What measuring costs, and what it costs where nobody measures: requests and deliveries, in one run, as ratios.

Run it by hand, on a machine that does nothing else: `python benchmarks/telemetry.py`. Four ways take turns, so that
whatever else the machine does falls on all of them: *bare*, with the looks at `None` cut out of the code; *off*, as it
is without `telemetry=`; *on*, with an SDK that keeps numbers and samples no span; and *traced*, with every span made
and thrown away. The work is the hot path of each: a request to a server on loopback that answers at once, and the
delivery of an event to an `async def` callback. Printed are medians, and ratios of the same round to *off*.
"""

from __future__ import annotations

import asyncio
import inspect
import json
import platform
import re
import statistics
import sys
import textwrap
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from aiohttp import web
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF

from titan_state import Execution, Handlers, RequestBudget, Transitioned
from titan_state.client import transport
from titan_state.client.service import TaskService
from titan_state.clock import SystemClock
from titan_state.journal.base import Commit
from titan_state.journal.memory import MemoryJournal
from titan_state.monitor.delivery import calling, lane
from titan_state.monitor.delivery.dispatcher import Dispatcher
from titan_state.telemetry import OpenTelemetry

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from opentelemetry.sdk.trace import ReadableSpan

    from titan_state.instrumentation import Instrumentation

ROUNDS = 40
REQUESTS = 40
DELIVERIES = 300
WAYS = ("bare", "off", "on", "traced")


class Nowhere(SpanExporter):
    """Throws spans away."""

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Take them."""
        return SpanExportResult.SUCCESS


def measures() -> dict[str, Instrumentation | None]:
    """Return what measures, for each way."""
    none = TracerProvider(sampler=ALWAYS_OFF, shutdown_on_exit=False)
    every = TracerProvider(shutdown_on_exit=False)
    every.add_span_processor(SimpleSpanProcessor(Nowhere()))
    made: dict[str, Instrumentation | None] = {"bare": None, "off": None}
    for way, tracers in (("on", none), ("traced", every)):
        meters = MeterProvider((InMemoryMetricReader(),), shutdown_on_exit=False)
        telemetry = OpenTelemetry(meter_provider=meters, tracer_provider=tracers)
        made[way] = telemetry.instrument("shop", str)
    return made


def cut(function: Callable[..., Any], module: object, *pieces: tuple[str, str]) -> Callable[..., Any]:
    """Return a function as it is without some pieces of its text, each a pattern and what comes in its place."""
    text = textwrap.dedent(inspect.getsource(function))
    for pattern, new in pieces:
        text, count = re.subn(pattern, new, text)
        if not count:
            sys.exit(f"{function.__qualname__} has changed: {pattern!r} is not in it any more")
    found: dict[str, Callable[..., Any]] = {}
    exec(compile(text, "<bare>", "exec"), vars(module), found)  # noqa: S102 - our own text
    return found[function.__name__]


EXCHANGE = {
    "bare": cut(
        transport.Transport.exchange,
        transport,
        (r"    sending = None\n    if self\.instrumentation is not None:\n(?:        .*\n)+?(?=    \S)", ""),
        (r", sending\)", ", None)"),
    )
}
CALL = {
    "bare": cut(
        calling.call,
        calling,
        (r"    around: AbstractContextManager.*\n    if instrumentation is not None:\n        .*\n", ""),
        (r"with around:", "if True:"),
    )
}


async def request_s(service: TaskService) -> float:
    """Return how many seconds a request takes."""
    began = time.perf_counter()
    for _ in range(REQUESTS):
        await service.get("e")
    return (time.perf_counter() - began) / REQUESTS


async def delivery_s(instrumentation: Instrumentation | None) -> float:
    """Return how many seconds a delivery takes, from its event to its acknowledgement."""
    handlers, clock = Handlers(), SystemClock()
    journal = MemoryJournal(clock)

    @handlers.on_transition(name="x")
    async def take(event: Transitioned) -> None:
        pass

    def fail(error: Exception) -> None:
        raise error

    dispatcher = Dispatcher(handlers, frozenset(), clock, journal, failed=fail, instrumentation=instrumentation)
    await journal.open()
    await journal.lead("shop")
    dispatcher.begin()
    await asyncio.sleep(0)
    now = datetime.now(UTC)
    events = [
        Transitioned(
            execution_id=f"e{number}",
            seq=1,
            at=now,
            execution=Execution(f"e{number}", "completed"),
            source="running",
            dest="completed",
            before=now,
        )
        for number in range(DELIVERIES)
    ]
    began = time.perf_counter()
    dispatcher.notify(await journal.append(Commit(events=events)), events)
    await dispatcher.until_below(1)
    took = time.perf_counter() - began
    await dispatcher.close(0.0)
    await journal.close()
    return took / DELIVERIES


async def main() -> None:
    """Measure, and print."""
    body = {"data": {"id": "e", "status": "running", "task_id": "t"}}

    async def answer(_: web.Request) -> web.Response:
        return web.json_response(body)

    app = web.Application()
    app.router.add_get("/api/v1/executions/e", answer)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    url = "http://{}:{}".format(*runner.addresses[0][:2])
    EXCHANGE["off"], CALL["off"] = transport.Transport.exchange, calling.call
    found: dict[str, dict[str, list[float]]] = {what: {way: [] for way in WAYS} for what in ("request", "delivery")}
    measuring = measures()
    async with TaskService(url, "a-token-of-the-benchmark", budget=RequestBudget(per_minute=1_000_000)) as service:
        for turn in range(ROUNDS):
            for place in range(len(WAYS)):
                way = WAYS[(turn + place) % len(WAYS)]
                transport.Transport.exchange = EXCHANGE.get(way, EXCHANGE["off"])  # type: ignore[method-assign] # the bare one
                lane.call = CALL.get(way, CALL["off"])
                service.instrument(measuring[way])
                found["request"][way].append(await request_s(service))
                found["delivery"][way].append(await delivery_s(measuring[way]))
    await runner.cleanup()
    print(f"{platform.python_implementation()} {platform.python_version()}, {platform.machine()}, {ROUNDS} rounds")
    for what, ways in found.items():
        for way in WAYS:
            ratios = [one / off for one, off in zip(ways[way], ways["off"], strict=True)]
            told = {
                "what": what,
                "way": way,
                "median_us": round(statistics.median(ways[way]) * 1e6, 1),
                "to_off": round(statistics.median(ratios), 3),
                "quartiles": [round(one, 3) for one in statistics.quantiles(ratios, n=4)[::2]],
            }
            print(json.dumps(told))


if __name__ == "__main__":
    asyncio.run(main())
