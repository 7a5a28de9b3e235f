"""Actions in extended models: they may begin what the platform ends, and the platform may do the same by itself."""

from __future__ import annotations

import pytest
from scene import Scene, cleared, moved, raised

from titan_state import Action, AnomalyKind, Lifecycle
from titan_state.core.events import Event, Transitioned
from titan_state.core.lifecycle import Move

PAUSE, RESUME, STOP = Action.PAUSE, Action.RESUME, Action.STOP
TARRYING = Lifecycle.default().extend(
    statuses=["pausing", "resuming"],
    moves=[
        Move("pause", "running", "pausing", PAUSE),
        Move("settle", "pausing", "paused"),
        Move("resume", "paused", "resuming", RESUME),
        Move("get_going", "resuming", "running"),
    ],
    without=["pause", "resume"],
)
BY_ITSELF = Lifecycle.default().extend(
    moves=[
        Move("auto_pause", "running", "paused"),
        Move("auto_resume", "paused", "running"),
        Move("expire", "queued", "cancelled"),
    ]
)
PAUSING = BY_ITSELF.extend(
    statuses=["pausing"],
    moves=[Move("pause", "running", "pausing", PAUSE), Move("settle", "pausing", "paused")],
    without=["pause"],
)
BOTH = TARRYING.extend(moves=[Move("auto_pause", "running", "paused"), Move("auto_resume", "paused", "running")])


def at(lifecycle: Lifecycle, status: str) -> Scene:
    scene = Scene(lifecycle)
    scene.see(status, 0.0)
    return scene


def told(events: list[Event]) -> list[tuple[str | None, str, bool]]:
    return [(event.move, event.cause, event.inferred) for event in events if isinstance(event, Transitioned)]


@pytest.mark.parametrize("lifecycle", [TARRYING, BY_ITSELF, BOTH], ids=["tarrying", "by itself", "both"])
def test_an_action_that_never_shows_is_not_applied(lifecycle: Lifecycle):
    """Wherever an action leads to in the end: where the execution stays as it was, it had no effect."""
    for status, action in (("running", PAUSE), ("paused", RESUME)):
        scene = at(lifecycle, status)
        scene.act(action, 1.0)
        scene.see(status, 30.0)
        scene.see(status, 66.0)
        assert raised(scene.tick(66.0)) == [AnomalyKind.ACTION_NOT_APPLIED]


def test_what_an_action_begins_the_platform_ends():
    """Where only the end is seen, its first move is ours, inferred, and the second the platform's."""
    scene = at(TARRYING, "running")
    scene.act(PAUSE, 1.0)
    assert told(scene.see("paused", 5.0)) == [("pause", "action", True), ("settle", "platform", False)]
    scene.act(RESUME, 20.0)
    assert told(scene.see("resuming", 21.0)) == [("resume", "action", False)]
    scene.see("running", 23.0)
    assert told(scene.see("running", 28.0)) == [("get_going", "platform", False)]
    scene.see("running", 100.0)
    scene.tick(100.0)
    assert raised(scene.events) == []


@pytest.mark.parametrize("first", ["running", "pausing", "paused"])
def test_an_action_has_its_effect_where_the_platform_has_led_on(first: str):
    """A second pause, or one of an execution that was not paused by us, is no more waited for once it is paused."""
    scene = at(TARRYING, first)
    scene.act(PAUSE, 1.0)
    scene.act(PAUSE, 2.0)
    scene.see("paused", 5.0)
    scene.tick(100.0)
    assert raised(scene.events) == []


def test_an_execution_that_is_first_seen_where_the_platform_has_led_on():
    """An action on an execution that was not seen before has had its effect if it is first seen there."""
    scene = Scene(TARRYING)
    scene.act(PAUSE, 1.0)
    scene.see("paused", 5.0)
    scene.tick(100.0)
    assert raised(scene.events) == []


def test_an_alarm_ends_where_the_platform_has_led_on():
    """An execution that gets where the action leads, by whatever move, has shown it: the alarm ends."""
    scene = at(BOTH, "running")
    scene.act(PAUSE, 1.0)
    scene.see("running", 66.0)
    assert raised(scene.tick(66.0)) == [AnomalyKind.ACTION_NOT_APPLIED]
    scene.see("paused", 70.0)
    assert cleared(scene.see("paused", 75.0)) == [AnomalyKind.ACTION_NOT_APPLIED]


def test_our_own_action_is_not_credited_to_the_platform():
    """Where a move of the platform has the same ends, ours explains the change, is applied at once, and used up."""
    scene = at(BY_ITSELF, "running")
    scene.act(PAUSE, 10.0)
    assert told(scene.see("paused", 11.0)) == [("pause", "action", False)]
    scene.see("paused", 17.0)
    scene.see("running", 20.0)
    assert told(scene.see("running", 25.0)) == [("auto_resume", "platform", False)]
    scene.see("paused", 30.0)
    assert told(scene.see("paused", 35.0)) == [("auto_pause", "platform", False)]
    scene.tick(100.0)
    assert raised(scene.events) == []


