"""Subscriptions of a NATS journal: order, competing programs, crashes, further attempts, dead letters, leaving."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest
from following import PATIENCE_S, SILENT_S, Program, ids, later, moved, until
from proxy import between

from titan_state import JournalDamagedError, SubscriptionInUseError
from titan_state.errors import PayloadError
from titan_state.journal.nats import stream
from titan_state.journal.nats.consumers import Known
from titan_state.journal.nats.letters import Kept
from titan_state.journal.nats.messages import event_read
from titan_state.journal.nats.pulls import NAK
from titan_state.journal.nats.reading import Stored

Make = Callable[..., Awaitable[Program]]

STRANGE = [
    "a.b.c",
    "*",
    ">",
    "with space",
    "x" * 5000,
    "",
    "tab\tnewline\n",
    "ü€😀",
    "\ud800",
    "$JS.API.>",
    "titan.*.>",
]


@pytest.fixture
async def program(nats) -> AsyncIterator[Make]:
    """Make programs that are open; all are closed in the end."""
    made: list[Program] = []

    async def make(**options: object) -> Program:
        made.append(Program(nats.url, **options))
        return await made[-1].open()

    yield make
    await asyncio.gather(*(one.close() for one in made))


async def test_events_come_in_order_one_at_a_time(program):
    """The next event of an execution comes when the one before was dealt with; others are not held up."""
    one = await program()
    subscription = await one.follow()
    names = sorted("abcdefgh", key=one.layout.partition)
    first, last = names[0], names[-1]
    assert one.layout.partition(first) != one.layout.partition(last)
    await one.write(moved(first, 1), moved(first, 2), moved(last, 1))
    both = await one.take(2)
    assert sorted(ids(both)) == sorted([f"{first}:1", f"{last}:1"])
    assert await one.gets_nothing()
    (held,) = [delivery for delivery in both if delivery.event.execution_id == first]
    await subscription.acknowledge(held)
    assert ids(await one.take()) == [f"{first}:2"]


async def test_positions_and_payload(program):
    """A delivery has the position at which the event was written, and the event that was written."""
    one = await program()
    await one.follow()
    event = moved("a", 1, progress=0.5, error="no", extra={"nested": [1, {"x": None}]})
    (position,) = await one.write(event)
    (delivery,) = await one.take()
    assert (delivery.position, delivery.event, delivery.attempts) == (position, event, 0)
    assert not delivery.is_out_of_order


@pytest.mark.parametrize("name", STRANGE, ids=range(len(STRANGE)))
async def test_any_id_and_any_name(program, name):
    """Ids of executions and names of subscriptions may be any text, dots and wildcards included."""
    one = await program()
    subscription = await one.follow(name)
    assert subscription.name == name
    await one.write(moved(name, 1), moved(name, 2), moved(f"{name}.", 1))
    found = await one.handle(3)
    assert sorted(found) == sorted([f"{name}:1", f"{name}:2", f"{name}.:1"])
    assert found.index(f"{name}:1") < found.index(f"{name}:2")
    (state,) = await one.roster.states()
    assert (state.name, state.dead) == (name, 0)
    assert await one.is_over(name) or await _soon(one, name)


async def _soon(one: Program, name: str) -> bool:
    for _ in range(100):
        if await one.is_over(name):
            return True
        await asyncio.sleep(0.05)
    return False


async def test_what_is_not_wanted_is_passed_over(program):
    """Events that a subscription is not for are not handed out, and hold nothing up."""
    one = await program()
    await one.follow(wants=lambda event: event.execution_id == "a")
    await one.write(*(moved(f"other{number}") for number in range(30)), moved("a", 1), moved("b"), moved("a", 2))
    assert await one.handle(2) == ["a:1", "a:2"]
    assert await _soon(one, "us")


async def test_where_a_new_one_begins(program):
    """A new subscription begins after a position; one that is known goes on where it was, whatever is said now."""
    one, two = await program(), await program()
    positions = await one.write(moved("a", 1), moved("a", 2), moved("a", 3))
    await one.follow(start=positions[0])
    assert await one.handle(1) == ["a:2"]
    await one.close()
    await two.follow(start=0)
    assert await two.handle(1) == ["a:3"]


async def test_programs_that_open_it_at_once_agree_where_it_begins(program):
    """Of programs that open a new subscription at the same time one says where it begins, and all have consumers."""
    programs = [await program(partitions=16) for _ in range(4)]
    positions = await programs[0].write(*(moved("a", seq) for seq in range(1, 6)))
    known = await asyncio.gather(*(one.roster.hold("us", at) for one, at in zip(programs, positions, strict=False)))
    assert len({one.start for one in known}) == 1
    assert len(await programs[0].roster.consumers.of("us")) == 17


async def test_programs_compete_and_keep_the_order(program):
    """Programs with one subscription share its events; each is handled once, in order for each execution."""
    writer = await program()
    programs = [await program() for _ in range(3)]
    for one in programs:
        await one.follow()
    handled: list[tuple[str, int]] = []

    async def work(one: Program) -> None:
        while True:
            (delivery,) = await one.take(1, 60)
            await asyncio.sleep(0)
            handled.append((delivery.event.execution_id, delivery.event.seq))
            await one.subscription.acknowledge(delivery)

    workers = [asyncio.create_task(work(one)) for one in programs]
    names = [f"e{number}" for number in range(20)]
    await writer.write(*(moved(name, seq) for seq in range(1, 11) for name in names))
    await until(lambda: len(handled) == 200)
    assert await writer.roster.floor() is None or await _soon(writer, "us")
    for worker in workers:
        worker.cancel()
    await asyncio.gather(*workers, return_exceptions=True)
    for name in names:
        assert [seq for who, seq in handled if who == name] == list(range(1, 11))
    assert all(one.had for one in programs), "each had a share"


async def test_what_a_program_had_goes_to_another_at_once_when_it_leaves(program):
    """Leaving lets go of what was handed out and what was not, without waiting for silence."""
    one, two = await program(silent_s=60.0), await program(silent_s=60.0)
    await one.follow()
    await one.write(*(moved(f"e{number}") for number in range(12)))
    await one.take(2)
    await two.follow()
    await one.close()
    assert len(await two.handle(12, seconds=10)) == 12


async def test_a_program_that_leaves_as_soon_as_it_came(program):
    """What was on its way to a program that left at once goes to another one at once."""
    one = await program(silent_s=60.0, partitions=8)
    names = [f"e{number}" for number in range(30)]
    await one.write(*(moved(name) for name in names))
    for _ in range(8):
        await (await one.follow()).close()
    await one.follow()
    assert len(await one.handle(30, seconds=10)) == 30


async def test_what_a_killed_program_had_goes_to_another_after_a_while(program):
    """A program that ends without a word loses what it had, and nothing is delivered out of order."""
    one, two = await program(), await program()
    await one.follow()
    await one.write(moved("a", 1), moved("a", 2))
    await one.take(1)
    await two.follow()
    await one.crash()
    began = time.monotonic()
    assert await two.handle(2) == ["a:1", "a:2"]
    assert time.monotonic() - began < SILENT_S + 5


async def test_a_delivery_that_takes_long_stays_with_its_program(program):
    """As long as a program lives, nobody else gets what its handler works on, however long that takes."""
    one, two = await program(silent_s=1.5), await program(silent_s=1.5)
    subscription = await one.follow()
    await two.follow()
    await one.write(moved("a", 1))
    done, _ = await asyncio.wait(
        [asyncio.create_task(program.take(1, 60)) for program in (one, two)], return_when=asyncio.FIRST_COMPLETED
    )
    (delivery,) = done.pop().result()
    holder, other = (one, two) if one.had else (two, one)
    await asyncio.sleep(4)
    assert other.had == []
    await holder.subscription.acknowledge(delivery)
    await asyncio.sleep(2)
    assert other.had == []
    assert subscription.name == "us"


async def test_a_program_that_stood_still_hands_out_nothing_old(program):
    """What lay here while the process was stopped is another program's by now, and is not handed out."""
    one, two = await program(), await program()
    subscription = await one.follow()
    one.stand_still()
    await one.write(moved("a", 1))
    await until(lambda: subscription._ready)
    await two.follow()
    assert await two.handle(1) == ["a:1"]
    assert await subscription.fetch(9) == []


