"""Parcels: whatever waits is written part by part, and wherever that ends, what is known agrees with what was told."""

from __future__ import annotations

import json

import attrs
import pytest
from account import Account
from hypothesis import example, given, settings
from hypothesis import strategies as st

from titan_state import (
    Action,
    AnomalyDetected,
    AnomalyKind,
    Event,
    Execution,
    Status,
    Thresholds,
    Tracker,
    Transitioned,
)
from titan_state.core.tracking.retention import Baseline
from titan_state.core.tracking.state import KEPT, SEQ, STATUS, Row, State
from titan_state.monitor.parcels import Parcel, parcel

NAMES = ("a", "b", "c")
LAG_S = 5.0
THRESHOLDS = Thresholds(blind_s=None, replica_lag_s=LAG_S, stuck_queued_s=60.0, stuck_running_s=90.0, retention_s=1e6)


class Ledger:
    """A tracker, what of it waits to be written as in the outbox, and a store that takes one parcel after the other.

    Attributes:
        log: The events that are written, in order.
        rows: The rows that are written, by execution.
    """

    def __init__(self, most: int, *, results: bool = False) -> None:
        self.most = most
        self.log: list[Event] = []
        self.rows: dict[str, str] = {}
        self.now = 0.0
        self._results = results
        self._begin()

    def _begin(self) -> None:
        self.tracker = Tracker(thresholds=THRESHOLDS, result_statuses=("completed",) if self._results else ())
        if self._results:
            self.tracker.results.wants()
        self.tracker.remember_changes()
        self.events: list[Event] = []
        self.waiting: dict[str, Row] = {}

    def put(self, events: list[Event]) -> None:
        self.events += events

    def write(self) -> Parcel:
        """Write one parcel."""
        self.waiting |= {row[0]: row for row in self.tracker.take_changes().records}
        part = parcel(self.events, self.waiting, {}, self.most)
        assert len(part.chosen) + len(part.records) + len(part.lists) <= self.most
        assert part.waiting == len(self.events)
        self.log += [self.events[place] for place in part.chosen]
        self.rows |= {row[0]: json.dumps(row) for row in part.records}
        chosen = set(part.chosen)
        self.events = [event for place, event in enumerate(self.events) if place not in chosen]
        for row in part.records:
            if self.waiting.get(row[0]) is row:
                del self.waiting[row[0]]
        self.check()
        return part

    def write_all(self) -> None:
        """Write until nothing waits."""
        while self.events or self.waiting or self.tracker.has_changes:
            before = len(self.events), len(self.waiting)
            part = self.write()
            assert part.chosen or part.records or before == (0, 0)

    def restart(self) -> None:
        """End without a word, and begin again with what is written."""
        self._begin()
        rows = [tuple(json.loads(row)) for row in self.rows.values()]
        self.put(self.tracker.restore(State(rows), now=self.now))

    def check(self) -> None:
        """Raise if a number was used twice or left out, or if a row is not as of the last event of its execution."""
        last: dict[str, int] = {}
        for event in self.log:
            assert event.seq == last.get(event.execution_id, 0) + 1
            last[event.execution_id] = event.seq
        for name, text in self.rows.items():
            assert json.loads(text)[SEQ] == last.get(name, 0)

    # What happens.

    def see(self, name: str, status: str | None, wait: float = 1.0) -> None:
        """Read an execution, which is in a status, or is gone."""
        self.now += wait
        if status is None:
            self.put(self.tracker.absent(name, sent_at=self.now, received_at=self.now))
        else:
            self.put(self.tracker.observe(Execution(name, status), sent_at=self.now, received_at=self.now))

    def act(self, name: str, action: Action, what: str) -> None:
        """Take in what became of a control action."""
        self.now += 0.5
        work = {
            "sent": self.tracker.action_sent,
            "accepted": self.tracker.action_accepted,
            "unknown": self.tracker.action_unknown,
        }[what]
        self.put(work(name, action, at=self.now))

    def tick(self, wait: float) -> None:
        self.now += wait
        self.put(self.tracker.tick(self.now))


