"""The rules that depend on time, and a status outside the model: raised once, cleared when they end."""

from __future__ import annotations

import pytest
from scene import Scene, cleared, date, moved, raised

from titan_state import Action, AnomalyCleared, AnomalyDetected, AnomalyKind, Thresholds

HINTS = {
    "queued": "worker capacity and scheduler health",
    "running": "execution details and platform logs",
    "paused": "execution details and platform logs",
}


@pytest.mark.parametrize("status", ["queued", "running", "paused"])
def test_stuck(status: str):
    """Too long in a status is raised once, by a read that shows it, and cleared when it moves on."""
    scene = Scene(**{f"stuck_{status}_s": 100.0})
    scene.see(status, 10.0)
    scene.see(status, 60.0)
    assert scene.tick(116.0) == []
    assert scene.see(status, 114.9, takes=2.0) == []
    (detected,) = scene.see(status, 117.0)
    assert isinstance(detected, AnomalyDetected)
    assert (detected.kind, detected.severity, detected.check_first, detected.at) == (
        f"stuck_{status}",
        "warning",
        HINTS[status],
        date(117.0),
    )
    assert detected.message == f"{status} for 107 s"
    assert scene.tick(300.0) == []
    assert scene.see(status, 301.0) == []
    (ended,) = [event for event in scene.see("failed", 310.0) if isinstance(event, AnomalyCleared)]
    assert (ended.kind, ended.since) == (detected.kind, detected.at)
    assert scene.tick(600.0) == []


@pytest.mark.parametrize("status", ["queued", "running", "paused"])
def test_stuck_may_be_switched_off(status: str):
    """Without a threshold no execution is stuck."""
    scene = Scene(**{f"stuck_{status}_s": None})
    scene.see(status, 0.0)
    assert scene.tick(1e6) == []


def test_stuck_is_off_but_for_queued_by_default():
    """By default an execution may run and pause for as long as it likes, and be queued for five minutes."""
    scene = Scene()
    for sent in (0.0, 1e5):
        for name in ("queued", "running", "paused"):
            scene.see(name, sent, name=name)
    assert [event.execution_id for event in scene.tick(1e5)] == ["queued"]


def test_stuck_may_differ_by_task():
    """A task may have thresholds of its own."""
    scene = Scene(stuck_running_s=50.0, tasks={"slow": Thresholds(stuck_running_s=200.0)})
    scene.see("running", 0.0, name="a", task_id="slow")
    scene.see("running", 0.0, name="b", task_id="other")
    for sent, stuck in ((60.0, ["b"]), (200.0, []), (205.0, ["a"])):
        for name in "ab":
            scene.see("running", sent, name=name)
        assert [event.execution_id for event in scene.tick(sent)] == stuck


def test_a_status_is_counted_from_when_it_began():
    """An execution that comes back to a status starts anew."""
    scene = Scene(stuck_running_s=100.0)
    scene.see("running", 0.0)
    scene.tracker.action_sent("e", Action.PAUSE, at=49.0)
    scene.see("paused", 50.0)
    scene.tracker.action_sent("e", Action.RESUME, at=59.0)
    scene.see("running", 60.0)
    scene.see("running", 160.0)
    assert scene.tick(160.0) == []
    scene.see("running", 165.0)
    assert raised(scene.tick(165.0)) == [AnomalyKind.STUCK_RUNNING]


def test_what_was_not_seen_for_long_is_not_called_stuck():
    """A monitor that comes back after a silence does not take an execution to be where it was before."""
    scene = Scene()
    scene.see("queued", 0.0, name="a")
    scene.see("queued", 0.0, name="b")
    assert scene.tick(4000.0) == []
    assert moved(scene.see("completed", 4001.0, name="a")) == [("queued", "running"), ("running", "completed")]
    assert raised(scene.see("queued", 4001.0, name="b")) == [AnomalyKind.STUCK_QUEUED]
    assert raised(scene.events) == [AnomalyKind.STUCK_QUEUED]


def test_a_lagging_replica_makes_nothing_stuck():
    """An execution that moves on just in time is not called stuck by a read that does not show it yet."""
    scene = Scene()
    scene.see("queued", 0.0)
    scene.see("queued", 304.0)
    scene.tick(306.0)
    scene.see("running", 306.0)
    scene.see("running", 700.0)
    scene.tick(700.0)
    assert raised(scene.events) == []


def test_an_execution_is_not_stuck_in_a_status_that_it_has_left_for_an_unknown_one():
    """While its status is not in the model nothing is said of the last known one, and its time begins anew."""
    scene = Scene()
    scene.see("queued", 0.0)
    scene.see("weird", 200.0)
    scene.see("weird", 400.0)
    scene.tick(401.0)
    scene.see("queued", 410.0)
    scene.see("queued", 700.0)
    scene.tick(700.0)
    assert raised(scene.events) == [AnomalyKind.UNKNOWN_STATUS]
    scene.see("queued", 720.0)
    scene.tick(720.0)
    assert raised(scene.events) == [AnomalyKind.UNKNOWN_STATUS, AnomalyKind.STUCK_QUEUED]


