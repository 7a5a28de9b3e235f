"""One exchange: what is sent, what becomes of faults of the network, time-outs, and closing."""

from __future__ import annotations

import asyncio
import socket

import aiohttp
import pytest

from titan_state.client.service import TaskService
from titan_state.emulator.faults import Faults
from titan_state.errors import (
    ConfigurationError,
    ConnectionFailedError,
    NotFoundError,
    PayloadError,
    RequestTimeoutError,
    TransportError,
)

EXECUTION = {"success": True, "data": {"id": "e", "status": "running"}}


async def silent(writer):
    """Take a request and never answer."""
    await asyncio.Event().wait()


async def test_a_request_says_what_it_wants_and_no_more(client, hostile, token):
    """A read is sent with the token, what is accepted, and nothing that would tell on the machine."""
    hostile.say(EXECUTION)
    await client.get("e")
    head, *lines = hostile.requests[0].decode().split("\r\n")
    headers = dict(line.split(": ", 1) for line in lines if line)
    assert head == "GET /api/v1/executions/e HTTP/1.1"
    assert headers.pop("Host") == hostile.url.removeprefix("http://")
    assert headers.pop("Accept-Encoding")
    assert headers == {
        "Accept": "application/json",
        "User-Agent": "titan-state",
        "Authorization": f"Bearer {token}",
    }


async def test_a_body_is_json(client, hostile):
    """What is sent is JSON and says so; an action has no body."""
    hostile.say(EXECUTION)
    await client.run_task("t", secret_payload={"password": "é"})
    await client.pause("e")
    run, pause = hostile.requests
    assert b"\r\nContent-Type: application/json\r\n" in run
    assert run.endswith(b'\r\n\r\n{"secret_payload": {"password": "\\u00e9"}}')
    assert pause.endswith(b"\r\n\r\n")
    assert b"Content-Type" not in pause


async def test_cookies_are_not_kept(connect, hostile):
    """A cookie that the service sets is never sent back; aiohttp would keep those of hosts with a name."""
    client = await connect(hostile.url.replace("127.0.0.1", "localhost"))
    hostile.say(EXECUTION, Set_Cookie="session=1; Path=/")
    await client.get("e")
    await client.get("e")
    assert b"cookie" not in hostile.requests[1].lower()


async def test_the_environment_changes_no_request(client, hostile, other, monkeypatch):
    """A proxy in the environment would see the token, and is not used."""
    monkeypatch.setenv("HTTP_PROXY", other.url)
    monkeypatch.setenv("http_proxy", other.url)
    hostile.say(EXECUTION)
    await client.get("e")
    assert other.connections == 0


async def test_one_connection_serves_many_requests(client, hostile):
    """A connection is kept and used again."""
    hostile.say(EXECUTION)
    for _ in range(5):
        await client.get("e")
    assert hostile.connections == 1


