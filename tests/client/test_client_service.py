"""The service's endpoints: what is asked for, and the shapes in which answers may come."""

from __future__ import annotations

from datetime import UTC

import pytest

from titan_state import Action
from titan_state.client.profile import ServiceProfile
from titan_state.client.service import TaskService
from titan_state.client.shapes import MOST_REJECTED
from titan_state.core.budget import Priority
from titan_state.emulator import Plan, Scenario
from titan_state.errors import (
    BadRequestError,
    ConfigurationError,
    ConflictError,
    ForbiddenError,
    NotFoundError,
    NotSupportedError,
    PayloadError,
    UnauthorizedError,
)

GOOD = {"id": "e1", "status": "running"}
ALSO_GOOD = {"id": "e2", "status": "queued", "progress": 0.5}
BROKEN = [
    None,
    5,
    "text",
    [],
    {},
    {"id": "e"},
    {"status": "running"},
    {"id": "", "status": "x"},
    {"id": "e", "status": 5},
]


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
    with pytest.raises(ValueError, match="explode"):
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


@pytest.mark.parametrize("shape", ["items", "executions", "array"])
async def test_lists_are_read_in_each_shape(emulate, connect, shape):
    """Where a deployment puts the items and the total is found by itself, page by page."""
    service = await emulate(Scenario(plans=[Plan()] * 7), list_shape=shape)
    client = await connect(service.url, service.token)
    pages = [(await client.list(limit=3, offset=offset)).value for offset in (0, 3, 6, 9)]
    assert [len(page.items) for page in pages] == [3, 3, 1, 0]
    assert {item.id for page in pages for item in page.items} == set(service.executions())
    assert {page.total for page in pages} == {None if shape == "array" else 7}
    assert [(page.offset, page.limit, page.count) for page in pages] == [(0, 3, 3), (3, 3, 3), (6, 3, 1), (9, 3, 0)]
    assert service.requests[1].query == {"limit": "3", "offset": "3"}
    assert len((await client.list_tasks()).value.items) == len(service.tasks())


async def test_the_page_limit_of_the_profile_is_the_default(connect, hostile):
    """Without a limit, as many are asked for as the profile says."""
    hostile.say([])
    client = await connect(hostile.url, profile=ServiceProfile(page_limit=7))
    await client.list()
    await client.list(task_id="t", limit=2, offset=4)
    await client.list_tasks()
    assert hostile.targets == [
        "/api/v1/executions?limit=7&offset=0",
        "/api/v1/tasks/t/executions?limit=2&offset=4",
        "/api/v1/tasks?limit=7&offset=0",
    ]


@pytest.mark.parametrize(
    ("data", "total"),
    [
        ([GOOD], None),
        ({"items": [GOOD], "total": 9}, 9),
        ({"executions": [GOOD], "total_count": 9}, 9),
        ({"results": [GOOD], "totalCount": 0}, 0),
        ({"data": [GOOD], "count": 9}, 9),
        ({"rows": [GOOD]}, None),
        ({"items": None, "rows": [GOOD]}, None),
        ({"items": [GOOD], "total": True}, None),
        ({"items": [GOOD], "total": -1}, None),
        ({"items": [GOOD], "total": "9"}, None),
        ({"items": [GOOD], "total": 9.5, "count": 9}, 9),
        ({"items": [GOOD], "total": [], "total_count": {}}, None),
    ],
)
async def test_items_and_total_are_found(client, hostile, data, total):
    """The first key that holds a list gives the items, the first that holds a count the total."""
    hostile.say({"success": True, "data": data})
    page = (await client.list()).value
    assert [item.id for item in page.items] == ["e1"]
    assert page.total == total


async def test_a_list_without_an_envelope_is_read(client, hostile):
    """A bare array and an object with items are lists, also where there is no `data`."""
    for body in ([GOOD], {"items": [GOOD]}):
        hostile.say(body)
        assert len((await client.list()).value.items) == 1


async def test_a_profile_names_other_keys(connect, hostile):
    """A deployment that puts its list elsewhere needs a profile and nothing more."""
    hostile.say({"data": {"hits": [GOOD], "found": 3, "items": [ALSO_GOOD]}})
    client = await connect(hostile.url, profile=ServiceProfile(item_keys=["hits"], total_keys=["found"]))
    page = (await client.list()).value
    assert ([item.id for item in page.items], page.total) == (["e1"], 3)


@pytest.mark.parametrize("data", [None, {}, 5, "text", {"items": None}, {"items": {"0": GOOD}}, {"total": 3}])
async def test_an_answer_without_a_list_is_a_payload_error(client, hostile, data):
    """What holds no list is no empty page."""
    hostile.say({"success": True, "data": data})
    for ask in (client.list, client.list_tasks):
        with pytest.raises(PayloadError, match="no list is in the answer") as raised:
            await ask()
        assert raised.value.sent_at is not None
        assert raised.value.request.startswith("GET /")


async def test_broken_items_are_rejected_one_by_one_and_counted(client, hostile):
    """An item that is no execution does not spoil its page; what is left out is told and counted."""
    hostile.say({"data": [GOOD, *BROKEN, ALSO_GOOD, GOOD | {"created_at": "never", "progress": []}]})
    page = (await client.list()).value
    assert [item.id for item in page.items] == ["e1", "e2", "e1"]
    assert (page.count, len(page.rejected)) == (len(BROKEN) + 3, len(BROKEN))
    assert all(isinstance(error, PayloadError) and str(error) for error in page.rejected)
    assert client.statistics.rejected == len(BROKEN)
    assert client.statistics.dropped == {"created_at": 1, "progress": 1}
    await client.list()
    assert client.statistics.rejected == 2 * len(BROKEN)


async def test_broken_tasks_are_rejected_too(client, hostile):
    """What is no task is left out; fields of wrong types are none, a number for an id is taken as text."""
    hostile.say({"data": [{"id": "t", "status": 5, "name": [], "x": 1}, {"id": 7, "status": "active"}, {}, None, 3]})
    page = (await client.list_tasks()).value
    assert [(item.id, item.status, item.name, dict(item.extra)) for item in page.items] == [
        ("t", None, None, {"x": 1}),
        ("7", "active", None, {}),
    ]
    assert client.statistics.rejected == len(page.rejected) == 3


async def test_a_page_of_rubbish_is_refused_as_a_whole(client, hostile):
    """Millions of broken items leave no millions of errors: the page is given up, soon."""
    hostile.say({"data": [GOOD, *[0] * MOST_REJECTED]})
    assert len((await client.list()).value.rejected) == MOST_REJECTED
    hostile.say({"data": [0] * 500_000})
    with pytest.raises(PayloadError, match="of 500000 items, more than 1000 cannot be read"):
        await client.list()


async def test_dropped_fields_are_counted_wherever_they_come(client, hostile):
    """A field that cannot be read is counted by name, from reads and from answers to control."""
    hostile.say(GOOD | {"progress": "half"})
    assert (await client.get("e1")).value.dropped == ("progress",)
    await client.pause("e1")
    assert client.statistics.dropped == {"progress": 2}


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
