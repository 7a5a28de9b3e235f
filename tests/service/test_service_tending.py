"""Tending accounts against an embedded service: leading, setbacks of each kind, letting go, and what is told of it."""

from __future__ import annotations

import asyncio
import logging
import re

import pytest
from tokens import TOKEN
from waits import true

from titan_state import Handlers, Monitor, SqliteJournal
from titan_state.clock import SystemClock
from titan_state.emulator import Plan, Scenario, Step
from titan_state.errors import (
    ConfigurationError,
    ForbiddenError,
    JournalDamagedError,
    JournalError,
    JournalInUseError,
    JournalUnavailableError,
    JournalVersionError,
    LeadershipLostError,
    TransportError,
    UnauthorizedError,
)
from titan_state.service.accounts import Account
from titan_state.service.service import Service
from titan_state.service.setbacks import State, setback
from titan_state.service.tending import Tending
from titan_state.service.tokens import TokenFile
from titan_state.testing import ManualClock


class Hasty(SystemClock):
    """A clock on which sleeping takes a twentieth of the time, so that setbacks are soon waited out."""

    async def sleep(self, seconds):
        await super().sleep(seconds / 20)


@pytest.fixture
def scenario():
    return Scenario([Plan(id="a", task_id="t", steps=[Step("running", 0.1)])])


@pytest.fixture
async def tend(tmp_path):
    """Begin to tend accounts; what goes on at the end is ended."""
    running = []

    async def begin(account, journal=None, **options):
        one = Tending(account, tmp_path / "j.db" if journal is None else journal, **options)
        task = asyncio.create_task(one.run())
        running.append((one, task))
        return one, task

    yield begin
    for one, task in running:
        one.leave()
        await asyncio.wait((task,), timeout=10)
        assert task.done()
        if not task.cancelled():
            task.result()


def account(service, **more):
    return Account(**{"url": service.url, "token": TOKEN, "name": "shop", **more})


async def history(path, name="a"):
    journal = SqliteJournal(path)
    await journal.open()
    try:
        return [event.dest for event in await journal.history(name)]
    finally:
        await journal.close()


async def test_it_leads_and_lets_go(serve, tend, scenario, tmp_path):
    """It watches everything, writes it down, tells how it fares, and lets go of the journal when it is to leave."""
    service = await serve(scenario)
    one, task = await tend(account(service))
    await true(lambda: one.state is State.LEADING and one._monitor.executions())
    report = one.report()
    assert (report.account, report.is_ready, report.reasons) == ("shop", True, ())
    assert report.remaining > 100
    assert report.to_dict()["state"] == "leading"
    await true(lambda: [execution.status for execution in one._monitor.executions()] == ["running"])
    one.leave()
    await asyncio.wait_for(task, 10)
    assert (one.state, one.report().is_ready) == (State.ENDED, False)
    assert (await history(tmp_path / "j.db"))[-1] == "running"


async def test_only_what_is_named_is_watched(serve, tend):
    """Tasks and executions that are named are watched, and nothing else."""
    plans = [
        Plan(id=name, task_id=task, steps=[Step("running", 600)]) for name, task in (("a", "t"), ("b", "u"), ("c", "v"))
    ]
    service = await serve(Scenario(plans))
    one, _ = await tend(account(service, tasks=("t",), ids=("b",)))
    await true(lambda: one._monitor and len(one._monitor.executions()) == 2)
    assert {execution.id for execution in one._monitor.executions()} == {"a", "b"}


async def test_open_deliveries_have_their_time(serve, tend, scenario):
    """Leaving waits for a callback that is under way, as long as was said, and it does not count as an error."""
    service = await serve(scenario)
    handlers, calls = Handlers(), []

    @handlers.on_running(name="slow")
    async def slow(event):
        calls.append("begun")
        await asyncio.sleep(1.5)  # longer than the second that an error would leave it
        calls.append("ended")

    one, task = await tend(account(service), handlers=handlers, drain_s=10.0)
    await true(lambda: calls)
    one.leave()
    one.leave()  # twice is once
    await asyncio.wait_for(task, 10)
    assert calls == ["begun", "ended"]


@pytest.mark.parametrize("kind", ["text", "file"])
async def test_a_token_that_is_refused_is_tried_again(serve, tend, scenario, tmp_path, caplog, kind):
    """A refusal is told, tried again ever more rarely, and forgotten once the token is good."""
    service = await serve(scenario)
    path = tmp_path / "token"
    path.write_text("wrong-token-0123456789")
    token = TokenFile(path) if kind == "file" else "wrong-token-0123456789"
    one, _ = await tend(account(service, token=token), clock=Hasty())
    await true(lambda: one.state is State.REFUSED)
    assert one.report().reasons == ("the service refuses the token (401)",)
    assert not one.report().is_ready
    assert not one.is_able

    def delays():
        return [
            float(found) for found in re.findall(r"refuses the token \(401\); next attempt in (\d+\.\d) s", caplog.text)
        ]

    await true(lambda: len(delays()) >= 2)
    if kind == "file":
        path.write_text(TOKEN)
    else:
        service.tokens["wrong-token-0123456789"] = service.tokens[TOKEN]
    await true(lambda: one.state is State.LEADING and one.report().is_ready)
    assert one.report().reasons == ()
    assert 3.7 <= delays()[0] <= 5 < 7.5 <= delays()[1] <= 10
    assert "wrong-token" not in caplog.text


