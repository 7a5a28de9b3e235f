"""How many have arrived at a list: totals, replicas that lag, bursts that end."""

from __future__ import annotations

import pytest

from titan_state.core.planning.arrivals import DOUBTS, RECENT_S, USUAL_S, Arrivals


def front(arrivals: Arrivals, at: float, *, total: int | None = None, fresh: int = 0) -> float:
    """Let the first page of a list be read."""
    return arrivals.told(fresh, total, at, at_front=True, counts_fresh=True)


def test_what_the_total_has_grown_by_has_arrived():
    """The total of any page tells, of the first one and of others."""
    arrivals = Arrivals()
    assert front(arrivals, 0.0, total=40) == 0
    assert arrivals.told(0, 43, 1.0, at_front=False, counts_fresh=False) == 3
    assert front(arrivals, 2.0, total=45, fresh=5) == 5
    assert arrivals.count == 5
    assert arrivals.counted_at == 2.0


def test_without_a_total_what_is_new_at_the_front_has_arrived():
    """The first look is where counting begins; a page further down tells nothing."""
    arrivals = Arrivals()
    assert front(arrivals, 0.0, fresh=10) == 0
    assert front(arrivals, 1.0, fresh=2) == 2
    assert arrivals.told(7, None, 2.0, at_front=False, counts_fresh=False) == 2


def test_a_total_that_comes_late_counts_from_then_on():
    """A service that says how many there are only now and then is believed where it does."""
    arrivals = Arrivals()
    front(arrivals, 0.0)
    front(arrivals, 1.0, fresh=2)
    assert front(arrivals, 2.0, total=50) == 2
    assert front(arrivals, 3.0, total=54) == 6


def test_a_lagging_replica_takes_nothing_back():
    """Its page was made when fewer had arrived; how many there are is told by the others."""
    arrivals = Arrivals()
    for at, total in ((0.0, 100), (1.0, 108), (2.0, 116)):
        front(arrivals, at, total=total)
    rate = arrivals.rate()
    for at in (2.1, 2.2, 2.3):
        assert front(arrivals, at, total=109) == 9
        assert front(arrivals, at + 0.05, total=116) == 16
    assert arrivals.count == 16
    assert arrivals.rate() == pytest.approx(rate, rel=0.05)


def test_what_is_gone_has_arrived_all_the_same():
    """A total that stays lower is that of a list of which a part is gone: what arrives after that counts from there."""
    arrivals = Arrivals(lag_s=3.0)
    front(arrivals, 0.0, total=100)
    front(arrivals, 1.0, total=110)
    at = 1.0
    while at <= 4.0:
        assert arrivals.count == 10
        assert arrivals.by(at + 0.1) < 12
        at += 0.5
        told = front(arrivals, at, total=60)
    assert told == arrivals.count == 10
    assert front(arrivals, at + 1.0, total=62) == 12


def test_a_total_that_depends_on_the_page_is_none():
    """A service that only says that there is more tells nothing of arrivals; new executions at the front do."""
    arrivals = Arrivals()
    at = 0.0
    for _ in range(DOUBTS + 1):
        front(arrivals, at, total=101)
        arrivals.told(0, 501, at + 0.5, at_front=False, counts_fresh=False)
        at += 1.0
    count = arrivals.count
    assert front(arrivals, at, total=101) == count
    arrivals.told(0, 801, at + 0.5, at_front=False, counts_fresh=False)
    assert front(arrivals, at + 1.0, total=101, fresh=2) == count + 2


def test_what_is_found_again_tells_of_a_list_whose_beginning_is_not_read():
    """A total that stays where it was, while executions are pushed back, is none."""
    arrivals = Arrivals()
    page = {"at_front": False, "counts_fresh": False}
    assert arrivals.told(0, 100, 0.0, **page) == 0
    assert arrivals.found(0.0, 0.0, 100, 0.0, former=0.0) == 0
    told = arrivals.told(0, 102, 1.0, **page)
    assert arrivals.found(3.0, told, 102, 1.0, former=0.0) == told == 2
    told = arrivals.told(0, 102, 2.0, **page)
    assert arrivals.found(5.0, told, 102, 2.0, former=told) == 5
    assert arrivals.told(0, 150, 3.0, **page) == 5


def test_answers_out_of_order_count_once():
    """An answer to an earlier read tells what had arrived for its page, and nothing else."""
    arrivals = Arrivals()
    front(arrivals, 0.0, total=10)
    front(arrivals, 5.0, total=20)
    assert front(arrivals, 3.0, total=14) == 4
    assert arrivals.count == 10


def test_a_burst_that_has_ended_is_expected_no_more():
    """Pages are pushed back by what arrived in the last minute; what a look at the front is worth remembers ten."""
    arrivals = Arrivals()
    for second in range(60):
        front(arrivals, float(second), total=10 * second)
    assert arrivals.by(69.0) - arrivals.count == pytest.approx(100.0)
    end = 60 + round(5 * RECENT_S)
    for second in range(60, end):
        front(arrivals, float(second), total=590)
    assert arrivals.by(end + 9.0) - arrivals.count < 1.0
    assert arrivals.rate() > 590 / (end + USUAL_S)
    assert arrivals.rate() < 10 / 4


def test_a_total_that_does_not_grow_with_what_is_new_is_none():
    """A service that counts the page, or stops counting, is not asked again."""
    arrivals = Arrivals()
    front(arrivals, 0.0, total=7)
    assert front(arrivals, 1.0, total=7, fresh=1) == 1
    assert front(arrivals, 2.0, total=90, fresh=1) == 2
