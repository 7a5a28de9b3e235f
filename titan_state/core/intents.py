"""Intents: which changes are explained by control actions of ours.

An intent is taken down before the request leaves and explains the move it causes from then on, once. Whether an
unexplained move is an anomaly is not decided here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from titan_state.core.lifecycle import Action

if TYPE_CHECKING:
    from titan_state.core.lifecycle import Lifecycle, Move
    from titan_state.core.record import Intent, Rare, Record

MEMORY_S: Final = 60.0
"""For how many seconds an action may explain a move that was followed by another one, or never accepted."""

FLIPS: Final = frozenset({Action.PAUSE, Action.RESUME})
"""The actions whose moves are unexpected when nobody of ours asked for them."""


def explaining(rare: Rare | None, action: Action) -> Intent | None:
    """Return the intent that explains a move caused by `action`, None if nothing of ours does."""
    if rare is None:
        return None
    for intent in rare.intents:
        if intent.action is action and not intent.refused:
            return intent
    return None


def explains_flips(rare: Rare | None, path: tuple[Move, ...]) -> bool:
    """Return whether a path has moves of pause or resume, and all of them are explained."""
    flips = [move.action for move in path if move.action is not None and move.action in FLIPS]
    return bool(flips) and all(explaining(rare, action) is not None for action in flips)


def consume(rare: Rare, intent: Intent) -> None:
    """Forget an intent whose move was seen, and what was sent before it."""
    position = rare.intents.index(intent)
    del rare.intents[: position + 1]


def leads_to(lifecycle: Lifecycle, action: Action) -> frozenset[str]:
    """Return the statuses that an action leads to, from wherever."""
    return frozenset(move.dest for move in lifecycle.moves if move.action is action)


def settle(lifecycle: Lifecycle, record: Record, sent_at: float, lag_s: float) -> None:
    """Forget the intents that a read of the present status proves to be done with.

    An intent is done with when a read beyond the lag shows a status it leads to: the execution was there already, or
    went and came back between two reads. One that was followed by another, or never accepted, is forgotten after
    `MEMORY_S`; the last accepted one explains its move however late that comes.

    Args:
        lifecycle: The model.
        record: The record whose status was read.
        sent_at: When the read was sent.
        lag_s: How far an answer may lag behind the truth.
    """
    rare = record.rare
    if rare is None or not rare.intents:
        return
    intents = rare.intents
    for position, intent in reversed(list(enumerate(intents))):
        known_at = intent.sent_at if intent.accepted_at is None else intent.accepted_at
        if sent_at >= known_at + lag_s and record.status in leads_to(lifecycle, intent.action):
            del intents[: position + 1]
            break
    rare.intents = [intent for intent in intents if _may_explain(intent, intent is intents[-1], sent_at)]


def withdraw(rare: Rare | None, action: Action) -> None:
    """Mark the latest action of that name as refused: it explains nothing any more."""
    if rare is None:
        return
    doubtful = rare.flip.intents if rare.flip is not None else None
    for intent in reversed([*(doubtful or ()), *rare.intents]):
        if intent.action is action and not intent.refused:
            intent.refused = True
            break
    rare.intents = [intent for intent in rare.intents if not intent.refused]


def _may_explain(intent: Intent, is_last: bool, now: float) -> bool:
    return now < intent.sent_at + MEMORY_S or (is_last and intent.accepted_at is not None)
