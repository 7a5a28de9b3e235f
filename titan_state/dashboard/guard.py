"""The guard: who may ask the dashboard. It looks at every request before anything else does.

A page of another site must neither read nor do anything here, also where its name was made to lead to this machine (DNS
rebinding): the Host must be one of this server's own, the Origin this server's, and everything but the empty page
wants the token of the link that was printed.
"""

from __future__ import annotations

import logging
import secrets
from collections.abc import Awaitable, Callable, Collection
from ipaddress import ip_address
from typing import Final

from aiohttp import web

from titan_state.errors import shorten

logger = logging.getLogger("titan_state.dashboard")

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

LOOPBACK: Final = frozenset({"localhost", "127.0.0.1", "::1"})

HEADERS: Final = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
        "require-trusted-types-for 'script'; trusted-types 'none'"
    ),
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}
"""What every answer of the application says: nothing is loaded from elsewhere, nothing runs that is not a file of this
package, and no other page may frame, open or read it."""


class Guard:
    """Lets in who may ask."""

    def __init__(self, token: str, names: Collection[str] = ()) -> None:
        """Make a guard.

        Args:
            token: What the link holds.
            names: Further host names under which the dashboard is reached.
        """
        self._token = token.encode()
        self._names = LOOPBACK | {name.lower() for name in names}

    @web.middleware
    async def middleware(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Refuse what is not allowed, and hand on what is."""
        refusal = self._refusal(request)
        if refusal is not None:
            status, reason = refusal
            logger.info("refused %s %s: %s", request.method, shorten(request.path), reason)
            return web.json_response({"error": reason}, status=status)
        return await handler(request)

    def _refusal(self, request: web.Request) -> tuple[int, str] | None:
        if not self._is_ours(request):
            return 403, "this name does not belong to the dashboard: open the link that titan-state dashboard printed"
        origin = request.headers.get("Origin")
        if origin is not None and origin != f"{request.scheme}://{request.host}":
            return 403, "a page of another origin asked"
        is_link = request.path == "/" and request.headers.get("Sec-Fetch-Mode") == "navigate"
        if not is_link and request.headers.get("Sec-Fetch-Site", "none") not in ("same-origin", "none"):
            return 403, "a page of another site asked"
        if not request.path.startswith("/api/"):
            return None
        given = request.headers.get("Authorization", "")
        if not secrets.compare_digest(given.encode(errors="replace"), b"Bearer " + self._token):
            return 401, "open the link that titan-state dashboard printed: it holds the token that is missing here"
        if request.method == "POST" and request.content_type != "application/json":
            return 415, "send JSON, as application/json"
        return None

    def _is_ours(self, request: web.Request) -> bool:
        """Return whether the Host is a name of this server: one that was given, or the address that was called."""
        host = _name_of(request.host)
        if host in self._names:
            return True
        transport = request.transport
        called = None if transport is None else transport.get_extra_info("sockname")
        try:
            return called is not None and ip_address(host) == ip_address(called[0])
        except ValueError:  # a name of somebody else's
            return False


def _name_of(host: str) -> str:
    """Return the name or address of a Host header, without its port."""
    if host.startswith("["):
        return host[1:].partition("]")[0].lower()
    return host.partition(":")[0].lower()
