"""Answers: the envelopes of the API, and times and objects as its JSON shows them.

What to answer is the routes' business.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from aiohttp import web

from titan_state.emulator.backend import Backend
from titan_state.emulator.run import SUCCESSES, Run
from titan_state.emulator.world import KnownTask


class RefusalError(Exception):
    """A request that is answered with an error envelope.

    It never leaves the emulator, so it is not part of the library's exception tree.
    """

    def __init__(self, status: int, code: str, message: str, *, headers: Mapping[str, str] | None = None) -> None:
        self.status = status
        self.code = code
        self.message = message
        self.headers = headers
        super().__init__(f"{status} {code}: {message}")


def not_found(what: str) -> RefusalError:
    """Return the refusal of something that is not there."""
    return RefusalError(404, "NOT_FOUND", f"{what} not found")


def success(data: Any, *, status: int = 200) -> web.Response:
    """Return a success envelope."""
    return web.json_response({"success": True, "data": data}, status=status)


def failure(refusal: RefusalError) -> web.Response:
    """Return an error envelope."""
    return web.json_response(
        {"success": False, "error": {"code": refusal.code, "message": refusal.message}},
        status=refusal.status,
        headers=refusal.headers,
    )


def bare_failure(refusal: RefusalError) -> web.Response:
    """Return an error in the form of the media routes: a string, without `success`."""
    return web.json_response({"error": refusal.message}, status=refusal.status, headers=refusal.headers)


async def json_object(request: web.Request) -> dict[str, Any]:
    """Return the request's body, which must be a JSON object or empty.

    Raises:
        RefusalError: It is something else.
    """
    content = await request.read()
    if not content.strip():
        return {}
    try:
        body = json.loads(content)
    except ValueError as error:  # UnicodeDecodeError is one too
        raise RefusalError(400, "BAD_REQUEST", "the body is not JSON") from error
    if not isinstance(body, dict):
        raise RefusalError(400, "BAD_REQUEST", "the body must be a JSON object")
    return body


def page(request: web.Request, backend: Backend) -> tuple[int, int]:
    """Return limit and offset of a list request.

    Raises:
        RefusalError: One of them is not a number in its range.
    """
    settings = backend.settings
    limit = _whole(request, "limit", min(settings.default_limit, settings.max_limit), least=1)
    return min(limit, settings.max_limit), _whole(request, "offset", 0, least=0)


def listing(backend: Backend, name: str, items: Sequence[Any], *, total: int, limit: int, offset: int) -> web.Response:
    """Return one page of a list in the deployment's shape."""
    shape = backend.settings.list_shape
    if shape == "array":
        return success(list(items))
    key = name if shape == "executions" else "items"
    return success({key: list(items), "total": total, "limit": limit, "offset": offset})


def iso(moment: datetime) -> str:
    """Return a time as the API shows it: ISO 8601 in UTC with milliseconds and `Z`."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def task_payload(backend: Backend, known: KnownTask) -> dict[str, Any]:
    """Return a task as JSON types."""
    created = iso(backend.wall(known.created_at))
    task = known.task
    return {"id": known.id, "name": task.name, "status": task.status, "created_at": created, "updated_at": created}


def execution_payload(backend: Backend, run: Run, at: float) -> dict[str, Any]:
    """Return an execution as it truly was at a scenario time, which must be one at which it can be found."""
    marks = [mark for mark in run.marks if mark.at <= at]
    last = marks[-1]
    started = next((mark.at for mark in marks if mark.status == "running"), None)
    finished = last.at if last.status in backend.lifecycle.terminal else None
    payload: dict[str, Any] = {
        "id": run.id,
        "task_id": run.task_id,
        "status": last.status,
        "created_at": iso(backend.wall(run.created_at)),
        "updated_at": iso(backend.wall(last.at + backend.faults.dates_off_s)),
        "started_at": None if started is None else iso(backend.wall(started)),
        "finished_at": None if finished is None else iso(backend.wall(finished)),
        "error": run.plan.error if last.status in ("failed", "completed_with_errors") else None,
    }
    if not backend.settings.updated_at:
        del payload["updated_at"]
    if run.plan.reports_progress:
        progress = _progress(run, last.status, at)
        payload["progress"] = progress
        is_waiting = last.status == "queued" or started is None
        payload["phase"] = None if finished is not None else _phase(run, progress, is_waiting=is_waiting)
    return payload


def _progress(run: Run, status: str | None, at: float) -> float:
    if status in SUCCESSES:
        return 100.0
    planned = run.plan.running_s()
    return round(min(99.0, 100.0 * run.running_s(at) / planned), 1) if planned > 0 else 0.0


def _phase(run: Run, progress: float, *, is_waiting: bool) -> str | None:
    phases = run.plan.phases
    if not phases:
        return None
    return "waiting" if is_waiting else phases[min(len(phases) - 1, int(progress * len(phases) / 100.0))]


def _whole(request: web.Request, name: str, default: int, *, least: int) -> int:
    text = request.query.get(name)
    if text is None:
        return default
    # isdecimal alone would take the digits of all scripts, and int() a number too long to convert
    if not (text.isascii() and text.isdecimal() and len(text) <= 9) or int(text) < least:
        raise RefusalError(400, "BAD_REQUEST", f"{name} must be a whole number of at least {least}")
    return int(text)
