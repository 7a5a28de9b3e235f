"""Paging: lists that are read page by page, where each execution shows, and what is done about those that leave.

The part of the planner that follows lists; which of all requests comes next is chosen in `planner.py`. Pure.
"""

from __future__ import annotations

from math import inf
from typing import TYPE_CHECKING, Final

from titan_state.core.planning.listing import FRONT, FULL, LOOKED_FOR, Listing
from titan_state.core.planning.lists import Lists
from titan_state.core.planning.reads import ListPage, Scope
from titan_state.core.planning.singles import ROUNDS
from titan_state.core.planning.window import Shown, Taken, Window
from titan_state.core.tracking.record import UNSEEN

if TYPE_CHECKING:
    from collections.abc import Collection

    from titan_state.core.tracking.outlook import Forecast
    from titan_state.core.tracking.record import Record

FINISHED_SHARE: Final = 0.05
"""Which share of the reads goes at most to pages that would not be worth it but for finished executions on them."""

DRY_SHARE: Final = 50
"""An exploration goes on over one page that shows none of them for so many executions that are read by themselves."""

SAMPLED: Final = 8
"""How many executions of a page teach how long executions stay as they are, at each look; they stand for the others."""


class Paging(Lists):
    """Lists that are read page by page."""

    # What is watched.

    def watch_list(self, task_id: str | None, now: float) -> None:
        """Read a list, all of it once, then the pages that show something worth it."""
        scope = Scope(task_id)
        listing = self._listing(scope)
        listing.watched = True
        listing.sweep, listing.sweeps_from = FRONT, now
        self._plan(scope.page(FRONT), now)

    def unwatch_list(self, task_id: str | None) -> None:
        """Read a list no more."""
        self._drop_list(Scope(task_id))

    def unwatch(self, execution_id: str) -> None:
        """Read an execution no more, unless a list that is watched shows it."""
        self._ids.discard(execution_id)
        if execution_id in self._agenda and self._is_listed(execution_id):
            self._strays.add(execution_id)
        else:
            self._let_go(execution_id)

    def sweep_again(self, task_id: str | None, now: float) -> None:
        """Read the whole of a list that is watched once more: new executions do not show on its first page."""
        listing = self._listings.get(Scope(task_id))
        if listing is None:
            return
        listing.newest_first = False
        if listing.watched and listing.sweep is None:
            listing.sweep, listing.sweeps_from = 0, now + self._sweep_again_s

    # What a page shows.

    def request(self, target: ListPage, now: float) -> tuple[int, int]:
        """Return how many executions to ask for, and how many to pass over, to read a page now."""
        listing = self._listings.get(target.scope)
        if listing is None:
            return self._sizes.usual, max(0, target.page) * self._sizes.usual
        return max(self._sizes.of(target), listing.size), listing.offset(target.page, now)

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
        listing = self._listings.get(target.scope)
        if listing is None:
            self._agenda.settle(target)
            return False
        follows = target.status is None and (listing.goes_beyond(shown) if shown.last is None else not shown.last)
        if self._sizes.took(target, shown, follows=follows):
            self._begin_again(now)
            listing.sought |= dict.fromkeys(shown.ids)  # no window has them, and the sweep may pass them over
            self._agenda.settle(target)
            return False
        last = listing.ends(shown)
        alive = dict.fromkeys(name for name in shown.ids if self._tracker.is_live(name))
        records = map(self._tracker.record, shown.ids)  # their ids, not those of this answer: one text for each
        kept = tuple(one.id for one in records if one is not None and (one.id in alive or one.status != UNSEEN))
        taken = listing.take(target.page, shown, sent_at, kept)
        last = last and not (taken.former is None and taken.outside)  # what is beside it follows
        page = target if taken.number == target.page else target.at(taken.number)
        if page != target:
            self._lost(listing, target, now)
        self._learn(kept, taken.former)
        if taken.former is None and listing.sweep == target.page:
            listing.found(len(alive))
        if listing.is_front(page.page):
            self._spill(listing, page, shown, taken.former, now)
        touched = self._settle(listing, page, shown, taken, alive, now)
        self._keep(listing, page, now)
        if listing.is_overflowing():
            touched[target.at(FRONT)] = None
        for other in touched:
            self._share_page(listing, other, now)
        self._agenda.settle(target)
        is_known = taken.former is not None or listing.sweep is not None
        if listing.sweep != target.page and (taken.is_recent or (not is_known and alive.keys() & shown.names[-1:])):
            self._fill(listing, page, shown, now, last=last)
        if taken.former is None and listing.may_skip(shown):
            self._plan(target.at(listing.make(max(0, shown.offset - listing.size // 2), now)), now)
        return self._go_on(listing, target, shown, now, last=last, worth=len(alive) > 1)

    def _keep(self, listing: Listing, page: ListPage, now: float) -> None:
        """Plan to read a page again, if it shows anything that others do not."""
        window = listing.windows[page.page]
        there = [record.id for record in self._living(window, page)]
        window.live = len(there)
        if listing.is_front(page.page):
            self._share_page(listing, page, now)
            return
        if len(there) > 1:
            self._share_page(listing, page, now)
        else:
            self._keep_little(listing, page, there, now)
        if not window.members or (page.status is None and self._is_double(listing, page)):
            self._agenda.drop(page)
            del listing.windows[page.page]

    def _is_double(self, listing: Listing, page: ListPage) -> bool:
        """Return whether all that a page shows is shown by other pages of its list."""
        rest = []
        for name in listing.windows[page.page].members:
            place = self._place_of(name)
            if place == page:
                return False
            if place is None or place.scope != page.scope or not self._is_read(place):
                rest.append(name)
        elsewhere = listing.shown_since(page.page) if rest else {}
        return all(name in elsewhere for name in rest)

    def _fill(self, listing: Listing, page: ListPage, shown: Shown, now: float, *, last: bool) -> None:
        """Read what follows the front, where more has arrived than one page shows."""
        if listing.watched and shown.ends_new and not last:
            self._plan(page.at(listing.following(page.page, shown, gap=True)), now)

    def _lost(self, listing: Listing, page: ListPage, now: float) -> None:
        """Look again for a page that was elsewhere than reckoned; where that fails, for its executions one by one."""
        window = listing.windows[page.page]
        if window.lost <= LOOKED_FOR:
            self._plan(page, now)
            return
        del listing.windows[page.page]
        self._agenda.drop(page)
        for name in window.members:
            if self._place_of(name) == page and self._tracker.is_live(name):
                self._uncover(name, now)

    def _settle(
        self, listing: Listing, page: ListPage, shown: Shown, taken: Taken, alive: Collection[str], now: float
    ) -> dict[ListPage, None]:
        """Take down where each execution shows, and look for those that have left; return other pages of them."""
        here, former = set(shown.ids), taken.former
        missing = [] if former is None else self._missing(listing, page, former, here)
        touched: dict[ListPage, None] = {}
        for name in shown.ids:
            place = self._place_of(name)
            if name not in alive:
                self._place(name, None)
                if name in self._strays:
                    self._cover(name)  # it is seen here if it runs again
                continue
            if place is not None and place != page and self._is_read(place):
                touched[place] = None
                if page.status is not None:
                    self._place(name, page)
            elif name not in taken.outside:
                self._place(name, page)
            elif name in self._agenda:
                self._share_single(name, listing.windows[page.page].read_at, now)
                continue
            else:
                self._uncover(name, now + self._longest_s() / ROUNDS)  # the page that it is on may show it before
                continue
            self._cover(name)
        window = listing.windows[page.page]
        if not taken.is_whole:  # reckoned wrongly, by as much as is missing at an end: it shows when that is put right
            kept = {name for name in missing if self._place_of(name) == page and not self._is_overlooked(name, window)}
            window.members += tuple(name for name in missing if name in kept)
            missing = [name for name in missing if name not in kept]
        read_at = -inf if former is None else former.read_at
        strays = [name for name in missing if self._is_stray(name, page, read_at)]
        elsewhere = listing.shown_since(page.page, read_at) if strays else {}
        for name in strays:
            if name in elsewhere and self._tracker.is_live(name):
                self._place(name, page.at(elsewhere[name]))
        self._place_strays(listing, page, [name for name in strays if name not in elsewhere], now)
        return touched

    def _missing(self, listing: Listing, page: ListPage, former: Window, shown: Collection[str]) -> list[str]:
        """Return what a page shows no more of what it showed before, and is to be looked for."""
        return [name for name in former.members if name not in shown]

    def _spill(self, listing: Listing, front: ListPage, shown: Shown, former: Window | None, now: float) -> None:
        """Let what was the front's own move on with the list, where more has arrived than the front shows."""
        number = listing.spill(shown, former)
        if number is None or former is None:
            return
        page = front.at(number)
        for name in former.members:
            if self._place_of(name) == front:
                self._place(name, page)
        self._share_page(listing, page, now)

    def _keep_little(self, listing: Listing, page: ListPage, alive: Collection[str], now: float) -> None:
        """Plan for a page that shows a single live execution, or none: that one costs the same by itself."""
        for name in alive:
            if self._place_of(name) in (None, page):
                self._uncover(name, now + self._interval_s, lost=False)
        if len(listing.windows[page.page].members) > len(alive):
            self._share_page(listing, page, now)
        else:
            self._agenda.drop(page)

    def _go_on(self, listing: Listing, target: ListPage, shown: Shown, now: float, *, last: bool, worth: bool) -> bool:
        """Plan the page after this one, where a sweep, an arrival or an exploration leads there."""
        if listing.sweep == target.page and now >= listing.sweeps_from:
            if not last:
                listing.sweep = listing.following(target.page, shown)
                self._sweeps[target.at(listing.sweep)] = None
                return False
            self._seek(listing, now)
            listing.length = shown.offset + shown.count
            if listing.newest_first:
                if target.page not in listing.windows:  # a replica that lags may have shown nothing
                    self._plan(target.at(listing.make(shown.offset, now)), now + listing.arrivals.lag_s)
                self._walk_on(listing, target, 0, now)
            listing.sweep = None if listing.newest_first else 0  # else new executions may show anywhere: begin again
            listing.sweeps_from = now + self._sweep_again_s
            return True
        if listing.watched:
            if listing.patrol == target.page:
                self._walk_on(listing, target, 0 if last else shown.offset + shown.count, now)
            return False
        listing.dry = 0 if worth else listing.dry + 1
        if not last and target.page + 1 not in listing.windows and listing.dry <= self._agenda.alone // DRY_SHARE:
            self._plan(target.at(listing.following(target.page, shown)), now)
        return False

    # How it is kept.

    def _share_page(self, listing: Listing, page: ListPage, now: float) -> None:
        """Read a page again when that is worth it."""
        window = listing.windows.get(page.page)
        if page in self._in_flight or window is None:
            return
        forecast, least_s = self._page_forecast(listing, page, window, now)
        longest_s = self._longest_s()
        if any(self._tracker.is_finished(name) for name in window.members):  # one that runs again must not be missed
            round_s = (self._agenda.shared - self._agenda.alone) / self._per_second
            longest_s = min(longest_s, max(2 * self._recheck_s, round_s / FINISHED_SHARE))
        if listing.is_front(page.page):
            full_s = FULL * listing.size / listing.arrivals.rate()
            longest_s = min(longest_s, full_s)
            self._full_at[page] = now if listing.is_overflowing() else window.read_at + full_s
        price = self._agenda.price(self._per_second)
        self._share(page, forecast, window.read_at, price, longest_s, least_s)

    def _page_forecast(self, listing: Listing, page: ListPage, window: Window, now: float) -> tuple[Forecast, float]:
        """Return what is expected of a page, and in how many seconds it is read again at the earliest."""
        live = self._living(window, page)
        is_front = listing.is_front(page.page)
        others = listing.arrivals.rate() if is_front else 0.0
        for name in window.members:
            record = self._tracker.record(name)
            if record is not None and not self._tracker.is_live(name):
                others += self._tracker.outlook.revival_rate(record, now)
        if len(live) == 1 and (live[0].id in self._agenda or live[0].id in self._in_flight):
            live = []  # it is read by itself
        forecast = self._tracker.outlook.forecast(live, now, others=others, others_from=window.read_at)
        return forecast, self._interval_s if live or is_front else self._recheck_s

    def _living(self, window: Window, page: ListPage) -> list[Record]:
        """Return the live executions of a window, but for those that are read on a list of one status."""
        living = []
        for name in window.members:
            record = self._tracker.record(name)
            if record is None or not self._tracker.is_live(name):
                continue
            place = record.place
            if place is None or place.status == page.status or not self._is_read(place):
                living.append(record)
        return living

    def _learn(self, names: tuple[str, ...], former: Window | None) -> None:
        """Let some of the executions that are as they were teach how long executions stay so."""
        if former is None or not names:
            return
        step = max(1, len(names) // SAMPLED)
        self._sampled += 1
        known = set(former.members)
        for name in names[self._sampled % step :: step]:
            record = self._tracker.record(name)
            if record is not None and name in known and self._tracker.is_live(name):
                self._tracker.outlook.stayed(record, former.read_at, float(step))
