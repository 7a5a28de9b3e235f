"""Planner: which request is worth sending next.

A request covers the executions that it will show. What waiting costs is the delay with which their changes are
noticed; each page of a list, and each execution that no page shows together with others, is read when a look is worth
the same: the price at which the budget is just used up (docs/performance.md derives it). Contradictions are read again
ahead of all that, and what was acted upon soon. Pure: it sends nothing, and time comes in as an argument.
"""

from __future__ import annotations

from math import inf
from typing import TYPE_CHECKING, Final

from titan_state.core.budget import Priority
from titan_state.core.listing import FRONT, Listing, Shown, Window
from titan_state.core.reads import Choice, ListPage, Target
from titan_state.core.singles import Singles

if TYPE_CHECKING:
    from collections.abc import Collection

    from titan_state.core.tracker import Tracker

RECHECK_LAGS: Final = 6
"""After how many replica lags, at the earliest, a page is read again that shows only executions that have finished;
then after as long again as they have been finished."""

WORTH_EXPLORING: Final = 3
"""From how many executions on, each read by itself, the list is tried for pages that show several at once."""

DRY_SHARE: Final = 50
"""An exploration goes on over one page that shows none of them for so many executions that are read by themselves."""

SHOWN_AT_ONCE: Final = 20
"""How many executions a page is taken to show at least, where it is guessed how long reading a list takes."""

SWEEP_SHARE: Final = 4
"""One in how many reads at least goes to what is known already, while a sweep over a whole list finds much."""

IDLE_SHARE: Final = 16
"""One in how many reads goes to a sweep that finds little: it comes to its end, sometime."""

FULL: Final = 0.6
"""At which share of a page, of executions expected to have arrived, the front is read at the latest."""

SAMPLED: Final = 8
"""How many executions of a page teach how long executions stay as they are, at each look; they stand for the others."""


