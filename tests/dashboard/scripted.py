"""A dashboard that tells what a test wants: for what the real one tells rarely, late, or in another order."""

from __future__ import annotations

import asyncio
import json
import time
from collections import defaultdict
from contextlib import suppress
from pathlib import Path

from aiohttp import web
from aiohttp.test_utils import TestServer
from aiohttp_sse import sse_response
from pages import stands

from titan_state import dashboard, drawing, wording
from titan_state.core.anomalies import RULES
from titan_state.core.lifecycle import Lifecycle
from titan_state.dashboard.guard import HEADERS


class Script:
    """A server of the page without a monitor.

    Attributes:
        rows: The rows a page is told when it connects, by id; `row` makes them.
        details: What is answered to the question for an execution, by id; 404 for others.
        asked: The paths that were asked for, in order.
        is_silent: Whether no `state` is told.
        status: What every question for an execution is answered with instead, None for nothing.
        state: What the `state` says differently than that all is well.
    """

    TOKEN = "a-token"

    def __init__(self):
        self.rows, self.details, self.state = {}, {}, {}
        self.asked = []
        self.is_silent = False
        self.status = None
        self._pages = set()
        self._held = defaultdict(list)
        self._drawn = 0

    async def __aenter__(self):
        application = web.Application()
        application.on_response_prepare.append(self._prepare)
        for path, answer in {
            "/": self._file,
            "/static/{name}": self._file,
            "/api/stream": self._stream,
            "/api/execution": self._execution,
            "/api/timeline": self._timeline,
        }.items():
            application.router.add_get(path, answer)
        self._server = TestServer(application, shutdown_timeout=0.1)
        await self._server.start_server()
        self._ticking = asyncio.create_task(self._tick())
        return self

    async def __aexit__(self, *raised):
        self._ticking.cancel()
        for events in self._held.values():
            for event in events:
                event.set()
        self.cut()
        await self._server.close()

    def address(self, fragment="#/"):
        """Return the address of a view, without the token."""
        return str(self._server.make_url("/")) + fragment

    async def open(self, page, fragment=None):
        """Open the page by its link, then a view; return when it is connected."""
        await page.goto(self.address(f"#token={self.TOKEN}"))
        await stands(page, "live")
        if fragment is not None:
            await page.goto(self.address(fragment))

    def row(self, name, status="running", *, task=None, progress=None, over=False):
        """Set a row, and return it."""
        now = time.time()
        self.rows[name] = [name, task, status, now - 5, None, progress, now, [], now - 10, over]
        return self.rows[name]

    def execution(self, name, *, allowed=True, **given):
        """Set what is answered to the question for an execution."""
        verdict = {"allowed": allowed, "reason": "it has finished", "leads_to": "another"}
        outputs = {"state": "none", "text": "", "row_count": None, "metadata": {}, "at": None, "can_load": False}
        self.details[name] = {
            "execution": {"id": name, "status": "running", "task_id": "shop"} | given,
            "row": None,
            "actions": [{"action": action} | verdict for action in ("pause", "resume", "stop")],
            "as_of": None,
            "durations": [],
            "anomalies": [],
            "events": [],
            "earlier": 0,
            "outputs": outputs,
        }

    def tell(self, kind, **told):
        """Tell all pages something."""
        for queue in self._pages:
            queue.put_nowait((kind, told))

    def tell_rows(self, *changed, gone=()):
        """Tell all pages of rows."""
        self.tell("rows", reset=False, more=False, rows=list(changed), gone=list(gone))

    def tell_events(self, *names, skipped=()):
        """Tell all pages that something happened to executions."""
        event = {"at": time.time(), "type": "started", "text": "it was seen", "level": "info"}
        items = [event | {"id": f"{name}:1", "execution": name, "status": None, "kind": None} for name in names]
        self.tell("events", items=items, skipped=list(skipped))

    def cut(self):
        """End all connections; pages connect again."""
        for queue in self._pages:
            queue.put_nowait(None)

    def hold(self, path):
        """Let the answer to the next request of a path, as it is then, wait for the event that is returned."""
        self._held[path].append(asyncio.Event())
        return self._held[path][-1]

    async def _tick(self):
        while True:
            if not self.is_silent:
                self.tell("state", **self._state())
            await asyncio.sleep(0.5)

    def _state(self):
        now = time.time()
        names = ("limit", "left", "spent", "requests", "throttled", "delay_s", "per_minute", "pages", "singles")
        told = {"now": now, "seen": now, "is_live": True, "why": "", "blind": None, "dark_s": 0.0, "hidden": 0}
        return dict.fromkeys(names) | told | self.state

    async def _prepare(self, _, answer):
        answer.headers.update(HEADERS)

    async def _wait(self, request):
        self.asked.append(request.path)
        if self._held[request.path]:
            await self._held[request.path].pop(0).wait()

    async def _file(self, request):
        name = request.match_info.get("name", "index.html")
        package = drawing if name == "figures.css" else dashboard
        path = Path(package.__file__).parent / ("" if package is drawing else "static") / name
        kinds = {".html": "text/html", ".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}
        return web.Response(body=path.read_bytes(), content_type=kinds[path.suffix], charset="utf-8")

    async def _stream(self, request):
        await self._wait(request)
        if request.headers.get("Authorization") != f"Bearer {self.TOKEN}":
            return web.json_response({"error": "this is not the token"}, status=401)
        lifecycle = Lifecycle.default()
        hello = {
            "run": "first",
            "mode": "monitor",
            "account": None,
            "origin": None,
            "journal": None,
            "watches": "all executions",
            "statuses": list(lifecycle.statuses),
            "terminal": sorted(lifecycle.terminal),
            "glyphs": wording.GLYPHS,
            "severities": {str(kind): str(rule.severity) for kind, rule in RULES.items()},
        }
        queue = asyncio.Queue()
        rows = {"reset": True, "more": False, "rows": list(self.rows.values()), "gone": []}
        for message in (("hello", hello), ("rows", rows), ("events", {"items": []}), ("state", self._state())):
            queue.put_nowait(message)
        self._pages.add(queue)
        try:
            async with sse_response(request) as answer:
                while (message := await queue.get()) is not None:
                    with suppress(ConnectionError):
                        await answer.send(json.dumps(message[1]), event=message[0])
        finally:
            self._pages.discard(queue)
        return answer

    async def _execution(self, request):
        status, found = self.status, json.dumps(self.details.get(request.query["id"]))
        await self._wait(request)
        if status is not None or found == "null":
            return web.json_response({"error": "a mistake"}, status=status or 404)
        return web.Response(text=found, content_type="application/json")

    async def _timeline(self, request):
        self._drawn += 1
        text = f'<svg xmlns="http://www.w3.org/2000/svg" class="timeline" width="100"><text>{self._drawn}</text></svg>'
        await self._wait(request)
        return web.Response(text=text, content_type="image/svg+xml")
