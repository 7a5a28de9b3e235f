"""Plans and scenarios: what is going to be true, as data."""

from __future__ import annotations

from enum import Enum
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from titan_state.core.lifecycle import Lifecycle, Move, Status
from titan_state.emulator import Faults, Plan, Scenario, Step, Task, TaskServiceEmulator, When
from titan_state.emulator.stories import KINDS
from titan_state.errors import ConfigurationError


def test_timeline_adds_up_the_steps():
    """A plan says when it enters which status, counted from its creation."""
    plan = Plan(created_after_s=2, steps=[Step("running", 1), Step("running", 1), Step(Status.COMPLETED, 3)])
    assert plan.timeline() == ((2, "queued"), (3, "running"), (7, "completed"))
    assert type(plan.timeline()[2][1]) is str
    assert [plan.status_at(at) for at in (1, 2, 6.9, 7, 100)] == [None, "queued", "running", "completed", "completed"]
    assert plan.final == "completed"
    assert plan.running_s() == 4


def test_a_member_of_any_enumeration_is_its_text():
    """A user's own enumeration of statuses, also one that is older than `StrEnum`, means its values."""

    class Own(str, Enum):  # noqa: UP042 - what older code has: its `str()` is the member's name
        ASSIGNED = "assigned"

    plan = Plan(initial=Own.ASSIGNED, steps=[Step(Own.ASSIGNED), Step(Status.RUNNING, 1)])
    assert plan.timeline() == ((0, "assigned"), (1, "running"))
    assert {type(status) for _, status in plan.timeline()} == {str}


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
    moves = [Move("throttle", "running", "throttled"), Move("go_on", "throttled", "running")]
    model = Lifecycle.default().extend(statuses=["throttled"], moves=moves)
    assert Plan(steps=[Step("running"), Step("throttled")]).is_legal(model)


@pytest.mark.parametrize(
    "wrong", [lambda: Step("running", -1), lambda: Plan(created_after_s=-1), lambda: Plan(rows=-1)]
)
def test_negative_numbers_are_refused(wrong):
    """Time does not go back, and rows are counted."""
    with pytest.raises(ValueError):
        wrong()


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        (lambda: Plan(steps=((0.0, "running"),)), "steps takes Step(status, after_s), not (0.0, 'running')"),
        (lambda: Plan(steps=["running"]), "steps takes Step(status, after_s), not 'running'"),
        (lambda: Plan(steps="running"), "steps takes a list of Step(status, after_s), not 'running'"),
        (lambda: Plan(steps=Step("running")), "steps takes a list of Step(status, after_s), not Step("),
        (lambda: Plan(steps=5), "steps takes a list of Step(status, after_s), not 5"),
        (lambda: Step(0.0, "running"), "status takes a text, as in Step(status, after_s), not 0.0"),
        (lambda: Step("running", "1"), "after_s takes seconds, 0 or more, not '1'"),
        (lambda: Step("running", float("nan")), "after_s takes seconds, 0 or more, not nan"),
        (lambda: Plan(initial=None), "initial takes the text of a status, not None"),
        (lambda: Plan(results_after_s="soon"), "results_after_s takes seconds, 0 or more, not 'soon'"),
        (lambda: Scenario(Plan()), "plans takes a list of Plan(steps=…), not Plan("),
        (lambda: Scenario([("e", "running")]), "plans takes Plan(steps=…), not ('e', 'running')"),
        (lambda: Scenario(tasks=["t"]), "tasks takes Task(id=…), not 't'"),
        (lambda: Task(template=[Step("running")]), "template takes Plan(steps=…), not [Step("),
        (lambda: Faults(reset="often"), "a fault takes a probability from 0 to 1, numbers of requests such as {1, 3}"),
        (lambda: Faults(reset=3), "or When(…), not 3"),
        (lambda: Faults(reset=None), "or When(…), not None"),
        (lambda: Faults(reset=["GET"]), "at takes numbers of requests, the first is 1, not 'GET'"),
        (lambda: When(at=3), "at takes a list of numbers of requests, the first is 1, not 3"),
        (lambda: When(at={0, 1}), "at takes numbers of requests, the first is 1, not 0"),
        (lambda: Faults(error_statuses=500), "error_statuses takes a list of HTTP statuses, not 500"),
        (lambda: Faults(error_statuses=()), "error_statuses takes at least one HTTP status"),
        (lambda: Faults(late_s="1"), "late_s takes seconds, 0 or more, not '1'"),
        (lambda: TaskServiceEmulator([Plan()]), "scenario takes Scenario(plans), not [Plan("),
        (lambda: TaskServiceEmulator(faults={"reset": 0.5}), "faults takes Faults(…), not {'reset': 0.5}"),
        (lambda: TaskServiceEmulator(lifecycle=Lifecycle), "lifecycle takes a Lifecycle, such as"),
        (lambda: TaskServiceEmulator(unsupported="pause"), "unsupported takes a list of names of actions, not 'pause'"),
        (lambda: TaskServiceEmulator().move("e", None), "move takes the text of a status, not None"),
        (lambda: TaskServiceEmulator().add((Step("running"),)), "add takes Plan(steps=…), not (Step("),
    ],
)
def test_what_is_of_the_wrong_kind_is_refused_where_it_is_written(wrong, told):
    """An error names the argument and what to write, before the service answers something odd."""
    with pytest.raises(ConfigurationError) as raised:
        wrong()
    assert told in str(raised.value)


def test_faults_that_are_set_later_are_checked_too():
    """What goes wrong may be changed at any time, and is refused at that time."""
    service = TaskServiceEmulator()
    with pytest.raises(ConfigurationError, match="a fault takes"):
        service.faults.reset = "often"
    with pytest.raises(ConfigurationError, match="faults takes"):
        service.faults = 0.5
    service.faults.reset = {2, 3}
    assert service.faults.reset == When(at={2, 3})


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
