"""Results that are waited for: few looks, said once when they can be read, and overdue only where a look showed it."""

from __future__ import annotations

import json
from itertools import pairwise
from math import inf

import attrs
import pytest
from desk import Desk, live
from hypothesis import given, settings
from hypothesis import strategies as st
from scene import Scene, cleared, date, raised

from titan_state import AnomalyKind, Execution, ResultsReady, Thresholds, Tracker
from titan_state.core.budget import Priority
from titan_state.core.codec import read, written
from titan_state.core.events import LONGEST_METADATA
from titan_state.core.planning.reads import ListPage, ResultsOf
from titan_state.core.tracking import results as module
from titan_state.core.tracking.intervals import FIRST_LOOK_S, LONGEST_GAP_S, gap_s
from titan_state.core.tracking.results import GIVE_UP_S, RESULT_STATUSES, Results

OVERDUE = AnomalyKind.RESULTS_OVERDUE


def succeeded(at: float = 0.0, status: str = "completed", **thresholds) -> Scene:
    scene = Scene(results=True, **thresholds)
    scene.see(status, at, task_id="t")
    return scene


def looks_of(scene: Scene, ready_at: float, *, until: float, name: str = "e") -> list[float]:
    """Look whenever a look is due; return when."""
    times = []
    while (at := scene.tracker.results.next_at()) <= until:
        assert scene.tracker.results.take(at) == name
        times.append(at)
        scene.look(at, finds=at >= ready_at, name=name)
        scene.tracker.results.landed()
        assert len(times) < 100
    return times


@pytest.mark.parametrize("status", RESULT_STATUSES)
def test_ready_is_said_once(status: str):
    """Once results can be read, that is said with what the service says of them, and they are looked for no longer."""
    scene = succeeded(10.0, status)
    results = scene.tracker.results
    assert results.is_awaited("e")
    assert results.next_at() == 11.0
    assert results.take(10.9) is None
    assert results.take(11.0) == "e"
    assert results.next_at() == inf  # under way
    assert scene.look(11.0, finds=False, takes=0.5) == []
    assert results.take(13.0) == "e"
    (event,) = scene.look(13.0, finds=True, takes=0.5, row_count=3, metadata={"rows": 3, "token": "very-secret"})
    assert isinstance(event, ResultsReady)
    assert (event.status, event.row_count, event.after, event.before, event.at) == (
        status,
        3,
        date(11.0),
        date(13.5),
        date(13.5),
    )
    assert event.metadata == {"rows": 3, "token": "[redacted]"}
    assert event.execution.status == status
    assert not results.is_awaited("e")
    assert results.next_at() == inf
    assert scene.look(14.0, finds=True) == []
    assert scene.look(15.0, finds=False) == []


@pytest.mark.parametrize("status", ["failed", "cancelled", "running", "queued"])
def test_other_statuses_have_none(status: str):
    """What has not succeeded is not waited for."""
    scene = succeeded(0.0, status)
    assert not scene.tracker.results.is_awaited("e")
    assert scene.tracker.results.next_at() == inf


def test_a_tracker_waits_for_no_results_by_itself():
    """Whoever uses a tracker without looking for results has nothing that waits for ever."""
    scene = Scene()
    scene.see("completed", 0.0)
    scene.tracker.results.wants()
    scene.see("completed", 0.0, name="f")
    assert scene.tracker.results.next_at() == inf
    assert scene.tracker.record("e").rare is None


def test_nobody_wants_to_know():
    """With the rule off nothing is looked for, until somebody wants to be told of results."""
    scene = succeeded(results_s=None)
    assert not scene.tracker.results.is_awaited("e")
    scene.tracker.results.wants()
    scene.see("completed", 1.0, name="f")
    assert looks_of(scene, inf, until=2000.0, name="f")
    assert raised(scene.events) == []
    assert [event.execution_id for event in scene.look(2001.0, finds=True, name="f")] == ["f"]


