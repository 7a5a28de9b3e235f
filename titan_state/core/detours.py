"""Detours: the times that an execution was in a status outside the model, put among its stays in those of the model.

No move says so, since the model has none: only the anomaly does that was raised and cleared.
"""

from __future__ import annotations

from bisect import bisect_right
from operator import attrgetter
from typing import TYPE_CHECKING

import attrs

from titan_state.core.anomalies import AnomalyKind
from titan_state.core.events import AnomalyCleared, AnomalyDetected, Transitioned

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from datetime import datetime

    from titan_state.core.events import Event
    from titan_state.core.timeline import Stay


def with_detours(entered: list[Stay], dated: Sequence[tuple[Event, datetime]]) -> list[Stay]:
    """Return stays with those in statuses outside the model among them, in order.

    Args:
        entered: The stays in statuses of the model, in order; nothing says when they end.
        dated: The events, each with when it happened.
    """
    turns = list(_turns(dated))
    if not turns or not any(isinstance(event, Transitioned) for event, _ in dated):
        return entered  # what was only seen outside the model is a stay already
    stays = list(entered)
    for at, status in turns:
        before = entered[bisect_right(entered, at, key=attrgetter("begin")) - 1]
        if status is None and before.begin >= at:
            continue  # it has moved on from there
        status = before.status if status is None else status
        turned = attrs.evolve(
            before,
            status=status,
            begin=at,
            is_inferred=False,
            is_forced=False,
            cause="platform",
            move=None,
            earliest=None,
        )
        stays.insert(bisect_right(stays, at, key=attrgetter("begin")), turned)
    return stays


def _turns(dated: Sequence[tuple[Event, datetime]]) -> Iterator[tuple[datetime, str | None]]:
    """Return when a status outside the model was noticed, and which, and when that was over (None)."""
    for event, at in dated:
        if isinstance(event, AnomalyDetected | AnomalyCleared) and event.kind is AnomalyKind.UNKNOWN_STATUS:
            is_over = isinstance(event, AnomalyCleared)
            if is_over or event.execution is not None:
                yield at, None if is_over or event.execution is None else event.execution.status
