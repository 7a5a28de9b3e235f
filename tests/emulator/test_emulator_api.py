"""The API: every endpoint, its envelope, its credentials and its limits, over real HTTP."""

from __future__ import annotations

import csv
import io
import json
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from urllib.parse import urlsplit

import pytest

from titan_state.core.execution import Execution
from titan_state.emulator import Plan, Scenario, Step, Task

DONE = Plan(id="done", task_id="t", steps=[Step("running"), Step("completed")], rows=2)
BUSY = Plan(id="busy", task_id="t", steps=[Step("running")])
SCENARIO = Scenario([DONE, BUSY], [Task(id="t", name="A"), Task(id="u", name="B"), Task(id="d", status="deleted")])

ENDPOINTS = [
    ("POST", "/tasks", "tasks:write"),
    ("GET", "/tasks", "tasks:read"),
    ("GET", "/tasks/t", "tasks:read"),
    ("POST", "/tasks/t/run", "executions:write"),
    ("GET", "/tasks/t/executions", "executions:read"),
    ("GET", "/tasks/t/datasets", "data:read"),
    ("GET", "/executions", "executions:read"),
    ("GET", "/executions/done", "executions:read"),
    ("POST", "/executions/busy/pause", "executions:write"),
    ("POST", "/executions/busy/stop", "executions:write"),
    ("GET", "/executions/done/results", "data:read"),
    ("GET", "/executions/done/results/export", "data:read"),
    ("GET", "/executions/done/results/download", "data:read"),
    ("GET", "/executions/done/datasets", "data:read"),
]


@pytest.mark.parametrize(("method", "path", "scope"), ENDPOINTS)
async def test_endpoints_want_credentials_and_their_scope(opened, method, path, scope):
    """Every endpoint answers with its scope alone, 403 without it and 401 without credentials."""
    service, client = await opened(SCENARIO, scopes=[scope], tokens={"other": {"none"}})
    for headers in ({}, {"Authorization": "Bearer wrong"}, {"Authorization": f"Basic {service.token}"}):
        refused = await client(method, path, headers=headers)
        assert (refused.status, refused.code) == (401, "UNAUTHORIZED")
        assert not service.requests[-1].authorized
    refused = await client(method, path, headers={"X-API-Key": "other"})
    assert (refused.status, refused.code) == (403, "FORBIDDEN")
    assert (await client(method, path, headers={"X-API-Key": service.token})).status in (200, 201)
    assert service.requests[-1].authorized


async def test_tokens_may_change_while_running(opened):
    """A test may revoke a token or its scopes."""
    service, client = await opened(SCENARIO)
    service.tokens[service.token] = frozenset({"tasks:read"})
    assert await client.status("done") == 403
    del service.tokens[service.token]
    assert await client.status("done") == 401


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/tasks/none", 404, "NOT_FOUND"),
        ("GET", "/tasks/d", 404, "NOT_FOUND"),
        ("POST", "/tasks/none/run", 404, "NOT_FOUND"),
        ("GET", "/tasks/none/executions", 404, "NOT_FOUND"),
        ("GET", "/tasks/none/datasets", 404, "NOT_FOUND"),
        ("GET", "/executions/none", 404, "NOT_FOUND"),
        ("POST", "/executions/none/stop", 404, "NOT_FOUND"),
        ("GET", "/executions/none/results", 404, "NOT_FOUND"),
        ("GET", "/executions/busy/results", 404, "NOT_FOUND"),
        ("GET", "/executions/busy/results/export", 404, "NOT_FOUND"),
        ("GET", "/executions/busy/results/download", 404, "NOT_FOUND"),
        ("GET", "/executions/done/results/export?format=xml", 400, "BAD_REQUEST"),
        ("GET", "/executions?limit=0", 400, "BAD_REQUEST"),
        ("GET", "/executions?limit=x", 400, "BAD_REQUEST"),
        ("GET", "/executions?offset=-1", 400, "BAD_REQUEST"),
        ("GET", "/tasks?limit=99999999999999999999", 400, "BAD_REQUEST"),
        ("GET", "/nowhere", 404, "NOT_FOUND"),
        ("GET", "/executions/", 404, "NOT_FOUND"),
        ("DELETE", "/executions/busy", 405, "METHOD_NOT_ALLOWED"),
        ("GET", "/executions/busy/stop", 405, "METHOD_NOT_ALLOWED"),
    ],
)
async def test_refusals_are_envelopes(opened, method, path, status, code):
    """What cannot be answered is refused with an error envelope, never with a redirect."""
    service, client = await opened(SCENARIO)
    refused = await client(method, path)
    assert (refused.status, refused.code) == (status, code)
    assert service.requests[-1].status == status


