"""Asking the monitor that leads, over NATS: from any machine, and with the same promises as on one."""

from __future__ import annotations

import asyncio
import json
import os
import re
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp
import pytest
from parts import be_impatient, true
from proxy import between
from servers import Server, running

from titan_state import (
    Action,
    ActionOutcomeUnknownError,
    ConfigurationError,
    IllegalActionError,
    JournalUnavailableError,
    Monitor,
    MonitorClosedError,
    RequestBudget,
    RunOutcomeUnknownError,
    Thresholds,
    Transitioned,
)
from titan_state.client import gate
from titan_state.emulator import Faults, Plan, Step, TaskServiceEmulator
from titan_state.errors import ConnectionFailedError, JournalError
from titan_state.journal.nats import NatsJournal, talk
from titan_state.monitor import outbox
from titan_state.monitor.local import LocalMonitor, leading_monitor

PATIENCE_S = 10.0
"""How long something may take that takes a moment."""


@pytest.fixture
async def service() -> AsyncIterator[TaskServiceEmulator]:
    async with TaskServiceEmulator(per_minute=None) as emulator:
        emulator.add(Plan(id="a", task_id="t", steps=[Step("running")]))
        yield emulator


@pytest.fixture
def hurried(monkeypatch) -> None:
    """Have silences taken for an end sooner: how soon is of no matter to what must hold."""
    for name, seconds in (("WORKING_S", 0.2), ("SILENCE_S", 1.0), ("ELSEWHERE_S", 0.4), ("OFFER_S", 0.4)):
        monkeypatch.setattr(talk, name, seconds)


def monitor_of(service: TaskServiceEmulator, url: str, **options: object) -> Monitor:
    """Return a monitor of the account that all tests here are about."""
    return Monitor(
        service.url,
        service.token,
        account="shop",
        journal=f"{url}?lease=1&partitions=1",
        budget=RequestBudget(per_minute=60_000),
        thresholds=Thresholds(not_found_s=0.2, replica_lag_s=0.1),
        drain_s=1.0,
        **options,
    )


@asynccontextmanager
async def following(url: str) -> AsyncIterator[NatsJournal]:
    """Open the journal as a program does that only follows it."""
    journal = NatsJournal(url, account="shop", stands_by=False)
    await journal.open()
    try:
        yield journal
    finally:
        await journal.close()


@asynccontextmanager
async def asked(url: str) -> AsyncIterator[LocalMonitor]:
    """Hand out what another program has of the monitor that leads."""
    async with following(url) as journal, leading_monitor(journal) as other:
        assert other is not None
        yield other


@asynccontextmanager
async def leading(url: str, *, account: str = "shop", lease_s: float = 1.0) -> AsyncIterator[NatsJournal]:
    """Lead the account without a monitor."""
    journal = NatsJournal(url, lease_s=lease_s, partitions=1)
    await journal.open()
    try:
        await journal.lead(account)
        yield journal
    finally:
        await journal.close()


def stops_renewing(journal: NatsJournal) -> None:
    """Have a lease lapse of which its holder does not hear: it cannot reach the bucket, say."""
    journal.lease._keeper.cancel()


# What can be asked.


async def test_everything_is_asked(service, nats):
    """A verdict, an action, a run, a page, what is known: all by the requests of the one that leads, and explained."""
    async with monitor_of(service, nats.url) as monitor, asked(nats.url) as other:
        monitor.watch_all()
        stream = monitor.events()
        assert (await other.verdict("a", "pause")).leads_to == "paused"
        assert (await other.pause("a")).id == "a"
        async with asyncio.timeout(PATIENCE_S):
            async for event in stream:
                if isinstance(event, Transitioned) and event.dest == "paused":
                    break
        assert event.cause == "action"
        started = await other.run("t")
        assert {one.id for one in (await other.list(task_id="t")).items} == {"a", started.id}
        survey = await other.survey(ids=["a"])
        assert "a" in {sight.id for sight in survey.sights}
        assert (await other.known("a")).sight.status == "paused"
        assert monitor.service.statistics.requests == len(service.requests)
        with pytest.raises(IllegalActionError, match="pause of execution a was not sent") as caught:
            await other.act("a", Action.PAUSE)
        assert caught.value.verdict.as_of is not None


