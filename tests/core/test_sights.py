"""Sights: what a board shows of an execution, from what is kept in full, from a note, and from a journal's row."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import pytest

from titan_state import Execution, Lifecycle, Thresholds, Tracker
from titan_state.core.tracking.record import Record
from titan_state.core.tracking.retention import Baseline
from titan_state.core.tracking.sights import Sight, of_row

EPOCH = datetime(2026, 1, 1, tzinfo=UTC)
ZERO = EPOCH.timestamp()
MODEL = Lifecycle.default()


@pytest.fixture
def tracker():
    """A tracker whose clock is zero at the beginning of a year; what is finished is let go after a minute."""
    made = Tracker(thresholds=Thresholds(retention_s=60), epoch=EPOCH)
    made.remember_changes()
    return made


def seen(tracker, status, at, name="e", **fields):
    return tracker.observe(Execution(name, status, **fields), sent_at=at - 0.5, received_at=at)


def date(seconds):
    return EPOCH + timedelta(seconds=seconds)


def rows(tracker):
    return [of_row(row, MODEL.knows, MODEL.terminal) for row in tracker.take_changes().records]


def test_a_live_execution(tracker):
    """Since when it is in its status is told by the service's own date where that is earlier, and what it is at."""
    seen(tracker, "running", 30, task_id="t", created_at=date(1), started_at=date(4), phase="fetching", progress=40.0)
    expected = Sight(
        "e", "t", "running", since=ZERO + 4, phase="fetching", progress=40, seen=ZERO + 30, created_at=ZERO + 1
    )
    assert tracker.sight("e") == expected
    assert list(tracker.sights()) == [expected]


def test_an_execution_that_came_back_to_its_status(tracker):
    """One that was resumed runs since then, whatever the service says of when it began; so it is after a restart."""
    for status, at in (("running", 10), ("paused", 20), ("paused", 30), ("running", 40), ("running", 50)):
        seen(tracker, status, at, started_at=date(4))
    sight = tracker.sight("e")
    assert sight.since == ZERO + 50
    state = tracker.take_changes()
    assert [of_row(row, MODEL.knows, MODEL.terminal) for row in state.records] == [sight]
    again = Tracker(epoch=EPOCH)
    again.restore(state, now=60)
    assert again.sight("e") == sight


@pytest.mark.parametrize("dates", [{}, {"created_at": date(1)}, {"created_at": date(1), "started_at": date(4)}])
def test_it_came_back_whatever_the_service_dates(tracker, dates):
    """Also one that came back to queued, and one of which the service tells later when it began, or never."""
    for status, at in (("queued", 5), ("running", 20), ("queued", 30), ("queued", 40), ("queued", 50)):
        seen(tracker, status, at, **{name: value for name, value in dates.items() if status != "running"})
    assert (tracker.sight("e").status, tracker.sight("e").since) == ("queued", ZERO + tracker.since("e"))
    assert tracker.since("e") >= 30
    for status, at in (("running", 60), ("paused", 70), ("paused", 80), ("running", 90), ("running", 100)):
        seen(tracker, status, at)
    seen(tracker, "running", 110, task_id="t", **dates)
    assert tracker.sight("e").since == ZERO + 100
    assert tracker.snapshot("e").started_at == dates.get("started_at")
    state = tracker.take_changes()
    again = Tracker(epoch=EPOCH)
    again.restore(state, now=120)
    assert again.sight("e").since == ZERO + 100
    assert again.snapshot("e").started_at == dates.get("started_at")


def test_credentials_in_a_phase_are_not_shown(tracker):
    """What a service writes into the phase is shown without credentials, also from a journal."""
    for at in (10, 20):
        seen(tracker, "running", at, phase=f"reading https://x.example/y?token=sk_live_{at}")
    assert tracker.sight("e").phase == "reading https://x.example/y?token=[redacted]"
    assert [one.phase for one in rows(tracker)] == [tracker.sight("e").phase]


def test_a_finished_execution(tracker):
    """It is over, since its end by the service's date, and a journal's row says the same."""
    seen(tracker, "running", 10, task_id="t")
    seen(tracker, "completed", 20, task_id="t", finished_at=date(15))
    sight = tracker.sight("e")
    assert (sight.status, sight.since, sight.seen, sight.is_over) == ("completed", ZERO + 15, ZERO + 20, True)
    assert rows(tracker) == [sight]


def test_only_what_was_seen_since(tracker):
    """A board that looks again is told of what was seen meanwhile only."""
    seen(tracker, "running", 10, "a")
    seen(tracker, "running", 20, "b")
    assert [one.id for one in tracker.sights(15)] == ["b"]
    assert [one.id for one in tracker.sights(25)] == []


def test_an_execution_that_is_gone(tracker):
    """Its last status is not true any more: it is said to have vanished, with the anomaly."""
    seen(tracker, "running", 10)
    for at in (20, 40):
        tracker.absent("e", sent_at=at, received_at=at + 1)
    sight = tracker.sight("e")
    assert (sight.status, sight.since, sight.is_over) == ("vanished", ZERO + 41, True)
    assert sight.anomalies == (("vanished", ZERO + 41),)
    assert rows(tracker) == [sight]


