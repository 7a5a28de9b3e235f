"""Backend: everything the routes share: settings, the truth, faults, limits, credentials, and what time it is.

No HTTP here; answers are made in the routes, and `gate.py` stands before them.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from datetime import datetime, timedelta
from hashlib import sha256
from typing import Any, Final, Literal, TypedDict, get_args

import attrs

from titan_state.clock import Clock
from titan_state.core.lifecycle import Action, Lifecycle
from titan_state.emulator import checks
from titan_state.emulator.faults import Dice, Faults
from titan_state.emulator.limits import RateLimiter
from titan_state.emulator.run import HistoryEntry, Run
from titan_state.emulator.scenario import Scenario
from titan_state.emulator.world import KnownTask, World

SCOPES: Final = frozenset({"tasks:read", "tasks:write", "executions:read", "executions:write", "data:read"})
REFUSALS: Final = {400: "BAD_REQUEST", 404: "NOT_FOUND", 409: "CONFLICT", 422: "UNPROCESSABLE_ENTITY"}

ListShape = Literal["items", "executions", "array"]
ControlAnswer = Literal["execution", "null"]
RunIdField = Literal["id", "execution_id"]
ExportShape = Literal["array", "lines"]
PendingAnswer = Literal[202, 404, 409, 425, "status", "null"]


def _actions(actions: Iterable[Action | str]) -> frozenset[Action]:
    return frozenset(Action(action) for action in checks.several("unsupported", actions, str, "names of actions"))


@attrs.frozen(kw_only=True)
class Settings:
    """What the documentation leaves open, and this deployment's choice.

    Attributes:
        list_shape: `items`: an object with `items`, `total`, `limit`, `offset`; `executions`: the same with the kind's
            own name instead of `items`; `array`: a bare array.
        max_limit: The largest page; a larger `limit` is cut to it.
        default_limit: The page without a `limit`.
        action_delay_s: After how many scenario seconds an accepted action takes effect.
        illegal_status: The HTTP status of an action that the status does not allow: 400, 404, 409 or 422.
        unsupported: Actions that are answered with 501 NOT_IMPLEMENTED.
        control_answer: What an accepted action's `data` is: the execution, or null.
        run_id_field: The name under which a new run's id is answered.
        created_status: The HTTP status of a new task or run.
        status_filter: Whether lists of executions honour `?status=`; it is ignored otherwise.
        updated_at: Whether executions say when they were last changed.
        export_shape: What a JSON export is: one array, or JSON lines, an object on each line and a line break after
            the last.
        ranges: Whether export, download and media have a strong `ETag` and honour `Range: bytes=N-` with `If-Range`;
            the header is ignored otherwise.
        results_pending: How metadata, export and download answer while there are no results to read, and where there
            never will be any: an error envelope with 404, 409 or 425; `status`: 200 with `data` of
            `{"status": "processing"}`; 202: the same with that status; `null`: 200 with `data` of null.
    """

    list_shape: ListShape = attrs.field(default="items", validator=attrs.validators.in_(get_args(ListShape)))
    max_limit: int = attrs.field(default=100, validator=attrs.validators.ge(1))
    default_limit: int = attrs.field(default=20, validator=attrs.validators.ge(1))
    action_delay_s: float = attrs.field(default=0.0, validator=attrs.validators.ge(0))
    illegal_status: int = attrs.field(default=409, validator=attrs.validators.in_(tuple(REFUSALS)))
    unsupported: frozenset[Action] = attrs.field(default=frozenset(), converter=_actions)
    control_answer: ControlAnswer = attrs.field(
        default="execution", validator=attrs.validators.in_(get_args(ControlAnswer))
    )
    run_id_field: RunIdField = attrs.field(default="id", validator=attrs.validators.in_(get_args(RunIdField)))
    created_status: int = 201
    status_filter: bool = False
    updated_at: bool = True
    export_shape: ExportShape = attrs.field(default="array", validator=attrs.validators.in_(get_args(ExportShape)))
    ranges: bool = True
    results_pending: PendingAnswer = attrs.field(default=404, validator=attrs.validators.in_(get_args(PendingAnswer)))


class SettingOptions(TypedDict, total=False):
    """The names of `Settings` as keyword arguments, for type checkers."""

    list_shape: ListShape
    max_limit: int
    default_limit: int
    action_delay_s: float
    illegal_status: int
    unsupported: Iterable[Action | str]
    control_answer: ControlAnswer
    run_id_field: RunIdField
    created_status: int
    status_filter: bool
    updated_at: bool
    export_shape: ExportShape
    ranges: bool
    results_pending: PendingAnswer


@attrs.frozen
class RequestRecord:
    """One request that arrived.

    Attributes:
        number: Its number, the first is 1.
        method: Its method.
        path: Its path, without the query.
        query: Its query, by name.
        status: The HTTP status it was answered with, None where the connection was broken instead.
        at: When it was answered, in scenario seconds.
        clock_at: The same, in seconds of the service's clock.
        authorized: Whether its credentials were accepted.
    """

    number: int
    method: str
    path: str
    query: dict[str, str]
    status: int | None
    at: float
    clock_at: float
    authorized: bool


class Backend:
    """The state of one embedded service."""

    def __init__(
        self,
        scenario: Scenario,
        *,
        clock: Clock,
        speed: float,
        seed: int,
        lifecycle: Lifecycle,
        settings: Settings,
        limiter: RateLimiter,
        tokens: dict[str, frozenset[str]],
        faults: Faults,
        keep_requests: int,
    ) -> None:
        self.clock = clock
        self.lifecycle = lifecycle
        self.settings = settings
        self.limiter = limiter
        self.tokens = tokens
        self.faults = faults
        self.dice = Dice(seed)
        self.world = World(scenario, seed=seed, lifecycle=lifecycle)
        self.requests: deque[RequestRecord] = deque(maxlen=keep_requests)
        self.arrived = 0
        self.origin = ""
        self._speed = speed
        self._seed = seed
        self._started = clock.time()
        self._started_wall = clock.now()
        self._frozen: float | None = 0.0  # time begins with `start`
        self._waits = False

    def start(self, *, when_asked: bool = False) -> None:
        """Let scenario time begin, now or when `asked` is called."""
        self._waits = when_asked
        if not when_asked:
            self._begin()

    def asked(self) -> None:
        """Let scenario time begin if it has waited for that."""
        if self._waits:
            self._waits = False
            self._begin()

    def _begin(self) -> None:
        self._started = self.clock.time()
        self._started_wall = self.clock.now()
        self._frozen = None

    def freeze(self) -> None:
        """Let scenario time end; the truth stays as it is."""
        self._waits = False
        self._frozen = self.time()

    def time(self) -> float:
        """Return the scenario time in seconds, after everything due by then has happened."""
        now = (self.clock.time() - self._started) * self._speed if self._frozen is None else self._frozen
        self.world.advance(now)
        return now

    def wall(self, at: float) -> datetime:
        """Return the wall time of a scenario time."""
        return self._started_wall + timedelta(seconds=at / self._speed)

    def hit(self, fault: str, request: str) -> bool:
        """Return whether a fault hits a request, given as `METHOD /path`."""
        return self.dice.hit(self.faults, fault, request)

    def read_at(self, request: str, *, is_list: bool = False) -> float:
        """Return the scenario time whose truth a read shows: now, or earlier where a replica or the list lags."""
        now = self.time()
        lag = self.faults.list_lag_s if is_list else 0.0
        if self.hit("stale", request):
            lag = max(lag, self.dice.source(self.faults, "stale_s").uniform(0.0, self.faults.stale_s))
        return now - lag

    def history(self, execution_id: str) -> tuple[HistoryEntry, ...]:
        """Return the changes of an execution's true status, oldest first.

        Raises:
            KeyError: There is no such execution, and none is planned.
        """
        self.time()
        if self.world.is_planned(execution_id):
            return ()
        return tuple(
            HistoryEntry(mark.status, mark.at, mark.cause, self.wall(mark.at))
            for mark in self.world.run(execution_id).marks
            if mark.status is not None
        )

    def add_run(self, known: KnownTask, *, now: float) -> str:
        """Create an execution of a task's template and return its id.

        The template's id and delay are left out: a task may be run many times, and a run is created by its request.
        """
        return self.world.plan(
            attrs.evolve(known.task.template, id=None, task_id=known.id, created_after_s=0.0), now=now
        )

    def media_token(self, run: Run) -> str:
        """Return the token of an execution's media URLs."""
        return sha256(f"{self._seed}:{run.id}".encode()).hexdigest()[:32]

    def record(self, request: Any, *, status: int | None, authorized: bool) -> None:
        """Note how a request was answered."""
        self.requests.append(
            RequestRecord(
                number=self.arrived,
                method=request.method,
                path=request.path,
                query=dict(request.query),
                status=status,
                at=self.time(),
                clock_at=self.clock.time(),
                authorized=authorized,
            )
        )
