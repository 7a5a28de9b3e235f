"""The service's endpoints: what is asked for, and what comes back from each."""

from __future__ import annotations

from datetime import UTC

import pytest

from titan_state import Action
from titan_state.client.service import TaskService
from titan_state.core.budget import Priority
from titan_state.emulator import Plan
from titan_state.errors import (
    BadRequestError,
    ConfigurationError,
    ConflictError,
    ForbiddenError,
    NotFoundError,
    NotSupportedError,
    PayloadError,
    UnauthorizedError,
    UnknownActionError,
)

GOOD = {"id": "e1", "status": "running"}


@pytest.fixture
async def live(emulate, connect):
    """An embedded service with one running execution of one task, and a client of it."""
    service = await emulate()
    service.add(Plan(id="run-1", initial="running"))
    return service, await connect(service.url, service.token)


async def test_an_execution_is_read(live):
    """A reading holds the execution, and when it was asked for, answered and served."""
    service, client = live
    reading = await client.get("run-1")
    assert (reading.value.id, reading.value.status) == ("run-1", "running")
    assert reading.value.created_at.tzinfo is UTC
    assert reading.served_at.tzinfo is UTC
    assert reading.sent_at <= reading.received_at
    assert [(request.method, request.path) for request in service.requests] == [("GET", "/api/v1/executions/run-1")]


async def test_what_is_not_there_is_not_found(live):
    """An unknown id is typed, for executions and for tasks."""
    _, client = live
    for ask in (client.get, client.pause, client.get_task, client.run_task):
        with pytest.raises(NotFoundError):
            await ask("no-such-id")
    with pytest.raises(NotFoundError):
        await client.list(task_id="no-such-id")


async def test_an_execution_is_controlled(live):
    """Pause, resume and stop are sent as asked, and answer with the execution."""
    service, client = live
    assert (await client.pause("run-1")).value.status == "paused"
    assert (await client.resume("run-1")).value.status == "running"
    assert (await client.act("run-1", Action.PAUSE)).value.status == "paused"
    assert (await client.stop("run-1")).value.status == "cancelled"
    with pytest.raises(ConflictError):
        await client.pause("run-1")
    with pytest.raises(UnknownActionError, match="explode"):
        await client.act("run-1", "explode")
    assert [entry.status for entry in service.history("run-1")][-4:] == ["paused", "running", "paused", "cancelled"]


@pytest.mark.parametrize("illegal", [(400, BadRequestError), (404, NotFoundError), (422, ConflictError)])
async def test_a_refused_action_is_typed(emulate, connect, illegal):
    """Whatever a deployment answers to an action that the status does not allow, it is one of the typed errors."""
    service = await emulate(illegal_status=illegal[0], unsupported={"stop"})
    service.add(Plan(id="run-1", initial="running"))
    client = await connect(service.url, service.token)
    with pytest.raises(illegal[1]):
        await client.resume("run-1")
    with pytest.raises(NotSupportedError):
        await client.stop("run-1")


@pytest.mark.parametrize("answer", [b"", {"success": True}, {"success": True, "data": None}, {"data": "ok"}, [], GOOD])
async def test_a_success_is_enough_for_an_action(client, hostile, answer):
    """What control answers is not documented: without an execution in it, the action was accepted all the same."""
    hostile.say(answer, 202)
    assert ((await client.pause("e1")).value is not None) is (answer == GOOD)


async def test_credentials_and_scopes_are_typed(emulate, connect):
    """A wrong token and a missing scope are different errors."""
    service = await emulate(tokens={"a-reading-token": {"executions:read"}})
    with pytest.raises(UnauthorizedError):
        await (await connect(service.url, "a-wrong-token")).list()
    reader = await connect(service.url, "a-reading-token")
    await reader.list()
    with pytest.raises(ForbiddenError, match="executions:write"):
        await reader.pause("e")


