"""Record: what the tracker keeps of one execution, and the little that only a few executions need.

A hundred thousand live executions are a hundred thousand records, so a record is small, times are floats, and what
is rare (a suspicion, an action under way, an open anomaly) hangs on one reference that is usually None. This module
holds state; what it means is decided in the tracker.
"""

from __future__ import annotations

from collections import deque
from datetime import UTC, datetime
from functools import lru_cache
from math import inf, isnan, nan
from sys import intern
from typing import TYPE_CHECKING, Any, Final

import attrs

from titan_state.core.execution import ALIASES, Execution, number_of, text_of, time_of
from titan_state.core.redaction import redacted

if TYPE_CHECKING:
    from collections.abc import Mapping

    from titan_state.core.anomalies import AnomalyKind
    from titan_state.core.lifecycle import Action
    from titan_state.core.planning.reads import ListPage
    from titan_state.core.tracking.timers import Bucket

UNSEEN: Final = ""
"""The status of a record whose execution has not been seen in any status of the model."""

LONGEST_DATE: Final = 32
"""How many characters a date has at most, with microseconds and a time zone; what is longer is not kept."""


class Former(float):
    """When work began of an execution that is in a later stay since (`Record.is_back`); NaN where that is not known.

    The kind of the number tells it: a further field would cost each of a hundred thousand records.
    """

    __slots__ = ()


@attrs.define(eq=False, weakref_slot=False)
class Suspicion:
    """A status that contradicts the record and waits for confirmation.

    Attributes:
        status: The status that was read; None for an answer that the execution does not exist (404).
        sent_at: When the first read that said so was sent.
        received_at: When its answer was received.
    """

    status: str | None
    sent_at: float
    received_at: float


@attrs.define(eq=False, weakref_slot=False)
class Intent:
    """A control action of ours that may still explain a change.

    Attributes:
        action: The action.
        sent_at: When it was about to be sent.
        accepted_at: When the service accepted it; None while that is open or unknown.
        shown: Whether the execution has since entered a status to which the action leads.
        doubted: Whether it was said that no answer came.
    """

    action: Action
    sent_at: float
    accepted_at: float | None = None
    shown: bool = False
    doubted: bool = False


@attrs.define(eq=False, weakref_slot=False)
class Flip:
    """A move between statuses that lead to each other, explained by an action, that a lagging replica may have feigned.

    Attributes:
        left: The status that was left.
        intents: The intents that the move used up: they are due again if it turns out not to have happened.
    """

    left: str
    intents: list[Intent]


@attrs.define(eq=False, weakref_slot=False)
class Awaited:
    """What is known of results that are waited for.

    Attributes:
        since: When the execution was seen to have succeeded.
        seen_absent: When the last look was sent that did not find them; None if there was none.
        due: When the next look is due; infinity while one is under way.
        here_since: Since when this process waits for them.
        is_late: Whether looks were later than they should have been, so that how late results are is not seen.
    """

    since: float
    seen_absent: float | None = None
    due: float = inf
    here_since: float = -inf
    is_late: bool = False


@attrs.define(eq=False, weakref_slot=False)
class Rare:
    """What few records need.

    Attributes:
        suspicion: The contradiction that waits for confirmation.
        intents: Actions that may still explain a change, oldest first.
        flip: The last move, while it may have been feigned: until a read beyond the lag agrees with it.
        flips: When the execution flipped without an action of ours, within the flapping window.
        open: The anomalies that are raised and not yet cleared, with the time of each.
        settles_at: After a forced move: any other status is held if its read was sent before this time. It stays,
            because an answer may arrive however late, and the model no longer orders it.
        odd_since: When the latest read was sent that showed a status outside the model; None once that has ended.
        odd: That status.
        odd_again_from: After it has ended: a read that was sent before this time may still show it, from a lagging
            replica. It stays, as `settles_at` does.
        is_late: Whether the time of a rule has come, and a read is to show first that it applies.
        awaited: The results, while they are waited for.
    """

    suspicion: Suspicion | None = None
    intents: list[Intent] = attrs.field(factory=list)
    flip: Flip | None = None
    flips: deque[float] = attrs.field(factory=deque)
    open: dict[AnomalyKind, datetime] = attrs.field(factory=dict)
    settles_at: float = -inf
    odd_since: float | None = None
    odd: str = ""
    odd_again_from: float = -inf
    is_late: bool = False
    awaited: Awaited | None = None

    def is_empty(self) -> bool:
        """Return whether nothing in here matters any more."""
        return (
            self.suspicion is None
            and not self.intents
            and self.flip is None
            and not self.flips
            and not self.open
            and self.settles_at == -inf
            and self.odd_since is None
            and self.odd_again_from == -inf
            and not self.is_late
            and self.awaited is None
        )