@pytest.mark.parametrize("length", [0, 1, 4095, 4096, 4097, 3_000_000])
async def test_long_answers_come_in_parts(nats, monkeypatch, length):
    """An answer of any length arrives as it was."""
    monkeypatch.setattr(talk, "PART", 4096 if length < 10_000 else talk.PART)
    told = os.urandom(length)

    async def answer(question: bytes) -> bytes:
        assert question == b"?"
        return told

    async with leading(nats.url) as journal, following(nats.url) as other:
        await journal.serve(answer)
        assert await other.ask(b"?") == told


async def test_messages_that_must_be_short(tmp_path):
    """Where NATS takes short messages only, parts are short, and a question that is too long is refused in words."""

    async def answer(question: bytes) -> bytes:
        return question * 50

    with running(Server(tmp_path / "nats", "max_payload: 524288")) as server:
        async with leading(server.url) as journal, following(server.url) as other:
            await journal.serve(answer)
            assert len(await other.ask(b"x" * 200_000)) == 10_000_000
            with pytest.raises(ConfigurationError, match=r"longer than .* takes in one message"):
                await other.ask(b"x" * 600_000)


async def test_an_answer_that_takes_its_time(nats, hurried):
    """As long as it is thought about it is waited for, however long a silence may be."""

    async def answer(question: bytes) -> bytes:
        await asyncio.sleep(2.5)
        return b"!"

    async with leading(nats.url) as journal, following(nats.url) as other:
        await journal.serve(answer)
        assert await other.ask(b"?") == b"!"


async def test_a_part_that_is_lost_is_noticed(nats, monkeypatch, hurried):
    """What arrives in pieces only is no answer."""
    monkeypatch.setattr(talk, "PART", 10)
    say = talk.Talk._say

    async def lossy(self, asker, what, *more):
        return True if what == "1" else await say(self, asker, what, *more)

    monkeypatch.setattr(talk.Talk, "_say", lossy)

    async def answer(question: bytes) -> bytes:
        return b"[1, 2, 3, 4, 5, 6, 7, 8, 9, 0]"

    async with leading(nats.url) as journal, following(nats.url) as other:
        await journal.serve(answer)
        with pytest.raises(MonitorClosedError, match="a part of it was lost"):
            await other.ask(b"?")


async def test_a_mistake_in_answering_is_told_at_once(nats, caplog):
    """Whoever asked does not wait for what will never come."""

    async def answer(question: bytes) -> bytes:
        raise RuntimeError("a mistake")

    async with leading(nats.url) as journal, following(nats.url) as other:
        await journal.serve(answer)
        with pytest.raises(MonitorClosedError, match="could not answer: see its log"):
            await asyncio.wait_for(other.ask(b"?"), 5.0)
    assert "a mistake" in caplog.text


# Who is asked.


async def test_nobody_leads(service, nats):
    """That is said at once; an action was certainly not sent then."""
    async with monitor_of(service, nats.url) as monitor, asked(nats.url) as other:
        assert (await other.verdict("a", "pause")).allowed
        async with following(nats.url) as journal:
            await monitor.__aexit__(None, None, None)
            async with leading_monitor(journal) as nobody:
                assert nobody is None
        for work in (other.pause("a"), other.run("t"), other.survey()):
            with pytest.raises(MonitorClosedError, match="no monitor leads shop at present"):
                await asyncio.wait_for(work, 5.0)
        assert service.executions() == {"a": "running"}


async def test_nats_is_away_when_it_is_asked(service, nats, monkeypatch):
    """Nothing was sent, and that is said: the outcome of an action is not in doubt."""
    be_impatient(monkeypatch)
    async with leading(nats.url), following(nats.url) as journal:
        other = LocalMonitor(journal.ask)
        nats.kill()
        await true(lambda: journal.trouble)
        with pytest.raises(MonitorClosedError, match=r"cannot be asked: the connection to .* is away") as caught:
            await other.pause("a")
        assert isinstance(caught.value.__cause__, JournalError)
        nats.restart()


