"""How soon a change is noticed under 120 requests a minute: this library, what others do, and the bound.

`python benchmarks/delay.py`, or `make bench`, prints three tables; it takes some minutes of two processors. Time is
virtual and everything is drawn from one seed, so the tables come out the same on every machine. What they mean, the
derivation of the bound and what its assumptions cost are in docs/performance.md.
"""

from __future__ import annotations

import argparse
import os
import platform
import random
import statistics
import sys
from concurrent.futures import ProcessPoolExecutor
from importlib import metadata
from math import sqrt

import attrs
from detection import peers
from detection.ours import LATENCY_S, Account, Ours, Sweep
from detection.world import MEAN_S, Durations, World, exponential, heavy, narrow

SEED = 4
PER_MINUTE = 120
CLIENTS = ("ours", "sweep", "documented", "backing off", "fixed 15 s")
PAUSES = {"documented": peers.DOCUMENTED, "backing off": peers.BACKING_OFF, "fixed 15 s": peers.FIXED}
START_S = 900.0
UNTIL_S = 1800.0
"""Between these the changes are measured: after the first sweep over 600 pages."""

RUNS = {6: 100, 100: 30, 1000: 8, 10_000: 2}
"""How many worlds of each size are drawn, so that some hundreds of changes are measured at least."""

MOST_ABOVE = 1.10
LEAST_SOONER = 20.0


@attrs.frozen
class Setting:
    """One row of a table.

    Attributes:
        name: What it is called.
        live: How many executions live at the beginning.
        durations: How long they run: the name of a distribution.
        arrives: Whether new executions are created meanwhile, and push the others to later pages.
        others: The share of the request limit that other clients of the account spend.
        fault: The share of requests that fail.
        filters: Whether lists can be of one status.
        page: How many executions a page shows at most.
        skewed: Whether one task in a hundred makes half of the changes.
        clients: Who watches.
    """

    name: str
    live: int
    durations: str = "exponential"
    arrives: bool = False
    others: float = 0.0
    fault: float = 0.0
    filters: bool = False
    page: int = 100
    skewed: bool = False
    clients: tuple[str, ...] = CLIENTS


PLAIN = [
    Setting(f"N = {live:,}, {durations}", live, durations)
    for durations in ("exponential", "narrow", "heavy-tailed")
    for live in RUNS
]
HARD = [
    Setting(f"N = {live:,}, {name}", live, clients=("ours", "sweep"), **options)
    for name, options in (
        ("others spend 20 %", {"others": 0.2}),
        ("pages shift", {"arrives": True}),
        ("5 % of requests fail", {"fault": 0.05}),
        ("skewed tasks, pages shift", {"arrives": True, "skewed": True}),
        ("all of it", {"arrives": True, "skewed": True, "others": 0.2, "fault": 0.05}),
    )
    for live in (100, 1000, 10_000)
]

OFFERS = [
    Setting(f"N = {live:,}, {name}", live, clients=("ours", "sweep"), **options)
    for name, lives, options in (
        ("pages of 1,000", (1000, 10_000), {"page": 1000}),
        ("lists of one status", (100, 1000), {"filters": True}),
        ("the same, pages shift", (100, 1000), {"filters": True, "arrives": True}),
    )
    for live in lives
]


@attrs.frozen
class Measured:
    """What one client achieved in one world.

    Attributes:
        delays: How long after each change it was noticed, in seconds.
        account: What was spent.
        bound: For the library, the reference of this world at its own rate of requests, else 0.
    """

    delays: list[float]
    account: Account
    bound: float = 0.0


def world_of(setting: Setting, seed: int) -> World:
    """Make the world of a row."""
    durations: Durations = {"exponential": exponential, "narrow": narrow, "heavy-tailed": heavy}[setting.durations]()
    tasks = [("t", 1.0, durations)]
    if setting.skewed:  # half of all that is created is of one task in a hundred
        tasks = [("hot", 0.5, exponential(MEAN_S / 10))]
        tasks += [(f"t{number}", 0.5 / 99, exponential(MEAN_S)) for number in range(99)]
    until = UNTIL_S if setting.arrives else 0.0
    return World(
        setting.live,
        tasks,
        seed=seed,
        per_minute=PER_MINUTE,
        arrivals_until=until,
        fault=setting.fault,
        page_limit=setting.page,
        filters=setting.filters,
    )


def spending(setting: Setting, seed: int) -> list[float]:
    """Return when other clients of the account send their requests."""
    rng = random.Random(seed)
    sent, now, rate = [], 0.0, setting.others * PER_MINUTE / 60.0
    while rate and now < 40 * UNTIL_S:
        now += rng.expovariate(rate)
        sent.append(now)
    return sent


