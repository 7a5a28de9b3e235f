"""Suspects: contradictions that are held back until a later read confirms or dismisses them.

One execution has one suspicion at most: another odd answer starts it anew. What a confirmed one means is decided by
whoever asked to hold it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs

from titan_state.core.tracking.record import Suspicion

if TYPE_CHECKING:
    from titan_state.core.tracking.record import Record


@attrs.define
class Counts:
    """What the tracker counted, beside the events it made.

    Attributes:
        observed: What reads said of single executions, unchanged or not.
        stale: Answers older than what was known already; dropped.
        suspected: Contradictions that were held back for confirmation.
        dismissed: Contradictions that a later read did not confirm.
        forced: Changes that no path in the model explains, confirmed and taken over.
        dropped_fields: Optional fields that could not be read, in reads that changed something.
    """

    observed: int = 0
    stale: int = 0
    suspected: int = 0
    dismissed: int = 0
    forced: int = 0
    dropped_fields: int = 0


@attrs.define
class Suspects:
    """The executions whose last read contradicts what is known.

    Attributes:
        due: Their ids, each with the time from which a read can confirm the contradiction.
        counts: Where suspicions are counted.
    """

    due: dict[str, float] = attrs.field(factory=dict)
    counts: Counts = attrs.field(factory=Counts)

    def confirms(self, record: Record, status: str | None, sent_at: float, received_at: float, apart_s: float) -> bool:
        """Hold a contradiction, or return True if an earlier read said the same long enough ago.

        A read that was sent before the one that is held is stale: it neither confirms nor replaces that.

        Args:
            record: The record that is contradicted.
            status: The status that was read, None for an answer that the execution does not exist.
            sent_at: When the read was sent.
            received_at: When its answer was received.
            apart_s: How far apart the two reads must have been sent.
        """
        rare = record.uncommon()
        first = rare.suspicion
        if first is not None and sent_at < first.sent_at:
            self.counts.stale += 1
            return False
        if first is None or first.status != status:
            self.dismiss(record)
            rare.suspicion = Suspicion(status, sent_at, received_at)
            self.due[record.id] = max(received_at, sent_at + apart_s)
            self.counts.suspected += 1
            return False
        return sent_at >= max(first.received_at, first.sent_at + apart_s)

    def dismiss(self, record: Record) -> None:
        """Forget a contradiction that was not confirmed."""
        if self.settle(record):
            self.counts.dismissed += 1

    def settle(self, record: Record) -> bool:
        """Forget a contradiction, because it was confirmed or is beside the point; return whether there was one."""
        self.due.pop(record.id, None)
        if record.rare is None or record.rare.suspicion is None:
            return False
        record.rare.suspicion = None
        return True
