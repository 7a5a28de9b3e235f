"""Outlook: when a live execution is likely to change, from its age, its task's past stays, and its progress.

It learns from what the tracker takes in, and answers the planner. Which request is worth it is decided there.
"""

from __future__ import annotations

from math import exp, inf, sqrt
from typing import TYPE_CHECKING, Final

from titan_state.core.tracking.durations import MOST_TASKS, Curve, Durations
from titan_state.core.tracking.state import ended_at

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

    from titan_state.core.execution import Execution
    from titan_state.core.tracking.record import Record

ACTION_RATE: Final = 0.5
"""How likely, per second, an execution changes while an action of ours is about to take effect."""

ACTION_BOOST_S: Final = 30.0
"""For how many seconds after an action that is expected."""

REVIVING: Final = 0.001
REVIVING_S: Final = 60.0
"""The prior for what should not happen: of so many finished executions one runs again before it has been finished for
some minutes; nothing is learned of it."""

TRUSTED: Final = 5.0
"""From how many ended stays on the progress of a task's executions is believed, if it tells more than their age."""

LEAST_DONE: Final = 0.02
"""From which part of the work on its end is reckoned from progress."""

BINS: Final = 64
"""Into how many ages, per scale of the curve, executions of one page are rounded, to save arithmetic."""

STEPS: Final = 12
"""How many steps the search for a due time takes at most."""

CLOSE: Final = 0.05
"""How close to the worth that is looked for a due time has to be."""


class Forecast:
    """How many of some executions have changed by when.

    Attributes:
        groups: How many executions are of the same kind: their curve, since when they are in their status, when they
            were last seen in it, and what is added to their hazard.
        memoryless: By when they were last seen, how many have curves without memory, and their hazard in all.
        others: How many other changes are expected per second.
        others_from: Since when those were not looked for.
    """

    __slots__ = ("groups", "memoryless", "others", "others_from")

    def __init__(self, others: float = 0.0, others_from: float = 0.0) -> None:
        self.groups: dict[tuple[Curve, float, float, float], int] = {}
        self.memoryless: dict[float, tuple[int, float]] = {}
        self.others: float = others
        self.others_from: float = others_from

    def add(self, curve: Curve, began: float, seen: float, extra: float) -> None:
        """Count an execution in."""
        if curve.shape == 1.0:
            count, rate = self.memoryless.get(seen, (0, 0.0))
            self.memoryless[seen] = count + 1, rate + 1.0 / curve.scale + extra
            return
        width = curve.scale / BINS
        key = (curve, min(round(began / width) * width, seen), seen, extra)
        self.groups[key] = self.groups.get(key, 0) + 1

    def expected(self, at: float) -> tuple[float, float]:
        """Return how many changes are expected to be unseen at a time, and how many more per second then."""
        unseen = self.others * (at - self.others_from)
        rate = self.others
        for seen, (count, total) in self.memoryless.items():
            stays = exp(-total / count * max(at - seen, 0.0))
            unseen += count * (1.0 - stays)
            rate += total * stays
        for (curve, began, seen, extra), count in self.groups.items():
            since = max(at - seen, 0.0)
            stays = exp(-curve.between(seen - began, seen + since - began) - extra * since)
            unseen += count * (1.0 - stays)
            rate += count * stays * (curve.hazard(seen + since - began) + extra)
        return unseen, rate

    def worth(self, at: float) -> float:
        """Return what a look at a time is worth, in seconds of delay: the index that the planner holds looks against.

        With a constant hazard of L changes per second in all it is L t^2 / 2 after t seconds, the delay that a look
        saves from then on against looking another t seconds later.
        """
        unseen, rate = self.expected(at)
        return unseen * unseen / (2.0 * rate) if rate > 1e-300 else (inf if unseen > 0.5 else 0.0)

    def due(self, seen: float, worth: float, longest_s: float) -> tuple[float, float, float]:
        """Find out when a look is worth so much.

        Args:
            seen: When the last look was.
            worth: The worth that is asked for, in seconds.
            longest_s: After how many seconds a look is due in any case.

        Returns:
            That time, what a look is worth then, and how fast that grows: as the square of what has passed since so
            many seconds before. With a constant hazard these are the seconds since the last look.
        """
        _, rate = self.expected(seen + 1e-3)
        span = min(sqrt(2.0 * worth / rate), longest_s) if rate > 1e-300 else longest_s
        low, high = 0.0, longest_s
        for _ in range(STEPS):
            found = self.worth(seen + span)
            if abs(found - worth) <= CLOSE * worth:
                break
            if found < worth:
                if span >= longest_s:
                    break
                low = span
                step = span * sqrt(worth / found) if found > 0.0 else inf
            else:
                high = span
                step = span * sqrt(worth / found)
            # with a constant hazard the first step finds it; where it changes fast, halving does
            span = step if max(low, span / 4) < step < min(high, span * 4) else (low + high) / 2
        span = min(span, longest_s)
        step = max(span, 1.0) / 16
        then, later = self.worth(seen + span), self.worth(seen + span + step)
        grows = sqrt(later / then) - 1.0 if 0.0 < then < inf and later < inf else 1e3
        return seen + span, then, step / max(grows, 1e-6)