async def test_a_refused_connection_was_not_sent(connect, told, token):
    """Nobody listens: the error says that nothing was sent, and is chained to its cause."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        client = await connect(f"http://127.0.0.1:{taken.getsockname()[1]}")
        with pytest.raises(ConnectionFailedError, match="no connection to") as raised:
            await client.get("e")
    error = raised.value
    assert str(error).startswith(f"GET /executions/e: no connection to {client.origin} (")
    assert str(error).endswith("): check the URL (TITAN_API_URL)")
    assert (error.sent, error.request) == (False, "GET /executions/e")
    assert isinstance(error, ConnectionError)
    assert isinstance(error.__cause__, aiohttp.ClientConnectorError)
    assert error.sent_at <= error.received_at
    assert token not in told(error)
    assert client.statistics.answers == {"none": 1}


async def test_a_host_that_does_not_exist_is_named(connect, monkeypatch):
    """A typing error in the URL shows in the first failure: it names the origin, and what to check."""

    def unknown(*_, **__):
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)  # no resolver is asked: some answer late, some with an address
    client = await connect("https://titan-api.invalid")
    with pytest.raises(
        ConnectionFailedError, match=r"no connection to https://titan-api\.invalid \(gaierror "
    ) as raised:
        await client.get("e")
    assert str(raised.value).endswith(": check the URL (TITAN_API_URL)")
    assert raised.value.sent is False


async def test_a_server_that_speaks_no_http_is_named(client, hostile):
    """A wrong port answers with something else: the error names the origin, and what to check."""
    hostile.answer(b"SSH-2.0-OpenSSH_9.6\r\n")
    with pytest.raises(ConnectionFailedError, match="answers, but no HTTP") as raised:
        await client.get("e")
    assert hostile.url in str(raised.value)
    assert str(raised.value).endswith(": check the URL (TITAN_API_URL)")


async def test_a_server_without_tls_was_not_sent_anything(connect):
    """Where https is asked for and the server speaks none, no request leaves."""
    heard = bytearray()

    async def plain(reader, writer):
        heard.extend(await reader.read(1000))
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        writer.close()

    async with await asyncio.start_server(plain, "127.0.0.1", 0) as server:
        client = await connect("https://{}:{}".format(*server.sockets[0].getsockname()))
        with pytest.raises(ConnectionFailedError, match="no connection") as raised:
            await client.get("e")
    assert raised.value.sent is False
    assert isinstance(raised.value.__cause__, aiohttp.ClientError)
    assert heard
    assert b"executions" not in heard


async def abort(writer):
    writer.transport.abort()


async def half_a_head(writer):
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Le")


async def half_a_body(writer):
    writer.write(b'HTTP/1.1 200 OK\r\nContent-Length: 60\r\n\r\n{"id": "e", "status"')


async def half_a_chunk(writer):
    writer.write(b'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n40\r\n{"id": "e", "status"')


async def body_then_abort(writer):
    writer.write(b'HTTP/1.1 200 OK\r\nContent-Length: 60\r\n\r\n{"id": "e"')
    await writer.drain()
    await asyncio.sleep(0.01)
    writer.transport.abort()


@pytest.mark.parametrize("answer", [abort, half_a_head, half_a_body, half_a_chunk, body_then_abort, b""])
async def test_a_broken_connection_may_have_been_sent(client, hostile, told, token, answer):
    """Once the request is out, its fate is unknown: the error says so, is chained, and nothing is sent again."""
    hostile.answer(answer)
    for ask in (client.get, client.pause):
        with pytest.raises(ConnectionFailedError, match=f"the connection to {client.origin} broke") as raised:
            await ask("e")
        assert raised.value.sent is True
        assert isinstance(raised.value.__cause__, aiohttp.ClientError | OSError)
        assert token not in told(raised.value)
    assert len(hostile.requests) == client.statistics.requests == client.statistics.answers["none"] == 2
    assert client.budget.in_flight == 0


async def test_a_kept_connection_that_breaks_is_not_tried_again(client, hostile, whole):
    """Aiohttp would repeat a read by itself on another connection, past the budget; here nothing goes out unasked."""
    hostile.answer(whole(EXECUTION), abort, whole(EXECUTION))
    await client.get("e")
    with pytest.raises(ConnectionFailedError):
        await client.get("e")
    assert len(hostile.requests) == 2
    await client.get("e")
    assert hostile.connections == 2


async def test_no_answer_in_time_may_have_been_sent(connect, hostile):
    """A service that takes the request and stays silent is a time-out, chained, and maybe carried out."""
    hostile.answer(silent)
    client = await connect(hostile.url, total_timeout_s=0.05)
    with pytest.raises(
        RequestTimeoutError, match=r"^POST /executions/e/stop: no answer from http://127.0.0.1:\d+ in time \("
    ) as raised:
        await client.stop("e")
    assert raised.value.sent is True
    assert isinstance(raised.value, TimeoutError)
    assert isinstance(raised.value.__cause__, TimeoutError)
    assert len(hostile.requests) == 1


async def test_a_body_that_drips_is_cut_off_in_time(connect, hostile):
    """The time counts for the whole exchange: a byte now and then does not prolong it."""

    async def drip(writer):
        writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        while True:
            writer.write(b"1\r\n \r\n")
            await writer.drain()
            await asyncio.sleep(0.01)

    hostile.answer(drip)
    client = await connect(hostile.url, total_timeout_s=0.1)
    with pytest.raises(RequestTimeoutError):
        await client.get("e")


async def test_a_connection_not_made_in_time_was_not_sent(connect):
    """A host that does not take connections is a time-out of connecting: nothing was sent."""
    with socket.socket() as full:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        full.setblocking(False)
        with socket.socket() as first, socket.socket() as second:  # the queue of those who wait is full
            for one in (first, second):
                one.setblocking(False)
                one.connect_ex(full.getsockname())
            client = await connect("http://{}:{}".format(*full.getsockname()), connect_timeout_s=0.1)
            with pytest.raises(RequestTimeoutError) as raised:
                await client.get("e")
    assert raised.value.sent is False


@pytest.mark.parametrize("fault", ["reset", "truncated", "lost_answer", "late", "slow"])
async def test_faults_of_the_embedded_service_are_translated(emulate, connect, fault):
    """Every way in which the embedded service breaks an exchange arrives as a transport error that may be sent."""
    service = await emulate(faults=Faults(**{fault: 1.0}, late_s=5.0, slow_s=5.0))
    client = await connect(service.url, service.token, total_timeout_s=0.2)
    (task_id,) = service.tasks()
    with pytest.raises(TransportError) as raised:
        await client.run_task(task_id)
    assert raised.value.sent is True
    assert isinstance(raised.value, TimeoutError) is (fault in ("late", "slow"))
    assert raised.value.__cause__ is not None


@pytest.mark.parametrize("fault", ["garbled", "html"])
async def test_bodies_that_the_embedded_service_spoils_are_payload_errors(emulate, connect, fault):
    """Half a body of a right length, and a proxy's page, are answers that cannot be read."""
    service = await emulate(faults=Faults(**{fault: 1.0}))
    client = await connect(service.url, service.token)
    with pytest.raises(PayloadError, match=r"^GET /tasks: the answer cannot be read: it is no valid JSON"):
        await client.list_tasks()


