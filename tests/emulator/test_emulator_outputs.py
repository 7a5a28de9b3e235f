"""Outputs: what files hold, what is answered before there are any, and files from an offset on."""

from __future__ import annotations

import csv
import io
import json

import pytest

from titan_state.emulator import Plan, Scenario, Settings, Step
from titan_state.emulator.contents import NOTES

DONE = Plan(id="done", task_id="t", steps=[Step("running"), Step("completed")], rows=7)
EMPTY = Plan(id="empty", task_id="t", steps=[Step("running"), Step("completed")], rows=0)
SCENARIO = Scenario([DONE, EMPTY])

RESULTS = "/executions/done/results"
FILES = [f"{RESULTS}/export", f"{RESULTS}/export?format=csv", f"{RESULTS}/download"]
NOT_READABLE = [RESULTS, *FILES]


def notes(count, padding=0):
    """Return the notes of so many rows, as far as they are not padding."""
    return [NOTES[n % len(NOTES)] for n in range(count)]


async def image(client, execution_id="done"):
    exported = await client.get(f"/executions/{execution_id}/results/export")
    return exported.json[0]["image"].removeprefix(client.service.url)


async def test_notes_are_awkward_in_every_format(opened):
    """Each format gives back separators, quotes, line breaks, other scripts and nothing at all, as they are."""
    _, client = await opened(SCENARIO)
    rows = (await client.get(f"{RESULTS}/export")).json
    assert [row["note"] for row in rows] == notes(7)
    text = "".join(notes(7))
    assert all(case in text for case in (",", '"', "\n", "\r\n", "🙂", "\u2028"))
    assert "" in notes(7)
    table = csv.DictReader(io.StringIO((await client.get(f"{RESULTS}/download")).body.decode(), newline=""))
    assert list(table) == [{name: str(value) for name, value in row.items()} for row in rows]
    assert (await client.get(RESULTS)).data["columns"] == list(rows[0])
    _, lines = await opened(SCENARIO, export_shape="lines")
    exported = await lines.get(f"{RESULTS}/export")
    assert exported.headers["Content-Type"] == "application/x-ndjson"
    assert exported.headers["Content-Disposition"] == 'attachment; filename="results-done.jsonl"'
    assert exported.body.endswith(b"}\n")
    assert [json.loads(line)["note"] for line in exported.body.split(b"\n")[:-1]] == notes(7)
    assert (await lines.get("/executions/empty/results/export")).body == b""
    assert (await client.get("/executions/empty/results/export")).json == []


@pytest.mark.parametrize("shape", ["array", "lines"])
async def test_files_are_what_export_bytes_says_whenever_they_are_read(opened, clock, shape):
    """Two files of one execution are equal byte for byte, and a test may know them before they are readable."""
    plan = Plan(id="a", steps=[Step("running", 1), Step("completed", 1)], results_after_s=5, padding=50)
    service, client = await opened(Scenario([plan, Plan(id="later", created_after_s=99)]), export_shape=shape)
    truth = {wanted: service.export_bytes("a", wanted) for wanted in ("json", "csv")}
    assert not service.results_ready("a")
    for wait in (10, 1000):
        await clock.advance(wait)
        assert (await client.get("/executions/a/results/export")).body == truth["json"] == service.export_bytes("a")
        assert (await client.get("/executions/a/results/export?format=csv")).body == truth["csv"]
        assert (await client.get("/executions/a/results/download")).body == truth["csv"]


async def test_export_bytes_wants_an_execution_and_a_format(opened):
    """What there is not, or not yet, has no contents; nor has a format that there is not."""
    service, _ = await opened(Scenario([DONE, Plan(id="later", created_after_s=99)]))
    for execution_id in ("none", "later"):
        with pytest.raises(KeyError, match=execution_id):
            service.export_bytes(execution_id)
    with pytest.raises(ValueError, match="json or csv, not 'xml'"):
        service.export_bytes("done", "xml")