@pytest.mark.parametrize("has_other", [True, False])
async def test_what_arrived_while_a_program_stood_still(program, nats, has_other):
    """A message that waited in the connection of a process that stood still is handed out if nobody else has it."""
    one = await program()
    await one.follow()
    await asyncio.sleep(0.2)  # until what it asks for is at the server

    async def elsewhere() -> list[str]:
        other = await Program(nats.url).open()
        try:
            await other.write(moved("a", 1))
            await asyncio.sleep(0.2)
            if not has_other:
                return []
            await other.follow()
            return await other.handle(1)
        finally:
            await other.close()

    thread = threading.Thread(target=lambda: found.extend(asyncio.run(elsewhere())))
    found: list[str] = []
    thread.start()
    thread.join(10)  # the loop stands still, as all of a process does that is stopped
    if not has_other:
        time.sleep(SILENT_S / 2)  # noqa: ASYNC251 - the loop is to stand still
        assert await one.handle(1) == ["a:1"]
    else:
        assert found == ["a:1"]
        assert await one.gets_nothing(1.5)
    assert await _soon(one, "us")


async def test_a_further_attempt_survives_a_crash(program):
    """How often an event was tried, and when it is due, is known to the program that gets it next."""
    one, two = await program(), await program()
    subscription = await one.follow()
    await one.write(moved("a", 1))
    (delivery,) = await one.take()
    due = later(3600)
    await subscription.retry(delivery, due=due, error="ValueError: no")
    await one.crash()
    await two.follow()
    (again,) = await two.take()
    assert (again.event.id, again.attempts) == ("a:1", 1)
    assert abs((again.due - due).total_seconds()) < 0.001
    (letter,) = await two.letters.listed()
    assert (letter.event.id, letter.is_dead, letter.attempts, letter.error) == ("a:1", False, 1, "ValueError: no")
    await two.subscription.acknowledge(again)
    assert await two.letters.listed() == []


