"""A random world over HTTP: legal and illegal moves, deletions, actions, faults, answers out of order.

Whatever happens there, what callbacks see of one execution is a legal run of the model, or is broken by an explicit
anomaly; nothing is seen that never was; and once the world stands still, what is known is the truth.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Coroutine
from typing import Any

import pytest
from account import Account
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from titan_state import (
    Action,
    AnomalyDetected,
    AnomalyKind,
    Event,
    Monitor,
    Status,
    Thresholds,
    TitanStateError,
    Transitioned,
)
from titan_state.core.lifecycle import Lifecycle
from titan_state.core.tracking.results import RESULT_STATUSES
from titan_state.emulator import Faults, Plan, Scenario, Task, TaskServiceEmulator
from titan_state.testing import ManualClock

NAMES = ("a", "b", "c")
ODD = ("weird", "odd")
MODEL = Lifecycle.default()
SETTLE_S = 150.0
"""Longer than the longest pause between two attempts, all confirmations and the answers still under way."""

PATROLS = len(NAMES)
"""A list that is read while something on it is deleted passes over what moves up. A page of it is read again every 256
reads, two a second, so so many times as long is enough for it to be seen where each page shows one execution."""

names = st.sampled_from(NAMES)
rough = st.fixed_dictionaries(
    {"stale": st.sampled_from([0.0, 0.3, 0.8]), "stale_s": st.sampled_from([1.0, 4.0, 4.0])},
    optional={
        name: st.sampled_from([0.1, 0.3])
        for name in ("server_error", "error_after", "reset", "lost_answer", "late", "slow", "truncated", "html")
    }
    | {
        "garbled": st.sampled_from([0.1, 0.3]),
        "slow_s": st.sampled_from([0.5, 3.0, 8.0]),
        "late_s": st.sampled_from([0.5, 3.0]),
        "list_lag_s": st.sampled_from([1.0, 4.0]),
        "shifting": st.sampled_from([0.3]),
        "unreadable_new_s": st.sampled_from([2.0]),
        "ignored_action": st.sampled_from([0.3]),
        "dates_off_s": st.sampled_from([-30.0, 5.0, 1000.0]),
    },
)


class RandomWorld(RuleBasedStateMachine):
    """A monitor, its service, and the hands that move the world."""

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.accounts = {name: Account(name) for name in NAMES}
        self.streamed: dict[str, list[Event]] = defaultdict(list)
        self.called: dict[str, list[Event]] = defaultdict(list)
        self.actions: list[asyncio.Task[Any]] = []
        self.acted: set[str] = set()
        self.has_misbehaved = False

    def run(self, work: Coroutine[Any, Any, Any]) -> Any:
        return self.loop.run_until_complete(work)

    @initialize(
        watch=st.sampled_from(["ids", "task", "all"]),
        shape=st.sampled_from(["items", "executions", "array"]),
        max_limit=st.sampled_from([1, 2, 100, 1000]),
        honours=st.booleans(),
        delay_s=st.sampled_from([0.0, 3.0]),
        dated=st.booleans(),
        ready_s=st.sampled_from([0.0, 5.0, None]),
        pending=st.sampled_from([202, 404, "status"]),
        seed=st.integers(0, 3),
    )
    def begin(
        self,
        watch: str,
        shape: str,
        max_limit: int,
        honours: bool,
        delay_s: float,
        dated: bool,
        ready_s: float | None,
        pending: Any,
        seed: int,
    ) -> None:
        self.clock = ManualClock()
        self.ready_s = ready_s
        plans = [Plan(id=name, task_id="t", results_after_s=ready_s) for name in NAMES]
        scenario = Scenario(plans, [Task(id="t")])
        self.service = TaskServiceEmulator(
            scenario,
            clock=self.clock,
            seed=seed,
            list_shape=shape,
            max_limit=max_limit,
            status_filter=honours,
            action_delay_s=delay_s,
            updated_at=dated,
            results_pending=pending,
        )
        for account in self.accounts.values():
            account.may_be_adopted = watch != "ids"
        self.run(self._enter(watch))

    async def _enter(self, watch: str) -> None:
        await self.service.__aenter__()
        thresholds = Thresholds(stuck_queued_s=40, stuck_running_s=60, retention_s=1e6, action_s=20, results_s=30)
        self.monitor = Monitor(self.service.url, self.service.token, clock=self.clock, thresholds=thresholds)

        @self.monitor.on_transition
        @self.monitor.on_anomaly
        @self.monitor.on_anomaly_cleared
        @self.monitor.on_results_ready
        async def note(event: Event) -> None:
            self.called[event.execution_id].append(event)

        await self.monitor.__aenter__()
        self.reader = asyncio.ensure_future(self._read())
        match watch:
            case "ids":
                self.monitor.watch(*NAMES)
            case "task":
                self.monitor.watch_task("t")
            case "all":
                self.monitor.watch_all()

    async def _read(self) -> None:
        async for event in self.monitor.events():
            self.streamed[event.execution_id].append(event)

    @rule(name=names, status=st.sampled_from([*Status, *ODD]))
    def move(self, name: str, status: str) -> None:
        self.service.move(name, str(status))

    @rule(name=names)
    def move_lawfully(self, name: str) -> None:
        ways = [move for move in MODEL.moves if move.source == self.service.executions().get(name) and not move.action]
        if ways:
            self.service.move(name, ways[0].dest)

    @rule(name=names, looks=st.lists(st.sampled_from([1.0, 2.5, 6.0, 9.0]), max_size=3))
    def flip(self, name: str, looks: list[float]) -> None:
        """Somebody else pauses or resumes it, and perhaps again soon afterwards."""
        for seconds in [*looks, 0.0]:
            other = {"running": "paused", "paused": "running"}.get(self.service.executions().get(name, ""))
            if other is None:
                return
            self.service.move(name, other)
            self.run(self.clock.advance(seconds))
            self.the_account_is_in_order()

    @rule(name=names)
    def remove(self, name: str) -> None:
        self.service.remove(name)

    @rule(name=names, action=st.sampled_from(list(Action)), force=st.booleans())
    def act(self, name: str, action: Action, force: bool) -> None:
        self.acted.add(name)

        async def send() -> None:
            self.actions.append(asyncio.ensure_future(self.monitor.act(name, action, force=force)))

        self.run(send())

    @rule(faults=rough)
    def misbehave(self, faults: dict[str, Any]) -> None:
        self.service.faults = Faults(**faults)
        self.has_misbehaved = True

    @rule()
    def behave(self) -> None:
        self.service.faults = Faults.none()

    @rule(seconds=st.sampled_from([0.5, 2.0, 6.0, 6.0, 25.0]))
    def wait(self, seconds: float) -> None:
        self.run(self.clock.advance(seconds))

    @precondition(lambda self: hasattr(self, "service"))
    @invariant()
    def the_account_is_in_order(self) -> None:
        for name, account in self.accounts.items():
            account.take(self.streamed[name][account.seq :])
            heard = [event for event in self.streamed[name] if not event.type.startswith("action")]
            assert self.called[name] == heard[: len(self.called[name])]
            self._is_no_invention(name)

    def _is_no_invention(self, name: str) -> None:
        """Every status that was told as seen was truly entered, in that order; grave anomalies have their reason.

        The order of flips is not certain where an action of ours may have caused them (see docs/architecture.md).
        """
        history = [entry.status for entry in self.service.history(name)]
        told = [event.dest for event in self.streamed[name] if isinstance(event, Transitioned) and not event.inferred]
        assert set(told) <= set(history)
        if name not in self.acted:
            rest = iter(history)
            assert all(status in rest for status in told)
        opened = {event.kind for event in self.streamed[name] if isinstance(event, AnomalyDetected)}
        if AnomalyKind.LEFT_TERMINAL in opened:
            assert MODEL.terminal & set(history[:-1])
        if AnomalyKind.UNKNOWN_STATUS in opened:
            assert set(ODD) & set(history)

    def teardown(self) -> None:
        if not hasattr(self, "service"):
            self.loop.close()
            return
        try:
            self.service.faults = Faults.none()
            self._settle()
        finally:
            self.run(self._leave())
            self.loop.close()
        for action in self.actions:
            assert action.done()
            assert action.exception() is None or isinstance(action.exception(), TitanStateError)

    def _settle(self) -> None:
        for left in reversed(range(PATROLS)):
            self.run(self.clock.advance(SETTLE_S))
            self.the_account_is_in_order()
            try:
                self._is_the_truth()
            except AssertionError:
                if not left:
                    raise
            else:
                return

    def _is_the_truth(self) -> None:
        known = {execution.id: execution.status for execution in self.monitor.executions()}
        truth = self.service.executions()
        for name in NAMES:
            opened = self.monitor.anomalies(name)
            assert set(opened) == self.accounts[name].open
            if name not in truth:
                assert AnomalyKind.VANISHED in opened or known.get(name, "completed") in MODEL.terminal
                continue
            assert AnomalyKind.VANISHED not in opened
            assert (AnomalyKind.UNKNOWN_STATUS in opened) == (truth[name] in ODD)
            if AnomalyKind.RESULTS_OVERDUE in opened:
                assert self.ready_s is None or self.has_misbehaved
            if known.get(name) == truth[name] and self.accounts[name].status in RESULT_STATUSES:
                assert self.accounts[name].is_ready or self.ready_s is None or self.has_misbehaved
                assert self.ready_s is not None or AnomalyKind.RESULTS_OVERDUE in opened
            assert truth[name] in ODD or known.get(name, truth[name]) == truth[name]
            heard = [event for event in self.streamed[name] if not event.type.startswith("action")]
            assert self.called[name] == heard  # nothing is still on its way
        assert not self.monitor.is_blind
        assert 429 not in [request.status for request in self.service.requests]

    async def _leave(self) -> None:
        closing = asyncio.ensure_future(self.monitor.__aexit__(None, None, None))
        await self.clock.advance(30)
        await closing
        await asyncio.gather(self.reader, *self.actions, return_exceptions=True)
        await self.service.__aexit__(None, None, None)


TestRandomWorld = pytest.mark.timeout(600)(RandomWorld.TestCase)
TestRandomWorld.settings = settings(deadline=None, max_examples=30, stateful_step_count=25)