@pytest.mark.parametrize("padding", [1, 8, 1000])
async def test_padding_makes_rows_long(opened, padding):
    """Each note has so many more characters, which differ from row to row where there is room for it."""
    _, client = await opened(Scenario([Plan(id="done", initial="completed", rows=6, padding=padding)]))
    rows = (await client.get(f"{RESULTS}/export")).json
    assert len(rows) == (await client.get(RESULTS)).data["row_count"] == 6
    added = [row["note"].removeprefix(note) for row, note in zip(rows, notes(6), strict=True)]
    assert {len(text) for text in added} == {padding}
    assert len(set(added)) == (6 if padding > 1 else 1)
    with pytest.raises(ValueError):
        Plan(padding=-1)


@pytest.mark.parametrize(("status", "code"), [(404, "NOT_FOUND"), (409, "CONFLICT"), (425, "TOO_EARLY")])
async def test_results_that_are_not_readable_may_be_refused(opened, clock, status, code):
    """Metadata and files are refused with the deployment's status until they are published, then answered."""
    plan = Plan(id="done", initial="completed", results_after_s=5)
    _, client = await opened(Scenario([plan]), results_pending=status)
    for path in NOT_READABLE:
        refused = await client.get(path)
        assert (refused.status, refused.code) == (status, code)
    await clock.advance(5)
    assert {(await client.get(path)).status for path in NOT_READABLE} == {200}


@pytest.mark.parametrize(
    ("pending", "status", "data"),
    [(202, 202, {"status": "processing"}), ("status", 200, {"status": "processing"}), ("null", 200, None)],
)
async def test_results_that_are_not_readable_may_be_answered(opened, clock, pending, status, data):
    """A sloppy service says with success that there is nothing yet, also where a file is expected."""
    plan = Plan(id="done", initial="completed", results_after_s=5)
    _, client = await opened(Scenario([plan]), results_pending=pending)
    for path in NOT_READABLE:
        answer = await client.get(path, headers={"X-API-Key": client.service.token, "Range": "bytes=5-"})
        assert (answer.status, answer.data) == (status, data)
        assert "Content-Disposition" not in answer.headers
        assert "ETag" not in answer.headers
    assert (await client.get("/executions/none/results")).status == 404
    await clock.advance(5)
    assert (await client.get(RESULTS)).data["status"] == "ready"


@pytest.mark.parametrize("wrong", [{"results_pending": 503}, {"results_pending": None}, {"export_shape": "xml"}])
def test_settings_that_cannot_be_are_refused(wrong):
    """A deployment answers in one of the ways that there are."""
    with pytest.raises(ValueError):
        Settings(**wrong)