async def test_a_further_attempt_that_succeeds_leaves_no_letter(program):
    """Success after a failure removes what was written down of the failure."""
    one = await program()
    subscription = await one.follow()
    await one.write(moved("a", 1), moved("a", 2))
    (delivery,) = await one.take()
    await subscription.retry(delivery, due=later(0), error="no")
    assert await one.gets_nothing(), "it stays with the lane that waits for the attempt"
    await subscription.acknowledge(delivery)
    assert await one.letters.listed() == []
    assert await one.handle(1) == ["a:2"]


async def test_dead_letters(program):
    """What was given up is listed with its event, and the next one of its execution is delivered."""
    one = await program()
    subscription = await one.follow()
    await one.write(moved("a", 1, extra={"text": "x" * 1000}), moved("a", 2))
    (delivery,) = await one.take()
    await subscription.set_aside(delivery, error="ValueError: \ud800 no")
    assert await one.handle(1) == ["a:2"]
    (letter,) = await one.letters.listed(dead_only=True)
    assert (letter.event, letter.is_dead, letter.attempts, letter.subscription) == (delivery.event, True, 1, "us")
    assert (await one.letters.counts()) == {"us": (0, 1)}
    (state,) = await one.roster.states()
    assert (state.dead, state.unfinished, state.holder) == (1, 0, "1 program")


async def test_a_dead_letter_is_kept_when_the_log_is_pruned(program):
    """A letter has its event with it: it can be delivered again after the event was dropped from the log."""
    one = await program()
    subscription = await one.follow()
    await one.write(moved("a", 1))
    (delivery,) = await one.take()
    await subscription.set_aside(delivery, error="no")
    await one.letters.purge(one.layout.events())
    assert [letter.event.id for letter in await one.letters.redeliver(["a:1"])] == ["a:1"]
    (again,) = await one.take()
    assert again.event == delivery.event


async def test_redelivery(program):
    """A dead letter is delivered again out of order, once, and is gone when that succeeds."""
    one = await program()
    subscription = await one.follow()
    await one.write(moved("a", 1), moved("a", 2))
    (dead,) = await one.take()
    await subscription.set_aside(dead, error="no")
    await one.handle(1)
    assert await one.letters.redeliver(["a:2", "x", "a:1x", "b:1"]) == []
    assert await one.letters.redeliver(["a:1"], "them") == []
    assert len(await one.letters.redeliver(["a:1"], "us")) == 1
    assert await one.letters.redeliver(["a:1"]) == [], "it is under way"
    (again,) = await one.take()
    assert (again.position, again.is_out_of_order, again.attempts, again.due) == (dead.position, True, 0, None)
    (letter,) = await one.letters.listed()
    assert not letter.is_dead
    await subscription.acknowledge(again)
    assert await one.letters.listed() == []
    assert await _soon(one, "us")
    for _ in range(100):
        if await one.reader.last(one.layout.again("us")) is None:
            break
        await asyncio.sleep(0.05)
    assert await one.reader.last(one.layout.again("us")) is None


async def test_a_redelivery_that_fails(program):
    """A dead letter that is given up once more is dead again, and can be delivered again."""
    one = await program()
    subscription = await one.follow()
    await one.write(moved("a", 1))
    (delivery,) = await one.take()
    await subscription.set_aside(delivery, error="one")
    for error in ("two", "three"):
        assert len(await one.letters.redeliver(["a:1"])) == 1
        (again,) = await one.take()
        await subscription.retry(again, due=later(0), error="again")
        (letter,) = await one.letters.listed()
        assert not letter.is_dead
        await subscription.set_aside(again, error=error)
        (letter,) = await one.letters.listed(dead_only=True)
        assert letter.error == error
    assert await one.gets_nothing()


