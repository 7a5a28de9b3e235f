"""Planner and budget together, in any world and with any headers: the limit, the bound, and control.

Held: in no minute more requests than the limit in force; everything live is looked at within the bound that is stated;
a control action goes at once, however much there is to read.
"""

from __future__ import annotations

from bisect import bisect_right

from hypothesis import given, settings
from hypothesis import strategies as st
from moving import MovingList

from titan_state import RequestBudget
from titan_state.core.budget import LARGEST, Priority
from titan_state.core.planning.reads import ListPage
from titan_state.core.planning.singles import LONGEST_S, ROUNDS

HEADERS = st.tuples(st.none() | st.integers(20, 400), st.none() | st.integers(0, 400))


class Loaded(MovingList):
    """A world that is watched within a budget, in which executions end, and control acts now and then."""

    def __init__(self, budget, *, count, size, tells_total):
        super().__init__(count, size=size, tells_total=tells_total)
        self.budget = budget
        self.sent: list[tuple[float, float]] = []  # when, and the limit that was in force
        self.waited: list[float] = []

    def spend(self, now, priority, headers):
        self.sent.append((now, self.budget.limit or LARGEST))
        limit, remaining = headers
        self.budget.answered(self.budget.send(now, priority), now, limit=limit, remaining=remaining)

    def step(self, now, headers):
        """Send what may be sent now."""
        while self.budget.ready_at(now, Priority.POLL) <= now:
            choice = self.planner.next(now, self.budget.rate(now))
            if choice is None:
                return
            self.spend(now, choice.priority, headers)
            self.answer(choice.target, now)

    def act(self, now, headers):
        """Send a control action, and take down how long it had to wait."""
        at = self.budget.ready_at(now, Priority.CONTROL)
        self.waited.append(at - now)
        if at <= now:
            self.spend(now, Priority.CONTROL, headers)


@given(
    count=st.integers(0, 120),
    size=st.sampled_from([5, 20, 50]),
    per_minute=st.sampled_from([30, 60, 120, 600]),
    arrivals=st.sampled_from([0.0, 0.05, 0.5]),
    ends=st.floats(0.0, 0.3),
    tells_total=st.booleans(),
    filters=st.sampled_from([True, False, "refused"]),
    larger=st.sampled_from([1, 3]),
    live=st.sampled_from([1, 3, 8]),
    headers=st.lists(HEADERS, min_size=1, max_size=5),
)
@settings(max_examples=25, deadline=None)
def test_any_world_within_any_budget(
    count, size, per_minute, arrivals, ends, tells_total, filters, larger, live, headers
):
    """Some minutes of it."""
    budget = RequestBudget(per_minute)
    world = Loaded(budget, count=count, size=size, tells_total=tells_total)
    world.filters, world.most = filters, size * larger
    world.statuses.update({name: "completed" for place, name in enumerate(world.names) if place % live})
    due, ended = 0.0, 0.0
    there: list[set[str]] = []
    for tick in range(600):
        now = tick * 0.5
        there.append(set(world.names))
        due, ended = due + arrivals / 2, ended + ends / 2
        world.arrive(int(due))
        due -= int(due)
        if ended >= 1.0 and world.names:
            ended -= 1.0
            world.statuses[world.names[tick * 7 % len(world.names)]] = "completed"
        told = headers[tick // 100 % len(headers)]
        world.step(now, told)
        if tick % 97 == 50:
            world.act(now, told)
    times = [at for at, _ in world.sent]
    for number, (at, limit) in enumerate(world.sent, 1):
        assert number - bisect_right(times, at - 60.0) <= limit
    told_nothing = all(remaining is None for _, remaining in headers)
    if told_nothing and all(limit is None for limit, _ in headers):
        assert max(world.waited, default=0.0) == 0.0
        targets = len(world.names) / size + sum(1 for _, target, _ in world.log if not isinstance(target, ListPage))
        bound = max(LONGEST_S, ROUNDS * targets * 60 / per_minute) + 2 * targets * 60 / per_minute + 60.0
        if bound < 300.0:
            assert world.unseen(300.0 - bound) & there[int(2 * (300.0 - bound))] == set()
