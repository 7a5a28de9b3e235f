"""Planner: which request is worth sending next.

A request covers the executions that it will show. What waiting costs is the delay with which their changes are
noticed; each page of a list, and each execution that no page shows together with others, is read when a look is worth
the same: the price at which the budget is just used up (docs/performance.md derives it). Contradictions are read again
ahead of all that, and what was acted upon soon. Pure: it sends nothing, and time comes in as an argument.
"""

from __future__ import annotations

from collections import deque
from math import inf
from typing import TYPE_CHECKING, Final

from titan_state.core.budget import Priority
from titan_state.core.planning.explanation import REMEMBERED, Explanation, Request
from titan_state.core.planning.filtering import Filtering
from titan_state.core.planning.listing import FRONT
from titan_state.core.planning.reads import Choice, ListPage, ResultsOf, Scope, Target

if TYPE_CHECKING:
    from collections.abc import Collection

    from titan_state.core.tracker import Tracker

ALL: Final = Scope(None)

WORTH_EXPLORING: Final = 3
"""From how many executions on, each read by itself, the list is tried for pages that show several at once."""

SHOWN_AT_ONCE: Final = 20
"""How many executions a page is taken to show at least, where it is guessed how long reading a list takes."""

SWEEP_SHARE: Final = 4
"""One in how many reads at least goes to what is known already, while a sweep over a whole list finds much."""

RESULTS_SHARE: Final = 4
"""One in how many reads at most looks for results while other reads are due."""

LOOK_WEIGHT: Final = 1 / 64
"""How much one choice counts, where it is reckoned which share of the reads looks for results."""

IDLE_SHARE: Final = 64
"""One in how many reads goes to a sweep that finds little: it comes to its end, sometime."""