def test_overdue_is_raised_by_a_look_and_cleared():
    """Results that stay unreadable are overdue once, when a look shows it, and no longer when they come."""
    scene = succeeded()
    times = looks_of(scene, 1000.0, until=999.0)
    (detected,) = [event for event in scene.events if getattr(event, "kind", None) is OVERDUE]
    assert detected.at == date(305.0)
    assert detected.check_first == "result ingestion or result path timing"
    assert "305 s after it was seen completed (404 NOT_FOUND)" in detected.message
    assert times[:10] == [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 305.0]
    assert len(times) <= 14  # 1, 2, 4, … 256, 305, then by what is usual now
    assert scene.tracker.open_anomalies("e") == (OVERDUE,)
    ready, ended = scene.look(1000.0, finds=True)
    assert isinstance(ready, ResultsReady)
    assert cleared([ended]) == [OVERDUE]
    assert scene.tracker.open_anomalies("e") == ()


def test_nothing_is_overdue_that_was_not_looked_at():
    """A look that went out in time, or none at all, raises nothing, however late it is."""
    scene = succeeded()
    assert scene.tick(400.0) == []
    assert scene.look(304.9, finds=False, takes=100.0) == []
    assert scene.tracker.results.is_overdue("e", 305.0)
    assert not scene.tracker.results.is_overdue("e", 304.9)
    assert not scene.tracker.results.is_overdue("nobody", 304.9)
    assert raised(scene.look(305.0, finds=False, takes=1.0)) == [OVERDUE]


def test_looks_become_rare():
    """Looks are further and further apart, and never further than half an hour: some sixty in a day."""
    scene = succeeded()
    times = looks_of(scene, inf, until=GIVE_UP_S - 1.0)
    gaps = [second - first for first, second in pairwise(times)]
    turn = times.index(305.0)
    for part in (gaps[: turn - 1], gaps[turn:]):
        assert part == sorted(part)
    assert max(gaps) == LONGEST_GAP_S
    assert len(times) < 65
    assert [gap_s(age) for age in (0.0, 2.0, 4.0, 1e5)] == [1.0, 2.0, 4.0, LONGEST_GAP_S]
    assert [gap_s(age, 40.0) for age in (40.0, 50.0, 60.0)] == [10.0, 10.0, 20.0]


def test_what_never_comes_is_given_up():
    """After a day results are waited for no longer, and the record is let go; the anomaly stays as it is."""
    scene = succeeded()
    for at in range(0, int(GIVE_UP_S) + 2000, 300):
        if scene.tracker.results.take(float(at)) is not None:
            scene.look(float(at), finds=False)
        scene.tick(float(at))
        if at == 80_000:
            assert scene.tracker.record("e") is not None
    assert scene.tracker.record("e") is None
    assert not scene.tracker.results.is_awaited("e")
    assert scene.tracker.open_anomalies("e") == (OVERDUE,)
    assert scene.see("completed", 90_000.0) == []
    assert scene.tracker.record("e") is None  # a list that shows it is no news
    assert raised(scene.events) == [OVERDUE]


def test_the_first_look_comes_when_results_are_usually_there():
    """How late the results of a task are is learned, so that most need one look, and then tried earlier."""
    scene = Scene(results=True)
    firsts, counts = [], []
    for index in range(40):
        at, name = index * 1000.0, f"e{index}"
        scene.see("completed", at, name=name, task_id="slow")
        times = looks_of(scene, at + 60.0, until=at + 900.0, name=name)
        firsts.append(times[0] - at)
        counts.append(len(times))
    assert firsts[0] == FIRST_LOOK_S
    assert 30.0 < firsts[-1] < 90.0
    assert sum(counts[10:]) / 30 < 3.0
    scene.see("completed", 50_000.0, name="other", task_id="another")
    assert scene.tracker.results.next_at() - 50_000.0 > 30.0  # of a task that is new: as of all others
    quick = [looks_of(scene, 50_000.0, until=50_900.0, name="other")]
    for index in range(60):
        at, name = 60_000.0 + index * 1000.0, f"q{index}"
        scene.see("completed", at, name=name, task_id="slow")
        quick.append(looks_of(scene, at, until=at + 900.0, name=name))
    assert quick[-1][0] - at < 5.0


