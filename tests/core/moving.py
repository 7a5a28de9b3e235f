"""A list that moves: new executions show first and push the others back, some finish, some are deleted."""

from __future__ import annotations

from itertools import repeat
from math import inf

from desk import Desk

from titan_state import Execution
from titan_state.core.planner import Planner
from titan_state.core.planning.reads import ListPage
from titan_state.core.planning.window import Shown
from titan_state.core.tracking.retention import Baseline


class MovingList(Desk):
    """A planner that watches one list of a service, read and answered in full, as the poller does it.

    Attributes:
        names: The executions in the list, the newest first.
        statuses: What each is in.
        log: What was read: the time, the target, and for a page where it began.
        asked: How many executions each read of a page asked for.
        most: How many a page shows at most.
        refuses: From how many on a request for so many at once is refused.
        breaks: From how many on it fails, but is not refused.
        filters: Whether the list can be of one status; "refused" if asking for it is an error.
        total: What is told of how many there are, by that and by where the page ends; None if nothing is.
        lags: How many of the newest executions each answer does not show yet: replicas lag behind.
    """

    def __init__(self, count=0, *, size=10, tells_total=True, watch=True):
        super().__init__()
        self.planner = Planner(self.tracker, interval_s=0.5, page_size=size)
        self.most = size
        self.refuses = inf
        self.breaks = inf
        self.filters = False
        self.lags = repeat(0)
        self.asked = []
        self.total = (lambda there, end: there) if tells_total else None
        self.baseline = Baseline() if watch else None
        self.names = []
        self.statuses = {}
        self.log = []
        self.arrive(count)
        if watch:
            self.planner.watch_list(None, 0.0)

    def arrive(self, count, status="running"):
        """Create executions."""
        for _ in range(count):
            name = f"e{len(self.statuses):04}"
            self.names.insert(0, name)
            self.statuses[name] = status

    def answer(self, target, now):
        """Answer a read, and hand it on."""
        if not isinstance(target, ListPage):
            self.log.append((now, target, None))
            self.read(target, now, self.statuses.get(target))
            return
        limit, offset = self.planner.request(target, now)
        self.log.append((now, target, offset))
        self.asked.append(limit)
        is_refused = limit >= self.refuses or (target.status is not None and self.filters == "refused")
        if is_refused or limit >= self.breaks:
            self.planner.failed(target, now, 0.5, refused=is_refused)
            return
        there = self.names[next(self.lags) :]
        if target.status is not None and self.filters:
            there = [name for name in there if self.statuses[name] == target.status]
        names = there[offset : offset + min(limit, self.most)]
        fresh = next((place for place, name in enumerate(names) if self.tracker.knows(name)), len(names))
        ends_new = bool(names) and not self.tracker.knows(names[-1])
        for name in names:
            execution = Execution(name, self.statuses[name])
            self.tracker.observe(execution, sent_at=now, received_at=now, baseline=self.baseline)
        end = offset + len(names)
        shown = Shown(
            names,
            last=None if self.total is None else end >= len(there),
            ends_new=ends_new,
            offset=offset,
            asked=limit,
            fresh=fresh,
            names=tuple(names),
            total=None if self.total is None else self.total(len(there), end),
            strangers=0 if target.status is None else sum(self.statuses[name] != target.status for name in names),
        )
        if self.planner.page_read(target, shown, sent_at=now, now=now):
            self.baseline = Baseline(complete=True)

    def pass_time(self, seconds, now, *, per_second=2.0, arrivals=0.0):
        """Let the planner read at a rate for a while, and new executions arrive; return the time."""
        end, due = now + seconds, 0.0
        while now < end:
            due += arrivals / per_second
            self.arrive(int(due))
            due -= int(due)
            choice = self.planner.next(now, per_second)
            if choice is not None:
                self.answer(choice.target, now)
            now += 1.0 / per_second
        return now

    def unseen(self, since):
        """Return the live executions that no read has shown since a time."""
        live = [name for name in self.names if self.tracker.is_live(name) or not self.tracker.knows(name)]
        return {name for name in live if (self.tracker.seen_at(name) or (-1.0, 0.0))[0] < since}
