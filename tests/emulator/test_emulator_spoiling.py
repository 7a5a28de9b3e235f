"""Spoiled bodies: lengths that are wrong, and connections that break, as they arrive on a plain socket."""

from __future__ import annotations

import asyncio
import csv
import io
import json
import socket
from itertools import accumulate, product
from urllib.parse import urlsplit

import aiohttp
import attrs
import pytest

from titan_state.emulator import Faults, Plan, Scenario, When
from titan_state.emulator.contents import NOTES
from titan_state.emulator.spoiling import EXCESS, inside

SCENARIO = Scenario([Plan(id="a", initial="completed", rows=20), Plan(id="empty", initial="completed", rows=0)])
EXPORT = "/api/v1/executions/a/results/export"


@attrs.frozen
class Arrived:
    status: int
    headers: dict[str, str]
    body: bytes
    is_reset: bool

    @property
    def length(self):
        return int(self.headers["content-length"])


async def arrived(service, path=EXPORT, **headers):
    """Ask on a plain socket, and return every byte that came: aiohttp forgets what is not complete."""
    url = urlsplit(service.url)
    loop = asyncio.get_running_loop()
    received, is_reset = bytearray(), False
    with socket.socket() as sock:
        sock.setblocking(False)
        await loop.sock_connect(sock, (url.hostname, url.port))
        lines = {"Host": url.netloc, "X-API-Key": service.token, "Connection": "close", **headers}
        request = "".join(f"{name}: {value}\r\n" for name, value in lines.items())
        await loop.sock_sendall(sock, f"GET {path} HTTP/1.1\r\n{request}\r\n".encode())
        try:
            while chunk := await loop.sock_recv(sock, 1 << 16):
                received += chunk
        except ConnectionResetError:
            is_reset = True
    head, _, body = bytes(received).partition(b"\r\n\r\n")
    first, *fields = head.decode().split("\r\n")
    pairs = (field.split(": ", 1) for field in fields)
    return Arrived(int(first.split(" ")[1]), {name.lower(): value for name, value in pairs}, body, is_reset)


async def test_lengths_are_too_large_and_too_small_by_turns(opened):
    """A length that is too large comes with the whole body, one that is too small with no more than it says."""
    service, client = await opened(SCENARIO, faults=Faults(wrong_length=1.0))
    truth = service.export_bytes("a")
    for _ in range(3):
        large = await arrived(service)
        assert (large.body, large.length, large.is_reset) == (truth, len(truth) + EXCESS, False)
        small = await arrived(service)
        assert 0 < len(small.body) == small.length < len(truth)
        assert truth.startswith(small.body)
    with pytest.raises(aiohttp.ClientPayloadError):
        await client.get("/executions")
    with pytest.raises(ValueError):
        _ = (await client.get("/executions")).json


async def test_wrong_lengths_of_an_empty_body_are_too_large(opened):
    """Nothing is less than nothing."""
    service, _ = await opened(SCENARIO, export_shape="lines", faults=Faults(wrong_length=1.0))
    for _ in range(2):
        answer = await arrived(service, "/api/v1/executions/empty/results/export")
        assert (answer.body, answer.length) == (b"", EXCESS)


def line(length):
    return json.dumps({"note": "x" * length}).encode() + b"\n"


def record(length):
    text = io.StringIO(newline="")
    csv.writer(text).writerow([length, "x" * length, NOTES[length % len(NOTES)]])
    return text.getvalue().encode()


@pytest.mark.parametrize("row", [line, record])
def test_bodies_are_cut_inside_of_a_row(row):
    """Wherever the middle of a file is, what is left of it does not end with a row, nor just before its line break."""
    moved = 0
    for lengths in product(range(9), repeat=2):
        rows = [row(length) for length in lengths]
        body = b"".join(rows)
        at = inside(body)
        assert 0 < at < len(body)
        ends = set(accumulate(map(len, rows)))
        assert not {at, at + 1} & ends
        assert not body[:at].endswith(b"}")
        moved += at != len(body) // 2
    assert moved


@pytest.mark.parametrize("body", [b"\n", b"x", b"\r\n", b"}\n"])
def test_bodies_without_an_inside_are_cut_to_nothing(body):
    """Where every place but the first is the end of a row, nothing is left."""
    assert inside(body) == 0


