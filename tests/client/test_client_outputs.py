"""Outputs over HTTP: what is saved is what the service holds, byte for byte, however it is sent."""

from __future__ import annotations

import asyncio
import csv
import io
import json
import logging
import subprocess
import sys
import textwrap
from contextlib import aclosing
from datetime import timedelta

import pytest

from titan_state import (
    BodyTooLargeError,
    ConfigurationError,
    ForbiddenError,
    NotFoundError,
    NotSupportedError,
    OutputExistsError,
    PayloadError,
    RedirectError,
    ResultsNotReadyError,
    ServiceError,
    ServiceProfile,
    TooManyRequestsError,
    TransportError,
    UnauthorizedError,
)
from titan_state.client.output_options import IN_PARALLEL
from titan_state.emulator import Faults, Plan, Scenario, Step
from titan_state.emulator.faults import When

DONE = Plan(id="done", task_id="t", steps=[Step("running"), Step("completed")], rows=57)
FORMATS = ["json", "csv"]
ATTACHED = {"Content_Disposition": 'attachment; filename="x"', "Content_Type": "application/json"}


def files(place):
    return sorted(path.name for path in place.iterdir())


def reading(read, size):
    """Return a progress that tells when so many bytes were read."""

    def progress(received, total):
        if received >= size:
            read.set()

    return progress


async def begun(place):
    """Return once a file is being written."""
    while not files(place):  # noqa: ASYNC110 - nothing tells of a file
        await asyncio.sleep(0)


def rows_of(body, form):
    if form == "json":
        return json.loads(body)
    return list(csv.DictReader(io.StringIO(body.decode(), newline="")))


@pytest.fixture
def finish(until):
    """Let something run to its end on the clock that is moved by hand."""

    async def run(work, **more):
        task = asyncio.ensure_future(work)
        await until(task.done, **more)
        return task.result()

    return run


async def all_of(rows):
    return [row async for row in rows]