class Planner(Singles):
    """Chooses the next request."""

    def __init__(self, tracker: Tracker, *, interval_s: float, newest_first: bool = True, page_size: int = 100) -> None:
        """Make a planner that watches nothing.

        Args:
            tracker: What is known of executions.
            interval_s: How soon the same thing is read again, at the earliest.
            newest_first: Whether lists are taken to show new executions first, until they are seen not to.
            page_size: How many executions are asked for at once.
        """
        super().__init__(tracker, interval_s=interval_s)
        self._newest_first = newest_first
        self._page_size = page_size
        self._recheck_s = max(interval_s, RECHECK_LAGS * tracker.thresholds.replica_lag_s)
        self._listings: dict[str | None, Listing] = {}
        self._sweeps: dict[ListPage, None] = {}
        self._full_at: dict[ListPage, float] = {}
        self._explores = True
        self._explores_from = -inf
        self._turn = 0

    # What is watched.

    def watch_list(self, task_id: str | None, now: float) -> None:
        """Read a list, all of it once, then the pages that show something worth it."""
        listing = self._listing(task_id)
        listing.watched = True
        listing.sweep, listing.sweeps_from = FRONT, now
        self._plan(ListPage(task_id, FRONT), now)

    def unwatch_list(self, task_id: str | None) -> None:
        """Read a list no more."""
        self._drop_list(task_id)

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
            self._per_second = per_second
        for execution_id, due in self._confirmations():
            if due <= now:
                self._agenda.drop(execution_id)
                self._in_flight[execution_id] = now
                return Choice(execution_id, Priority.CONFIRMATION)
        self._explore(now)
        self._review(now)
        self._turn += 1
        target: Target | None = None
        if self._sweeps and self._is_turn_of_sweep():
            target = self._swept()
            self._agenda.spent()
        else:
            target = next((page for page, at in self._full_at.items() if at <= now and page in self._agenda), None)
        if target is not None:
            self._agenda.drop(target)
        else:
            target = self._agenda.pop(now) or self._swept()
        if target is None:
            return None
        self._in_flight[target] = now
        return Choice(target, Priority.POLL)

    def _is_turn_of_sweep(self) -> bool:
        """Return whether a sweep goes on before other reads: if that is worth more, else at its share of the reads.

        What a page shows that was never read waits to be seen, every execution of it: with so many unseen changes and
        their typical rate, this is what a look is worth (`Forecast.worth`).
        """
        listing = self._listings[next(iter(self._sweeps)).task_id]
        worth = listing.yields / (2.0 * self._tracker.outlook.typical_rate())
        if worth < self._agenda.price(self._per_second):
            return self._turn % IDLE_SHARE == 0
        return self._turn % SWEEP_SHARE != 0

    def _swept(self) -> ListPage | None:
        """Take the next page of a sweep, of several lists in turn."""
        if not self._sweeps:
            return None
        target = next(iter(self._sweeps))
        del self._sweeps[target]
        return target

    def next_at(self) -> float:
        """Return when the next request may be sent, infinity if nothing is to be read."""
        if self._sweeps:
            return -inf
        return min(min((at for _, at in self._confirmations()), default=inf), self._agenda.next_at())

    def behind_s(self, now: float) -> float:
        """Return by how many seconds the reads are late against the plan; two rounds of it are no delay."""
        due = self._agenda.first_due()
        return 0.0 if due == inf else max(0.0, now - due - 2 * len(self._agenda) / self._per_second)

    def request(self, target: ListPage, now: float) -> tuple[int, int]:
        """Return how many executions to ask for, and how many to pass over, to read a page now."""
        listing = self._listings.get(target.task_id)
        if listing is None:
            return self._page_size, max(0, target.page) * self._page_size
        return listing.size, listing.offset(target.page, now)

    # What became of it.

    def failed(self, target: Target, now: float, delay_s: float) -> bool:
        """Take in that a request had no good answer; return whether it is to be sent again, after `delay_s`."""
        self._in_flight.pop(target, None)
        if isinstance(target, ListPage):
            is_planned = target.task_id in self._listings
        else:
            self._hold(target, now + delay_s)
            is_planned = target in self._ids or target in self._strays
        if is_planned:
            self._plan(target, now + delay_s)
        else:
            self._agenda.drop(target)
        return is_planned or target in self._tracker.needs_confirmation

    def list_refused(self, target: ListPage) -> bool:
        """Take in that a list cannot be read; return whether it was only tried for the sake of others."""
        self._in_flight.pop(target, None)
        listing = self._listings.get(target.task_id)
        if listing is None:
            return True
        if listing.watched:
            return False
        self._explores = False
        self._drop_list(target.task_id)
        return True

    def page_read(self, target: ListPage, shown: Shown, *, sent_at: float, now: float) -> bool:
        """Take in what a page showed. The tracker has observed it already.

        Args:
            target: The page.
            shown: What it showed.
            sent_at: When the read was sent.
            now: The time.

        Returns:
            Whether a sweep over the whole list has come to its end with it.
        """
        self._in_flight.pop(target, None)
        listing = self._listings.get(target.task_id)
        if listing is None:
            return False
        size, last = listing.size, listing.ends(shown)
        if listing.size != size and listing.windows:
            self._begin_again(target.task_id, now)
            return False
        alive = dict.fromkeys(name for name in shown.ids if self._tracker.is_live(name))
        kept = tuple(name for name in shown.ids if name in alive or self._tracker.status(name) is not None)
        former, is_whole = listing.take(target.page, shown, sent_at, kept)
        self._learn(kept, former)
        if former is None and listing.sweep == target.page:
            listing.found(len(alive))
        if listing.is_front(target.page):
            self._spill(listing, target, shown, former, now)
        touched = self._settle(listing, target, shown, former, alive, now, is_whole=is_whole)
        if len(alive) > 1 or listing.is_front(target.page):
            self._share_page(listing, target, now)
        else:
            self._keep_little(listing, target, alive, kept, now)
        for page in touched:
            self._share_page(listing, page, now)
        return self._go_on(listing, target, shown, now, last=last, worth=len(alive) > 1)

    def _settle(
        self,
        listing: Listing,
        page: ListPage,
        shown: Shown,
        former: Window | None,
        alive: Collection[str],
        now: float,
        *,
        is_whole: bool,
    ) -> set[ListPage]:
        """Take down where each execution shows, and look for those that have left; return other pages of them."""
        here = set(shown.ids)
        missing = [] if former is None else [name for name in former.members if name not in here]
        lost = listing.windows[page.page].lost
        touched = set()
        for name in shown.ids:
            place = self._place_of(name)
            if name not in alive:
                self._place(name, None)
            elif place is None or place == page or place.page not in self._windows_of(place):
                self._place(name, page)
            else:
                touched.add(place)
            if name in alive:
                self._cover(name)
        if is_whole or lost > 1:
            read_at = -inf if former is None else former.read_at
            self._place_strays(listing, page, [name for name in missing if self._is_stray(name, page, read_at)], now)
        else:  # reckoned wrongly, by as much as is missing at an end: it shows again when that has been put right
            ours = tuple(name for name in missing if self._place_of(name) == page)
            window = listing.windows[page.page]
            window.members += ours
        return touched

    def _spill(self, listing: Listing, front: ListPage, shown: Shown, former: Window | None, now: float) -> None:
        """Let what was the front's own move on with the list, where more has arrived than the front shows."""
        number = listing.spill(shown, former)
        if number is None or former is None:
            return
        page = ListPage(front.task_id, number)
        for name in former.members:
            if self._place_of(name) == front:
                self._place(name, page)
        self._share_page(listing, page, now)

    def _keep_little(
        self, listing: Listing, page: ListPage, alive: Collection[str], kept: tuple[str, ...], now: float
    ) -> None:
        """Plan for a page that shows a single live execution, or none: that one costs the same by itself."""
        self._agenda.drop(page)
        for name in alive:
            if self._place_of(name) in (None, page):
                self._uncover(name, now + self._interval_s)
        if kept:
            finished = [now - self._tracker.since(name) for name in kept if name not in alive]
            self._plan(page, self._recheck(finished, now, self._recheck_s) if finished else now + self._longest_s())
        else:
            del listing.windows[page.page]

    def _go_on(self, listing: Listing, target: ListPage, shown: Shown, now: float, *, last: bool, worth: bool) -> bool:
        """Plan the page after this one, where a sweep, an arrival or an exploration leads there."""
        if listing.sweep == target.page and now >= listing.sweeps_from:
            if not last:
                listing.sweep = listing.following(target.page, shown)
                self._sweeps[ListPage(target.task_id, listing.sweep)] = None
                return False
            listing.sweep = None if listing.newest_first else 0  # else new executions may show anywhere: begin again
            listing.sweeps_from = now + self._recheck_s
            return True
        if listing.watched:
            if shown.all_new and not last:  # more may have come than one page shows
                self._plan(ListPage(target.task_id, listing.following(target.page, shown, gap=True)), now)
            return False
        listing.dry = 0 if worth else listing.dry + 1
        if not last and target.page + 1 not in listing.windows and listing.dry <= self._agenda.alone // DRY_SHARE:
            self._plan(ListPage(target.task_id, listing.following(target.page, shown)), now)
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

    def _begin_again(self, task_id: str | None, now: float) -> None:
        """Read a list as if for the first time: it is cut into other pages than before."""
        former = self._listings[task_id]
        for window in former.windows.values():
            for name in window.members:
                self._place(name, None)
                if self._tracker.is_live(name):
                    self._uncover(name, now + self._look_again_s)
        self._drop_list(task_id)
        listing = self._listing(task_id)
        listing.size, listing.newest_first = former.size, former.newest_first
        if former.watched:
            self.watch_list(task_id, now)
        else:
            self._plan(ListPage(task_id, 0), now)

    def _listing(self, task_id: str | None) -> Listing:
        listing = self._listings.get(task_id)
        if listing is None:
            listing = self._listings[task_id] = Listing(self._page_size, newest_first=self._newest_first)
        return listing

    def _share_page(self, listing: Listing, page: ListPage, now: float) -> None:
        """Read a page again when that is worth it."""
        window = listing.windows.get(page.page)
        if page in self._in_flight or window is None:
            return
        forecast = self._tracker.outlook.forecast(
            self._records(window.members),
            now,
            arrivals=listing.rate() if listing.is_front(page.page) else 0.0,
            arrivals_from=window.read_at,
        )
        price = self._agenda.price(self._per_second)
        longest_s = self._longest_s()
        if listing.is_front(page.page):
            full_s = FULL * listing.size / listing.rate()
            longest_s = min(longest_s, full_s)
            self._full_at[page] = window.read_at + full_s
        self._share(page, forecast, window.read_at, price, longest_s)

    def _review(self, now: float) -> None:
        """Plan anew what was planned the longest ago: what is known, and what the budget allows, has changed."""
        target = self._agenda.stalest()
        if isinstance(target, ListPage):
            self._share_page(self._listings[target.task_id], target, now)
        elif target is not None:
            record = self._tracker.record(target)
            if record is None:
                self._agenda.drop(target)
            else:
                self._share_single(target, record.seen_sent, now)

    def _learn(self, names: tuple[str, ...], former: Window | None) -> None:
        """Let some of the executions that are as they were teach how long executions stay so."""
        if former is None or not names:
            return
        step = max(1, len(names) // SAMPLED)
        self._turn += 1
        known = set(former.members)
        for name in names[self._turn % step :: step]:
            record = self._tracker.record(name)
            if record is not None and name in known and self._tracker.is_live(name):
                self._tracker.outlook.stayed(record, former.read_at, float(step))

    def _is_stray(self, execution_id: str, page: ListPage, read_at: float) -> bool:
        """Return whether an execution that a page showed before is shown by no other, as far as is known."""
        place = self._place_of(execution_id)
        if place == page:
            return True
        seen = self._tracker.seen_at(execution_id)
        is_elsewhere = place is not None and place.page in self._windows_of(place)
        return not is_elsewhere and seen is not None and seen[0] <= read_at

    def _place_strays(self, listing: Listing, page: ListPage, strays: list[str], now: float) -> None:
        """Look for executions that have left a page: new ones push them to the next; else one by one."""
        delay_s = 0.0
        if strays and listing.newest_first and page.page >= 0 and not listing.is_front(page.page + 1):
            self._plan(ListPage(page.task_id, page.page + 1), now)
            delay_s = 2 * self._interval_s  # the next page may show them before
        for name in strays:
            if self._tracker.is_live(name):
                self._uncover(name, now + delay_s)
            else:
                self._place(name, None)
                if name in self._ids and name not in self._in_flight:
                    self._plan_single(name, now, now)

    def _windows_of(self, page: ListPage) -> Collection[int]:
        listing = self._listings.get(page.task_id)
        return () if listing is None else listing.windows

    def _cover(self, execution_id: str) -> None:
        """Read no longer by itself what a page shows."""
        self._strays.discard(execution_id)
        if execution_id in self._agenda:
            self._agenda.drop(execution_id)
            self._looked_at.pop(execution_id, None)

    def _uncover(self, execution_id: str, due: float) -> None:
        """Read by itself what no page shows together with others."""
        self._place(execution_id, None)
        if execution_id not in self._ids:
            self._strays.add(execution_id)
        self._plan(execution_id, due)

    def _explore(self, now: float) -> None:
        """Try the list of all executions, where many are read one by one."""
        if not self._explores or now < self._explores_from or self._agenda.alone < WORTH_EXPLORING:
            return
        listing = self._listings.get(None)
        if listing is not None and listing.watched:
            return
        self._explores_from = now + self._look_again_s
        listing = self._listing(None)
        listing.dry = 0
        self._plan(ListPage(None, FRONT), now)

    def _is_listed(self, execution_id: str) -> bool:
        """Return whether a list that is watched may show a live execution: its task may be unknown."""
        if not self._tracker.is_live(execution_id):
            return False
        lists = [key for key, listing in self._listings.items() if listing.watched]
        task_id = self._tracker.task_of(execution_id)
        return bool(lists) and (task_id is None or None in lists or task_id in lists)

    def _drop_list(self, task_id: str | None) -> None:
        listing = self._listings.pop(task_id, None)
        if listing is None:
            return
        for target in self._agenda:
            if isinstance(target, ListPage) and target.task_id == task_id:
                self._agenda.drop(target)
        self._sweeps = {target: None for target in self._sweeps if target.task_id != task_id}
        self._full_at.pop(ListPage(task_id, FRONT), None)
        for window in listing.windows.values():
            for name in window.members:
                place = self._place_of(name)
                if place is None or place.task_id != task_id:
                    continue
                if name in self._ids or self._is_listed(name):
                    self._uncover(name, window.read_at + 2 * self._interval_s)
                else:
                    self._place(name, None)
        for name in [name for name in self._strays if name not in self._ids and not self._is_listed(name)]:
            self._let_go(name)
