"""The formal model: which statuses there are, which moves lead from one to another, which actions are legal.

Everything that decides whether a change is legal lives in this file, and the table is data. The model is one
shared `transitions.Machine`, driven one record at a time; what is asked often (paths, order, verdicts) is compiled
from the same table once. What was observed, and when, is the tracker's business, not this module's.

The Titan documentation names the statuses and the control actions but has no table of legal moves. The table below
is this library's own reading of it; `Lifecycle.extend` changes it for a deployment that differs.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from difflib import get_close_matches
from enum import Enum, StrEnum
from functools import cache
from itertools import combinations
from typing import Final, NoReturn, Protocol

import attrs
from transitions import Machine

from titan_state.core import definition, ways
from titan_state.core.definition import names_of, text
from titan_state.errors import DefinitionError, UnknownActionError, shorten


class Status(StrEnum):
    """The statuses of an execution that the Titan documentation knows. They are texts: `Status.QUEUED == "queued"`.

    Attributes:
        QUEUED: Waits for its turn.
        RUNNING: Works.
        PAUSED: Was suspended, and may be resumed.
        COMPLETED: Has succeeded; terminal.
        COMPLETED_WITH_ERRORS: Has succeeded in part; terminal, and a success to `Monitor.wait`.
        FAILED: Has failed; terminal.
        CANCELLED: Was stopped before completion; terminal.
    """

    QUEUED = "queued"
    RUNNING = "running"
    PAUSED = "paused"
    COMPLETED = "completed"
    COMPLETED_WITH_ERRORS = "completed_with_errors"
    FAILED = "failed"
    CANCELLED = "cancelled"


class Action(StrEnum):
    """The control actions of the Task Service. They are texts: `Action.PAUSE == "pause"`.

    Attributes:
        PAUSE: From `running` to `paused`.
        RESUME: From `paused` to `running`.
        STOP: From `queued`, `running` or `paused` to `cancelled`.
    """

    PAUSE = "pause"
    RESUME = "resume"
    STOP = "stop"

    @classmethod
    def _missing_(cls, value: object) -> NoReturn:
        near = get_close_matches(str(value)[:20].lower(), cls, n=1)
        meant = f" (did you mean {str(near[0])!r}?)" if near else ""
        raise UnknownActionError(f"there is no action {shorten(repr(value))}: {names_of(cls)}{meant}")


class Order(Enum):
    """How two statuses stand to each other in the model, whatever the clocks say."""

    SAME = "same"
    FORWARD = "forward"  # the second is the later one: a path there, none back
    BACKWARD = "backward"  # the first is the later one
    BOTH = "both"  # paths there and back: only the order of requests can tell
    NONE = "none"  # no path either way


def _as_name(name: str) -> str:
    return text("a name in a move", name)


@attrs.frozen
class Move:
    """One legal step of the model.

    Attributes:
        name: The move's name. One name always leads to one status, possibly from several.
        source: The status it leaves.
        dest: The status it enters.
        action: The control action that causes it, or its name; None for a move the platform makes by itself.

    Raises:
        DefinitionError: A name is no text, or there is no such action (`UnknownActionError`).
    """

    name: str = attrs.field(converter=_as_name)
    source: str = attrs.field(converter=_as_name)
    dest: str = attrs.field(converter=_as_name)
    action: Action | None = attrs.field(default=None, converter=attrs.converters.optional(Action))


def _move(move: object) -> Move:
    if not isinstance(move, Move):
        raise DefinitionError(f"moves= takes moves, as Move('start', 'queued', 'running'), not {shorten(repr(move))}")
    return move


@attrs.frozen
class Verdict:
    """Whether an action is legal; true or false like a bool.

    Attributes:
        allowed: Whether the action is legal.
        reason: One sentence that says why, or why not.
        leads_to: The status that the action leads to, None if it is not allowed.
        as_of: When the status was observed that the verdict is about; None for a question about the model alone.
    """

    allowed: bool
    reason: str
    leads_to: str | None = None
    as_of: datetime | None = None

    def __bool__(self) -> bool:
        return self.allowed


class HasStatus(Protocol):
    """A record that the model can drive: it has a `status` that may be set."""

    status: str


DEFAULT_MOVES: Final = (
    Move("start", "queued", "running"),
    Move("pause", "running", "paused", Action.PAUSE),
    Move("resume", "paused", "running", Action.RESUME),
    Move("stop", "queued", "cancelled", Action.STOP),
    Move("stop", "running", "cancelled", Action.STOP),
    Move("stop", "paused", "cancelled", Action.STOP),
    Move("complete", "running", "completed"),
    Move("complete_with_errors", "running", "completed_with_errors"),
    Move("fail", "queued", "failed"),
    Move("fail", "running", "failed"),
    Move("fail", "paused", "failed"),
)
NO_ACTION: Final[frozenset[Action]] = frozenset()
DEFAULT_TERMINAL: Final = ("completed", "completed_with_errors", "failed", "cancelled")


class Lifecycle:
    """A model of statuses and legal moves. Immutable; share one as widely as you like.

    Use `Lifecycle.default()`, and `extend` for a deployment with further statuses or moves.

    Attributes:
        statuses: All statuses, in the order of their definition.
        initial: The status in which every execution begins.
        terminal: The statuses in which an execution has finished; no move leaves them.
        moves: All legal moves.
        machine: The `transitions.Machine` that holds the model. It has no models of its own:
            drive a record through it with `advance`.
    """

    __slots__ = (
        "_effects",
        "_order",
        "_paths",
        "_verdicts",
        "_ways",
        "initial",
        "machine",
        "moves",
        "statuses",
        "terminal",
    )

    def __init__(
        self, statuses: Iterable[str], moves: Iterable[Move], *, initial: str, terminal: Iterable[str]
    ) -> None:
        """Compile a model.

        Args:
            statuses: All statuses.
            moves: All legal moves between them.
            initial: The status in which every execution begins.
            terminal: The statuses in which an execution has finished; no move leaves them.

        Raises:
            DefinitionError: The definition contradicts itself; the message names the fault.
        """
        self.statuses: tuple[str, ...] = tuple(dict.fromkeys(definition.texts("statuses", statuses)))
        self.moves: tuple[Move, ...] = tuple(dict.fromkeys(_move(move) for move in moves))
        self.initial: str = text("initial=", initial)
        self.terminal: frozenset[str] = frozenset(definition.texts("terminal", terminal))
        definition.check_names(self.statuses, self.initial, self.terminal)
        definition.check_moves(self.moves, self.statuses, self.terminal)
        self.machine: Machine = Machine(
            model=None,
            states=list(self.statuses),
            transitions=[[move.name, move.source, move.dest] for move in self.moves],
            initial=None,
            auto_transitions=False,
            send_event=True,
            model_attribute="status",
        )
        self._ways = {
            frozenset(some): {source: ways.shortest_ways(self.moves, source, some) for source in self.statuses}
            for count in range(len(Action) + 1)
            for some in combinations(Action, count)
        }
        self._paths = self._ways[NO_ACTION]
        left = {*self.terminal, *(move.source for move in self.moves)}
        definition.check_ends(self._paths[self.initial], self.initial, self.statuses, left)
        self._order = {
            source: {dest: self._compile_order(source, dest) for dest in self.statuses} for source in self.statuses
        }
        self._verdicts = {
            (status, action): self._compile_verdict(status, action) for status in self.statuses for action in Action
        }
        self._effects = {action: ways.effects(self.moves, action) for action in Action}

    @classmethod
    def default(cls) -> Lifecycle:
        """Return the model of the documented Task Service; always the same object."""
        return _default()

    def extend(
        self,
        *,
        statuses: Iterable[str] = (),
        moves: Iterable[Move] = (),
        terminal: Iterable[str] = (),
        without: Iterable[str] = (),
        initial: str | None = None,
    ) -> Lifecycle:
        """Return a further model with more statuses and moves; this one stays as it is.

        ```python
        model = Lifecycle.default().extend(
            statuses=["assigned"],
            moves=[Move("assign", "queued", "assigned"), Move("start", "assigned", "running")],
        )
        ```

        Args:
            statuses: Further statuses that are not terminal.
            moves: Further moves. A move that the model already has is taken once.
            terminal: Further statuses that are terminal.
            without: Names of moves to leave out first, where the deployment replaces them.
            initial: Another status in which executions begin; None for that of this model.

        Returns:
            The extended model.

        Raises:
            DefinitionError: The definition contradicts itself; the message names the fault.
        """
        dropped = frozenset(definition.texts("without", without))
        unknown = dropped - {move.name for move in self.moves}
        if unknown:
            raise DefinitionError(f"without= names moves that the model does not have: {names_of(unknown)}")
        ends = definition.texts("terminal", terminal)
        return Lifecycle(
            (*self.statuses, *definition.texts("statuses", statuses), *ends),
            (*(move for move in self.moves if move.name not in dropped), *moves),
            initial=self.initial if initial is None else initial,
            terminal=(*self.terminal, *ends),
        )

    def knows(self, status: str) -> bool:
        """Return whether a status is part of the model.

        Args:
            status: The status.
        """
        return status in self._paths

    def is_terminal(self, status: str) -> bool:
        """Return whether an execution in a status has finished.

        Args:
            status: The status; one outside the model is not terminal.
        """
        return status in self.terminal

    def path(self, source: str, dest: str, *, expected: frozenset[Action] = NO_ACTION) -> tuple[Move, ...] | None:
        """Return the shortest way from one status to another.

        Among ways of the same length the one with the fewest control actions is taken, then the one defined first.
        Actions that are expected to take effect come before moves of the platform, though, and those before others.

        Args:
            source: The status to begin in.
            dest: The status to end in.
            expected: The actions that are expected to take effect.

        Returns:
            The moves in their order, empty if both are the same; None if there is no way.

        Raises:
            DefinitionError: One of the two is not part of the model.
        """
        self._require(source, dest)
        return self._ways[expected][source].get(dest)

    def order(self, first: str, second: str) -> Order:
        """Return how two statuses stand to each other in the model.

        Args:
            first: A status.
            second: Another one.

        Returns:
            `SAME` if they are one; `FORWARD` if a path leads from the first to the second and none back, `BACKWARD` if
            it is the other way round; `BOTH` if there are paths there and back; `NONE` if there is none.

        Raises:
            DefinitionError: One of the two is not part of the model.
        """
        self._require(first, second)
        return self._order[first][second]

    def verdict(self, status: str, action: Action | str) -> Verdict:
        """Return whether `action` is legal in `status`.

        Args:
            status: A status. One outside the model allows nothing.
            action: An action, or its name.

        Raises:
            UnknownActionError: There is no such action.
        """
        compiled = self._verdicts.get((str(status), Action(action)))
        if compiled is None:
            return Verdict(
                allowed=False,
                reason=f"status {shorten(status)!r} is not in the model; extend the lifecycle if it is legal here",
            )
        return compiled

    def effects(self, action: Action | str, status: str | None = None) -> frozenset[str]:
        """Return the statuses that show that an action took effect.

        These are the one that the action leads to and, since it may be left before anybody looks, those to which the
        platform alone leads on from there. A status in which the action is legal (again) shows nothing. If the status
        before is given, nor does one that the platform alone may have led to from there: a failure shows no pause.

        Args:
            action: An action, or its name.
            status: The status that the execution was in before; None for an action from wherever.

        Returns:
            The statuses, none if the action is not legal in `status`.

        Raises:
            UnknownActionError: There is no such action.
        """
        return self._effects[Action(action)].get(status, frozenset())

    def advance(self, record: HasStatus, move: str) -> None:
        """Drive one record through the machine by one move.

        Args:
            record: What has a `status`, a text that may be set.
            move: The name of the move (`Move.name`).

        Raises:
            transitions.MachineError: The record's status does not allow the move; it is unchanged.
        """
        if type(record.status) is not str:
            record.status = str(record.status)  # the machine takes a member of an Enum by its name, not its value
        self.machine.events[move].trigger(record)

    def diagram(self) -> str:
        """Return the model as a Mermaid state diagram, read off the machine itself."""
        actions = {move.name for move in self.moves if move.action is not None}
        lines = ["stateDiagram-v2", f"    [*] --> {self.initial}"]
        for name, event in self.machine.events.items():
            label = f"{name} (action)" if name in actions else name
            lines.extend(
                f"    {transition.source} --> {transition.dest}: {label}"
                for transitions in event.transitions.values()
                for transition in transitions
            )
        lines.extend(f"    {status} --> [*]" for status in self.machine.states if status in self.terminal)
        return "\n".join(lines) + "\n"

    def __repr__(self) -> str:
        return f"<Lifecycle of {len(self.statuses)} statuses and {len(self.moves)} moves>"

    def _require(self, *statuses: str) -> None:
        for status in statuses:
            if status not in self._paths:
                raise DefinitionError(f"status {shorten(status)!r} is not in the model: {names_of(self.statuses)}")

    def _compile_order(self, source: str, dest: str) -> Order:
        if source == dest:
            return Order.SAME
        there, back = dest in self._paths[source], source in self._paths[dest]
        if there and back:
            return Order.BOTH
        return Order.FORWARD if there else Order.BACKWARD if back else Order.NONE

    def _compile_verdict(self, status: str, action: Action) -> Verdict:
        for move in self.moves:
            if move.source == status and move.action is action:
                return Verdict(allowed=True, reason=f"{action} leads from {status} to {move.dest}", leads_to=move.dest)
        if status in self.terminal:
            return Verdict(allowed=False, reason=f"it has finished: {status} is terminal, nothing leaves it")
        legal = [move.source for move in self.moves if move.action is action]
        where = f"only {names_of(legal)} allows it" if legal else "no status of this model allows it"
        return Verdict(allowed=False, reason=f"{action} is not legal in {status}: {where}")


@cache
def _default() -> Lifecycle:
    return Lifecycle(
        tuple(status.value for status in Status), DEFAULT_MOVES, initial="queued", terminal=DEFAULT_TERMINAL
    )
