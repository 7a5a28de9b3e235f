"""The server of the dashboard: an aiohttp application on this machine. It answers what the page asks.

Who may ask is the guard's business, what the page is told that of `hub.py` and `details.py`.
"""

from __future__ import annotations

import asyncio
import os
import secrets
from datetime import timedelta, timezone
from errno import EACCES, EADDRINUSE
from ipaddress import ip_address
from typing import TYPE_CHECKING, Final, Self

from aiohttp import web
from aiohttp_sse import sse_response

from titan_state.clock import SystemClock
from titan_state.core.lifecycle import Action
from titan_state.dashboard import messages
from titan_state.dashboard.answers import (
    add_headers,
    asked,
    errors,
    number_of,
    picture,
    question_of,
    refused,
    static_files,
    text_of,
)
from titan_state.dashboard.details import details, readable, timeline_of
from titan_state.dashboard.downloads import Downloads
from titan_state.dashboard.guard import LOOPBACK, Guard
from titan_state.dashboard.hub import Hub
from titan_state.dashboard.sources import MonitorSource
from titan_state.drawing.model import model_svg
from titan_state.drawing.timeline import timeline_svg
from titan_state.errors import ConfigurationError, shorten
from titan_state.monitor.monitor import Monitor

if TYPE_CHECKING:
    from collections.abc import Collection

    from titan_state.clock import Clock
    from titan_state.dashboard.sources import Source

PING_S: Final = 5.0
"""How often a page hears that the connection stands; it takes it for broken after three times as long."""

STALLED_S: Final = 3 * PING_S
"""After so long a page that takes nothing is given up."""

LARGEST_QUESTION: Final = 256 * 1024
"""The largest body of a request, in bytes: it holds one id."""

NARROWEST: Final = 240
WIDEST: Final = 4000
USUAL_WIDTH: Final = 900
"""How wide a timeline is drawn, in pixels."""

MOST_EAST: Final = 16 * 60
"""How far the clocks of a page are ahead of UTC at most, or behind, in minutes."""

LONGEST_LINE: Final = 64 * 1024
"""The longest first line of a request, in bytes: it names an execution, whose id is the service's choice."""