def flip(scene: Scene, times: int, start: float, gap: float = 20.0) -> None:
    """Let somebody else pause and resume so many times, each confirmed."""
    for number in range(times):
        status = "running" if scene.tracker.status("e") == "paused" else "paused"
        scene.see(status, start + number * gap)
        scene.see(status, start + number * gap + 5.0)


def test_flapping():
    """The fourth unexpected flip within ten minutes is flapping; further ones are part of it; it ends when they do."""
    scene = Scene()
    scene.see("running", 0.0)
    flip(scene, 3, 10.0)
    assert raised(scene.events) == [AnomalyKind.UNEXPECTED_FLIP] * 3
    flip(scene, 1, 100.0)
    detected = scene.events[-2]
    assert isinstance(detected, AnomalyDetected)
    assert (detected.kind, detected.severity, detected.check_first) == (
        "flapping",
        "warning",
        "whether pause/resume logic is in use",
    )
    flip(scene, 2, 200.0)
    assert raised(scene.events).count(AnomalyKind.FLAPPING) == 1
    assert scene.tick(654.9) == []
    assert cleared(scene.tick(655.0)) == [AnomalyKind.FLAPPING]
    assert scene.tick(2000.0) == []
    flip(scene, 1, 2010.0)
    assert raised(scene.events)[-1] == AnomalyKind.UNEXPECTED_FLIP


def test_flips_far_apart_are_no_flapping():
    """Flips that do not fall within one window do not add up."""
    scene = Scene()
    scene.see("running", 0.0)
    flip(scene, 8, 10.0, gap=205.0)
    assert AnomalyKind.FLAPPING not in raised(scene.events)


def test_flapping_ends_with_the_execution():
    """A finished execution does not flap."""
    scene = Scene(flap_count=1)
    scene.see("running", 0.0)
    flip(scene, 1, 10.0)
    assert scene.tracker.open_anomalies("e") == (AnomalyKind.FLAPPING,)
    assert AnomalyKind.FLAPPING in cleared(scene.see("failed", 30.0))


@pytest.mark.parametrize("thresholds", [{"flap_count": None}, {"flap_window_s": 0.0}])
def test_flapping_may_be_switched_off(thresholds: dict):
    """Without a count, or without a window, every flip is told by itself."""
    scene = Scene(**thresholds)
    scene.see("running", 0.0)
    flip(scene, 6, 10.0)
    assert raised(scene.events) == [AnomalyKind.UNEXPECTED_FLIP] * 6
    assert scene.tick(10_000.0) == []


def test_an_unknown_status_is_raised_once_and_ends():
    """A status outside the model keeps the last known one, allows nothing, and ends with a known one."""
    scene = Scene()
    scene.see("running", 0.0)
    (detected,) = scene.see("weird", 1.0)
    assert isinstance(detected, AnomalyDetected)
    assert (detected.kind, detected.severity, detected.check_first) == (
        "unknown_status",
        "warning",
        "the lifecycle's extension: Lifecycle.extend makes the status known (docs: how-to/statuses)",
    )
    assert "'weird'" in detected.message
    assert scene.see("weird", 2.0) == []
    assert scene.see("weirder", 3.0) == []
    assert scene.tracker.status("e") == "running"
    assert not scene.tracker.check("e", "pause")
    assert scene.see("running", 7.9) == []
    assert cleared(scene.see("running", 8.0)) == [AnomalyKind.UNKNOWN_STATUS]
    assert scene.tracker.check("e", "pause")


def test_an_unknown_status_ends_at_once_where_the_execution_moves_on():
    """A status that the model orders after the known one is newer than both."""
    scene = Scene()
    scene.see("queued", 0.0)
    scene.see("weird", 1.0)
    assert cleared(scene.see("running", 2.0)) == [AnomalyKind.UNKNOWN_STATUS]


@pytest.mark.parametrize("known", ["running", "completed"])
def test_replicas_that_differ_about_an_unknown_status_raise_it_once(known: str):
    """Whichever of two replicas lags: what they show in turn is one beginning, and one end."""
    scene = Scene()
    scene.see(known, 0.0)
    for sent in (10.0, 12.0, 14.0):
        scene.see("weird", sent)
        scene.see(known, sent + 1.0)
    assert raised(scene.events) == [AnomalyKind.UNKNOWN_STATUS]
    scene.see("weird", 20.0)
    scene.see(known, 25.0)
    assert cleared(scene.events) == [AnomalyKind.UNKNOWN_STATUS]
    scene.see("weird", 26.0)
    scene.see(known, 27.0)
    scene.see("weird", 29.9)
    assert raised(scene.events) == [AnomalyKind.UNKNOWN_STATUS]
    assert raised(scene.see("weird", 30.0)) == [AnomalyKind.UNKNOWN_STATUS]


