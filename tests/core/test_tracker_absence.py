"""Absence: when a 404 means that an execution is gone, and when that the monitor sees nothing."""

from __future__ import annotations

from scene import Scene, cleared, date, moved, raised

from titan_state import AnomalyDetected, AnomalyKind


def test_a_seen_execution_vanishes_after_a_second_404():
    """Two 404s the lag apart are `vanished`, raised once; nothing else can be asked of it."""
    scene = Scene()
    scene.see("running", 0.0)
    assert scene.gone(10.0) == []
    assert scene.tracker.needs_confirmation == {"e": 15.0}
    assert scene.gone(14.9) == []
    (detected,) = scene.gone(15.0)
    assert isinstance(detected, AnomalyDetected)
    assert (detected.kind, detected.severity, detected.check_first) == (
        "vanished",
        "error",
        "whether it or its task was deleted",
    )
    assert detected.execution is not None
    assert scene.gone(30.0) == []
    assert scene.tracker.has_vanished("e")
    assert not scene.tracker.is_live("e")
    assert not scene.tracker.check("e", "stop")
    assert not scene.tracker.needs_confirmation


def test_a_404_that_was_overtaken_says_nothing():
    """A 404 that was sent before the last good answer was received is stale."""
    scene = Scene()
    scene.see("running", 10.0, takes=2.0)
    scene.gone(11.0, takes=5.0)
    assert not scene.tracker.needs_confirmation


def test_a_good_read_ends_an_absence():
    """An execution that can be read after all was never gone; one that had vanished is back."""
    scene = Scene()
    scene.see("running", 0.0)
    scene.gone(10.0)
    scene.see("running", 12.0)
    assert not scene.tracker.needs_confirmation
    scene.gone(20.0)
    scene.gone(25.0)
    assert cleared(scene.see("running", 30.0)) == [AnomalyKind.VANISHED]
    assert scene.tracker.is_live("e")
    scene.gone(40.0)
    assert raised(scene.gone(45.0)) == [AnomalyKind.VANISHED]


def test_an_older_good_read_does_not_end_it():
    """An answer that was sent before the 404 says nothing about what came after."""
    scene = Scene()
    scene.see("queued", 0.0)
    scene.gone(10.0)
    assert moved(scene.see("running", 9.0, takes=2.0)) == [("queued", "running")]
    assert raised(scene.gone(15.0)) == [AnomalyKind.VANISHED]


def test_older_odd_answers_do_not_replace_an_absence():
    """Neither an unknown status nor a contradiction that was sent before the 404 takes its place."""
    scene = Scene()
    scene.see("running", 0.0)
    scene.gone(10.0)
    scene.gone(15.0)
    assert scene.see("weird", 9.0, takes=7.0) == []
    assert scene.see("queued", 9.0, takes=7.0) == []
    assert cleared(scene.see("running", 20.0)) == [AnomalyKind.VANISHED]


def test_an_older_404_does_not_replace_a_contradiction():
    """A 404 that was sent before a held contradiction is stale."""
    scene = Scene()
    scene.see("running", 0.0)
    scene.see("queued", 10.0)
    assert scene.gone(9.0, takes=2.0) == []
    assert scene.tracker.needs_confirmation == {"e": 15.0}
    assert moved(scene.see("queued", 15.0)) == [("running", "queued")]


def test_an_execution_never_seen_has_a_grace():
    """An id that stays 404 beyond 10 s is missing, and `vanished` says that the service does not know it."""
    scene = Scene()
    assert scene.gone(0.0) == []
    assert scene.tracker.needs_confirmation == {"e": 10.0}
    assert scene.gone(9.9) == []
    assert not scene.tracker.is_missing("e")
    (detected,) = scene.gone(10.0)
    assert isinstance(detected, AnomalyDetected)
    assert (detected.kind, detected.execution) == (AnomalyKind.VANISHED, None)
    assert "does not know" in detected.message
    assert scene.tracker.is_missing("e")
    assert list(scene.tracker.snapshots()) == []
    events = scene.see("queued", 20.0)
    assert cleared(events) == [AnomalyKind.VANISHED]
    assert moved(events) == [(None, "queued")]
    assert not scene.tracker.is_missing("e")


def test_a_new_execution_may_be_unreadable_for_a_moment():
    """A 404 before the first sight, within the grace, is forgotten."""
    scene = Scene()
    scene.gone(0.0)
    assert moved(scene.see("queued", 5.0)) == [(None, "queued")]
    assert raised(scene.events) == []


def test_a_finished_execution_may_be_deleted():
    """What has finished is not missed; it stays known as finished, and nothing awaits confirmation."""
    scene = Scene()
    scene.see("completed", 0.0)
    scene.see("running", 10.0)
    assert scene.gone(12.0) == []
    assert scene.gone(20.0) == []
    assert not scene.tracker.needs_confirmation
    assert scene.tracker.is_finished("e")
    assert scene.tracker.snapshot("e") is not None
    scene.tick(1000.0)
    assert scene.tracker.snapshot("e") is None
    assert scene.gone(1001.0) == []
    assert len(scene.tracker) == 0
    assert scene.tracker.is_finished("e")


def test_an_overtaken_404_does_not_spare_a_finished_execution_its_confirmation():
    """A 404 that is older than what was applied ends no suspicion."""
    scene = Scene()
    scene.see("completed", 0.0, takes=5.0)
    scene.see("running", 12.0)
    scene.gone(4.0, takes=20.0)
    assert list(scene.tracker.needs_confirmation) == ["e"]


