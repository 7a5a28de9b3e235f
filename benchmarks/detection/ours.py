"""What watches the simulated service by the core of the library: planner, budget and tracker, as the monitor does."""

from __future__ import annotations

import heapq
from math import inf

import attrs

from detection.world import EPOCH, World
from titan_state import RequestBudget, Tracker, Transitioned
from titan_state.core.budget import Priority
from titan_state.core.planner import Planner
from titan_state.core.planning.reads import ListPage
from titan_state.core.planning.window import Shown
from titan_state.core.tracking.retention import Baseline

LATENCY_S = 0.05
"""How long an answer takes; the service looks at its executions half-way."""

IN_PARALLEL = 8


@attrs.define
class Account:
    """What a client has seen, and spent.

    Attributes:
        seen_at: When each execution was first seen finished.
        requests: How many requests were sent in the measured time.
        throttled: How many were answered 429; for clients with a budget in the whole time, else in the measured time.
        excused: How many of those while others had spent more than was told.
    """

    seen_at: dict[str, float] = attrs.field(factory=dict)
    requests: int = 0
    throttled: int = 0
    excused: int = 0


class Client:
    """One client that shares the limit with others or has it alone."""

    def __init__(self, world: World, *, others: list[float] | None = None) -> None:
        """Make a client.

        Args:
            world: The service.
            others: When other clients of the account send requests.
        """
        self.world = world
        self.budget = RequestBudget()
        self.account = Account()
        self._others = sorted(others or [], reverse=True)
        self._shares = bool(others)
        self._spent: list[tuple[float, bool]] = []  # when requests were admitted, and whether they were ours
        self._told_at = 0.0
        self._flying: list[tuple[float, int, object, int, float, object]] = []
        self._count = 0

    def run(self, start: float, until: float) -> None:
        """Watch, and count requests that are sent in between; go on until what ended by then is seen."""
        now = 0.0
        wanted = {run.live.id for run in self.world.runs if start <= run.ends_at < until and run.created_at < until}
        while not (now >= until and wanted <= self.account.seen_at.keys()) and now < 20 * until:
            self._let_others(now)
            while self._flying and self._flying[0][0] <= now:
                self._land(*heapq.heappop(self._flying)[2:], now)
            ready = self.budget.ready_at(now, Priority.POLL)
            wake = inf
            if ready <= now and len(self._flying) < IN_PARALLEL:
                if self.choose(now):
                    self.account.requests += start <= now < until
                    continue
                wake = self.next_at()
            elif len(self._flying) < IN_PARALLEL:
                wake = ready
            now = max(now + 1e-6, min(wake, self._flying[0][0] if self._flying else inf, now + 1.0))

    def send(self, target: object, request: tuple[int, int, str | None] | str, now: float) -> None:
        """Send a request."""
        ticket = self.budget.send(now, Priority.POLL)
        at = now + LATENCY_S / 2
        self._let_others(at)
        answer: object
        if not self._admit(at, ours=True):
            answer = 429
            self._excuse(at)
        elif self.world.fails():
            answer = 500
        elif isinstance(request, str):
            answer = self.world.by_id[request].at(at)
        else:
            limit, offset, status = request
            answer = (offset, limit, *self.world.page(offset, limit, at, status))
        self._count += 1
        heapq.heappush(self._flying, (now + LATENCY_S, self._count, target, ticket, now, answer))

    def _let_others(self, now: float) -> None:
        while self._others and self._others[-1] <= now:
            self._admit(self._others.pop(), ours=False)

    def _admit(self, at: float, *, ours: bool) -> bool:
        is_admitted = self.world.limiter.admit(at)
        if is_admitted and self._shares:
            self._spent.append((at, ours))
        return is_admitted

    def _excuse(self, at: float) -> None:
        """Count a refusal as excused if there was room by all that the service had told so far."""
        self._spent = [one for one in self._spent if one[0] > at - 60.0]
        known = sum(1 for sent_at, ours in self._spent if ours or sent_at <= self._told_at)
        self.account.excused += known < self.world.limiter.per_minute

    def _land(self, target: object, ticket: int, sent_at: float, answer: object, now: float) -> None:
        left = self.world.limiter.free(sent_at + LATENCY_S / 2)
        if answer == 429:
            self.account.throttled += 1
            reset_s = self.world.limiter.reset_at() - now
            self.budget.throttled(ticket, now, reset_s=reset_s, jitter=0.5)
        else:
            self.budget.answered(ticket, now, limit=self.world.limiter.per_minute, remaining=left)
            self._told_at = sent_at + LATENCY_S / 2
        self.take(target, sent_at, answer, now)

    def choose(self, now: float) -> bool:
        """Send the next request; return whether there was one."""
        raise NotImplementedError

    def next_at(self) -> float:
        """Return when there is one."""
        raise NotImplementedError

    def take(self, target: object, sent_at: float, answer: object, now: float) -> None:
        """Take in an answer; a number is an error."""
        raise NotImplementedError

    def saw(self, execution_id: str, now: float) -> None:
        """Take in that an execution is seen finished."""
        self.account.seen_at.setdefault(execution_id, now)