def test_of_many_tasks_the_oldest_are_forgotten(monkeypatch):
    """What is learned of tasks is bounded."""
    monkeypatch.setattr(module, "MOST_TASKS", 10)
    scene = Scene(results=True)
    for index in range(50):
        scene.see("completed", float(index), name=f"e{index}", task_id=f"t{index}")
        scene.look(index + 0.5, finds=True, name=f"e{index}")
    assert len(scene.tracker.results._usual) <= 11


def test_of_very_many_the_first_is_given_up(monkeypatch):
    """How many executions are waited for is bounded."""
    monkeypatch.setattr(module, "MOST", 3)
    scene = Scene(results=True)
    for index in range(5):
        scene.see("completed", float(index), name=f"e{index}")
    assert [scene.tracker.results.is_awaited(f"e{index}") for index in range(5)] == [False, False, True, True, True]
    assert scene.tracker.results.take(100.0) == "e2"


def test_an_execution_that_runs_again():
    """What was waited for is forgotten when the execution leaves its end, and waited for anew at the next."""
    scene = succeeded()
    scene.look(400.0, finds=False)
    assert scene.tracker.open_anomalies("e") == (OVERDUE,)
    scene.see("running", 500.0)
    events = scene.see("running", 506.0)
    assert OVERDUE in cleared(events)
    assert not scene.tracker.results.is_awaited("e")
    assert scene.look(507.0, finds=True) == []
    scene.see("completed", 520.0)
    assert scene.tracker.results.is_awaited("e")
    assert [type(event) for event in scene.look(530.0, finds=True)] == [ResultsReady]


def test_one_success_after_another_keeps_the_anomaly():
    """A further success begins to wait again; results that are overdue stay so until they come."""
    scene = succeeded()
    scene.look(400.0, finds=False)
    scene.see("completed_with_errors", 500.0)
    events = scene.see("completed_with_errors", 506.0)
    assert OVERDUE not in cleared(events)
    ready, ended = scene.look(510.0, finds=True)
    assert isinstance(ready, ResultsReady)
    assert ready.status == "completed_with_errors"
    assert cleared([ended]) == [OVERDUE]


def test_what_is_gone_is_waited_for():
    """A 404 of an execution that has ended may be a gateway's: its results may come all the same."""
    scene = succeeded(10.0)
    for sent in (11.0, 16.0, 400.0):
        scene.gone(sent)
    assert [type(event) for event in scene.look(401.0, finds=True)] == [ResultsReady]


def test_a_few_looks_are_under_way_at_once():
    """Looks that hang hold up no other reads: there are two at most."""
    scene = Scene(results=True)
    for index in range(5):
        scene.see("completed", 0.0, name=f"e{index}")
    results = scene.tracker.results
    first, second = results.take(5.0), results.take(5.0)
    assert {first, second} <= {f"e{index}" for index in range(5)}
    assert results.take(5.0) is None
    assert results.next_at() == inf
    results.landed()
    assert results.take(5.0) is not None


def test_a_restart_after_days_still_looks():
    """However long nobody ran, results are given up only after a look that did not find them."""
    scene = Scene(results=True)
    scene.tracker.remember_changes()
    scene.see("completed", 10.0)
    scene.see("completed", 10.0, name="f")
    new = Tracker(thresholds=Thresholds(blind_s=None), result_statuses=RESULT_STATUSES)
    new.anchor(date(3 * GIVE_UP_S), 0.0)
    new.restore(scene.tracker.take_changes(), now=0.0)
    new.tick(1000.0)
    assert [type(event) for event in new.results.readable("e", received_at=1001.0)] == [ResultsReady]
    assert new.results.unreadable("f", "404", sent_at=1001.0, received_at=1001.0) == []
    assert not new.results.is_awaited("f")