def test_what_nobody_of_ours_asked_for_is_the_platforms():
    """Without an action, or after another one, a change with the same ends is the platform's, and no anomaly."""
    scene = at(BY_ITSELF, "running")
    scene.act(RESUME, 1.0)
    scene.see("paused", 10.0)
    assert told(scene.see("paused", 15.0)) == [("auto_pause", "platform", False)]
    assert raised(scene.events) == []


@pytest.mark.parametrize(("actions", "move"), [([STOP], ("stop", "action")), ([], ("expire", "platform"))])
def test_an_end_is_credited_to_who_caused_it(actions: list[Action], move: tuple[str, str]):
    """A stop of ours is the action's, also where executions expire by themselves."""
    scene = at(BY_ITSELF, "queued")
    for action in actions:
        scene.act(action, 1.0)
    assert told(scene.see("cancelled", 2.0)) == [(*move, False)]


def test_our_own_action_is_found_on_the_way():
    """Also where the change lies in between, and was not seen itself, it is ours."""
    scene = at(BY_ITSELF, "queued")
    scene.act(PAUSE, 1.0)
    assert told(scene.see("paused", 9.0)) == [("start", "platform", True), ("pause", "action", False)]


def test_an_action_that_was_seen_is_not_waited_for_when_it_is_undone():
    """The second of two pauses led where the first one did: that the platform resumes says nothing against it."""
    scene = at(BY_ITSELF, "running")
    scene.act(PAUSE, 10.0)
    scene.act(PAUSE, 11.0)
    scene.see("paused", 12.0)
    scene.see("paused", 18.0)
    scene.see("running", 20.0)
    assert told(scene.see("running", 25.0)) == [("auto_resume", "platform", False)]
    scene.tick(100.0)
    assert raised(scene.events) == []


def test_a_doubtful_move_that_the_platform_takes_back_by_itself_has_happened():
    """A pause seen soon after the start is explained still, but is not waited for where the model says who resumed."""
    scene = at(BY_ITSELF, "queued")
    scene.see("running", 9.0)
    scene.act(PAUSE, 10.0)
    scene.see("paused", 11.0)
    scene.see("running", 13.0)
    scene.see("running", 18.0)
    scene.tick(75.0)
    assert moved(scene.events)[-1] == ("paused", "running")
    assert raised(scene.events) == []


def test_a_doubtful_move_shows_nothing_of_the_actions_that_followed():
    """What a stale answer feigned is no effect of a second resume either: that it never comes is told."""
    scene = at(Lifecycle.default(), "running")
    scene.act(PAUSE, 9.0)
    scene.see("paused", 10.0)
    scene.act(RESUME, 11.0)
    scene.act(RESUME, 11.5)
    scene.see("running", 12.0)
    scene.see("paused", 13.0)
    assert moved(scene.see("paused", 18.0)) == [("running", "paused")]
    scene.see("paused", 76.5)
    assert raised(scene.tick(76.5)) == [AnomalyKind.ACTION_NOT_APPLIED]


def test_an_action_behind_another_one_is_still_to_come():
    """A pause that was sent after a resume is waited for, though the execution was paused before that resume."""
    scene = at(Lifecycle.default(), "running")
    scene.act(PAUSE, 1.0)
    scene.act(RESUME, 2.0)
    scene.act(PAUSE, 3.0)
    scene.see("paused", 10.0)
    scene.see("paused", 16.0)
    scene.see("running", 20.0)
    scene.see("running", 68.0)
    assert raised(scene.tick(68.0)) == [AnomalyKind.ACTION_NOT_APPLIED]


def test_a_forced_move_uses_up_the_action_that_it_carries_out():
    """A pause that brought an execution back from its end is not waited for when somebody resumes it."""
    scene = at(Lifecycle.default(), "completed")
    scene.act(PAUSE, 9.0)
    scene.see("paused", 10.0)
    scene.see("paused", 15.0)
    scene.see("running", 25.0)
    scene.see("running", 30.0)
    scene.tick(100.0)
    assert raised(scene.events) == [AnomalyKind.LEFT_TERMINAL, AnomalyKind.UNEXPECTED_FLIP]


def test_actions_explain_moves_in_the_order_in_which_they_were_sent():
    """Our pause explains the last of two moves, so that the resume that was sent after it cannot be the first one."""
    scene = at(PAUSING, "paused")
    scene.act(PAUSE, 10.0)
    scene.act(RESUME, 11.0)
    assert told(scene.see("pausing", 16.0)) == [("auto_resume", "platform", True), ("pause", "action", False)]
    assert raised(scene.events) == []


def test_actions_explain_moves_one_after_the_other():
    """A resume and then a pause of ours explain a way that has both, also where the platform resumes by itself."""
    scene = at(PAUSING, "paused")
    scene.act(RESUME, 10.0)
    scene.act(PAUSE, 15.0)
    assert told(scene.see("pausing", 20.0)) == [("resume", "action", True), ("pause", "action", False)]
    assert raised(scene.events) == []