async def test_a_redelivery_survives_a_crash(program):
    """A dead letter that was on its way to a program that died goes to another one."""
    one, two = await program(), await program()
    subscription = await one.follow()
    await one.write(moved("a", 1))
    (delivery,) = await one.take()
    await subscription.set_aside(delivery, error="one")
    await one.letters.redeliver(["a:1"])
    await one.take()
    await one.crash()
    await two.follow()
    (again,) = await two.take()
    assert (again.event.id, again.is_out_of_order) == ("a:1", True)


async def test_an_event_that_comes_while_a_letter_of_its_execution_waits(program):
    """What a lane left to the journal, since a letter of its execution waits for an attempt, is had by asking."""
    one = await program()
    subscription = await one.follow()
    await one.write(moved("a", 1))
    (dead,) = await one.take()
    await subscription.set_aside(dead, error="no")
    await one.letters.redeliver(["a:1"])
    await one.take()
    await one.write(moved("a", 2))
    (new,) = await one.take()
    assert await subscription.fetch_of("a", after=0, limit=9) == [new]
    assert await subscription.fetch_of("a", after=new.position, limit=9) == []
    assert await subscription.fetch_of("b", after=0, limit=9) == []


async def test_letters_are_limited_in_number(program, caplog):
    """The oldest dead letters beyond the limit are dropped, which is said, and others are left alone."""
    one = await program()
    positions = await one.write(*(moved(f"e{number}") for number in range(5)))
    for number, position in enumerate(positions):
        await one.letters.write("us", position, moved(f"e{number}"), state="dead", attempts=1, error="")
    await one.letters.write("us", 99, moved("open"), state="open", attempts=1, error="")
    await one.letters.write("them", 1, moved("e0"), state="dead", attempts=1, error="")
    assert await one.letters.trim("us", most=2) == 3
    assert await one.letters.counts() == {"us": (1, 2), "them": (0, 1)}
    (record,) = [record for record in caplog.records if "dead letters" in record.message]
    assert record.levelno == logging.WARNING
    assert "of subscription us" in record.message
    assert "3 oldest" in record.message
    caplog.clear()
    assert await one.letters.trim("us", most=2) == 0
    assert caplog.text == ""


async def test_a_letter_longer_than_the_server_takes(program):
    """Of an event that is as long as a message may be a letter is kept all the same, with what has room."""
    one = await program()
    subscription = await one.follow()
    await one.write(moved("a", 1, extra={"text": "x" * 1_040_000}))
    (delivery,) = await one.take()
    await subscription.set_aside(delivery, error="e" * 1000)
    (letter,) = await one.letters.listed()
    assert letter.event.id == "a:1"


async def test_removing(program):
    """A subscription that a program has open cannot be removed; afterwards nothing is left of it."""
    one, two = await program(), await program()
    await one.follow()
    await one.write(*(moved(f"e{number}") for number in range(9)))
    (delivery, *_) = await one.take(2)
    await one.subscription.set_aside(delivery, error="no")
    with pytest.raises(SubscriptionInUseError, match="subscription us is used by"):
        await two.roster.remove("us")
    await one.close()
    assert await two.roster.remove("us") is True
    assert await two.roster.remove("us") is False
    assert await two.roster.consumers.names() == []
    assert await two.letters.listed() == []
    assert await two.roster.states() == []


async def test_a_subscription_that_was_removed_begins_anew(program):
    """After its removal a subscription of the same name is a new one, also if the removal was cut short."""
    one, two = await program(), await program()
    await one.write(moved("a", 1), moved("a", 2))
    await one.follow(start=0)
    await one.handle(2)
    await one.close()
    await two.letters.purge(two.layout.subscriptions)  # as far as a removal got
    await two.follow(start=0)
    assert await two.handle(2) == ["a:1", "a:2"]


async def test_a_consumer_that_is_removed_is_made_again(program, caplog):
    """If somebody removes consumers of a subscription, it goes on where it was, and says so once."""
    caplog.set_level(logging.INFO, logger="titan_state.journal")
    one = await program()
    subscription = await one.follow()
    names = [f"e{number}" for number in range(12)]
    await one.write(*(moved(name, 1) for name in names))
    await one.handle(12)
    for name in await one.roster.consumers.names():
        await one.roster.consumers.remove(name)
    await one.write(*(moved(name, 2) for name in names))
    assert sorted(await one.handle(12)) == sorted(f"{name}:2" for name in names)
    assert await one.gets_nothing()
    said = [record for record in caplog.records if "gets nothing at present" in record.message]
    assert len(said) == 1
    await subscription.close()


