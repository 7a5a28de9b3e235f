"""Agenda: what is to be read when. It knows nothing of executions, lists or hazards: a due time is handed in.

Two kinds of entries: those for a fixed time, and those of which a look is worth more the longer it is put off. The
latter share what the budget allows: the agenda keeps account of how much a look has to be worth (`price`) for that.
"""

from __future__ import annotations

import heapq
from collections import OrderedDict
from math import exp, inf, sqrt
from typing import TYPE_CHECKING, Final

import attrs

if TYPE_CHECKING:
    from collections.abc import Iterator

    from titan_state.core.planning.reads import Target

LEAST_PRICE: Final = 1e-9
"""The least that a look has to be worth, in seconds of delay, however little there is to look at."""

GAIN: Final = 0.5
"""How fast the price follows lateness: this share of it within a round of all that is shared."""

MOST_CORRECTION: Final = 4.0
"""By which factor the price is corrected at most."""

LOOKED_AT: Final = 16
"""Of how many shared entries that are due next the worthiest is read: lateness weighs more where looks are frequent."""

PART_READS: Final = 64
LEAST_PART: Final = 1 / 4
"""Over how many reads, and down to what, the part is averaged that is left to shared entries: fixed ones come first."""


@attrs.define(eq=False)
class Entry:
    """When something is to be read.

    Attributes:
        due: When.
        open_at: When it may be read at the earliest.
        span: For a shared entry, how many seconds lie between the last look and `due`; 0 for a fixed one.
        worth: What a look is worth when it is due, in seconds of delay.
        scale: How fast that grows: it is the square of what has passed since so many seconds before `due`.
        latest: When it is read whatever a look is worth.
    """

    due: float
    open_at: float
    span: float = 0.0
    worth: float = 0.0
    scale: float = 1.0
    latest: float = inf

    def worth_at(self, now: float) -> float:
        """Return what a look is worth at a time."""
        return float(self.worth * max(0.0, 1.0 + (now - self.due) / self.scale) ** 2)

    def unseen_at(self, now: float) -> float:
        """Return how many changes are expected to be unseen at a time: by so much a second's wait adds to the worth."""
        return 2.0 * self.worth * max(0.0, 1.0 + (now - self.due) / self.scale) / self.scale


Item = tuple[float, int, "Target", Entry]
"""How an entry lies in a heap: when it is due and may be read, a number of its own, what is read, and the entry."""


