"""Timers: which records are due for a review. Pure; time comes in as an argument.

Deadlines fall into buckets of a quarter of a second, so that a timer costs one reference and not a heap entry. A
record has at most one timer that counts, the earliest asked for; whoever reviews it arms it again.
"""

from __future__ import annotations

import heapq
import math
from typing import TYPE_CHECKING, Final

import attrs

if TYPE_CHECKING:
    from collections.abc import Iterator

    from titan_state.core.tracking.record import Record

RESOLUTION_S: Final = 0.25
"""The width of a bucket in seconds: a review comes this much late at most."""


@attrs.define(eq=False, weakref_slot=False)
class Bucket:
    """The records that are due at one time.

    Attributes:
        key: The time in units of `RESOLUTION_S`.
        records: The records, some of which may have been armed anew for an earlier time.
    """

    key: int
    records: list[Record] = attrs.field(factory=list)


class Timers:
    """Buckets of records by the time at which each is due."""

    def __init__(self) -> None:
        self._buckets: dict[int, Bucket] = {}
        self._keys: list[int] = []

    def arm(self, record: Record, due: float) -> None:
        """Make sure that `record` is handed out at `due`, or earlier."""
        key = math.ceil(due / RESOLUTION_S)
        if record.armed is not None and record.armed.key <= key:
            return
        bucket = self._buckets.get(key)
        if bucket is None:
            bucket = self._buckets[key] = Bucket(key)
            heapq.heappush(self._keys, key)
        bucket.records.append(record)
        record.armed = bucket

    def due(self, now: float) -> Iterator[Record]:
        """Hand out every record whose time has come; its timer is then no longer set."""
        last = math.floor(now / RESOLUTION_S)
        ripe = []  # taken out first: a record that is armed for now again waits for the next call
        while self._keys and self._keys[0] <= last:
            ripe.append(self._buckets.pop(heapq.heappop(self._keys)))
        for bucket in ripe:
            for record in bucket.records:
                if record.armed is bucket:
                    record.armed = None
                    yield record