async def test_an_execution_is_decoded_by_the_library(opened, clock):
    """The payload of an execution has the documented fields and the ones this library looks for."""
    _, client = await opened(Scenario([Plan(id="a", task_id="t", steps=[Step("running", 1), Step("failed", 8.25)])]))
    first = Execution.from_payload((await client.get("/executions/a")).data)
    assert (first.task_id, first.status, first.progress, first.phase) == ("t", "queued", 0.0, "waiting")
    assert first.started_at is first.finished_at is first.error is None
    await clock.advance(5)
    half = Execution.from_payload((await client.get("/executions/a")).data)
    assert (half.progress, half.phase) == (pytest.approx(48.5), "extracting")
    await clock.advance(5)
    answer = await client.get("/executions/a")
    last = Execution.from_payload(answer.data)
    assert not last.dropped
    assert last.created_at == datetime(2026, 1, 1, tzinfo=UTC)
    assert last.started_at == datetime(2026, 1, 1, 0, 0, 1, tzinfo=UTC)
    assert last.finished_at == last.updated_at == datetime(2026, 1, 1, 0, 0, 9, 250_000, tzinfo=UTC)
    assert answer.data["updated_at"] == "2026-01-01T00:00:09.250Z"
    assert last.error == "the target site refused the connection"
    assert parsedate_to_datetime(answer.headers["Date"]) == clock.now()


async def test_progress_may_be_unreported_or_without_phases(opened, clock):
    """Plans say whether progress is part of the payload, and a success shows all of it."""
    plans = [
        Plan(id="a", reports_progress=False),
        Plan(id="b", phases=(), steps=[Step("running"), Step("completed", 1)]),
        Plan(id="c", steps=[Step("running")]),
    ]
    _, client = await opened(Scenario(plans))
    await clock.advance(5)
    assert "progress" not in (await client.get("/executions/a")).data
    assert (await client.get("/executions/b")).data["progress"] == 100.0
    endless = (await client.get("/executions/c")).data
    assert (endless["progress"], endless["phase"]) == (0.0, "fetching")


async def test_tasks_are_created_listed_and_read(opened):
    """A created task is read under its id and listed first; a deleted one is not shown."""
    _, client = await opened(SCENARIO)
    created = await client.post("/tasks", json={"name": "C"})
    assert created.status == 201
    assert (await client.get(f"/tasks/{created.data['id']}")).data == created.data
    listed = (await client.get("/tasks")).data
    assert [task["name"] for task in listed["items"]] == ["C", "B", "A"]
    assert listed["total"] == 3
    assert (await client.post("/tasks")).data["name"] == "A task"


@pytest.mark.parametrize("body", [b"{", b"[]", b'{"name": 3}', b"\xff\xfe\xfd"])
async def test_bodies_that_make_no_sense_are_refused(opened, body):
    """A body must be a JSON object with what is expected in it."""
    _, client = await opened(SCENARIO)
    assert (await client.post("/tasks", data=body)).code == "BAD_REQUEST"


async def test_running_a_task_follows_its_template(opened, clock):
    """A run creates an execution of the task's template, under a new id each time."""
    template = Plan(id="ignored", created_after_s=9, steps=[Step("running", 2)], task_id="x")
    service, client = await opened(Scenario(tasks=[Task(id="t", template=template)]))
    runs = [await client.post("/tasks/t/run", json={"secret_payload": {"password": "x"}}) for _ in range(2)]
    assert {run.status for run in runs} == {201}
    first, second = (run.data["id"] for run in runs)
    assert first != second
    assert runs[0].data["status"] == "queued"
    await clock.advance(3)
    assert service.executions() == {first: "running", second: "running"}
    assert (await client.get(f"/executions/{first}")).data["task_id"] == "t"


