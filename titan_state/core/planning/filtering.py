"""Filtering: lists of a single status, where the service is seen to honour that, and little changes.

Whether lists take a status is not documented. Where many pages show few live executions each, one request asks for
those of the commonest live status only. If the answer shows no other status, the executions are read there, on fewer
pages; the list that shows all is read on for what is new. What has left such a list costs one read by itself to know
where it went, so this is worth it only while changes are rare against the requests. It is given up where the service
proves not to honour it: another status shows, it refuses, or executions are missing that are still in the status. Pure.
"""

from __future__ import annotations

from collections import Counter
from math import ceil, inf
from typing import TYPE_CHECKING, Any, Final

import attrs

from titan_state.core.planning.listing import FRONT
from titan_state.core.planning.paging import Paging
from titan_state.core.planning.reads import Scope

if TYPE_CHECKING:
    from collections.abc import Collection

    from titan_state.core.planning.listing import Listing
    from titan_state.core.planning.reads import ListPage
    from titan_state.core.planning.window import Shown, Window

RARE: Final = 1 / 3
"""A list of one status is read while no more than so many changes are expected for each read."""

TOO_MANY: Final = 1 / 2
"""It is read no longer when there are so many."""

FEWER: Final = 2
"""It has to take so many times fewer pages, and one, than the list that shows all."""

WRONG: Final = 5
"""How many executions more may be missing from it, and still be in its status, than have left it indeed."""

FAILED: Final = 2
"""After how many failures in a row it is let go; it is tried again later, unless the service refuses it."""

NEAR: Final = 3
"""How many pages at the beginning of a list are taken to show what is new."""

COUNTED: Final = 1000
"""At so many executions the count of statuses is halved: what is common changes."""


