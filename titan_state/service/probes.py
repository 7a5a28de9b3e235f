"""Probes: an HTTP server that tells a supervisor how the service fares. It decides nothing, and has no secrets to tell.

`/livez` answers as long as the event loop turns, `/readyz` with 200 when every account is led or stood by for, else
with 503 and the reasons, `/status` with what is known of each account. `/metrics` is what Prometheus reads, where
something is measured. No answer names an execution.
"""

from __future__ import annotations

import json
import logging
import os
import re
from errno import EACCES, EADDRINUSE
from typing import TYPE_CHECKING, Any, Final, Self

from aiohttp import web
from aiohttp.typedefs import Handler

from titan_state.errors import ConfigurationError, shorten

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from titan_state.telemetry import MetricsPage

logger = logging.getLogger("titan_state.service")

_UNHEARD: Final = logging.getLogger("titan_state.service.http")
"""Where aiohttp complains of what is no HTTP: anybody can send that, and fill the log with it."""

_UNHEARD.setLevel(logging.CRITICAL)

LISTEN: Final = "127.0.0.1:8289"
"""Where probes are answered unless another place is named."""

HEADERS: Final = {"Cache-Control": "no-store", "Server": "titan-state", "X-Content-Type-Options": "nosniff"}

LONGEST_LINE: Final = 4096
"""The longest line of a question that is read, in bytes."""

_PLACE: Final = re.compile(r"(?:\[(?P<six>[0-9A-Fa-f:.]+)\]|(?P<host>[^:\[\]\s]*)):(?P<port>\d{1,5})")


def place_of(text: str) -> tuple[str, int]:
    """Return the address and the port that `HOST:PORT` names; port 0 is any free one, no host all addresses.

    Raises:
        ConfigurationError: It names none.
    """
    found = _PLACE.fullmatch(text.strip())
    if found is None or int(found["port"]) > 65535:
        raise ConfigurationError(
            f"{shorten(repr(text))} is no place to listen: write HOST:PORT, {LISTEN} say, or [::1]:8289"
        )
    return found["six"] or found["host"] or "0.0.0.0", int(found["port"])  # noqa: S104 - asked for by naming no host


_ASKED: Final = web.AppKey("asked", str)
"""What can be asked, in words."""


class Probes:
    """Answers the questions of a supervisor.

    Attributes:
        port: The port that it listens on, once it is entered.
    """

    def __init__(
        self, status: Callable[[], dict[str, Any]], place: tuple[str, int], *, metrics: MetricsPage | None = None
    ) -> None:
        """Make probes that do not listen yet.

        Args:
            status: Returns what is known now, with the members `is_ready` and `reasons`.
            place: The address and the port to listen on.
            metrics: Makes the page that Prometheus reads; None for none.
        """
        self._host, self.port = place
        self._status = status
        self._runner: web.AppRunner | None = None
        self._app = web.Application(middlewares=[_in_json], client_max_size=0)
        routes: dict[str, Handler] = {"/livez": self._live, "/readyz": self._ready, "/status": self._tell}
        if metrics is not None:
            routes["/metrics"] = _reading(metrics)
        self._app.add_routes([web.get(path, answer) for path, answer in routes.items()])
        *first, last = routes
        self._app[_ASKED] = f"ask {', '.join(first)} or {last}"

    @property
    def url(self) -> str:
        """The address under which it is asked."""
        return f"http://{f'[{self._host}]' if ':' in self._host else self._host}:{self.port}"

    async def __aenter__(self) -> Self:
        runner = web.AppRunner(
            self._app,
            access_log=None,
            logger=_UNHEARD,
            shutdown_timeout=0.5,
            keepalive_timeout=30.0,
            max_line_size=LONGEST_LINE,
            max_field_size=LONGEST_LINE,
        )
        await runner.setup()
        try:
            await web.TCPSite(runner, self._host, self.port).start()
        except (OSError, UnicodeError) as error:  # the latter of a name that cannot be one
            await runner.cleanup()
            number = (error.errno or 0) if isinstance(error, OSError) else 0
            why = os.strerror(number) if number > 0 else shorten(str(error))
            advice = "another port" if number in (EADDRINUSE, EACCES) else "an address of this machine"
            raise ConfigurationError(
                f"the probes cannot be answered on {shorten(self._host)}, port {self.port} ({why}): name {advice}, as "
                "--listen HOST:PORT, or --listen off"
            ) from error
        self._runner = runner
        self.port = runner.addresses[0][1]
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._runner is not None:
            await self._runner.cleanup()

    async def _live(self, request: web.Request) -> web.StreamResponse:
        return _answer({"is_alive": True})

    async def _ready(self, request: web.Request) -> web.StreamResponse:
        status = self._status()
        told = {name: status[name] for name in ("is_ready", "reasons")}
        return _answer(told, 200 if status["is_ready"] else 503)

    async def _tell(self, request: web.Request) -> web.StreamResponse:
        return _answer(self._status())


def _reading(metrics: MetricsPage) -> Handler:
    async def read(request: web.Request) -> web.StreamResponse:
        page, content_type = await metrics.render(request.headers.get("Accept", ""))
        answer = web.Response(body=page, headers={**HEADERS, "Content-Type": content_type, "Vary": "Accept"})
        answer.enable_compression()
        return answer

    return read


def _answer(told: dict[str, Any], status: int = 200) -> web.Response:
    return web.json_response(told, status=status, headers=HEADERS, dumps=lambda value: json.dumps(value) + "\n")


@web.middleware
async def _in_json(
    request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
) -> web.StreamResponse:
    """Answer what cannot be asked in JSON, too."""
    try:
        return await handler(request)
    except web.HTTPMethodNotAllowed as error:
        answer = _answer({"error": "only GET and HEAD are answered"}, 405)
        answer.headers["Allow"] = error.headers["Allow"]
        return answer
    except web.HTTPNotFound:
        return _answer({"error": request.app[_ASKED]}, 404)
    except Exception:
        logger.exception("a probe could not be answered")
        return _answer({"error": "a mistake in titan_state: see the log"}, 500)
