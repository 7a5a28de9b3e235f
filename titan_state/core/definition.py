"""Definition: whether a model is defined without contradiction, and what to do about it where it is not.

Asked once, when a model is made. What the table of moves means is said in `lifecycle.py` and `ways.py`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from titan_state.errors import DefinitionError, shorten

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from titan_state.core.lifecycle import Action, Move


def text(what: str, name: object) -> str:
    """Return a name as a plain text, also where it is a member of an enum.

    Raises:
        DefinitionError: It is no text.
    """
    if not isinstance(name, str):
        raise DefinitionError(f"{what} must be a text, not {shorten(repr(name))}")
    return str.__str__(name)


def texts(what: str, names: Iterable[object]) -> tuple[str, ...]:
    """Return several names as plain texts.

    Raises:
        DefinitionError: They are no texts, or one text alone, which would be taken for its letters.
    """
    if isinstance(names, str):
        raise DefinitionError(f"{what}= takes several names, not the one text {shorten(names)!r}")
    return tuple(text(f"a name in {what}=", name) for name in names)


def names_of(names: Iterable[str]) -> str:
    """Return names for a message."""
    return " or ".join(repr(shorten(name)) for name in sorted(names))


def check_names(statuses: Collection[str], initial: str, terminal: Collection[str]) -> None:
    """Check that statuses are names, and that those which are referred to are among them.

    Raises:
        DefinitionError: The message names the fault.
    """
    for status in statuses:
        if not status.isidentifier():
            raise DefinitionError(f"status {shorten(status)!r} is not a name of letters, digits and underscores")
    for what, named in (("initial", {initial}), ("terminal", {*terminal})):
        missing = named - {*statuses}
        if missing:
            raise DefinitionError(f"the {what} status {names_of(missing)} is not among the statuses")


def check_moves(moves: Iterable[Move], statuses: Collection[str], terminal: Collection[str]) -> None:
    """Check each move by itself and against those before it.

    Raises:
        DefinitionError: The message names the move and the fault.
    """
    by_name: dict[str, Move] = {}
    by_action: dict[tuple[str, Action], Move] = {}
    for move in moves:
        where = f"move {shorten(move.name)!r} from {shorten(move.source)!r} to {shorten(move.dest)!r}"
        if not move.name.isidentifier():
            raise DefinitionError(f"{where}: its name is not made of letters, digits and underscores")
        for status in (move.source, move.dest):
            if status not in statuses:
                raise DefinitionError(f"{where}: status {shorten(status)!r} is not among the statuses")
        if move.source in terminal:
            raise DefinitionError(f"{where}: it leaves a terminal status")
        if move.source == move.dest:
            raise DefinitionError(f"{where}: it leads nowhere")
        _check_namesake(where, move, by_name.setdefault(move.name, move))
        if move.action is not None:
            other = by_action.setdefault((move.source, move.action), move)
            if other.dest != move.dest:
                raise DefinitionError(f"{where}: {move.action} leads from there to {other.dest!r} already")


def _check_namesake(where: str, move: Move, other: Move) -> None:
    """Check that a move and the first one of its name are alike but for where they begin."""
    first = f"the move of that name from {other.source!r}"
    if other.dest != move.dest:
        raise DefinitionError(f"{where}: {first} leads to {other.dest!r} already; choose another name")
    if other.action is move.action:
        return
    if other.action is None:
        raise DefinitionError(f"{where}: {first} has no action, but this has; choose another name")
    raise DefinitionError(
        f"{where}: {first} is caused by an action; give this one action=Action.{other.action.name}, too, "
        "or choose another name"
    )


def check_ends(reached: Collection[str], initial: str, statuses: Iterable[str], ends: Collection[str]) -> None:
    """Check that every status can be reached, and be left unless it is terminal.

    Args:
        reached: The statuses to which there is a way from the initial one.
        initial: The status in which every execution begins.
        statuses: All statuses.
        ends: The statuses that may be the last: terminal ones, and those that a move leaves.

    Raises:
        DefinitionError: The message names the fault.
    """
    unreachable = {status for status in statuses if status not in reached}
    if unreachable:
        raise DefinitionError(f"no move leads from {initial!r} to {names_of(unreachable)}")
    dead = {status for status in statuses if status not in ends}
    if dead:
        raise DefinitionError(
            f"no move leaves {names_of(dead)}, so an execution would stay there for ever: "
            "add a move, or name it in terminal="
        )
