"""TaskServiceEmulator: the embedded Task Service, an HTTP server on loopback with a port of its own choosing.

This module starts and stops the server and holds what tests ask and force. The truth is in `world.py`, the API in the
routes, and nothing here is meant to face a network.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping
from email.utils import format_datetime
from types import TracebackType
from typing import Final, Self, Unpack

from aiohttp import web
from aiohttp.typedefs import Handler

from titan_state.clock import Clock, SystemClock
from titan_state.core.lifecycle import Lifecycle
from titan_state.emulator import checks
from titan_state.emulator.answers import RefusalError, failure
from titan_state.emulator.backend import SCOPES, Backend, RequestRecord, SettingOptions, Settings
from titan_state.emulator.contents import ExportFormat, exported
from titan_state.emulator.faults import Faults
from titan_state.emulator.gate import Gate
from titan_state.emulator.limits import RateLimiter
from titan_state.emulator.output_routes import OutputRoutes
from titan_state.emulator.plan import Plan
from titan_state.emulator.routes import Routes
from titan_state.emulator.run import HistoryEntry
from titan_state.emulator.scenario import HOW_PLAN, Scenario

DEFAULT_TOKEN: Final = "emulator-token-that-is-no-secret"  # noqa: S105 - no secret: it opens a test double on loopback


class TaskServiceEmulator:
    """An embedded Task Service for tests and demonstrations.

    ```python
    plan = Plan(id="nightly", steps=[Step("running", 0.1), Step("completed", 0.5)])
    async with TaskServiceEmulator(Scenario([plan])) as service:
        async with Monitor(service.url, service.token) as monitor:
            print((await monitor.wait("nightly")).status)
        print(service.history("nightly"))  # what was true, and when
    ```

    Use it with `async with`. Scenario time begins on entering, runs at `speed` times the clock, and ends on leaving;
    the questions (`history`, `executions`, `requests`) are answered afterwards too.
    """

    def __init__(
        self,
        scenario: Scenario | None = None,
        *,
        clock: Clock | None = None,
        speed: float = 1.0,
        seed: int = 0,
        lifecycle: Lifecycle | None = None,
        token: str = DEFAULT_TOKEN,
        scopes: Iterable[str] = SCOPES,
        tokens: Mapping[str, Iterable[str]] | None = None,
        per_minute: int | None = 120,
        burst: int = 0,
        faults: Faults | None = None,
        host: str = "127.0.0.1",
        port: int = 0,
        keep_requests: int = 10_000,
        begins_when_asked: bool = False,
        **settings: Unpack[SettingOptions],
    ) -> None:
        """Prepare a service; it listens inside `async with`.

        Args:
            scenario: What its executions do by themselves; None for a service with one task and no execution.
            clock: Its time; default: the machine's.
            speed: Scenario seconds per second of the clock.
            seed: The seed of ids and faults.
            lifecycle: The model by which control actions are legal, and statuses terminal; default: the documented one.
                Plans and `move` are not held to it: they may tell of anything. An action makes its own move and no
                further one, and suspends the plan (a pause), lets it go on (a resume) or drops it (a stop): an
                execution whose pause leads to `pausing`, say, stays there until `move` moves it.
            token: The bearer token (or `X-API-Key`) that it accepts.
            scopes: The scopes of that token.
            tokens: Further tokens and their scopes.
            per_minute: The rate limit of each credential, in requests per 60 s of the clock; None for no limit.
            burst: How many requests are let in on top of it.
            faults: What goes wrong; default: nothing.
            host: The address to listen on.
            port: The port; 0 for any free one.
            keep_requests: How many of the last requests `requests` holds.
            begins_when_asked: Whether scenario time begins with the first request that has an accepted token: whoever
                is to see a story whole may take their time to look.
            **settings: What the documentation leaves open: see `Settings` for the names and defaults.

        Raises:
            TypeError: There is no such setting.
            ValueError: A setting has no such value.
            ConfigurationError: An argument is of the wrong kind.
        """
        if speed <= 0:
            raise ValueError(f"speed must be above 0, got {speed}")
        self.token = token
        self._address = (host, port)
        self._runner: web.AppRunner | None = None
        self._backend = Backend(
            Scenario() if scenario is None else checks.one("scenario", scenario, Scenario, "Scenario(plans)"),
            clock=clock or SystemClock(),
            speed=speed,
            seed=seed,
            lifecycle=Lifecycle.default()
            if lifecycle is None
            else checks.one("lifecycle", lifecycle, Lifecycle, "a Lifecycle, such as Lifecycle.default().extend(…)"),
            settings=Settings(**settings),
            limiter=RateLimiter(per_minute, burst),
            tokens={
                **{other: frozenset(granted) for other, granted in (tokens or {}).items()},
                token: frozenset(scopes),
            },
            faults=Faults.none() if faults is None else _checked(faults),
            keep_requests=keep_requests,
        )
        self._begins_when_asked = begins_when_asked

    @property
    def url(self) -> str:
        """The origin, without the `/api/v1` prefix; empty before the service has listened."""
        return self._backend.origin

    @property
    def faults(self) -> Faults:
        """What goes wrong; may be changed or replaced at any time."""
        return self._backend.faults

    @faults.setter
    def faults(self, faults: Faults) -> None:
        self._backend.faults = _checked(faults)

    @property
    def tokens(self) -> dict[str, frozenset[str]]:
        """The accepted tokens and their scopes; may be changed at any time."""
        return self._backend.tokens

    @property
    def requests(self) -> deque[RequestRecord]:
        """The last requests, oldest first."""
        return self._backend.requests

    def time(self) -> float:
        """Return the scenario time in seconds."""
        return self._backend.time()

    def history(self, execution_id: str) -> tuple[HistoryEntry, ...]:
        """Return the changes of an execution's true status, oldest first; none of one that is yet to be created.

        Args:
            execution_id: The execution.

        Raises:
            KeyError: There is no such execution.
        """
        return self._backend.history(execution_id)

    def executions(self) -> dict[str, str]:
        """Return the true status of every execution that can be found now, by id, oldest first."""
        now = self.time()
        return {run.id: run.status for run in reversed(self._backend.world.visible(now)) if run.status is not None}

    def tasks(self) -> dict[str, str]:
        """Return the name of every task, by id."""
        return {known.id: known.task.name for known in self._backend.world.tasks.values()}

    def results_ready(self, execution_id: str) -> bool:
        """Return whether the results of an execution can be read now.

        Args:
            execution_id: The execution.

        Raises:
            KeyError: There is no such execution, or it is yet to be created.
        """
        now = self.time()
        return self._backend.world.run(execution_id).results_at(now) is not None

    def export_bytes(
        self,
        execution_id: str,
        format: ExportFormat = "json",  # noqa: A002 - the name that the API has for it
    ) -> bytes:
        """Return what an export of an execution holds, byte for byte, whether or not it is readable now.

        Its media URLs have the origin of this service, so ask once it has listened.

        Args:
            execution_id: The execution.
            format: `json` or `csv`.

        Raises:
            KeyError: There is no such execution, or it is yet to be created.
            ValueError: There is no such format.
        """
        self.time()
        return exported(self._backend, self._backend.world.run(execution_id), format).body

    def add(self, plan: Plan) -> str:
        """Add an execution, created now or `plan.created_after_s` from now.

        Args:
            plan: What it does.

        Returns:
            Its id.

        Raises:
            ValueError: There is an execution of that id already.
            ConfigurationError: It is no plan.
        """
        return self._backend.world.plan(checks.one("add", plan, Plan, HOW_PLAN), now=self.time())

    def move(self, execution_id: str, status: str) -> None:
        """Force an execution to any status now, legal or not; what was left of its plan is dropped.

        One that has vanished is found again.

        Args:
            execution_id: The execution.
            status: The status, any text.

        Raises:
            KeyError: There is no such execution, or it is yet to be created.
            ConfigurationError: The status is no text.
        """
        entered = checks.text("move", status, "the text of a status")
        now = self.time()
        self._backend.world.run(execution_id).move(entered, now=now)

    def remove(self, execution_id: str) -> None:
        """Make an execution vanish: it is not found from now on.

        Args:
            execution_id: The execution.

        Raises:
            KeyError: There is no such execution, or it is yet to be created.
        """
        now = self.time()
        self._backend.world.run(execution_id).move(None, now=now)

    def _app(self) -> web.Application:
        backend = self._backend
        gate = Gate(backend)

        @web.middleware
        async def unrouted(request: web.Request, handler: Handler) -> web.StreamResponse:
            try:
                return await handler(request)
            except (web.HTTPNotFound, web.HTTPMethodNotAllowed) as error:
                backend.arrived += 1
                backend.record(request, status=error.status, authorized=False)
                code = "NOT_FOUND" if error.status == 404 else "METHOD_NOT_ALLOWED"
                return failure(RefusalError(error.status, code, "no such route"))

        async def date(request: web.Request, answer: web.StreamResponse) -> None:
            answer.headers["Date"] = format_datetime(backend.clock.now(), usegmt=True)

        app = web.Application(middlewares=[unrouted])
        app.on_response_prepare.append(date)
        app.add_routes(
            gate.guard(endpoint) for endpoint in (*Routes(backend).endpoints(), *OutputRoutes(backend).endpoints())
        )
        return app

    async def __aenter__(self) -> Self:
        # a test that leaves a slow answer behind must not wait for it
        self._runner = web.AppRunner(self._app(), access_log=None, shutdown_timeout=0.1)
        await self._runner.setup()
        host, port = self._address
        try:
            await web.TCPSite(self._runner, host, port).start()
        except BaseException:
            await self._runner.cleanup()
            raise
        bound = self._runner.addresses[0][1]
        self._backend.origin = f"http://[{host}]:{bound}" if ":" in host else f"http://{host}:{bound}"
        self._backend.start(when_asked=self._begins_when_asked)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._backend.freeze()
        if self._runner is not None:
            runner, self._runner = self._runner, None
            await runner.cleanup()


def _checked(faults: Faults) -> Faults:
    return checks.one("faults", faults, Faults, "Faults(…)")