def test_what_tells_nothing_for_a_day_is_given_up():
    """Looks that fail, or find the execution gone, do not go on for ever, and the record is let go."""
    scene = succeeded(retention_s=600.0)
    results = scene.tracker.results
    at = 0.0
    while results.is_awaited("e"):
        at += 300.0
        assert at < 2 * GIVE_UP_S
        if results.take(at) is not None:
            results.postpone("e", at)
            results.landed()
        scene.tick(at)
    assert GIVE_UP_S <= at < GIVE_UP_S + LONGEST_GAP_S + 600.0
    scene.tick(at + 100.0)
    assert scene.tracker.record("e") is None
    other = succeeded(retention_s=600.0)
    other.tick(GIVE_UP_S + 100.0)  # nobody looked at all
    assert other.tracker.record("e") is None
    assert not other.tracker.results.is_awaited("e")


def test_what_was_not_looked_at_in_time_teaches_nothing():
    """Downtime is not taken for lateness of results: the next ones are looked for as soon as ever."""
    scene = succeeded()
    scene.tracker.results.take(3600.0)
    scene.look(3600.0, finds=True)
    scene.see("completed", 4000.0, name="f", task_id="t")
    assert scene.tracker.results.next_at() == 4001.0


def test_what_is_not_watched_is_not_waited_for():
    """Whoever lets go of an execution does not wait for its results either."""
    scene = succeeded()
    scene.tracker.forget("e", at=1.0)
    assert scene.tracker.results.next_at() == inf


def test_a_look_that_told_nothing_is_sent_again():
    """A request that failed says nothing of results: it is made again, and nothing is counted."""
    scene = succeeded()
    results = scene.tracker.results
    assert results.take(1.0) == "e"
    results.retry("e", 5.0)
    results.retry("nobody", 1.0)
    assert results.next_at() == 5.0
    results.rest(100.0)
    assert results.next_at() == 100.0
    assert results.take(99.0) is None
    assert results.take(100.0) == "e"


def test_the_schedule_stays_small():
    """However often somebody else looks, what is planned does not pile up."""
    scene = succeeded()
    for index in range(10_000):
        scene.look(0.001 * index, finds=False)
    assert len(scene.tracker.results._heap) < 200
    assert scene.tracker.results.is_awaited("e")
    assert 10.0 < scene.tracker.results.next_at() < 30.0


def test_waiting_survives_a_restart():
    """After a restart results are waited for as before, and are overdue by the whole time."""
    scene = Scene(results=True)
    scene.tracker.remember_changes()
    scene.see("completed", 10.0, task_id="t")
    scene.look(12.0, finds=False)
    scene.see("completed", 12.0, name="f")
    state = scene.tracker.take_changes()
    assert "seen_absent" in json.dumps(state.records)
    new = Tracker(thresholds=Thresholds(blind_s=None), result_statuses=RESULT_STATUSES)
    new.anchor(date(200.0), 0.0)
    new.restore(state, now=0.0)
    assert new.results.is_awaited("e")
    assert new.results.next_at() <= 0.0
    assert new.results.unreadable("e", "404", sent_at=114.9, received_at=124.0) == []
    assert raised(new.results.unreadable("e", "404", sent_at=115.0, received_at=125.0)) == [OVERDUE]
    (event,) = new.results.readable("f", received_at=126.0)
    assert event.after == date(12.0)
    assert event.seq == 2
    none = Tracker(thresholds=Thresholds(blind_s=None))
    none.anchor(date(200.0), 0.0)
    none.restore(state, now=0.0)
    assert not none.results.is_awaited("e")
    assert none.results.next_at() == inf


