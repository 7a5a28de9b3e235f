"""Singles: executions that are read one by one, and what goes ahead of them.

The part of the planner that knows no lists, but where one shows an execution. Pure.
"""

from __future__ import annotations

from math import inf
from typing import TYPE_CHECKING, Final

from titan_state.core.planning.agenda import Agenda
from titan_state.core.planning.reads import ListPage, Target

if TYPE_CHECKING:
    from collections.abc import Iterator

    from titan_state.core.tracker import Tracker
    from titan_state.core.tracking.outlook import Forecast

LOOK_AGAIN_LAGS: Final = 12
"""After how many replica lags an execution is read again that is absent, and the list is explored again."""

ROUNDS: Final = 16
"""How many rounds of all that is to be read pass at most between two looks at a live execution: the bound that keeps
what is unlikely to change from being forgotten."""

LONGEST_S: Final = 60.0
"""The same, at least, in seconds: where a round takes less, nothing is gained by more looks."""

DEFAULT_PER_SECOND: Final = 2.0
"""How many reads the budget is taken to allow per second, until it is told."""


class Singles:
    """Executions that are read one by one."""

    def __init__(self, tracker: Tracker, *, interval_s: float) -> None:
        self._tracker = tracker
        self._interval_s = interval_s
        self._look_again_s = max(interval_s, LOOK_AGAIN_LAGS * tracker.thresholds.replica_lag_s)
        self._per_second = DEFAULT_PER_SECOND
        self._agenda = Agenda()
        self._ids: set[str] = set()
        self._strays: set[str] = set()
        self._in_flight: dict[Target, float] = {}
        self._not_before: dict[str, float] = {}
        self._looked_at: dict[str, float] = {}

    # What is watched.

    def watch(self, execution_id: str, now: float) -> None:
        """Read an execution, soon and from then on."""
        self._ids.add(execution_id)
        self._plan(execution_id, now)

    def soon(self, execution_id: str, now: float) -> None:
        """Read an execution soon: something was done to it."""
        self._plan(execution_id, now)

    # What became of it.

    def read(self, execution_id: str, now: float) -> None:
        """Take in that an execution was read by itself, or that it answered 404."""
        sent_at = self._in_flight.pop(execution_id, now)
        self._hold(execution_id, now + self._interval_s)  # a read that settled nothing is not repeated at once
        if execution_id in self._ids or execution_id in self._strays:
            self._plan_single(execution_id, sent_at, now)
        self._agenda.settle(execution_id)

    # How it is kept.

    def _plan(self, target: Target, due: float) -> None:
        if target not in self._in_flight:
            self._agenda.at(target, due)

    def _plan_single(self, execution_id: str, sent_at: float, now: float) -> None:
        status = self._tracker.status(execution_id)
        if self._tracker.is_live(execution_id):
            if not self._is_covered(execution_id):
                self._share_single(execution_id, sent_at, now)
            return
        self._looked_at.pop(execution_id, None)
        self._agenda.drop(execution_id)
        if self._tracker.is_finished(execution_id):
            self._place(execution_id, None)
            if status is not None:
                self._share_finished(execution_id, sent_at, now)
            else:
                self._strays.discard(execution_id)
        elif status is not None or self._tracker.is_missing(execution_id):  # it has vanished, or never was
            if execution_id in self._ids:
                self._plan(execution_id, now + self._look_again_s)
            else:
                self._let_go(execution_id)  # its list shows it if it comes back
        else:
            self._plan(execution_id, now + self._interval_s)

    def _share_single(self, execution_id: str, sent_at: float, now: float) -> None:
        """Read a live execution by itself when that is worth it."""
        record = self._tracker.record(execution_id)
        if record is None or execution_id in self._in_flight:
            return
        before = self._looked_at.get(execution_id, sent_at)
        if before < sent_at:
            self._tracker.outlook.stayed(record, before, 1.0)
        self._looked_at[execution_id] = sent_at
        price = self._agenda.price(self._per_second)
        forecast = self._tracker.outlook.forecast((record,), now)
        self._share(execution_id, forecast, sent_at, price, self._longest_s(), self._interval_s)

    def _share_finished(self, execution_id: str, sent_at: float, now: float) -> None:
        """Read an execution that has finished again, in case it runs again: after as long again, or later."""
        record = self._tracker.record(execution_id)
        if record is None:
            return
        rate = self._tracker.outlook.revival_rate(record, now)
        forecast = self._tracker.outlook.forecast((), now, others=rate, others_from=sent_at)
        self._looked_at[execution_id] = sent_at
        least_s = max(2 * self._tracker.thresholds.replica_lag_s, sent_at - record.since)
        price = self._agenda.price(self._per_second)
        self._share(execution_id, forecast, sent_at, price, max(least_s, self._longest_s()), least_s)

    def _share(
        self, target: Target, forecast: Forecast, seen: float, price: float, longest_s: float, least_s: float
    ) -> None:
        """Let something share what the budget allows, by what is expected of it."""
        due, worth, scale = forecast.due(seen, price, longest_s)
        self._agenda.share(
            target,
            seen=seen,
            due=due,
            open_at=seen + least_s,
            worth=min(price, worth),
            scale=scale,
            latest=seen + max(longest_s, least_s),
        )

    def _longest_s(self) -> float:
        return max(LONGEST_S, ROUNDS * (len(self._agenda) + len(self._in_flight)) / self._per_second)

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

    def _let_go(self, execution_id: str) -> None:
        self._strays.discard(execution_id)
        self._agenda.drop(execution_id)
        self._not_before.pop(execution_id, None)
        self._looked_at.pop(execution_id, None)

    # Where it is listed.

    def _place(self, execution_id: str, page: ListPage | None) -> None:
        """Take down which page shows an execution."""
        record = self._tracker.record(execution_id)
        if record is not None:
            record.place = page

    def _place_of(self, execution_id: str) -> ListPage | None:
        record = self._tracker.record(execution_id)
        return None if record is None else record.place

    def _is_covered(self, execution_id: str) -> bool:
        """Return whether a page that is read shows an execution."""
        page = self._place_of(execution_id)
        return page is not None and (page in self._agenda or page in self._in_flight)
