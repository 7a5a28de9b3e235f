"""Lists: which lists are read, and how executions go between their pages and reads by themselves. Pure."""

from __future__ import annotations

from math import ceil, inf
from typing import TYPE_CHECKING, Final

from titan_state.core.planning.arrivals import Arrivals
from titan_state.core.planning.listing import FRONT, LOOKED_FOR, Listing
from titan_state.core.planning.reads import ListPage, Scope
from titan_state.core.planning.singles import Singles
from titan_state.core.planning.sizes import Sizes

if TYPE_CHECKING:
    from titan_state.core.planning.window import Window
    from titan_state.core.tracker import Tracker

RECHECK_LAGS: Final = 2
"""After how many replica lags, at the earliest, a page is read again that shows only executions that have finished."""

SWEEP_LAGS: Final = 6
"""After how many replica lags a list is swept again that does not show new executions first."""

PATROL: Final = 256
"""One in how many reads goes to lists that were read to their end, in case something was passed over."""

SCATTERED: Final = 3
"""A page of a list is looked for when so many executions of it are likely to be read one by one that were lost."""

SEARCH_SHARE: Final = 8
"""One in how many reads goes at most to pages that are looked for like that, of each list."""


class Lists(Singles):
    """Lists that are read beside executions one by one."""

    def __init__(
        self, tracker: Tracker, *, interval_s: float, newest_first: bool, page_size: int, largest_page: int
    ) -> None:
        super().__init__(tracker, interval_s=interval_s)
        self._newest_first = newest_first
        self._sizes = Sizes(page_size, largest_page)
        self._listings: dict[Scope, Listing] = {}
        self._sweeps: dict[ListPage, None] = {}
        self._full_at: dict[ListPage, float] = {}
        self._sweep_again_s = max(interval_s, SWEEP_LAGS * tracker.thresholds.replica_lag_s)
        self._recheck_s = max(interval_s, RECHECK_LAGS * tracker.thresholds.replica_lag_s)
        self._sampled = 0
        self._scattered: set[str] = set()
        self._gather_from = -inf

    def _listing(self, scope: Scope) -> Listing:
        listing = self._listings.get(scope)
        if listing is None:
            arrivals = Arrivals(self._tracker.thresholds.replica_lag_s)
            listing = Listing(self._sizes.size, newest_first=self._newest_first, arrivals=arrivals)
            self._listings[scope] = listing
        return listing

    def _begin_again(self, now: float) -> None:
        """Read lists anew from their beginning: pages show less, or more, than they did."""
        for scope, listing in [*self._listings.items()]:
            if listing.watched:
                self._restart(scope, listing, now)
            else:
                self._drop_list(scope)

    def _restart(self, scope: Scope, listing: Listing, now: float) -> None:
        """Read the whole of a list anew, whatever was shown where."""
        self._clear(scope)
        listing.restart(self._sizes.size, now)
        for name in listing.sought:
            place = self._place_of(name)
            if place is not None and place.scope == scope:
                self._place(name, None)
        self._sweeps[scope.page(FRONT)] = None

    def _gather(self, now: float) -> None:
        """Look for the pages of executions that are read one by one because they were lost sight of.

        They are between the windows of a list, most of them beside what they have left.
        """
        if now < self._gather_from or len(self._scattered) < SCATTERED:
            return
        self._gather_from = now + self._look_again_s
        alone = self._strays | self._ids
        self._scattered = {name for name in self._scattered if name in alone and self._tracker.is_live(name)}
        for scope, listing in self._listings.items():
            if not listing.watched or not listing.newest_first or listing.sweep is not None or not listing.length:
                continue
            tasks = (None, scope.task_id)
            count = sum(scope.task_id is None or self._tracker.task_of(name) in tasks for name in self._scattered)
            if count > SCATTERED * ceil(listing.length / listing.size):
                self._restart(scope, listing, now)
                continue
            most = 1 + int(self._look_again_s * self._per_second / SEARCH_SHARE)
            for number in listing.between(min(count // SCATTERED, most), now):
                self._plan(scope.page(number), now)

    def _seek(self, listing: Listing, now: float) -> None:
        """Read by itself what a list showed before it was read anew, and has not shown since."""
        for name in listing.sought:
            place = self._place_of(name)
            if self._tracker.is_live(name) and (place is None or not self._is_read(place)):
                self._uncover(name, now)
        listing.sought.clear()

    def _is_read(self, page: ListPage) -> bool:
        """Return whether a page is still one that is read."""
        listing = self._listings.get(page.scope)
        return listing is not None and page.page in listing.windows

    def _cover(self, execution_id: str) -> None:
        """Read no longer by itself what a page shows."""
        self._strays.discard(execution_id)
        self._scattered.discard(execution_id)
        if execution_id in self._agenda:
            self._agenda.drop(execution_id)
            self._looked_at.pop(execution_id, None)

    def _uncover(self, execution_id: str, due: float, *, lost: bool = True) -> None:
        """Read by itself what no page shows together with others, or none is known to."""
        self._place(execution_id, None)
        if lost:
            self._scattered.add(execution_id)
        else:
            self._scattered.discard(execution_id)
        if execution_id not in self._ids:
            self._strays.add(execution_id)
        self._plan(execution_id, due)

    def _is_listed(self, execution_id: str) -> bool:
        """Return whether a list that is watched may show a live execution: its task may be unknown."""
        if not self._tracker.is_live(execution_id):
            return False
        lists = [scope.task_id for scope, listing in self._listings.items() if listing.watched]
        task_id = self._tracker.task_of(execution_id)
        return bool(lists) and (task_id is None or None in lists or task_id in lists)

    def _is_stray(self, execution_id: str, page: ListPage, read_at: float) -> bool:
        """Return whether an execution that a page showed before is shown by no other, as far as is known."""
        place = self._place_of(execution_id)
        if place == page:
            return True
        seen = self._tracker.seen_at(execution_id)
        return not (place is not None and self._is_read(place)) and seen is not None and seen[0] <= read_at

    def _is_overlooked(self, execution_id: str, window: Window) -> bool:
        """Return whether an execution has not shown since some reads in a row, of which each has cut a part off."""
        record = self._tracker.record(execution_id)
        return record is None or (len(window.cut) > LOOKED_FOR and record.seen_sent < window.cut[0])

    def _place_strays(self, listing: Listing, page: ListPage, strays: list[str], now: float) -> None:
        """Look for executions that have left a page: new ones push them to the next; else one by one."""
        delay_s = 0.0
        if strays and page.status is None and listing.newest_first:
            self._plan(page.at(listing.behind(page.page, now)), now)
            delay_s = 2 * self._interval_s  # the next page may show them before
        for name in strays:
            if self._tracker.is_live(name):
                self._uncover(name, now + delay_s)
            else:
                self._place(name, None)
                if name in self._ids and name not in self._in_flight:
                    self._plan_single(name, now, now)

    def _walk_on(self, listing: Listing, page: ListPage, begin: int, now: float) -> None:
        """Read a list once more, a page now and then: what was passed over while it moved is found some time."""
        listing.patrol = listing.make(begin, now)
        self._plan(page.at(listing.patrol), now + PATROL * len(self._listings) / self._per_second)

    def _clear(self, scope: Scope) -> None:
        """Take back whatever is to be read of a list."""
        self._sizes.forget(scope)
        for target in self._agenda:
            if isinstance(target, ListPage) and target.scope == scope:
                self._agenda.drop(target)
        self._sweeps = {target: None for target in self._sweeps if target.scope != scope}
        self._full_at.pop(scope.page(FRONT), None)

    def _drop_list(self, scope: Scope) -> None:
        listing = self._listings.pop(scope, None)
        if listing is None:
            return
        self._clear(scope)
        for window in listing.windows.values():
            for name in window.members:
                place = self._place_of(name)
                if place is None or place.scope != scope:
                    continue
                if name in self._ids or self._is_listed(name):
                    self._uncover(name, window.read_at + 2 * self._interval_s)
                else:
                    self._place(name, None)
        for name in [name for name in self._strays if name not in self._ids and not self._is_listed(name)]:
            self._let_go(name)
