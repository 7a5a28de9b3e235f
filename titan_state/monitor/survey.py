"""Survey: what a monitor knows and how it fares, at one moment, for boards, also of other programs of this machine.

It looks; it sends nothing and changes nothing.
"""

from __future__ import annotations

import secrets
from heapq import nsmallest
from math import inf
from typing import TYPE_CHECKING, Any, Final

import attrs

from titan_state.client.silence import Silence
from titan_state.core.anomalies import AnomalyKind
from titan_state.core.lifecycle import Action, Verdict
from titan_state.core.tracking.sights import Sight

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from titan_state.client.service import TaskService
    from titan_state.clock import Clock
    from titan_state.core.execution import Execution
    from titan_state.core.planning.explanation import Explanation
    from titan_state.core.tracker import Tracker
    from titan_state.monitor.watches import Watches

MOST_TASKS: Final = 20
"""How many of the tasks that are watched are named."""

MOST_NOTED: Final = 20_000
"""How many executions that are not kept in full are told of at once, the latest ones."""

MOST_LIVE: Final = 50_000
"""How many executions that are kept in full are told of at once: with an open anomaly first, then the latest."""

Mark = tuple[str, float, int]
"""Where a survey of which run of a monitor ends: what has changed since is in the next one."""


@attrs.frozen(kw_only=True)
class Watched:
    """What a monitor watches.

    Attributes:
        everything: Whether it watches all executions.
        tasks: The tasks that it watches, `MOST_TASKS` of them at most.
        task_count: How many there are.
        id_count: How many executions it watches by their ids.
    """

    everything: bool
    tasks: tuple[str, ...]
    task_count: int
    id_count: int