names = st.sampled_from(NAMES)
seen = st.tuples(st.just("see"), names, st.sampled_from([*Status, "weird", None]), st.sampled_from([0.5, 6.0, 30.0]))
acts = st.tuples(st.just("act"), names, st.sampled_from(list(Action)), st.sampled_from(["sent", "accepted", "unknown"]))
ticks = st.tuples(st.just("tick"), st.sampled_from([1.0, 61.0, 100.0]))
writes = st.just(("write",))
restarts = st.just(("restart",))
scripts = st.lists(st.one_of(seen, seen, seen, acts, ticks, writes, restarts), max_size=30)
lawful_scripts = st.lists(
    st.one_of(st.tuples(st.just("see"), names, st.sampled_from(["queued", "running"]), st.just(6.0)), writes, restarts),
    max_size=20,
)


def played(script: list[tuple], most: int) -> tuple[Ledger, dict[str, str | None]]:
    """Return the ledger after a script, and in what each execution was read last."""
    ledger = Ledger(most)
    last: dict[str, str | None] = {}
    for what, *arguments in script:
        getattr(ledger, what)(*arguments)
        if what == "see":
            last[arguments[0]] = arguments[1]
    return ledger, last


@settings(max_examples=300)
@given(scripts, st.integers(2, 6))
def test_no_number_is_used_twice_and_no_row_is_ahead(script, most):
    """Wherever writing ends, and however often: the numbers of the log go on by one, and rows are as of the log."""
    ledger, _ = played(script, most)
    ledger.write_all()
    ledger.restart()
    ledger.write_all()
    assert ledger.events == []


@settings(max_examples=300)
@given(scripts, st.integers(2, 6))
def test_whatever_is_true_in_the_end_is_written(script, most):
    """What was lost with a program that ended is found again: the log ends in what is read last of each execution."""
    ledger, last = played(script, most)
    ledger.restart()
    for _ in range(4):  # what is confirmed needs another read, beyond the lag
        for name, status in last.items():
            ledger.see(name, status, 3 * LAG_S)
    ledger.write_all()
    for name, status in last.items():
        own = [event for event in ledger.log if event.execution_id == name]
        moves = [event.dest for event in own if isinstance(event, Transitioned)]
        if status in [*Status]:
            assert moves[-1] == status
        assert status is None or own


@settings(max_examples=400)
@given(scripts, st.integers(2, 6))
@example([("see", "a", "weird", 6.0), ("see", "a", "running", 6.0), ("write",), ("restart",)], 2)
def test_the_written_account_is_in_order(script, most):
    """What handlers get is an account without holes: no anomaly ends that was not told, and none stays untold."""
    ledger, last = played(script, most)
    for _ in range(2):
        for _ in range(4):
            for name, status in last.items():
                ledger.see(name, status, 3 * LAG_S)
        ledger.write_all()
    for name in last:
        account = Account(name)
        account.take([event for event in ledger.log if event.execution_id == name])
        assert account.open == set(ledger.tracker.open_anomalies(name))
        assert ledger.tracker.status(name) in (None, account.status)


@settings(max_examples=100)
@given(scripts)
def test_what_fits_goes_at_once(script):
    """Where one commit holds everything, it does."""
    ledger, _ = played([step for step in script if step[0] not in ("write", "restart")], 10_000)
    count = len(ledger.events)
    part = ledger.write()
    assert len(part.chosen) == count
    assert not ledger.events
    assert not ledger.waiting


@given(lawful_scripts, st.integers(2, 4))
def test_the_order_of_an_execution_is_kept(script, most):
    """Parcels may put one execution before another, never an event before an earlier one of its own."""
    ledger, _ = played(script, most)
    while ledger.events:
        part = ledger.write()
        assert list(part.chosen) == sorted(part.chosen)


