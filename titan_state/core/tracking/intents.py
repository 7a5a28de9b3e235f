"""Intents: which changes are explained by control actions of ours.

An intent is taken down before the request leaves and explains the move it causes from then on, once. Whether an
unexplained move is an anomaly is not decided here.
"""

from __future__ import annotations

from itertools import combinations
from typing import TYPE_CHECKING, Final

from titan_state.core.lifecycle import Action
from titan_state.core.tracking.record import UNSEEN

if TYPE_CHECKING:
    from titan_state.core.lifecycle import Lifecycle, Move
    from titan_state.core.tracking.record import Intent, Rare, Record

MEMORY_S: Final = 60.0
"""For how many seconds an action may take effect that was followed by another one, or never accepted."""

FLIPS: Final = frozenset({Action.PAUSE, Action.RESUME})
"""The actions whose moves are unexpected when nobody of ours asked for them."""


def answered(rare: Rare | None, action: Action, sent_at: float | None) -> Intent | None:
    """Return the intent that an answer of the service is about; None if it explains nothing any more.

    Args:
        rare: Where the intents are.
        action: The action.
        sent_at: When it was sent; None for the latest one of that name, of those without an answer if there are any.
    """
    if rare is None:
        return None
    named = [
        intent
        for intent in (*(rare.flip.intents if rare.flip is not None else ()), *rare.intents)
        if intent.action is action and sent_at in (None, intent.sent_at)
    ]
    return max(named, key=lambda intent: (intent.accepted_at is None, intent.sent_at), default=None)


def explained(rare: Rare | None, path: tuple[Move, ...]) -> tuple[Intent | None, ...]:
    """Return for each move of a path the intent that explains it, None if nothing of ours does.

    An intent explains one move, and actions take effect in the order in which they were sent.
    """
    open_ones = [] if rare is None else rare.intents
    found: list[Intent | None] = []
    for move in path:
        intent = next((intent for intent in open_ones if intent.action is move.action), None)
        if intent is not None:
            open_ones = open_ones[open_ones.index(intent) + 1 :]
        found.append(intent)
    return tuple(found)


def explains_flips(rare: Rare | None, path: tuple[Move, ...]) -> bool:
    """Return whether a path has moves of pause or resume, and all of them are explained."""
    flips = [intent for move, intent in zip(path, explained(rare, path), strict=True) if move.action in FLIPS]
    return bool(flips) and None not in flips


def likely_path(lifecycle: Lifecycle, rare: Rare | None, source: str, dest: str) -> tuple[Move, ...] | None:
    """Return the shortest path between two statuses that the intents explain best, None if there is none.

    An action that was asked for is likelier than a move of the platform with the same ends, and that is likelier than
    an action that nobody of ours has asked for.
    """
    if rare is None or not rare.intents:
        return lifecycle.path(source, dest)
    asked = sorted({intent.action for intent in rare.intents})
    found = [
        lifecycle.path(source, dest, expected=frozenset(some))
        for count in range(len(asked) + 1)
        for some in combinations(asked, count)
    ]
    return min((path for path in found if path is not None), key=lambda path: _strangeness(rare, path), default=None)


def _strangeness(rare: Rare, path: tuple[Move, ...]) -> tuple[int, int]:
    ours = sum(intent is not None for intent in explained(rare, path))
    return sum(move.action is not None for move in path) - ours, -ours


def consume(rare: Rare, intent: Intent, *, certain: bool = True) -> None:
    """Forget an intent whose move was seen, and what was sent before it.

    Args:
        rare: Where it is.
        intent: The intent.
        certain: Whether the move cannot have been the platform's. If it can, what was sent before may still come: it
            need not be waited for, but explains its move.
    """
    intent.shown = True
    position = rare.intents.index(intent)
    if certain:
        del rare.intents[: position + 1]
        return
    for earlier in rare.intents[:position]:
        earlier.shown = True
    del rare.intents[position]


def asking_for(lifecycle: Lifecycle, rare: Rare, status: str) -> Intent | None:
    """Return the intent of an action that leads to `status`, from wherever; None if there is none."""
    asked = {move.action for move in lifecycle.moves if move.dest == status}
    return next((intent for intent in rare.intents if intent.action in asked), None)


def show(lifecycle: Lifecycle, rare: Rare, status: str) -> None:
    """Take down that an execution has entered `status`: the actions that lead there need not be waited for.

    They may have been carried out by the same move as another one, or unseen; a move of theirs is explained still.
    One that was sent after an action that leads elsewhere is still to come.
    """
    for intent in rare.intents:
        if status not in lifecycle.effects(intent.action):
            return
        intent.shown = True


def is_without_effect(lifecycle: Lifecycle, record: Record, intent: Intent) -> bool:
    """Return whether an accepted action has not shown its effect: the execution is elsewhere, as far as is known."""
    if record.status == UNSEEN or intent.accepted_at is None or intent.shown:
        return False
    return record.status not in lifecycle.effects(intent.action)


def settle(lifecycle: Lifecycle, rare: Rare, record: Record, sent_at: float) -> None:
    """Forget the intents that a read of the present status, sent at `sent_at`, shows to be too old.

    One that was followed by another, was never accepted, or leads to where the execution is or has been since, is
    forgotten after `MEMORY_S`, not before: actions may take effect late, and one after the other. The last accepted
    one explains its move however late that comes. None is forgotten before those sent earlier are: it is what
    supersedes them.
    """
    while rare.intents:
        oldest = rare.intents[0]
        fresh = sent_at < (oldest.sent_at if oldest.accepted_at is None else oldest.accepted_at) + MEMORY_S
        if fresh or (len(rare.intents) == 1 and is_without_effect(lifecycle, record, oldest)):
            return
        del rare.intents[0]


def withdraw(rare: Rare, intent: Intent) -> None:
    """Forget an intent, because it was refused: it explains nothing any more."""
    for intents in (rare.intents, rare.flip.intents if rare.flip is not None else []):
        if intent in intents:
            intents.remove(intent)
