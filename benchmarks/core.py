"""What the core costs: memory for each execution, the hot path, the state machine, and the start of the command.

Run it by hand, on a machine that does nothing else: `python benchmarks/core.py`. It prints one table. Ratios carry
over to other machines; seconds do not, and none is printed. What was measured last is in docs/performance.md.
"""

from __future__ import annotations

import gc
import json
import platform
import random
import statistics
import subprocess
import sys
import time
import uuid
from collections.abc import Callable
from importlib import metadata
from pathlib import Path

from titan_state import Execution, Lifecycle, Tracker
from titan_state.core.planner import Planner
from titan_state.core.planning.window import Shown
from titan_state.core.tracking.record import Record

SEED = 20_260
LIVE = 100_000
PAGE = 100
TASKS = 1000
ROUNDS = 7
MOST_BYTES = 500
MOST_START = 2.0
MOST_WHOLE = 2.0
MOST_MS = 1.0


def payloads(count: int, rng: random.Random) -> list[dict[str, object]]:
    """Return live executions as a list page shows them."""
    names = random.Random(SEED)
    tasks = [str(uuid.UUID(int=names.getrandbits(128), version=4)) for _ in range(TASKS)]
    return [
        {
            "id": str(uuid.UUID(int=rng.getrandbits(128), version=4)),
            "task_id": rng.choice(tasks),
            "status": rng.choice(("queued", "running", "running", "paused")),
            "created_at": f"2026-01-{rng.randint(1, 28):02}T{rng.randint(0, 23):02}:00:{rng.randint(0, 59):02}Z",
            "updated_at": f"2026-02-{rng.randint(1, 28):02}T{rng.randint(0, 23):02}:00:{rng.randint(0, 59):02}Z",
            "started_at": f"2026-01-{rng.randint(1, 28):02}T{rng.randint(0, 23):02}:30:{rng.randint(0, 59):02}Z",
            "progress": rng.randint(0, 100),
            "phase": rng.choice(("fetching", "extracting", "storing")),
        }
        for _ in range(count)
    ]


def take_page(tracker: Tracker, body: str, sent_at: float) -> tuple[str, ...]:
    """Take in one page, from its text on, as the monitor does; return the ids on it."""
    received_at = sent_at + 0.1
    items = json.loads(body)["data"]["items"]
    entries = [item if tracker.agrees(item) else Execution.from_payload(item) for item in items]
    tracker.again(
        [entry for entry in entries if not isinstance(entry, Execution)], sent_at=sent_at, received_at=received_at
    )
    for entry in entries:
        if isinstance(entry, Execution):
            tracker.observe(entry, sent_at=sent_at, received_at=received_at)
    return tuple(item["id"] for item in items)


def resident_bytes() -> int:
    """Return the memory of this process that is resident."""
    for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) * 1024
    raise SystemExit("there is no VmRSS in /proc/self/status")


def memory() -> None:
    """Print the resident bytes for each of many live executions; run in a process of its own."""
    rng = random.Random(SEED)
    tracker = Tracker()
    take_page(tracker, json.dumps({"data": {"items": payloads(PAGE, rng)}}), 0.0)
    gc.collect()
    before = resident_bytes()
    watched(tracker, rng)
    gc.collect()
    print((resident_bytes() - before) / LIVE)
    assert len(tracker) == LIVE + PAGE  # noqa: S101 - what was measured must be what was meant