@attrs.define(eq=False, weakref_slot=False)
class Record:
    """What is kept of one execution. Times are seconds on the tracker's clock, dates are seconds since 1970.

    Attributes:
        id: The execution's id.
        status: The status of the model that it is in, `UNSEEN` before it was seen in one.
        task_id: The task that it is a run of.
        phase: The phase last reported.
        progress: The progress last reported.
        created_at: When it was created, by the service's clock.
        updated_at: When it was last changed, as the service wrote it: every look compares it, and few read it.
        started_at: When work began, by the service's clock; a `Former` of one that `is_back`.
        seq: The number of its last event.
        since: When the answer was received that showed the present status first.
        seen_sent: When the latest read was sent that showed the present status.
        seen_received: When its answer was received.
        armed: The timer that is set for it.
        rare: What few records need.
        final: The snapshot that showed it finished.
        place: The page of a list that shows it, for the planner.
    """

    id: str
    status: str = UNSEEN
    task_id: str | None = None
    phase: str | None = None
    progress: float | None = None
    created_at: float | None = None
    updated_at: str | None = None
    started_at: float | None = None
    seq: int = 0
    since: float = -inf
    seen_sent: float = -inf
    seen_received: float = -inf
    armed: Bucket | None = None
    rare: Rare | None = None
    final: Execution | None = None
    place: ListPage | None = None

    def look(self, execution: Execution, sent_at: float, received_at: float) -> None:
        """Take over what a read says beside the status, unless a later read was taken over already."""
        if sent_at < self.seen_sent:
            return
        self.seen_sent = sent_at
        self.seen_received = received_at
        if execution.progress != self.progress:
            self.progress = small(execution.progress)
        if execution.phase != self.phase:
            self.phase = None if execution.phase is None else _once(execution.phase)
        if execution.updated_at is not None and execution.updated_at != time_of(self.updated_at):
            self.updated_at = execution.updated_at.isoformat()

    def glance(self, payload: Mapping[str, Any], sent_at: float, received_at: float) -> None:
        """Do as `look`, with the JSON of an execution."""
        # The hot path: every read of an unchanged execution on a page ends here, and what is as it was is not decoded.
        if sent_at < self.seen_sent:
            return
        self.seen_sent = sent_at
        self.seen_received = received_at
        progress = payload.get("progress")
        if progress != self.progress:
            self.progress = small(number_of(progress))
        phase = payload.get("phase")
        if phase != self.phase:
            phase = text_of(phase)
            self.phase = None if phase is None else _once(phase)
        updated_at = payload.get("updated_at")
        if updated_at is None or updated_at != self.updated_at:
            self._date(payload)

    def _date(self, payload: Mapping[str, Any]) -> None:
        """Take over when it was last changed: the first date that can be read."""
        for alias in ALIASES["updated_at"]:
            moment = time_of(payload.get(alias))
            if moment is not None:
                text = str(payload[alias])
                self.updated_at = text if len(text) <= LONGEST_DATE else moment.isoformat()
                return

    def identify(self, execution: Execution) -> None:
        """Take over what does not change in an execution's life, or once at most."""
        if execution.task_id is not None:
            self.task_id = intern(execution.task_id)  # tasks are few, and executions many
        if execution.created_at is not None:
            self.created_at = execution.created_at.timestamp()
        if execution.started_at is not None:
            started_at = execution.started_at.timestamp()
            self.started_at = Former(started_at) if self.is_back else started_at

    def snapshot(self) -> Execution | None:
        """Return what is known of the execution, None if it was never seen.

        While it lives, fields that the tracker does not keep (`error`, `extra`) are empty. One that was only seen in a
        status outside the model is shown in that.
        """
        if self.final is not None:
            return self.final
        status = self.status
        if status == UNSEEN and self.rare is not None:
            status = self.rare.odd
        if not status:
            return None
        return Execution(
            id=self.id,
            status=status,
            task_id=self.task_id,
            created_at=_moment(self.created_at),
            updated_at=time_of(self.updated_at),
            started_at=_moment(self.began_work_at),
            phase=self.phase,
            progress=None if self.progress is None else float(self.progress),
        )

    @property
    def began_work_at(self) -> float | None:
        """When work began, by the service's clock; None if that is not known."""
        date = self.started_at
        return None if date is None or isnan(date) else float(date)

    @property
    def is_back(self) -> bool:
        """Whether it came to its status from another than the first one: no date of the service says since when."""
        return isinstance(self.started_at, Former)

    @is_back.setter
    def is_back(self, is_so: bool) -> None:
        date = self.began_work_at
        self.started_at = Former(nan if date is None else date) if is_so else date

    def uncommon(self) -> Rare:
        """Return the place for what few records need, made if it is not there."""
        if self.rare is None:
            self.rare = Rare()
        return self.rare

    def has_open(self, kind: AnomalyKind) -> bool:
        """Return whether an anomaly of this kind is raised and not yet cleared."""
        return self.rare is not None and kind in self.rare.open


@lru_cache(maxsize=1024)
def _once(text: str) -> str:
    """Return the same object for equal texts, without credentials: phases are few, and executions many."""
    return redacted(text)


def small(number: float | None) -> float | None:
    """Return the same number, a whole one as an integer: small ones are the same object, and executions many."""
    return int(number) if isinstance(number, float) and number.is_integer() else number


def _moment(seconds: float | None) -> datetime | None:
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC)
