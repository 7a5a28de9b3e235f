"""Being let in by NATS: every way works, a wrong one is refused in words, and no secret is seen anywhere."""

from __future__ import annotations

import asyncio
import logging
import traceback
from collections.abc import Iterable

import pytest
from credentials import WAYS, certificate, password
from made import Author
from servers import Server, running

from titan_state import Handlers, JournalError, JournalUnavailableError, Monitor, Subscriber
from titan_state.journal.nats import NatsJournal

VARIABLES = ("USER", "PASSWORD", "TOKEN", "CREDS", "NKEY", "CA", "CERT", "KEY")


@pytest.fixture(autouse=True)
def no_credentials(monkeypatch):
    """Take out of the environment what a developer may have set."""
    for name in VARIABLES:
        monkeypatch.delenv(f"NATS_{name}", raising=False)


@pytest.fixture(params=WAYS, ids=lambda way: way.__name__)
def kind(request):
    return request.param


@pytest.fixture
def way(kind, tmp_path):
    return kind(tmp_path)


@pytest.fixture
def server(kind, way, tmp_path):
    scheme = "tls" if kind is certificate else "nats"
    with running(Server(tmp_path / "nats", way.configuration, scheme=scheme)) as one:
        yield one


def nothing_in(secrets: Iterable[str], *texts: str) -> None:
    """No secret is in any of these texts, as it is or as it is written in addresses and programs."""
    for text in texts:
        for secret in secrets:
            assert secret not in text
            assert repr(secret)[1:-1] not in text


async def write_and_read(journal: NatsJournal) -> None:
    """Use a journal for everything that goes to the server."""
    author = Author()
    await journal.open()
    try:
        await journal.lead("shop")
        for commit in author.lives("a"):
            await journal.append(commit)
        assert [event.id for event in await journal.history("a")] == ["a:1", "a:2", "a:3"]
        subscription = await journal.subscribe(
            "everything", lambda event: True, since="beginning", head=journal.head, notify=lambda: None
        )
        await subscription.close()
    finally:
        await journal.close()


async def test_the_right_ones_are_let_in(server, way, caplog):
    """With credentials as arguments a journal works, and neither its names nor the log show them."""
    caplog.set_level(logging.DEBUG)
    journal = NatsJournal(server.url, account="shop", **way.options)
    await write_and_read(journal)
    nothing_in(way.secrets, repr(journal), str(journal), journal.name, caplog.text)


async def test_an_address_has_them(server, way, caplog):
    """With credentials in the address, or files named there, a journal works and shows none of them."""
    caplog.set_level(logging.DEBUG)
    address = way.address.format(server.address)
    address += ("&" if "?" in address else "?") + "account=shop"
    journal = NatsJournal(address)
    await write_and_read(journal)
    handlers = Handlers()
    handlers.on_transition(lambda event: None, name="nothing")
    subscriber = Subscriber(address, handlers)
    monitor = Monitor("https://titan.example", "token", account="shop", journal=address)
    shown = (repr(one) for one in (journal, subscriber, subscriber.journal, monitor, monitor.journal))
    nothing_in(way.secrets, *shown, journal.name, subscriber.journal.name, monitor.journal.name, caplog.text)


async def test_the_environment_has_them(server, way, monkeypatch):
    """With credentials in the environment, an address without any works."""
    for name, value in way.environment.items():
        monkeypatch.setenv(name, value)
    await write_and_read(NatsJournal(f"{server.url}?account=shop"))


@pytest.mark.parametrize("has_any", [True, False], ids=["wrong", "none"])
async def test_others_are_refused_in_words(server, way, has_any, caplog):
    """With wrong credentials, or none, it is said what to do; it is not tried for ever, and no secret is told."""
    caplog.set_level(logging.DEBUG)
    journal = NatsJournal(server.url, account="shop", **(way.wrong if has_any else way.none))
    with pytest.raises(JournalError) as refused:
        await journal.open()
    error = refused.value
    assert server.address in str(error)
    if server.scheme == "nats":  # of a certificate the server only says that it hangs up
        assert not isinstance(error, JournalUnavailableError), "another attempt would be in vain"
        assert "refuses the credentials" in str(error)
    nothing_in(way.secrets, *traceback.format_exception(error), repr(error), caplog.text)
    await journal.close()


async def test_a_server_of_another_authority_is_not_talked_to(tmp_path):
    """A server whose certificate is of another CA gets no credentials: it is not connected to."""
    way, other = certificate(tmp_path), tmp_path / "other"
    other.mkdir()
    foreign = certificate(other)
    with running(Server(tmp_path / "nats", way.configuration, scheme="tls")) as server:
        journal = NatsJournal(server.url, account="shop", **foreign.options)
        with pytest.raises(JournalError, match="certificate"):
            await journal.open()
        await journal.close()


@pytest.mark.parametrize("who", ["u:sekret@", ""])
async def test_a_server_without_tls_gets_no_credentials(tmp_path, who):
    """Who wants TLS says nothing to a server that does not: what was to be a secret would be read by others."""
    heard: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b'INFO {"server_id":"x","version":"2.15.1","max_payload":1048576,"auth_required":true}\r\n')
        while data := await reader.read(4096):
            heard.append(data)
            writer.write(b"PONG\r\n" * data.count(b"PING"))
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        journal = NatsJournal(f"tls://{who}127.0.0.1:{port}", account="shop")
        with pytest.raises(JournalError, match="does not want TLS"):
            await journal.open()
        await journal.close()
    assert b"sekret" not in b"".join(heard)


async def test_credentials_that_are_withdrawn_are_told_of(tmp_path, caplog):
    """While a server that came back does not let in any more, errors say so without a secret; then it goes on."""
    way, author, told = password(tmp_path), Author(), set()
    with running(Server(tmp_path / "nats", way.configuration)) as server:
        journal = NatsJournal(server.url, account="shop", **way.options)
        await journal.open()
        try:
            await journal.lead("shop")
            server.kill()
            server.configure('authorization { user: "titan", password: "a new one" }')
            server.start()
            commit = author.commit("a", status="queued")
            for _ in range(200):
                with pytest.raises(JournalUnavailableError) as refused:
                    await journal.append(commit)
                told.add(str(refused.value))
                if "uthorization" in str(refused.value) or "credentials" in str(refused.value):
                    break
                await asyncio.sleep(0.1)
            else:
                pytest.fail(f"it was only said that {told}")
            server.configure(way.configuration)
            server.restart()
            for _ in range(200):
                try:
                    await journal.append(commit)
                    break
                except JournalUnavailableError:
                    await asyncio.sleep(0.1)
            assert [event.id for event in await journal.history("a")] == ["a:1"]
            nothing_in(way.secrets, *told, caplog.text)
        finally:
            await journal.close()


@pytest.mark.parametrize(
    "denied", ["$JS.API.STREAM.CREATE.*", "titan.>"], ids=["the stream may not be made", "nothing may be written"]
)
async def test_what_is_not_permitted_is_said(tmp_path, denied):
    """A user who is let in but may not do what a monitor does is told so, and not kept waiting."""
    users = f"""authorization {{ users: [ {{
        user: titan, password: "secret-of-titan", permissions: {{ publish: {{ deny: ["{denied}"] }} }}
    }} ] }}"""
    with running(Server(tmp_path / "nats", users)) as server:
        journal = NatsJournal(server.url, account="shop", user="titan", password="secret-of-titan")
        await journal.open()
        try:
            with pytest.raises(JournalError, match=r"ermission") as refused:
                await journal.lead("shop")
            nothing_in(["secret-of-titan"], *traceback.format_exception(refused.value))
        finally:
            await journal.close()
