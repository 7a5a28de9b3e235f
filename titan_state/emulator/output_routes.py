"""Routes of outputs: result metadata, export, download, datasets and media.

Results follow the truth of their execution: they are readable some time after a success and not before. Field names
of metadata and datasets are this emulator's choice; the documentation has none. What files hold is in `contents.py`.
"""

from __future__ import annotations

import base64
from typing import Final

from aiohttp import web

from titan_state.emulator.answers import RefusalError, iso, listing, not_found, page, success
from titan_state.emulator.backend import Backend
from titan_state.emulator.contents import COLUMNS, FORMATS, exported
from titan_state.emulator.gate import PREFIX, Endpoint
from titan_state.emulator.ranges import ranged
from titan_state.emulator.routes import find_run, find_task, line
from titan_state.emulator.run import Run

PENDING: Final = {404: "NOT_FOUND", 409: "CONFLICT", 425: "TOO_EARLY"}

PIXEL: Final = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)
"""A PNG image of one pixel: what every media URL shows."""


class OutputRoutes:
    """Results, datasets and media."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend

    def endpoints(self) -> list[Endpoint]:
        """Return all routes of this class."""
        execution = f"{PREFIX}/executions/{{id}}"
        return [
            Endpoint("GET", f"{execution}/results", self.metadata, "data:read"),
            Endpoint("GET", f"{execution}/results/export", self.export, "data:read"),
            Endpoint("GET", f"{execution}/results/download", self.download, "data:read"),
            Endpoint("GET", f"{execution}/datasets", self.datasets_of_execution, "data:read"),
            Endpoint("GET", f"{PREFIX}/tasks/{{id}}/datasets", self.datasets_of_task, "data:read"),
            Endpoint("GET", "/media/{path:.*}", self.media),
        ]

    async def metadata(self, request: web.Request) -> web.Response:
        """Answer what the results are."""
        run, since = self._find(request)
        if since is None:
            return self._pending()
        return success(
            {
                "execution_id": run.id,
                "status": "ready",
                "row_count": run.plan.rows,
                "columns": list(COLUMNS),
                "formats": list(FORMATS),
                "published_at": iso(self._backend.wall(since)),
            }
        )

    async def export(self, request: web.Request) -> web.Response:
        """Answer the rows as a JSON or CSV file."""
        wanted = request.query.get("format", "json")
        if wanted not in FORMATS:
            raise RefusalError(400, "BAD_REQUEST", f"format must be {' or '.join(FORMATS)}")
        return self._attachment(request, wanted)

    async def download(self, request: web.Request) -> web.Response:
        """Answer the rows as a CSV file."""
        return self._attachment(request, "csv")

    async def datasets_of_execution(self, request: web.Request) -> web.Response:
        """List the dataset of an execution; there is none before its results are readable."""
        backend = self._backend
        limit, offset = page(request, backend)
        at = backend.read_at(line(request))
        return self._datasets([find_run(backend, request, at)], at, limit, offset)

    async def datasets_of_task(self, request: web.Request) -> web.Response:
        """List the datasets of all executions of a task, newest first."""
        backend = self._backend
        limit, offset = page(request, backend)
        known = find_task(backend, request)
        at = backend.read_at(line(request), is_list=True)
        return self._datasets(backend.world.visible(at, known.id), at, limit, offset)

    async def media(self, request: web.Request) -> web.Response:
        """Answer the image behind a media URL of a row; its `token` is the only credential."""
        backend = self._backend
        token = request.query.get("token")
        if not token:
            raise RefusalError(401, "UNAUTHORIZED", "token is missing")
        execution_id, _, name = request.match_info["path"].partition("/")
        at = backend.time()
        try:
            run = backend.world.run(execution_id)
        except KeyError:
            raise not_found("media") from None
        if token != backend.media_token(run):
            raise RefusalError(403, "FORBIDDEN", "token is not valid for this media")
        names = {f"{position}.png" for position in range(1, run.plan.rows + 1)}
        if run.status is None or run.results_at(at) is None or name not in names:
            raise not_found("media")
        return self._file(request, PIXEL, {"Content-Type": "image/png"})

    def _find(self, request: web.Request) -> tuple[Run, float | None]:
        backend = self._backend
        at = backend.read_at(line(request))
        run = find_run(backend, request, at)
        return run, run.results_at(at)

    def _pending(self) -> web.Response:
        pending = self._backend.settings.results_pending
        if pending == "null":
            return success(None)
        if pending == "status" or pending == 202:
            return success({"status": "processing"}, status=202 if pending == 202 else 200)
        raise RefusalError(pending, PENDING[pending], "results are not readable")

    def _attachment(self, request: web.Request, wanted: str) -> web.Response:
        run, since = self._find(request)
        if since is None:
            return self._pending()
        file = exported(self._backend, run, wanted)
        disposition = f'attachment; filename="{file.name}"'
        return self._file(request, file.body, {"Content-Type": file.content_type, "Content-Disposition": disposition})

    def _file(self, request: web.Request, body: bytes, headers: dict[str, str]) -> web.Response:
        if self._backend.settings.ranges:
            return ranged(request, body, headers)
        return web.Response(body=body, headers=headers)

    def _datasets(self, runs: list[Run], at: float, limit: int, offset: int) -> web.Response:
        ready = [(run, since) for run in runs if (since := run.results_at(at)) is not None]
        shown = [
            {
                "id": f"dataset-{run.id}",
                "execution_id": run.id,
                "task_id": run.task_id,
                "row_count": run.plan.rows,
                "created_at": iso(self._backend.wall(since)),
            }
            for run, since in ready[offset : offset + limit]
        ]
        return listing(self._backend, "datasets", shown, total=len(ready), limit=limit, offset=offset)