async def cut(writer, body, size, *, until=None, **headers):
    """Send the head of an answer and a part of its body; break off once `until` is set, when the client has read it."""
    lines = [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    head = "\r\n".join(["HTTP/1.1 200 OK", f"Content-Length: {len(body)}", *lines, "", ""]).encode()
    writer.write(head + body[:size])
    await writer.drain()
    if until is not None:  # what has arrived when a connection breaks, and was not read, is lost
        await until.wait()


# What is whole.


@pytest.mark.parametrize("shape", ["array", "lines"])
@pytest.mark.parametrize("form", FORMATS)
async def test_exports_are_the_bytes_of_the_service(emulate, connect, tmp_path, form, shape):
    """An export is saved as it is, and its rows are the rows."""
    service = await emulate(Scenario([DONE]), export_shape=shape)
    client = await connect(service.url, service.token)
    outputs = client.outputs("done")
    truth = service.export_bytes("done", form)
    seen = []
    saved = await outputs.export(tmp_path, format=form, progress=lambda *numbers: seen.append(numbers))
    assert saved.path == tmp_path / f"done.{form}"
    assert saved.path.read_bytes() == truth
    assert saved.size == len(truth)
    assert saved.is_new
    assert seen[-1] == (len(truth), len(truth))
    expected = [json.loads(line) for line in truth.splitlines()] if (form, shape) == ("json", "lines") else None
    if shape == "lines" and form == "json":
        expected = [json.loads(line) for line in truth.split(b"\n") if line]
    assert await all_of(outputs.rows(format=form)) == (expected or rows_of(truth, form))
    assert files(tmp_path) == [f"done.{form}"]


async def test_download_is_the_table(emulate, connect, tmp_path):
    """A download is the CSV of the documented endpoint."""
    service = await emulate(Scenario([DONE]))
    client = await connect(service.url, service.token)
    saved = await client.outputs("done").download(tmp_path / "x.csv")
    assert saved.path.read_bytes() == service.export_bytes("done", "csv")
    assert service.requests[-1].path.endswith("/results/download")


async def test_metadata_and_datasets(emulate, connect):
    """What the service says of results and datasets is there by its own names, and the number of rows as a number."""
    others = [Plan(id=f"e{n}", task_id="t", steps=[Step("running"), Step("completed")], rows=n) for n in range(5)]
    service = await emulate(Scenario([DONE, *others]), max_limit=2)
    client = await connect(service.url, service.token)
    metadata = await client.outputs("done").metadata()
    assert (metadata.execution_id, metadata.row_count) == ("done", 57)
    assert metadata.fields["formats"] == ["json", "csv"]
    (dataset,) = await client.outputs("done").datasets()
    assert (dataset.id, dataset.execution_id, dataset.row_count) == ("dataset-done", "done", 57)
    assert dataset.to_dict()["extra"]["task_id"] == "t"
    found = await client.outputs("done").task_datasets("t")
    assert sorted(one.execution_id for one in found) == ["done", "e0", "e1", "e2", "e3", "e4"]
    with pytest.raises(NotFoundError):
        await client.outputs("done").task_datasets("none")


async def test_datasets_of_a_service_that_pages_oddly(hostile, client, whole):
    """A service that ignores offset, or says nothing that can be read, does not make reading go on for ever."""
    page = {"data": [{"id": 1, "name": "a", "rows": 3}, {"name": "no id"}]}
    hostile.say(page)
    (dataset,) = await client.outputs("e").datasets()
    assert (dataset.id, dataset.name, dataset.row_count) == ("1", "a", 3)
    assert len(hostile.requests) == 2
    hostile.say({"data": [{"name": "no id"}]})
    with pytest.raises(PayloadError, match="a JSON object with an id"):
        await client.outputs("e").datasets()


# What is not there yet.


@pytest.mark.parametrize("pending", [202, 404, 409, 425, "status", "null"])
async def test_not_ready_yet(emulate, connect, finish, clock, tmp_path, pending):
    """However a service says so, results that are not there yet are an error of their own, and are waited for."""
    plan = Plan(id="e", steps=[Step("running"), Step("completed")], results_after_s=20.0)
    service = await emulate(Scenario([plan]), clock=clock, results_pending=pending)
    client = await connect(service.url, service.token, clock=clock)
    outputs = client.outputs("e")
    with pytest.raises(ResultsNotReadyError, match="results of execution e cannot be read yet") as caught:
        await finish(outputs.metadata())
    assert caught.value.execution_id == "e"
    assert caught.value.sent_at is not None
    for load in (outputs.export, outputs.download):
        with pytest.raises(ResultsNotReadyError):
            await finish(load(tmp_path, wait=0))
    with pytest.raises(ResultsNotReadyError):
        await finish(all_of(outputs.rows(wait=0)))
    with pytest.raises(ResultsNotReadyError):
        await finish(outputs.ready(timedelta(seconds=3)))
    assert files(tmp_path) == []
    saved = await finish(outputs.export(tmp_path))
    assert clock.time() >= 20.0
    assert saved.path.read_bytes() == service.export_bytes("e")
    asked = [request for request in service.requests if request.path.endswith("/export")]
    assert len(asked) <= 10
    assert (await finish(outputs.ready())).row_count == 3


async def test_ready_waits_for_as_long_as_it_takes(emulate, connect, finish, clock):
    """Without a time-out results are waited for, less and less often."""
    plan = Plan(id="e", steps=[Step("running"), Step("completed")], results_after_s=500.0)
    service = await emulate(Scenario([plan]), clock=clock)
    client = await connect(service.url, service.token, clock=clock)
    assert (await finish(client.outputs("e").ready(), seconds=1200)).row_count == 3
    assert len(service.requests) < 12


@pytest.mark.parametrize("answer", [{"ready": False}, {"available": False}, {"state": "Processing"}, None])
async def test_other_words_for_not_yet(hostile, client, answer):
    """Some services say it in fields of a success."""
    hostile.say({"success": True, "data": answer})
    with pytest.raises(ResultsNotReadyError):
        await client.outputs("e").metadata()


async def test_metadata_of_other_shapes(hostile, client):
    """A list is taken as it is; what is no data at all is refused."""
    hostile.say({"success": True, "data": [1, 2]})
    assert (await client.outputs("e").metadata()).fields == {"items": [1, 2]}
    hostile.say({"success": True, "data": "text"})
    with pytest.raises(PayloadError, match="must be a JSON object"):
        await client.outputs("e").metadata()


async def test_a_deployment_with_other_habits(hostile, connect, whole, token, tmp_path):
    """What counts as not ready, and how a format is asked for, are settings."""
    profile = ServiceProfile(results_pending=(503,), pending_values=("Baking",), format_parameter="as")
    client = await connect(hostile.url, profile=profile)
    hostile.say({"success": False, "error": {"code": "BUSY", "message": "m"}}, 503)
    with pytest.raises(ResultsNotReadyError):
        await client.outputs("e").metadata()
    hostile.say({"success": False, "error": {"code": "NOT_FOUND", "message": "m"}}, 404)
    with pytest.raises(NotFoundError):
        await client.outputs("e").export(tmp_path)
    hostile.say({"success": True, "data": {"status": "baking"}})
    with pytest.raises(ResultsNotReadyError):
        await client.outputs("e").export(tmp_path, wait=0)
    hostile.answer(whole(b"[]", **ATTACHED))
    await client.outputs("e").export(tmp_path)
    assert hostile.targets[-1] == "/api/v1/executions/e/results/export?as=json"
    bare = await connect(hostile.url, profile=ServiceProfile(format_parameter=""))
    await bare.outputs("e").export(tmp_path / "2.json")
    assert hostile.targets[-1] == "/api/v1/executions/e/results/export"


# What breaks.


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize("ranges", [True, False])
async def test_broken_downloads_are_mended(emulate, connect, finish, clock, tmp_path, form, ranges):
    """Connections that break, wrong lengths, halves and pages of proxies: what is saved is right, or nothing is."""
    plan = Plan(id="done", steps=[Step("running"), Step("completed")], rows=400, padding=300)
    only = "/results/export"
    faults = Faults(
        broken_body=When(0.25, only=only),
        wrong_length=When(0.15, only=only),
        truncated=When(0.1, only=only),
        garbled=When(0.1, only=only),
        html=When(0.1, only=only),
        server_error=When(0.1, only=only),
        spurious_429=When(0.05, only=only),
        reset=When(0.05, only=only),
        seed=5,
    )
    service = await emulate(Scenario([plan]), clock=clock, faults=faults, ranges=ranges)
    client = await connect(service.url, service.token, clock=clock)
    truth = service.export_bytes("done", form)
    expected = rows_of(truth, form)
    for index in range(15):
        outputs = client.outputs("done")
        saved = await finish(outputs.export(tmp_path / f"{index}", format=form, retries=50), seconds=6000.0)
        assert saved.path.read_bytes() == truth
        assert await finish(all_of(outputs.rows(format=form, retries=50)), seconds=6000.0) == expected
    assert len(files(tmp_path)) == 15
    partial = [request for request in service.requests if request.status == 206]
    assert bool(partial) is ranges


async def test_retries_end(emulate, connect, finish, clock, tmp_path):
    """After its retries a download that always breaks is an error, and nothing is left."""
    faults = Faults(reset=When(1.0, only="/export"))
    service = await emulate(Scenario([DONE]), clock=clock, faults=faults)
    client = await connect(service.url, service.token, clock=clock)
    with pytest.raises(TransportError):
        await finish(client.outputs("done").export(tmp_path, retries=2))
    assert client.statistics.requests == 3
    assert files(tmp_path) == []
    service.faults = Faults(server_error=When(1.0, only="/export"), error_statuses=(501,))
    with pytest.raises(NotSupportedError):
        await finish(client.outputs("done").export(tmp_path))
    assert client.statistics.requests == 4


async def test_a_cut_that_no_length_shows(hostile, connect, finish, clock, whole, tmp_path):
    """A body that is whole for HTTP and cut for JSON is loaded again, and refused in the end."""
    client = await connect(hostile.url, clock=clock)
    hostile.answer(whole(b'[{"a":1},{"a"', **ATTACHED), whole(b'[{"a":1},{"a":2}]', **ATTACHED))
    saved = await finish(client.outputs("e").export(tmp_path))
    assert saved.path.read_bytes() == b'[{"a":1},{"a":2}]'
    hostile.answer(whole(b'[{"a":1},{"a"', **ATTACHED))
    with pytest.raises(PayloadError, match="the file was cut: its 13 bytes"):
        await finish(client.outputs("e").export(tmp_path / "2", retries=1))
    assert files(tmp_path) == ["e.json"]


async def test_a_table_without_an_end_is_loaded_twice(hostile, connect, finish, clock, whole, tmp_path):
    """A last line without an end may be a cut: the same once more is no accident."""
    client = await connect(hostile.url, clock=clock)
    hostile.answer(whole(b"a,b\r\n1,2", **ATTACHED))
    saved = await finish(client.outputs("e").export(tmp_path, format="csv"))
    assert saved.path.read_bytes() == b"a,b\r\n1,2"
    assert [target.rpartition("/")[2] for target in hostile.targets] == ["export?format=csv"] * 2 + ["results"]
    assert await finish(all_of(client.outputs("e").rows(format="csv"))) == [{"a": "1", "b": "2"}]


async def test_a_shorter_file_is_another(hostile, connect, finish, clock, whole):
    """If the service begins again with an export that ends sooner, rows that were handed out are not all there is."""
    old, new = b'[{"v":1},{"v":1},{"v":1}]', b'[{"v":1}]'
    client = await connect(hostile.url, clock=clock)
    read = asyncio.Event()
    hostile.answer(lambda writer: cut(writer, old, 20, until=read, **ATTACHED), whole(new, **ATTACHED))

    async def collect():
        async for _ in client.outputs("e").rows():
            read.set()

    with pytest.raises(PayloadError, match="the export changed"):
        await finish(collect())


async def test_too_many_requests_that_the_budget_is_not_told(hostile, connect, finish, clock, tmp_path):
    """An envelope with 200 that says so is a failure like others: it is not asked again without end."""
    client = await connect(hostile.url, clock=clock)
    hostile.say({"success": False, "error": {"code": "TOO_MANY_REQUESTS", "message": "slow down"}})
    with pytest.raises(TooManyRequestsError):
        await finish(client.outputs("e").export(tmp_path, retries=2))
    assert len(hostile.requests) == 3


async def test_too_many_requests_for_ever(emulate, connect, finish, clock, tmp_path):
    """Also where the budget waits each time, there is an end."""
    faults = Faults(spurious_429=When(1.0, only="/export"), spurious_reset_s=1.0)
    service = await emulate(Scenario([DONE]), clock=clock, faults=faults)
    client = await connect(service.url, service.token, clock=clock)
    with pytest.raises(TooManyRequestsError):
        await finish(client.outputs("done").export(tmp_path, retries=1), seconds=5000)
    assert len(service.requests) <= 25


async def test_what_is_refused_at_its_end_is_not_begun_for_ever(hostile, connect, finish, clock, whole, tmp_path):
    """Bytes that stay make up for a failure only if they stay: a file that is refused in the end does not."""
    body = b'[{"a":"' + b"x" * 300_000
    strong = {"ETag": '"v1"', "Accept_Ranges": "bytes", **ATTACHED}
    client = await connect(hostile.url, clock=clock)
    count = 0

    async def answer(writer):
        nonlocal count
        count += 1
        if count % 2:
            read = asyncio.Event()
            events.append(read)
            await cut(writer, body, 100_000, until=read, **strong)
            return
        rest = body[100_000:]
        lines = ["HTTP/1.1 206 Rest", f"Content-Length: {len(rest)}", f"Content-Range: bytes 100000-{len(body) - 1}/*"]
        writer.write("\r\n".join([*lines, "", ""]).encode() + rest)
        await writer.drain()

    events = []
    hostile.answer(answer)

    def progress(received, total):
        if received >= 100_000 and events:
            events[-1].set()

    with pytest.raises(PayloadError, match="was cut"):
        await finish(client.outputs("e").export(tmp_path, retries=3, progress=progress))
    assert len(hostile.requests) <= 10


@pytest.mark.parametrize("status", [404, 409, 425])
async def test_not_ready_in_the_middle(hostile, connect, finish, clock, whole, tmp_path, status):
    """Results that were there are there: a replica that does not have them is a failure, and no reason to give up."""
    body = b'["' + b"x" * 96 + b'"]'
    strong = {"ETag": '"v1"', "Accept_Ranges": "bytes", **ATTACHED}
    client = await connect(hostile.url, clock=clock)
    read = asyncio.Event()
    refusal = whole({"success": False, "error": {"code": "X", "message": "m"}}, status)
    hostile.answer(lambda writer: cut(writer, body, 40, until=read, **strong), refusal, whole(body, **strong))
    saved = await finish(client.outputs("e").export(tmp_path, wait=0, progress=reading(read, 40)))
    assert saved.path.read_bytes() == body


@pytest.mark.parametrize(
    "answer",
    [
        {"body": b'\xef\xbb\xbf{"success":false,"error":"no"}'},
        {"body": b'{"success": false, "error":"' + b"x" * 100_000 + b'"}'},
        {"body": b'{"success":false,"error":{"code":"X","message":"m"}}', "Content_Disposition": "attachment"},
        {"body": b"upstream connect error", "Content_Type": "text/plain"},
        {"body": b'{"error":"token expired"}'},
    ],
)
async def test_refusals_in_disguise(hostile, connect, finish, clock, whole, tmp_path, answer):
    """However a refusal comes with a success, it is not saved."""
    client = await connect(hostile.url, clock=clock)
    hostile.answer(whole(answer.pop("body"), **answer))
    with pytest.raises(ServiceError):
        await finish(client.outputs("e").export(tmp_path, retries=1))
    assert files(tmp_path) == []


@pytest.mark.parametrize(
    "body",
    [
        b'{"error":"timeout","url":"/x"}\n',
        b'{"success":true,"status":"pending","n":1}\n',
        b'{"a":1}\n[1]\n',
        b" " * 600 + b"[]",
    ],
)
async def test_rows_that_look_like_refusals(hostile, connect, finish, clock, whole, tmp_path, body):
    """Rows that have an error or a status of their own are rows."""
    client = await connect(hostile.url, clock=clock)
    hostile.answer(whole(body))
    saved = await finish(client.outputs("e").export(tmp_path))
    assert saved.path.read_bytes() == body


@pytest.mark.parametrize(
    "table", [b",a\r\n0,1", b"a,a\r\n1,2", b"a,b\r\n1", "a\r\nü".encode("latin-1"), b"a\tb\r\n1,\t2,3"]
)
async def test_tables_that_no_parser_would_take(hostile, connect, finish, clock, whole, tmp_path, table):
    """An export is bytes: what comes twice is saved, also where its rows cannot be told."""
    client = await connect(hostile.url, clock=clock)
    hostile.answer(whole(table, **ATTACHED))
    saved = await finish(client.outputs("e").export(tmp_path, format="csv"))
    assert saved.path.read_bytes() == table


async def test_a_row_count_that_means_something_else(hostile, connect, finish, clock, whole, tmp_path):
    """Where the metadata contradict a table of which there is a doubt, the error says what to do about it."""
    table, metadata = whole(b"a\r\n1", **ATTACHED), whole({"data": {"count": 99}})
    client = await connect(hostile.url, clock=clock)
    hostile.answer(table, table, metadata)
    with pytest.raises(PayloadError, match="row_count_keys"):
        await finish(client.outputs("e").export(tmp_path, format="csv", retries=0))
    other = await connect(hostile.url, clock=clock, profile=ServiceProfile(row_count_keys=()))
    hostile.answer(table, table, metadata)
    await finish(other.outputs("e").export(tmp_path, format="csv", retries=0))


async def test_options_that_there_are_not(hostile, client, tmp_path):
    """A misspelled option is an error like that of any call, and nothing is sent."""
    outputs = client.outputs("e")
    for call in (
        lambda: outputs.export(tmp_path, if_exist="skip"),
        lambda: outputs.download(tmp_path, overwrite=True),
        lambda: outputs.media("/media/1", tmp_path, wait=1),
        lambda: anext(outputs.rows(progress=None)),
    ):
        with pytest.raises(TypeError, match="unexpected keyword argument"):
            await call()
    for wait in (-1, "60", None, True):
        with pytest.raises(ConfigurationError, match="wait must be"):
            await outputs.export(tmp_path, wait=wait)
    assert hostile.requests == []


def test_rows_that_nobody_reads_on(tmp_path):
    """A program that ends with iterators in the middle of a body ends quietly."""
    program = """
        import asyncio

        from titan_state import RequestBudget, TaskService
        from titan_state.emulator import Plan, Scenario, Step, TaskServiceEmulator

        async def main():
            plan = Plan(id="e", steps=[Step("running"), Step("completed")], rows=3000, padding=1000)
            async with TaskServiceEmulator(Scenario([plan]), per_minute=None) as service:
                client = TaskService(service.url, service.token, budget=RequestBudget(per_minute=100_000, burst=100))
                held = [client.outputs("e").rows() for _ in range(5)]
                for rows in held:
                    await anext(rows)
                await client.close()
                return held

        held = asyncio.run(main())
    """
    done = subprocess.run(
        [sys.executable, "-W", "always", "-c", textwrap.dedent(program)], capture_output=True, text=True
    )
    assert (done.returncode, done.stderr) == (0, "")


async def test_rows_settle_a_doubt(hostile, connect, finish, clock, whole, tmp_path):
    """An array that ends in something else than it began with may be cut: reading its rows tells."""
    client = await connect(hostile.url, clock=clock)
    hostile.answer(whole(b'[{"a":1},null]', **ATTACHED))
    await finish(client.outputs("e").export(tmp_path))
    assert len(hostile.requests) == 2
    hostile.answer(whole(b'[{"a":[1]', **ATTACHED))
    with pytest.raises(PayloadError, match="may have been cut"):
        await finish(client.outputs("e").export(tmp_path / "2"))
    assert files(tmp_path) == ["e.json"]


async def test_a_table_with_fewer_rows_than_it_should_have(hostile, connect, finish, clock, whole, tmp_path):
    """The same half of a table twice is still no table, if the metadata say that there are more rows."""
    client = await connect(hostile.url, clock=clock)
    half, full = whole(b"a,b\r\n1,2", **ATTACHED), whole(b"a,b\r\n1,2\r\n3,4\r\n", **ATTACHED)
    hostile.answer(half, half, whole({"data": {"row_count": 2}}), full)
    saved = await finish(client.outputs("e").export(tmp_path, format="csv"))
    assert saved.path.read_bytes() == b"a,b\r\n1,2\r\n3,4\r\n"


@pytest.mark.parametrize(
    ("status", "kind", "is_file"), [(204, "", False), (200, "application/json", False), (200, "text/csv", True)]
)
async def test_empty_bodies(hostile, connect, finish, clock, whole, tmp_path, status, kind, is_file):
    """No bytes are no results yet where JSON was meant, and a table without rows where that is what it is called."""
    client = await connect(hostile.url, clock=clock)
    hostile.answer(whole(b"", status, Content_Type=kind))
    export = client.outputs("e").export(tmp_path, format="csv", wait=0)
    if is_file:
        assert (await finish(export)).size == 0
    else:
        with pytest.raises(ResultsNotReadyError, match="an empty answer"):
            await finish(export)


async def test_a_refusal_that_is_huge(hostile, connect, whole, tmp_path):
    """The body of a refusal is read up to the client's cap; its head says what it is."""
    client = await connect(hostile.url, max_body=1000)
    hostile.answer(whole(b"x" * 2000, 403))
    with pytest.raises(ForbiddenError, match="its body is too large"):
        await client.outputs("e").export(tmp_path)


async def test_it_goes_on_where_it_stopped(hostile, connect, finish, clock, whole, tmp_path):
    """With a validator the rest is asked for, and only the rest is sent."""
    body = json.dumps([{"n": n} for n in range(100)]).encode()
    strong = {"ETag": '"v1"', "Accept_Ranges": "bytes", **ATTACHED}
    client = await connect(hostile.url, clock=clock)
    rest = whole(body[40:], 206, Content_Range=f"bytes 40-{len(body) - 1}/{len(body)}", **strong)
    read = asyncio.Event()
    hostile.answer(lambda writer: cut(writer, body, 40, until=read, **strong), rest)
    saved = await finish(client.outputs("e").export(tmp_path, progress=reading(read, 40)))
    assert saved.path.read_bytes() == body
    asked = hostile.requests[-1].decode()
    assert "Range: bytes=40-\r\n" in asked
    assert 'If-Range: "v1"\r\n' in asked
    read.clear()
    hostile.answer(lambda writer: cut(writer, body, 40, until=read, **strong), rest)
    rows = []

    async def collect():
        async for row in client.outputs("e").rows():
            rows.append(row)
            read.set()

    await finish(collect())
    assert rows == json.loads(body)


@pytest.mark.parametrize(
    "wrong",
    [
        (206, {"Content_Range": "bytes 39-99/100"}),
        (206, {"Content_Range": "bytes 40-99/101"}),
        (206, {"Content_Range": "nonsense"}),
        (206, {}),
        (416, {"Content_Range": "bytes */40"}),
    ],
)
async def test_a_wrong_part_begins_it_again(hostile, connect, finish, clock, whole, tmp_path, wrong):
    """A part that is not the one that was asked for is no part: the file begins again."""
    body = b'["' + b"x" * 96 + b'"]'
    strong = {"ETag": '"v1"', "Accept_Ranges": "bytes", **ATTACHED}
    client = await connect(hostile.url, clock=clock)
    status, headers = wrong
    read = asyncio.Event()
    hostile.answer(
        lambda writer: cut(writer, body, 40, until=read, **strong),
        whole(b"y" * 60, status, **strong, **headers),
        whole(body, **strong),
    )
    saved = await finish(client.outputs("e").export(tmp_path, progress=reading(read, 40)))
    assert saved.path.read_bytes() == body
    assert len(hostile.requests) == 3
    assert "Range" not in hostile.requests[-1].decode()


async def test_a_file_that_has_changed(hostile, connect, finish, clock, whole, tmp_path):
    """If the service begins again with another file, the saved one is the other, and rows are not mixed."""
    old, new = b'[{"v":1},{"v":1},{"v":1}]', b'[{"v":2},{"v":2},{"v":2}]'
    client = await connect(hostile.url, clock=clock)
    hostile.answer(lambda writer: cut(writer, old, 20, **ATTACHED), whole(new, **ATTACHED))
    saved = await finish(client.outputs("e").export(tmp_path))
    assert saved.path.read_bytes() == new
    read = asyncio.Event()
    hostile.answer(lambda writer: cut(writer, old, 20, until=read, **ATTACHED), whole(new, **ATTACHED))
    got = []

    async def collect():
        async for row in client.outputs("e").rows():
            got.append(row)
            read.set()

    with pytest.raises(PayloadError, match="the export changed while it was read"):
        await finish(collect())
    assert got == [{"v": 1}, {"v": 1}]


async def test_endless_bodies_are_cut_off(hostile, connect, tmp_path):
    """A body that never ends, or says that it is huge, stops at the limit; nothing is left of it."""

    async def endless(writer):
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Disposition: attachment\r\n\r\n[")
        while not writer.transport.is_closing():
            writer.write(b"1," * 50_000)
            await writer.drain()

    client = await connect(hostile.url)
    hostile.answer(endless)
    with pytest.raises(BodyTooLargeError, match="larger than 1000000 bytes"):
        await client.outputs("e").export(tmp_path, max_size=1_000_000)
    with pytest.raises(BodyTooLargeError):
        await all_of(client.outputs("e").rows(max_size=1_000_000))
    assert len(hostile.requests) == 2
    assert files(tmp_path) == []


async def test_bodies_that_come_too_slowly(hostile, connect, clock, tmp_path):
    """A server that sends a byte now and then does not hold a download for ever."""
    going = asyncio.Event()

    async def drip(writer):
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Disposition: attachment\r\n\r\n")
        while True:
            await going.wait()
            going.clear()
            writer.write(b"1")
            await writer.drain()

    client = await connect(hostile.url, clock=clock)
    hostile.answer(drip)
    task = asyncio.create_task(client.outputs("e").export(tmp_path, retries=0))
    await hostile.until(1)
    while not task.done():
        going.set()
        await clock.advance(5.0)
    with pytest.raises(TransportError, match="the body comes too slowly"):
        task.result()


async def test_pages_and_envelopes_are_no_files(hostile, connect, finish, clock, whole, tmp_path):
    """The page of a proxy, or an envelope that refuses, is never saved as an export."""
    client = await connect(hostile.url, clock=clock)
    for page in (whole(b"<html>", Content_Type="text/html; charset=utf-8"), whole(b"\n <!doctype html>")):
        hostile.answer(page)
        with pytest.raises(PayloadError, match="a page came instead of the file"):
            await finish(client.outputs("e").export(tmp_path, retries=1))
    hostile.say({"success": False, "error": {"code": "UNAUTHORIZED", "message": "m"}})
    with pytest.raises(UnauthorizedError):
        await finish(client.outputs("e").export(tmp_path))
    assert files(tmp_path) == []


@pytest.mark.parametrize(
    "body", [b'{"success":true,"data":[{"a":1}]}', b'{"a":1}\n{"error":"of a row"}\n', b'{"a":"success"}', b"[1]"]
)
async def test_files_that_are_no_attachments(hostile, client, whole, tmp_path, body):
    """A service that forgets to call its file an attachment is understood all the same."""
    hostile.answer(whole(body, Content_Type="application/json"))
    saved = await client.outputs("e").export(tmp_path)
    assert saved.path.read_bytes() == body


async def test_what_is_compressed_anyway(hostile, connect, finish, clock, tmp_path):
    """A body that is compressed unasked is unpacked, and begins again where it breaks."""
    import gzip

    plain = json.dumps([{"n": n} for n in range(1000)]).encode()
    packed = gzip.compress(plain)
    headers = {"Content_Encoding": "gzip", "ETag": '"v"', "Accept_Ranges": "bytes", **ATTACHED}
    client = await connect(hostile.url, clock=clock)
    hostile.answer(
        lambda writer: cut(writer, packed, len(packed) // 2, **headers),
        lambda writer: cut(writer, packed, len(packed), **headers),
    )
    saved = await finish(client.outputs("e").export(tmp_path))
    assert saved.path.read_bytes() == plain
    assert "Range:" not in hostile.requests[-1].decode()
    assert "Accept-Encoding: identity" in hostile.requests[0].decode()


# Arguments and files.


async def test_nothing_is_sent_for_what_cannot_work(hostile, client, tmp_path):
    """Arguments that cannot work, and files that are there, are refused before any request."""
    (tmp_path / "e.json").write_bytes(b"mine")
    outputs = client.outputs("e")
    with pytest.raises(OutputExistsError):
        await outputs.export(tmp_path)
    kept = await outputs.export(tmp_path, if_exists="skip")
    assert (kept.is_new, kept.size) == (False, 4)
    for options in ({"format": "xml"}, {"retries": -1}, {"max_size": 0}, {"max_size": True}, {"if_exists": "x"}):
        with pytest.raises(ConfigurationError):
            await outputs.export(tmp_path / "new", **options)
    with pytest.raises(ConfigurationError, match="there is no directory"):
        await outputs.export(tmp_path / "none" / "x.json")
    with pytest.raises(ConfigurationError):
        client.outputs("..")
    assert hostile.requests == []
    assert (tmp_path / "e.json").read_bytes() == b"mine"
    assert repr(outputs) == "<Outputs of e>"


async def test_file_names_of_the_service_mean_nothing(hostile, client, whole, tmp_path):
    """Whatever a service calls its file, and whatever an execution is called, the file is where it was asked for."""
    hostile.answer(whole(b"[]", Content_Disposition='attachment; filename="../../evil.json"'))
    inner = tmp_path / "inner"
    inner.mkdir()
    saved = await client.outputs("../../e").export(inner)
    assert saved.path.parent == inner
    assert files(tmp_path) == ["inner"]
    assert hostile.targets[-1].startswith("/api/v1/executions/..%2F..%2Fe/results/export")


async def test_overwriting(emulate, connect, tmp_path):
    """A file that is to be overwritten is there until the new one is whole."""
    service = await emulate(Scenario([DONE]))
    client = await connect(service.url, service.token)
    path = tmp_path / "x"
    path.write_bytes(b"old")
    seen = []
    await client.outputs("done").export(path, if_exists="overwrite", progress=lambda *_: seen.append(path.read_bytes()))
    assert set(seen) == {b"old"}
    assert path.read_bytes() == service.export_bytes("done")


async def test_a_progress_that_raises_ends_it(emulate, connect, tmp_path):
    """What a progress callback raises is the caller's own, and leaves no file."""
    service = await emulate(Scenario([DONE]))
    client = await connect(service.url, service.token)

    def refuse(received, total):
        raise RuntimeError("enough")

    with pytest.raises(RuntimeError, match="enough"):
        await client.outputs("done").export(tmp_path, progress=refuse)
    assert files(tmp_path) == []


async def test_cancelling_leaves_nothing(hostile, connect, tmp_path):
    """A download that is cancelled leaves neither a file nor a connection."""

    async def hang(writer):
        await cut(writer, b"[" + b"1" * 99, 50, **ATTACHED)
        await asyncio.Event().wait()

    client = await connect(hostile.url)
    hostile.answer(hang)
    task = asyncio.create_task(client.outputs("e").export(tmp_path))
    await hostile.until(1)
    await begun(tmp_path)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert files(tmp_path) == []


async def test_leaving_the_rows_closes_the_connection(hostile, connect, tmp_path):
    """Whoever has seen enough rows closes the iterator, and the rest is not loaded."""
    closed = asyncio.Event()

    async def endless(writer):
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Disposition: attachment\r\n\r\n[")
        try:
            while not writer.transport.is_closing():
                writer.write(b'{"a":1},' * 1000)
                await writer.drain()
        finally:
            closed.set()

    client = await connect(hostile.url)
    hostile.answer(endless)
    async with aclosing(client.outputs("e").rows()) as rows:
        assert [await anext(rows) for _ in range(3)] == [{"a": 1}] * 3
    await asyncio.wait_for(closed.wait(), 10)


async def test_not_too_many_at_once(hostile, connect, tmp_path):
    """Files are loaded a few at a time; lists and executions are read beside them."""
    gate = asyncio.Event()

    async def slow(writer):
        await gate.wait()
        await cut(writer, b"[]", 2, **ATTACHED)

    client = await connect(hostile.url)
    hostile.answer(slow)
    tasks = [asyncio.create_task(client.outputs(f"e{n}").export(tmp_path)) for n in range(IN_PARALLEL + 4)]
    await hostile.until(IN_PARALLEL)
    await asyncio.sleep(0.05)
    assert len(hostile.requests) == IN_PARALLEL
    gate.set()
    await asyncio.gather(*tasks)
    assert len(files(tmp_path)) == IN_PARALLEL + 4


async def test_what_waits_for_results_holds_up_nobody(emulate, connect, finish, clock, tmp_path):
    """Executions whose results are late take no place of those that can be loaded."""
    late = [Plan(id=f"late{n}", steps=[Step("running"), Step("completed")], results_after_s=50.0) for n in range(20)]
    service = await emulate(Scenario([DONE, *late]), clock=clock)
    client = await connect(service.url, service.token, clock=clock)
    waiting = [asyncio.ensure_future(client.outputs(plan.id).export(tmp_path)) for plan in late]
    await clock.advance(5)
    await finish(client.outputs("done").export(tmp_path))
    assert clock.time() < 1015
    assert not any(task.done() for task in waiting)
    await finish(asyncio.gather(*waiting))


async def test_a_closed_client_ends_downloads_at_once(hostile, connect, clock, tmp_path):
    """A client that is closed does not go on with retries."""
    client = await connect(hostile.url, clock=clock)

    async def hang(writer):
        await cut(writer, b"[" + b"1" * 99, 50, **ATTACHED)
        await asyncio.Event().wait()

    hostile.answer(hang)
    task = asyncio.create_task(client.outputs("e").export(tmp_path))
    await hostile.until(1)
    await begun(tmp_path)
    await client.close()
    with pytest.raises(TransportError):
        await task
    assert len(hostile.requests) == 1


# Credentials.


async def test_another_token_is_asked_for_once(emulate, connect, tmp_path):
    """A refused token is renewed for a download as for any other request."""
    service = await emulate(Scenario([DONE]))
    given = iter(["expired-token", service.token, service.token])
    client = await connect(service.url, lambda: next(given))
    await client.outputs("done").export(tmp_path)
    assert [request.status for request in service.requests] == [401, 200]
    lost = await connect(service.url, "never-accepted")
    with pytest.raises(UnauthorizedError):
        await lost.outputs("done").export(tmp_path / "2")


async def test_redirects_are_not_followed(hostile, other, client, whole, tmp_path, told):
    """Neither an export nor media follow a redirect: the credentials stay where they belong."""
    hostile.answer(whole(b"", 302, Location=f"{other.url}/x?token=abcdefgh1234"))
    for load in (
        client.outputs("e").export(tmp_path),
        client.outputs("e").media("/media/a?token=abcdefgh1234", tmp_path),
    ):
        with pytest.raises(RedirectError) as caught:
            await load
        assert "abcdefgh1234" not in told(caught.value)
    assert other.requests == []


async def test_the_token_is_nowhere(hostile, connect, finish, clock, whole, tmp_path, told, token, caplog):
    """Not in errors, however the service echoes it, and not in the log."""
    caplog.set_level(logging.DEBUG)
    client = await connect(hostile.url, clock=clock)
    echo = {"success": False, "error": {"code": "NOT_FOUND", "message": f"no {token} here"}}
    for answer in (whole(echo, 404), whole(echo, 400), whole(echo, 200), whole(f"<p>{token}".encode())):
        hostile.answer(answer)
        with pytest.raises(ServiceError) as caught:
            await finish(client.outputs("e").export(tmp_path, wait=0, retries=0))
        assert token not in told(caught.value)
    assert token not in caplog.text
