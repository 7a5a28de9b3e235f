"""The lease: one monitor leads at a time, whatever happens to it and to NATS, and it knows when it does no more."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from itertools import cycle

import attrs
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from nats.js import errors as js_errors
from parts import Connect, Parts, be_impatient, connecting, true
from proxy import Proxy, between

from titan_state import (
    ConfigurationError,
    Event,
    JournalInUseError,
    JournalUnavailableError,
    LeadershipLostError,
    Monitor,
    RequestBudget,
)
from titan_state.emulator import Plan, Step, TaskServiceEmulator
from titan_state.errors import JournalError
from titan_state.journal.nats import NatsJournal
from titan_state.journal.nats.buckets import bucket_of
from titan_state.journal.nats.lease import BUCKET, SAFE, Holder, NatsLease
from titan_state.journal.nats.link import WrongSequenceError
from titan_state.journal.nats.settings import LEASE_S, settings_of
from titan_state.testing import ManualClock

# By the rules: any number of monitors, and a server whose answers are late or lost.

TTL_S = 10.0
TIMEOUT_S = 5.0


@attrs.frozen
class Way:
    """How one request goes: it may be lost on its way, or its answer.

    Attributes:
        there_s: How long it takes to the server, None if it never arrives.
        back_s: How long its answer takes, None if that never arrives.
    """

    there_s: float | None = 0.0
    back_s: float | None = 0.0


class Bucket:
    """A bucket as NATS keeps it, on a clock that is moved by hand, with requests that go as a test wants."""

    def __init__(self, clock: ManualClock, ways: list[Way]) -> None:
        self.clock = clock
        self._ways = cycle(ways)
        self._sequence = 0
        self._value: bytes | None = None
        self._revision = 0
        self._stored_at = float("-inf")

    @property
    def holder(self) -> Holder | None:
        """Who has the key at this moment, as the server has it."""
        return None if self._value is None or not self._is_there else Holder.read(self._value)

    @property
    def _is_there(self) -> bool:
        return self.clock.time() < self._stored_at + TTL_S

    async def create(self, key: str, value: bytes) -> int:
        return await self._go(lambda: self._put(value, None))

    async def update(self, key: str, value: bytes, last: int) -> int:
        return await self._go(lambda: self._put(value, last))

    async def delete(self, key: str, last: int) -> int:
        return await self._go(lambda: self._put(None, last))

    async def get(self, key: str) -> object:
        return await self._go(self._get)

    def _put(self, value: bytes | None, last: int | None) -> int:
        present = self._revision if self._is_there else 0
        expected = last if last is not None else present if self._value is None else 0
        if present != expected:
            raise WrongSequenceError("somebody else has written")
        self._sequence += 1
        self._value, self._revision, self._stored_at = value, self._sequence, self.clock.time()
        return self._revision

    def _get(self) -> object:
        if self._value is None or not self._is_there:
            raise js_errors.KeyNotFoundError
        return attrs.make_class("Entry", {"value": attrs.field(), "revision": attrs.field()})(
            self._value, self._revision
        )

    async def _go(self, work: Callable[[], object]) -> object:
        way = next(self._ways)
        left = TIMEOUT_S
        if way.there_s is not None:
            await self.clock.sleep(way.there_s)
            result: object = None
            failure: Exception | None = None
            try:
                result = work()
            except (WrongSequenceError, js_errors.KeyNotFoundError) as error:
                failure = error
            if way.back_s is not None:
                await self.clock.sleep(way.back_s)
                if failure is not None:
                    raise failure
                return result
            left = max(0.0, left - way.there_s)
        await self.clock.sleep(left)
        raise JournalUnavailableError("no answer")


class Wire:
    """As much of a link as a lease needs."""

    def __init__(self, clock: ManualClock) -> None:
        self.clock = clock

    async def do(self, work: Awaitable[object], doing: str = "") -> object:
        return await work


class Site:
    """Several monitors that want to lead, and what must hold at every moment."""

    def __init__(self, ways: list[Way], monitors: int) -> None:
        self.clock = ManualClock(turns=25)
        self.bucket = Bucket(self.clock, ways)
        self.epoch = 0
        self.leases: list[NatsLease] = []
        self.led: list[str] = []
        self._tasks = [asyncio.create_task(self._monitor(f"m{number}")) for number in range(monitors)]

    async def _monitor(self, name: str) -> None:
        while True:
            lease = NatsLease(Wire(self.clock), self.bucket, "shop", TTL_S, name)
            self.leases.append(lease)
            try:
                await lease.acquire(stands_by=True)
                self.epoch += 1
                own = self.epoch
                self.led.append(name)

                async def still_ours(own: int = own) -> bool:
                    return own == self.epoch

                lease.keep(still_ours)
                await lease.until_lost()
            except JournalError:
                await lease.release()
                self.leases.remove(lease)

    def check(self) -> None:
        """Raise if two lead, or one that the server would let another one in beside."""
        held = [lease for lease in self.leases if lease.is_held]
        assert len(held) <= 1
        if held:
            assert self.bucket.holder == held[0]._own

    async def run(self, seconds: float, step: float = 0.25) -> None:
        for _ in range(int(seconds / step)):
            await self.clock.advance(step)
            self.check()

    async def end(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for lease in self.leases:
            if lease._keeper is not None:
                lease._keeper.cancel()
                await asyncio.gather(lease._keeper, return_exceptions=True)


delays = st.none() | st.sampled_from([0.0, 0.0, 0.0, 0.1, 1.0, 3.0, 4.9])
many_ways = st.lists(st.builds(Way, delays, delays), min_size=1, max_size=30)


@settings(max_examples=60)
@given(many_ways, st.integers(1, 3))
@example([Way(0.0, None), *[Way()] * 2, *[Way(None, None)] * 100], 1)
def test_two_never_lead_at_the_same_time(ways, monitors):
    """Whatever is late or lost, who counts as leading is who has the key, at every moment."""

    async def scenario() -> None:
        site = Site(ways, monitors)
        try:
            await site.run(60.0)
        finally:
            await site.end()

    logging.disable(logging.WARNING)
    try:
        asyncio.run(scenario())
    finally:
        logging.disable(logging.NOTSET)


async def test_an_acquisition_without_an_answer_counts_from_when_it_was_sent():
    """A key that was created without an answer expires as the server counts, not from when it was found to be ours."""
    site = Site([Way(0.0, None), Way(), Way(), *[Way(None, None)] * 100], 1)
    try:
        await site.run(3 * TTL_S, step=0.1)
    finally:
        await site.end()


async def test_without_trouble_the_first_leads_for_good():
    """Renewals keep it, and nobody else gets in."""
    site = Site([Way(0.05, 0.05)], 3)
    try:
        await site.run(100.0, step=0.5)
        assert len(site.led) == 1
        assert sum(lease.is_held for lease in site.leases) == 1
    finally:
        await site.end()


@pytest.mark.parametrize("data", [None, b"", b"[]", b"7", b'{"holder": "h"}', b"\xff"])
def test_a_key_that_somebody_else_has_written(data):
    """A holder that cannot be read is one that is not known, never ourselves."""
    assert Holder.read(data).mark == ""
    assert "not known" in Holder.read(data).name


# With a server.


@pytest.fixture
async def connect() -> AsyncIterator[Connect]:
    async with connecting() as made:
        yield made


@pytest.fixture
async def proxy(nats, monkeypatch) -> AsyncIterator[Proxy]:
    """Something between a client and the server that loses things."""
    be_impatient(monkeypatch, 0.3)
    async with between(nats.port) as made:
        yield made


Make = Callable[..., Awaitable[NatsLease]]


@pytest.fixture
async def make() -> AsyncIterator[Make]:
    """Make leases over connections; their renewals end with the test."""
    made: list[NatsLease] = []

    async def new(parts: Parts, holder: str = "one", *, lease_s: float = 1.0, account: str = "shop") -> NatsLease:
        bucket, has_s = await bucket_of(parts.link, BUCKET, settings_of("nats://h"), lease_s)
        made.append(NatsLease(parts.link, bucket, account, has_s, holder))
        return made[-1]

    yield new
    for lease in made:
        if lease._keeper is not None:
            lease._keeper.cancel()
            await asyncio.gather(lease._keeper, return_exceptions=True)


async def yes() -> bool:
    return True


async def no() -> bool:
    return False


async def test_who_has_it_and_who_stands_by(nats, connect, make, caplog):
    """The second is told who leads, or waits; when the first lets go, it gets the lease at once."""
    caplog.set_level(logging.INFO, "titan_state")
    parts = await connect(nats.url)
    first = await make(parts, "process 7 on host", lease_s=60.0)
    second = await make(parts, "other", lease_s=60.0)
    assert not first.is_held
    await first.acquire(stands_by=False)
    assert first.is_held
    with pytest.raises(JournalInUseError, match="process 7 on host leads this account"):
        await second.acquire(stands_by=False)
    first.keep(yes)
    third = await make(parts, "third", lease_s=60.0)
    waiting = asyncio.create_task(third.acquire(stands_by=True))
    await true(lambda: "standing by: process 7 on host leads shop" in caplog.text)
    assert not third.is_held
    assert third.leader == "process 7 on host"
    await first.release()
    assert not first.is_held
    await second.acquire(stands_by=False)  # not after a minute: it was given back
    assert second.is_held
    assert second.leader is None
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)


async def test_accounts_have_leases_of_their_own(nats, connect, make):
    """Who leads one account keeps nobody from leading another."""
    parts = await connect(nats.url)
    one, other = await make(parts), await make(parts, account="Shop")
    await one.acquire(stands_by=False)
    await other.acquire(stands_by=False)
    assert one.is_held
    assert other.is_held


async def test_it_expires_and_its_holder_knows_before(nats, connect, make):
    """A lease that is not renewed goes to whoever stands by, and at that moment its holder has given up already."""
    one, two = await connect(nats.url), await connect(nats.url)
    for number in range(2):
        first, second = await make(one, f"first {number}"), await make(two, f"second {number}")
        await first.acquire(stands_by=False)
        assert first.is_held
        await asyncio.wait_for(second.acquire(stands_by=True), 10.0)
        assert second.is_held
        assert not first.is_held
        await second.release()


async def test_renewals(nats, connect, make):
    """It is held for as long as it is renewed, and nobody else gets in meanwhile."""
    one, two = await connect(nats.url), await connect(nats.url)
    first, second = await make(one), await make(two, "other")
    await first.acquire(stands_by=False)
    first.keep(no)  # nobody is asked as long as it does not lapse
    for _ in range(125):
        assert await second._take() == "one"
        assert first.is_held
        await asyncio.sleep(0.02)
    await asyncio.wait_for(first.until_held(), 1.0)


@pytest.mark.parametrize("how", ["stopped", "killed"])
async def test_it_lapses_while_nats_is_away_and_is_held_again(nats, connect, make, monkeypatch, how, caplog):
    """It is not held while NATS is away for longer than it lasts; after that it is, if nobody else has led."""
    be_impatient(monkeypatch, 0.3)
    parts = await connect(nats.url)
    lease = await make(parts)
    await lease.acquire(stands_by=False)
    lease.keep(yes)
    lost = asyncio.create_task(lease.until_lost())
    nats.stop() if how == "stopped" else nats.kill()
    await true(lambda: not lease.is_held)
    held = asyncio.create_task(lease.until_held())
    await asyncio.sleep(0.3)
    assert not lease.is_held
    assert not held.done()
    nats.resume() if how == "stopped" else nats.restart()
    await asyncio.wait_for(held, 15.0)
    assert lease.is_held
    assert not lost.done()
    lost.cancel()
    await asyncio.gather(lost, return_exceptions=True)
    await true(lambda: "nobody else has led meanwhile" in caplog.text)
    assert "no request is sent until it can" in caplog.text


async def test_it_is_lost_if_somebody_else_has_it(nats, connect, make, proxy, caplog):
    """Whoever was not heard of for too long is told who leads now, for good."""
    one, two = await connect(proxy.url), await connect(nats.url)
    first, second = await make(one), await make(two, "the other")
    await first.acquire(stands_by=False)
    first.keep(yes)
    waiting = [asyncio.create_task(first.until_lost()), asyncio.create_task(first.until_held())]
    await waiting[1]
    proxy.mute()
    proxy.cut()
    await asyncio.wait_for(second.acquire(stands_by=True), 10.0)
    assert not first.is_held
    second.keep(yes)
    waiting[1] = asyncio.create_task(first.until_held())
    proxy.heal()
    proxy.cut()
    for task in waiting:
        with pytest.raises(LeadershipLostError, match="the other leads shop now"):
            await asyncio.wait_for(task, 10.0)
    assert not first.is_held
    with pytest.raises(LeadershipLostError):
        await first.until_held()
    await first.release()
    await asyncio.sleep(0.4)
    assert second.is_held
    assert await (await make(two, "third"))._take() == "the other"


async def test_it_is_lost_if_somebody_else_has_led_and_ended(nats, connect, make, proxy):
    """That the lease is free is not enough: who has led meanwhile has written and sent what this one does not know."""
    one, two = await connect(proxy.url), await connect(nats.url)
    first, second = await make(one), await make(two, "the other")
    await first.acquire(stands_by=False)
    ours = True

    async def still_ours() -> bool:
        return ours

    first.keep(still_ours)
    lost = asyncio.create_task(first.until_lost())
    proxy.mute()
    proxy.cut()
    await asyncio.wait_for(second.acquire(stands_by=True), 10.0)
    ours = False
    await second.release()
    proxy.heal()
    proxy.cut()
    with pytest.raises(LeadershipLostError, match="another monitor has led shop meanwhile"):
        await asyncio.wait_for(lost, 10.0)
    assert not first.is_held
    await (await make(two, "third", lease_s=1.0)).acquire(stands_by=False)  # it was given back


async def test_a_renewal_whose_answer_is_lost(nats, connect, make, proxy):
    """What was renewed without an answer is ours all the same, and is renewed again."""
    parts = await connect(proxy.url)
    lease = await make(parts, lease_s=2.0)
    await lease.acquire(stands_by=False)
    lease.keep(no)
    for _ in range(2):
        proxy.arm("drop", b'"mark"')
        await asyncio.wait_for(proxy.has_struck.wait(), 5.0)
        revision = lease._revision
        await true(lambda before=revision: lease._revision > before)
        assert lease.is_held


async def test_an_error_that_writing_shows_ends_it(nats, connect, make):
    """That another monitor leads shows in a batch that is refused, too; anything else says nothing about it."""
    parts = await connect(nats.url)
    lease = await make(parts)
    await lease.acquire(stands_by=False)
    lease.note(JournalUnavailableError("away"))
    assert lease.is_held
    lease.note(LeadershipLostError("first"))
    lease.note(LeadershipLostError("second"))
    assert not lease.is_held
    with pytest.raises(LeadershipLostError, match="first"):
        await lease.until_held()
    with pytest.raises(LeadershipLostError, match="first"):
        await lease.until_lost()


async def test_standing_by_outlasts_nats(nats, connect, make, monkeypatch):
    """Who stands by waits also while nobody can be asked, and gets the lease after that."""
    be_impatient(monkeypatch, 0.3)
    parts = await connect(nats.url)
    first, second, third = await make(parts), await make(parts, "other"), await make(parts, "third")
    await first.acquire(stands_by=False)
    waiting = asyncio.create_task(second.acquire(stands_by=True))
    await asyncio.sleep(0.2)
    nats.kill()
    await true(lambda: not parts.link.is_up)
    with pytest.raises(JournalUnavailableError):
        await third.acquire(stands_by=False)
    nats.restart()
    await asyncio.wait_for(waiting, 15.0)
    assert second.is_held
    assert not first.is_held


# The bucket.


async def test_one_time_to_live_for_all(nats, connect):
    """A bucket is made with what is asked for; who asks for something else is told what it is, and what to do."""
    parts = await connect(nats.url)
    plain = settings_of("nats://h")
    _, has_s = await bucket_of(parts.link, BUCKET, plain, 2.5)
    assert has_s == 2.5
    _, has_s = await bucket_of(parts.link, BUCKET, plain, None)
    assert has_s == 2.5
    with pytest.raises(ConfigurationError, match=r"expire after 2\.5 s, not 1 s: leave lease out, give lease=2\.5"):
        await bucket_of(parts.link, BUCKET, plain, 1.0)
    _, has_s = await bucket_of(parts.link, "another", plain, None)
    assert has_s == LEASE_S


async def test_a_bucket_whose_keys_never_expire(nats, connect):
    """Nobody could ever take over: it is refused."""
    parts = await connect(nats.url)
    await parts.link.js.create_key_value(bucket=BUCKET)
    with pytest.raises(ConfigurationError, match="never expire: remove it"):
        await bucket_of(parts.link, BUCKET, settings_of("nats://h"), None)


async def test_two_that_make_the_bucket_at_once(nats, connect):
    """Both have it in the end."""
    one, two = await connect(nats.url), await connect(nats.url)
    wanted = [bucket_of(parts.link, BUCKET, settings_of("nats://h"), 1.0) for parts in (one, two)]
    assert [has_s for _, has_s in await asyncio.gather(*wanted)] == [1.0, 1.0]


async def test_a_monitor_with_another_lease_is_refused(nats):
    """The address of a second monitor says another time: it does not wait, it is told."""
    first = NatsJournal(f"{nats.url}?lease=1")
    second = NatsJournal(f"{nats.url}?lease=2")
    await first.open()
    await second.open()
    try:
        await first.lead("shop")
        with pytest.raises(ConfigurationError, match="expire after 1 s, not 2 s"):
            await second.lead("shop")
    finally:
        await second.close()
        await first.close()


# Monitors.


class Watchers:
    """Makes monitors of one service that stand by for each other, and remembers what each was told."""

    def __init__(self, service: TaskServiceEmulator) -> None:
        self.service = service
        self.told: dict[str, list[str]] = {}

    def monitor(self, url: str, name: str, *, is_told: bool = True) -> Monitor:
        monitor = Monitor(
            self.service.url,
            self.service.token,
            account="shop",
            journal=f"{url}?lease=1&partitions=2",
            budget=RequestBudget(per_minute=60_000, burst=1, reserve=0),
            drain_s=1.0,
        )
        self.told[name] = []

        async def note(event: Event) -> None:
            self.told[name].append(event.id)

        if is_told:
            monitor.on_transition(note, name="seen")
        return monitor


@pytest.fixture
async def watchers() -> AsyncIterator[Watchers]:
    async with TaskServiceEmulator(per_minute=None) as service:
        yield Watchers(service)


async def watch(monitor: Monitor, entered: asyncio.Event) -> None:
    """Watch until cancelled or ended."""
    async with monitor:
        entered.set()
        monitor.watch_all()
        await asyncio.Event().wait()


def sent(monitor: Monitor) -> int:
    """Return how many requests a monitor has sent."""
    return monitor.service.statistics.requests


async def test_the_second_stands_by_and_takes_over(nats, watchers):
    """While one leads the other sends nothing; when the first is left, the second goes on where it was."""
    watchers.service.add(Plan(id="a", steps=[Step("running")]))
    one, two = watchers.monitor(nats.url, "one"), watchers.monitor(nats.url, "two")
    leads = [asyncio.Event(), asyncio.Event()]
    first = asyncio.create_task(watch(one, leads[0]))
    await asyncio.wait_for(leads[0].wait(), 10)
    second = asyncio.create_task(watch(two, leads[1]))
    await true(lambda: watchers.told["one"] == ["a:1"])
    await asyncio.sleep(0.5)
    assert not leads[1].is_set()
    assert sent(two) == 0
    first.cancel()
    with pytest.raises(asyncio.CancelledError):
        await first
    count = sent(one)
    await asyncio.wait_for(leads[1].wait(), 10)
    watchers.service.move("a", "completed")
    await true(lambda: "a:2" in watchers.told["two"])
    assert sent(one) == count
    assert two.journal.lease.succeeds
    second.cancel()
    await asyncio.gather(second, return_exceptions=True)


async def test_one_that_gives_up_standing_by(nats, watchers):
    """A monitor that is cancelled while it waits has sent nothing, and the one that leads goes on."""
    watchers.service.add(Plan(id="a", steps=[Step("running")]))
    one, two = watchers.monitor(nats.url, "one"), watchers.monitor(nats.url, "two")
    entered = asyncio.Event()
    first = asyncio.create_task(watch(one, entered))
    await asyncio.wait_for(entered.wait(), 10)
    second = asyncio.create_task(watch(two, asyncio.Event()))
    await true(lambda: two.journal.leader)
    second.cancel()
    with pytest.raises(asyncio.CancelledError):
        await second
    assert sent(two) == 0
    await asyncio.sleep(0.4)
    assert one.journal.lease.is_held
    await true(lambda: watchers.told["one"] == ["a:1"])
    first.cancel()
    await asyncio.gather(first, return_exceptions=True)


async def test_one_that_finds_out_by_writing(nats, watchers, connect):
    """Even without the lease telling so, a leader whose place was taken writes nothing more, and ends."""
    watchers.service.add(Plan(id="a", steps=[Step("running")]))
    monitor = watchers.monitor(nats.url, "one")
    entered = asyncio.Event()
    task = asyncio.create_task(watch(monitor, entered))
    await true(lambda: watchers.told["one"] == ["a:1"])
    other = await connect(nats.url)
    await other.leading("somebody without a lease")
    watchers.service.move("a", "completed")
    with pytest.raises(LeadershipLostError, match="somebody without a lease leads shop now"):
        await asyncio.wait_for(task, 20)
    count = sent(monitor)
    assert await other.ids() == ["a:1"]
    assert not monitor.journal.lease.is_held
    await asyncio.sleep(0.2)
    assert sent(monitor) == count


async def test_one_that_is_gone_without_a_word(nats, watchers):
    """A leader whose connection is closed under it ends with an error, and the other one takes over."""
    watchers.service.add(Plan(id="a", steps=[Step("running")]))
    one, two = watchers.monitor(nats.url, "one"), watchers.monitor(nats.url, "two")
    leads = [asyncio.Event(), asyncio.Event()]
    first = asyncio.create_task(watch(one, leads[0]))
    await asyncio.wait_for(leads[0].wait(), 10)
    second = asyncio.create_task(watch(two, leads[1]))
    await true(lambda: watchers.told["one"] == ["a:1"])
    await one.journal._link.nc.close()
    await asyncio.wait_for(leads[1].wait(), 10)
    assert not one.journal.lease.is_held
    with pytest.raises(JournalError):
        await asyncio.wait_for(first, 10)
    count = sent(one)
    watchers.service.move("a", "completed")
    await true(lambda: "a:2" in watchers.told["two"])
    assert sent(one) == count
    second.cancel()
    await asyncio.gather(second, return_exceptions=True)


async def test_one_that_was_cut_off_ends_and_has_sent_nothing(nats, watchers, proxy):
    """A leader that NATS did not hear of sends nothing once its lease is over, and ends when it learns who leads."""
    watchers.service.add(Plan(id="a", steps=[Step("running")]))
    one = watchers.monitor(proxy.url, "one", is_told=False)  # what was sent to it comes to another one after 30 s only
    two = watchers.monitor(nats.url, "two", is_told=False)
    leads = [asyncio.Event(), asyncio.Event()]
    first = asyncio.create_task(watch(one, leads[0]))
    await asyncio.wait_for(leads[0].wait(), 10)
    second = asyncio.create_task(watch(two, leads[1]))
    await true(lambda: one.journal.log(0, 100))
    ((first_at, _),) = await one.journal.log(0, 100)
    busy = sent(one)
    await true(lambda: sent(one) > busy + 2)
    proxy.mute()
    lease = one.journal.lease
    await true(lambda: not lease.is_held)
    await asyncio.sleep(0.05)  # what was let out in the same moment
    count, arrived = sent(one), len(watchers.service.requests)
    assert not one.health().is_ready
    while not leads[1].is_set():
        assert len(watchers.service.requests) == arrived  # nobody asks the service while nobody leads
        assert not lease.is_held
        await asyncio.sleep(0.01)
    watchers.service.move("a", "completed")
    await true(lambda: two.journal.log(first_at, 100))
    assert sent(one) == count
    proxy.heal()
    proxy.cut()
    with pytest.raises(LeadershipLostError):
        await asyncio.wait_for(first, 15)
    assert sent(one) == count
    events = await two.journal.log(0, 100)
    assert [event.id for _, event in events] == ["a:1", "a:2"]
    assert await two.journal.verify() == []
    second.cancel()
    await asyncio.gather(second, return_exceptions=True)


async def test_it_goes_on_after_nats_was_away(nats, watchers, monkeypatch):
    """A leader whose lease lapsed while NATS was stopped leads again, and tells what happened meanwhile."""
    be_impatient(monkeypatch, 0.3)
    watchers.service.add(Plan(id="a", steps=[Step("running")]))
    monitor = watchers.monitor(nats.url, "one")
    entered = asyncio.Event()
    task = asyncio.create_task(watch(monitor, entered))
    await true(lambda: watchers.told["one"] == ["a:1"])
    nats.stop()
    await true(lambda: not monitor.journal.lease.is_held)
    await asyncio.sleep(0.05)
    count = sent(monitor)
    watchers.service.move("a", "completed")
    await asyncio.sleep(0.4)
    assert sent(monitor) == count
    nats.resume()
    await true(lambda: watchers.told["one"] == ["a:1", "a:2"])
    assert not task.done()
    assert monitor.health().is_ready
    assert not monitor.journal.lease.succeeds
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


def test_the_margin_is_on_the_safe_side():
    """A holder gives up before the server does, with a tenth to spare for clocks that run unevenly."""
    assert 0.5 < SAFE < 1.0