def watched(tracker: Tracker, rng: random.Random) -> tuple[Planner, list[float]]:
    """Let a planner watch many live executions, two looks at each; return it, and what each decision took."""
    planner = Planner(tracker, interval_s=0.5)
    planner.watch_list(None, 0.0)
    state, times = rng.getstate(), []
    for number in range(2 * LIVE // PAGE):
        now = float(number)
        begun = time.perf_counter()
        choice = planner.next(now, 1.0)
        times.append(time.perf_counter() - begun)
        offset = planner.request(choice.target, now)[1]
        page = offset // PAGE
        rng.seed(f"{SEED} {page}")
        ids = take_page(tracker, json.dumps({"data": {"items": payloads(PAGE, rng)}}), now)
        shown = Shown(ids, offset + PAGE >= LIVE, offset=offset, asked=PAGE, names=ids, total=LIVE)
        planner.page_read(choice.target, shown, sent_at=now, now=now + 0.1)
    rng.setstate(state)
    return planner, times


def seconds(work: Callable[[], object]) -> float:
    """Return the median time of one call."""
    times = []
    for _ in range(ROUNDS):
        gc.collect()
        begun = time.perf_counter()
        work()
        times.append(time.perf_counter() - begun)
    return statistics.median(times)


def run(*arguments: str) -> str:
    """Run this interpreter; return what it wrote."""
    command = [sys.executable, *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout  # noqa: S603 - our own programs


def pages_taken() -> tuple[float, float]:
    """Return what pages cost of which 1 % has changed, decoded and observed, and observing alone, against json."""
    rng = random.Random(SEED)
    items = payloads(200 * PAGE, rng)
    bodies = [json.dumps({"data": {"items": items[at : at + PAGE]}}) for at in range(0, len(items), PAGE)]
    tracker = Tracker()
    clock = iter(range(1, 10**6))
    executions = [Execution.from_payload(item) for item in items]

    onward = {"queued": "running", "running": "completed"}

    def whole() -> None:
        at = float(next(clock))
        for body in bodies:
            take_page(tracker, body, at)

    def changed() -> list[str]:
        for page in range(len(bodies)):
            item = rng.choice([item for item in items[page * PAGE : (page + 1) * PAGE] if item["status"] in onward])
            item["status"] = onward[str(item["status"])]
        return [json.dumps({"data": {"items": items[at : at + PAGE]}}) for at in range(0, len(items), PAGE)]

    def observing() -> None:
        at = float(next(clock))
        for execution in executions:
            tracker.observe(execution, sent_at=at, received_at=at + 0.1)

    whole()
    json_alone = seconds(lambda: [json.loads(body) for body in bodies])
    observing_alone = seconds(observing)
    took = []
    for _ in range(ROUNDS):
        bodies = changed()
        gc.collect()
        begun = time.perf_counter()
        whole()
        took.append(time.perf_counter() - begun)
    return statistics.median(took) / json_alone, observing_alone / json_alone


def decision_ms() -> float:
    """Return what 99 of 100 decisions take at most, in milliseconds, while many executions live."""
    _, times = watched(Tracker(), random.Random(SEED))
    return sorted(times)[int(0.99 * len(times))] * 1000.0


def triggers_per_second() -> float:
    """Return how many moves a second the shared machine takes, each on one of many records."""
    events = Lifecycle.default().machine.events
    records = [Record(str(number), status="running") for number in range(1000)]

    def flip() -> None:
        for record in records:
            events["pause"].trigger(record)
            events["resume"].trigger(record)

    return 2 * len(records) / seconds(flip)


def start_up() -> float:
    """Return the time of `titan-state --help` against that of importing what the command line is made of."""
    ratios = []
    for _ in range(2 * ROUNDS + 1):
        begun = time.perf_counter()
        run("-c", "import typer, rich")
        between = time.perf_counter()
        run("-m", "titan_state", "--help")
        ratios.append((time.perf_counter() - between) / (between - begun))
    return statistics.median(ratios)


def main() -> int:
    """Measure and print everything; return 1 if a bar is missed."""
    held = float(run(__file__, "memory"))
    whole, observing = pages_taken()
    decision = decision_ms()
    started = start_up()
    rows = [
        (f"resident bytes for each of {LIVE:,} live executions", f"{held:.0f}", f"{MOST_BYTES}", held <= MOST_BYTES),
        (
            "a page with 1 % changed, decoded and observed, against json",
            f"{whole:.1f}",
            f"{MOST_WHOLE:g}",
            whole <= MOST_WHOLE,
        ),
        ("p99 of a decision in ms", f"{decision:.2f}", f"{MOST_MS:g}", decision <= MOST_MS),
        ("observing it alone, against json alone", f"{observing:.2f}", "", True),
        ("moves a second through the shared machine", f"{triggers_per_second():,.0f}", "", True),
        ("titan-state --help against import typer, rich", f"{started:.2f}", f"{MOST_START:g}", started <= MOST_START),
    ]
    print(
        f"Python {platform.python_version()}, "
        + ", ".join(f"{name} {metadata.version(name)}" for name in ("titan-state", "transitions", "attrs", "typer"))
        + f", seed {SEED}"
    )
    print(f"{'what':<62} {'measured':>10} {'at most':>8}")
    for what, measured, bar, met in rows:
        print(f"{what:<62} {measured:>10} {bar:>8}{'' if met else '  MISSED'}")
    return 0 if all(met for *_, met in rows) else 1


if __name__ == "__main__":
    if sys.argv[1:] == ["memory"]:
        memory()
    else:
        sys.exit(main())