def test_an_event_of_results_is_written_and_read():
    """What a journal keeps of the event is all of it; metadata that is too long is left out."""
    scene = succeeded()
    (event,) = scene.look(2.0, finds=True, row_count=7, metadata={"columns": ["a", "ü"], "n": float("nan")})
    assert read("e", event.seq, written(event)) == event
    assert event.metadata == {"columns": ["a", "ü"], "n": None}
    later = attrs.evolve(event, at=date(3.0))
    assert read("e", event.seq, written(later)) == later
    assert event.to_dict()["type"] == "results_ready"
    assert event.to_dict()["metadata"] == {"columns": ["a", "ü"], "n": None}
    assert json.loads(json.dumps(event.to_dict()))["before"] == "1970-01-01T00:00:02+00:00"
    other = succeeded()
    (event,) = other.look(2.0, finds=True, metadata={"text": "x" * LONGEST_METADATA})
    assert event.metadata == {}
    assert read("e", event.seq, written(event)) == event


# The planner.


class Waiting(Desk):
    """A desk whose tracker waits for results."""

    def __init__(self, **thresholds):
        super().__init__(results=True, **thresholds)


def test_looks_are_due_like_reads():
    """Where nothing else is due a look goes out at its time, with the priority of outputs."""
    desk = Waiting()
    desk.planner.watch("e", 0.0)
    assert desk.due(0.0) == ["e"]
    desk.read("e", 0.0, "completed")
    assert desk.planner.next_at() == 1.0
    assert desk.planner.next(0.9) is None
    choice = desk.planner.next(1.0)
    assert choice == (ResultsOf("e"), Priority.OUTPUT)
    assert "the results of execution e" in desk.planner.explain().requests[-1].target
    assert desk.planner.next(1.0) is None


def test_looks_starve_nobody():
    """While other reads are due, one in four looks for results, and no more; the rest goes on as ever."""
    desk = Waiting()
    desk.planner.watch_list(None, 0.0)
    names = [f"e{index}" for index in range(50)]
    (page,) = desk.due(0.0)
    desk.page(page, 0.0, live(*names))
    for index in range(200):
        desk.see("completed", 0.0, name=f"f{index}")
    counts = {ListPage: 0, ResultsOf: 0, str: 0}
    now = 10.0
    for _ in range(400):
        now += 0.5
        choice = desk.planner.next(now, 2.0)
        if choice is None:
            continue
        counts[type(choice.target)] += 1
        if isinstance(choice.target, ListPage):
            desk.page(choice.target, now, live(*names))
        elif isinstance(choice.target, str):
            desk.read(choice.target, now)
        else:
            desk.look(now, finds=False, name=choice.target.execution_id)
            desk.tracker.results.landed()
    assert counts[ListPage] > 50
    assert counts[ResultsOf] > 50


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["completed", "running", "gone", "look", "found", "retry", "tick", "forget"]),
            st.floats(0, 100),
        ),
        max_size=60,
    )
)
@settings(max_examples=150, deadline=None)
def test_whatever_happens_it_is_consistent(steps):
    """In whatever order things happen, ready and overdue alternate as they should, and nothing waits without a look."""
    scene = Scene(results=True, results_s=50.0)
    results: Results = scene.tracker.results
    now = 0.0
    for what, gap in steps:
        now += gap
        if what in ("completed", "running"):
            scene.see(what, now)
        elif what == "gone":
            scene.gone(now)
        elif what in ("look", "found"):
            if results.take(now) is not None:
                results.landed()
            scene.look(now, finds=what == "found")
        elif what == "retry":
            results.retry("e", now)
        elif what == "tick":
            scene.tick(now)
        else:
            scene.tracker.forget("e", at=now)
        if results.is_awaited("e"):
            assert scene.tracker.status("e") in RESULT_STATUSES
            assert results.next_at() < inf
        else:
            assert results.take(1e12) is None
    open_ = False
    for event in scene.events:
        if getattr(event, "kind", None) is OVERDUE:
            assert (event.type == "anomaly_detected") is not open_
            open_ = not open_


def test_an_execution_is_snapshot_with_its_end():
    """The event shows the execution as it was last seen."""
    scene = Scene(results=True)
    scene.tracker.observe(Execution("e", "completed", task_id="t", progress=100.0), sent_at=0.0, received_at=0.0)
    (event,) = scene.look(1.0, finds=True)
    assert event.execution.progress == 100.0
