"""First sight: what is told of an execution that was not seen before, and what a baseline keeps silent."""

from __future__ import annotations

import pytest
from scene import Scene, date, moved

from titan_state import Execution, Status, Tracker
from titan_state.core.events import Transitioned
from titan_state.core.tracking.retention import Baseline

BEGAN = 1000


@pytest.mark.parametrize("status", list(Status))
def test_an_execution_is_told_at_first_sight(status: Status):
    """An execution watched by its id is told in whatever status it is, with no source and from event 1 on."""
    scene = Scene()
    (event,) = scene.see(status, 1.0)
    assert isinstance(event, Transitioned)
    assert (event.id, event.source, event.dest, event.move) == ("e:1", None, status, None)
    assert (event.forced, event.inferred, event.cause, event.after, event.before) == (
        False,
        False,
        "platform",
        None,
        date(1.0),
    )


def test_a_member_of_status_is_as_good_as_its_text():
    """Snapshots made by hand may hold members of `Status`: the tracker drives its machine by their texts."""
    scene = Scene()
    for sent, status in enumerate((Status.QUEUED, Status.RUNNING, Status.COMPLETED)):
        scene.see(status, float(sent))
    assert moved(scene.events) == [(None, "queued"), ("queued", "running"), ("running", "completed")]
    assert all(type(event.dest) is str for event in scene.events if isinstance(event, Transitioned))


def test_nothing_is_known_before():
    """An execution that was never seen has no status, no snapshot and no time, and allows no action."""
    tracker = Tracker()
    assert tracker.status("e") is None
    assert tracker.snapshot("e") is None
    assert tracker.seen_at("e") is None
    assert tracker.since("e") == float("-inf")
    assert not tracker.knows("e")
    assert not tracker.is_live("e")
    assert not tracker.is_finished("e")
    assert tracker.open_anomalies("e") == ()
    assert not tracker.check("e", "pause")
    with pytest.raises(ValueError, match="explode"):
        tracker.check("e", "explode")


def test_what_is_known_afterwards():
    """After a read there is a snapshot, the times of the read, and a verdict dated by it."""
    scene = Scene()
    scene.see("running", 2.0, takes=1.0, task_id="t", phase="one", progress=0.5, created_at=date(1), started_at=date(2))
    scene.see("running", 5.0, takes=1.0, task_id="t", phase="two", progress=0.7, updated_at=date(5))
    tracker = scene.tracker
    assert tracker.status("e") == "running"
    assert tracker.seen_at("e") == (5.0, 6.0)
    assert tracker.since("e") == 3.0
    assert len(tracker) == 1
    (snapshot,) = tracker.snapshots()
    assert snapshot == Execution(
        "e",
        "running",
        task_id="t",
        phase="two",
        progress=0.7,
        created_at=date(1),
        started_at=date(2),
        updated_at=date(5),
    )
    verdict = tracker.check("e", "pause")
    assert (verdict.allowed, verdict.leads_to, verdict.as_of) == (True, "paused", date(6.0))
    assert not tracker.check("e", "resume")


def test_a_phase_may_end():
    """A phase that is no longer reported is no longer known."""
    scene = Scene()
    scene.see("running", 0.0, phase="one")
    scene.see("running", 1.0)
    snapshot = scene.tracker.snapshot("e")
    assert snapshot is not None
    assert snapshot.phase is None


def test_the_final_snapshot_is_kept_whole():
    """A finished execution keeps all that the service said, also what the tracker does not follow."""
    scene = Scene()
    scene.see("running", 0.0)
    scene.see("failed", 1.0, error="no space", extra={"worker": 7})
    snapshot = scene.tracker.snapshot("e")
    assert snapshot is not None
    assert (snapshot.error, snapshot.extra) == ("no space", {"worker": 7})


def test_events_are_dated_by_the_anchor():
    """`anchor` says which date a time is; later events are dated by it."""
    scene = Scene()
    scene.tracker.anchor(date(1_000_000), 10.0)
    (event,) = scene.see("running", 12.0)
    assert event.at == date(1_000_002)


@pytest.mark.parametrize(
    ("baseline", "fields", "told"),
    [
        pytest.param(Baseline(), {}, False, id="no dates, sweep under way"),
        pytest.param(Baseline(complete=True), {}, True, id="no dates, sweep complete"),
        pytest.param(Baseline(), {"finished_at": date(BEGAN + 9)}, False, id="the watch has no date yet"),
        pytest.param(Baseline(date(BEGAN)), {"finished_at": date(BEGAN - 1)}, False, id="finished before"),
        pytest.param(Baseline(date(BEGAN)), {"updated_at": date(BEGAN - 1)}, False, id="last changed before"),
        pytest.param(Baseline(date(BEGAN)), {"finished_at": date(BEGAN)}, False, id="a second of doubt, first sweep"),
        pytest.param(Baseline(date(BEGAN), complete=True), {"finished_at": date(BEGAN)}, True, id="doubt, later"),
        pytest.param(Baseline(date(BEGAN), complete=True), {"finished_at": date(BEGAN - 1)}, False, id="found late"),
        pytest.param(Baseline(date(BEGAN)), {"finished_at": date(BEGAN + 1)}, True, id="finished afterwards"),
        pytest.param(Baseline(date(BEGAN)), {"created_at": date(BEGAN + 1)}, True, id="created afterwards, no end"),
        pytest.param(Baseline(date(BEGAN)), {"created_at": date(BEGAN)}, False, id="created in the second of doubt"),
        pytest.param(
            Baseline(date(BEGAN)),
            {"created_at": date(BEGAN + 5), "updated_at": date(BEGAN - 99)},
            True,
            id="created afterwards, whatever the other dates say",
        ),
    ],
)
def test_a_baseline_keeps_silent_what_had_finished_before(baseline: Baseline, fields: dict, told: bool):
    """By the service's dates, else by the sweep: what had finished before the watch is adopted, the rest is told."""
    scene = Scene()
    scene.see("completed", 5.0, baseline=baseline, **fields)
    assert moved(scene.events) == ([(None, "completed")] if told else [])
    assert scene.tracker.is_finished("e")
    assert scene.tracker.knows("e")
    assert scene.see("completed", 6.0, baseline=Baseline(complete=True), **fields) == []


def test_a_baseline_does_not_silence_what_still_lives():
    """What is under way when a watch begins is told, and so is its end."""
    scene = Scene()
    scene.see("running", 1.0, baseline=Baseline())
    scene.see("completed", 2.0, baseline=Baseline())
    assert moved(scene.events) == [(None, "running"), ("running", "completed")]


def test_what_was_adopted_is_told_when_it_is_watched_by_its_id():
    """`expect` makes the next sight of an adopted execution its first, also if the wider watch shows it first."""
    scene = Scene()
    scene.see("completed", 1.0, baseline=Baseline())
    scene.tracker.expect("e")
    assert not scene.tracker.is_finished("e")
    scene.see("completed", 2.0, baseline=Baseline())
    scene.tracker.expect("e")
    scene.see("completed", 3.0)
    assert moved(scene.events) == [(None, "completed")]
    assert [event.seq for event in scene.events] == [1]


def test_an_adopted_execution_that_runs_again_has_left_its_end():
    """What was adopted silently is still known to have finished."""
    scene = Scene()
    scene.see("completed", 1.0, baseline=Baseline())
    scene.see("running", 10.0)
    scene.see("running", 16.0)
    assert moved(scene.events) == [("completed", "running")]
    assert scene.tracker.open_anomalies("e") == ("left_terminal",)