def reference(world: World, per_second: float, *, memoryless: bool) -> float:
    """Return the bound for pages that stay where they are: see docs/performance.md."""
    above = below = 0.0
    steps = 45
    for step in range(steps):
        now = START_S + (UNTIL_S - START_S) * (step + 0.5) / steps
        pages: dict[int, float] = {}
        for place, run in world.living(now):
            hazard = 1.0 / MEAN_S if memoryless else run.durations.hazard(now - run.created_at)
            pages[place // world.page_limit] = pages.get(place // world.page_limit, 0.0) + hazard
        above += sum(sqrt(hazard) for hazard in pages.values()) ** 2
        below += sum(pages.values())
    wait = above / below / 2.0 / per_second if below else 0.0  # of a few executions all may have ended
    return wait + LATENCY_S / 2.0


def measure(setting: Setting, client: str, seed: int) -> Measured:
    """Let one client watch one world."""
    world = world_of(setting, seed)
    others = spending(setting, seed)
    bound = 0.0
    if client in PAUSES:
        account = peers.watch(world, PAUSES[client], START_S, UNTIL_S, others)
    else:
        watcher = (Ours if client == "ours" else Sweep)(world, others=others)
        watcher.run(START_S, UNTIL_S)
        account = watcher.account
        if client == "ours":
            rate = account.requests / (UNTIL_S - START_S)
            bound = reference(world, rate, memoryless=setting.durations == "narrow")
    delays = [account.seen_at[run.live.id] - run.ends_at for run in world.runs if START_S <= run.ends_at < UNTIL_S]
    return Measured(delays, account, bound)


def job(task: tuple[Setting, str, int]) -> Measured:
    """Measure, for a process of a pool."""
    return measure(*task)


def shown(seconds: float) -> str:
    """Return seconds for people."""
    return f"{seconds:,.2f}" if seconds < 10 else f"{seconds:,.1f}" if seconds < 100 else f"{seconds:,.0f}"


def table(title: str, settings: list[Setting], seed: int, pool: ProcessPoolExecutor) -> list[str]:
    """Print one table; return what misses its bar."""
    missed = []
    print(f"\n{title}\n")
    print(
        f"{'':<34} {'client':<12} {'mean s':>8} {'p95 s':>8} {'requests':>9} {'429s':>9} {'excused':>8} {'changes':>8}"
    )
    for setting in settings:
        tasks = [(setting, client, seed + run) for client in setting.clients for run in range(RUNS[setting.live])]
        results = dict(zip([task[1:] for task in tasks], pool.map(job, tasks), strict=True))
        means = {}
        for client in setting.clients:
            runs = [result for (name, _), result in results.items() if name == client]
            delays = sorted(delay for result in runs for delay in result.delays)
            means[client] = statistics.fmean(delays)
            spent = sum(result.account.requests for result in runs) / len(runs)
            refused = sum(result.account.throttled for result in runs)
            excused = sum(result.account.excused for result in runs)
            late = shown(delays[int(0.95 * len(delays))])
            print(
                f"{setting.name if client == setting.clients[0] else '':<34} {client:<12} {shown(means[client]):>8} "
                f"{late:>8} {spent:>9,.0f} {refused:>9,} {excused:>8,} {len(delays):>8,}"
            )
            if client == "ours" and refused > excused:
                missed.append(f"{setting.name}: {refused - excused} requests of our own making were answered 429")
        bound = statistics.fmean(result.bound for (name, _), result in results.items() if name == "ours")
        ratio = means["ours"] / bound
        print(f"{'':<34} {'reference':<12} {shown(bound):>8}   ours is {ratio:.2f} of it")
        if setting in PLAIN:
            missed += bars(setting, means, ratio)
        if means["ours"] > means["sweep"] * 1.02:
            missed.append(f"{setting.name}: the sweep is sooner ({shown(means['sweep'])} s)")
        sys.stdout.flush()
    return missed


def bars(setting: Setting, means: dict[str, float], ratio: float) -> list[str]:
    """Return which bars a row of the first table misses."""
    missed = []
    if setting.durations == "exponential" and setting.live >= 100 and ratio > MOST_ABOVE:
        missed.append(f"{setting.name}: {ratio:.2f} of the reference, not {MOST_ABOVE}")
    if setting.durations == "narrow" and setting.live > 100 and ratio > 1.0:
        missed.append(f"{setting.name}: {ratio:.2f} of the reference of memoryless durations")
    if setting.live == 10_000 and means["documented"] < LEAST_SOONER * means["ours"]:
        missed.append(f"{setting.name}: not {LEAST_SOONER:g} times sooner than the documented loop")
    return missed


def main() -> int:
    """Print all tables; return 1 if a bar is missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=SEED)
    parser.add_argument("--only", default="", help="rows whose name holds this text")
    arguments = parser.parse_args()
    versions = ", ".join(f"{name} {metadata.version(name)}" for name in ("titan-state", "transitions", "attrs"))
    print(f"Python {platform.python_version()}, {versions}, seed {arguments.seed}, {PER_MINUTE} requests a minute")
    missed = []
    with ProcessPoolExecutor(os.cpu_count()) as pool:
        for title, settings in (
            ("N live executions among 5 N finished ones, fixed pages of 100", PLAIN),
            ("The same under harder conditions, exponential durations", HARD),
            ("The same where the service offers more than usual, exponential durations", OFFERS),
        ):
            rows = [setting for setting in settings if arguments.only in setting.name]
            if rows:
                missed += table(title, rows, arguments.seed, pool)
    for line in missed:
        print(f"MISSED {line}")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