async def test_answers_that_are_not_documented_may_be_chosen(opened):
    """The name of a run's id, the status of a creation and the answer of an action are settings."""
    service, client = await opened(
        SCENARIO, run_id_field="execution_id", created_status=200, control_answer="null", unsupported=["stop"]
    )
    run = await client.post("/tasks/t/run")
    assert run.status == 200
    assert run.data["execution_id"] in service.executions()
    assert "id" not in run.data
    assert (await client.post("/executions/busy/pause")).data is None
    refused = await client.post("/executions/busy/stop")
    assert (refused.status, refused.code) == (501, "NOT_IMPLEMENTED")


@pytest.mark.parametrize(
    ("status", "code"), [(400, "BAD_REQUEST"), (404, "NOT_FOUND"), (409, "CONFLICT"), (422, "UNPROCESSABLE_ENTITY")]
)
async def test_illegal_actions_are_refused_and_change_nothing(opened, status, code):
    """An action that the status does not allow gets the deployment's refusal."""
    service, client = await opened(SCENARIO, illegal_status=status)
    for path in ("done/stop", "busy/resume"):
        refused = await client.post(f"/executions/{path}")
        assert (refused.status, refused.code) == (status, code)
    assert service.executions() == {"done": "completed", "busy": "running"}


async def test_lists_are_newest_first_and_paged(opened, clock):
    """Lists show the newest first, in pages with a total; a task's list shows only its own."""
    plans = [Plan(id=str(n), task_id="t" if n % 2 else "u", created_after_s=n / 10) for n in range(7)]
    _, client = await opened(Scenario(plans), default_limit=3, max_limit=5)
    await clock.advance(1)
    first = (await client.get("/executions")).data
    assert [one["id"] for one in first["items"]] == ["6", "5", "4"]
    assert (first["total"], first["limit"], first["offset"]) == (7, 3, 0)
    last = (await client.get("/executions?limit=50&offset=3")).data
    assert [one["id"] for one in last["items"]] == ["3", "2", "1", "0"]
    assert last["limit"] == 5
    assert (await client.get("/executions?offset=100")).data["items"] == []
    odd = (await client.get("/tasks/t/executions")).data
    assert [one["id"] for one in odd["items"]] == ["5", "3", "1"]


@pytest.mark.parametrize(
    ("shape", "names"),
    [("items", ("items",) * 3), ("executions", ("executions", "tasks", "datasets")), ("array", None)],
)
async def test_list_shapes(opened, shape, names):
    """A list is an object with one of two names, or a bare array."""
    _, client = await opened(SCENARIO, list_shape=shape)
    for n, path in enumerate(("/executions", "/tasks", "/executions/done/datasets")):
        data = (await client.get(path)).data
        items = data if names is None else data[names[n]]
        assert items[0]["id"]


async def test_a_status_filter_is_honoured_only_where_switched_on(opened):
    """Whether a filter exists is not documented, so both are possible."""
    _, without = await opened(SCENARIO)
    assert (await without.get("/executions?status=running")).data["total"] == 2
    _, client = await opened(SCENARIO, status_filter=True)
    assert (await client.get("/executions?status=running")).data["total"] == 1
    assert (await client.get("/executions?status=running&status=completed")).data["total"] == 2
    assert (await client.get("/executions")).data["total"] == 2


async def test_results_are_readable_some_time_after_success(opened, clock):
    """Metadata, files and datasets appear when the results are published, and not with the status."""
    plan = Plan(id="a", task_id="t", steps=[Step("running"), Step("completed", 1)], results_after_s=5, rows=2)
    service, client = await opened(Scenario([plan, Plan(id="never", results_after_s=None, initial="completed")]))
    await clock.advance(4)
    assert await client.status("a") == "completed"
    assert (await client.get("/executions/a/results")).code == "NOT_FOUND"
    assert (await client.get("/tasks/t/datasets")).data["items"] == []
    assert not service.results_ready("a")
    await clock.advance(3)
    metadata = (await client.get("/executions/a/results")).data
    assert (metadata["row_count"], metadata["published_at"]) == (2, "2026-01-01T00:00:06.000Z")
    assert service.results_ready("a")
    assert not service.results_ready("never")
    for path in ("/tasks/t/datasets", "/executions/a/datasets"):
        data = (await client.get(path)).data
        assert [one["execution_id"] for one in data["items"]] == ["a"]