class Planner(Filtering):
    """Chooses the next request."""

    def __init__(
        self,
        tracker: Tracker,
        *,
        interval_s: float,
        newest_first: bool = True,
        page_size: int = 100,
        largest_page: int = 1000,
        filters: bool = True,
    ) -> None:
        """Make a planner that watches nothing.

        Args:
            tracker: What is known of executions.
            interval_s: How soon the same thing is read again, at the earliest.
            newest_first: Whether lists are taken to show new executions first, until they are seen not to.
            page_size: How many executions are asked for at once.
            largest_page: How many are asked for once, to find out whether the service sends more.
            filters: Whether to find out that lists can be of one status, and to read them where that is worth it.
        """
        super().__init__(
            tracker,
            interval_s=interval_s,
            newest_first=newest_first,
            page_size=page_size,
            largest_page=largest_page,
            filters=filters,
        )
        self._explores = True
        self._explores_from = -inf
        self._turn = 0
        self._since_look = RESULTS_SHARE
        self._look_share = 0.0
        self._told: deque[Request] = deque(maxlen=REMEMBERED)
        self._count = 0

    def expect(self, execution_ids: Collection[str], now: float) -> None:
        """Read executions that are known to live by themselves, unless a list that is watched shows them before."""
        live = [name for name in execution_ids if self._tracker.is_live(name) and self._place_of(name) is None]
        for name in live:
            self._uncover(name, now + self._look_again_s + self._interval_s * len(live) / SHOWN_AT_ONCE)

    # What comes next.

    def next(self, now: float, per_second: float | None = None) -> Choice | None:
        """Return the request to send now, and take it as sent; None if nothing is due.

        Args:
            now: The time.
            per_second: How many reads the budget allows per second at present.
        """
        if per_second is not None:
            self._per_second = per_second * (1.0 - self._look_share)
        for execution_id, due in self._confirmations():
            if due <= now:
                self._agenda.drop(execution_id)
                self._in_flight[execution_id] = now
                self._tell(execution_id, now, "what was read last contradicts what is known")
                return Choice(execution_id, Priority.CONFIRMATION)
        look = self._look(now) if self._since_look >= RESULTS_SHARE - 1 else None
        if look is not None:
            return look
        self._explore(now)
        self._gather(now)
        self._consider_filters(now)
        self._review(now)
        self._turn += 1
        target, reason = self._chosen(now)
        if target is None:
            return self._look(now)
        if isinstance(target, ListPage):
            self._sweeps.pop(target, None)
            if target.page != FRONT:
                self._sizes.begin(target, now, is_new=target.page not in self._listings[target.scope].windows)
        self._since_look += 1
        self._look_share -= LOOK_WEIGHT * self._look_share
        self._tell(target, now, reason)
        self._in_flight[target] = now
        return Choice(target, Priority.POLL)

    def _look(self, now: float) -> Choice | None:
        """Return the look for results that is due, if there is one."""
        execution_id = self._tracker.results.take(now)
        if execution_id is None:
            return None
        self._since_look = 0
        self._look_share += LOOK_WEIGHT * (1.0 - self._look_share)
        looks_for = ResultsOf(execution_id)
        self._tell(looks_for, now, "it has succeeded, and its results are waited for")
        return Choice(looks_for, Priority.OUTPUT)

    def _chosen(self, now: float) -> tuple[Target | None, str]:
        """Return what to read now, and why."""
        target: Target | None
        if self._sweeps and self._is_turn_of_sweep():
            target = self._swept()
            self._agenda.spent()
            return target, "it was never read, and a sweep finds much"
        target = next((page for page, at in self._full_at.items() if at <= now and page in self._agenda), None)
        if target is not None:
            self._agenda.drop(target)
            return target, "more may have arrived since the last look than one page shows"
        target = self._agenda.pop(now)
        if target is not None:
            return target, self._reason(now)
        return self._swept(), "it was never read, and nothing else is due"

    def _reason(self, now: float) -> str:
        """Say why something was taken from the agenda."""
        entry = self._agenda.taken
        if entry is None or not entry.span:
            return "it is to be read at this time"
        price = self._agenda.price(self._per_second)
        ago_s = now - entry.due + entry.span
        story = f"{entry.unseen_at(now):.2f} unseen changes expected, the last look was {ago_s:.1f} s ago"
        return f"{story}; worth {entry.worth_at(now):.2f} s of delay, at a price of {price:.2f} s"

    def _tell(self, target: Target | ResultsOf, now: float, reason: str) -> None:
        name = f"execution {target}"
        if isinstance(target, ResultsOf):
            name = f"the results of execution {target.execution_id}"
        elif isinstance(target, ListPage):
            whose = "all executions" if target.task_id is None else f"task {target.task_id}"
            only = "" if target.status is None else f" that are {target.status}"
            offset = self.request(target, now)[1]
            name = f"the list of {whose}{only}, from {offset} on"
        self._told.append(Request(self._count, now, name, reason))
        self._count += 1

    def explain(self) -> Explanation:
        """Return what was chosen of late, and why, and what delay to expect at this load."""
        delay_s = self._agenda.delay_s(self._per_second)
        singles = self._agenda.alone
        return Explanation(
            tuple(self._told),
            pages=self._agenda.shared - singles,
            singles=singles,
            per_minute=60.0 * self._per_second,
            expected_delay_s=None if delay_s is None else max(delay_s, self._interval_s / 2),
        )

    def _is_turn_of_sweep(self) -> bool:
        """Return whether a sweep goes on before other reads: if that is worth more, else at its share of the reads.

        What a page shows that was never read waits to be seen, every execution of it: with so many unseen changes and
        their typical rate, this is what a look is worth (`Forecast.worth`).
        """
        listing = self._listings[next(iter(self._sweeps)).scope]
        worth = listing.yields / (2.0 * self._tracker.outlook.typical_rate())
        if worth < self._agenda.price(self._per_second):
            return self._turn % IDLE_SHARE == 0
        return self._turn % SWEEP_SHARE != 0

    def _swept(self) -> ListPage | None:
        """Take the next page of a sweep, of several lists in turn."""
        if not self._sweeps:
            return None
        target = next(iter(self._sweeps))
        self._agenda.drop(target)
        return target

    def _review(self, now: float) -> None:
        """Plan anew what was planned the longest ago: what is known, and what the budget allows, has changed."""
        target = self._agenda.stalest()
        if isinstance(target, ListPage):
            self._share_page(self._listings[target.scope], target, now)
        elif target is not None:
            sent_at = self._looked_at.get(target, now)
            if self._tracker.record(target) is None:
                self._let_go(target)
            elif self._tracker.is_live(target):
                self._share_single(target, sent_at, now)
            else:
                self._share_finished(target, sent_at, now)

    def _explore(self, now: float) -> None:
        """Try the list of all executions, where many are read one by one."""
        if not self._explores or now < self._explores_from or self._agenda.alone < WORTH_EXPLORING:
            return
        listing = self._listings.get(ALL)
        if listing is not None and listing.watched:
            return
        self._explores_from = now + self._look_again_s
        listing = self._listing(ALL)
        listing.dry = 0
        self._plan(ALL.page(FRONT), now)

    def next_at(self) -> float:
        """Return when the next request may be sent, infinity if nothing is to be read."""
        if self._sweeps:
            return -inf
        confirmed_at = min((at for _, at in self._confirmations()), default=inf)
        return min(confirmed_at, self._agenda.next_at(), self._tracker.results.next_at())

    def behind_s(self, now: float) -> float:
        """Return by how many seconds the reads are late against the plan; two rounds of it are no delay."""
        due = self._agenda.first_due()
        return 0.0 if due == inf else max(0.0, now - due - 2 * len(self._agenda) / self._per_second)

    # What became of it.

    def failed(self, target: Target, now: float, delay_s: float, *, refused: bool = False) -> bool:
        """Take in that a request had no good answer; return whether it is to be sent again.

        Args:
            target: What was to be read.
            now: The time.
            delay_s: After how many seconds it is sent again, at the earliest.
            refused: Whether the service, or its answer, says that the same request will fail again.
        """
        self._in_flight.pop(target, None)
        if isinstance(target, ListPage):
            if target.status is not None and self._filter_failed(refused=refused):
                return False
            if self._sizes.failed(target, now, refused=refused):
                self._begin_again(now)
            is_planned = target.scope in self._listings
        else:
            self._hold(target, now + delay_s)
            is_planned = target in self._ids or target in self._strays
        if is_planned:
            self._plan(target, now + delay_s)
        self._agenda.settle(target)
        return is_planned or target in self._tracker.needs_confirmation

    def list_refused(self, target: ListPage) -> bool:
        """Take in that a list cannot be read; return whether it was only tried for the sake of others."""
        self._in_flight.pop(target, None)
        listing = self._listings.get(target.scope)
        if listing is None or (target.status is not None and self._filter_failed(refused=True)):
            return True
        if listing.watched:
            return False
        self._explores = False
        self._drop_list(target.scope)
        return True
