"""The truth over time: plans are followed, actions and forced moves interfere, history says what was."""

from __future__ import annotations

from datetime import timedelta

import attrs
import pytest

from titan_state.core.lifecycle import Action, Lifecycle, Move
from titan_state.emulator import Plan, Scenario, Settings, Step, Task, TaskServiceEmulator
from titan_state.emulator.backend import SettingOptions
from titan_state.testing import ManualClock

WORK = (Step("running", 1), Step("completed", 10))


def story(service, execution_id):
    return [(entry.status, entry.at, entry.cause) for entry in service.history(execution_id)]


async def test_plans_are_followed_by_the_clock(opened, clock):
    """Nothing happens by itself before the clock says so, and then at the planned time."""
    service, client = await opened(Scenario([Plan(id="a", steps=WORK), Plan(id="b", created_after_s=5)]))
    assert await client.status("a") == "queued"
    assert await client.status("b") == 404
    assert service.history("b") == ()
    await clock.advance(6.5)
    assert await client.status("a") == "running"
    assert story(service, "a") == [("queued", 0, "created"), ("running", 1, "platform")]
    assert story(service, "b") == [("queued", 5, "created")]
    assert service.executions() == {"a": "running", "b": "queued"}
    with pytest.raises(KeyError):
        service.history("unknown")


async def test_speed_makes_scenario_time_run_faster(opened, clock):
    """At speed 10 a second of the clock is ten of the scenario, and wall times follow the clock."""
    service, client = await opened(Scenario([Plan(id="a", steps=WORK)]), speed=10)
    began = clock.now()
    await clock.advance(2)
    assert service.time() == 20
    assert await client.status("a") == "completed"
    assert service.history("a")[-1].wall == began + timedelta(seconds=1.1)


async def test_time_begins_on_entering_and_ends_on_leaving():
    """Before and after `async with` the scenario's time stands still, and the story can still be asked for."""
    clock = ManualClock()
    service = TaskServiceEmulator(Scenario([Plan(id="a", steps=WORK)]), clock=clock)
    await clock.advance(100)
    assert (service.time(), service.url) == (0, "")
    async with service:
        assert service.url.startswith("http://127.0.0.1:")
        await clock.advance(2)
    await clock.advance(100)
    assert service.time() == 2
    assert service.executions() == {"a": "running"}


async def test_time_may_wait_for_the_first_request_that_is_let_in(opened, clock):
    """With `begins_when_asked` a story is told whole to whoever looks late; one without a token does not begin it."""
    service, client = await opened(Scenario([Plan(id="a", steps=WORK)]), begins_when_asked=True)
    await clock.advance(60)
    assert (await client.get("/executions/a", headers={})).status == 401
    await clock.advance(60)
    assert (service.time(), service.executions()) == (0, {"a": "queued"})
    began = clock.now()
    assert await client.status("a") == "queued"
    await clock.advance(1)
    assert await client.status("a") == "running"
    assert [entry.wall for entry in service.history("a")] == [began, began + timedelta(seconds=1)]


async def test_a_request_after_leaving_begins_no_story():
    """Time that has waited for a request stands still for good once the service was left."""
    clock = ManualClock()
    service = TaskServiceEmulator(Scenario([Plan(id="a", steps=WORK)]), clock=clock, begins_when_asked=True)
    async with service:
        await clock.advance(5)
    service._backend.asked()
    await clock.advance(5)
    assert service.time() == 0


async def test_pause_suspends_and_resume_continues_the_plan(opened, clock):
    """The rest of a plan waits while paused by an action, and takes as long as was left."""
    service, client = await opened(Scenario([Plan(id="a", steps=WORK)]))
    await clock.advance(4)
    assert (await client.post("/executions/a/pause")).data["status"] == "paused"
    await clock.advance(100)
    assert (await client.post("/executions/a/resume")).data["status"] == "running"
    await clock.advance(6.9)
    assert await client.status("a") == "running"
    await clock.advance(0.2)
    assert story(service, "a")[2:] == [
        ("paused", 4, "action"),
        ("running", 104, "action"),
        ("completed", 111, "platform"),
    ]