def test_an_end_that_is_seen_late_explains_an_absence():
    """An answer from before the 404 that shows the end: it finished and was deleted, and is not missed any more."""
    scene = Scene()
    scene.see("running", 0.0)
    scene.gone(10.0)
    scene.gone(15.0)
    events = scene.see("completed", 9.0, takes=10.0)
    assert moved(events) == [("running", "completed")]
    assert cleared(events) == [AnomalyKind.VANISHED]
    assert not scene.tracker.needs_confirmation
    assert scene.tick(2000.0) == []
    assert len(scene.tracker) == 0


def test_many_at_once_are_one_blindness():
    """Five executions that answer 404, with nothing else seen since, are `blind` once and not `vanished` each."""
    scene = Scene(blind_s=300.0)
    names = [f"e{number}" for number in range(5)]
    for name in names:
        scene.see("running", 0.0, name=name)
    for name in names:
        scene.gone(10.0, name=name)
    for name in names:
        scene.gone(20.0, name=name)
    assert raised(scene.events) == [AnomalyKind.BLIND]
    assert scene.tracker.open_anomalies("") == (AnomalyKind.BLIND,)
    assert scene.tracker.needs_confirmation == dict.fromkeys(names, 80.0)
    assert scene.tick(21.0) == []
    assert scene.tracker.is_live("e0")
    for name in names:
        scene.see("running", 30.0, name=name)
    assert not scene.tracker.needs_confirmation
    assert cleared(scene.tick(31.0)) == [AnomalyKind.BLIND]


def test_many_at_once_while_others_are_seen_have_vanished():
    """With something else seen meanwhile the monitor is not blind: they are gone."""
    scene = Scene(blind_s=300.0)
    names = [f"e{number}" for number in range(5)]
    for name in names:
        scene.see("running", 0.0, name=name)
    for name in names:
        scene.gone(10.0, name=name)
    scene.tracker.contact(sent_at=12.0, received_at=12.5)
    for name in names:
        scene.gone(20.0, name=name)
    assert raised(scene.events) == [AnomalyKind.VANISHED] * 5


def test_many_at_once_have_vanished_where_blindness_is_switched_off():
    """Without the rule of blindness each is told by itself."""
    scene = Scene(blind_s=None)
    names = [f"e{number}" for number in range(5)]
    for sent in (0.0, 10.0):
        for name in names:
            scene.gone(sent, name=name)
    assert raised(scene.events) == [AnomalyKind.VANISHED] * 5


def test_the_finished_do_not_count_among_many():
    """An absence that turned out to be an end counts no longer."""
    scene = Scene(blind_s=300.0)
    names = [f"e{number}" for number in range(5)]
    for name in names:
        scene.see("running", 0.0, name=name)
        scene.gone(10.0, name=name)
    scene.see("completed", 9.0, takes=2.0, name="e0")
    scene.tracker.forget("e1", at=12.0)
    for name in names[2:]:
        scene.gone(20.0, name=name)
    assert raised(scene.events) == [AnomalyKind.VANISHED] * 3


def test_a_vanished_execution_is_let_go_some_time_after_the_last_404():
    """While it is still asked for it stays raised, once; what remains of it later is enough to end that."""
    scene = Scene()
    scene.see("running", 0.0)
    for sent in (10.0, 15.0, 600.0):
        scene.gone(sent)
    assert scene.tick(1000.0) == []
    assert scene.gone(1001.0) == []
    assert scene.tracker.has_vanished("e")
    scene.tick(2000.0)
    assert len(scene.tracker) == 0
    assert not scene.tracker.needs_confirmation
    assert scene.gone(2001.0) == []
    scene.tick(4000.0)
    assert len(scene.tracker) == 0
    (ended,) = scene.see("running", 4001.0)
    assert cleared([ended]) == [AnomalyKind.VANISHED]
    assert (ended.id, ended.since) == ("e:3", date(15.0))
    assert moved(scene.see("completed", 4002.0)) == [("running", "completed")]


def test_a_vanished_execution_that_was_let_go_comes_back_in_any_status():
    """What is seen of it goes on from the status it was in, is of its task, and ends what was raised."""
    scene = Scene(stuck_queued_s=50.0)
    scene.see("queued", 0.0, task_id="t")
    scene.see("queued", 60.0)
    scene.tick(60.0)
    scene.gone(70.0)
    scene.gone(75.0)
    assert raised(scene.events) == [AnomalyKind.STUCK_QUEUED, AnomalyKind.VANISHED]
    scene.tick(2000.0)
    assert len(scene.tracker) == 0
    assert scene.tracker.task_of("e") == "t"
    events = scene.see("completed", 2001.0)
    assert moved(events) == [("queued", "running"), ("running", "completed")]
    assert set(cleared(events)) == {AnomalyKind.STUCK_QUEUED, AnomalyKind.VANISHED}
    assert scene.tracker.task_of("e") == "t"
    scene.tick(4000.0)
    assert len(scene.tracker) == 0
    assert scene.see("completed", 4001.0) == []


def test_an_execution_that_was_never_there_is_vanished_once():
    """Its absence is told once, however long nobody asks in between, and ends at its first sight."""
    scene = Scene()
    for sent in (0.0, 20.0, 2000.0, 2020.0):
        scene.gone(sent)
        scene.tick(sent + 1000.0)
    assert raised(scene.events) == [AnomalyKind.VANISHED]
    events = scene.see("running", 4000.0)
    assert moved(events) == [(None, "running")]
    assert cleared(events) == [AnomalyKind.VANISHED]
