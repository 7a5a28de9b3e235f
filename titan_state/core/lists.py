"""Lists: which lists are read, and how executions go between their pages and reads by themselves. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from titan_state.core.listing import FRONT, Listing
from titan_state.core.reads import ListPage, Scope
from titan_state.core.singles import Singles
from titan_state.core.sizes import Sizes

if TYPE_CHECKING:
    from titan_state.core.tracker import Tracker


RECHECK_LAGS: Final = 2
"""After how many replica lags, at the earliest, a page is read again that shows only executions that have finished."""

SWEEP_LAGS: Final = 6
"""After how many replica lags a list is swept again that does not show new executions first."""


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

    def _listing(self, scope: Scope) -> Listing:
        listing = self._listings.get(scope)
        if listing is None:
            listing = self._listings[scope] = Listing(self._sizes.size, newest_first=self._newest_first)
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
        for number in listing.windows:
            self._agenda.drop(scope.page(number))
        self._sweeps = {page: None for page in self._sweeps if page.scope != scope}
        listing.restart(self._sizes.size, now)
        self._sweeps[scope.page(FRONT)] = None

    def _seek(self, listing: Listing, now: float) -> None:
        """Read by itself what no page of a list shows any more that was read anew."""
        for name in listing.sought:
            place = self._place_of(name)
            if self._tracker.is_live(name) and (place is None or not self._is_read(place)):
                self._uncover(name, now)
        listing.sought = set()

    def _is_read(self, page: ListPage) -> bool:
        """Return whether a page is still one that is read."""
        listing = self._listings.get(page.scope)
        return listing is not None and page.page in listing.windows

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

    def _is_listed(self, execution_id: str) -> bool:
        """Return whether a list that is watched may show a live execution: its task may be unknown."""
        if not self._tracker.is_live(execution_id):
            return False
        lists = [scope.task_id for scope, listing in self._listings.items() if listing.watched]
        task_id = self._tracker.task_of(execution_id)
        return bool(lists) and (task_id is None or None in lists or task_id in lists)

    def _drop_list(self, scope: Scope) -> None:
        listing = self._listings.pop(scope, None)
        if listing is None:
            return
        for target in self._agenda:
            if isinstance(target, ListPage) and target.scope == scope:
                self._agenda.drop(target)
        self._sweeps = {target: None for target in self._sweeps if target.scope != scope}
        self._full_at.pop(scope.page(FRONT), None)
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