def test_an_overtaken_answer_neither_raises_nor_ends_an_unknown_status():
    """What was sent before is older than what is known."""
    scene = Scene()
    scene.see("running", 5.0, takes=2.0)
    assert scene.see("weird", 6.0, takes=2.0) == []
    assert scene.tracker.counts.stale == 1
    assert raised(scene.see("weird", 8.0)) == [AnomalyKind.UNKNOWN_STATUS]
    assert scene.see("running", 7.5, takes=2.0) == []
    assert scene.tracker.open_anomalies("e") == (AnomalyKind.UNKNOWN_STATUS,)


def test_an_unknown_status_at_first_sight():
    """An execution first seen in an unknown status has none; its first known one is its first sight."""
    scene = Scene()
    assert raised(scene.see("weird", 0.0)) == [AnomalyKind.UNKNOWN_STATUS]
    assert scene.tracker.status("e") is None
    events = scene.see("running", 1.0)
    assert moved(events) == [(None, "running")]
    assert [event.seq for event in scene.events] == [1, 2, 3]


def test_blind_by_silence():
    """Nothing seen for five minutes is raised once, for the monitor as a whole, and ends with the next good answer."""
    scene = Scene(stuck_queued_s=None, blind_s=300.0)
    scene.see("queued", 0.0)
    assert scene.tick(299.0) == []
    (detected,) = scene.tick(300.0)
    assert isinstance(detected, AnomalyDetected)
    assert (detected.kind, detected.severity, detected.check_first, detected.execution_id, detected.execution) == (
        "blind",
        "critical",
        "connectivity, credentials, rate limits",
        "",
        None,
    )
    assert scene.tick(400.0) == []
    scene.tracker.contact(sent_at=401.0, received_at=402.0)
    assert cleared(scene.tick(403.0)) == [AnomalyKind.BLIND]
    assert raised(scene.tick(800.0)) == [AnomalyKind.BLIND]
    assert [event.id for event in scene.events[1:]] == [":1", ":2", ":3"]


def test_blind_from_the_beginning():
    """A monitor that never had an answer is blind five minutes after it began."""
    scene = Scene(blind_s=300.0)
    assert scene.tick(1000.0) == []
    assert scene.tick(1299.0) == []
    assert raised(scene.tick(1300.0)) == [AnomalyKind.BLIND]


def test_blind_by_falling_behind():
    """A monitor whose reads are five minutes late against its own plan is blind until it catches up."""
    scene = Scene(blind_s=300.0)
    scene.see("running", 0.0)
    assert scene.tick(1.0, behind_s=299.0) == []
    (detected,) = scene.tick(2.0, behind_s=300.0)
    assert isinstance(detected, AnomalyDetected)
    assert "late" in detected.message
    assert scene.tick(3.0, behind_s=400.0) == []
    assert cleared(scene.tick(4.0, behind_s=10.0)) == [AnomalyKind.BLIND]


def test_blind_may_be_switched_off():
    """Without the threshold silence is no anomaly."""
    scene = Scene(blind_s=None)
    scene.see("running", 0.0)
    assert scene.tick(1e6, behind_s=1e6) == []


def test_an_older_answer_does_not_turn_the_clock_of_sight_back():
    """Answers taken in out of order count by the latest of them."""
    scene = Scene(blind_s=300.0)
    scene.see("running", 100.0, takes=1.0)
    scene.see("running", 50.0, takes=1.0, name="other")
    assert raised(scene.tick(400.0)) == []
    assert raised(scene.tick(401.0)) == [AnomalyKind.BLIND]


def test_a_review_that_is_due_again_at_once_waits_for_the_next_tick():
    """A flip whose window ends at the very time of a tick, but for the rounding of floats, does not hang it."""
    scene = Scene(stuck_queued_s=None)
    scene.see("queued", 1e-20)
    scene.see("paused", 1e-20)
    assert raised(scene.events) == [AnomalyKind.UNEXPECTED_FLIP]
    assert scene.tick(600.0) == []
    assert scene.tick(601.0) == []


def test_a_task_that_is_told_late_brings_its_own_threshold():
    """An execution whose task is not known at first is held against that task's thresholds once it is."""
    scene = Scene(tasks={"t": Thresholds(stuck_running_s=60.0)})
    scene.see("running", 0.0)
    scene.see("running", 10.0, task_id="t")
    scene.see("running", 64.0)
    assert scene.tick(65.0) == []
    assert raised(scene.see("running", 66.0)) == [AnomalyKind.STUCK_RUNNING]