@pytest.mark.parametrize("what", ["act", "run", "verdict"])
async def test_it_is_gone_while_it_is_asked(service, nats, hurried, monkeypatch, what):
    """A leader that is not heard of any more may have done it: then the outcome is unknown."""
    be_impatient(monkeypatch)
    expected = {"act": ActionOutcomeUnknownError, "run": RunOutcomeUnknownError, "verdict": MonitorClosedError}
    calls = {"act": ("a", "pause"), "run": ("t",), "verdict": ("a", "pause")}
    async with between(nats.port) as proxy, leading(proxy.url) as journal, following(nats.url) as follower:
        taken = asyncio.Event()

        async def answer(question: bytes) -> bytes:
            taken.set()
            await asyncio.Event().wait()
            return b""

        await journal.serve(answer)
        other = LocalMonitor(follower.ask)
        call = asyncio.ensure_future(getattr(other, what)(*calls[what]))
        await asyncio.wait_for(taken.wait(), PATIENCE_S)
        await proxy.stop()
        with pytest.raises(expected[what]):
            await asyncio.wait_for(call, PATIENCE_S)


async def test_it_is_left_while_it_is_asked(service, nats):
    """A leader that is left says so: nobody waits for a silence."""
    service.faults = Faults(slow=1.0, slow_s=20.0)
    async with asyncio.timeout(30), AsyncClosing(monitor_of(service, nats.url)) as monitor, asked(nats.url) as other:
        call = asyncio.ensure_future(other.pause("a"))
        await true(lambda: monitor.journal._parts.talk._tasks)
        await asyncio.sleep(0.2)
        began = time.monotonic()
        await monitor.__aexit__(None, None, None)
        with pytest.raises(ActionOutcomeUnknownError):
            await call
        assert time.monotonic() - began < talk.SILENCE_S


class AsyncClosing:
    """Enters a monitor that the body leaves."""

    def __init__(self, monitor: Monitor) -> None:
        self.monitor = monitor

    async def __aenter__(self) -> Monitor:
        return await self.monitor.__aenter__()

    async def __aexit__(self, kind: object, error: object, trace: object) -> None:
        if not self.monitor._closed:
            await self.monitor.__aexit__(kind, error, trace)


async def test_one_whose_lease_has_lapsed_does_not_answer(nats, hurried):
    """Where another one leads since, that one alone hears what is to be done, and answers."""
    heard = []

    def answering(name: str, seconds: float):
        async def answer(question: bytes) -> bytes:
            heard.append(name)
            await asyncio.sleep(seconds)
            return name.encode()

        return answer

    async with leading(nats.url) as old, following(nats.url) as other:
        await old.serve(answering("old", 0.0))
        assert await other.ask(b"?") == b"old"
        stops_renewing(old)
        await true(lambda: not old.lease.is_held)
        with pytest.raises(MonitorClosedError, match="not certain to lead at present") as caught:
            await other.ask(b"?")
        assert isinstance(caught.value.__cause__, JournalError)
        async with leading(nats.url) as new:
            await new.serve(answering("new", 0.3))
            assert await other.ask(b"?") == b"new"
    assert heard == ["old", "new"]


async def test_it_lapses_between_the_offer_and_the_agreement(nats, hurried, monkeypatch):
    """A question is not begun without the lease, and the asker is told that it was not."""
    heard = []

    async def answer(question: bytes) -> bytes:
        heard.append(question)
        return b""

    async with leading(nats.url) as journal, following(nats.url) as other:
        held = iter([True, False])
        await journal._parts.talk.serve(answer, lambda: next(held))
        with pytest.raises(MonitorClosedError, match="not certain to lead any more") as caught:
            await other.ask(b"?")
        assert isinstance(caught.value.__cause__, JournalError)
    assert heard == []


async def test_two_that_would_answer(nats, hurried, monkeypatch):
    """The parts of an answer are of one responder, and the other one does nothing."""
    monkeypatch.setattr(talk, "PART", 16)
    heard = []

    def answering(name: bytes):
        async def answer(question: bytes) -> bytes:
            heard.append(name)
            await asyncio.sleep(0.1)
            return name * 1000

        return answer

    async with leading(nats.url) as first, following(nats.url) as second, following(nats.url) as other:
        await first._parts.talk.serve(answering(b"1"), lambda: True)
        await second._parts.talk.serve(answering(b"2"), lambda: True)
        for number in range(10):
            told = await other.ask(b"?")
            assert len(heard) == number + 1
            assert told == heard[-1] * 1000


