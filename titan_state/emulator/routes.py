"""Routes of tasks and executions: create, list, read, run, control.

Outputs are in `output_routes.py`; credentials, limits and faults of the connection in `gate.py`.
"""

from __future__ import annotations

from functools import partial

from aiohttp import web

from titan_state.core.lifecycle import Action
from titan_state.emulator.answers import (
    RefusalError,
    execution_payload,
    json_object,
    listing,
    not_found,
    page,
    success,
    task_payload,
)
from titan_state.emulator.backend import REFUSALS, Backend
from titan_state.emulator.gate import PREFIX, Endpoint
from titan_state.emulator.run import Run
from titan_state.emulator.scenario import Task
from titan_state.emulator.world import KnownTask


def line(request: web.Request) -> str:
    """Return a request as `METHOD /path`."""
    return f"{request.method} {request.path}"


def find_task(backend: Backend, request: web.Request) -> KnownTask:
    """Return the task that the path names.

    Raises:
        RefusalError: There is none, or it was deleted.
    """
    known = backend.world.tasks.get(request.match_info["id"])
    if known is None or known.task.status == "deleted":
        raise not_found("task")
    return known


def find_run(backend: Backend, request: web.Request, at: float) -> Run:
    """Return the execution that the path names, if it can be found at a scenario time.

    Raises:
        RefusalError: It is not there, or not yet, or not any more.
    """
    try:
        run = backend.world.run(request.match_info["id"])
    except KeyError:
        raise not_found("execution") from None
    mark = run.mark_at(at)
    if mark is None or mark.status is None:
        raise not_found("execution")
    return run


class Routes:
    """Tasks and executions."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend

    def endpoints(self) -> list[Endpoint]:
        """Return all routes of this class."""
        return [
            Endpoint("POST", f"{PREFIX}/tasks", self.create_task, "tasks:write", acts=True),
            Endpoint("GET", f"{PREFIX}/tasks", self.list_tasks, "tasks:read"),
            Endpoint("GET", f"{PREFIX}/tasks/{{id}}", self.read_task, "tasks:read"),
            Endpoint("POST", f"{PREFIX}/tasks/{{id}}/run", self.run_task, "executions:write", acts=True),
            Endpoint("GET", f"{PREFIX}/tasks/{{id}}/executions", self.list_of_task, "executions:read"),
            Endpoint("GET", f"{PREFIX}/executions", self.list_all, "executions:read"),
            Endpoint("GET", f"{PREFIX}/executions/{{id}}", self.read_execution, "executions:read"),
            *(
                Endpoint(
                    "POST",
                    f"{PREFIX}/executions/{{id}}/{action}",
                    partial(self.control, action),
                    "executions:write",
                    acts=True,
                )
                for action in Action
            ),
        ]

    async def create_task(self, request: web.Request) -> web.Response:
        """Create a task whose runs do what ordinary runs do."""
        backend = self._backend
        body = await json_object(request)
        name = body.get("name", "A task")
        if not isinstance(name, str):
            raise RefusalError(400, "BAD_REQUEST", "name must be text")
        known = backend.world.add_task(Task(name=name), now=backend.time())
        return success(task_payload(backend, known), status=backend.settings.created_status)

    async def list_tasks(self, request: web.Request) -> web.Response:
        """List the tasks, newest first."""
        backend = self._backend
        limit, offset = page(request, backend)
        tasks = [known for known in reversed(backend.world.tasks.values()) if known.task.status != "deleted"]
        shown = [task_payload(backend, known) for known in tasks[offset : offset + limit]]
        return listing(backend, "tasks", shown, total=len(tasks), limit=limit, offset=offset)

    async def read_task(self, request: web.Request) -> web.Response:
        """Read one task."""
        return success(task_payload(self._backend, find_task(self._backend, request)))

    async def run_task(self, request: web.Request) -> web.Response:
        """Start an execution of the task's template. A `secret_payload` is taken and forgotten."""
        backend = self._backend
        await json_object(request)
        known = find_task(backend, request)
        now = backend.time()
        execution_id = backend.add_run(known, now=now)
        payload = execution_payload(backend, backend.world.run(execution_id), now)
        if backend.settings.run_id_field == "execution_id":
            payload = {"execution_id": execution_id, "status": payload["status"]}
        return success(payload, status=backend.settings.created_status)

    async def list_all(self, request: web.Request) -> web.Response:
        """List the executions of all tasks, newest first."""
        return self._list(request, None)

    async def list_of_task(self, request: web.Request) -> web.Response:
        """List the executions of one task, newest first."""
        return self._list(request, find_task(self._backend, request).id)

    async def read_execution(self, request: web.Request) -> web.Response:
        """Read one execution."""
        backend = self._backend
        at = backend.read_at(line(request))
        run = find_run(backend, request, at)
        if backend.time() - run.created_at < backend.faults.unreadable_new_s:
            raise not_found("execution")
        return success(execution_payload(backend, run, at))

    async def control(self, action: Action, request: web.Request) -> web.Response:
        """Pause, resume or stop an execution."""
        backend = self._backend
        settings = backend.settings
        if action in settings.unsupported:
            raise RefusalError(501, "NOT_IMPLEMENTED", f"{action} is not supported by this deployment")
        now = backend.time()
        run = find_run(backend, request, now)
        verdict = backend.lifecycle.verdict(run.status or "", action)
        if not verdict:
            raise RefusalError(settings.illegal_status, REFUSALS[settings.illegal_status], verdict.reason)
        if not backend.hit("ignored_action", line(request)):
            run.act(action, now=now, delay_s=settings.action_delay_s)
            backend.world.reschedule(run)
        return success(execution_payload(backend, run, now) if settings.control_answer == "execution" else None)

    def _list(self, request: web.Request, task_id: str | None) -> web.Response:
        backend = self._backend
        limit, offset = page(request, backend)
        at = backend.read_at(line(request), is_list=True)
        runs = backend.world.visible(at, task_id)
        wanted = request.query.getall("status", [])
        if backend.settings.status_filter and wanted:
            runs = [run for run in runs if _status_at(run, at) in wanted]
        shift = 0
        if offset and backend.hit("shifting", line(request)):
            shift = backend.dice.source(backend.faults, "shift").choice((-1, 1))
        first = offset + shift
        shown = [execution_payload(backend, run, at) for run in runs[first : first + limit]]
        return listing(backend, "executions", shown, total=len(runs), limit=limit, offset=offset)


def _status_at(run: Run, at: float) -> str | None:
    mark = run.mark_at(at)
    return mark.status if mark else None
