"""A reference world: the true life of one execution, and a service that shows it late, out of order, or not at all.

It knows nothing of the tracker: what truly happened is decided before anybody reads. A reader then polls it, and reads
again what awaits confirmation, as the monitor does. The service's dates (`updated_at`) may be missing, or lie.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from enum import Enum
from itertools import cycle, pairwise

import attrs
from reborn import Store

from titan_state import Action, Execution, Lifecycle, Tracker
from titan_state.core.events import Event
from titan_state.core.lifecycle import Move

NAME = "e"
LAG_S = 5.0
"""What the tracker is told; answers lag a little less."""
SHOWN_LAG_S = 4.9
EVIDENT_S = 30.0
"""What lasts that long has been seen, whatever way the reads go."""
LIFECYCLE = Lifecycle.default()
EXTENDED = LIFECYCLE.extend(
    statuses=["pausing"],
    moves=[
        Move("pause", "running", "pausing", Action.PAUSE),
        Move("settle", "pausing", "paused"),
        Move("auto_pause", "running", "paused"),
        Move("auto_resume", "paused", "running"),
        Move("expire", "queued", "cancelled"),
    ],
    without=["pause"],
)
"""Pausing takes a while, and the platform also pauses, resumes and cancels by itself."""


class Dates(Enum):
    """What the service says of when an execution was last changed."""

    TRUE = "true"
    MISSING = "missing"
    CONSTANT = "constant"
    AHEAD = "ahead"  # of the answer, by a clock that is ahead, and not of the change
    BACKWARD = "backward"  # a clock that runs backwards

    def of(self, changed_at: float, received_at: float) -> datetime | None:
        """Return the date that an answer bears."""
        seconds = {
            Dates.TRUE: int(changed_at),
            Dates.CONSTANT: 0,
            Dates.AHEAD: 1000 + int(received_at),
            Dates.BACKWARD: 1000 - int(changed_at),
        }.get(self)
        return None if seconds is None else datetime.fromtimestamp(seconds, UTC)


@attrs.frozen
class Step:
    """Something that happens to the execution by itself, `gap` seconds after the step before it.

    Attributes:
        gap: The seconds since the step before.
        status: The status that it enters, None if it is deleted.
    """

    gap: float
    status: str | None


@attrs.frozen
class Order:
    """A control action of ours, sent `gap` seconds after the step before it.

    Attributes:
        gap: The seconds since the step before.
        action: The action.
        effect_s: How long it takes until it takes effect, if the status allows it then; None if it never does.
        answer_s: How long the answer takes.
        answer: What the answer is: `accepted`, `refused` or `unknown`.
    """

    gap: float
    action: Action
    effect_s: float | None
    answer_s: float
    answer: str


@attrs.frozen
class Look:
    """How one read goes: sent `gap` seconds after the one before it, answered after `takes_s`.

    Attributes:
        gap: The seconds since the read before.
        takes_s: How long the answer takes.
        shows: Which truth it shows: 0 the oldest that a lagging replica may have, 1 that of when it is received.
    """

    gap: float
    takes_s: float
    shows: float


@attrs.define
class Truth:
    """The true life of the execution: when it entered which status."""

    lifecycle: Lifecycle
    changes: list[tuple[float, str | None]] = attrs.field(factory=lambda: [(0.0, "queued")])
    idle: bool = False
    """Whether an accepted action had no effect, or one that the platform undid before it had to be seen."""

    def at(self, time: float) -> tuple[float, str | None]:
        """Return the last change before `time`; the first one for any time before that."""
        return [change for change in self.changes if change[0] <= max(time, 0.0)][-1]

    def statuses(self) -> list[str]:
        """Return all statuses in their order."""
        return [status for _, status in self.changes if status is not None]

    def illegal(self) -> int:
        """Return how many changes no path explains."""
        return sum(self.lifecycle.path(source, dest) is None for source, dest in pairwise(self.statuses()))


def live(lifecycle: Lifecycle, script: list[Step | Order], *, law: bool) -> Truth:
    """Return what truly happens. Actions take effect in the order in which they were sent.

    Args:
        lifecycle: The model.
        script: What is to happen.
        law: Whether the platform skips what the model does not allow it to do.
    """
    due: list[tuple[float, int, Step | Order]] = []
    now = latest = 0.0
    for number, item in enumerate(script):
        now += item.gap
        if isinstance(item, Step):
            due.append((now, number, item))
        elif item.effect_s is not None and item.answer != "refused":
            latest = max(latest, now + item.effect_s)
            due.append((latest, number, item))
    truth = Truth(lifecycle)
    truth.idle = any(isinstance(item, Order) and item.answer == "accepted" and item.effect_s is None for item in script)
    acted: dict[Action, float] = {}
    for time, _, item in sorted(due, key=lambda entry: entry[:2]):
        status = truth.changes[-1][1]
        if isinstance(item, Order):
            verdict = lifecycle.verdict(status or "", item.action)
            if verdict.leads_to is not None:
                truth.changes.append((time, verdict.leads_to))
                acted[item.action] = time
            elif item.answer == "accepted":
                truth.idle = True
        elif item.status != status and (not law or _may_by_itself(lifecycle, status, item.status)):
            truth.changes.append((time, item.status))
            again = (action for action in acted if lifecycle.verdict(item.status or "", action))
            truth.idle |= any(time < acted[action] + EVIDENT_S for action in again)
    return truth


def _may_by_itself(lifecycle: Lifecycle, source: str | None, dest: str | None) -> bool:
    return any(move.source == source and move.dest == dest and move.action is None for move in lifecycle.moves)


class Reader:
    """Reads the world for a tracker, and tells it of our actions, until all has settled."""

    def __init__(
        self,
        tracker: Tracker,
        script: list[Step | Order],
        looks: list[Look],
        *,
        law: bool,
        dates: Dates = Dates.TRUE,
        restarts: Sequence[float] = (),
    ) -> None:
        """Make a reader.

        Args:
            tracker: What is fed.
            script: What is to happen.
            looks: How the reads go, over and over.
            law: Whether the platform skips what the model does not allow it to do.
            dates: What the service says of when something changed.
            restarts: When the tracker is lost, and another one goes on from what was saved. Answers to what was sent
                before do not arrive.
        """
        self.tracker = tracker
        self._store = Store()
        self._restarts = restarts
        self._born = -1.0
        self.truth = live(tracker.lifecycle, script, law=law)
        self._dates = dates
        self.events: list[Event] = []
        self._looks: Iterator[Look] = cycle(looks)
        self._script = script
        self._agenda: list[tuple[float, int, Callable[[float], list[Event]]]] = []
        self._count = 0
        self._confirming = False

    def run(self, *, settle_s: float = 8 * LAG_S) -> None:
        """Live through the script, then read every second until lags and confirmations are over."""
        self._plan_actions()
        if self._restarts:
            self.tracker.remember_changes()
        for time in self._restarts:
            self._at(time, self._restart)
        end = max(self.truth.changes[-1][0], sum(item.gap for item in self._script))
        sent_at = 0.0
        while sent_at < end:
            look = next(self._looks)
            sent_at += look.gap
            self._plan_read(sent_at, look)
        for second in range(int(settle_s)):
            look = next(self._looks)
            self._plan_read(end + second, attrs.evolve(look, takes_s=min(look.takes_s, 0.5)))
        while self._agenda:
            now, _, happen = heapq.heappop(self._agenda)
            assert now < end + 3 * settle_s, "what awaits confirmation is never done with"
            self.events += happen(now)
            self.events += self.tracker.tick(now)
            self._store.save(self.tracker)
            self._plan_confirmation(now)

    def _restart(self, now: float) -> list[Event]:
        self.tracker, events = self._store.restart(self.tracker, now)
        self._born, self._confirming = now, False
        return events

    def _at(self, time: float, happen: Callable[[float], list[Event]]) -> None:
        self._count += 1
        heapq.heappush(self._agenda, (time, self._count, happen))

    def _plan_actions(self) -> None:
        now = 0.0
        for item in self._script:
            now += item.gap
            if isinstance(item, Order):
                self._at(now, lambda at, item=item: self.tracker.action_sent(NAME, item.action, at=at))
                self._at(now + item.answer_s, lambda at, item=item, sent_at=now: self._answer(item, sent_at, at))

    def _answer(self, order: Order, sent_at: float, now: float) -> list[Event]:
        if sent_at < self._born:
            return []
        which = {} if order.answer == "unknown" else {"sent_at": sent_at}
        events: list[Event] = getattr(self.tracker, f"action_{order.answer}")(NAME, order.action, at=now, **which)
        return events

    def _plan_read(self, sent_at: float, look: Look, *, confirms: bool = False) -> None:
        received_at = sent_at + look.takes_s
        oldest = sent_at - SHOWN_LAG_S
        changed_at, status = self.truth.at(oldest + look.shows * (received_at - oldest))

        def answer(now: float) -> list[Event]:
            if sent_at < self._born:
                return []
            if confirms:
                self._confirming = False
            if status is None:
                return self.tracker.absent(NAME, sent_at=sent_at, received_at=now)
            updated_at = self._dates.of(changed_at, now)
            execution = Execution(NAME, status, updated_at=updated_at, created_at=_CREATED)
            return self.tracker.observe(execution, sent_at=sent_at, received_at=now)

        self._at(received_at, answer)

    def _plan_confirmation(self, now: float) -> None:
        due = self.tracker.needs_confirmation.get(NAME)
        if due is None or self._confirming:
            return
        self._confirming = True
        look = next(self._looks)
        self._plan_read(max(now, due), attrs.evolve(look, takes_s=min(look.takes_s, 2.0)), confirms=True)


_CREATED = datetime.fromtimestamp(0, UTC)
