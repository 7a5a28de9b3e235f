"""Outlook: when executions are likely to change, by their age, their task's past and their progress."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from math import inf, sqrt

import pytest
from scene import Scene

from titan_state import Execution
from titan_state.core.tracking.durations import Curve
from titan_state.core.tracking.outlook import ACTION_RATE, Forecast
from titan_state.core.tracking.record import Intent, Record
from titan_state.core.tracking.retention import Baseline

EPOCH = datetime(2026, 1, 1, tzinfo=UTC)


def date(seconds):
    return EPOCH + timedelta(seconds=seconds)


@pytest.fixture
def scene():
    scene = Scene()
    scene.tracker.anchor(EPOCH, 0.0)
    return scene


def observe(scene, status, at, *, name="e", baseline=None, **fields):
    execution = Execution(name, status, "t", **fields)
    return scene.tracker.observe(execution, sent_at=at, received_at=at, baseline=baseline)


def memoryless(count=1, mean=600.0, seen=0.0):
    forecast = Forecast()
    for _ in range(count):
        forecast.add(Curve(mean, 1.0), 0.0, seen, 0.0)
    return forecast


def test_worth_grows_with_the_square_of_time():
    """With a constant hazard it is L t^2 / 2, as long as little of it has passed."""
    forecast = memoryless(10)
    assert forecast.worth(6.0) == pytest.approx(10 / 600.0 * 6.0**2 / 2, rel=0.02)
    due, worth, scale = forecast.due(0.0, 0.3, 1e4)
    assert due == pytest.approx(sqrt(2 * 0.3 * 600 / 10), rel=0.05)
    assert worth == pytest.approx(0.3, rel=0.06)
    assert scale == pytest.approx(due, rel=0.1)


def test_narrow_durations_are_looked_at_when_they_are_about_to_end():
    """Long before their end a look is worth nothing; past it, it is worth more than anything."""
    forecast = Forecast()
    forecast.add(Curve(1800.0, 11.0), 0.0, 100.0, 0.0)
    assert forecast.worth(300.0) < 1e-6
    due, _, _ = forecast.due(100.0, 20.0, 1e5)
    assert 1400.0 < due < 1900.0
    assert forecast.worth(1e5) == inf


def test_what_never_changes_is_due_at_the_bound():
    """Where nothing is expected the longest time counts."""
    assert Forecast().due(5.0, 1.0, 60.0)[0] == 65.0
    assert Forecast().worth(100.0) == 0.0
    assert memoryless(1, mean=1e12).due(0.0, 10.0, 60.0)[0] == 60.0


def test_others_count_as_changes():
    """New executions that are expected make a look worth it, as live ones do."""
    forecast = Forecast(0.5, 10.0)
    assert forecast.expected(14.0) == (2.0, 0.5)


def test_an_execution_that_is_listed_has_its_age(scene):
    """Ages are counted from its own dates, by the service's clock."""
    served = date(0.0) + timedelta(hours=1)
    scene.tracker.contact(sent_at=0.0, received_at=0.0, served_at=served)
    observe(scene, "running", 0.0, started_at=served - timedelta(seconds=90))
    record = scene.tracker.record("e")
    assert scene.tracker.outlook.began(record) == pytest.approx(-90.0, abs=1.0)


def test_a_date_in_the_future_is_no_age(scene):
    """Since when it was seen in its status counts then."""
    observe(scene, "running", 10.0, started_at=date(500.0))
    assert scene.tracker.outlook.began(scene.tracker.record("e")) == 10.0


def test_past_runs_teach_how_long_the_next_one_takes(scene):
    """Executions that had finished before the watch say when a live one is about to end."""
    baseline = Baseline(date(0.0))
    for number in range(60):
        begun = -4000.0 + number
        dates = {
            "created_at": date(begun - 5.0),
            "started_at": date(begun),
            "finished_at": date(begun + 600.0 + number),
        }
        observe(scene, "completed", 1.0, name=f"past{number}", baseline=baseline, **dates)
    curve = scene.tracker.outlook.durations.curve("t", "running")
    assert curve.shape > 4.0
    assert 550.0 < curve.scale < 700.0
    assert scene.tracker.outlook.durations.ended("t", "queued") == 60.0
    observe(scene, "running", 2.0, name="young", started_at=date(0.0), baseline=baseline)
    observe(scene, "running", 2.0, name="old", started_at=date(-600.0), baseline=baseline)
    outlook = scene.tracker.outlook
    young, old = (outlook.forecast([scene.tracker.record(name)], 2.0).expected(30.0)[0] for name in ("young", "old"))
    assert old > 100 * young


def test_progress_tells_more_than_age_once_it_has_proved_true(scene):
    """Executions of very different length whose progress is steady: the end of the next one is foretold by it."""
    at = 0.0
    for number, length in enumerate((100.0, 1000.0, 300.0, 2000.0, 150.0, 700.0, 60.0, 1500.0, 400.0, 900.0) * 2):
        name = f"run{number}"
        for share in (0.0, 0.3, 0.6):
            observe(scene, "running", at + share * length, name=name, progress=100.0 * share, started_at=date(at))
        observe(scene, "completed", at + length, name=name, progress=100.0, finished_at=date(at + length))
        at += length
    for name, progress in (("fast", 90.0), ("slow", 10.0)):
        observe(scene, "running", at + 1.0, name=name, started_at=date(at - 90.0))
        observe(scene, "running", at + 10.0, name=name, progress=progress)
    outlook = scene.tracker.outlook
    fast, slow = (
        outlook.forecast([scene.tracker.record(name)], at).expected(at + 30.0)[0] for name in ("fast", "slow")
    )
    assert fast > 0.8
    assert slow < 0.1


def test_progress_may_be_a_share(scene):
    """Where it never exceeds 1 it is one of 1."""
    observe(scene, "running", 0.0)
    observe(scene, "running", 50.0, progress=0.5)
    observe(scene, "completed", 100.0)
    assert scene.tracker.outlook.foretold.ended("t", "running") == 1.0


def test_an_action_that_is_to_take_effect_raises_the_hazard():
    """For half a minute; an effect that has shown, or an old action, does not."""
    outlook = Scene().tracker.outlook
    record = Record("e", status="running", since=0.0, seen_sent=10.0)
    calm = outlook.forecast([record], 10.0).expected(10.0)[1]
    record.uncommon().intents.append(Intent("pause", 9.0))
    assert outlook.forecast([record], 10.0).expected(10.0)[1] == pytest.approx(calm + ACTION_RATE)
    assert outlook.forecast([record], 60.0).expected(10.0)[1] == pytest.approx(calm)
    record.rare.intents[0].shown = True
    assert outlook.forecast([record], 10.0).expected(10.0)[1] == pytest.approx(calm)
