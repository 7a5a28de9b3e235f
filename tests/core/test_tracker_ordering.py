"""Ordering: the model says which of two statuses is the later one, where it can; else the order of requests does."""

from __future__ import annotations

import tracemalloc

import pytest
from scene import Scene, date, moved

from titan_state import Action, Execution, Lifecycle, Status, Tracker
from titan_state.core.events import Transitioned
from titan_state.core.lifecycle import HasStatus, Move


class CountingLifecycle(Lifecycle):
    """Counts how often a record is driven through the machine."""

    __slots__ = ("advanced",)

    def advance(self, record: HasStatus, move: str) -> None:
        self.advanced = getattr(self, "advanced", 0) + 1
        super().advance(record, move)


def counting() -> CountingLifecycle:
    model = Lifecycle.default()
    return CountingLifecycle(model.statuses, model.moves, initial=model.initial, terminal=model.terminal)


def test_an_unchanged_status_makes_no_event_and_no_move():
    """Seeing the same status again tells nothing and does not touch the machine."""
    lifecycle = counting()
    scene = Scene(lifecycle)
    scene.see("queued", 0.0)
    scene.see("running", 1.0)
    assert lifecycle.advanced == 1
    for second in range(2, 50):
        assert scene.see("running", float(second), progress=second / 50) == []
    assert lifecycle.advanced == 1


def test_an_unchanged_status_keeps_no_memory():
    """Ten thousand reads of an unchanged execution leave nothing behind."""
    tracker = Tracker()
    execution = Execution("e", "running", progress=0.5, phase="one", updated_at=date(1))
    tracker.observe(execution, sent_at=0.0, received_at=0.0)

    def read() -> None:
        for _ in range(10_000):
            tracker.observe(execution, sent_at=1.0, received_at=1.0)

    read()
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        read()
        assert tracemalloc.get_traced_memory()[0] - before < 2_000
    finally:
        tracemalloc.stop()


def test_moves_between_two_looks_are_inferred():
    """Each move of the shortest path is told, in order; all but the last are inferred."""
    scene = Scene()
    scene.see("queued", 0.0)
    first, last = scene.see("completed", 3.0, takes=1.0)
    assert isinstance(first, Transitioned)
    assert isinstance(last, Transitioned)
    assert (first.source, first.dest, first.move, first.inferred) == ("queued", "running", "start", True)
    assert (last.source, last.dest, last.move, last.inferred) == ("running", "completed", "complete", False)
    assert (first.after, first.before) == (last.after, last.before) == (date(0.0), date(4.0))
    assert [event.id for event in (first, last)] == ["e:2", "e:3"]
    assert last.check_first is None


def test_a_failure_says_what_to_check_first():
    """The event of a failed execution carries the hint of the documentation."""
    scene = Scene()
    (event,) = scene.see("failed", 0.0)
    assert isinstance(event, Transitioned)
    assert event.check_first == "execution details and platform logs"


def test_a_later_status_counts_whichever_answer_comes_first():
    """An answer that was sent earlier but shows a later status is applied at once; the change is dated by it."""
    scene = Scene()
    scene.see("queued", 0.0)
    scene.see("running", 10.0, takes=1.0)
    (event,) = scene.see("completed", 9.0, takes=9.0)
    assert isinstance(event, Transitioned)
    assert (event.after, event.before) == (date(9.0), date(18.0))
    assert moved(scene.events)[-1] == ("running", "completed")


@pytest.mark.parametrize(
    ("later", "earlier"), [("running", "queued"), ("completed", "running"), ("paused", "queued"), ("failed", "paused")]
)
def test_an_earlier_status_within_the_lag_is_stale(later: str, earlier: str):
    """A status that the record has left, seen within the lag, is dropped and counted; nothing waits for it."""
    scene = Scene()
    scene.see(later, 10.0, takes=1.0)
    assert scene.see(earlier, 10.5, takes=1.0) == []
    assert scene.see(earlier, 15.9) == []
    assert scene.tracker.counts.stale == 2
    assert not scene.tracker.needs_confirmation
    scene.see(earlier, 16.0)
    assert list(scene.tracker.needs_confirmation) == ["e"]


def test_both_ways_needs_the_order_of_requests():
    """Between running and paused an answer counts only if it was sent after the last applied one was received."""
    scene = Scene()
    scene.see("running", 0.0)
    scene.see("running", 10.0, takes=2.0)
    scene.act(Action.PAUSE, 10.5)
    assert scene.see("paused", 11.9, takes=5.0) == []
    assert scene.tracker.counts.stale == 1
    assert moved(scene.see("paused", 12.0, takes=5.0)) == [("running", "paused")]


def test_both_ways_without_an_action_is_held():
    """A flip that no action of ours explains waits for confirmation."""
    scene = Scene()
    scene.see("running", 0.0)
    assert scene.see("paused", 1.0, takes=0.5) == []
    assert scene.tracker.needs_confirmation == {"e": 6.0}


def test_an_older_read_of_the_same_status_changes_nothing():
    """What an overtaken answer says of progress is older than what is known."""
    scene = Scene()
    scene.see("running", 5.0, progress=0.9)
    scene.see("running", 4.0, takes=9.0, progress=0.1)
    snapshot = scene.tracker.snapshot("e")
    assert snapshot is not None
    assert snapshot.progress == 0.9


def test_further_statuses_are_statuses_like_others():
    """With an extended model its moves are walked and inferred too, and its way of pausing is known."""
    lifecycle = Lifecycle.default().extend(
        statuses=["assigned", "pausing"],
        moves=[
            Move("assign", "queued", "assigned"),
            Move("begin", "assigned", "running"),
            Move("ask_to_pause", "running", "pausing", Action.PAUSE),
            Move("come_to_rest", "pausing", "paused"),
        ],
        without=["start", "pause"],
    )
    scene = Scene(lifecycle)
    scene.see("queued", 0.0)
    assert moved(scene.see("running", 1.0)) == [("queued", "assigned"), ("assigned", "running")]
    scene.act(Action.PAUSE, 10.0)
    assert moved(scene.see("pausing", 11.0)) == [("running", "pausing")]
    scene.see("paused", 12.0)
    assert moved(scene.see("paused", 17.0)) == [("pausing", "paused")]
    scene.act(Action.RESUME, 20.0)
    assert moved(scene.see("running", 26.0)) == [("paused", "running")]
    scene.act(Action.PAUSE, 30.0)
    events = scene.see("paused", 36.0)
    assert [event.cause for event in events if isinstance(event, Transitioned)] == ["action", "platform"]
    assert not [event for event in scene.events if event.type == "anomaly_detected"]


@pytest.mark.parametrize("status", list(Status))
def test_every_status_may_follow_itself(status: Status):
    """No status contradicts itself."""
    scene = Scene()
    scene.see(status, 0.0)
    assert scene.see(status, 100.0) == []
    assert not scene.tracker.needs_confirmation