@pytest.mark.parametrize("path", [*FILES, "media"])
async def test_files_are_sent_from_an_offset_on(opened, path):
    """Any file can be had in pieces, each with its place, and with the tag and the other headers of the whole."""
    _, client = await opened(SCENARIO)
    prefix = "/api/v1"
    if path == "media":
        path, prefix = await image(client), ""
    key = {"X-API-Key": client.service.token}
    whole = await client.get(path, prefix=prefix)
    size, tag = len(whole.body), whole.headers["ETag"]
    assert (whole.status, whole.headers["Accept-Ranges"]) == (200, "bytes")
    assert tag.startswith('"')
    assert "Content-Range" not in whole.headers
    for start in (0, 1, size // 2, size - 1):
        for condition in ({}, {"If-Range": tag}):
            part = await client.get(path, prefix=prefix, headers={**key, "Range": f"bytes={start}-", **condition})
            assert (part.status, part.body) == (206, whole.body[start:])
            assert part.headers["Content-Range"] == f"bytes {start}-{size - 1}/{size}"
            assert part.headers["Content-Length"] == str(size - start)
            for name in ("ETag", "Accept-Ranges", "Content-Type", "Content-Disposition"):
                assert part.headers.get(name) == whole.headers.get(name)
    for start in (size, 10**17):
        refused = await client.get(path, prefix=prefix, headers={**key, "Range": f"bytes={start}-", "If-Range": tag})
        assert (refused.status, refused.headers["Content-Range"]) == (416, f"bytes */{size}")
        assert refused.json["error"] == "the range is beyond the end" if prefix == "" else refused.code
        assert "ETag" not in refused.headers


@pytest.mark.parametrize(
    "headers",
    [
        {"Range": "bytes=5-", "If-Range": '"another"'},
        {"Range": "bytes=999999-", "If-Range": '"another"'},
        {"Range": "bytes=5-", "If-Range": "Thu, 01 Jan 2026 00:00:00 GMT"},
        {"Range": "bytes=5-9"},
        {"Range": "bytes=-5"},
        {"Range": "bytes=1-,3-"},
        {"Range": "bytes=" + "9" * 5000 + "-"},
        {"Range": "rows=5-"},
        {"If-Range": '"another"'},
    ],
)
async def test_ranges_that_do_not_hold_bring_the_whole(opened, headers):
    """A range of another file, or one that is not understood, is ignored."""
    service, client = await opened(SCENARIO)
    answer = await client.get(FILES[0], headers={"X-API-Key": service.token, **headers})
    assert (answer.status, answer.body) == (200, service.export_bytes("done"))
    assert "Content-Range" not in answer.headers


async def test_weak_tags_do_not_hold(opened):
    """A tag that is called weak does not stand for the same bytes."""
    service, client = await opened(SCENARIO)
    tag = (await client.get(FILES[0])).headers["ETag"]
    headers = {"X-API-Key": service.token, "Range": "bytes=5-", "If-Range": f"W/{tag}"}
    assert (await client.get(FILES[0], headers=headers)).status == 200


async def test_tags_tell_files_apart(opened):
    """Another format, and another execution, has another tag; export as CSV and download are the same file."""
    _, client = await opened(SCENARIO)
    paths = [*FILES, "/executions/empty/results/export", "/executions/empty/results/download"]
    tags = [(await client.get(path)).headers["ETag"] for path in paths]
    assert tags[1] == tags[2]
    assert len(set(tags)) == 4


async def test_an_empty_file_has_no_rest(opened):
    """Of an export without a byte no range can be had, not even from 0 on."""
    service, client = await opened(SCENARIO, export_shape="lines")
    headers = {"X-API-Key": service.token, "Range": "bytes=0-"}
    refused = await client.get("/executions/empty/results/export", headers=headers)
    assert (refused.status, refused.code) == (416, "RANGE_NOT_SATISFIABLE")
    assert refused.headers["Content-Range"] == "bytes */0"


@pytest.mark.parametrize("path", [*FILES, "media"])
async def test_a_deployment_may_know_no_ranges(opened, path):
    """Without ranges there is neither a tag nor a promise, and the whole is sent whatever is asked for."""
    service, client = await opened(SCENARIO, ranges=False)
    prefix = "/api/v1"
    if path == "media":
        path, prefix = await image(client), ""
    whole = await client.get(path, prefix=prefix)
    for start in (5, 10**6):
        headers = {"X-API-Key": service.token, "Range": f"bytes={start}-"}
        answer = await client.get(path, prefix=prefix, headers=headers)
        assert (answer.status, answer.body) == (200, whole.body)
        assert not {"ETag", "Accept-Ranges", "Content-Range"} & set(answer.headers)


async def test_datasets_are_paged(opened, clock):
    """Datasets have limit and offset like other lists, and count only what is readable."""
    plans = [
        Plan(id=f"{n}", task_id="t", created_after_s=n / 10, initial="completed" if n != 3 else "failed", rows=n)
        for n in range(7)
    ]
    _, client = await opened(Scenario(plans), default_limit=4, max_limit=5)
    await clock.advance(1)

    async def shown(query, path="/tasks/t/datasets"):
        data = (await client.get(f"{path}{query}")).data
        assert data["total"] == (6 if path.startswith("/tasks") else 1)
        return data["limit"], data["offset"], [one["execution_id"] for one in data["items"]]

    assert await shown("") == (4, 0, ["6", "5", "4", "2"])
    assert await shown("?offset=4") == (4, 4, ["1", "0"])
    assert await shown("?limit=2&offset=1") == (2, 1, ["5", "4"])
    assert await shown("?limit=100") == (5, 0, ["6", "5", "4", "2", "1"])
    assert await shown("?offset=6") == (4, 6, [])
    assert await shown("?limit=1", "/executions/5/datasets") == (1, 0, ["5"])
    assert await shown("?offset=1", "/executions/5/datasets") == (4, 1, [])
    for query in ("?limit=0", "?offset=-1"):
        assert (await client.get(f"/executions/5/datasets{query}")).code == "BAD_REQUEST"
        assert (await client.get(f"/tasks/t/datasets{query}")).code == "BAD_REQUEST"