class Ours(Client):
    """The library."""

    def __init__(self, world: World, *, others: list[float] | None = None) -> None:
        super().__init__(world, others=others)
        self.tracker = Tracker(epoch=EPOCH)
        self.planner = Planner(self.tracker, interval_s=self.budget.min_interval_s)
        self._baseline = Baseline(EPOCH)
        self.planner.watch_list(None, 0.0)

    def choose(self, now: float) -> bool:
        """Ask the planner."""
        choice = self.planner.next(now, self.budget.rate(now))
        if choice is None:
            return False
        target = choice.target
        if isinstance(target, ListPage):
            self.send(target, (*self.planner.request(target, now), target.status), now)
        else:
            self.send(target, target, now)
        return True

    def next_at(self) -> float:
        """Ask the planner."""
        return self.planner.next_at()

    def take(self, target: object, sent_at: float, answer: object, now: float) -> None:
        """Hand it to tracker and planner."""
        if isinstance(answer, int):
            self.planner.failed(target, now, 0.0 if answer == 429 else 0.5)
            return
        if not isinstance(target, ListPage):
            self._observe(answer, sent_at, now)
            self.planner.read(target, now)
            return
        offset, limit, items, total = answer
        fresh = next((place for place, item in enumerate(items) if self.tracker.knows(item.id)), len(items))
        ends_new = bool(items) and not self.tracker.knows(items[-1].id)
        for item in items:
            self._observe(item, sent_at, now)
        names = [item.id for item in items]
        shown = Shown(
            names,
            last=offset + len(items) >= total,
            ends_new=ends_new,
            offset=offset,
            asked=limit,
            fresh=fresh,
            names=tuple(names),
            total=total,
            strangers=0 if target.status is None else sum(item.status != target.status for item in items),
        )
        if self.planner.page_read(target, shown, sent_at=sent_at, now=now):
            self._baseline = Baseline(EPOCH, complete=True)

    def _observe(self, item: object, sent_at: float, now: float) -> None:
        for event in self.tracker.observe(item, sent_at=sent_at, received_at=now, baseline=self._baseline):
            if isinstance(event, Transitioned) and event.dest == "completed":
                self.saw(event.execution_id, now)


class Sweep(Client):
    """A plain sweep: one page after the other, from the newest to the oldest, and again."""

    def __init__(self, world: World, *, others: list[float] | None = None) -> None:
        super().__init__(world, others=others)
        self._offset = 0
        self._open_at = 0.0

    def choose(self, now: float) -> bool:
        """Read the next page, as soon as the one before was answered."""
        if self._flying or now < self._open_at:
            return False
        self.send(None, (self.world.page_limit, self._offset, None), now)
        return True

    def next_at(self) -> float:
        """There is always one, once the one before was answered."""
        return inf if self._flying else self._open_at

    def take(self, target: object, sent_at: float, answer: object, now: float) -> None:
        """Go on to the next page."""
        if isinstance(answer, int):
            self._open_at = now + (0.0 if answer == 429 else 0.5)
            return
        offset, _, items, total = answer
        for item in items:
            if item.status == "completed":
                self.saw(item.id, now)
        self._offset = offset + len(items)
        if self._offset >= total:
            self._offset = 0
