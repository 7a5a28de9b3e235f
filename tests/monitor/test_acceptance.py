"""The promise as a whole: a thousand executions, a service that misbehaves, and the truth to compare with.

Time is moved by hand, so that twenty minutes of the platform take seconds; HTTP is real.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from itertools import pairwise

import pytest

from titan_state import AnomalyKind, Handlers, Monitor, RequestBudget, Thresholds
from titan_state.core.lifecycle import Lifecycle
from titan_state.emulator import Faults, Scenario, TaskServiceEmulator
from titan_state.testing import ManualClock

BUDGET = 600  # requests a minute
THRESHOLDS = Thresholds(replica_lag_s=5, stuck_queued_s=120, retention_s=2000)


def terminal_entries(service: TaskServiceEmulator, ids) -> Counter[tuple[str, str]]:
    """Return how often each execution truly entered a terminal status."""
    terminal = Lifecycle.default().terminal
    return Counter((name, entry.status) for name in ids for entry in service.history(name) if entry.status in terminal)


async def run_world(clock: ManualClock, scenario: Scenario, faults: Faults, *, seconds: float):
    """Watch a whole world until it stands still; return the service and what was delivered."""
    finished: Counter[tuple[str, str]] = Counter()
    anomalies: dict[AnomalyKind, Counter[str]] = defaultdict(Counter)
    order: dict[str, list] = defaultdict(list)
    handlers = Handlers()

    @handlers.on_finished
    async def finish(event):
        finished[event.execution_id, event.dest] += 1

    @handlers.on_transition
    async def move(event):
        order[event.execution_id].append(event)

    @handlers.on_anomaly
    async def anomaly(event):
        anomalies[event.kind][event.execution_id] += 1

    options = {"thresholds": THRESHOLDS, "clock": clock, "handlers": handlers}
    async with TaskServiceEmulator(scenario, clock=clock, per_minute=BUDGET, faults=faults) as service:
        budget = RequestBudget(per_minute=BUDGET, min_interval_s=2.0)
        async with Monitor(service.url, service.token, budget=budget, **options) as monitor:
            monitor.watch_all()
            await clock.advance(seconds)
            throttled = sum(1 for request in service.requests if request.status == 429)
    return service, finished, anomalies, order, throttled


@pytest.mark.timeout(900)
async def test_a_thousand_legal_executions_over_a_rough_service(clock):
    """Every end is delivered exactly once, and nothing is said to be wrong that is not."""
    scenario = Scenario.random(1000, seed=7, duration_s=300.0, pauses=0.0)
    faults = Faults.rough(seed=3)
    service, finished, anomalies, order, _ = await run_world(clock, scenario, faults, seconds=900)
    ids = [plan.id for plan in scenario.plans]
    assert finished == terminal_entries(service, ids)
    assert {kind: dict(who) for kind, who in anomalies.items()} == {}
    for events in order.values():
        assert [event.source for event in events][1:] == [event.dest for event in events][:-1]


def true_anomalies(service: TaskServiceEmulator, scenario: Scenario) -> dict[AnomalyKind, dict[str, int]]:
    """Return which anomalies a world has that was visible for long enough, read off its own history."""
    terminal = Lifecycle.default().terminal
    known = set(Lifecycle.default().statuses)
    truth: dict[AnomalyKind, Counter[str]] = defaultdict(Counter)
    for plan in scenario.plans:
        statuses = [entry.status for entry in service.history(plan.id)]
        pairs = list(pairwise(statuses))
        flips = sum(1 for pair in pairs if set(pair) == {"running", "paused"})
        truth[AnomalyKind.LEFT_TERMINAL][plan.id] += sum(1 for source, _ in pairs if source in terminal)
        truth[AnomalyKind.UNEXPECTED_FLIP][plan.id] += flips
        truth[AnomalyKind.FLAPPING][plan.id] += flips >= 4
        truth[AnomalyKind.UNKNOWN_STATUS][plan.id] += sum(1 for status in statuses if status not in known)
        truth[AnomalyKind.VANISHED][plan.id] += plan.note == "vanishes"
        truth[AnomalyKind.STUCK_QUEUED][plan.id] += plan.note == "stuck_queued"
        truth[AnomalyKind.RESULTS_OVERDUE][plan.id] += plan.note == "results_late"
    return {kind: dict(+who) for kind, who in truth.items() if +who}


@pytest.mark.timeout(900)
async def test_a_thousand_executions_of_which_many_misbehave(clock):
    """Every anomaly that is visible for longer than its confirmation is raised, once, and no other is."""
    scenario = Scenario.random(1000, seed=1, duration_s=300.0, illegal=0.3, min_stay_s=30.0)
    service, finished, anomalies, _, _ = await run_world(clock, scenario, Faults.rough(seed=1), seconds=1500)
    assert finished == terminal_entries(service, [plan.id for plan in scenario.plans])
    truth = true_anomalies(service, scenario)
    for kind in {*truth, *anomalies}:
        assert (kind, dict(anomalies[kind])) == (kind, truth.get(kind, {}))