def test_a_status_outside_the_model(tracker):
    """It is shown as the service says it, and is not over."""
    seen(tracker, "throttled", 10)
    sight = tracker.sight("e")
    assert (sight.status, sight.is_over, [kind for kind, _ in sight.anomalies]) == (
        "throttled",
        False,
        ["unknown_status"],
    )


def test_a_status_outside_the_model_after_one_of_it(tracker):
    """What the service says now is shown, since that was noticed; and the known status again once it says so."""
    seen(tracker, "running", 10)
    seen(tracker, "on_hold", 20)
    sight = tracker.sight("e")
    assert (sight.status, sight.since, sight.is_over) == ("on_hold", ZERO + 20, False)
    assert rows(tracker) == [sight]
    seen(tracker, "running", 40)
    assert (tracker.sight("e").status, tracker.sight("e").anomalies) == ("running", ())


def test_only_what_was_noted_since(tracker):
    """A board that looks again is told only of what was let go or adopted meanwhile, the latest first."""
    for number in range(4):
        old = Execution(f"old-{number}", "completed", finished_at=date(-500))
        tracker.observe(old, sent_at=21, received_at=22, baseline=Baseline(date(0)))
    assert tracker.noted == 4
    assert [one.id for one in tracker.sights_of_notes(2, most=9)] == ["old-3", "old-2"]
    assert [one.id for one in tracker.sights_of_notes(most=3)] == ["old-3", "old-2", "old-1"]
    assert list(tracker.sights_of_notes(4, most=9)) == []


def test_what_was_never_seen(tracker):
    """There is nothing to show of it, nor of what nobody knows."""
    tracker.absent("e", sent_at=1, received_at=2)
    assert tracker.sight("e") is None
    assert list(tracker.sights()) == []
    for at in (15, 30):  # the service goes on saying that there is no such execution
        tracker.absent("e", sent_at=at, received_at=at + 1)
    tracker.tick(31)
    assert (tracker.sight("e").status, tracker.sight("e").is_over) == ("vanished", True)
    assert tracker.sight("x") is None


def test_what_remains_of_an_execution(tracker):
    """One that is not kept in full any more is still shown as finished, and so is one that was adopted silently."""
    seen(tracker, "running", 10, task_id="t")
    seen(tracker, "failed", 20, task_id="t", finished_at=date(15))
    old = Execution("old", "completed", task_id="t", finished_at=date(-500))
    tracker.observe(old, sent_at=21, received_at=22, baseline=Baseline(date(0)))
    tracker.tick(200)
    assert tracker.record("e") is None
    notes = {one.id: one for one in tracker.sights_of_notes(most=9)}
    assert notes == {
        "e": Sight("e", "t", "failed", is_over=True),
        "old": Sight("old", "t", "completed", is_over=True),
    }
    assert tracker.sight("e") == notes["e"]
    written = {one.id: one for one in rows(tracker)}
    assert written["e"].since == ZERO + 15
    assert written["old"].is_over


def test_what_nobody_watches_is_not_shown(tracker):
    """An execution that was let go while it lived is not shown as anything."""
    seen(tracker, "running", 10)
    tracker.forget("e", at=12)
    assert tracker.sight("e") is None
    assert list(tracker.sights_of_notes(most=9)) == []
    assert rows(tracker) == [None]


def test_a_row_of_the_monitor_itself_is_none():
    """The monitor's own record is no execution."""
    assert of_row(("", *(None,) * 15), MODEL.knows, MODEL.terminal) is None


def test_a_sight_survives_json(tracker):
    """It can be sent as a list, and is the same again."""
    seen(tracker, "running", 10, progress=12.5)
    for at in (20, 40):
        tracker.absent("e", sent_at=at, received_at=at + 1)
    sight = tracker.sight("e")
    assert Sight.of_row(json.loads(json.dumps(sight.row()))) == sight


def test_a_long_phase_is_cut(tracker):
    """A board has no room for a service's novel."""
    seen(tracker, "running", 10, phase="x" * 5000)
    assert len(tracker.sight("e").phase) == 80


def test_whose_status_is_unknown_has_no_row():
    """A record without a status has nothing to show, also if it is only of a journal."""
    record = Record("e")
    assert record.snapshot() is None
    row = ("e", "", *(None,) * 6, 0, None, None, None, 0, None, None, None)
    assert of_row(row, MODEL.knows, MODEL.terminal) is None


def test_the_monitor_says_when_it_saw_something(tracker):
    """When the service last answered is known, and since when the monitor is blind."""
    assert tracker.answered_at is None
    assert tracker.blind_since is None
    seen(tracker, "running", 10)
    tracker.rest(15)  # nothing was to be read: that is no answer
    assert tracker.answered_at == date(10)
    tracker.tick(1000)
    assert tracker.blind_since == date(1000)
