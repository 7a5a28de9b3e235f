"""State that outlives a tracker: what comes back, on another clock, with another model, and what is forgotten."""

from __future__ import annotations

from datetime import UTC, datetime

from reborn import Store
from scene import Scene, cleared, date, moved, raised

from titan_state import Action, ActionUnknown, AnomalyKind, Execution, Lifecycle, Move, Thresholds, Tracker
from titan_state.core.tracking.retention import Baseline
from titan_state.core.tracking.state import FIELDS, State

THRESHOLDS = Thresholds(blind_s=None, stuck_queued_s=60.0)


def saved(scene: Scene) -> State:
    return scene.tracker.take_changes()


def remembering(**thresholds: object) -> Scene:
    scene = Scene(**thresholds)
    scene.tracker.remember_changes()
    return scene


def test_nothing_is_taken_down_unless_asked():
    """A tracker whose state is not to survive keeps no account of changes."""
    scene = Scene()
    scene.see("running", 0.0)
    assert not scene.tracker.has_changes
    assert scene.tracker.take_changes().records == []


def test_another_clock_and_a_date_that_went_back():
    """Times are told by dates; on the new clock none of them is later than now, whatever the machine's date did."""
    scene = remembering()
    scene.see("queued", 100.0, created_at=date(50.0), phase="fetching", progress=3.0, task_id="t")
    scene.see("running", 200.0)
    state = saved(scene)
    new = Tracker(thresholds=THRESHOLDS)
    new.anchor(date(230.0), 7.0)
    assert new.restore(state, now=7.0) == []
    assert new.since("e") == 7.0 - 30.0
    assert new.seen_at("e") == (7.0 - 30.0, 7.0 - 30.0)
    assert new.snapshot("e") == scene.tracker.snapshot("e")
    assert new.task_of("e") == "t"
    back = Tracker(thresholds=THRESHOLDS)
    back.anchor(date(150.0), 7.0)
    back.restore(state, now=7.0)
    assert back.since("e") == 7.0


def test_stuck_counts_on_over_a_restart():
    """Time in a status goes on while nobody looks, and a read is to show it, as always."""
    scene = remembering(stuck_queued_s=60.0)
    scene.see("queued", 0.0)
    new, _ = Store().restart(scene.tracker, 0.0)
    new.restore(saved(scene), now=50.0)
    assert new.tick(70.0) == []
    events = new.observe(Execution("e", "queued"), sent_at=71.0, received_at=71.0)
    assert raised(events) == [AnomalyKind.STUCK_QUEUED]


def test_a_status_that_the_model_has_no_more():
    """An execution in a status that the new model lacks is as if it was never seen; its numbers go on."""
    extended = Lifecycle.default().extend(
        statuses=["assigned"], moves=[Move("assign", "queued", "assigned"), Move("begin", "assigned", "running")]
    )
    scene = Scene(extended)
    scene.tracker.remember_changes()
    scene.see("assigned", 0.0)
    new = Tracker(thresholds=THRESHOLDS)
    new.restore(saved(scene), now=10.0)
    (event,) = new.observe(Execution("e", "running"), sent_at=11.0, received_at=11.0)
    assert (event.source, event.seq) == (None, 2)


def test_intents_without_an_answer_are_told_once():
    """What may have been sent is said to be unknown after the first restart, and explains its move after any."""
    scene = remembering()
    scene.see("running", 0.0)
    scene.act(Action.PAUSE, 1.0)
    scene.send(Action.STOP, 2.0)
    store = Store()
    store.save(scene.tracker)
    first, events = store.restart(scene.tracker, 3.0)
    assert [(type(event), event.action) for event in events] == [(ActionUnknown, Action.STOP)]
    second, events = store.restart(first, 4.0)
    assert events == []
    events = second.observe(Execution("e", "cancelled"), sent_at=20.0, received_at=20.0)
    assert [(event.dest, event.cause) for event in events] == [("paused", "action"), ("cancelled", "action")] or [
        (event.dest, event.cause) for event in events
    ] == [("cancelled", "action")]