async def test_a_subscription_removed_under_a_program_is_not_made_again(program, caplog):
    """A program whose subscription is gone goes on asking, slowly, and raises nothing."""
    one, two = await program(), await program()
    await one.follow()
    await two.letters.purge(two.layout.subscriptions)
    for name in await two.roster.consumers.names():
        await two.roster.consumers.remove(name)
    await until(lambda: "gets nothing at present" in caplog.text)
    before = one.link.nc.stats["out_msgs"]
    await asyncio.sleep(2)
    assert one.link.nc.stats["out_msgs"] - before < 100, "it does not ask all the time"
    assert await two.roster.consumers.names() == []
    assert await one.subscription.fetch(9) == []
    await two.follow(start=0)
    await two.write(moved("a", 1))
    async with asyncio.timeout(PATIENCE_S):
        takers = [asyncio.create_task(one.take(1)), asyncio.create_task(two.take(1))]
        await asyncio.wait(takers, return_when=asyncio.FIRST_COMPLETED)
    for taker in takers:
        taker.cancel()
    await asyncio.gather(*takers, return_exceptions=True)
    assert ids(one.had + two.had) == ["a:1"]


async def _renewed(other: Program) -> None:
    """Remove a subscription whoever has it open, and have one of that name be there that begins at the beginning."""
    await other.letters.purge(other.layout.subscriptions)
    for name in await other.roster.consumers.names():
        await other.roster.consumers.remove(name)
    await other.roster.hold("us", 0)


async def _made_again(other: Program) -> None:
    """Have a stream be there that was removed."""
    other.layout = await stream.ensured(other.link, other._account, other._settings)


async def test_a_subscription_made_again_under_a_program(program):
    """What a program has had of an earlier subscription of that name it hands out again: it is another one."""
    one, two = await program(), await program()
    await one.follow()
    written = [moved(f"e{number}", seq) for number in range(6) for seq in (1, 2)]
    await one.write(*written)
    before = await one.handle(12)
    await _renewed(two)
    assert sorted(await one.handle(12)) == sorted(before)
    assert await one.gets_nothing()
    assert await _soon(one, "us")


async def test_a_stream_made_again_under_a_program(program, caplog):
    """After a stream was removed and made again, its first positions are those of other events."""
    one, two = await program(), await program()
    await one.follow()
    await one.write(*(moved(f"old{number}") for number in range(20)))
    await one.handle(20)
    await two.link.js.delete_stream(two.layout.stream)
    await until(lambda: "gets nothing at present" in caplog.text)
    await _made_again(two)
    names = [f"new{number}" for number in range(8)]
    await two.write(*(moved(name) for name in names))
    await two.roster.hold("us", 0)
    assert sorted(await one.handle(8)) == sorted(f"{name}:1" for name in names)
    assert await _soon(one, "us")


async def test_a_stream_made_again_while_a_program_works(program):
    """What a program is done with after its stream was made again is no answer to what has its position now."""
    one, two = await program(partitions=1), await program(partitions=1)
    subscription = await one.follow()
    (position,) = await one.write(moved("old"))
    (held,) = await one.take()
    await two.link.js.delete_stream(two.layout.stream)
    await _made_again(two)
    known = await two.roster.hold("us", 0)
    while await two.write(moved("new")) != [position]:
        pass
    assert known.start == 0
    await until(lambda: not subscription._inbox.is_certain or subscription._inbox.pulls[0].held == {})
    await subscription.set_aside(held, error="no")
    assert await one.letters.listed() == []
    count = position - 1
    assert await one.handle(count) == ["new:1"] * count


async def test_what_was_answered_before_the_connection_was_lost(program, nats):
    """Answers are not given again to a subscription that was made again while a program was cut off."""
    two = await program(partitions=1)
    async with between(nats.port) as proxy:
        one = await Program(proxy.url, partitions=1).open()
        try:
            await one.follow()
            await two.write(moved("a"))
            assert await one.handle(1) == ["a:1"]
            assert await _soon(two, "us")
            before = one.link.nc.stats["reconnects"]
            proxy.cut()
            await _renewed(two)
            await two.follow()
            assert ids(await two.take()) == ["a:1"]
            await until(lambda: one.link.nc.stats["reconnects"] > before)
            await asyncio.sleep(1.0)
            assert not await two.is_over(), "nobody has said that it is dealt with"
            await two.crash()
            assert await one.handle(1) == ["a:1"]
        finally:
            await one.close()


