"""`titan-state demo`: a service, a monitor and a story of half a minute, and at its end an honest account.

The executions' story is the emulator's; here is what the user of the monitor does meanwhile.
"""

from __future__ import annotations

import asyncio
import time
from contextlib import aclosing
from typing import TYPE_CHECKING, Final

from titan_state import wording
from titan_state.cli.demo_play import Stage, play
from titan_state.cli.demo_truth import compare, truth
from titan_state.cli.exits import Exit
from titan_state.cli.follow import follow
from titan_state.cli.output import emit
from titan_state.cli.screen import Lines, LiveBoard, is_live_terminal
from titan_state.core.anomalies import Thresholds
from titan_state.core.budget import RequestBudget
from titan_state.core.events import AnomalyCleared, AnomalyDetected, Transitioned
from titan_state.core.lifecycle import Lifecycle
from titan_state.emulator import Scenario, TaskServiceEmulator
from titan_state.errors import shorten
from titan_state.monitor.monitor import Monitor

if TYPE_CHECKING:
    from collections.abc import Mapping

    from titan_state.cli.screen import Screen
    from titan_state.core.events import Event

PER_MINUTE: Final = 120
LAG_S: Final = 1.0
STUCK_S: Final = 8.0
WORK_S: Final = 0.05
"""What the callbacks take for the work that they only pretend to do."""


async def demo(*, speed: float, seed: int) -> int:
    """Play the demonstration.

    Args:
        speed: How many times as fast it is told. Thresholds shrink and the request limit grows with it.
        seed: The seed of all ids.

    Returns:
        0 if what the callbacks saw is what truly happened, else 1.
    """
    scenario = Scenario.demo(seed=seed)
    ids = {plan.note: plan.id or "" for plan in scenario.plans}
    labels = {execution_id: name for name, execution_id in ids.items()}
    thresholds = Thresholds(
        replica_lag_s=LAG_S / speed, stuck_queued_s=STUCK_S / speed, action_s=10 / speed, not_found_s=3 / speed
    )
    limit = round(PER_MINUTE * speed)
    begun = time.monotonic()
    async with TaskServiceEmulator(scenario, seed=seed, speed=speed, per_minute=limit) as service:
        budget = RequestBudget(per_minute=limit)
        async with Monitor(service.url, service.token, thresholds=thresholds, budget=budget, drain_s=5.0) as monitor:
            _introduce(service, thresholds, len(ids), limit, speed)
            screen = _screen(monitor, labels, begun)
            stage = Stage(service, monitor, ids, speed, screen.say, thresholds)
            _register(stage, labels)
            stream = monitor.events()
            monitor.watch_all()
            playing = asyncio.ensure_future(play(stage))
            try:
                with screen:
                    async with aclosing(follow(stream, until=playing, every_s=screen.every_s)) as events:
                        async for event in events:
                            if event is None:
                                screen.tick()
                            else:
                                screen.show(event)
            finally:
                playing.cancel()
                await asyncio.gather(playing, return_exceptions=True)
            playing.result()
        return conclude(stage, labels, limit, time.monotonic() - begun)


def _introduce(service: TaskServiceEmulator, thresholds: Thresholds, count: int, limit: int, speed: float) -> None:
    emit(f"An embedded Task Service answers at {service.url}.")
    emit(f"A monitor watches its {count} executions over HTTP.")
    faster = f"told {speed:g} times as fast; " if speed != 1 else ""
    emit(f"Scaled for the demo: {faster}{limit} requests a minute,")
    emit(f"  stuck in queued after {thresholds.stuck_queued_s:g} s (by default 300 s),")
    emit(f"  contradictions are believed after {thresholds.replica_lag_s:g} s (by default 5 s).")
    emit("")


def _register(stage: Stage, labels: Mapping[str, str]) -> None:
    """Register callbacks as a user does. What counts runs on the event loop."""
    monitor, seen = stage.monitor, stage.seen
    loop = asyncio.get_running_loop()
    model = Lifecycle.default()

    @monitor.on_transition
    async def count_entry(event: Transitioned) -> None:
        if event.dest not in {*model.terminal, model.initial}:
            seen.entered[event.execution_id, event.dest] += 1

    @monitor.on_finished
    async def count_end(event: Transitioned) -> None:
        seen.ends[event.execution_id, event.dest] += 1

    @monitor.on_completed
    def export_results(event: Transitioned) -> None:
        time.sleep(WORK_S)  # it blocks a thread of its own, nothing else
        loop.call_soon_threadsafe(seen.called.update, [(event.execution_id, "on_completed")])
        stage.say(f"  callback on_completed: '{labels[event.execution_id]}' could be exported now")

    @monitor.on_anomaly
    async def alert(event: AnomalyDetected) -> None:
        seen.anomalies[event.execution_id, event.kind.value] += 1
        await asyncio.sleep(WORK_S)
        name = labels.get(event.execution_id, "the monitor")
        stage.say(f"  callback on_anomaly: {event.kind} of '{name}', check first: {event.check_first}")

    @monitor.on_anomaly_cleared
    async def count_cleared(event: AnomalyCleared) -> None:
        seen.cleared[event.execution_id, event.kind.value] += 1


def conclude(stage: Stage, labels: Mapping[str, str], limit: int, took_s: float) -> int:
    """Write the account; return the exit code."""
    true = truth(stage.service, stage.ids.values(), stage.thresholds, stage.speed)
    report = compare(stage.seen, true, labels)
    requests = tuple(stage.service.requests)
    throttled = sum(request.status == 429 for request in requests)
    faults = [*stage.faults, *report.faults]
    if throttled:
        faults.append(f"{throttled} requests were answered with 429")
    emit("")
    emit("What the callbacks saw, beside what truly happened (the service's own history):")
    for line in report.lines:
        emit(line)
    actions = stage.posts()
    emit(f"Control: {actions} actions sent, {stage.refused} refused before anything was sent.")
    emit(f"Requests: {len(requests)} in {took_s:.0f} s, {limit} a minute are allowed; {throttled} answered with 429.")
    for fault in faults:
        emit(f"differs: {fault}")
    emit("Callbacks and truth agree." if not faults else f"Callbacks and truth differ in {len(faults)} points.")
    return Exit.ERROR if faults else Exit.OK


class StoryLines(Lines):
    """One line for each event, with the execution's part in the story instead of its id."""

    def __init__(self, labels: Mapping[str, str], begun: float) -> None:
        self._labels = labels
        self._begun = begun

    def show(self, event: Event) -> None:
        """Write the event as a line."""
        name = self._labels.get(event.execution_id, "monitor")
        emit(f"{self._elapsed()}  {shorten(name):<23}  {wording.story(event)}")

    def say(self, text: str, *, style: str = "") -> None:
        """Write the line."""
        emit(f"{self._elapsed()}  {text}")

    def _elapsed(self) -> str:
        return f"{time.monotonic() - self._begun:5.1f} s"


def _screen(monitor: Monitor, labels: Mapping[str, str], begun: float) -> Screen:
    if not is_live_terminal():
        return StoryLines(labels, begun)
    from titan_state.cli.board import Board

    return LiveBoard(Board(monitor, title="titan-state demo", footer="ends by itself", labels=labels))