class Dashboard:
    """Serves the page.

    ```python
    async with Monitor(url, token) as monitor, Dashboard(monitor) as dashboard:
        monitor.watch_all()
        print(dashboard.url)
        await dashboard.wait()
    ```

    Attributes:
        token: What lets a page in.
        port: The port that it listens on, once it is entered.
    """

    def __init__(
        self,
        source: Monitor | Source,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        names: Collection[str] = (),
        token: str | None = None,
        clock: Clock | None = None,
    ) -> None:
        """Make a dashboard that does not listen yet.

        Args:
            source: What it shows: a monitor that is entered, or another source, such as a `JournalSource`.
            host: The address to listen on. Whoever reaches it and has the token may control executions, and what is
                sent is not encrypted: leave it on this machine.
            port: The port, 0 for any free one.
            names: Further host names under which it may be reached.
            token: What lets a page in, by default a random one.
            clock: The time, the machine's own by default.

        Raises:
            ConfigurationError: The host is no address.
        """
        if not host:
            raise ConfigurationError(
                "host is empty: name an address of this machine, 127.0.0.1 say; 0.0.0.0 stands for all"
            )
        self.token = secrets.token_urlsafe(32) if token is None else token
        self.port = port
        self._host = host
        self._source: Source = MonitorSource(source) if isinstance(source, Monitor) else source
        self._clock = clock or SystemClock()
        self._hub = Hub(self._source, self._clock)
        self._downloads = Downloads(self._clock)
        self._files = static_files()
        self._runner: web.AppRunner | None = None
        guard = Guard(self.token, {*names, host})
        self._app = web.Application(middlewares=[guard.middleware, errors], client_max_size=LARGEST_QUESTION)
        self._app.on_response_prepare.append(add_headers)
        self._app.add_routes(
            [
                web.get("/", self._file),
                web.get("/static/{name}", self._file),
                web.get("/download/{key}/{name}", self._downloads.serve, allow_head=False),
                web.get("/api/stream", self._stream),
                web.get("/api/execution", self._execution),
                web.get("/api/timeline", self._timeline),
                web.get("/api/model", self._model),
                web.post("/api/act", self._act),
                web.post("/api/results", self._results),
                web.post("/api/download", self._download),
            ]
        )
        self._finder: asyncio.Task[None] | None = None

    @property
    def url(self) -> str:
        """The link that opens the page: it holds the token, in a part that browsers do not send."""
        host = self._host
        if host in ("0.0.0.0", "::"):  # noqa: S104 - every address of this machine: one of them is named
            host = "127.0.0.1"
        return f"http://{f'[{host}]' if ':' in host else host}:{self.port}/#token={self.token}"

    @property
    def is_local(self) -> bool:
        """Whether only this machine can reach it."""
        try:
            return self._host in LOOPBACK or ip_address(self._host).is_loopback
        except ValueError:
            return False

    async def __aenter__(self) -> Self:
        runner = web.AppRunner(self._app, access_log=None, shutdown_timeout=1.0, max_line_size=LONGEST_LINE)
        await runner.setup()
        try:
            site = web.TCPSite(runner, self._host, self.port)
            await site.start()
        except (OSError, UnicodeError) as error:  # the latter of a name that cannot be one
            await runner.cleanup()
            number = (error.errno or 0) if isinstance(error, OSError) else 0
            why = os.strerror(number) if number > 0 else str(error)
            if number in (EADDRINUSE, EACCES):
                advice = "name another --port, or --port 0 for any that is free"
            else:
                advice = "name an address of this machine as --host"
            raise ConfigurationError(
                f"the dashboard cannot listen on {shorten(self._host)}, port {self.port} ({why}): {advice}"
            ) from error
        self._runner = runner
        self.port = runner.addresses[0][1]
        self._finder = asyncio.create_task(self._hub.run(), name="titan_state dashboard")
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._finder is not None:
            self._finder.cancel()
            await asyncio.gather(self._finder, return_exceptions=True)
        if self._runner is not None:
            await self._runner.cleanup()
        await self._downloads.close()

    async def wait(self) -> None:
        """Serve until cancelled, or until the dashboard is left; raise what ended it, if something did."""
        if self._finder is not None:
            await asyncio.wait((self._finder,))
            if not self._finder.cancelled():
                self._finder.result()

    # What the page asks.

    async def _file(self, request: web.Request) -> web.StreamResponse:
        found = self._files.get(request.match_info.get("name", "index.html"))
        if found is None:
            return refused(404, "there is no such file")
        body, kind = found
        return web.Response(body=body, content_type=kind, charset="utf-8")

    async def _stream(self, request: web.Request) -> web.StreamResponse:
        async with sse_response(request, ping_interval=PING_S, send_timeout=STALLED_S) as response:
            feed = self._hub.messages()
            try:
                async for kind, line in feed:
                    await response.send(line, event=kind)
            except (ConnectionError, TimeoutError):  # the page has gone, or does not read
                pass
            finally:
                await feed.aclose()
        return response

    async def _execution(self, request: web.Request) -> web.StreamResponse:
        execution_id = asked(request)
        found = await details(self._source, execution_id, self._hub.sight(execution_id), self._hub.as_of())
        if found is None:
            return refused(404, "nothing is known of this execution")
        return web.json_response(found, dumps=messages.text)

    async def _timeline(self, request: web.Request) -> web.StreamResponse:
        events = await self._source.journal.history(asked(request))
        timeline = await timeline_of(self._source, events, self._hub.as_of())
        if timeline is None:
            return refused(404, "nothing is written down of this execution")
        width = min(max(number_of(request, "width", USUAL_WIDTH), NARROWEST), WIDEST)
        east = timedelta(minutes=min(max(number_of(request, "offset", 0), -MOST_EAST), MOST_EAST))
        zoned = timeline.in_zone(timezone(east))
        return picture(await asyncio.to_thread(timeline_svg, zoned, width=width))

    async def _model(self, request: web.Request) -> web.StreamResponse:
        return picture(model_svg(self._source.lifecycle))

    async def _act(self, request: web.Request) -> web.StreamResponse:
        question = await question_of(request)
        action = Action(text_of(question, "action"))
        execution = await self._source.act(text_of(question, "id"), action)
        told = f"{action} was accepted; seen last as {shorten(execution.status)}."
        return web.json_response({"text": told}, dumps=messages.text)

    async def _results(self, request: web.Request) -> web.StreamResponse:
        execution_id = text_of(await question_of(request), "id")
        found = await self._source.results(execution_id)
        shown = readable(self._source, found.row_count, found.fields, self._clock.now())
        return web.json_response(shown, dumps=messages.text)

    async def _download(self, request: web.Request) -> web.StreamResponse:
        question = await question_of(request)
        execution_id, form = text_of(question, "id"), question.get("format")
        if form != "json" and form != "csv":
            raise ConfigurationError(f"the format must be json or csv, not {shorten(repr(form))}")
        link = await self._downloads.add(lambda directory: self._source.save(execution_id, form, directory))
        return web.json_response({"url": link})