async def test_an_answer_that_was_lost_is_given_again(program):
    """What was dealt with and is delivered again all the same is acknowledged, and not handed out."""
    one = await program(partitions=1)
    subscription = await one.follow()
    await one.write(moved("a", 1), moved("a", 2))
    (first,) = await one.take()
    (pull, held) = subscription._found(first)
    answer = subscription._inbox._line.acknowledge

    async def lost(*_: object) -> None:
        subscription._inbox._line.acknowledge = answer

    subscription._inbox._line.acknowledge = lost
    await subscription.acknowledge(first)
    await one.link.nc.publish(held.reply, NAK)
    assert await one.handle(1) == ["a:2"]
    assert pull.last == first.position + 1
    assert await one.gets_nothing()


async def test_positions_that_were_given_again(program):
    """An event at a position that was dealt with is handed out if it is a later one: a server has lost the other."""
    one = await program(partitions=1)
    subscription = await one.follow()
    await one.write(moved("a", 1))
    await one.handle(1)
    subscription._inbox.pulls[0].last = 1000
    await one.write(moved("a", 2))
    assert await one.handle(1) == ["a:2"]


async def test_a_dead_letter_delivered_once_more_is_all_that_is_removed(program):
    """A message that is no dead letter any more is not removed in its place."""
    one = await program()
    (position,) = await one.write(moved("a", 1))
    await one.letters.remove_again("us", position)
    await one.letters.remove_again("us", 1000)
    assert await one.reader.at(position) is not None
    again = await one.link.put(one.layout.again("us"), b"{}", replaces=False)
    await one.letters.remove_again("them", again)
    assert await one.reader.at(again) is not None
    await one.letters.remove_again("us", again)
    assert await one.reader.at(again) is None


async def _stale(*_: object, **__: object) -> AsyncIterator[Stored]:
    """Hand out what a replica has that lags behind: nothing."""
    return
    yield


async def test_a_replica_that_lags_behind_costs_no_subscription(program, monkeypatch):
    """Consumers are removed, and events dropped, by what the leader of the stream says only."""
    one = await program()
    positions = await one.write(moved("a", 1), moved("a", 2))
    await one.roster.hold("us", positions[0])
    before = sorted(await one.roster.consumers.names())
    monkeypatch.setattr(one.reader, "scan", _stale)
    assert await one.roster.expire(3600) == []
    assert sorted(await one.roster.consumers.names()) == before
    assert await one.roster.floor() == positions[0]


async def test_consumers_are_left_alone_if_there_is_a_subscription_after_all(program, monkeypatch):
    """Before consumers are removed as left over it is asked once more whether they are."""
    one = await program()
    await one.roster.hold("us", 0)
    before = sorted(await one.roster.consumers.names())

    async def nothing() -> list[Stored]:
        return []

    monkeypatch.setattr(one.roster, "_messages", nothing)
    assert await one.roster.expire(3600) == []
    assert sorted(await one.roster.consumers.names()) == before


async def test_a_subscription_that_cannot_be_read(program, caplog):
    """It counts as one that is there and has had nothing, until somebody removes it."""
    one = await program()
    await one.write(moved("a", 1))
    await one.roster.hold("us", 1000)
    await one.roster.hold("them", 1000)
    assert await one.roster.floor() is None
    before = sorted(await one.roster.consumers.names())
    await one.link.put(one.layout.subscription("us"), b"nonsense")
    assert await one.roster.expire(3600) == []
    assert sorted(await one.roster.consumers.names()) == before
    assert await one.roster.floor() == 0
    assert [state.name for state in await one.roster.states()] == ["them"]
    assert "is no subscription" in caplog.text
    with pytest.raises(JournalDamagedError, match="is no subscription"):
        await one.roster.hold("us", 0)
    assert await one.roster.remove("us") is True
    assert await one.roster.floor() is None
    assert len(await one.roster.consumers.names()) == 5


DEEP = b"[" * 100_000
KNOWN = b'{"name": "us", "start": %b, "created": "%b", "seen": "2026-01-01T00:00:00+00:00"}'
LETTER = b'{"subscription": "us", "position": %b, "state": "dead", "attempts": 1, "error": "", "at": %b, "due": null}\n'


