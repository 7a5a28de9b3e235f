"""Suspicion: what contradicts the record is held, read again, and dismissed or believed."""

from __future__ import annotations

import pytest
from scene import Scene, cleared, date, moved, raised

from titan_state import AnomalyDetected, AnomalyKind
from titan_state.core.events import Transitioned


def finished() -> Scene:
    scene = Scene()
    scene.see("running", 0.0)
    scene.see("completed", 1.0)
    return scene


def test_a_contradiction_is_held_until_it_is_confirmed():
    """Nothing is told of a finished execution that runs again until a later read, the lag apart, says so too."""
    scene = finished()
    assert scene.see("running", 10.0, takes=1.0) == []
    assert scene.tracker.needs_confirmation == {"e": 15.0}
    assert scene.see("running", 14.9) == []
    assert scene.tracker.needs_confirmation == {"e": 15.0}
    detected, event = scene.see("running", 15.0)
    assert isinstance(detected, AnomalyDetected)
    assert (detected.kind, detected.severity, detected.check_first) == ("left_terminal", "error", "platform logs")
    assert isinstance(event, Transitioned)
    assert (event.source, event.dest, event.forced, event.move, event.inferred) == (
        "completed",
        "running",
        True,
        None,
        False,
    )
    assert (event.after, event.before) == (date(1.0), date(15.0))
    assert not scene.tracker.needs_confirmation
    assert scene.tracker.status("e") == "running"
    assert (scene.tracker.counts.suspected, scene.tracker.counts.forced) == (1, 1)


def test_the_second_read_is_sent_after_the_first_was_received():
    """With a slow first answer the confirmation waits for it, however far apart the two were sent."""
    scene = finished()
    scene.see("running", 10.0, takes=8.0)
    assert scene.tracker.needs_confirmation == {"e": 18.0}
    assert scene.see("running", 17.9, takes=1.0) == []
    assert moved(scene.see("running", 18.0, takes=1.0)) == [("completed", "running")]


@pytest.mark.parametrize("start", [0.1, 0.3, 1234567.1, 98765.4321])
def test_a_read_at_the_time_that_was_asked_for_confirms(start: float):
    """The time that `needs_confirmation` names is enough, whatever floats do to differences."""
    scene = finished()
    scene.see("running", start + 10.0)
    due = scene.tracker.needs_confirmation["e"]
    assert moved(scene.see("running", due)) == [("completed", "running")]


def test_a_read_that_agrees_with_the_record_ends_it():
    """A suspicion that is not confirmed ends silently, and is counted."""
    scene = finished()
    scene.see("running", 10.0)
    assert scene.see("completed", 12.0) == []
    assert not scene.tracker.needs_confirmation
    assert scene.tracker.counts.dismissed == 1
    assert scene.see("running", 16.0) == []
    assert scene.tracker.needs_confirmation == {"e": 21.0}


def test_an_older_read_that_agrees_does_not_end_it():
    """An answer that was sent before the suspicious one says nothing against it."""
    scene = finished()
    scene.see("running", 10.0)
    scene.see("completed", 9.0, takes=2.0)
    assert moved(scene.see("running", 15.0)) == [("completed", "running")]


def test_another_odd_status_starts_it_anew():
    """Two different contradictions do not confirm each other."""
    scene = finished()
    scene.see("running", 10.0)
    assert scene.see("paused", 15.0) == []
    assert scene.tracker.needs_confirmation == {"e": 20.0}
    assert scene.tracker.counts.dismissed == 1
    assert moved(scene.see("paused", 20.0)) == [("completed", "paused")]


def test_an_older_odd_status_is_stale():
    """A contradiction that was sent before the one that is held does not replace it."""
    scene = finished()
    scene.see("running", 10.0)
    assert scene.see("paused", 9.0, takes=2.0) == []
    assert scene.tracker.counts.stale == 1
    assert moved(scene.see("running", 15.0)) == [("completed", "running")]


def test_an_unknown_status_in_between_ends_it():
    """A status outside the model says otherwise too."""
    scene = finished()
    scene.see("running", 10.0)
    scene.see("weird", 12.0)
    assert moved(scene.see("running", 15.0)) == []
    assert scene.tracker.needs_confirmation == {"e": 20.0}


