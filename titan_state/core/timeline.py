"""Timeline: the events of one execution as stays in statuses, with what was wrong and what was done meanwhile.

It says when something is to be drawn, and how well that is known; how it looks is the drawing's business.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from datetime import datetime, timedelta, tzinfo
from itertools import accumulate
from typing import Any

import attrs

from titan_state.core.anomalies import RULES, AnomalyKind, Severity
from titan_state.core.detours import with_detours
from titan_state.core.events import (
    ActionEvent,
    AnomalyCleared,
    AnomalyDetected,
    Cause,
    Event,
    ResultsReady,
    Transitioned,
)

EXACT_SHARE = 0.1
"""The share of a duration that may be unknown where it still counts as exact: a watch can only look every so often."""

_NO_TIME = timedelta(0)


@attrs.frozen(kw_only=True)
class Stay:
    """The time in one status.

    Attributes:
        status: The status.
        begin: When it began, as well as that is known: it had begun by then.
        end: When it ended; None if the execution is in it still.
        is_inferred: Whether the status was not seen itself: it lies on the only sensible way to what was seen.
        is_forced: Whether the model does not allow the move into it.
        cause: What caused that move: `action` for a control action of ours, else `platform`.
        move: The name of that move; None for the first sight, and for what no path explains.
        earliest: It may have begun as early as this; None if that is not known.
    """

    status: str
    begin: datetime
    end: datetime | None = None
    is_inferred: bool = False
    is_forced: bool = False
    cause: Cause = "platform"
    move: str | None = None
    earliest: datetime | None = None

    @property
    def doubt(self) -> timedelta:
        """How much earlier it may have begun, as far as that is known."""
        return _NO_TIME if self.earliest is None else self.begin - self.earliest


@attrs.frozen(kw_only=True)
class Flag:
    """An anomaly.

    Attributes:
        kind: What was wrong.
        severity: How grave it was.
        message: One sentence for people.
        check_first: What to check first.
        at: When it was detected.
        until: When it ended; `at` for what only happens and does not last; None if it is open.
    """

    kind: AnomalyKind
    severity: Severity
    message: str
    check_first: str
    at: datetime
    until: datetime | None = None

    @property
    def is_open(self) -> bool:
        """Whether it has not ended."""
        return self.until is None


@attrs.frozen(kw_only=True)
class Mark:
    """Something that happened at one moment: an action, or results that can be read.

    Attributes:
        event: What happened.
        at: When it was noticed.
    """

    event: ActionEvent | ResultsReady
    at: datetime


@attrs.frozen(kw_only=True)
class Duration:
    """How long an execution was in one status, all in all.

    Attributes:
        status: The status.
        seconds: How long, in seconds.
        is_exact: Whether at most a tenth of it (`EXACT_SHARE`) is unknown.
        is_open: Whether the execution is in it still.
        times: How often it was entered.
    """

    status: str
    seconds: float
    is_exact: bool
    is_open: bool
    times: int


@attrs.frozen(kw_only=True)
class Timeline:
    """The life of one execution as far as it was seen.

    Attributes:
        execution_id: The execution.
        stays: Its statuses, one after the other without a gap.
        flags: What was wrong, in the order of detection.
        marks: Actions, and results that became readable, in order.
        begin: When it begins.
        end: When it ends: now for an execution that lives, else when the last was heard of it.
        is_finished: Whether it has finished, or is gone.
        missing: How many events before the first one the log does not have any more.
    """

    execution_id: str
    stays: tuple[Stay, ...]
    flags: tuple[Flag, ...]
    marks: tuple[Mark, ...]
    begin: datetime
    end: datetime
    is_finished: bool
    missing: int = 0

    def in_zone(self, zone: tzinfo) -> Timeline:
        """Return the same timeline, told by the clocks of a time zone."""
        return attrs.evolve(
            self,
            stays=tuple(attrs.evolve(one, **_in_zone(one, zone)) for one in self.stays),
            flags=tuple(attrs.evolve(one, **_in_zone(one, zone)) for one in self.flags),
            marks=tuple(attrs.evolve(one, **_in_zone(one, zone)) for one in self.marks),
            **_in_zone(self, zone),
        )

    @classmethod
    def of(cls, events: Sequence[Event], *, now: datetime, terminal: Collection[str]) -> Timeline:
        """Return the timeline that events tell.

        It runs forward whatever their times are: what is dated before the event ahead of it counts as at the same time.

        Args:
            events: The events of one execution, in order. Those at the beginning may be missing.
            now: The time until which an execution lives that has not finished.
            terminal: The statuses in which an execution has finished.
        """
        if not events:
            return cls(execution_id="", stays=(), flags=(), marks=(), begin=now, end=now, is_finished=False)
        moments = list(accumulate((event.at for event in events), max))
        dated = list(zip(events, moments, strict=True))
        entered = with_detours(_entered(dated), dated)
        begin = min([moments[0], *(stay.begin for stay in entered[:1])])
        last = max([moments[-1], *(stay.begin for stay in entered[-1:])])
        flags = _flags(dated, begin)
        gone = max((flag.at for flag in flags if flag.kind is AnomalyKind.VANISHED and flag.is_open), default=None)
        is_over = bool(entered) and entered[-1].status in terminal
        is_finished = is_over or gone is not None
        until = None if gone is None or is_over else max([gone, *(stay.begin for stay in entered[-1:])])
        ends = [*(stay.begin for stay in entered[1:]), until]
        return cls(
            execution_id=events[0].execution_id,
            stays=tuple(attrs.evolve(stay, end=at) for stay, at in zip(entered, ends, strict=False)),
            flags=flags,
            marks=tuple(Mark(event=one, at=at) for one, at in dated if isinstance(one, ActionEvent | ResultsReady)),
            begin=begin,
            end=last if is_finished else max(last, now),
            is_finished=is_finished,
            missing=max(0, events[0].seq - 1),
        )

    @property
    def is_vanished(self) -> bool:
        """Whether it is gone without having finished."""
        has_finished = bool(self.stays) and self.is_finished and self.stays[-1].end is None
        return not has_finished and any(flag.kind is AnomalyKind.VANISHED and flag.is_open for flag in self.flags)

    @property
    def status(self) -> str | None:
        """The status that it is in, or was in last; None if none was seen."""
        return self.stays[-1].status if self.stays else None

    @property
    def durations(self) -> tuple[Duration, ...]:
        """How long it was in each status, in the order of first entry.

        The status in which it has finished is left out: it stays in that for ever.
        """
        by_status: dict[str, list[int]] = {}
        for place, stay in enumerate(self.stays):
            if stay.end is not None or not self.is_finished:
                by_status.setdefault(stay.status, []).append(place)
        return tuple(self._duration(status, places) for status, places in by_status.items())

    def _duration(self, status: str, places: list[int]) -> Duration:
        stays = [self.stays[place] for place in places]
        seconds = sum(((stay.end or self.end) - stay.begin).total_seconds() for stay in stays)
        edges = {*places, *(place + 1 for place in places)} & {*range(len(self.stays))}
        doubt = sum(self.stays[place].doubt.total_seconds() for place in edges)
        is_known = all(stay.earliest is not None and not stay.is_inferred for stay in stays)
        is_lost = self.is_vanished and places[-1] == len(self.stays) - 1  # it ended before that was noticed
        return Duration(
            status=status,
            seconds=seconds,
            is_exact=is_known and not is_lost and doubt <= EXACT_SHARE * seconds,
            is_open=stays[-1].end is None,
            times=len(stays),
        )


def _entered(dated: Sequence[tuple[Event, datetime]]) -> list[Stay]:
    """Return the stays in order, without their ends."""
    moves = [(event, at) for event, at in dated if isinstance(event, Transitioned)]
    stays = list(_opening(dated, moves[0][0] if moves else None))
    for group in _between_looks(moves):
        first, seen_at = group[0]
        floor = stays[-1].begin if stays else None
        before = _not_before(floor, min(first.before, seen_at))
        after = None if first.after is None else _not_before(floor, min(first.after, before))
        span = _NO_TIME if after is None else before - after
        for left, (event, _) in zip(reversed(range(len(group))), group, strict=True):
            stays.append(
                Stay(
                    status=event.dest,
                    begin=before - span * left / len(group),  # nobody saw when: the time is shared out evenly
                    is_inferred=event.inferred or left > 0,
                    is_forced=event.forced,
                    cause=event.cause,
                    move=event.move,
                    earliest=after,
                )
            )
    return stays


def _in_zone(one: attrs.AttrsInstance, zone: tzinfo) -> dict[str, Any]:
    values = {field.name: getattr(one, field.name) for field in attrs.fields(type(one))}
    return {name: value.astimezone(zone) for name, value in values.items() if isinstance(value, datetime)}


def _not_before(floor: datetime | None, moment: datetime) -> datetime:
    return moment if floor is None else max(floor, moment)


def _opening(dated: Sequence[tuple[Event, datetime]], move: Transitioned | None) -> Iterator[Stay]:
    """Return the status before the first move that the log still has, if that is known."""
    first, at = dated[0]
    if move is None:
        if first.execution is not None:
            yield Stay(status=first.execution.status, begin=at)
    elif move.source is not None:
        yield Stay(status=move.source, begin=at if move.after is None else min(at, move.after))


def _between_looks(
    moves: Sequence[tuple[Transitioned, datetime]],
) -> Iterator[list[tuple[Transitioned, datetime]]]:
    """Return the moves in groups: what happened between the same two looks."""
    group: list[tuple[Transitioned, datetime]] = []
    for event, at in moves:
        if group:
            last = group[-1][0]
            if event.source != last.dest or (event.after, event.before) != (last.after, last.before):
                yield group
                group = []
        group.append((event, at))
    if group:
        yield group


def _flags(dated: Sequence[tuple[Event, datetime]], begin: datetime) -> tuple[Flag, ...]:
    """Return what was wrong; what began before the log does counts from its beginning."""
    flags: list[Flag] = []
    open_at: dict[AnomalyKind, list[int]] = {}
    for event, at in dated:
        if isinstance(event, AnomalyDetected):
            if RULES[event.kind].ends:
                open_at.setdefault(event.kind, []).append(len(flags))
            flags.append(
                Flag(
                    kind=event.kind,
                    severity=event.severity,
                    message=event.message,
                    check_first=event.check_first,
                    at=at,
                    until=None if RULES[event.kind].ends else at,
                )
            )
        elif isinstance(event, AnomalyCleared):
            ended = open_at.pop(event.kind, [])
            for place in ended:
                flags[place] = attrs.evolve(flags[place], until=at)
            if not ended:
                rule = RULES[event.kind]
                since = min(max(event.since, begin), at)
                first = rule.check_first
                told = f"until {event.message}"
                flags.append(
                    Flag(kind=event.kind, severity=rule.severity, message=told, check_first=first, at=since, until=at)
                )
    return tuple(sorted(flags, key=lambda flag: flag.at))