@pytest.mark.parametrize(
    "data",
    [
        DEEP,
        b"[]",
        b"\xff",
        b"9" * 5000,
        KNOWN % (b"1e999", b"2026-01-01T00:00:00+00:00"),
        KNOWN % (b"NaN", b"2026-01-01T00:00:00+00:00"),
        KNOWN % (b"1", b"0001-01-01T00:00:00+12:00"),
        KNOWN % (b"1", b"9999-12-31T23:59:59-12:00"),
    ],
    ids=range(8),
)
def test_what_is_no_subscription(data):
    """Whatever is written in the place of a subscription is said to be damaged, in few words."""
    with pytest.raises(JournalDamagedError, match="the message at position 7 is no subscription") as caught:
        Known.read(Stored(7, "s", data))
    assert len(str(caught.value)) < 1000


@pytest.mark.parametrize(
    "data",
    [
        DEEP,
        b"[]",
        b"\xff",
        LETTER % (b"1e999", b"1"),
        LETTER % (b"1", b"1e999"),
        LETTER % (b"1", b"1e18"),
        LETTER % (b"1", b"NaN"),
        LETTER % (b"1", b"-1e15"),
    ],
    ids=range(8),
)
def test_what_is_no_letter(data):
    """Whatever is written in the place of a letter is said to be none."""
    with pytest.raises(PayloadError, match="it is no letter"):
        Kept.read(data, 1)


async def test_damaged_messages_hinder_nothing(program):
    """Numbers and texts that nothing can be made of are passed over in the roster, among letters, and on delivery."""
    one = await program()
    await one.follow()
    await one.link.put(one.layout.subscription("them"), KNOWN % (b"1e999", b"2026-01-01T00:00:00+00:00"))
    for position, data in enumerate((DEEP, LETTER % (b"1e999", b"1"), LETTER % (b"1", b"1e999"))):
        await one.link.put(one.layout.letter("us", 1 + position), data)
        await one.link.put(one.layout.again("us"), data, replaces=False)
    assert [state.name for state in await one.roster.states()] == ["us"]
    assert await one.letters.listed() == []
    assert await one.roster.expire(3600) == []
    await one.write(moved("a"))
    assert await one.handle(1) == ["a:1"]
    assert await _soon(one, "us")


async def test_the_floor(program):
    """Events may be dropped up to where every subscription has had everything; None limits nothing."""
    one = await program()
    assert await one.roster.floor() is None
    positions = await one.write(moved("a", 1), moved("a", 2), moved("a", 3))
    subscription = await one.follow(start=positions[0])
    (delivery,) = await one.take()
    assert positions[0] <= await one.roster.floor() < positions[1]
    await subscription.acknowledge(delivery)
    await one.take()
    assert await one.roster.floor() == positions[1]
    await subscription.acknowledge(one.had[-1])
    assert await _soon(one, "us")
    assert await one.roster.floor() is None
    await one.link.put(one.layout.subscription("new"), _subscription("new", 2), expected=0)
    assert await one.roster.floor() == 2, "its consumers are still to be created"


def _subscription(name: str, start: int) -> bytes:
    return Known(name=name, start=start, created=later(0), seen=later(0)).written()


async def test_states(program):
    """It is told of each subscription how much is waiting, and whether a program has it open."""
    one = await program()
    await one.write(moved("a", 1), moved("b", 1), moved("a", 2))
    await one.roster.hold("idle", 0)
    await one.roster.hold("done", 1000)
    done, idle = await one.roster.states()
    assert (idle.name, idle.waiting, idle.holder) == ("idle", 3, None)
    assert (done.name, done.waiting) == ("done", 0)
    assert idle.to_dict()["created"]


async def test_abandoned_subscriptions_expire(program):
    """What nobody has had open for a time is removed, but nothing that is open, and what is left over of others."""
    one, two = await program(), await program()
    await one.follow("open")
    await two.roster.hold("old", 0)
    await two.roster.hold("cut short", 0)
    await two.letters.purge(two.layout.subscription("cut short"))
    assert await two.roster.expire(3600) == []
    assert len(await two.roster.consumers.names()) == 10
    assert await two.roster.expire(-1) == ["old"]
    assert [state.name for state in await two.roster.states()] == ["open"]
    assert len(await two.roster.consumers.names()) == 5


async def test_a_server_that_is_started_again(program, nats):
    """After the server was away, everything goes on: nothing is lost, and nothing is handed out twice."""
    one = await program(silent_s=10.0)
    subscription = await one.follow()
    names = [f"e{number}" for number in range(8)]
    await one.write(*(moved(name, seq) for name in names for seq in (1, 2)))
    (held, *_) = await one.take(2)
    nats.kill()
    await until(lambda: not one.link.is_up)
    await subscription.acknowledge(held)
    retrying = asyncio.create_task(subscription.retry(one.had[1], due=later(0), error="no"))
    nats.start()
    async with asyncio.timeout(PATIENCE_S):
        await retrying
    await subscription.acknowledge(one.had[1])
    while len(one.had) < 16:
        await one.handle(1)
    assert len({delivery.event.id for delivery in one.had}) == 16
    assert await one.gets_nothing()
    assert await _soon(one, "us")