async def test_nothing_is_done_for_one_that_has_given_up(nats, hurried):
    """A question that was on its way for too long, or whose asker is gone, is not carried out behind its back."""
    heard = []

    async def answer(question: bytes) -> bytes:
        heard.append(question)
        return b"!"

    async with leading(nats.url) as journal, following(nats.url) as other:
        await journal.serve(answer)
        subject = other._parts.layout.questions
        await other._link.nc.publish(subject, b"late", reply=other._link.nc.new_inbox())
        await other._link.nc.publish(subject, b"without a place for the answer")
        await true(lambda: journal._parts.talk._tasks)
        await true(lambda: not journal._parts.talk._tasks)
        assert await other.ask(b"?") == b"!"
        assert heard == [b"?"]
        assert journal._parts.talk._offers == {}


async def test_too_many_at_once(nats, monkeypatch, caplog):
    """Whoever is too many is told so at once, and that nothing was done; the others have their answers."""
    monkeypatch.setattr(talk, "MOST_AT_ONCE", 2)
    goes_on = asyncio.Event()

    async def answer(question: bytes) -> bytes:
        await goes_on.wait()
        return b'{"result": null}'

    async with leading(nats.url) as journal, following(nats.url) as other:
        await journal.serve(answer)
        calls = [asyncio.ensure_future(other.ask(b"?")) for _ in range(2)]
        await true(lambda: len(journal._parts.talk._tasks) == 2)
        for _ in range(3):
            with pytest.raises(JournalUnavailableError, match="asked too much at once; nothing was done"):
                await asyncio.wait_for(other.ask(b"?"), 5.0)
        async with leading_monitor(other) as monitor:
            assert monitor is not None  # it is there
            with pytest.raises(MonitorClosedError, match="asked too much at once"):
                await asyncio.wait_for(monitor.pause("a"), 5.0)
        goes_on.set()
        assert await asyncio.gather(*calls) == [b'{"result": null}'] * 2
        await other.ask(b"?")
    assert caplog.text.count("too many questions") == 1


async def test_an_asker_that_is_cancelled_leaves_nothing(nats):
    """Its subscription ends with it."""

    async def answer(question: bytes) -> bytes:
        await asyncio.Event().wait()
        return b""

    async with leading(nats.url) as journal, following(nats.url) as other:
        await journal.serve(answer)
        before = len(other._link.nc._subs)
        call = asyncio.ensure_future(other.ask(b"?"))
        await true(lambda: journal._parts.talk._tasks)
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        assert len(other._link.nc._subs) == before


async def test_the_connection_breaks_while_it_is_asked(nats, hurried):
    """An asker whose own connection is gone comes to its end, too."""

    async def answer(question: bytes) -> bytes:
        await asyncio.Event().wait()
        return b""

    async with leading(nats.url) as journal, between(nats.port) as proxy, following(proxy.url) as other:
        await journal.serve(answer)
        call = asyncio.ensure_future(other.ask(b"?"))
        await true(lambda: journal._parts.talk._tasks)
        await asyncio.sleep(0.2)
        proxy.mute()
        proxy.cut()
        with pytest.raises(MonitorClosedError):
            await asyncio.wait_for(call, PATIENCE_S)


# While NATS is away.


async def test_an_action_is_refused_while_the_lease_has_lapsed(service, nats, monkeypatch):
    """What somebody asks for is not waited for without end: they are told, and nothing is sent then or later."""
    be_impatient(monkeypatch, 0.3)
    monkeypatch.setattr(gate, "PATIENCE_S", 1.0)
    monkeypatch.setattr("titan_state.monitor.control.STATUS_AGE_S", 0.0)
    async with monitor_of(service, nats.url) as monitor:
        monitor.watch("a")
        await true(lambda: monitor.executions())
        nats.stop()
        await true(lambda: not monitor.journal.lease.is_held)
        before = len(service.requests)
        for work in (monitor.pause("a"), monitor.verdict("a", "pause"), monitor.run("t")):
            with pytest.raises(ConnectionFailedError, match="nothing is sent at present, and this was not") as caught:
                await asyncio.wait_for(work, 5.0)
            assert caught.value.sent is False
        nats.resume()
        await true(lambda: monitor.journal.lease.is_held)
        await true(lambda: len(service.requests) > before)
        assert service.executions() == {"a": "running"}
        assert (await monitor.pause("a")).id == "a"