async def test_pause_and_resume_without_a_plan_left(opened):
    """A forced status has no plan to suspend; actions work all the same."""
    service, client = await opened()
    execution_id = service.add(Plan())
    service.move(execution_id, "running")
    for action, dest in (("pause", "paused"), ("resume", "running"), ("stop", "cancelled")):
        assert (await client.post(f"/executions/{execution_id}/{action}")).data["status"] == dest
    assert [cause for _, _, cause in story(service, execution_id)] == ["created", "platform", *["action"] * 3]


async def test_resuming_what_paused_by_itself_leaves_the_plan_alone(opened, clock):
    """A pause of the plan's own does not suspend it."""
    plan = Plan(id="a", steps=[Step("running"), Step("paused", 1), Step("failed", 10)])
    service, client = await opened(Scenario([plan]))
    await clock.advance(2)
    await client.post("/executions/a/resume")
    await clock.advance(9)
    assert story(service, "a")[3:] == [("running", 2, "action"), ("failed", 11, "platform")]


EXTENDED = Lifecycle.default().extend(
    statuses=["assigned", "pausing"],
    moves=[
        Move("assign", "queued", "assigned"),
        Move("start_assigned", "assigned", "running"),
        Move("stop", "assigned", "cancelled", Action.STOP),
        Move("hold", "assigned", "pausing", Action.PAUSE),
        Move("hold", "running", "pausing", Action.PAUSE),
        Move("hold_on", "pausing", "paused", Action.PAUSE),
        Move("expire", "queued", "expired"),
    ],
    terminal=["expired"],
    without=["pause"],
)


async def test_actions_follow_an_extended_model(opened, clock):
    """A deployment's own statuses and moves decide what is legal, and what an action leads to."""
    plan = Plan(id="a", steps=(Step("assigned", 1), Step("running", 5), Step("completed", 10)))
    service, client = await opened(Scenario([plan, attrs.evolve(plan, id="b")]), lifecycle=EXTENDED)
    refused = await client.post("/executions/a/pause")
    assert (refused.status, refused.code) == (409, "CONFLICT")
    await clock.advance(2)
    assert (await client.post("/executions/a/stop")).data["status"] == "cancelled"
    assert (await client.post("/executions/b/pause")).data["status"] == "pausing"
    assert (await client.post("/executions/b/stop")).status == 409
    await clock.advance(100)
    assert (await client.post("/executions/b/pause")).data["status"] == "paused"
    assert (await client.post("/executions/b/resume")).data["status"] == "running"
    await clock.advance(3.9)
    assert await client.status("b") == "running"
    await clock.advance(10.2)
    assert story(service, "a") == [("queued", 0, "created"), ("assigned", 1, "platform"), ("cancelled", 2, "action")]
    assert [status for status, _, _ in story(service, "b")] == [
        "queued",
        "assigned",
        "pausing",
        "paused",
        "running",
        "completed",
    ]


async def test_an_action_makes_its_own_move_and_no_further_one(opened, clock):
    """An execution whose pause leads to a status on the way stays there, its plan suspended, until it is moved."""
    plan = Plan(id="a", steps=(Step("assigned", 1), Step("running", 1), Step("completed", 10)))
    service, client = await opened(Scenario([plan]), lifecycle=EXTENDED)
    await clock.advance(3)
    assert (await client.post("/executions/a/pause")).data["status"] == "pausing"
    await clock.advance(100)
    assert await client.status("a") == "pausing"
    service.move("a", "paused")
    assert (await client.post("/executions/a/resume")).data["status"] == "running"
    assert [entry.cause for entry in service.history("a")[3:]] == ["action", "platform", "action"]