async def test_it_does_not_turn_while_the_server_is_away(program, nats):
    """While NATS is away a subscription costs next to nothing."""
    one = await program()
    await one.follow()
    nats.kill()
    await until(lambda: not one.link.is_up)
    began = time.process_time()
    await asyncio.sleep(2)
    assert time.process_time() - began < 1.0


@pytest.mark.parametrize("how", ["kill", "stop"])
async def test_closing_is_bounded(program, nats, how):
    """Closing comes to its end also when the server is gone, or stands still."""
    one = await program()
    subscription = await one.follow()
    await one.write(*(moved(f"e{number}") for number in range(8)))
    await one.take(2)
    getattr(nats, how)()
    began = time.monotonic()
    await subscription.close()
    assert time.monotonic() - began < 7
    await subscription.close()
    if how == "stop":
        nats.resume()


async def test_closing_can_be_cancelled(program, nats):
    """Closing that is cut short leaves no task behind, and is not waited for."""
    one = await program()
    subscription = await one.follow()
    await one.write(moved("a"))
    await one.take()
    nats.stop()
    closing = asyncio.create_task(subscription.close())
    await asyncio.sleep(0.1)
    began = time.monotonic()
    closing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await closing
    assert time.monotonic() - began < 1
    nats.resume()


async def test_what_cannot_be_written_is_given_up_when_it_is_closed(program, nats):
    """A further attempt that cannot be written down hangs nobody who leaves."""
    one = await program()
    subscription = await one.follow()
    await one.write(moved("a"))
    (delivery,) = await one.take()
    nats.kill()
    await until(lambda: not one.link.is_up)
    retrying = asyncio.create_task(subscription.set_aside(delivery, error="no"))
    await asyncio.sleep(0.2)
    assert not retrying.done()
    await subscription.close()
    retrying.cancel()
    with pytest.raises(asyncio.CancelledError):
        await retrying
    await subscription.acknowledge(delivery)


async def test_opening_waits_while_the_server_is_away(program, nats):
    """A subscription that cannot be opened at present is opened later, without an error."""
    one = await program()
    nats.kill()
    await until(lambda: not one.link.is_up)
    opening = asyncio.create_task(one.follow())
    await asyncio.sleep(0.5)
    assert not opening.done()
    nats.start()
    async with asyncio.timeout(PATIENCE_S):
        await opening
    await one.write(moved("a"))
    assert await one.handle(1) == ["a:1"]


async def test_a_message_that_is_no_event(program):
    """What cannot be read ends the feed with words, and goes to another program."""
    one = await program()
    await one.follow()
    await one.link.put(one.layout.event("a"), b"nonsense", replaces=False)
    with pytest.raises(JournalDamagedError, match=r"position .* cannot be read"):
        await one.take()


async def test_a_letter_that_cannot_be_read(program, caplog):
    """A letter that is damaged is passed over with words, wherever it comes up, and hinders nothing."""
    one = await program()
    await one.follow()
    await one.link.put(one.layout.letter("us", 1), b"nonsense")
    await one.link.put(one.layout.again("us"), b"nonsense", replaces=False)
    await until(lambda: "cannot be delivered again" in caplog.text)
    assert await one.letters.listed() == []
    assert "is left alone" in caplog.text
    await one.write(moved("a"))
    assert await one.handle(1) == ["a:1"]
    assert await _soon(one, "us")


async def test_a_filter_that_raises(program):
    """A filter of the handler's own that raises ends its feed with its own error."""
    one = await program()

    def wants(event: object) -> bool:
        raise ZeroDivisionError

    await one.follow(wants=wants)
    await one.write(moved("a"))
    with pytest.raises(ZeroDivisionError):
        await one.take()


async def test_many_programs_wait_and_few_messages_are_sent(program):
    """A program that waits is told that it waits still, and asks again only now and then."""
    one = await program()
    await one.follow()
    await asyncio.sleep(1)
    before = one.link.nc.stats["out_msgs"]
    await asyncio.sleep(3)
    assert one.link.nc.stats["out_msgs"] - before < 10


async def test_an_event_reads_as_it_was_written(program):
    """What the tests write is what a monitor writes."""
    one = await program()
    (position,) = await one.write(moved("a", 3))
    stored = await one.reader.at(position)
    assert event_read(stored.data) == moved("a", 3)