class Filtering(Paging):
    """Lists of which some are of a single status."""

    def __init__(self, *arguments: Any, filters: bool, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._filters = filters
        self._filter_from = -inf
        self._filter_failures = 0
        self._census: Counter[str] = Counter()
        self._left: dict[str, tuple[Scope, float]] = {}  # what has left which list, and since when
        self._wrong = 0

    def _consider_filters(self, now: float) -> None:
        """Begin to read lists of one status where that is worth it, and end it where it is not any more."""
        if not self._filters or now < self._filter_from or not self._census:
            return
        self._filter_from = now + self._look_again_s
        status = max(self._census, key=self._census.__getitem__)
        for plain, listing in [*self._listings.items()]:
            if plain.status is not None:
                continue
            scopes = [scope for scope in self._listings if scope.task_id == plain.task_id]
            windows = [window for scope in scopes for window in self._listings[scope].windows.values()]
            rate = 1.0 / self._tracker.outlook.durations.curve(None, status).scale
            changes = rate * sum(window.live for window in windows) / self._per_second
            filtered = plain._replace(status=status)
            if len(scopes) > 1 and changes > TOO_MANY:
                self._give_back(plain)
            elif len(scopes) == 1 and changes <= RARE and self._is_thin(listing):
                self._listing(filtered).newest_first = False  # what is on it moves both ways: no reckoning
                self._sweeps[filtered.page(FRONT)] = None

    @staticmethod
    def _is_thin(listing: Listing) -> bool:
        """Return whether a list that was read to its end shows live executions on many more pages than they fill."""
        if not listing.watched or not listing.newest_first or listing.sweep is not None:
            return False
        living = [window.live for window in listing.windows.values() if window.live]
        return len(living) > FEWER * ceil(sum(living) / listing.size) + 1

    def page_read(self, target: ListPage, shown: Shown, *, sent_at: float, now: float) -> bool:
        """Take in what a page showed; see `Paging.page_read`. A list of one status never ends a sweep over all."""
        if target.status is None:
            self._count_statuses(shown)
            return super().page_read(target, self._with_news(target, shown), sent_at=sent_at, now=now)
        self._filter_failures = 0
        listing = self._listings.get(target.scope)
        is_first = listing is not None and not listing.windows
        if shown.strangers or (is_first and not shown.count):
            self._in_flight.pop(target, None)
            self._give_filters_up()
            self._agenda.settle(target)
        else:
            super().page_read(target, attrs.evolve(shown, total=None), sent_at=sent_at, now=now)
        return False

    def read(self, execution_id: str, now: float) -> None:
        """Take in that an execution was read by itself; see `Singles.read`."""
        scope, since = self._left.pop(execution_id, (None, now))
        super().read(execution_id, now)
        if scope is None:
            return
        if not self._tracker.is_live(execution_id) or self._tracker.status(execution_id) != scope.status:
            self._wrong = max(0, self._wrong - 1)
        elif now - since < self._tracker.thresholds.replica_lag_s:
            self._left[execution_id] = scope, since  # the answer may be older than the list
        else:
            self._wrong += 1
            if self._wrong >= WRONG:
                self._give_filters_up()

    def _filter_failed(self, *, refused: bool) -> bool:
        """Take in that a list of one status could not be read; return whether that ends it."""
        self._filter_failures += 1
        if not refused and self._filter_failures < FAILED:
            return False
        self._drop_filters()
        self._filters = self._filters and not refused  # what fails otherwise may be an outage: it is tried again
        return True

    def _give_filters_up(self) -> None:
        self._filters = False
        self._drop_filters()

    def _drop_filters(self) -> None:
        for scope in [scope for scope in self._listings if scope.status is not None]:
            self._drop_list(scope)

    def _count_statuses(self, shown: Shown) -> None:
        for name in shown.ids:
            record = self._tracker.record(name)
            if record is not None and self._tracker.is_live(name):
                self._census[record.status] += 1
        if self._census.total() > COUNTED:
            self._census = Counter({status: count // 2 for status, count in self._census.items()})

    def _with_news(self, target: ListPage, shown: Shown) -> Shown:
        """Return what a page showed, with what a list of one status has shown before counted as new to this one."""
        listing = self._listings.get(target.scope)
        near = NEAR * (shown.offset + shown.asked)
        if listing is None or shown.offset >= NEAR * shown.asked or len(self._listings) == 1 or not shown.names:
            return shown
        known = {name for window in listing.windows.values() if window.offset <= near for name in window.members}

        def is_new(name: str) -> bool:
            place = self._place_of(name)
            return place is not None and place.status is not None and name not in known

        fresh = shown.fresh
        while fresh < len(shown.names) and is_new(shown.names[fresh]):
            fresh += 1
        return attrs.evolve(shown, fresh=fresh, ends_new=shown.ends_new or is_new(shown.names[-1]))

    def _missing(self, listing: Listing, page: ListPage, former: Window, shown: Collection[str]) -> list[str]:
        """Return what is on a list of one status no more, of what a window of it showed; keep what may be beside it.

        What came or went before the window has moved others over its edges. What is missing between two that are
        shown has left; at an edge it has if the window beside that edge, read since it was missed, does not show it.
        """
        if page.status is None:
            return super()._missing(listing, page, former, shown)
        there = [place for place, name in enumerate(former.members) if name in shown]
        first, last = (there[0], there[-1]) if there else (len(former.members), -1)
        gone: list[str] = []
        before: list[str] = []
        behind: list[str] = []
        for place, name in enumerate(former.members):
            if name in shown:
                continue
            record = self._tracker.record(name)
            if record is None or record.place != page:
                continue  # it shows elsewhere
            edge = page.at(page.page - 1 if place < first else page.page + 1)
            beside = listing.windows[edge.page].read_at if self._is_reread(edge) else inf
            is_missed = record.seen_sent < former.read_at
            is_not_beside = beside == inf or (is_missed and beside > former.read_at)
            kept = before if place < first else behind
            (gone if first < place < last or is_not_beside else kept).append(name)
        window = listing.windows[page.page]
        window.members = (*before, *window.members, *behind)
        return gone

    def _is_reread(self, page: ListPage) -> bool:
        return self._is_read(page) and (page in self._agenda or page in self._in_flight)

    def _go_on(self, listing: Listing, target: ListPage, shown: Shown, now: float, *, last: bool, worth: bool) -> bool:
        if target.status is None:
            return super()._go_on(listing, target, shown, now, last=last, worth=worth)
        if not last and target.page + 1 not in listing.windows:
            self._sweeps[target.at(listing.following(target.page, shown))] = None
        return False

    def _place_strays(self, listing: Listing, page: ListPage, strays: list[str], now: float) -> None:
        if page.status is not None:
            self._left.update(dict.fromkeys(strays, (page.scope, now)))
        super()._place_strays(listing, page, strays, now)

    def _drop_list(self, scope: Scope) -> None:
        if scope.status is None:
            self._give_back(scope)
        else:
            self._hand_back(scope)
        super()._drop_list(scope)
        self._left = {name: left for name, left in self._left.items() if left[0] in self._listings}

    def _give_back(self, plain: Scope) -> None:
        """Read what a list shows on that list alone."""
        for scope in [scope for scope in self._listings if scope.task_id == plain.task_id and scope != plain]:
            self._drop_list(scope)

    def _hand_back(self, scope: Scope) -> None:
        """Let the list that shows all show again what a list of one status did."""
        plain = Scope(scope.task_id)
        listing = self._listings.get(plain)
        for number, window in () if listing is None else listing.windows.items():
            page = plain.page(number)
            if not self._is_reread(page):
                continue
            for name in window.members:
                place = self._place_of(name)
                if place is not None and place.scope == scope:
                    self._place(name, page)