class Outlook:
    """What is expected of executions.

    Attributes:
        durations: How long executions stay as they are.
        foretold: How long they stay against what their progress foretold, as a ratio.
        zero: The date, in seconds since 1970 by the service's clock, at which the tracker's clock is zero.
    """

    def __init__(self) -> None:
        self.durations: Durations = Durations()
        self.foretold: Durations = Durations({}, otherwise_s=1.0, unit=1.0)
        self.zero: float = 0.0
        self._is_synchronized = False
        self._in_percent: set[str | None] = set()  # tasks that count progress to 100, not to 1

    def anchor(self, epoch: datetime) -> None:
        """Take in at which date the tracker's clock is zero, by the clock of this machine."""
        if not self._is_synchronized:
            self.zero = epoch.timestamp()

    def synchronize(self, date: datetime, seconds: float) -> None:
        """Take in the service's date, in whole seconds, at a time: from now on its clock counts."""
        zero = date.timestamp() + 0.5 - seconds
        self.zero = self.zero + (zero - self.zero) / 8 if self._is_synchronized else zero
        self._is_synchronized = True

    def typical_rate(self) -> float:
        """Return how likely a live execution of any task changes per second."""
        return 1.0 / self.durations.curve(None, "running").scale

    # Learning.

    def met(self, record: Record) -> None:
        """Take in a live execution that a list shows, so that its age says something of all of its task."""
        began = self.began(record)
        if record.seen_sent > began:
            self.durations.stayed(record.task_id, record.status, 0.0, record.seen_sent - began)

    def past(self, execution: Execution) -> None:
        """Take in what an execution had left behind before it was first seen, by the service's own dates."""
        created, started, finished = execution.created_at, execution.started_at, execution.finished_at
        for status, begun, ended in (("queued", created, started), ("running", started, finished)):
            if begun is not None and ended is not None:
                self._took(execution.task_id, status, (ended - begun).total_seconds(), 0.0)

    def stayed(self, record: Record, before: float, weight: float) -> None:
        """Take in that an execution was seen again in its status; it stands for others.

        Args:
            record: The execution.
            before: When it was last looked at before that.
            weight: For how many executions it stands.
        """
        before = max(before, record.since)
        if before >= record.seen_sent:
            return
        began = self.began(record)
        self.durations.stayed(record.task_id, record.status, before - began, record.seen_sent - began, weight)

    def moved(self, record: Record, left: str, execution: Execution, received_at: float) -> None:
        """Take in that an execution has left a status; the record still says when it was last seen in it."""
        began, seen = self.began(record, left), record.seen_sent
        date = execution.started_at if left == "queued" else execution.finished_at
        ended = -inf if date is None else date.timestamp() - self.zero
        if not max(began, seen) <= ended <= received_at:
            ended = (max(began, seen) + received_at) / 2
        age = ended - began
        if age > 0.0 and self._took(record.task_id, left, age, max(seen - began, 0.0)):
            done = self._done(record)
            if done and seen > began:
                foretold = (seen - began) / done
                self.foretold.stayed(record.task_id, left, done, age / foretold)
                self.foretold.left(record.task_id, left, age / foretold)

    def _took(self, task_id: str | None, status: str, age: float, known: float) -> bool:
        """Take in how long a stay took in all, of which a part was told before."""
        if age <= 0.0:
            return False
        self.durations.stayed(task_id, status, known, age)
        self.durations.left(task_id, status, age)
        return True

    # Asking.

    def began(self, record: Record, status: str | None = None) -> float:
        """Return since when an execution is in a status, on the tracker's clock: by its own dates, else as seen."""
        status = record.status if status is None else status
        date = record.created_at if status == "queued" else record.began_work_at if status == "running" else None
        return record.since if date is None else min(record.since, date - self.zero)

    def entered(self, record: Record) -> float:
        """Return since when an execution is in its status, also if it has finished or come back to it; see `began`."""
        if record.final is not None:
            ended = ended_at(record.final)
            return record.since if ended is None else min(record.since, ended - self.zero)
        return record.since if record.is_back else self.began(record)

    def forecast(
        self, records: Iterable[Record], now: float, *, others: float = 0.0, others_from: float = 0.0
    ) -> Forecast:
        """Return when some executions are likely to change.

        Args:
            records: The executions.
            now: The time.
            others: How many other changes are expected per second: new executions, finished ones that run again.
            others_from: Since when those were not looked for.
        """
        forecast = Forecast(others, others_from)
        curves: dict[tuple[str | None, str], Curve] = {}
        for record in records:
            kind = record.task_id, record.status
            known = curves.get(kind)
            if known is None:
                known = curves[kind] = self.durations.curve(*kind)
            curve, began = self._curve(record, known)
            extra = 0.0 if record.rare is None else self._boost(record, now)
            forecast.add(curve, began, record.seen_sent if record.seen_sent > -inf else now, extra)
        return forecast

    def _curve(self, record: Record, curve: Curve) -> tuple[Curve, float]:
        """Return how long an execution stays where it is, by its progress if that tells more; and since when it is."""
        if curve.shape == 1.0 and (record.progress is None or not self.foretold.ended(record.task_id, record.status)):
            return curve, record.seen_sent  # its age does not matter
        began = self.began(record)
        done = self._done(record)
        if done and record.seen_sent > began and self.foretold.ended(record.task_id, record.status) >= TRUSTED:
            against = self.foretold.curve(record.task_id, record.status)
            if against.shape > curve.shape:
                return Curve(against.scale * (record.seen_sent - began) / done, against.shape), began
        return curve, began

    def _done(self, record: Record) -> float:
        """Return which part of its work an execution has done by its own word; 0 if it says little of it, or all."""
        progress = record.progress
        if progress is None:
            return 0.0
        if progress > 1.0 and len(self._in_percent) < MOST_TASKS:
            self._in_percent.add(record.task_id)
        done = progress / 100.0 if record.task_id in self._in_percent else progress
        return done if LEAST_DONE < done < 1.0 else 0.0

    @staticmethod
    def revival_rate(record: Record, now: float) -> float:
        """Return how likely a finished execution runs again, per second."""
        return REVIVING / (max(0.0, now - record.since) + REVIVING_S)

    @staticmethod
    def _boost(record: Record, now: float) -> float:
        """Return what an action of ours that is to take effect adds to the hazard."""
        intents = () if record.rare is None else record.rare.intents
        expects = any(not intent.shown and now - intent.sent_at < ACTION_BOOST_S for intent in intents)
        return ACTION_RATE if expects else 0.0