async def test_tasks_are_created_listed_read_and_run(emulator, connect):
    """The way of a task: made, found in the list and by its id, and run; the run is one of its executions."""
    client = await connect(emulator.url, emulator.token)
    task = (await client.create_task({"name": "prices", "url": "https://shop.example"})).value
    assert task.name == "prices"
    assert (await client.get_task(task.id)).value.id == task.id
    page = (await client.list_tasks()).value
    assert task.id in [item.id for item in page.items]
    assert (page.count, page.total, page.rejected) == (len(page.items), len(page.items), ())
    run_id = (await client.run_task(task.id, secret_payload={"password": "p"})).value
    assert (await client.get(run_id)).value.task_id == task.id
    assert [item.id for item in (await client.list(task_id=task.id)).value.items] == [run_id]


@pytest.mark.parametrize(
    "data",
    [
        {"id": "run-1"},
        {"execution_id": "run-1", "id": "of something else"},
        {"executionId": "run-1"},
        {"execution": {"id": "run-1", "status": "queued"}},
        {"execution": {"id": "run-1"}, "id": "task-1"},
        {"execution": None, "id": "run-1"},
        {"execution_id": None, "id": "run-1"},
        {"execution_id": {}, "executionId": "", "id": "run-1"},
        {"execution_id": "run-1", "execution": "text"},
    ],
)
async def test_the_id_of_a_run_is_found_in_each_shape(client, hostile, data):
    """Where a deployment puts the id of the execution that it started is found by itself."""
    hostile.say({"success": True, "data": data}, 201)
    assert (await client.run_task("task-1")).value == "run-1"


@pytest.mark.parametrize("field", ["id", "execution_id"])
async def test_the_embedded_service_starts_runs_in_either_shape(emulate, connect, field):
    """The id that a run answers with is that of the new execution."""
    service = await emulate(run_id_field=field)
    client = await connect(service.url, service.token)
    (task_id,) = service.tasks()
    run_id = (await client.run_task(task_id)).value
    assert list(service.executions()) == [run_id]


async def test_a_number_for_the_id_of_a_run_is_text(client, hostile):
    """Ids are text everywhere, also where a service counts its executions."""
    hostile.say({"data": {"id": 17}})
    assert (await client.run_task("t")).value == "17"


@pytest.mark.parametrize("data", [None, {}, [], "text", {"id": True}, {"id": 1 << 70}, {"execution": {}}, {"id": "t"}])
async def test_a_run_without_an_id_is_a_payload_error(client, hostile, data):
    """A run that was accepted and names no execution, or only its task, says so; it may have been started."""
    hostile.say({"success": True, "data": data})
    with pytest.raises(PayloadError, match=r"^POST /tasks/t/run: the run was accepted, but no id"):
        await client.run_task("t")


@pytest.mark.parametrize("bad", [{"a": float("nan")}, {"a": {1, 2}}, {"a": b"hunter2"}, 5, [["hunter2"]], {(1, 2): 3}])
async def test_a_definition_that_is_no_json_is_refused_unsent(client, hostile, bad):
    """What cannot be written is refused before anything is sent, and not shown: it may be a secret."""
    asked = [client.create_task(bad)]
    if isinstance(bad, dict):
        asked.append(client.run_task("t", secret_payload=bad))
    for work in asked:
        with pytest.raises(ConfigurationError, match="cannot be written as JSON") as raised:
            await work
        assert "hunter2" not in str(raised.value)
    assert hostile.requests == []


async def test_a_definition_nested_without_end_is_refused(client, hostile):
    """A definition that holds itself, or is nested too deeply, is an error of whoever gave it."""
    endless: list[object] = []
    endless.append(endless)
    deep: list[object] = []
    for _ in range(100_000):
        deep = [deep]
    for bad in (endless, deep):
        with pytest.raises(ConfigurationError, match="cannot be written as JSON"):
            await client.create_task({"a": bad})
    assert hostile.requests == []


async def test_reads_may_be_given_a_priority(live):
    """A read that an action needs goes with the priority of control."""
    _, client = live
    assert (await client.get("run-1", priority=Priority.CONTROL)).value.status == "running"
    assert len((await client.list(priority=Priority.CONFIRMATION)).value.items) == 1


def test_a_client_names_its_origin():
    """A client can be told from another, and says nothing more."""
    client = TaskService("https://api.example.com/api/v1", "a-secret-token")
    assert repr(client) == "<TaskService at https://api.example.com>"
    assert client.statistics.requests == 0