async def test_what_has_not_run_yet_waits(opened, clock):
    """In a status of the model's own before the first `running`, no phase of the work is told."""
    plan = Plan(id="a", steps=(Step("assigned", 1), Step("running", 1)))
    _, client = await opened(Scenario([plan]), lifecycle=EXTENDED)
    await clock.advance(1)
    shown = (await client.get("/executions/a")).data
    assert (shown["status"], shown["phase"]) == ("assigned", "waiting")
    await clock.advance(1)
    assert (await client.get("/executions/a")).data["phase"] == "fetching"


async def test_delayed_actions_follow_an_extended_model(opened, clock):
    """What an action leads to is decided when it takes effect, by the same model."""
    plan = Plan(id="a", steps=(Step("assigned", 1), Step("running", 5)))
    service, client = await opened(Scenario([plan]), lifecycle=EXTENDED, action_delay_s=1)
    await clock.advance(2)
    await client.post("/executions/a/stop")
    await clock.advance(2)
    assert story(service, "a")[-1] == ("cancelled", 3, "action")


async def test_a_status_of_the_model_that_is_terminal_has_an_end(opened, clock):
    """An execution in an added terminal status has finished, and one outside the model is told all the same."""
    plans = [Plan(id="a", steps=[Step("expired")]), Plan(id="b", steps=[Step("throttled")])]
    _, client = await opened(Scenario(plans), lifecycle=EXTENDED)
    await clock.advance(1)
    ended, odd = [(await client.get(f"/executions/{name}")).data for name in "ab"]
    assert ended["finished_at"] == ended["updated_at"]
    assert ended["phase"] is None
    assert (odd["status"], odd["finished_at"]) == ("throttled", None)
    for name in "ab":
        assert (await client.post(f"/executions/{name}/stop")).status == 409


async def test_without_a_model_the_documented_one_decides(opened, clock):
    """The default is the documented Task Service: a status beyond it allows nothing."""
    _, client = await opened(Scenario([Plan(id="a", steps=[Step("assigned", 1)])]))
    await clock.advance(2)
    assert (await client.post("/executions/a/stop")).status == 409


async def test_stop_ends_the_plan(opened, clock):
    """Nothing of the plan happens after an accepted stop."""
    service, client = await opened(Scenario([Plan(id="a", steps=WORK)]))
    assert (await client.post("/executions/a/stop")).data["status"] == "cancelled"
    await clock.advance(100)
    assert story(service, "a") == [("queued", 0, "created"), ("cancelled", 0, "action")]


async def test_actions_take_effect_after_a_delay(opened, clock):
    """With a delay the answer shows the status as it is, and the effect comes later."""
    service, client = await opened(Scenario([Plan(id="a", steps=WORK)]), action_delay_s=2)
    await clock.advance(3)
    assert (await client.post("/executions/a/pause")).data["status"] == "running"
    await clock.advance(3)
    assert story(service, "a")[-1] == ("paused", 5, "action")


async def test_a_delayed_action_that_became_illegal_has_no_effect(opened, clock):
    """The platform may finish, or lose, an execution before an accepted action reaches it."""
    plans = [Plan(id="a", steps=WORK), Plan(id="b", steps=[Step("running", 1), Step.vanish(10)])]
    service, client = await opened(Scenario(plans), action_delay_s=2)
    await clock.advance(10)
    for execution_id in ("a", "b"):
        assert (await client.post(f"/executions/{execution_id}/pause")).status == 200
    await clock.advance(5)
    assert story(service, "a")[-1] == ("completed", 11, "platform")
    assert story(service, "b")[-1] == ("running", 1, "platform")


async def test_move_forces_any_status_and_drops_the_plan(opened, clock):
    """A test may force the truth to anything, and it stays there."""
    service, client = await opened(Scenario([Plan(id="a", steps=WORK)]))
    for status in ("completed", "running", "weird", "weird"):
        await clock.advance(0.25)
        service.move("a", status)
    await clock.advance(100)
    assert await client.status("a") == "weird"
    assert [entry.status for entry in service.history("a")] == ["queued", "completed", "running", "weird"]
    with pytest.raises(KeyError):
        service.move("unknown", "running")