def test_an_older_change_does_not_confirm():
    """A read whose `updated_at` is older than what was applied is stale, while that was seen within a minute."""
    scene = Scene()
    scene.see("running", 0.0, updated_at=date(100))
    scene.see("completed", 1.0, updated_at=date(200))
    for second in range(10, 60, 6):
        assert scene.see("running", float(second), updated_at=date(199)) == []
    assert not scene.tracker.needs_confirmation
    assert scene.tracker.counts.stale == 9
    scene.see("running", 60.0, updated_at=date(200))
    assert moved(scene.see("running", 65.0, updated_at=date(200))) == [("completed", "running")]


def test_dates_that_are_wrong_do_not_hide_the_truth():
    """Where nothing has agreed with what is known for a minute, a read is held to be true whatever its date."""
    scene = Scene()
    scene.see("running", 0.0, updated_at=date(10_000))
    for second in range(5, 61, 5):
        assert scene.see("paused", float(second), updated_at=date(100)) == []
    assert scene.tracker.needs_confirmation == {"e": 65.0}
    assert moved(scene.see("paused", 65.0, updated_at=date(100))) == [("running", "paused")]
    assert moved(scene.see("completed", 70.0, updated_at=date(90))) == [("paused", "running"), ("running", "completed")]


@pytest.mark.parametrize(("source", "dest"), [("running", "queued"), ("paused", "queued")])
def test_a_regress_is_an_illegal_move(source: str, dest: str):
    """What no path explains, and has not finished, is an illegal move."""
    scene = Scene()
    scene.see(source, 0.0)
    scene.see(dest, 10.0)
    detected, event = scene.see(dest, 15.0)
    assert isinstance(detected, AnomalyDetected)
    assert (detected.kind, detected.severity, detected.check_first) == ("illegal_move", "error", "platform logs")
    assert detected.execution is not None
    assert detected.execution.status == dest
    assert isinstance(event, Transitioned)
    assert event.forced
    assert scene.tracker.open_anomalies("e") == ()


def test_finishing_again_ends_left_terminal():
    """An execution that left its end and finished again is in order again."""
    scene = finished()
    scene.see("running", 10.0)
    scene.see("running", 15.0)
    assert scene.tracker.open_anomalies("e") == (AnomalyKind.LEFT_TERMINAL,)
    assert cleared(scene.see("completed", 20.0)) == [AnomalyKind.LEFT_TERMINAL]
    assert [event.seq for event in scene.events] == [1, 2, 3, 4, 5, 6]


def test_from_one_end_to_another():
    """Another end than the one that was told has left its end and is at one: raised, told and cleared."""
    scene = finished()
    scene.see("failed", 10.0)
    events = scene.see("failed", 15.0)
    assert [event.type for event in events] == ["anomaly_detected", "transitioned", "anomaly_cleared"]
    assert scene.tracker.snapshot("e") == events[1].execution


def test_for_a_while_after_a_forced_move_everything_is_held():
    """Within the lag after a forced move also what the model allows is read twice."""
    scene = finished()
    scene.see("running", 10.0)
    scene.see("running", 15.0)
    assert scene.see("completed", 19.9) == []
    assert moved(scene.see("completed", 25.0)) == [("running", "completed")]
    assert raised(scene.events) == [AnomalyKind.LEFT_TERMINAL]


def test_after_that_while_the_model_orders_again():
    """A read that was sent the lag after a forced move is applied at once."""
    scene = finished()
    scene.see("running", 10.0)
    scene.see("running", 15.0)
    assert moved(scene.see("completed", 20.0)) == [("running", "completed")]


def test_an_answer_from_before_a_forced_move_is_never_believed_at_once():
    """However late an answer arrives: what was sent before the forced move cannot tell that it was undone."""
    scene = finished()
    scene.see("running", 10.0)
    scene.see("running", 15.0)
    for second in range(16, 40):
        scene.see("running", float(second))
    assert scene.see("completed", 14.0, takes=60.0) == []
    assert scene.tracker.status("e") == "running"
    assert scene.see("completed", 16.0, takes=60.0) == []
    assert scene.tracker.status("e") == "running"


def test_a_forced_move_may_be_what_was_asked_for():
    """A forced move into the status that an action of ours leads to is caused by it, and still an anomaly."""
    scene = finished()
    scene.tracker.action_sent("e", "pause", at=9.0)
    scene.see("paused", 10.0)
    detected, event = scene.see("paused", 15.0)
    assert isinstance(detected, AnomalyDetected)
    assert isinstance(event, Transitioned)
    assert (event.forced, event.cause) == (True, "action")


def test_unreadable_fields_are_counted():
    """Optional fields that could not be read are counted where a read changed something."""
    scene = Scene()
    scene.see("running", 0.0, dropped=("progress",))
    assert scene.tracker.counts.dropped_fields == 1
