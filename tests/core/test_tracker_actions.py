"""Actions: which moves they explain, and what is said when nothing of ours explains a move."""

from __future__ import annotations

import pytest
from scene import Scene, cleared, moved, raised

from titan_state import Action, AnomalyDetected, AnomalyKind
from titan_state.core.events import ActionRefused, Event, Transitioned

PAUSE, RESUME, STOP = Action.PAUSE, Action.RESUME, Action.STOP


def running(**thresholds: float | None) -> Scene:
    scene = Scene(**thresholds)
    scene.see("running", 0.0)
    return scene


def causes(events: list[Event]) -> list[str]:
    return [event.cause for event in events if isinstance(event, Transitioned)]


def test_each_outcome_is_an_event():
    """What became of an action is told, with the action, and numbered like all events."""
    scene = running()
    scene.send(PAUSE, 1.0)
    scene.accept(PAUSE, 2.0)
    scene.refuse(PAUSE, 3.0)
    scene.events += scene.tracker.action_unknown("e", PAUSE, at=4.0)
    assert [event.type for event in scene.events] == [
        "transitioned",
        "action_sent",
        "action_accepted",
        "action_refused",
        "action_unknown",
    ]
    assert [event.seq for event in scene.events] == [1, 2, 3, 4, 5]
    refused = scene.events[3]
    assert isinstance(refused, ActionRefused)
    assert (refused.action, refused.code) == (PAUSE, "CONFLICT")


def test_there_are_no_other_actions():
    """A name that is no action is refused, and nothing is taken down."""
    scene = running()
    for take in (scene.tracker.action_sent, scene.tracker.action_accepted, scene.tracker.action_refused):
        with pytest.raises(ValueError, match="explode"):
            take("e", "explode", at=1.0)
    assert scene.tracker.tick(2.0) == []


def test_an_action_explains_its_move_before_the_answer_arrives():
    """From the moment it is sent, a move that a poll sees is caused by the action, and applied at once."""
    scene = running()
    scene.send(PAUSE, 1.0)
    events = scene.see("paused", 1.5)
    assert moved(events) == [("running", "paused")]
    assert causes(events) == ["action"]
    scene.accept(PAUSE, 2.0)
    assert scene.tick(100.0) == []
    assert raised(scene.events) == []


def test_an_action_explains_one_move():
    """The second pause of two is not ours."""
    scene = running()
    scene.act(PAUSE, 10.0)
    scene.see("paused", 11.0)
    scene.act(RESUME, 20.0)
    scene.see("running", 21.0)
    scene.see("paused", 30.0)
    assert raised(scene.see("paused", 35.0)) == [AnomalyKind.UNEXPECTED_FLIP]


def test_an_unexplained_flip_is_unexpected():
    """A confirmed flip that nothing of ours explains is told, after an anomaly, as the platform's."""
    scene = running()
    scene.see("paused", 10.0)
    detected, event = scene.see("paused", 15.0)
    assert isinstance(detected, AnomalyDetected)
    assert (detected.kind, detected.severity, detected.check_first) == (
        "unexpected_flip",
        "warning",
        "whether pause/resume logic is in use",
    )
    assert isinstance(event, Transitioned)
    assert (event.move, event.forced, event.cause) == ("pause", False, "platform")
    assert scene.tracker.open_anomalies("e") == ()


@pytest.mark.parametrize(("seen", "dest"), [("queued", "paused"), ("paused", "completed")])
def test_an_inferred_flip_counts_too(seen: str, dest: str):
    """A pause or resume that must have happened in between is as unexpected as one that was seen."""
    scene = Scene()
    scene.see(seen, 0.0)
    assert raised(scene.see(dest, 1.0)) == [AnomalyKind.UNEXPECTED_FLIP]


def test_an_inferred_flip_of_ours_is_explained():
    """An action explains the move it causes also where that lies on the way to what was seen."""
    scene = Scene()
    scene.see("paused", 0.0)
    scene.act(RESUME, 1.0)
    events = scene.see("completed", 20.0)
    assert causes(events) == ["action", "platform"]
    assert raised(scene.events) == []


def test_a_stop_by_somebody_else_is_no_anomaly():
    """A cancellation that is not ours is the platform's, and nothing more."""
    scene = running()
    events = scene.see("cancelled", 1.0)
    assert causes(events) == ["platform"]
    assert raised(events) == []


def test_a_stop_of_ours_is_an_action():
    """A cancellation that was asked for is caused by the action."""
    scene = running()
    scene.act(STOP, 1.0)
    assert causes(scene.see("cancelled", 2.0)) == ["action"]