async def test_results_are_exported_as_files(opened):
    """Exports and downloads are attachments in their format with the same rows."""
    _, client = await opened(SCENARIO)
    exported = await client.get("/executions/done/results/export")
    assert exported.headers["Content-Type"] == "application/json"
    assert exported.headers["Content-Disposition"] == 'attachment; filename="results-done.json"'
    rows = json.loads(exported.body)
    assert [row["position"] for row in rows] == [1, 2]
    for path in ("export?format=csv", "download"):
        answer = await client.get(f"/executions/done/results/{path}")
        assert answer.headers["Content-Disposition"] == 'attachment; filename="results-done.csv"'
        table = list(csv.DictReader(io.StringIO(answer.body.decode())))
        assert [row["title"] for row in table] == [row["title"] for row in rows]


async def test_media_opens_with_the_token_of_its_url_only(opened):
    """A row's media URL answers an image without credentials; its errors have their own form."""
    service, client = await opened(SCENARIO)
    url = urlsplit(json.loads((await client.get("/executions/done/results/export")).body)[0]["image"])
    assert f"{url.scheme}://{url.netloc}" == service.url

    async def media(path):
        return await client.get(path, headers={}, prefix="")

    image = await media(f"{url.path}?{url.query}")
    assert (image.status, image.headers["Content-Type"]) == (200, "image/png")
    assert image.body.startswith(b"\x89PNG")
    for path, status in (
        (url.path, 401),
        (f"{url.path}?token=wrong", 403),
        (f"/media/none/1.png?{url.query}", 404),
        (f"/media/done/3.png?{url.query}", 404),
    ):
        refused = await media(path)
        assert refused.status == status
        assert isinstance(refused.json["error"], str)
        assert "success" not in refused.json


async def test_the_rate_limit_is_a_sliding_window(opened, clock):
    """No more than the limit is let in within 60 s; headers say what is left and when to come again."""
    service, client = await opened(SCENARIO, per_minute=3, tokens={"other": ["tasks:read"]})
    for left in ("2", "1", "0"):
        answer = await client.get("/tasks")
        assert (answer.headers["X-RateLimit-Limit"], answer.headers["X-RateLimit-Remaining"]) == ("3", left)
        await clock.advance(10)
    refused = await client.get("/tasks")
    assert (refused.status, refused.code) == (429, "TOO_MANY_REQUESTS")
    assert int(refused.headers["X-RateLimit-Reset"]) == clock.now().timestamp() + 30
    assert "X-RateLimit-Remaining" not in refused.headers
    assert (await client.get("/tasks", headers={"X-API-Key": "other"})).status == 200
    await clock.advance(30)
    assert (await client.get("/tasks")).headers["X-RateLimit-Remaining"] == "0"
    assert (await client.get("/tasks")).status == 429
    assert [record.status for record in service.requests] == [200, 200, 200, 429, 200, 200, 429]


async def test_a_burst_is_let_in_on_top(opened):
    """A burst above the limit is admitted, and not told in the headers."""
    _, client = await opened(SCENARIO, per_minute=1, burst=1)
    answers = [await client.get("/tasks") for _ in range(3)]
    assert [answer.status for answer in answers] == [200, 200, 429]
    assert [answer.headers.get("X-RateLimit-Remaining") for answer in answers] == ["0", "0", None]


async def test_a_deployment_may_have_no_limit_or_let_nothing_in(opened):
    """None means no limit and no headers; 0 refuses everything for a minute at a time."""
    _, free = await opened(SCENARIO, per_minute=None)
    answers = [await free.get("/tasks") for _ in range(130)]
    assert {answer.status for answer in answers} == {200}
    assert "X-RateLimit-Limit" not in answers[0].headers
    _, shut = await opened(SCENARIO, per_minute=0)
    assert (await shut.get("/tasks")).status == 429


async def test_requests_are_recorded(opened, clock):
    """A test can look at what was asked, when, and how it was answered; only the last ones are kept."""
    service, client = await opened(SCENARIO, speed=2, keep_requests=2)
    await clock.advance(1)
    for path in ("/tasks", "/tasks?limit=1", "/executions/none"):
        await client.get(path)
    assert len(service.requests) == 2
    record = service.requests[0]
    assert (record.number, record.method, record.path) == (2, "GET", "/api/v1/tasks")
    assert (record.query, record.status, record.at, record.clock_at) == ({"limit": "1"}, 200, 2.0, 1001.0)


async def test_a_port_in_use_is_told(opened):
    """Starting on a port that is taken fails and leaves nothing behind."""
    service, _ = await opened()
    with pytest.raises(OSError, match="address"):
        await opened(port=urlsplit(service.url).port)
