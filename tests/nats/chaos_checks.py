"""What must hold after a chaos test, whatever was killed: pure questions about what was told, written, and true.

Each returns what is wrong, in words: nothing, if all is well.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise

import attrs

ENDS = ("completed", "failed", "cancelled", "completed_with_errors")
ALL_MOVES = "recorder"
"""The handler that is called for every move; the others are called for ends only."""


@attrs.frozen
class Call:
    """One call of a callback."""

    pid: int
    handler: str
    name: str
    seq: int
    source: str | None
    dest: str


@attrs.frozen
class Written:
    """One event in the stream; `epoch` is that of the leader who wrote it, and only moves have a `dest`."""

    position: int
    epoch: int
    name: str
    seq: int
    source: str | None = None
    dest: str | None = None


@attrs.frozen
class Request:
    """One request that the service answered; `page` is the page limit that tells whose it was, None for others."""

    at: float
    page: int | None


@attrs.frozen
class TakeOver:
    """A monitor began to lead."""

    at: float
    pid: int
    page: int


def wrong_in_stream(written: Sequence[Written]) -> list[str]:
    """Every event is there once and at its place, and no epoch comes after a later one."""
    wrong = [
        f"position {later.position} was written in epoch {later.epoch}, after epoch {earlier.epoch}"
        for earlier, later in pairwise(sorted(written, key=lambda one: one.position))
        if later.epoch < earlier.epoch
    ]
    for name, own in by_name(written).items():
        numbers = [one.seq for one in sorted(own, key=lambda one: one.position)]
        if numbers != list(range(1, len(numbers) + 1)):
            wrong.append(f"{name}: the stream has {numbers}")
    return wrong


def wrong_in_truth(written: Sequence[Written], truth: Mapping[str, Sequence[str]]) -> list[str]:
    """What was written of each execution is what happened, in that order, up to its end."""
    found = by_name(one for one in written if one.dest is not None)
    wrong = [f"{name}: nothing was written" for name in truth if name not in found]
    wrong += [f"{name}: it is not watched" for name in found if name not in truth]
    for name, own in found.items():
        happened, told = list(truth.get(name, ())), [one.dest for one in own]
        rest = iter(happened)
        if not all(status in rest for status in told):
            wrong.append(f"{name}: {told} was written, {happened} is true")
        elif told[-1:] != happened[-1:]:
            wrong.append(f"{name}: {told} is not the whole of {happened}")
        elif (
            own[-1].dest in ("completed", "completed_with_errors") and told != happened[-len(told) :]
        ):  # there is one way to these
            wrong.append(f"{name}: {told} leaves out something of {happened}")
        if own[0].source is not None or any(later.source != earlier.dest for earlier, later in pairwise(own)):
            wrong.append(f"{name}: its moves do not follow each other")
    return wrong


def wrong_in_calls(
    calls: Sequence[Call], done: Sequence[Call], written: Sequence[Written], handlers: Iterable[str]
) -> list[str]:
    """Each handler has done everything that it is for, and nothing else, and began in order for each execution."""
    known = {(one.name, one.seq): one for one in written}
    wrong = []
    for call in (*calls, *done):
        event = known.get((call.name, call.seq))
        if event is None or event.dest is None:
            wrong.append(f"{call.handler} was called for {call.name}:{call.seq}, which is no move that was written")
        elif (event.source, event.dest) != (call.source, call.dest):
            wrong.append(f"{call.handler} was told another {call.name}:{call.seq} than is written")
    for handler in handlers:
        firsts: dict[str, dict[int, None]] = defaultdict(dict)
        ended: dict[str, set[int]] = defaultdict(set)
        for call in calls:
            if call.handler == handler:
                firsts[call.name].setdefault(call.seq)
        for call in done:
            if call.handler == handler:
                ended[call.name].add(call.seq)
        for name, own in by_name(written).items():
            wanted = [one.seq for one in own if one.dest in ENDS or (handler == ALL_MOVES and one.dest is not None)]
            got = list(firsts.get(name, ()))
            if sorted(ended[name]) != wanted or sorted(got) != wanted:
                wrong.append(f"{handler}: of {name} it has done {sorted(ended[name])} of {got} instead of {wanted}")
            elif got != wanted:
                wrong.append(f"{handler}: of {name} it was called in the order {got}")
    return wrong


def most_in_a_window(times: Iterable[float], seconds: float) -> int:
    """Return the largest number of requests in any window of so many seconds."""
    ordered = sorted(times)
    return max((index + 1 - bisect_left(ordered, at - seconds) for index, at in enumerate(ordered)), default=0)


def left_over(requests: Iterable[Request], takeovers: Sequence[TakeOver]) -> list[int]:
    """Return, for each time a monitor began to lead, how many requests of others the service answered from then on.

    Those were in flight when the one before was killed or stopped, if all is well.
    """
    starts = [one.at for one in takeovers]
    counts = [0] * len(takeovers)
    for request in requests:
        index = bisect_left(starts, request.at) - 1
        if index >= 0 and request.page is not None and request.page != takeovers[index].page:
            counts[index] += 1
    return counts


def by_name(written: Iterable[Written]) -> dict[str, list[Written]]:
    """Return the events of each execution, by number."""
    found: dict[str, list[Written]] = defaultdict(list)
    for one in sorted(written, key=lambda one: (one.seq, one.position)):
        found[one.name].append(one)
    return found