async def test_closing_breaks_what_is_on_its_way(connect, hostile):
    """A request that waits for its answer fails when the client is closed, and may have been carried out."""
    hostile.answer(silent)
    client = await connect(hostile.url)
    asked = asyncio.create_task(client.pause("e"))
    await hostile.until(1)
    await client.close()
    with pytest.raises(ConnectionFailedError) as raised:
        await asked
    assert raised.value.sent is True
    assert client.budget.in_flight == 0


async def test_a_client_that_sent_nothing_closes_without_ado(hostile, token):
    """Neither a connection nor a session is opened before the first request."""
    async with TaskService(hostile.url, token) as client:
        assert client._transport._session is None
    assert hostile.connections == 0


@pytest.mark.parametrize("name", ["total_timeout_s", "connect_timeout_s", "max_body"])
@pytest.mark.parametrize("value", [0, -1, float("inf"), float("nan"), None, "30"])
def test_limits_that_would_be_none_are_refused(name, value):
    """No time-out or cap can be switched off by a number that means something else to others."""
    with pytest.raises(ConfigurationError, match=name):
        TaskService("https://api.example.com", "a-token", **{name: value})


async def test_what_was_sent_and_received_is_counted(connect, hostile, whole):
    """Each request is one, answers are counted by class, and those without a whole one apart."""
    hostile.answer(whole(EXECUTION), whole(b"", 302), whole(b"", 404), whole(b"", 503), whole(b" " * 99), abort)
    client = await connect(hostile.url, max_body=80)
    for _ in range(6):
        await asyncio.gather(client.get("e"), return_exceptions=True)
    statistics = client.statistics
    assert (statistics.requests, statistics.throttled) == (6, 0)
    assert statistics.answers == {"2xx": 1, "3xx": 1, "4xx": 1, "5xx": 1, "none": 2}


async def test_times_of_an_answer_are_those_of_the_client(connect, hostile, clock):
    """Values and errors say when the request was sent and the answer received, on the client's own clock."""
    hostile.say(EXECUTION)
    client = await connect(hostile.url, clock=clock)
    reading = await client.get("e")
    assert reading.sent_at == reading.received_at == clock.time()
    await clock.advance(5)
    hostile.say(b"", 404)
    with pytest.raises(NotFoundError) as raised:
        await client.get("e")
    assert (raised.value.sent_at, raised.value.received_at) == (clock.time(), clock.time())