def test_a_refused_action_explains_nothing():
    """After a refusal the move is somebody else's."""
    scene = running()
    scene.send(PAUSE, 1.0)
    scene.refuse(PAUSE, 2.0)
    assert scene.see("paused", 10.0) == []
    assert raised(scene.see("paused", 15.0)) == [AnomalyKind.UNEXPECTED_FLIP]


def test_a_refusal_is_about_the_last_action_of_that_name():
    """The first of two pauses still explains its move when the second is refused."""
    scene = running()
    scene.act(PAUSE, 1.0)
    scene.send(PAUSE, 2.0)
    scene.refuse(PAUSE, 3.0)
    assert causes(scene.see("paused", 4.0)) == ["action"]


def test_a_refusal_of_what_was_never_sent_is_told_only():
    """A refusal without an action, as after a restart, changes nothing."""
    scene = running()
    assert [event.type for event in scene.refuse(PAUSE, 1.0)] == ["action_refused"]
    scene.send(STOP, 2.0)
    scene.refuse(PAUSE, 3.0)
    assert causes(scene.see("cancelled", 4.0)) == ["action"]


def test_an_action_without_an_answer_explains_its_move_for_a_while():
    """With an unknown outcome the move is explained within a minute, and not for ever."""
    scene = running()
    scene.send(PAUSE, 1.0)
    scene.events += scene.tracker.action_unknown("e", PAUSE, at=30.0)
    scene.see("running", 60.0)
    assert causes(scene.see("paused", 60.5)) == ["action"]
    late = running()
    late.send(PAUSE, 1.0)
    late.see("running", 61.0)
    late.see("paused", 62.0)
    assert raised(late.see("paused", 67.0)) == [AnomalyKind.UNEXPECTED_FLIP]


def test_an_accepted_action_explains_its_move_however_late():
    """The last accepted action may take effect after minutes; it is still ours."""
    scene = running(action_s=None)
    scene.act(PAUSE, 1.0)
    scene.see("running", 300.0)
    assert causes(scene.see("paused", 301.0)) == ["action"]


def test_actions_may_take_effect_late_one_after_the_other():
    """A status that a later action leads to does not prove that an earlier one is done with."""
    scene = running()
    scene.act(PAUSE, 1.0)
    scene.act(RESUME, 10.0)
    scene.see("running", 16.5)
    assert causes(scene.see("paused", 20.0)) == ["action"]
    assert causes(scene.see("running", 40.0)) == ["action"]
    assert raised(scene.events) == []


def test_action_not_applied():
    """An accepted action that shows no effect for 60 s is raised once, and cleared when the effect shows."""
    scene = running()
    scene.act(PAUSE, 1.0)
    scene.see("running", 30.0)
    assert scene.tick(67.0) == []
    assert scene.see("running", 65.9, takes=2.0) == []
    (detected,) = scene.see("running", 68.0)
    assert isinstance(detected, AnomalyDetected)
    assert (detected.kind, detected.severity, detected.check_first) == (
        "action_not_applied",
        "warning",
        "whether the deployment supports it",
    )
    assert detected.message == "pause was accepted 67 s before, and it was still running"
    assert scene.tick(500.0) == []
    assert scene.see("running", 501.0) == []
    assert cleared(scene.see("paused", 502.0)) == [AnomalyKind.ACTION_NOT_APPLIED]


def test_action_not_applied_counts_for_the_one_that_was_accepted():
    """Of two pauses the last one is the one that was accepted, and the one that is waited for."""
    scene = running()
    scene.send(PAUSE, 1.0)
    scene.act(PAUSE, 10.0)
    scene.see("running", 74.0)
    assert scene.tick(74.0) == []
    scene.see("running", 75.0)
    assert raised(scene.tick(75.0)) == [AnomalyKind.ACTION_NOT_APPLIED]


def test_a_later_action_supersedes():
    """After another action was sent, the first is not waited for any more; a raised anomaly ends."""
    scene = running()
    scene.act(PAUSE, 1.0)
    scene.send(STOP, 50.0)
    scene.see("running", 60.0)
    assert scene.tick(66.0) == []
    scene.refuse(STOP, 67.0)
    assert scene.tick(68.0) == []
    assert raised(scene.see("running", 69.0)) == [AnomalyKind.ACTION_NOT_APPLIED]
    assert cleared(scene.send(STOP, 70.0)) == [AnomalyKind.ACTION_NOT_APPLIED]


def test_an_end_supersedes():
    """Once the execution has finished, no action is waited for."""
    scene = running()
    scene.act(PAUSE, 1.0)
    scene.see("completed", 30.0)
    assert scene.tick(61.0) == []
    late = running()
    late.act(PAUSE, 1.0)
    late.see("running", 66.0)
    late.tick(66.0)
    assert cleared(late.see("completed", 70.0)) == [AnomalyKind.ACTION_NOT_APPLIED]


