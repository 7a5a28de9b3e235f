"""The demonstration's check: what the callbacks saw, held against the embedded service's own history.

It knows neither the terminal nor time. The rules are told anew here, from the history alone, so that they can differ
from the tracker's.
"""

from __future__ import annotations

from collections import Counter
from itertools import pairwise
from typing import TYPE_CHECKING, Final

import attrs

from titan_state.core.anomalies import AnomalyKind
from titan_state.core.lifecycle import Lifecycle

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from titan_state.core.anomalies import Thresholds
    from titan_state.emulator import HistoryEntry, TaskServiceEmulator

FLIP: Final = frozenset({"running", "paused"})

Spell = tuple[AnomalyKind, bool]
"""An anomaly that there truly was, and whether it ended."""


def _counter() -> Counter[tuple[str, str]]:
    return Counter()


@attrs.define
class Account:
    """What happened, as one side has it. Everything is counted by execution id and name.

    Attributes:
        ends: Entries into terminal statuses.
        entered: Entries into other statuses, but for the initial one, which may be over before anybody looks.
        called: Calls of `on_completed`.
        anomalies: Anomalies raised, by kind.
        cleared: Anomalies that ended.
    """

    ends: Counter[tuple[str, str]] = attrs.field(factory=_counter)
    entered: Counter[tuple[str, str]] = attrs.field(factory=_counter)
    called: Counter[tuple[str, str]] = attrs.field(factory=_counter)
    anomalies: Counter[tuple[str, str]] = attrs.field(factory=_counter)
    cleared: Counter[tuple[str, str]] = attrs.field(factory=_counter)


def truth(service: TaskServiceEmulator, ids: Iterable[str], thresholds: Thresholds, speed: float) -> Account:
    """Return what happened according to the service's history.

    Args:
        service: The embedded service.
        ids: Its executions.
        thresholds: The monitor's, in seconds of its clock.
        speed: Scenario seconds per second of that clock.
    """
    account = Account()
    model = Lifecycle.default()
    there = service.executions()
    for execution_id in ids:
        history = service.history(execution_id)
        if not history:
            continue
        for entry in _known(history):
            if entry.status in model.terminal:
                account.ends[execution_id, entry.status] += 1
            elif entry.status != model.initial:
                account.entered[execution_id, entry.status] += 1
            if entry.status == "completed":
                account.called[execution_id, "on_completed"] += 1
        spells = [*_odd(history), *_moves(history, thresholds), *_stuck(history, thresholds, speed, service.time())]
        if execution_id not in there:
            spells.append((AnomalyKind.VANISHED, False))
        for kind, is_over in spells:
            account.anomalies[execution_id, kind.value] += 1
            if is_over:
                account.cleared[execution_id, kind.value] += 1
    return account


def _known(history: Sequence[HistoryEntry]) -> list[HistoryEntry]:
    """Leave out what the model does not know, and what is no change then."""
    known: list[HistoryEntry] = []
    for entry in history:
        if Lifecycle.default().knows(entry.status) and not (known and known[-1].status == entry.status):
            known.append(entry)
    return known


def _odd(history: Sequence[HistoryEntry]) -> Iterator[Spell]:
    """Tell spells of statuses outside the model."""
    knows = Lifecycle.default().knows
    was_known = True
    for number, entry in enumerate(history, 1):
        is_known = knows(entry.status)
        if was_known and not is_known:
            yield AnomalyKind.UNKNOWN_STATUS, any(knows(later.status) for later in history[number:])
        was_known = is_known


def _moves(history: Sequence[HistoryEntry], thresholds: Thresholds) -> Iterator[Spell]:
    """Tell changes that no action of ours explains, and those that the model forbids."""
    model = Lifecycle.default()
    known = _known(history)
    flips = 0
    for number, (before, entry) in enumerate(pairwise(known), 1):
        finishes_later = any(later.status in model.terminal for later in known[number:])
        if {before.status, entry.status} == FLIP:
            if entry.cause == "platform":
                flips += 1
                yield AnomalyKind.UNEXPECTED_FLIP, False
                if flips == thresholds.flap_count:
                    yield AnomalyKind.FLAPPING, finishes_later
        elif model.path(before.status, entry.status) is None:
            if before.status in model.terminal:
                yield AnomalyKind.LEFT_TERMINAL, finishes_later
            else:
                yield AnomalyKind.ILLEGAL_MOVE, False


def _stuck(history: Sequence[HistoryEntry], thresholds: Thresholds, speed: float, now: float) -> Iterator[Spell]:
    """Tell spells in `queued` that were too long."""
    longest = thresholds.stuck_queued_s
    known = _known(history)
    for number, entry in enumerate(known, 1):
        is_over = number < len(known)
        until = known[number].at if is_over else now
        if entry.status == "queued" and longest is not None and until - entry.at > longest * speed:
            yield AnomalyKind.STUCK_QUEUED, is_over


@attrs.frozen
class Report:
    """The comparison, as lines.

    Attributes:
        lines: What is shown.
        faults: What differs; empty if both sides agree.
    """

    lines: list[str]
    faults: list[str]


def compare(seen: Account, true: Account, labels: Mapping[str, str]) -> Report:
    """Hold what callbacks saw against the truth, execution by execution; the lines show the sums."""
    lines = [f"  {'':<34}callbacks  truth"]
    faults = []
    for what, ours, theirs in (
        ("entered", seen.entered, true.entered),
        ("ended in", seen.ends, true.ends),
        ("calls of", seen.called, true.called),
        ("anomaly", seen.anomalies, true.anomalies),
        ("cleared", seen.cleared, true.cleared),
    ):
        for name in sorted({name for _, name in (*ours, *theirs)}):
            counts = [sum(n for (_, other), n in side.items() if other == name) for side in (ours, theirs)]
            agree = all(ours[key] == theirs[key] for key in {*ours, *theirs} if key[1] == name)
            lines.append(f"  {f'{what} {name}':<34}{counts[0]:>9}  {counts[1]:>5}  {'✓' if agree else '✗ differs'}")
        faults += [
            f"{labels.get(key[0], key[0] or 'monitor')}: {what} {key[1]}: "
            f"callbacks saw {ours[key]}, truly {theirs[key]}"
            for key in sorted({*ours, *theirs})
            if ours[key] != theirs[key]
        ]
    return Report(lines, faults)