async def test_removed_executions_are_not_found_until_moved(opened):
    """Removing answers 404 and leaves lists and history; a forced move brings it back."""
    service, client = await opened(Scenario([Plan(id="a"), Plan(id="b")]))
    service.remove("a")
    assert await client.status("a") == 404
    assert (await client.post("/executions/a/stop")).code == "NOT_FOUND"
    assert [one["id"] for one in (await client.get("/executions")).data["items"]] == ["b"]
    assert service.executions() == {"b": "queued"}
    assert story(service, "a") == [("queued", 0, "created")]
    service.move("a", "running")
    assert await client.status("a") == "running"


async def test_unknown_statuses_and_vanishing_are_shown_as_planned(opened, clock):
    """A plan may show any text as its status, and then be gone."""
    plan = Plan(id="a", steps=[Step("throttled", 1), Step.vanish(1)])
    _, client = await opened(Scenario([plan]))
    await clock.advance(1)
    assert await client.status("a") == "throttled"
    await clock.advance(1)
    assert await client.status("a") == 404


async def test_added_executions_count_from_now(opened, clock):
    """`add` creates an execution now, or later, under an id of its own."""
    service, _ = await opened()
    await clock.advance(5)
    first = service.add(Plan(steps=WORK))
    second = service.add(Plan(created_after_s=3, task_id="another task"))
    await clock.advance(4)
    assert story(service, first) == [("queued", 5, "created"), ("running", 6, "platform")]
    assert story(service, second) == [("queued", 8, "created")]
    assert "another task" in service.tasks()
    with pytest.raises(ValueError, match="already"):
        service.add(Plan(id=first))


async def test_ids_come_from_the_seed(opened):
    """Services with the same seed give the same ids, others do not."""
    added = []
    for seed in (1, 1, 2):
        service, _ = await opened(seed=seed)
        added.append((service.add(Plan()), *service.tasks()))
    assert added[0] == added[1] != added[2]


async def test_a_story_over_http_is_the_planned_one(opened, clock):
    """What a client sees of a random scenario is what the plans and the history say, illegal runs included."""
    scenario = Scenario.random(25, seed=11, illegal=0.5)
    service, client = await opened(scenario, per_minute=None)
    for _ in range(20):
        await clock.advance(6)
        now = service.time()
        shown = {one["id"]: one["status"] for one in (await client.get("/executions?limit=100")).data["items"]}
        expected = {plan.id: plan.status_at(now) for plan in scenario.plans if plan.status_at(now) is not None}
        assert shown == expected == service.executions()
    for plan in scenario.plans:
        marks = [(at, status) for at, status in plan.timeline() if status is not None]
        assert [(entry.at, entry.status) for entry in service.history(plan.id)] == marks


async def test_scenarios_bring_their_tasks(opened):
    """Tasks are named by the scenario, or by the plans; without any there is one."""
    named, _ = await opened(Scenario(tasks=[Task(id="t", name="Mine")]))
    assert named.tasks() == {"t": "Mine"}
    implied, _ = await opened(Scenario([Plan(task_id="u")]))
    assert list(implied.tasks()) == ["u"]
    empty, _ = await opened()
    assert len(empty.tasks()) == 1


@pytest.mark.parametrize(
    "wrong", [{"speed": 0}, {"list_shape": "heap"}, {"illegal_status": 418}, {"max_limit": 0}, {"run_id_field": "x"}]
)
def test_settings_that_cannot_work_are_refused(wrong):
    """A wrong setting is told at once, an unknown one too."""
    with pytest.raises(ValueError):
        TaskServiceEmulator(**wrong)
    with pytest.raises(TypeError):
        TaskServiceEmulator(colour="red")


def test_settings_are_typed_as_keyword_arguments():
    """What type checkers know of the settings is what there is."""
    assert list(SettingOptions.__annotations__) == [field.name for field in attrs.fields(Settings)]