async def test_one_refused_account_does_not_end_the_others(serve, scenario, tmp_path):
    """Of several accounts one is refused: it is told in readiness, and the other one is led."""
    service = await serve(scenario)
    accounts = [account(service), account(service, name="news", token="wrong-token-0123456789")]
    tended = Service(accounts, lambda one: tmp_path / f"{one.name}.db")
    task = asyncio.create_task(tended.run())
    await true(lambda: [one.state for one in tended.tendings] == [State.LEADING, State.REFUSED])
    told = tended.status()
    assert (told["is_ready"], told["reasons"]) == (
        False,
        [{"account": "news", "reason": "the service refuses the token (401)"}],
    )
    assert [one["is_ready"] for one in told["accounts"]] == [True, False]
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert [one.state for one in tended.tendings] == [State.ENDED, State.ENDED]


async def test_a_journal_in_use_is_waited_for(serve, tend, scenario, tmp_path):
    """Where another monitor has the journal open it is tried again until it has gone, and that is told."""
    service = await serve(scenario)
    async with Monitor(service.url, TOKEN, account="shop", journal=tmp_path / "j.db"):
        one, _ = await tend(account(service))
        await true(lambda: one.state is State.WAITING)
        assert one.report().reasons == ("another monitor has the journal open",)
    await true(lambda: one.state is State.LEADING)
    assert one.report().is_ready


async def test_what_only_a_person_can_help_with(serve, tend, scenario, tmp_path, caplog):
    """A journal of another account ends it, with the reason in the log and in few words in readiness."""
    service = await serve(scenario)
    async with Monitor(service.url, TOKEN, account="other", journal=tmp_path / "j.db"):
        pass
    one, task = await tend(account(service))
    await asyncio.wait_for(task, 10)
    assert (one.state, one.report().reasons) == (State.FAILED, ("a setting cannot work: see the log",))
    assert isinstance(one.failure, ConfigurationError)
    assert "other" in caplog.text


async def test_a_service_ends_when_no_account_is_left(serve, scenario, tmp_path):
    """Where every account needs a person the error of the first is raised."""
    service = await serve(scenario)
    (tmp_path / "damaged.db").write_bytes(b"x" * 10_000)
    with pytest.raises(JournalDamagedError):
        await asyncio.wait_for(Service([account(service)], tmp_path / "damaged.db").run(), 20)


async def test_a_mistake_of_ours_is_tried_again(serve, tend, scenario, tmp_path, monkeypatch, caplog):
    """A bug ends neither the service nor goes unseen: the traceback is in the log."""
    service = await serve(scenario)
    watch_all, faults = Monitor.watch_all, [ZeroDivisionError("a bug")]

    def watch(self):
        if faults:
            raise faults.pop()
        watch_all(self)

    monkeypatch.setattr(Monitor, "watch_all", watch)
    one, _ = await tend(account(service), clock=Hasty())
    await true(lambda: one.state is State.WAITING)
    assert one.report().reasons == ("a mistake in titan_state (ZeroDivisionError): see the log",)
    await true(lambda: one.state is State.LEADING)
    assert any(record.exc_info for record in caplog.records)


class Told:
    """Whose turn it is, as the test says."""

    def __init__(self):
        self.turn, self.due = asyncio.Event(), asyncio.Event()
        self.asked = 0

    async def until_turn(self, account):
        self.asked += 1
        await self.turn.wait()

    async def until_due(self, account):
        await self.due.wait()


async def test_turns_are_heeded(serve, tend, scenario, tmp_path):
    """It waits for its turn, counts as ready meanwhile, and hands the account over in order when that is due."""
    service = await serve(scenario)
    turns = Told()
    one, _ = await tend(account(service), turns=turns)
    await true(lambda: one.state is State.DEFERRING)
    assert one.report().is_ready
    assert not service.requests
    turns.turn.set()
    await true(lambda: one.state is State.LEADING)
    turns.turn.clear()
    turns.due.set()
    await true(lambda: one.state is State.DEFERRING and turns.asked == 2)
    async with Monitor(service.url, TOKEN, account="shop", journal=tmp_path / "j.db"):  # the journal is free
        pass


async def test_it_leaves_at_once_where_it_only_waits(serve, tend, scenario):
    """What waits for its turn, or for another attempt, leaves without delay."""
    service = await serve(scenario)
    one, task = await tend(account(service), turns=Told())
    await true(lambda: one.state is State.DEFERRING)
    other, second = await tend(account(service, token="wrong-token-0123456789"))
    await true(lambda: other.state is State.REFUSED)
    for waiting in (one, other):
        waiting.leave()
    await asyncio.wait_for(asyncio.gather(task, second), 2)