def test_an_action_that_leads_where_it_is_already_has_its_effect():
    """An accepted pause of a paused execution is not waited for, and forgotten after a while."""
    scene = Scene()
    scene.see("paused", 0.0)
    scene.act(PAUSE, 1.0)
    scene.tick(61.0)
    scene.see("paused", 62.0)
    scene.act(RESUME, 70.0)
    scene.see("running", 76.0)
    scene.see("paused", 80.0)
    assert raised(scene.see("paused", 85.0)) == [AnomalyKind.UNEXPECTED_FLIP]
    assert raised(scene.events) == [AnomalyKind.UNEXPECTED_FLIP]


def test_action_not_applied_may_be_switched_off():
    """Without a threshold nothing is raised."""
    scene = running(action_s=None)
    scene.act(PAUSE, 1.0)
    assert scene.tick(1000.0) == []


def test_an_execution_that_was_never_seen_is_not_said_to_resist():
    """An action on an execution that was not seen yet is told; whether it took effect is not known."""
    scene = Scene()
    scene.act(STOP, 1.0)
    assert scene.tick(1000.0) == []
    events = scene.see("cancelled", 1001.0)
    assert moved(events) == [(None, "cancelled")]
    assert [event.seq for event in scene.events] == [1, 2, 3]


def test_pause_and_resume_within_the_lag():
    """Stale reads of both sides, after a pause and a resume of ours within the lag, are no unexpected flips."""
    scene = running()
    scene.act(PAUSE, 10.0)
    scene.see("paused", 11.0)
    scene.act(RESUME, 12.0)
    scene.see("running", 12.5)
    scene.see("paused", 13.0)
    scene.see("running", 14.0)
    scene.see("paused", 16.0)
    scene.see("running", 17.0)
    scene.see("running", 30.0)
    assert raised(scene.events) == []
    assert moved(scene.events)[1:] == [("running", "paused"), ("paused", "running")]


@pytest.mark.parametrize("first", ["paused", "running"], ids=["paused at first sight", "paused by us"])
def test_a_move_that_a_stale_answer_feigned_is_still_to_come(first: str):
    """A stale `running` is taken for our resume; when `paused` is confirmed, the resume explains the next move."""
    scene = Scene()
    if first == "running":
        scene.see("running", 0.0)
        scene.act(PAUSE, 9.0)
    scene.see("paused", 10.0)
    scene.act(RESUME, 11.0)
    scene.see("running", 12.0)
    scene.see("paused", 13.0)
    assert moved(scene.see("paused", 18.0)) == [("running", "paused")]
    assert causes(scene.see("running", 30.0)) == ["action"]
    assert raised(scene.events) == []


def test_what_explained_a_feigned_move_may_be_refused_afterwards():
    """A refusal also reaches the action that a feigned move seemed to carry out."""
    scene = Scene()
    scene.see("paused", 10.0)
    scene.send(RESUME, 11.0)
    scene.see("running", 12.0)
    scene.refuse(RESUME, 13.0)
    scene.see("paused", 14.0)
    scene.see("paused", 19.0)
    assert raised(scene.events) == []
    scene.see("running", 40.0)
    assert raised(scene.see("running", 45.0)) == [AnomalyKind.UNEXPECTED_FLIP]


def test_two_doubtful_moves_leave_both_actions_to_come():
    """Where a return may mean that nothing happened at all, both actions still explain their moves."""
    scene = Scene()
    scene.see("paused", 10.0)
    scene.act(RESUME, 11.0)
    scene.act(PAUSE, 11.5)
    scene.see("running", 12.0)
    scene.see("paused", 13.0)
    scene.see("running", 30.0)
    scene.see("paused", 40.0)
    assert causes(scene.events) == ["platform", "action", "action", "action", "action"]
    assert raised(scene.events) == []


def test_an_end_after_a_feigned_move_leaves_no_alarm():
    """A pause that a stale answer feigned needs no resume before the end."""
    scene = Scene()
    scene.see("paused", 0.0)
    scene.act(RESUME, 10.0)
    scene.see("running", 11.0)
    scene.act(PAUSE, 11.5)
    scene.see("paused", 12.0)
    assert raised(scene.see("completed", 14.0)) == []


def test_a_flip_is_certain_once_a_read_beyond_the_lag_agrees():
    """After that a return is a flip of its own."""
    scene = Scene()
    scene.see("paused", 10.0)
    scene.act(RESUME, 11.0)
    scene.see("running", 12.0)
    scene.see("running", 17.0)
    scene.see("paused", 20.0)
    assert raised(scene.see("paused", 25.0)) == [AnomalyKind.UNEXPECTED_FLIP]