async def test_events_are_written_soon_after_nats_is_back(service, nats, monkeypatch):
    """However long it was away, nobody waits half a minute for it then."""
    be_impatient(monkeypatch, 0.3)
    assert outbox.LONGEST_RETRY_SHARED_S <= 2.0
    monkeypatch.setattr(outbox, "FIRST_RETRY_S", 1.5)
    async with monitor_of(service, nats.url) as monitor:
        monitor.watch("a")
        await true(lambda: monitor.executions())
        await true(lambda: not monitor._outbox.waiting)
        nats.stop()
        monitor._outbox.put(monitor._tracker.action_sent("a", Action.STOP, at=0.0))
        await asyncio.sleep(6.0)  # the third attempt is over: doubled on and on the next would be in 6 s
        assert monitor._outbox.trouble
        nats.resume()
        began = time.monotonic()
        await true(lambda: not monitor._outbox.waiting)
        assert time.monotonic() - began < 4.5


# The commands.


async def titan(service: TaskServiceEmulator, *arguments: str) -> tuple[int, str, str]:
    """Call the command as a user does, of another machine."""
    process = await start(service, *arguments)
    out, err = await asyncio.wait_for(process.communicate(), 40.0)
    assert service.token not in (out + err).decode()
    return process.returncode, out.decode(), err.decode()


async def start(service: TaskServiceEmulator, *arguments: str) -> asyncio.subprocess.Process:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("TITAN_")}
    return await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "titan_state",
        *arguments,
        env=kept | {"TITAN_API_URL": service.url, "TITAN_TOKEN": service.token},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )


async def test_commands_ask_the_one_that_leads(service, nats):
    """They send nothing themselves: `check`, `pause` and `list` are answered by the monitor, wherever it runs."""
    options = ("--journal", f"{nats.url}?account=shop", "--account", "shop")
    async with monitor_of(service, nats.url) as monitor:
        code, out, err = await titan(service, "check", "a", "pause", *options)
        assert (code, out.startswith("allowed")) == (0, True), (out, err)
        code, out, err = await titan(service, "pause", "a", *options)
        assert (code, "pause was accepted" in out) == (0, True), (out, err)
        code, out, err = await titan(service, "list", "--json", *options)
        assert code == 0, err
        assert "a" in out
        code, out, err = await titan(service, "pause", "a", *options)
        assert code != 0
        assert "was not sent" in err
        assert monitor.service.statistics.requests == len(service.requests)
    assert service.executions() == {"a": "paused"}


async def test_commands_do_not_lead(service, nats):
    """Where no monitor leads, or it is not clear which account is meant, nothing is sent, and no stream is made."""
    code, out, err = await titan(service, "pause", "a", "--journal", nats.url)
    assert (code, "nothing was sent to the service" in err) == (1, True), (out, err)
    async with monitor_of(service, nats.url):
        code, out, err = await titan(service, "list", "--journal", nats.url)  # the only account there is
        assert (code, "a" in out) == (0, True), (out, err)
    async with leading(nats.url), leading(nats.url, account="other"):
        code, out, err = await titan(service, "pause", "a", "--journal", nats.url)
    assert (code, "2 accounts" in err) == (2, True), (out, err)
    assert service.executions() == {"a": "running"}


async def test_the_dashboard_follows_the_one_that_leads(service, nats, tmp_path, monkeypatch):
    """`dashboard --follow` shows what the monitor knows, and its buttons are carried out by it."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    async with monitor_of(service, nats.url) as monitor:
        monitor.watch_all()
        await true(lambda: monitor.executions())
        journal = f"{nats.url}?account=shop"
        process = await start(service, "dashboard", "--follow", "--journal", journal, "--port", "0")
        try:
            line = (await asyncio.wait_for(process.stdout.readline(), 30.0)).decode()
            found = re.match(r"dashboard: (http://\S+)/#token=([\w-]{43})", line)
            assert found, line
            origin, token = found.groups()
            headers = {"Authorization": f"Bearer {token}"}
            async with asyncio.timeout(20), aiohttp.ClientSession(headers=headers) as session:
                shown = ""
                async with session.get(f"{origin}/api/stream") as stream:
                    while '"a"' not in shown or "hello" not in shown:
                        shown += (await stream.content.readline()).decode()
                hello = next(text for text in shown.splitlines() if text.startswith("data: "))
                assert json.loads(hello[6:])["mode"] != "monitor"
            assert monitor.service.statistics.requests == len(service.requests)
        finally:
            process.terminate()
            await asyncio.wait_for(process.communicate(), 20.0)
