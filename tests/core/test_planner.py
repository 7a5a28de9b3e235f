"""The planner: what is read next, what is looked at again, and what goes ahead.

Only what a planner answers is asserted, not how it chooses among what is due.
"""

from __future__ import annotations

from itertools import pairwise
from math import inf

import pytest
from desk import Desk

from titan_state.core.budget import Priority
from titan_state.core.planning.reads import ListPage


@pytest.fixture
def desk():
    return Desk()


def test_nothing_is_due_where_nothing_is_watched(desk):
    """Without a watch there is no next request, at no time, and nothing is late."""
    assert desk.planner.next(10.0) is None
    assert desk.planner.next_at() == inf
    assert desk.planner.behind_s(10.0) == 0.0


def test_a_watched_execution_is_read_at_once_and_then_again(desk):
    """It is due at once, not while it is under way, and again an interval after it was sent."""
    desk.planner.watch("e", 5.0)
    assert desk.planner.next_at() == 5.0
    assert desk.planner.next(5.0) == ("e", Priority.POLL)
    desk.planner.watch("e", 5.0)
    desk.planner.soon("e", 5.0)
    assert desk.planner.next_at() == inf
    desk.read("e", 6.0)
    assert desk.planner.next(6.9) is None
    assert desk.planner.next_at() == 7.0
    assert desk.due(7.0) == ["e"]


def test_what_has_waited_longest_is_read_first(desk):
    """Executions are read in the order in which they became due."""
    for at, name in enumerate("cab"):
        desk.planner.watch(name, float(at))
    assert desk.due(10.0) == ["c", "a", "b"]


def test_what_was_acted_upon_is_read_soon(desk):
    """An execution that something was done to is due at once."""
    desk.planner.watch("e", 0.0)
    desk.due(0.0)
    desk.read("e", 0.0)
    desk.planner.soon("e", 0.5)
    assert desk.due(0.5) == ["e"]
    desk.read("e", 0.5)
    assert desk.due(2.4) == []


def test_an_unwatched_execution_is_read_no_more(desk):
    """Neither if it was due, nor if its answer arrives afterwards, nor if that read failed."""
    for name in "abc":
        desk.planner.watch(name, 0.0)
    desk.planner.unwatch("a")
    assert desk.due(0.0) == ["b", "c"]
    desk.planner.unwatch("b")
    desk.planner.unwatch("c")
    desk.read("b", 1.0)
    desk.planner.failed("c", 1.0, 0.5)
    assert desk.planner.next_at() == inf


def test_a_failed_read_is_due_again(desk):
    """A read without a good answer is sent again after the delay, be it of one execution or of a page."""
    desk.planner.watch("e", 0.0)
    desk.planner.watch_list("t", 0.0)
    assert set(desk.due(0.0)) == {"e", ListPage("t", 0)}
    desk.planner.failed("e", 1.0, 0.5)
    desk.planner.failed(ListPage("t", 0), 1.0, 4.0)
    assert desk.planner.next_at() == 1.5
    assert desk.due(4.9) == ["e"]
    assert desk.due(5.0) == [ListPage("t", 0)]


def test_a_contradiction_is_read_again_ahead_of_polls(desk):
    """What awaits confirmation comes first once a read can confirm it, and only once while it is under way."""
    for name in "ae":
        desk.planner.watch(name, 0.0)
    desk.due(0.0)
    desk.read("e", 0.0)
    desk.see("queued", 10.0, name="e")
    for name in "a":
        desk.read(name, 10.0)
    assert desk.planner.next(14.9) == ("e", Priority.POLL)
    desk.planner.failed("e", 14.9, 0.0)
    assert desk.planner.next(15.0) == ("e", Priority.CONFIRMATION)
    assert "e" not in desk.due(1000.0)


def test_a_confirmation_that_is_due_as_a_poll_too_is_sent_once(desk):
    """An execution whose poll is due when its confirmation is sent is not asked for twice at the same time."""
    desk.planner.watch("e", 0.0)
    desk.due(0.0)
    desk.read("e", 0.0)
    desk.see("queued", 10.0, name="e")
    assert desk.planner.next(15.0) == ("e", Priority.CONFIRMATION)
    assert desk.planner.next(15.0) is None


