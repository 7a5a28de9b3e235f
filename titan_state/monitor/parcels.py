"""Parcels: what of all that waits to be written goes into one commit, where a commit cannot hold everything. Pure.

The events of an execution and the row that is known after them go together, so that what is known is never ahead of
what was told, nor behind it, whenever the program ends.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs

from titan_state.core.events import Transitioned
from titan_state.core.tracking.record import UNSEEN
from titan_state.core.tracking.state import STATUS, cut

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from titan_state.core.events import Event
    from titan_state.core.tracking.retention import Baseline
    from titan_state.core.tracking.state import Row


@attrs.frozen
class Parcel:
    """What goes into one commit.

    Attributes:
        chosen: The places of its events among those that wait.
        records: Its rows.
        lists: Its baselines.
        waiting: How many events waited when it was chosen.
    """

    chosen: Sequence[int]
    records: Sequence[Row]
    lists: Mapping[str | None, Baseline | None]
    waiting: int


def parcel(
    events: Sequence[Event], rows: Mapping[str, Row], lists: Mapping[str | None, Baseline | None], most: int
) -> Parcel:
    """Return what is to be written next.

    Args:
        events: The events that wait, in order.
        rows: The rows that wait, by execution, as they are after all of those events.
        lists: The baselines that wait.
        most: How many of all these one commit holds, two at least.
    """
    if len(events) + len(rows) + len(lists) <= most:
        return Parcel(range(len(events)), tuple(rows.values()), dict(lists), len(events))
    places: dict[str, list[int]] = {}
    for place, event in enumerate(events):
        places.setdefault(event.execution_id, []).append(place)
    chosen: list[int] = []
    records: list[Row] = []
    for execution_id, own in places.items():
        row = rows.get(execution_id)
        left = most - len(chosen) - len(records)
        if len(own) + (row is not None) <= left:
            chosen += own
            if row is not None:
                records.append(row)
            continue
        if not chosen:  # more than one commit holds: as far as it goes
            chosen = own[: most - 1]
            if row is not None:
                records.append(_as_of(row, [events[place] for place in own], len(chosen)))
        return Parcel(sorted(chosen), records, {}, len(events))
    others = [row for execution_id, row in rows.items() if execution_id not in places]
    records += others[: most - len(chosen) - len(records)]
    left = most - len(chosen) - len(records)
    return Parcel(sorted(chosen), records, dict(list(lists.items())[:left]), len(events))


def _as_of(row: Row, events: Sequence[Event], count: int) -> Row:
    """Return the row of an execution as it was after the first of the events that follow one another."""
    moves = [(place, event) for place, event in enumerate(events) if isinstance(event, Transitioned)]
    status = row[STATUS]
    before = [event.dest for place, event in moves if place < count]
    after = [event.source for place, event in moves if place >= count]
    if before:
        status = before[-1]
    elif after:
        status = UNSEEN if after[0] is None else after[0]
    return cut(row, status, events[count - 1].seq, undone=events[count:])
