"""Health: whether a monitor does its work at present, and what keeps it from that, in words."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs

if TYPE_CHECKING:
    from titan_state.journal.base import Journal
    from titan_state.monitor.outbox import Outbox


@attrs.frozen(kw_only=True)
class Health:
    """How a monitor fares.

    Attributes:
        is_ready: Whether it sees what happens, and writes it down.
        reasons: What keeps it from that, and what to check; nothing if it is ready.
        backlog: How many events wait to be written into the journal.
    """

    is_ready: bool
    reasons: tuple[str, ...]
    backlog: int


def health_of(outbox: Outbox, journal: Journal, *, is_blind: bool) -> Health:
    """Return how a monitor fares.

    Args:
        outbox: What is to be written down.
        journal: Where that is.
        is_blind: Whether it has seen nothing for too long.
    """
    reasons = []
    if outbox.trouble is not None:
        full = "; nothing further is observed until they are" if outbox.is_full else ""
        reasons.append(f"{outbox.waiting} events wait to be written to the journal{full}: {outbox.trouble}")
    if journal.trouble is not None and journal.trouble != outbox.trouble:
        reasons.append(f"the journal: {journal.trouble}")
    if is_blind and journal.trouble is None:  # else it may be that nothing is to be asked
        reasons.append("nothing is seen of the service: check connectivity, credentials, rate limits")
    return Health(is_ready=not reasons, reasons=tuple(reasons), backlog=outbox.waiting)
