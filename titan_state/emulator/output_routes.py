"""Routes of outputs: result metadata, export, download, datasets and media, with small generated contents.

Results follow the truth of their execution: they are readable some time after a success and not before. Field names
of metadata and datasets are this emulator's choice; the documentation has none.
"""

from __future__ import annotations

import base64
import csv
import io
import json
from typing import Any, Final

from aiohttp import web

from titan_state.emulator.answers import RefusalError, iso, listing, not_found, page, success
from titan_state.emulator.backend import Backend
from titan_state.emulator.gate import PREFIX, Endpoint
from titan_state.emulator.routes import find_run, find_task, line
from titan_state.emulator.run import Run

COLUMNS: Final = ("position", "title", "price", "image")

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
        run, ready = self._published(request)
        return success(
            {
                "execution_id": run.id,
                "status": "ready",
                "row_count": run.plan.rows,
                "columns": list(COLUMNS),
                "formats": ["json", "csv"],
                "published_at": iso(self._backend.wall(ready)),
            }
        )

    async def export(self, request: web.Request) -> web.Response:
        """Answer the rows as a JSON or CSV file."""
        wanted = request.query.get("format", "json")
        if wanted not in ("json", "csv"):
            raise RefusalError(400, "BAD_REQUEST", "format must be json or csv")
        run, _ = self._published(request)
        return self._csv(run) if wanted == "csv" else self._json(run)

    async def download(self, request: web.Request) -> web.Response:
        """Answer the rows as a CSV file."""
        run, _ = self._published(request)
        return self._csv(run)

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
        return web.Response(body=PIXEL, content_type="image/png")

    def _published(self, request: web.Request) -> tuple[Run, float]:
        backend = self._backend
        at = backend.read_at(line(request))
        run = find_run(backend, request, at)
        ready = run.results_at(at)
        if ready is None:
            raise not_found("results")
        return run, ready

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

    def _rows(self, run: Run) -> list[dict[str, Any]]:
        token = self._backend.media_token(run)
        return [
            {
                "position": position,
                "title": f"Item {position} of {run.id}",
                "price": round(9.99 + position, 2),
                "image": f"{self._backend.origin}/media/{run.id}/{position}.png?token={token}",
            }
            for position in range(1, run.plan.rows + 1)
        ]

    def _json(self, run: Run) -> web.Response:
        return _file(json.dumps(self._rows(run)), "application/json", f"results-{run.id}.json")

    def _csv(self, run: Run) -> web.Response:
        text = io.StringIO(newline="")
        writer = csv.DictWriter(text, COLUMNS)
        writer.writeheader()
        writer.writerows(self._rows(run))
        return _file(text.getvalue(), "text/csv", f"results-{run.id}.csv")


def _file(text: str, content_type: str, name: str) -> web.Response:
    return web.Response(
        body=text.encode(),
        content_type=content_type,
        headers={"Content-Disposition": f'attachment; filename="{name}"'},
    )