def test_a_confirmation_that_fails_waits_as_any_failed_read(desk):
    """While the service is down, confirmations are not sent without a pause."""
    desk.planner.watch("e", 0.0)
    desk.due(0.0)
    desk.read("e", 0.0)
    desk.see("queued", 10.0, name="e")
    desk.due(15.0)
    desk.planner.failed("e", 16.0, 8.0)
    assert desk.planner.next_at() == 24.0
    assert desk.planner.next(23.9) is None
    assert desk.planner.next(24.0) == ("e", Priority.CONFIRMATION)
    desk.read("e", 24.0, "queued")
    assert desk.tracker.status("e") == "queued"
    assert desk.planner.next(24.0) is None


def test_a_finished_execution_is_read_now_and_then(desk):
    """Each time after as long again as it has been finished: seldom, but one that runs again is seen."""
    desk.planner.watch("e", 0.0)
    log = desk.play(500.0, lambda name, now: desk.read(name, now, "running" if now < 10 else "completed"))
    times = [at for at, _ in log if at >= 10.0]
    assert len(times) <= 8
    gaps = [after - before for before, after in pairwise(times)]
    assert gaps == sorted(gaps)
    assert gaps[0] >= 10.0


def test_a_finished_execution_is_read_seldom_also_where_decisions_are_frequent(desk):
    """What is planned is reviewed at every decision; one that has finished is not taken for a live one then."""
    desk.planner.watch("e", 0.0)
    desk.planner.watch("other", 0.0)
    log = desk.play(400.0, lambda name, now: desk.read(name, now, "completed" if name == "e" else "running"))
    times = [at for at, name in log if name == "e"]
    assert len([at for at, name in log if name == "other"]) > 100
    assert 3 <= len(times) <= 8
    assert [after - before for before, after in pairwise(times)] == sorted(b - a for a, b in pairwise(times))


def test_one_only_seen_outside_the_model_is_read_on(desk):
    """It lives, though no read has shown it in a status that is known; its plan is reviewed, too."""
    desk.planner.watch("odd", 0.0)
    desk.planner.watch("other", 0.0)
    log = desk.play(60.0, lambda name, now: desk.read(name, now, "weird" if name == "odd" else "running"))
    assert len([at for at, name in log if name == "odd"]) > 20


def test_a_finished_execution_that_was_let_go_is_read_no_more(desk):
    """Once only its end is remembered there is nothing left to notice."""
    desk.planner.watch("e", 0.0)
    desk.due(0.0)
    desk.read("e", 0.0, "completed")
    desk.tick(2000.0)
    assert desk.due(2000.0) == []
    assert desk.planner.next_at() == inf


def test_an_absent_execution_is_looked_at_again(desk):
    """One that is gone, or never was, costs a request a minute, not one every interval; if it is back it is live."""
    for name in ("gone", "never"):
        desk.planner.watch(name, 0.0)

    def answer(name, now):
        desk.read(name, now, "running" if name == "gone" and not 4 < now < 200 else None)

    log = desk.play(190.0, answer)
    assert len([at for at, _ in log if at > 20]) in range(4, 7)
    log = desk.play(300.0, answer, 200.0)
    assert len([at for at, name in log if name == "gone"]) >= 10


def test_lateness_is_told_against_the_plan(desk):
    """Reading everything in turn is the plan; what is later than two rounds of it is behind."""
    for number in range(10):
        desk.planner.watch(f"e{number}", 0.0)
    assert desk.planner.behind_s(10.0) == 0.0
    assert desk.planner.behind_s(100.0) == 90.0


def test_a_confirmation_that_settles_nothing_is_not_repeated_at_once(desk):
    """An answer that was of no use does not lead to one request after the other."""
    desk.planner.watch("e", 0.0)
    desk.due(0.0)
    desk.read("e", 0.0)
    desk.see("queued", 10.0, name="e")
    desk.due(15.0)
    desk.planner.read("e", 15.0)
    assert desk.planner.next_at() == 17.0
    assert desk.planner.next(17.0) == ("e", Priority.CONFIRMATION)