def test_what_is_over_is_a_note():
    """A finished execution is kept in full for its time, then remembered; an adopted one stays silent; all by rows."""
    scene = remembering(retention_s=100.0)
    scene.see("completed", 0.0, name="old")
    scene.see("failed", 90.0, name="young")
    scene.see("completed", 90.0, name="adopted", baseline=Baseline(complete=False))
    scene.see("running", 90.0, name="left")
    scene.tracker.forget("left", at=95.0)
    state = saved(scene)
    assert [len(row) for row in state.records] == [len(FIELDS)] * 4
    new = Tracker(thresholds=Thresholds(blind_s=None, retention_s=100.0))
    new.remember_changes()
    new.restore(state, now=150.0)
    assert len(new) == 1
    assert new.snapshot("young").status == "failed"
    assert new.is_finished("old")
    for name in ("old", "adopted"):
        assert new.observe(Execution(name, "completed"), sent_at=151.0, received_at=151.0) == []
    new.expect("adopted")
    assert {row[0] for row in new.take_changes().records} == {"adopted"}
    assert moved(new.observe(Execution("adopted", "completed"), sent_at=152.0, received_at=152.0)) == [
        (None, "completed")
    ]
    (event,) = new.observe(Execution("left", "running"), sent_at=153.0, received_at=153.0)
    assert (event.source, event.seq) == (None, 2)


def test_what_vanished_comes_back():
    """An execution that was gone is still gone after a restart, and that ends when it is read again."""
    scene = remembering()
    scene.see("running", 0.0)
    scene.gone(10.0)
    assert raised(scene.gone(16.0)) == [AnomalyKind.VANISHED]
    new = Tracker(thresholds=THRESHOLDS)
    new.restore(saved(scene), now=20.0)
    assert new.has_vanished("e")
    assert new.absent("e", sent_at=21.0, received_at=21.0) == []
    assert cleared(new.observe(Execution("e", "running"), sent_at=22.0, received_at=22.0)) == [AnomalyKind.VANISHED]


def test_a_flip_in_doubt_stays_so():
    """A flip that a lagging replica may have feigned is still in doubt after a restart: undoing it is no surprise."""
    scene = remembering()
    scene.see("running", 8.0)
    scene.act(Action.PAUSE, 9.0)
    scene.see("paused", 10.0)
    new, _ = Store().restart(scene.tracker, 10.5)
    new.restore(saved(scene), now=10.5)
    new.observe(Execution("e", "running"), sent_at=11.0, received_at=11.0)
    events = new.observe(Execution("e", "running"), sent_at=17.0, received_at=17.0)
    assert moved(events) == [("paused", "running")]
    assert raised(events) == []


def test_a_flip_that_is_settled_stays_so():
    """A flip that a read beyond the lag agreed with is not in doubt after a restart: the next is unexpected."""
    scene = remembering()
    scene.see("running", 0.0)
    scene.act(Action.PAUSE, 1.0)
    scene.see("paused", 2.0)
    store = Store()
    store.save(scene.tracker)
    scene.see("paused", 10.0)
    store.save(scene.tracker)
    new, _ = store.restart(scene.tracker, 11.0)
    new.observe(Execution("e", "running"), sent_at=12.0, received_at=12.0)
    events = new.observe(Execution("e", "running"), sent_at=18.0, received_at=18.0)
    assert raised(events) == [AnomalyKind.UNEXPECTED_FLIP]


def test_a_task_that_was_learned_late_survives():
    """What a later read says of the task of an execution is not lost with the program."""
    scene = remembering()
    scene.see("running", 0.0)
    store = Store()
    store.save(scene.tracker)
    scene.see("running", 1.0, task_id="t")
    store.save(scene.tracker)
    new, _ = store.restart(scene.tracker, 2.0)
    assert new.task_of("e") == "t"


def test_no_number_is_used_twice():
    """What was forgotten altogether leaves a floor, above which the numbers of others begin."""
    scene = remembering()
    state = State(floor=7, horizon=50.0)
    scene.tracker.restore(state, now=100.0)
    (event,) = scene.see("running", 101.0)
    assert event.seq == 8
    old = Execution("o", "completed", finished_at=datetime.fromtimestamp(40.0, UTC))
    baseline = Baseline(datetime.fromtimestamp(0.0, UTC), complete=True)
    assert scene.tracker.observe(old, sent_at=102.0, received_at=102.0, baseline=baseline) == []
    assert (saved(scene).floor, saved(scene).horizon) == (7, 50.0)
