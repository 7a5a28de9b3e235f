"""Planner: which request is worth sending next.

This planner chooses simply: everything that is watched is read again at the same interval, oldest first, by a list
page where one shows more than one watched execution, else by itself; contradictions are read again ahead of all
that. Pure: it sends nothing, and time comes in as an argument.
"""

from __future__ import annotations

import heapq
from math import inf
from typing import TYPE_CHECKING, Final

from titan_state.core.budget import Priority
from titan_state.core.reads import Choice, Listing, ListPage

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from titan_state.core.tracker import Tracker

RECHECK_LAGS: Final = 6
"""After how many replica lags a page is read again that shows only executions that have finished."""

LOOK_AGAIN_LAGS: Final = 12
"""After how many replica lags an execution is read again that is absent, and the list is explored again."""

WORTH_EXPLORING: Final = 3
"""From how many executions on, each read by itself, the list is tried for pages that show several at once."""

SHOWN_AT_ONCE: Final = 20
"""How many executions a page is taken to show at least, where it is guessed how long reading a list takes."""

EXPLORED_PAGES: Final = 10
"""How many pages one exploration reads at most."""


class Planner:
    """Chooses the next request."""

    def __init__(self, tracker: Tracker, *, interval_s: float, newest_first: bool = True) -> None:
        """Make a planner that watches nothing.

        Args:
            tracker: What is known of executions.
            interval_s: How soon the same thing is read again, at the earliest.
            newest_first: Whether lists are taken to show new executions first, until they are seen not to.
        """
        self._tracker = tracker
        self._interval_s = interval_s
        self._newest_first = newest_first
        self._recheck_s = max(interval_s, RECHECK_LAGS * tracker.thresholds.replica_lag_s)
        self._look_again_s = max(interval_s, LOOK_AGAIN_LAGS * tracker.thresholds.replica_lag_s)
        self._ids: set[str] = set()
        self._strays: set[str] = set()
        self._shown: dict[str, ListPage] = {}
        self._listings: dict[str | None, Listing] = {}
        self._due: dict[ListPage | str, float] = {}
        self._heap: list[tuple[float, int, ListPage | str]] = []
        self._count = 0
        self._in_flight: set[ListPage | str] = set()
        self._not_before: dict[str, float] = {}
        self._explores = True
        self._explores_from = -inf

    # What is watched.

    def watch(self, execution_id: str, now: float) -> None:
        """Read an execution, soon and from then on."""
        self._ids.add(execution_id)
        self._plan(execution_id, now)

    def unwatch(self, execution_id: str) -> None:
        """Read an execution no more, unless a list that is watched shows it."""
        self._ids.discard(execution_id)
        if execution_id in self._due and self._is_listed(execution_id):
            self._strays.add(execution_id)
        else:
            self._let_go(execution_id)

    def watch_list(self, task_id: str | None, now: float) -> None:
        """Read a list, all of it once, then the pages that show something worth it."""
        listing = self._listings.setdefault(task_id, Listing(newest_first=self._newest_first))
        listing.watched = True
        listing.sweep, listing.sweeps_from = 0, now
        self._plan(ListPage(task_id, 0), now)

    def unwatch_list(self, task_id: str | None) -> None:
        """Read a list no more."""
        self._drop_list(task_id)

    def expect(self, execution_ids: Collection[str], now: float) -> None:
        """Read executions that are known to live by themselves, unless a list that is watched shows them before."""
        live = [name for name in execution_ids if self._tracker.is_live(name) and name not in self._shown]
        for name in live:
            self._uncover(name, now + self._look_again_s + self._interval_s * len(live) / SHOWN_AT_ONCE)

    def soon(self, execution_id: str, now: float) -> None:
        """Read an execution soon: something was done to it."""
        self._plan(execution_id, now)

    # What comes next.

    def next(self, now: float) -> Choice | None:
        """Return the request to send now, and take it as sent; None if nothing is due."""
        for execution_id, due in self._confirmations():
            if due <= now:
                self._due.pop(execution_id, None)
                self._in_flight.add(execution_id)
                return Choice(execution_id, Priority.CONFIRMATION)
        self._explore(now)
        top = self._top()
        if top is None or top[0] > now:
            return None
        target = top[2]
        heapq.heappop(self._heap)
        del self._due[target]
        self._in_flight.add(target)
        return Choice(target, Priority.POLL)

    def next_at(self) -> float:
        """Return when the next request is due, infinity if nothing is."""
        due = min((at for _, at in self._confirmations()), default=inf)
        top = self._top()
        return due if top is None else min(due, top[0])

    def behind_s(self, now: float, per_second: float) -> float:
        """Return by how many seconds the reads are late against the plan.

        The plan is to read everything in turn, at the rate that the budget allows; two rounds of it are no delay.
        """
        top = self._top()
        if top is None:
            return 0.0
        return max(0.0, now - top[0] - 2 * len(self._due) / per_second)

    # What became of it.

    def read(self, execution_id: str, now: float) -> None:
        """Take in that an execution was read by itself, or that it answered 404."""
        self._in_flight.discard(execution_id)
        self._hold(execution_id, now + self._interval_s)  # a read that settled nothing is not repeated at once
        if execution_id in self._ids or execution_id in self._strays:
            self._plan_single(execution_id, now)

    def failed(self, target: ListPage | str, now: float, delay_s: float) -> bool:
        """Take in that a request had no good answer; return whether it is to be sent again, after `delay_s`."""
        self._in_flight.discard(target)
        if isinstance(target, ListPage):
            is_planned = target.task_id in self._listings
        else:
            self._hold(target, now + delay_s)
            is_planned = target in self._ids or target in self._strays
        if is_planned:
            self._plan(target, now + delay_s)
        return is_planned or target in self._tracker.needs_confirmation

    def list_refused(self, target: ListPage) -> bool:
        """Take in that a list cannot be read; return whether it was only tried for the sake of others."""
        self._in_flight.discard(target)
        listing = self._listings.get(target.task_id)
        if listing is None:
            return True
        if listing.watched:
            return False
        self._explores = False
        self._drop_list(target.task_id)
        return True

    def page_read(
        self, target: ListPage, ids: Collection[str], *, sent_at: float, now: float, last: bool, all_new: bool
    ) -> bool:
        """Take in what a page showed. The tracker has observed it already.

        Args:
            target: The page.
            ids: The ids of the watched executions on it.
            sent_at: When the read was sent.
            now: The time.
            last: Whether it is the last page.
            all_new: Whether it showed executions, and none of them was known before.

        Returns:
            Whether a sweep over the whole list has come to its end with it.
        """
        self._in_flight.discard(target)
        listing = self._listings.get(target.task_id)
        if listing is None:
            return False
        strays = self._strays_of(listing, target, ids)
        for name in ids:
            if not self._tracker.is_live(name):
                self._shown.pop(name, None)
        live = dict.fromkeys(name for name in ids if self._tracker.is_live(name))
        kept = tuple(name for name in ids if name in live or self._tracker.status(name) is not None)
        listing.members[target.page] = kept
        listing.read_at[target.page] = sent_at
        self._place_strays(listing, target, strays, now)
        if len(live) > 1 or (target.page == 0 and listing.watched):
            for name in live:
                self._strays.discard(name)
                self._due.pop(name, None)
                self._shown[name] = target
            self._plan(target, now + self._interval_s)
        else:
            for name in live:
                self._uncover(name, now + self._interval_s)
            if kept:
                self._plan(target, now + self._recheck_s)
            else:
                del listing.members[target.page], listing.read_at[target.page]
        return self._go_on(listing, target, now, last=last, all_new=all_new, worth=len(live) > 1)

    def _go_on(self, listing: Listing, target: ListPage, now: float, *, last: bool, all_new: bool, worth: bool) -> bool:
        """Plan the page after this one, where a sweep, an arrival or an exploration leads there."""
        following = ListPage(target.task_id, target.page + 1)
        if listing.sweep == target.page and now >= listing.sweeps_from:
            if not last:
                listing.sweep = following.page
                self._plan(following, now)
                return False
            listing.sweep = None if listing.newest_first else 0  # else new executions may show anywhere: begin again
            listing.sweeps_from = now + self._recheck_s
            return True
        if listing.watched:
            if all_new and not last:
                self._plan(following, now)  # more may have come than one page shows
        elif worth and not last and following.page < EXPLORED_PAGES and following.page not in listing.members:
            self._plan(following, now)
        return False

    def sweep_again(self, task_id: str | None, now: float) -> None:
        """Read the whole of a list that is watched once more: new executions do not show on its first page."""
        listing = self._listings.get(task_id)
        if listing is None:
            return
        listing.newest_first = False
        if listing.watched and listing.sweep is None:
            listing.sweep, listing.sweeps_from = 0, now + self._recheck_s

    # How it is kept.

    def _strays_of(self, listing: Listing, target: ListPage, ids: Collection[str]) -> list[str]:
        """Return the executions that the page showed before, and that no other page has shown since."""
        here = set(ids)
        read_at = listing.read_at.get(target.page, -inf)
        strays = []
        for name in listing.members.get(target.page, ()):
            if name in here:
                continue
            seen = self._tracker.seen_at(name)
            if self._shown.get(name) == target or (seen is not None and seen[0] <= read_at):
                strays.append(name)
        return strays

    def _place_strays(self, listing: Listing, target: ListPage, strays: list[str], now: float) -> None:
        """Look for executions that have left a page: new ones push them to the next; else one by one."""
        delay_s = 0.0
        if strays and listing.newest_first:
            self._plan(ListPage(target.task_id, target.page + 1), now)
            delay_s = 2 * self._interval_s  # the next page may show them before
        for name in strays:
            if self._tracker.is_live(name):
                self._uncover(name, now + delay_s)
            else:
                self._shown.pop(name, None)
                if name in self._ids and name not in self._in_flight:
                    self._plan_single(name, now)

    def _uncover(self, execution_id: str, due: float) -> None:
        """Read by itself what no page shows together with others."""
        self._shown.pop(execution_id, None)
        if execution_id not in self._ids:
            self._strays.add(execution_id)
        if execution_id not in self._in_flight:
            self._plan(execution_id, due)

    def _plan_single(self, execution_id: str, now: float) -> None:
        status = self._tracker.status(execution_id)
        if self._tracker.is_live(execution_id):
            if not self._is_covered(execution_id):
                self._plan(execution_id, now + self._interval_s)
        elif self._tracker.is_finished(execution_id):
            self._strays.discard(execution_id)
            self._shown.pop(execution_id, None)
            age = None if status is None else now - self._tracker.since(execution_id)
            if age is not None and execution_id in self._ids:
                self._plan(execution_id, now + max(2 * self._tracker.thresholds.replica_lag_s, age))
        elif status is not None or self._tracker.is_missing(execution_id):  # it has vanished, or never was
            if execution_id in self._ids:
                self._plan(execution_id, now + self._look_again_s)
            else:
                self._let_go(execution_id)  # its list shows it if it comes back
        else:
            self._plan(execution_id, now + self._interval_s)

    def _confirmations(self) -> Iterator[tuple[str, float]]:
        """Hand out what awaits confirmation and is not under way, each with the time from which it is due."""
        for name, at in self._tracker.needs_confirmation.items():
            if name not in self._in_flight:
                yield name, max(at, self._not_before.get(name, -inf))

    def _hold(self, execution_id: str, until: float) -> None:
        if execution_id in self._tracker.needs_confirmation:
            self._not_before[execution_id] = until
        else:
            self._not_before.pop(execution_id, None)

    def _is_covered(self, execution_id: str) -> bool:
        page = self._shown.get(execution_id)
        return page is not None and (page in self._due or page in self._in_flight)

    def _explore(self, now: float) -> None:
        """Try the list of all executions, where many are read one by one."""
        if not self._explores or now < self._explores_from or len(self._ids) < WORTH_EXPLORING:
            return
        if None in self._listings and self._listings[None].watched:
            return
        alone = sum(1 for name in self._ids if name in self._due and self._tracker.is_live(name))
        if alone < WORTH_EXPLORING:
            self._explores_from = now + self._interval_s
            return
        self._explores_from = now + self._look_again_s
        self._listings.setdefault(None, Listing(newest_first=self._newest_first))
        self._plan(ListPage(None, 0), now)

    def _plan(self, target: ListPage | str, due: float) -> None:
        known = self._due.get(target)
        if target in self._in_flight or (known is not None and known <= due):
            return
        self._due[target] = due
        self._count += 1
        heapq.heappush(self._heap, (due, self._count, target))

    def _top(self) -> tuple[float, int, ListPage | str] | None:
        while self._heap:
            due, _, target = self._heap[0]
            if self._due.get(target) == due:
                return self._heap[0]
            heapq.heappop(self._heap)
        return None

    def _is_listed(self, execution_id: str) -> bool:
        """Return whether a list that is watched may show a live execution: its task may be unknown."""
        if not self._tracker.is_live(execution_id):
            return False
        lists = [key for key, listing in self._listings.items() if listing.watched]
        task_id = self._tracker.task_of(execution_id)
        return bool(lists) and (task_id is None or None in lists or task_id in lists)

    def _let_go(self, execution_id: str) -> None:
        self._strays.discard(execution_id)
        self._due.pop(execution_id, None)
        self._not_before.pop(execution_id, None)

    def _drop_list(self, task_id: str | None) -> None:
        listing = self._listings.pop(task_id, None)
        if listing is None:
            return
        for target in [key for key in self._due if isinstance(key, ListPage) and key.task_id == task_id]:
            del self._due[target]
        for name, page in [(name, page) for name, page in self._shown.items() if page.task_id == task_id]:
            if name in self._ids or self._is_listed(name):
                self._uncover(name, listing.read_at[page.page] + 2 * self._interval_s)
            else:
                del self._shown[name]
        for name in [name for name in self._strays if name not in self._ids and not self._is_listed(name)]:
            self._let_go(name)
