"""Durations: what is learned of how long executions stay in a status, and how little is believed before."""

from __future__ import annotations

from math import exp
from random import Random

import pytest

from titan_state.core.tracking.durations import MOST_TASKS, OTHERWISE_S, REMEMBERED, TYPICAL_S, Curve, Durations


def stays(durations, task, lengths, status="running"):
    for length in lengths:
        durations.stayed(task, status, 0.0, length)
        durations.left(task, status, length)


def test_without_stays_the_prior_is_told():
    """It is memoryless, with the mean of the status; another status has one, too."""
    durations = Durations()
    assert durations.curve("t", "queued") == Curve(TYPICAL_S["queued"], 1.0)
    assert durations.curve("t", "packing") == Curve(OTHERWISE_S, 1.0)
    assert durations.ended("t", "queued") == 0.0


@pytest.mark.parametrize(("shape", "least", "most"), [(0.5, 0.5, 0.7), (1.0, 1.0, 1.0), (11.0, 8.0, 16.0)])
def test_the_shape_is_learned(shape, least, most):
    """Heavy tails, memoryless and narrow durations are told apart, and the scale is close."""
    rng = Random(5)
    durations = Durations()
    stays(durations, "t", [rng.weibullvariate(1800.0, shape) for _ in range(200)])
    curve = durations.curve("t", "running")
    assert least <= curve.shape <= most
    assert curve.scale == pytest.approx(1800.0, rel=0.35)


def test_a_task_without_stays_of_its_own_has_those_of_all():
    """What other tasks do is the best guess, until it has shown something else."""
    durations = Durations()
    stays(durations, "slow", [3600.0] * 50)
    assert durations.curve("new", "running").scale == pytest.approx(3600.0, rel=0.1)
    stays(durations, "new", [20.0] * 50)
    assert durations.curve("new", "running").scale < 60.0
    assert durations.curve("slow", "running").scale > 3000.0


def test_stays_that_are_seen_in_part_do_not_mislead():
    """Executions of any age, watched for a while: those that end then are old, and still nothing is narrow."""
    rng = Random(3)
    durations = Durations()
    for _ in range(1500):
        age, left = rng.expovariate(1 / 1800.0), rng.expovariate(1 / 1800.0)
        durations.stayed("t", "running", age, age + min(left, 300.0))
        if left < 300.0:
            durations.left("t", "running", age + left)
    assert durations.curve("t", "running").shape == 1.0
    assert durations.curve("t", "running").scale == pytest.approx(1800.0, rel=0.2)


def test_what_a_task_did_long_ago_counts_less():
    """When its executions become quick, that is learned though there were many slow ones."""
    durations = Durations()
    stays(durations, "t", [1000.0] * 2000)
    stays(durations, "t", [10.0] * 2000)
    assert durations.ended("t", "running") <= REMEMBERED
    assert durations.curve("t", "running").scale < 100.0


def test_too_many_tasks_share_one_sample(monkeypatch):
    """A service that names tasks without end does not fill the memory."""
    monkeypatch.setattr("titan_state.core.tracking.durations.MOST_TASKS", 3)
    assert MOST_TASKS > 3
    durations = Durations()
    for number in range(10):
        stays(durations, f"t{number}", [50.0])
    assert durations.ended("t9", "running") == 0.0
    assert durations.curve("t9", "running").scale < TYPICAL_S["running"]


def test_nothing_is_learned_of_no_time():
    """A stay that begins after its end, or at it, says nothing."""
    durations = Durations()
    durations.stayed("t", "running", 5.0, 5.0)
    durations.stayed("t", "running", 5.0, 4.0)
    assert durations.curve("t", "running").scale == pytest.approx(TYPICAL_S["running"])


@pytest.mark.parametrize("shape", [0.5, 1.0, 4.0])
def test_a_curve_is_consistent(shape):
    """Its hazard is the derivative of what accumulates, and a scale is reached by 37 %."""
    curve = Curve(100.0, shape)
    assert exp(-curve.between(0.0, 100.0)) == pytest.approx(exp(-1))
    step = 1e-4
    assert curve.between(80.0, 80.0 + step) / step == pytest.approx(curve.hazard(80.0), rel=1e-3)
