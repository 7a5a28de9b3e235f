"""Listing: what is known of one list, and where its executions are now.

A list that shows new executions first pushes the others back. So what is read again is not the page with a number but
a window: what one answer showed, wherever that is by now. Window 0 is the front, always at the beginning of the list;
what arrives is its own until more has arrived than one page shows, and what was its own before becomes a window that
moves on with the list. Where a window begins is reckoned from how many have arrived since it was read, and put right
by what the next answer shows. What to read is the planner's business.
"""

from __future__ import annotations

from math import ceil, inf, sqrt
from typing import Final

import attrs

from titan_state.core.planning.arrivals import Arrivals
from titan_state.core.planning.window import Shown, Taken, Window

FRONT: Final = 0
"""The window at the beginning of a list."""

FULL: Final = 0.6
"""At which share of a page, of executions that have arrived or are expected to, the front is read at the latest."""

UNSEEN_YIELD: Final = 10.0
"""The prior: how many live executions a page shows that was never read."""

LOOKED_FOR: Final = 2
"""How many reads in a row may show nothing of a window, or all but an execution of it, before that is looked for."""

ANCHORS: Final = 5
"""By how many executions of a window it is found again: by the first of them that is still there."""


@attrs.define
class Listing:
    """What is known of one list.

    Attributes:
        size: How many executions are asked for at once.
        watched: Whether all it shows is watched, and so whatever is new on it.
        newest_first: Whether new executions show on the first page.
        windows: What is read again, by its number.
        sweep: The window that the sweep over the whole list has come to, None if there is none.
        sweeps_from: When the sweep may begin.
        length: How many executions it had when a sweep came to its end; 0 if none has.
        patrol: The window that the patrol has come to, None if there is none.
        dry: How many pages in a row an exploration has read for nothing.
        yields: How many live executions pages show that a sweep reads for the first time, on average of late.
        arrivals: How many have arrived.
        sought: What was shown before the list was read anew, and a sweep is to find again.
    """

    size: int = 100
    watched: bool = False
    newest_first: bool = True
    windows: dict[int, Window] = attrs.field(factory=dict)
    sweep: int | None = None
    sweeps_from: float = -inf
    length: int = 0
    patrol: int | None = None
    dry: int = 0
    yields: float = UNSEEN_YIELD
    arrivals: Arrivals = attrs.field(factory=Arrivals)
    sought: dict[str, None] = attrs.field(factory=dict)
    _previous: Shown | None = None
    _starts: dict[int, tuple[int, float]] = attrs.field(factory=dict)
    _own: int = 0
    _made: int = 0
    _searched: int = -1
    _gaps: set[int] = attrs.field(factory=set)

    def restart(self, size: int, now: float) -> None:
        """Forget what is shown where, and sweep again."""
        self.sought |= {name: None for window in self.windows.values() for name in window.members}
        self.size, self.sweep, self.sweeps_from = size, FRONT, now
        self._previous = None
        self._own = 0
        for known in (self.windows, self._starts, self._gaps):
            known.clear()

    # Where it is.

    def offset(self, number: int, now: float) -> int:
        """Return where a window begins now, as far as is known."""
        if self.is_front(number):
            return 0
        window = self.windows.get(number)
        if window is not None:
            return max(0, round(window.offset + self._came(window.arrived, self.arrivals.by(now))))
        begins, arrived = self._starts.get(number, (number * self.size, 0.0))
        came = self._came(arrived, self.arrivals.count)  # what is known: rather twice than not at all
        spare = 1 + ceil(sqrt(came)) if came > 0.0 else 0
        if self.newest_first and not self.arrivals.are_told:  # a replica that lags would pass over what is new
            spare = max(spare, ceil(self.arrivals.rate() * self.arrivals.lag_s))
        return max(0, round(begins + came) - spare)

    def is_front(self, number: int) -> bool:
        """Return whether a window is where new executions arrive."""
        return self.watched and number == FRONT

    def following(self, number: int, shown: Shown, *, gap: bool = False) -> int:
        """Return the number of the window that begins where a page has ended.

        Args:
            number: The window that the page was read for.
            shown: The page.
            gap: Whether it is to fill a gap between the front and what was there before.
        """
        following = number + 1
        if following in self.windows and (gap or (self.watched and self.newest_first)):  # that has a place of its own
            self._made -= 1
            following = self._made
        if gap:
            self._gaps.add(following)
        window = self.windows.get(number)
        begins = (shown.offset, self.arrivals.count) if window is None else (window.offset, window.arrived)
        self._starts[following] = (begins[0] + shown.count, begins[1])
        return following

    def _came(self, arrived: float, by_now: float) -> float:
        """Return how many have pushed the others back since so many had arrived."""
        return by_now - arrived if self.newest_first else 0.0

    def between(self, most: int, now: float) -> list[int]:
        """Return the numbers of new windows where no window shows anything: next to those that do, another each time.

        Args:
            most: How many at most.
            now: The time.
        """
        places = sorted((self.offset(number, now), len(window.members)) for number, window in self.windows.items())
        begins, end = set(), 0
        for begin, count in places:
            if begin > end:
                begins |= {end, max(end, begin - self.size)}
            end = max(end, begin + count)
        in_turn = sorted(begins | {end}, key=lambda begin: (begin <= self._searched, begin))[:most]
        self._searched = in_turn[-1] if in_turn else -1
        return [self.make(begin, now) for begin in in_turn]

    def behind(self, number: int, now: float) -> int:
        """Return the number of the window that begins next behind another one, a new one if that is the last."""
        here = self.offset(number, now)
        places = [(self.offset(other, now), other) for other in self.windows]
        behind = min((place for place in places if place[0] > here), default=None)
        if behind is not None:
            return behind[1]
        following = number + 1 if number >= 0 and number + 1 not in self.windows else None
        return self.make(here + len(self.windows[number].members), now, following)

    def make(self, begin: int, now: float, number: int | None = None) -> int:
        """Return the number of a new window that begins somewhere now."""
        if number is None:
            self._made -= 1
            number = self._made
        self._starts[number] = (begin, self.arrivals.by(now))
        return number

    def may_skip(self, shown: Shown) -> bool:
        """Return whether a page that follows others begins behind where it should: it overlaps with nothing known."""
        is_new = 0 < shown.count == shown.fresh and shown.offset > 0
        return is_new and self.watched and self.newest_first and not self.arrivals.are_told

    # What a page tells of the list.

    def ends(self, shown: Shown) -> bool:
        """Return whether nothing follows a page; learn on the way that the service sends fewer, or more, at once."""
        former, self._previous = self._previous, shown
        is_repeated = False
        if former is not None and shown.names and shown.offset > 0:
            is_far = 2 * abs(shown.offset - former.offset) >= shown.count  # arrivals have hardly moved it so far
            is_repeated = is_far and shown.names == former.names
        self.size = max(self.size, shown.count)
        if shown.count and former is not None and shown.offset == former.offset + former.count:
            self.size = max(former.count, shown.count)  # something follows: that was all that is sent at once
        if is_repeated:  # the service takes no notice of where a page is to begin
            return True
        if shown.last is not None:
            return shown.last
        is_short = shown.count < min(shown.asked, self.size)
        is_first = shown.offset == 0 and shown.count > 0  # that may be all there is, or all that is sent at once
        return is_short and not is_first

    def take(self, number: int, shown: Shown, sent_at: float, names: tuple[str, ...]) -> Taken:
        """Take in what a page showed of a window.

        Args:
            number: The window.
            shown: The page.
            sent_at: When the read was sent.
            names: The executions on it that are kept.
        """
        at_front = self.is_front(number)
        arrived = self.arrivals.told(
            shown.fresh, shown.total, sent_at, at_front=at_front, counts_fresh=at_front or number in self._gaps
        )
        arrived = self.arrivals.count if at_front else arrived
        begins, since = self._starts.pop(number, (shown.offset, arrived))
        places = {name: place for place, name in enumerate(shown.names)}
        former = self.windows.get(number)
        moved, is_recent = 0, number == FRONT or number in self._gaps
        self._gaps.discard(number)
        hidden, is_cut = 0, False
        if former is None and self.newest_first:  # a replica that lags passes over what another did not show yet
            moved = min(0, round(begins + arrived - since) - shown.offset)
            if -moved >= shown.count:  # rather, a part of the list is gone
                moved, arrived = 0, self.arrivals.count
        elif former is not None and former.anchors and self.newest_first:
            found = next(((places[name] - place) for name, place in former.anchors if name in places), None)
            if at_front:
                if found is not None and found < 0 and len(former.cut) <= LOOKED_FOR:
                    hidden, is_cut = -found, True  # a replica that lags does not show the newest yet
            elif found is None:  # it is elsewhere: what was shown instead is a window of its own
                offset = round(former.offset + self.arrivals.count - former.arrived)
                lost = former.lost + 1
                self.windows[number] = attrs.evolve(former, offset=offset, arrived=self.arrivals.count, lost=lost)
                self._made -= 1
                number, former, is_recent = self._made, None, True
            else:
                moved, is_cut = found, found != 0
                if abs(moved) <= abs(moved + self.arrivals.count - arrived):
                    arrived = self.arrivals.count  # it is where it was reckoned: no replica that lags told less
                if not self.watched:
                    came = former.arrived + shown.offset + moved - former.offset
                    arrived = self.arrivals.found(came, arrived, shown.total, sent_at, former=former.arrived)
        shift = hidden - moved
        reach = max(len(shown.names), min(shown.asked, self.size))  # what follows the last ones of a list is its own
        outside = frozenset(name for name, place in places.items() if shift and not 0 <= place + shift < reach)
        inside = tuple(name for name in names if name not in outside)
        anchors = tuple((shown.names[place], place + shift) for place in _spread(len(places) - 1)) if places else ()
        cut = (*former.cut[-LOOKED_FOR:], sent_at) if former is not None and is_cut else ()
        self.windows[number] = Window(shown.offset + moved, arrived, sent_at, inside, anchors, cut=cut)
        return Taken(number, former, not is_cut, outside, is_recent)

    def is_overflowing(self) -> bool:
        """Return whether so much has arrived, by the service's word, that the front is to be read at once."""
        front = self.windows.get(FRONT)
        return self.watched and front is not None and self.arrivals.count - front.arrived >= FULL * self.size

    def spill(self, shown: Shown, former: Window | None) -> int | None:
        """Return the number of a window for what was the front's own, if that does not show as a whole any longer."""
        if former is None:
            self._own = shown.count
        elif self.newest_first:
            self._own += shown.fresh
        if former is None or not shown.fresh or self._own <= shown.count:
            self._own = min(self._own, shown.count)
            return None
        self._own = shown.fresh
        self._made -= 1
        offset = max(shown.fresh, round(self.arrivals.count - former.arrived))  # more where a gap lies between
        self.windows[self._made] = attrs.evolve(former, offset=offset, arrived=self.arrivals.count)
        return self._made

    def goes_beyond(self, shown: Shown) -> bool:
        """Return whether what is known of the list goes far beyond the end of a page: the last ones may be gone."""
        end = shown.offset + shown.count
        return any(window.offset + len(window.members) / 2 > end for window in self.windows.values())

    def shown_since(self, number: int, since: float = -inf) -> dict[str, int]:
        """Return what windows near to one have shown since a time, each execution with the number of its window."""
        near = 2 * self.size
        here = self.windows[number].offset
        return {
            name: other
            for other, window in self.windows.items()
            if other != number and window.read_at > since and abs(window.offset - here) <= near
            for name in window.members
        }

    def found(self, count: int) -> None:
        """Take in how many live executions a page showed that a sweep read for the first time."""
        self.yields += (count - self.yields) / 4


def _spread(last: int) -> list[int]:
    """Return some places of a page, those in the middle first: the edges move out of sight."""
    return sorted({round(last * part / (ANCHORS - 1)) for part in range(ANCHORS)}, key=lambda at: abs(at - last / 2))
