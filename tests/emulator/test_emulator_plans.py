"""Plans and scenarios: what is going to be true, as data."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from titan_state.core.lifecycle import Lifecycle, Move, Status
from titan_state.emulator import Plan, Scenario, Step
from titan_state.emulator.stories import KINDS


def test_timeline_adds_up_the_steps():
    """A plan says when it enters which status, counted from its creation."""
    plan = Plan(created_after_s=2, steps=[Step("running", 1), Step("running", 1), Step(Status.COMPLETED, 3)])
    assert plan.timeline() == ((2, "queued"), (3, "running"), (7, "completed"))
    assert type(plan.timeline()[2][1]) is str
    assert [plan.status_at(at) for at in (1, 2, 6.9, 7, 100)] == [None, "queued", "running", "completed", "completed"]
    assert plan.final == "completed"
    assert plan.running_s() == 4


def test_vanishing_is_the_end():
    """A plan that vanishes has no final status and is not legal."""
    plan = Plan(steps=[Step("running"), Step.vanish(4)])
    assert plan.final is None
    assert plan.status_at(5) is None
    assert not plan.is_legal()


@pytest.mark.parametrize(
    "plan",
    [
        Plan(steps=[Step("running"), Step("completed"), Step("running")]),
        Plan(steps=[Step("throttled")]),
        Plan(steps=[Step("completed")]),
        Plan(initial="running"),
    ],
)
def test_what_the_model_forbids_is_not_legal(plan):
    """A plan is legal only if every change is one move of the model."""
    assert not plan.is_legal()


def test_legality_follows_the_model_given():
    """A deployment's own model decides, where one is given."""
    model = Lifecycle.default().extend(statuses=["throttled"], moves=[Move("throttle", "running", "throttled")])
    assert Plan(steps=[Step("running"), Step("throttled")]).is_legal(model)


@pytest.mark.parametrize(
    "wrong", [lambda: Step("running", -1), lambda: Plan(created_after_s=-1), lambda: Plan(rows=-1)]
)
def test_negative_numbers_are_refused(wrong):
    """Time does not go back, and rows are counted."""
    with pytest.raises(ValueError):
        wrong()


@given(seed=st.integers(0, 10**6), count=st.integers(0, 20))
def test_random_scenarios_are_legal_unless_asked(seed, count):
    """Without a share of illegal ones every random plan is a legal run that ends."""
    scenario = Scenario.random(count, seed=seed)
    assert len(scenario.plans) == count
    assert len({plan.id for plan in scenario.plans}) == count
    assert {plan.task_id for plan in scenario.plans} <= {task.id for task in scenario.tasks}
    for plan in scenario.plans:
        assert plan.is_legal()
        assert plan.final in Lifecycle.default().terminal
        assert plan.note == "legal"


def test_random_scenarios_end_in_every_way():
    """All terminal statuses, and pauses, appear in a larger scenario."""
    plans = Scenario.random(200, seed=1).plans
    assert {plan.final for plan in plans} == Lifecycle.default().terminal
    assert 20 < sum("paused" in str(plan.timeline()) for plan in plans) < 100


def test_random_scenarios_misbehave_on_request():
    """A share of illegal ones brings every kind, and says which is which."""
    plans = Scenario.random(400, seed=2, illegal=0.5, min_stay_s=5.0).plans
    notes = [plan.note for plan in plans]
    assert set(notes) == {"legal", *KINDS}
    assert 150 < len(plans) - notes.count("legal") < 250
    for plan in plans:
        assert all(step.after_s >= 5.0 for step in plan.steps)
        if plan.note in ("leaves_terminal", "vanishes", "unknown_status"):
            assert not plan.is_legal()
        if plan.note == "stuck_queued":
            assert plan.final == "queued"
        if plan.note == "results_late":
            assert plan.results_after_s is None


def test_random_scenarios_take_only_the_kinds_named():
    """A test may ask for one kind of trouble, and not for one that does not exist."""
    plans = Scenario.random(20, seed=3, illegal=1.0, kinds=["flips"]).plans
    assert {plan.note for plan in plans} == {"flips"}
    assert {plan.note for plan in Scenario.random(5, seed=3, illegal=1.0, kinds=()).plans} == {"legal"}
    with pytest.raises(ValueError, match="unknown kinds"):
        Scenario.random(1, seed=1, kinds=["explodes"])


def test_the_same_seed_tells_the_same_story():
    """Scenarios are equal for equal arguments, and differ with the seed."""
    assert Scenario.random(30, seed=7, illegal=0.3) == Scenario.random(30, seed=7, illegal=0.3)
    assert Scenario.random(30, seed=7) != Scenario.random(30, seed=8)
    assert Scenario.demo(seed=1) == Scenario.demo(seed=1)
    assert Scenario.demo(seed=1) != Scenario.demo(seed=2)


def test_demo_shows_every_kind_of_run_long_enough():
    """The demonstration has its cast, and what must be confirmed stays for at least 4 s."""
    scenario = Scenario.demo()
    assert len(scenario.plans) == 12
    assert len(scenario.tasks) == 3
    assert {plan.task_id for plan in scenario.plans} == {task.id for task in scenario.tasks}
    finals = [plan.final for plan in scenario.plans]
    assert {"completed", "completed_with_errors", "failed", "cancelled", "queued", "running", None} == set(finals)
    for note in ("flips by itself", "leaves completed", "unknown status"):
        marks = scenario.plan(note).timeline()[1:]
        assert all(until[0] - since[0] >= 4 for since, until in pairwise(marks)), note
    ends = [plan.timeline()[-1][0] for plan in scenario.plans if plan.note != "long runner"]
    assert 20 <= max(ends) <= 26
    with pytest.raises(KeyError):
        scenario.plan("no such part")