async def test_the_budget_is_one_for_all_attempts(serve, tend, scenario):
    """What was sent before a setback still counts after it."""
    service = await serve(scenario)
    one, _ = await tend(account(service, per_minute=60, token="wrong-token-0123456789"), clock=Hasty())
    await true(lambda: sum(request.status == 401 for request in service.requests) >= 3, seconds=30)
    assert one._budget.limit == 60
    assert one._budget.spent(one._clock.time()) >= 3


async def test_no_execution_is_named_in_reports(serve, tend, scenario, caplog):
    """What probes tell names no execution, also where the error does."""
    service = await serve(scenario)
    service.tokens[TOKEN] = frozenset()
    one, _ = await tend(account(service, ids=("the-id-of-an-execution",)))
    await true(lambda: one.state is State.REFUSED)
    assert "the-id" not in str(one.report().to_dict())
    assert one.report().reasons == ("the service says that the token lacks a scope (403)",)


@pytest.mark.parametrize(
    ("error", "state", "longest_s"),
    [
        (LeadershipLostError("x"), State.STARTING, 0.2),
        (UnauthorizedError(401, "A", "x"), State.REFUSED, 300),
        (ForbiddenError(403, "A", "x"), State.REFUSED, 300),
        (TransportError("x"), State.WAITING, 300),
        (JournalUnavailableError("x"), State.WAITING, 30),
        (JournalInUseError("x"), State.WAITING, 30),
        (JournalError("x"), State.WAITING, 300),
        (JournalVersionError("x"), State.FAILED, 0),
        (JournalDamagedError("x"), State.FAILED, 0),
        (ConfigurationError("x"), State.FAILED, 0),
        (OSError("x"), State.WAITING, 300),
        (TypeError("x"), State.WAITING, 300),
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_an_error_means(error, state, longest_s):
    """Each kind of error has its state, and delays that grow up to a bound, with jitter downwards."""

    class Dice:
        def random(self):
            return self.value

    dice = Dice()
    told = setback(error)
    assert told.state is state
    dice.value = 1.0
    delays = [told.delay_s(count, dice) for count in range(1, 40)]
    assert delays == sorted(delays)
    assert delays[-1] == longest_s
    dice.value = 0.0
    assert told.delay_s(39, dice) == 0.75 * longest_s


@pytest.mark.parametrize(
    ("accounts", "journal", "told"),
    [
        ([], "memory:", "no account"),
        ([{}, {}], "memory:", "two accounts are called shop"),
        ([{"name": None}, {"name": None}], "memory:", "two accounts are called https"),
        ([{}, {"name": "news"}], "sqlite:///x.db", "belongs to one account"),
        ([{"journal": "sqlite:///y.db"}, {"name": "news", "journal": "sqlite:///y.db"}], "memory:", "belongs to one"),
        ([{}], "http://x", "there is no journal at"),
    ],
)
def test_accounts_that_get_in_each_others_way(accounts, journal, told):
    """Accounts that cannot be told apart, or share what they cannot share, are refused."""
    made = [Account(**{"url": "https://api.example", "token": TOKEN, "name": "shop", **one}) for one in accounts]
    with pytest.raises(ConfigurationError, match=told):
        Service(made, journal)


async def test_ending_is_bounded(serve, scenario, tmp_path, caplog):
    """A callback that does not end holds the end up for as long as was said, and no longer."""
    service = await serve(scenario)
    handlers, calls = Handlers(), []

    @handlers.on_running(name="stuck")
    async def stuck(event):
        calls.append(event)
        while True:
            try:
                await asyncio.sleep(600)
            except asyncio.CancelledError:
                if len(calls) > 5:
                    raise
                calls.append("cancelled")

    tended = Service([account(service)], tmp_path / "j.db", handlers=handlers, drain_s=0.5)
    task = asyncio.create_task(tended.run())
    await true(lambda: calls)
    begun = asyncio.get_running_loop().time()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert 0.4 < asyncio.get_running_loop().time() - begun < 8
    calls += [0] * 9
    for left in asyncio.all_tasks() - {asyncio.current_task()}:
        left.cancel()


async def test_an_account_that_does_not_end_is_said(tmp_path, monkeypatch, caplog):
    """What does not heed the end is cancelled when its time is up, and the log says so."""
    monkeypatch.setattr("titan_state.service.service.GRACE_S", 0.0)
    tended = Service([Account(url="https://api.example", token=TOKEN)], tmp_path / "j.db", drain_s=0.1)
    tended.tendings[0].run = lambda: asyncio.sleep(600)
    task = asyncio.create_task(tended.run())
    await asyncio.sleep(0)
    task.cancel()
    await asyncio.wait((task,), timeout=5)
    assert task.cancelled()
    assert "did not come to an end in time: https://api.example" in caplog.text


def test_a_clock_moved_by_hand_is_enough():
    """Nothing begins before it is run."""
    one = Tending(Account(url="https://api.example", token=TOKEN), "memory:", clock=ManualClock())
    assert (one.state, one.report().for_s, one.account.label) == (State.STARTING, 0.0, "https://api.example")
    assert TOKEN not in repr(one) + repr(one.account)
    logging.getLogger("titan_state").debug("%r", one)