async def test_bodies_break_off_anywhere(opened):
    """A reset leaves any part of a body, but never all of it; the same seed breaks at the same places."""
    stories = []
    for _ in range(2):
        service, client = await opened(SCENARIO, seed=7, faults=Faults(broken_body=1.0))
        truth = service.export_bytes("a")
        sizes = []
        for _ in range(12):
            answer = await arrived(service)
            assert (answer.status, answer.length, answer.is_reset) == (200, len(truth), True)
            assert truth.startswith(answer.body)
            sizes.append(len(answer.body))
        assert max(sizes) < len(truth)
        stories.append(sizes)
        with pytest.raises(aiohttp.ClientError):
            await client.get("/executions/a")
    assert len(set(stories[0])) > 6
    assert stories[0] == stories[1]


async def test_large_bodies_break_off_after_more_than_a_buffer(opened):
    """What was sent before the reset arrives, also where it does not fit into one buffer."""
    plan = Plan(id="a", initial="completed", rows=400, padding=10_000)
    service, _ = await opened(Scenario([plan]), faults=Faults(broken_body=1.0))
    truth = service.export_bytes("a")
    answers = [await arrived(service) for _ in range(6)]
    assert all(answer.is_reset and truth.startswith(answer.body) for answer in answers)
    assert len(truth) > max(len(answer.body) for answer in answers) > 1 << 20


async def test_an_empty_body_breaks_after_its_headers(opened):
    """Of a body without a byte nothing is missing when the connection is reset."""
    service, _ = await opened(SCENARIO, export_shape="lines", faults=Faults(broken_body=1.0))
    answer = await arrived(service, "/api/v1/executions/empty/results/export")
    assert (answer.status, answer.body, answer.length, answer.is_reset) == (200, b"", 0, True)


@pytest.mark.parametrize("fault", ["truncated", "garbled", "wrong_length", "broken_body"])
async def test_the_rest_of_a_file_is_spoiled_with_its_headers(opened, fault):
    """A piece of a file keeps its status, place and tag, however its body is spoiled."""
    service, client = await opened(SCENARIO)
    truth = service.export_bytes("a")
    tag = (await client.get("/executions/a/results/export")).headers["ETag"]
    service.faults = Faults(**{fault: When(probability=1.0, only="/results/export")})
    for _ in range(2):
        answer = await arrived(service, Range="bytes=100-", **{"If-Range": tag})
        assert (answer.status, answer.headers["etag"]) == (206, tag)
        assert answer.headers["content-range"] == f"bytes 100-{len(truth) - 1}/{len(truth)}"
        assert answer.headers["content-type"] == "application/json"
        assert truth[100:].startswith(answer.body)
    assert (await client.get("/executions/a/results/download")).body == service.export_bytes("a", "csv")


async def test_a_file_can_be_put_together_from_broken_pieces(opened):
    """Whoever goes on where the connection broke has the whole file in the end."""
    plan = Plan(id="a", initial="completed", rows=200, padding=1000)
    faults = Faults(broken_body={1, 2, 4}, truncated={3}, wrong_length={5})
    service, _ = await opened(Scenario([plan]), faults=faults)
    truth = service.export_bytes("a")
    got = bytearray()
    pieces = 0
    while len(got) < len(truth):
        got += (await arrived(service, Range=f"bytes={len(got)}-")).body
        pieces += 1
    assert got == truth
    assert pieces == 5
    assert (await arrived(service, Range=f"bytes={len(got)}-")).status == 416


async def test_only_one_fault_of_the_length_shows(opened):
    """Where several hit one answer, a truncated body is no longer reset, and one of a wrong length neither."""
    service, _ = await opened(SCENARIO, faults=Faults(truncated={1}, wrong_length={1, 2}, broken_body={1, 2, 3}))
    truth = service.export_bytes("a")
    first, second, third, fourth = [await arrived(service) for _ in range(4)]
    assert (first.body, first.length, first.is_reset) == (truth[: len(truth) // 2], len(truth), False)
    assert (second.body, second.length, second.is_reset) == (truth, len(truth) + EXCESS, False)
    assert third.is_reset
    assert (fourth.body, fourth.is_reset) == (truth, False)


async def test_a_client_that_has_gone_needs_no_spoiled_body(opened, clock):
    """A connection that its client has given up breaks nothing when the answer would be spoiled."""
    service, client = await opened(SCENARIO, faults=Faults(slow={1}, slow_s=5, broken_body={1}))
    asking = asyncio.create_task(client.get("/executions"))
    while not clock.sleepers:
        await clock.settle()
    asking.cancel()
    await asyncio.gather(asking, return_exceptions=True)
    await clock.settle()
    await clock.advance(5)
    assert (await client.get("/executions")).data["total"] == 2
    assert [record.status for record in service.requests] == [200, 200]
