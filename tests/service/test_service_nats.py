"""The service with a journal in NATS: processes that stand by, take over and share, and accounts that are spread."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time

import nats.aio.client as nats_client
import pytest
from tokens import TOKEN
from waits import asked, true

from titan_state.clock import SystemClock
from titan_state.emulator import Plan, Scenario, Step
from titan_state.errors import ConfigurationError
from titan_state.service.accounts import Account
from titan_state.service.fleet import ranking
from titan_state.service.presence import BUCKET, Presence, member_name
from titan_state.service.service import Service
from titan_state.service.setbacks import State

pytestmark = pytest.mark.timeout(120)

LEADS, STANDS_BY = "leading", "standing_by"


class Process:
    """A process of the command, and its log as objects."""

    def __init__(self, arguments, cwd, environ):
        command = [sys.executable, "-m", "titan_state", *map(str, arguments)]
        pipe = subprocess.PIPE
        self.process = subprocess.Popen(command, cwd=cwd, env=environ, stdout=pipe, stderr=pipe, text=True)
        self.log, self.out = [], []
        self._readers = [
            threading.Thread(target=self._read, daemon=True, args=one)
            for one in ((self.process.stderr, self.log), (self.process.stdout, self.out))
        ]
        for reader in self._readers:
            reader.start()

    def _read(self, pipe, lines):
        with pipe:
            for line in pipe:
                lines.append(line)

    @property
    def url(self):
        return next((found[0] for line in self.log if (found := re.search(r"http://127[\d.:]+(?=\")", line))), "")

    async def status(self):
        """Return the state of each account, and whether all are ready."""
        _, told = await asyncio.to_thread(asked, f"{self.url}/status") if self.url else (0, None)
        return ({one["account"]: one["state"] for one in told["accounts"]}, told["is_ready"]) if told else ({}, False)

    async def ended(self, by=signal.SIGTERM):
        self.process.send_signal(by)
        return await asyncio.to_thread(self.process.wait, 30)


async def becomes(condition, *, seconds=30.0):
    """Return once a coroutine says so."""
    end = time.monotonic() + seconds
    while not await condition():
        assert time.monotonic() < end
        await asyncio.sleep(0.05)


@pytest.fixture
def begin(tmp_path):
    """Start processes of the command; what still runs at the end is killed."""
    begun = []

    def start(*arguments, **environ):
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("TITAN_", "NATS_"))}
        begun.append(Process(arguments, tmp_path, kept | {"TITAN_TOKEN": TOKEN, **environ}))
        return begun[-1]

    yield start
    for one in begun:
        one.process.kill()
        one.process.wait()
        for reader in one._readers:
            reader.join(10)


@pytest.fixture
def scenario():
    return Scenario([Plan(id=name, task_id="t", steps=[Step("running")]) for name in ("a", "b")])


async def test_a_standby_takes_over(serve, begin, nats, scenario):
    """Of two processes one leads; killed, it is followed by the other, and by a third at once when that one ends."""
    service = await serve(scenario)
    arguments = ("monitor", "--url", service.url, "--account", "shop", "--listen", "127.0.0.1:0")
    journal = ("--journal", f"{nats.url}?lease=1")
    first = begin(*arguments, *journal)

    async def leads(one):
        return await one.status() == ({"shop": LEADS}, True)

    async def stands_by(one):
        return await one.status() == ({"shop": STANDS_BY}, True)

    await becomes(lambda: leads(first))
    second = begin(*arguments, *journal)
    await becomes(lambda: stands_by(second))
    count = len(service.requests)
    await asyncio.sleep(0.5)
    assert len(service.requests) - count < 6  # of one monitor, not two
    await first.ended(signal.SIGKILL)
    begun = time.monotonic()
    await becomes(lambda: leads(second))
    assert time.monotonic() - begun < 5
    third = begin(*arguments, *journal)
    await becomes(lambda: stands_by(third))
    assert await second.ended() == 143
    await becomes(lambda: leads(third), seconds=3)
    assert await third.ended() == 143
    assert TOKEN not in "".join([*first.log, *second.log, *third.log])


async def test_a_leader_that_stood_still(serve, begin, nats, scenario):
    """A leader that is stopped loses its place; when it goes on it says so, and stands by."""
    service = await serve(scenario)
    arguments = ("monitor", "--url", service.url, "--account", "shop", "--listen", "127.0.0.1:0")
    journal = ("--journal", f"{nats.url}?lease=1")
    first = begin(*arguments, *journal)
    await true(lambda: any("leads the account" in line for line in first.log))
    second = begin(*arguments, *journal)
    await true(lambda: any("standing by" in line for line in second.log))
    first.process.send_signal(signal.SIGSTOP)
    await true(lambda: any("leads the account" in line for line in second.log))
    first.process.send_signal(signal.SIGCONT)

    async def stands_by():
        return await first.status() == ({"shop": STANDS_BY}, True)

    await becomes(stands_by)
    assert any("the lead was lost" in line for line in first.log)
    assert (await second.status()) == ({"shop": LEADS}, True)
    for one in (first, second):
        assert await one.ended() == 143


async def test_nats_goes_and_comes_back(serve, begin, nats, scenario):
    """Without NATS neither the leader nor the one that stands by is ready; all go on by themselves when it is back."""
    service = await serve(scenario)
    arguments = ("monitor", "--url", service.url, "--account", "shop", "--listen", "127.0.0.1:0")
    journal = ("--journal", f"{nats.url}?lease=1")
    members = [begin(*arguments, *journal) for _ in range(2)]

    async def states():
        told = [await one.status() for one in members]
        return sorted(state.get("shop", "") for state, _ in told), {is_ready for _, is_ready in told}

    async def is_well():
        others = [STANDS_BY] * (len(members) - 1)
        return await states() == ([LEADS, *others], {True})

    async def is_told():
        return (await states())[1] == {False}

    await becomes(is_well)
    nats.kill()
    await becomes(is_told)
    members.append(begin(*arguments, *journal))

    async def waits():
        return (await members[-1].status())[0] == {"shop": "waiting"}

    await becomes(waits)
    nats.restart()
    await becomes(is_well, seconds=60)
    for one in members:
        assert await one.ended() == 143


async def test_nats_that_is_not_there(begin, nats):
    """The end comes soon also while NATS cannot be reached, and what a password is stays hidden."""
    address = nats.url.replace("nats://", "nats://me:hidden-password-123@")
    nats.kill()
    process = begin(
        "monitor", "--url", "https://api.example", "--account", "shop", "--journal", address, "--listen", "127.0.0.1:0"
    )

    async def waits():
        return (await process.status()) == ({"shop": "waiting"}, False)

    await becomes(waits)
    begun = time.monotonic()
    assert await process.ended() == 143
    assert time.monotonic() - begun < 5
    assert "hidden-password" not in "".join(process.log)


async def test_programs_share_a_subscription(serve, begin, nats, scenario, tmp_path):
    """Two processes of `subscribe` with one name share the events; what a killed one had comes to the other."""
    service = await serve(scenario)
    journal = ("--journal", nats.url, "--account", "shop")
    monitor = begin("monitor", "--url", service.url, *journal, "--listen", "off")
    await true(lambda: any("leads the account" in line for line in monitor.log))
    pair = [
        begin(
            *("subscribe", *journal, "--name", "page", "--on", "transition", "--since", "beginning", "--exec"),
            *("sh", "-c", "echo $TITAN_EVENT_ID"),
        )
        for _ in range(2)
    ]
    for number in range(40):
        service.add(Plan(id=f"e{number}", task_id="t", steps=[Step("running", 0.1)]))

    def handled():
        return [line.strip() for one in pair for line in one.out]

    await true(lambda: {f"e{number}" for number in range(40)} <= {one.split(":")[0] for one in handled()}, seconds=40)
    assert all(one.out for one in pair)
    assert len(handled()) == len(set(handled()))
    for one in (*pair, monitor):
        assert await one.ended() == 143


ACCOUNTS = ("shop", "news", "maps", "mail", "bank", "park")


def expected(members):
    """Return who is to lead each account."""
    return {account: ranking(account, members)[0] for account in ACCOUNTS}


class Member:
    """A service in this process that is one member of a fleet."""

    def __init__(self, service, address, name):
        accounts = [Account(url=service.url, token=TOKEN, name=account, per_minute=600) for account in ACCOUNTS]
        self.name = name
        self.service = Service(accounts, address, member=name, drain_s=1.0)
        self.task = asyncio.create_task(self.service.run())

    def leads(self):
        return {one.account.label for one in self.service.tendings if one.state is State.LEADING}

    async def end(self):
        self.task.cancel()
        await asyncio.wait((self.task,), timeout=20)
        assert self.task.cancelled()


async def test_accounts_are_spread(serve, nats, scenario):
    """Each member leads the accounts for which it ranks first; none moves but for members that come and go."""
    service = await serve(scenario)
    address = f"{nats.url}?lease=1"
    members = {name: Member(service, address, name) for name in ("one", "two")}

    def led():
        return {account: name for name, member in members.items() for account in member.leads()}

    def is_spread():
        return led() == expected(members)

    assert len(set(expected(("one", "two")).values())) == 2
    await true(is_spread, seconds=30)
    assert all(member.service.status()["is_ready"] for member in members.values())
    before = led()
    members["three"] = Member(service, address, "three")
    moving = {account for account, name in expected(members).items() if name == "three"}
    assert moving
    steps = []
    while led() != expected(members):
        steps.append(led())
        assert len(steps) < 6000
        await asyncio.sleep(0.01)
    for step in steps:  # what is not to move stayed where it was
        assert all(step.get(account) == before[account] for account in before.keys() - moving)
    await members.pop("three").end()
    await true(is_spread, seconds=30)
    await members.pop("one").end()
    await true(lambda: set(led().values()) == {"two"} and len(led()) == len(ACCOUNTS), seconds=30)
    await members.pop("two").end()


async def test_a_refused_member_is_passed_over(serve, nats, scenario):
    """A member that is not able to tend an account does not get it, though it ranks first."""
    service = await serve(scenario)
    address = f"{nats.url}?lease=1"
    first = ranking("shop", ("one", "two"))[0]
    made = {}
    for name in ("one", "two"):
        token = "wrong-token-0123456789" if name == first else TOKEN
        accounts = [Account(url=service.url, token=token, name="shop")]
        made[name] = Service(accounts, address, member=name, spreads=True, drain_s=1.0)
    tasks = [asyncio.create_task(one.run()) for one in made.values()]
    (other,) = set(made) - {first}
    await true(lambda: made[other].tendings[0].state is State.LEADING, seconds=20)
    await asyncio.sleep(4)  # longer than the time after which it would be handed over
    assert made[other].tendings[0].state is State.LEADING
    assert not made[first].status()["is_ready"]
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks)


async def test_members_that_cannot_be_seen(serve, nats, scenario, caplog):
    """Where presence cannot be told, as a permission is missing, accounts are led all the same."""
    service = await serve(scenario)
    nats.configure(
        'authorization { users = [{ user: u, password: "pass-word-0123", permissions: '
        '{ publish: { deny: ["$KV.titan_members.>", "$JS.API.STREAM.*.KV_titan_members"] } } }] }'
    )
    nats.restart()
    address = nats.url.replace("nats://", "nats://u:pass-word-0123@")
    accounts = [Account(url=service.url, token=TOKEN, name=account) for account in ("shop", "news")]
    one = Service(accounts, f"{address}?lease=1", drain_s=1.0)
    task = asyncio.create_task(one.run())
    await true(lambda: [each.state for each in one.tendings] == [State.LEADING] * 2, seconds=40)
    await true(lambda: "other members cannot be seen" in caplog.text)
    assert "pass-word-0123" not in caplog.text
    task.cancel()
    await asyncio.wait((task,))
    assert json.dumps(one.status())


async def test_what_others_write_is_borne(nats, caplog):
    """Nonsense in the bucket is passed over; a mistake of ours is told, and then nobody is waited for."""
    address, mistakes = f"{nats.url}?lease=1", []

    def able():
        if mistakes:
            raise mistakes[0]
        return ["shop"]

    pair = [Presence(address, SystemClock(), able=able, member=name) for name in ("one", "two")]
    tasks = [asyncio.create_task(one.run()) for one in pair]
    first, second = ranking("shop", ("one", "two"))
    behind = next(one for one in pair if one.member == second)
    try:
        await true(lambda: behind.fleet.rank("shop") == 1)
        link = nats_client.Client()
        await link.connect(nats.url)
        for name, value in (("x", b"\xff{"), ("y", b"[1, null]"), ("z", b"7")):
            await link.jetstream().publish(f"$KV.{BUCKET}.{name}", value)
        await link.close()
        await asyncio.sleep(0.5)
        assert behind.fleet.members("shop") == [first, second]
        begun = time.monotonic()
        await behind.until_turn("shop")
        assert 0.9 < time.monotonic() - begun < 5
        mistakes.append(ZeroDivisionError("a bug"))
        await true(lambda: "ZeroDivisionError" in caplog.text)
        await true(lambda: behind.fleet.members("shop") == [second])
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)


def test_names_of_members():
    """A member has a name that a key can have, its own for each process; another one is checked."""
    assert member_name() != member_name()
    assert re.fullmatch(r"[A-Za-z0-9-]+", member_name())
    for name in ("", "a b", "a.b", "x" * 65, "*"):
        with pytest.raises(ConfigurationError, match="a member is named by"):
            Presence("nats://host:4222", SystemClock(), able=list, member=name)
