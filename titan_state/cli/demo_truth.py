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


def _counter() -> Counter[tuple[str, str]]:
    return Counter()


@attrs.define
class Account:
    """What happened, as one side has it. Everything is counted by execution id and name.

    Attributes:
        ends: Entries into terminal statuses.
        anomalies: Anomalies raised, by kind.
        cleared: Anomalies that ended.
    """

    ends: Counter[tuple[str, str]] = attrs.field(factory=_counter)
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
    there = service.executions()
    for execution_id in ids:
        history = service.history(execution_id)
        if not history:
            continue
        for kind in _anomalies(history, thresholds, speed, service.time()):
            account.anomalies[execution_id, kind] += 1
        if execution_id not in there:
            account.anomalies[execution_id, AnomalyKind.VANISHED] += 1
        known = _known(history)
        for entry in known:
            if entry.status in Lifecycle.default().terminal:
                account.ends[execution_id, entry.status] += 1
        for kind in _ended(account, execution_id, history):
            account.cleared[execution_id, kind] += 1
    return account


def _known(history: Sequence[HistoryEntry]) -> list[HistoryEntry]:
    """Leave out what the model does not know, and what is no change then."""
    known: list[HistoryEntry] = []
    for entry in history:
        if Lifecycle.default().knows(entry.status) and not (known and known[-1].status == entry.status):
            known.append(entry)
    return known


def _anomalies(
    history: Sequence[HistoryEntry], thresholds: Thresholds, speed: float, now: float
) -> Iterator[AnomalyKind]:
    model = Lifecycle.default()
    flips = 0
    for entry in history:
        if not model.knows(entry.status):
            yield AnomalyKind.UNKNOWN_STATUS
    known = _known(history)
    for before, entry in pairwise(known):
        if {before.status, entry.status} == FLIP and entry.cause == "platform":
            flips += 1
            yield AnomalyKind.UNEXPECTED_FLIP
            if flips == thresholds.flap_count:
                yield AnomalyKind.FLAPPING
        elif model.path(before.status, entry.status) is None:
            yield AnomalyKind.LEFT_TERMINAL if before.status in model.terminal else AnomalyKind.ILLEGAL_MOVE
    for entry, until in zip(known, [*(entry.at for entry in known[1:]), now], strict=True):
        longest = thresholds.stuck_queued_s
        if entry.status == "queued" and longest is not None and until - entry.at > longest * speed:
            yield AnomalyKind.STUCK_QUEUED


def _ended(account: Account, execution_id: str, history: Sequence[HistoryEntry]) -> Iterator[AnomalyKind]:
    last = history[-1].status
    has_finished = last in Lifecycle.default().terminal
    for kind, is_over in (
        (AnomalyKind.STUCK_QUEUED, last != "queued"),
        (AnomalyKind.UNKNOWN_STATUS, Lifecycle.default().knows(last)),
        (AnomalyKind.LEFT_TERMINAL, has_finished),
        (AnomalyKind.FLAPPING, has_finished),
    ):
        if is_over and account.anomalies[execution_id, kind]:
            yield kind


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
        ("ended in", seen.ends, true.ends),
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