@attrs.frozen(kw_only=True)
class Survey:
    """What a monitor knows and how it fares. Dates are seconds since 1970.

    Attributes:
        run: Tells apart the runs of monitors.
        at: The time on the monitor's clock.
        noted: How many executions it has let go, or adopted as finished, in all.
        is_whole: Whether all executions are in it, not only those that were seen since the last one.
        sights: What is known of executions.
        left_out: How many there are beside them, for which there is no room, where it is whole.
        watched: What the monitor watches.
        answered: When the service last gave a good answer; None if it never did.
        blind_since: Since when the monitor is blind; None while it sees.
        dark_s: For how many seconds requests have had no good answer.
        limit: The most requests in a minute, None if there is no limit.
        left: How many requests may still be sent in the present minute; None if there is no limit.
        spent: How many were sent in the past minute.
        requests: How many were sent in all.
        throttled: How many of them were answered by 429.
        delay_s: How long after a change it is noticed on average; None if nothing is read in turn.
        per_minute: How many reads the plan reckons with in a minute.
        pages: How many pages of lists are read in turn.
        singles: How many executions are read by themselves in turn.
    """

    run: str
    at: float
    noted: int
    is_whole: bool
    sights: tuple[Sight, ...]
    left_out: int
    watched: Watched
    answered: float | None
    blind_since: float | None
    dark_s: float
    limit: int | None
    left: int | None
    spent: int
    requests: int
    throttled: int
    delay_s: float | None
    per_minute: float
    pages: int
    singles: int

    @property
    def mark(self) -> Mark:
        """Where it ends: the `after` of the next survey."""
        return self.run, self.at, self.noted

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON types."""
        shown = {field.name: getattr(self, field.name) for field in attrs.fields(type(self))}
        return shown | {"sights": [one.row() for one in self.sights], "watched": attrs.asdict(self.watched)}

    @classmethod
    def from_dict(cls, shown: dict[str, Any]) -> Survey:
        """Return the survey of which `to_dict` was made.

        Args:
            shown: What `to_dict` returned.
        """
        known = {field.name: shown[field.name] for field in attrs.fields(cls)}  # a later version may tell more
        watched = Watched(**known["watched"] | {"tasks": tuple(known["watched"]["tasks"])})
        return cls(**known | {"sights": tuple(map(Sight.of_row, known["sights"])), "watched": watched})


@attrs.frozen
class Known:
    """What a monitor knows of one execution.

    Attributes:
        execution: The execution as it was last seen; None if it is not kept in full.
        sight: The same in few words; None if nothing is known of it.
        verdicts: Whether each control action is legal, by what is known.
        results: What is known of its results: `awaited`, `overdue`, or nothing.
    """

    execution: Execution | None
    sight: Sight | None
    verdicts: dict[str, Verdict]
    results: str = ""

    def to_dict(self) -> dict[str, Any]:
        """Return it as what can be sent to another program."""
        return attrs.asdict(self, recurse=False) | {"sight": None if self.sight is None else self.sight.row()}

    @classmethod
    def from_dict(cls, shown: dict[str, Any]) -> Known:
        """Return what `to_dict` was made of.

        Args:
            shown: What `to_dict` returned.
        """
        known = {field.name: shown[field.name] for field in attrs.fields(cls)}
        return cls(**known | {"sight": None if known["sight"] is None else Sight.of_row(known["sight"])})


class Surveyor:
    """Makes surveys of a monitor."""

    def __init__(
        self,
        service: TaskService,
        tracker: Tracker,
        watches: Watches,
        clock: Clock,
        *,
        explain: Callable[[], Explanation],
    ) -> None:
        """Make one.

        Args:
            service: Counts requests, and has the budget.
            tracker: Knows the executions.
            watches: Know what is watched.
            clock: The time.
            explain: Tells what delay to expect.
        """
        self._service = service
        self._tracker = tracker
        self._watches = watches
        self._clock = clock
        self._explain = explain
        self._run = secrets.token_hex(4)
        self._silence = Silence(service.statistics, now=clock.time)

    def survey(self, after: Mark | None, ids: Collection[str]) -> Survey:
        """Return what is known; see `Monitor.survey`."""
        now, tracker = self._clock.time(), self._tracker
        covers = self._watches.covers
        is_whole = after is None or after[0] != self._run
        since, noted = (-inf, 0) if after is None or is_whole else after[1:]
        found = {one.id: one for one in tracker.sights(since)}
        found |= {name: one for name in ids if name not in found and (one := tracker.sight(name)) is not None}
        noted = min(noted, tracker.noted)
        notes = [one for one in tracker.sights_of_notes(noted, most=MOST_NOTED) if covers(one.id, one.task_id)]
        sights = [one for one in found.values() if covers(one.id, one.task_id)]
        left_out = max(0, len(sights) - MOST_LIVE) + max(0, tracker.noted - noted - MOST_NOTED)
        if len(sights) > MOST_LIVE:
            sights = nsmallest(MOST_LIVE, sights, key=lambda one: (not one.anomalies, one.is_over, -(one.since or 0.0)))
        budget, statistics, explanation = self._service.budget, self._service.statistics, self._explain()
        tasks = [task for task in self._watches.lists if task is not None]
        return Survey(
            run=self._run,
            at=now,
            noted=tracker.noted,
            is_whole=is_whole,
            sights=(*sights, *notes),
            left_out=left_out if is_whole else 0,
            watched=Watched(
                everything=None in self._watches.lists,
                tasks=tuple(tasks[:MOST_TASKS]),
                task_count=len(tasks),
                id_count=len(self._watches.ids),
            ),
            answered=None if tracker.answered_at is None else tracker.answered_at.timestamp(),
            blind_since=None if tracker.blind_since is None else tracker.blind_since.timestamp(),
            dark_s=self._silence.dark_s(),
            limit=budget.limit,
            left=None if budget.limit is None else budget.remaining(now),
            spent=budget.spent(now),
            requests=statistics.requests,
            throttled=statistics.throttled,
            delay_s=explanation.expected_delay_s,
            per_minute=explanation.per_minute,
            pages=explanation.pages,
            singles=explanation.singles,
        )

    def known(self, execution_id: str) -> Known:
        """Return what is known of one execution; see `Monitor.known`."""
        tracker = self._tracker
        execution = tracker.snapshot(execution_id)
        sight = tracker.sight(execution_id)
        status = tracker.last_status(execution_id)
        if execution is None and status is not None:
            verdicts = {str(action): tracker.lifecycle.verdict(status, action) for action in Action}
        elif execution is None:
            reason = "nothing is known of it: watch it first"
            verdicts = {str(action): Verdict(allowed=False, reason=reason) for action in Action}
        else:
            verdicts = {str(action): tracker.check(execution_id, action) for action in Action}
        results = ""
        if AnomalyKind.RESULTS_OVERDUE in tracker.open_anomalies(execution_id):
            results = "overdue"
        elif tracker.results.is_awaited(execution_id):
            results = "awaited"
        return Known(execution, sight, verdicts, results)
