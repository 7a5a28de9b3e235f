"""RequestBudget.succeed: whatever the one before has spent, it and its successor stay within the limit together."""

from __future__ import annotations

import random

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from titan_state.core.budget import WINDOW_S, Priority, RequestBudget


class Spender:
    """Sends as a client does, and remembers when."""

    def __init__(self, budget: RequestBudget, sent: list[float]) -> None:
        self.budget = budget
        self.sent = sent
        self._answers: list[tuple[float, int]] = []

    def spend(
        self, start: float, end: float, gaps: list[float], priorities: list[Priority], takes: list[float]
    ) -> None:
        """Send from one time to another, as early as the budget lets, but for pauses that are asked for."""
        now, count = start, 0
        while True:
            priority = priorities[count % len(priorities)]
            now += gaps[count % len(gaps)]
            while True:
                self._answer(now)
                at = self.budget.ready_at(now, priority)
                first = min((at for at, _ in self._answers), default=float("inf"))
                if at <= now or min(at, first) >= end:
                    break
                now = min(at, first)
            if now >= end or at > now:
                return
            ticket = self.budget.send(now, priority)
            self.sent.append(now)
            self._answers.append((now + takes[count % len(takes)], ticket))
            count += 1

    def _answer(self, now: float) -> None:
        for answer in [one for one in self._answers if one[0] <= now]:
            self._answers.remove(answer)
            self.budget.answered(answer[1], answer[0])


def most_in_a_window(sent: list[float]) -> int:
    """Return the most requests of any 60 s: a request counts from when it is sent, for less than that."""
    times = sorted(sent)
    most = first = 0
    for place, at in enumerate(times):
        while times[first] <= at - WINDOW_S + 1e-6:
            first += 1
        most = max(most, place - first + 1)
    return most


limits = st.sampled_from([1, 2, 5, 12, 30, 60, 120, 600])
bursts = st.none() | st.integers(1, 40)
reserves = st.integers(0, 5)
gaps = st.lists(st.sampled_from([0.0, 0.0, 0.0, 0.1, 1.0, 7.0, 61.0]), min_size=1, max_size=8)
priorities = st.lists(st.sampled_from(list(Priority)), min_size=1, max_size=4)
takes = st.lists(st.sampled_from([0.0, 0.0, 0.05, 1.0, 20.0]), min_size=1, max_size=4)
ways = st.tuples(gaps, priorities, takes)
terms = st.lists(st.sampled_from([0.0, 0.5, 3.0, 10.0, 30.0, 59.0, 60.0, 61.0, 90.0, 200.0]), min_size=2, max_size=5)
quick = ([0.0], [Priority.CONTROL], [0.0])


@settings(max_examples=300)
@given(limits, bursts, reserves, terms, st.lists(ways, min_size=1, max_size=5))
@example(120, None, 2, [200.0, 60.0], [quick])
@example(120, 40, 0, [61.0, 0.5, 0.5, 60.0], [quick])
@example(60, 40, 0, [200.0, 10.0, 59.0], [([0.0] * 30 + [61.0], [Priority.CONTROL], [0.0]), quick])
def test_successors_stay_within_the_limit_together(limit, burst, reserve, lengths, how):
    """However each spends what it may, and however short its time is: no 60 s see more than the limit of one."""
    sent: list[float] = []
    now = 1000.0
    for number, length in enumerate(lengths):
        budget = RequestBudget(limit, burst, reserve=reserve)
        if number:
            budget.succeed(now)
        Spender(budget, sent).spend(now, now + length, *how[number % len(how)])
        now += length
    assert most_in_a_window(sent) <= limit


@settings(max_examples=100)
@given(limits, bursts, reserves, st.floats(0.0, 100.0), st.integers(0, 2**32))
def test_a_gap_between_them_changes_nothing(limit, burst, reserve, gap, seed):
    """Nobody leads for a while; random spending before and after stays within the limit all the same."""
    rng = random.Random(seed)
    sent: list[float] = []
    now = 0.0
    for number in range(4):
        budget = RequestBudget(limit, burst, reserve=reserve)
        if number:
            budget.succeed(now)
        length = rng.uniform(0.0, 90.0)
        pauses = [rng.choice([0.0, rng.expovariate(0.5)]) for _ in range(20)]
        Spender(budget, sent).spend(now, now + length, pauses, [rng.choice(list(Priority))], [rng.uniform(0.0, 2.0)])
        now += length + (gap if number == 1 else 0.0)
    assert most_in_a_window(sent) <= limit


def test_a_successor_begins_when_a_burst_is_made_up_for():
    """With 120 a minute and a burst of 10, the first request goes after 5.5 s, and then two a second."""
    budget = RequestBudget()
    budget.succeed(100.0)
    assert budget.ready_at(100.0, Priority.CONTROL) == pytest.approx(105.5)
    assert budget.ready_at(100.0, Priority.POLL) == pytest.approx(106.5)
    sent: list[float] = []
    Spender(budget, sent).spend(100.0, 200.0, *quick)
    assert sent[0] == pytest.approx(105.5)
    assert sent[1] == pytest.approx(106.0)
    assert len(sent) == pytest.approx(2 * 100 - 10, abs=1)


def test_a_budget_that_was_used_before_may_succeed():
    """A monitor that is entered again with the same budget forgets nothing of what it has sent itself."""
    budget = RequestBudget(12, 12, reserve=0)
    sent: list[float] = []
    Spender(budget, sent).spend(0.0, 30.0, *quick)
    count = len(sent)
    budget.succeed(30.0)
    assert budget.spent(30.0) == count
    Spender(budget, sent).spend(30.0, 200.0, *quick)
    assert most_in_a_window(sent) <= 12


def test_without_a_limit_there_is_next_to_nothing_to_make_up_for():
    """Where no limit is in force, a successor waits for seconds only."""
    budget = RequestBudget(None)
    budget.succeed(0.0)
    assert budget.ready_at(0.0, Priority.POLL) < 6.0


def test_a_header_counts_after_a_succession_too():
    """A lower limit that the service tells holds from then on."""
    budget = RequestBudget()
    budget.succeed(0.0)
    now = budget.ready_at(0.0, Priority.POLL)
    budget.answered(budget.send(now, Priority.POLL), now, limit=60, remaining=5)
    assert budget.limit == 60
    assert budget.remaining(now) <= 5