class Agenda:
    """What is to be read when.

    Attributes:
        alone: How many shared entries are of single executions.
        taken: The entry that was taken last.
    """

    def __init__(self) -> None:
        self._entries: dict[Target, Entry] = {}
        self._fixed: list[Item] = []
        self._shared: list[Item] = []
        self._round: OrderedDict[Target, None] = OrderedDict()
        self._demands: dict[Target, float] = {}
        self._demand = 0.0
        self._squares = 0.0
        self.alone = 0
        self.taken: Entry | None = None
        self._count = 0
        self._correction = 1.0
        self._part = 1.0

    def __contains__(self, target: Target) -> bool:
        return target in self._entries

    def __len__(self) -> int:
        return len(self._entries)

    def __iter__(self) -> Iterator[Target]:
        return iter(tuple(self._entries))

    @property
    def shared(self) -> int:
        """How many entries share what the budget allows, those under way included."""
        return len(self._demands)

    def delay_s(self, per_second: float) -> float | None:
        """Return how long after a change a look is to be expected on average, None if nothing is shared."""
        if self._squares <= 0.0:
            return None
        return self._demand**2 / self._squares / (2.0 * per_second)

    def price(self, per_second: float) -> float:
        """Return what a look has to be worth, in seconds of delay, where so many may be sent per second."""
        return max(LEAST_PRICE, (self._demand / per_second / self._part) ** 2 * self._correction)

    def at(self, target: Target, due: float) -> None:
        """Read something at a time, or earlier if that was planned already."""
        known = self._entries.get(target)
        if known is not None and max(known.due, known.open_at) <= due:
            return
        self._put(target, Entry(due, due), self._fixed)

    def share(
        self, target: Target, *, seen: float, due: float, open_at: float, worth: float, scale: float, latest: float
    ) -> None:
        """Read something when a look is worth it.

        Args:
            target: What.
            seen: When it was last looked at.
            due: When a look is worth the price, or has been put off for long enough.
            open_at: When it may be read at the earliest.
            worth: What a look is worth then, in seconds of delay.
            scale: How fast that grows, see `Entry`.
            latest: When it is read whatever a look is worth.
        """
        span = max(due - seen, 1e-6)
        known = self._entries.get(target)
        if known is not None and not known.span and known.due <= due:
            return
        self._account(target, sqrt(worth) / max(span, open_at - seen))  # it cannot ask for more than it may have
        self._put(target, Entry(due, open_at, span, worth, scale, latest), self._shared)
        self._round[target] = None
        self._round.move_to_end(target)

    def drop(self, target: Target) -> None:
        """Read something no more."""
        self._entries.pop(target, None)
        self._account(target, 0.0)
        self._round.pop(target, None)

    def settle(self, target: Target) -> None:
        """Take in that a read is over: what is not planned again has no part in the price any longer."""
        if target not in self._entries:
            self._account(target, 0.0)

    def spent(self) -> None:
        """Take in that a read was sent that is in no entry."""
        self._part = max(LEAST_PART, self._part * (1.0 - 1.0 / PART_READS))

    def pop(self, now: float) -> Target | None:
        """Take what is to be read now, None if nothing is."""
        top = self._top(now)
        if top is None:
            return None
        _, _, target, entry = top
        self.taken = entry
        del self._entries[target]
        self._round.pop(target, None)
        if entry.span:
            late = min(max((now - entry.due) / entry.span, -1.0), 1.0)
            correction = self._correction * exp(GAIN * late / max(len(self._demands), 8))
            self._correction = min(max(correction, 1.0 / MOST_CORRECTION), MOST_CORRECTION)
        else:
            self._account(target, 0.0)
        self._part = max(LEAST_PART, self._part + (bool(entry.span) - self._part) / PART_READS)
        return target

    def next_at(self) -> float:
        """Return when something may be read next, infinity if nothing is to be."""
        fixed = self._first(self._fixed)
        opens = min((item[3].open_at for item in self._nearest()), default=inf)
        return opens if fixed is None else min(fixed[0], opens)

    def first_due(self) -> float:
        """Return the earliest due time, infinity if there is none."""
        fixed, shared = self._first(self._fixed), self._first(self._shared)
        return min(inf if fixed is None else fixed[0], inf if shared is None else shared[0])

    def stalest(self) -> Target | None:
        """Return the shared entry that was planned the longest ago: prices and forecasts change."""
        return next(iter(self._round), None)

    def _top(self, now: float) -> Item | None:
        """Return what is to be read now: what is fixed and due first, else of the next shared ones the worthiest."""
        fixed = self._first(self._fixed)
        if fixed is not None and fixed[0] <= now:
            return fixed
        looked_at = self._nearest()
        overdue = next((item for item in looked_at if item[3].latest <= now), None)
        if overdue is not None:
            return overdue
        opened = [item for item in looked_at if item[3].open_at <= now]
        return max(opened, key=lambda item: item[3].worth_at(now)) if opened else None

    def _nearest(self) -> list[Item]:
        """Return the shared entries that are due next."""
        nearest: list[Item] = []
        while len(nearest) < LOOKED_AT and self._first(self._shared) is not None:
            nearest.append(heapq.heappop(self._shared))
        for item in nearest:
            heapq.heappush(self._shared, item)
        return nearest

    def _first(self, heap: list[Item]) -> Item | None:
        while heap:
            if self._entries.get(heap[0][2]) is heap[0][3]:
                return heap[0]
            heapq.heappop(heap)
        return None

    def _put(self, target: Target, entry: Entry, heap: list[Item]) -> None:
        if not entry.span:
            self._account(target, 0.0)
            self._round.pop(target, None)
        self._entries[target] = entry
        self._count += 1
        heapq.heappush(heap, (max(entry.due, entry.open_at), self._count, target, entry))

    def _account(self, target: Target, demand: float) -> None:
        known = self._demands.pop(target, 0.0)
        self._demand += demand - known
        self._squares += demand * demand - known * known
        if isinstance(target, str):
            self.alone += bool(demand) - bool(known)
        if demand:
            self._demands[target] = demand
        elif not self._demands:
            self._demand = self._squares = 0.0  # what rounding has left