@given(st.integers(0, 6), st.integers(0, 6), st.integers(0, 6), st.integers(2, 8))
def test_lists_and_rows_without_events_go_last(events, rows, lists, most):
    """What nobody is told of waits for what somebody is, and goes all the same in the end."""
    ledger = Ledger(most)
    for number in range(events):
        ledger.see(f"e{number}", "queued")
    waiting = dict(ledger.waiting) | {row[0]: row for row in ledger.tracker.take_changes().records}
    waiting |= {f"r{number}": ("r", *[None] * 15) for number in range(rows)}
    baselines: dict[str | None, Baseline | None] = {f"t{number}": Baseline() for number in range(lists)}
    left = list(ledger.events)
    order = []
    while left or waiting or baselines:
        part = parcel(left, waiting, baselines, most)
        assert 0 < len(part.chosen) + len(part.records) + len(part.lists) <= most
        order.append((len(part.chosen), len(part.lists)))
        left = [event for place, event in enumerate(left) if place not in set(part.chosen)]
        gone = {id(row) for row in part.records}
        waiting = {name: row for name, row in waiting.items() if id(row) not in gone}
        for task_id in part.lists:
            del baselines[task_id]
    told = [place for place, (count, _) in enumerate(order) if count]
    first_list = next((place for place, (_, count) in enumerate(order) if count), len(order))
    assert not told or told[-1] <= first_list


def test_an_execution_with_more_events_than_one_commit_holds():
    """Its row goes with each part as it was then, so that the rest is found again if it is lost."""
    ledger = Ledger(4)
    for status in ("queued", "running", "paused", "running", "completed"):
        ledger.see("a", status, 8.0)
        ledger.see("a", status, 8.0)
    events = list(ledger.events)
    assert len(events) > 4
    part = ledger.write()
    assert list(part.chosen) == [0, 1, 2]
    (row,) = part.records
    dest = [event.dest for event in events[:3] if isinstance(event, Transitioned)][-1]
    assert (row[STATUS], row[SEQ], row[KEPT]) == (dest, 3, 0)
    ledger.restart()
    ledger.see("a", "completed", 8.0)
    ledger.see("a", "completed", 8.0)
    ledger.write_all()
    assert [event.seq for event in ledger.log] == list(range(1, len(ledger.log) + 1))
    assert [event.dest for event in ledger.log if isinstance(event, Transitioned)][-1] == "completed"
    assert [event.id for event in ledger.log[:3]] == [event.id for event in events[:3]]


@pytest.mark.parametrize("written", [1, 2, 3])
def test_an_anomaly_that_was_not_written_is_told_later(written):
    """Of an execution that is in an unknown status, the alarm is raised again if it was lost before it was written."""
    ledger = Ledger(2)
    ledger.see("a", "queued")
    ledger.see("a", "running", 8.0)
    ledger.see("a", "weird", 8.0)
    ledger.see("a", "weird", 8.0)
    ledger.see("b", "running")
    for _ in range(written):
        ledger.write()
    ledger.restart()
    for _ in range(3):
        ledger.see("a", "weird", 8.0)
    ledger.write_all()
    alarms = [event for event in ledger.log if isinstance(event, AnomalyDetected)]
    assert [event.kind for event in alarms] == [AnomalyKind.UNKNOWN_STATUS]


@pytest.mark.parametrize("most", [2, 3, 4])
def test_results_that_were_not_told_are_told_later(most):
    """An event about results that was lost before it was written is made again, by another look."""
    ledger = Ledger(most, results=True)
    for status in ("queued", "running", "completed"):
        ledger.see("a", status, 8.0)
    ledger.put(ledger.tracker.results.readable("a", received_at=ledger.now))
    ledger.write()
    ledger.restart()
    ledger.see("a", "completed", 8.0)
    ledger.see("a", "completed", 8.0)
    ledger.put(ledger.tracker.results.readable("a", received_at=ledger.now))
    ledger.write_all()
    assert [event.type for event in ledger.log].count("results_ready") == 1


def test_a_parcel_is_data():
    """It can be compared, and not changed."""
    one = parcel([], {}, {}, 2)
    assert one == Parcel(range(0), (), {}, 0)
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        one.waiting = 1
