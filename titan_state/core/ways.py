"""Ways: what is compiled from a table of moves: the shortest ways between statuses, and where actions show.

Pure functions of the table, asked once when a model is made. Which moves are legal is said in `lifecycle.py`.
"""

from __future__ import annotations

import heapq
from collections import deque
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Container, Iterable

    from titan_state.core.lifecycle import Action, Move


def shortest_ways(moves: Iterable[Move], source: str, expected: Container[Action]) -> dict[str, tuple[Move, ...]]:
    """Return the shortest way to each status that can be reached from `source`.

    Among ways of the same length the one with the fewest actions that are not expected is taken, then the one with
    the most that are, then the one defined first.

    Args:
        moves: The table.
        source: The status to begin in.
        expected: The actions that are expected to take effect.
    """
    leaving = _leaving(moves)
    found: dict[str, tuple[Move, ...]] = {}
    count = 0  # the order of definition decides between equals
    heap: list[tuple[int, int, int, int, str, tuple[Move, ...]]] = [(0, 0, 0, count, source, ())]
    while heap:
        length, strange, familiar, _, status, way = heapq.heappop(heap)
        if status in found:
            continue
        found[status] = way
        for move in leaving.get(status, ()):
            count += 1
            ours = move.action is not None and move.action in expected
            theirs = move.action is not None and not ours
            cost = (length + 1, strange + theirs, familiar - ours, count)
            heapq.heappush(heap, (*cost, move.dest, (*way, move)))
    return found


def effects(moves: Iterable[Move], action: Action) -> dict[str | None, frozenset[str]]:
    """Return for each status in which `action` is legal the statuses that show that it took effect; for None, all.

    These are its destination, and whatever the platform alone leads on to from there. A status in which the action is
    legal (again) shows nothing, nor does what is only reached through it: the execution may be there without it. Where
    the status before is known, nor does what the platform alone leads to from there.
    """
    table = tuple(moves)
    leaving = _leaving(move for move in table if move.action is None)
    dests = {move.source: move.dest for move in table if move.action is action}
    beyond = {source: _beyond(leaving, dest, dests) for source, dest in dests.items()}
    found: dict[str | None, frozenset[str]] = {
        source: beyond[source] - _beyond(leaving, source) | {dest} for source, dest in dests.items()
    }
    found[None] = frozenset().union(*beyond.values())
    return found


def _beyond(leaving: dict[str, list[Move]], first: str, barred: Container[str] = ()) -> frozenset[str]:
    """Return `first`, and whatever can be reached from there without what is barred."""
    found = {first}
    queue = deque(found)
    while queue:
        for move in leaving.get(queue.popleft(), ()):
            if move.dest not in found and move.dest not in barred:
                found.add(move.dest)
                queue.append(move.dest)
    return frozenset(found)


def _leaving(moves: Iterable[Move]) -> dict[str, list[Move]]:
    leaving: dict[str, list[Move]] = {}
    for move in moves:
        leaving.setdefault(move.source, []).append(move)
    return leaving
