"""Gate: what stands before every route: credentials, scopes, the rate limit, and faults of the connection.

Which routes there are, and what they answer, is not known here; how a body is spoiled is in `spoiling.py`.
"""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Final

import attrs
from aiohttp import web

from titan_state.emulator.answers import RefusalError, bare_failure, failure
from titan_state.emulator.backend import Backend
from titan_state.emulator.spoiling import Spoiler

PREFIX: Final = "/api/v1"
PROXY_PAGE: Final = "<!doctype html><html><head><title>Please wait</title></head><body>Back soon.</body></html>"
CODES: Final = {501: "NOT_IMPLEMENTED", 502: "BAD_GATEWAY", 503: "SERVICE_UNAVAILABLE"}

Handler = Callable[[web.Request], Awaitable[web.Response]]


@attrs.frozen
class Endpoint:
    """One route.

    Attributes:
        method: Its HTTP method.
        path: Its path as aiohttp's router wants it.
        handler: What answers.
        scope: The scope it needs; None for a route that checks credentials by itself.
        acts: Whether it changes something, so that losing its answer matters.
    """

    method: str
    path: str
    handler: Handler
    scope: str | None = None
    acts: bool = False

    def refuse(self, refusal: RefusalError) -> web.Response:
        """Return a refusal in the form of this route."""
        return failure(refusal) if self.scope else bare_failure(refusal)


class Gate:
    """Admits requests, lets the route answer, and has the answer spoiled where a fault says so."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        self._spoiler = Spoiler(backend)

    def guard(self, endpoint: Endpoint) -> web.RouteDef:
        """Return the route with this gate before it."""
        serve = partial(self.serve, endpoint)
        if endpoint.method == "GET":
            return web.get(endpoint.path, serve, allow_head=False)
        return web.route(endpoint.method, endpoint.path, serve)

    async def serve(self, endpoint: Endpoint, request: web.Request) -> web.StreamResponse:
        """Answer one request."""
        backend = self._backend
        backend.arrived += 1
        credential = self._credential(request)
        authorized = credential in backend.tokens
        if authorized:
            backend.asked()
        answer = await self._answer(endpoint, request, credential)
        if answer is not None and self._hit("slow", request):
            await backend.clock.sleep(backend.faults.slow_s)
        backend.record(request, status=None if answer is None else answer.status, authorized=authorized)
        if answer is None:
            return _drop(request)
        return await self._spoiler.spoil(request, answer)

    async def _answer(self, endpoint: Endpoint, request: web.Request, credential: str) -> web.Response | None:
        backend = self._backend
        if self._hit("reset", request):
            return None
        if self._hit("late", request):
            await backend.clock.sleep(backend.faults.late_s)
        refused = self._refuse(endpoint, request, credential)
        if refused is not None:
            return refused
        if self._hit("html", request):
            return web.Response(text=PROXY_PAGE, content_type="text/html")
        try:
            answer = await endpoint.handler(request)
        except RefusalError as refusal:
            answer = endpoint.refuse(refusal)
        if endpoint.acts and answer.status < 400:
            if self._hit("lost_answer", request):
                return None
            if self._hit("error_after", request):
                return endpoint.refuse(self._server_error("error_after"))
        if endpoint.scope and answer.status < 400 and backend.limiter.per_minute is not None:
            answer.headers["X-RateLimit-Limit"] = str(backend.limiter.per_minute)
            answer.headers["X-RateLimit-Remaining"] = str(backend.limiter.remaining(credential, backend.clock.time()))
        return answer

    def _refuse(self, endpoint: Endpoint, request: web.Request, credential: str) -> web.Response | None:
        backend = self._backend
        if endpoint.scope:
            scopes = backend.tokens.get(credential)
            if scopes is None:
                return failure(RefusalError(401, "UNAUTHORIZED", "no or invalid credentials"))
            wait_s = backend.limiter.admit(credential, backend.clock.time())
            if wait_s is not None:
                return self._too_many(wait_s)
            if self._hit("spurious_429", request):
                return self._too_many(backend.faults.spurious_reset_s)
            if endpoint.scope not in scopes:
                return failure(RefusalError(403, "FORBIDDEN", f"scope {endpoint.scope} is missing"))
        if self._hit("server_error", request):
            return endpoint.refuse(self._server_error("server_error"))
        return None

    def _too_many(self, wait_s: float | None) -> web.Response:
        answer = failure(RefusalError(429, "TOO_MANY_REQUESTS", "rate limit exceeded"))
        if wait_s is not None:
            answer.headers["X-RateLimit-Reset"] = str(math.ceil(self._backend.clock.now().timestamp() + wait_s))
        return answer

    def _server_error(self, fault: str) -> RefusalError:
        faults = self._backend.faults
        status = self._backend.dice.source(faults, f"{fault}_status").choice(faults.error_statuses)
        return RefusalError(status, CODES.get(status, "INTERNAL_SERVER_ERROR"), "something went wrong")

    def _hit(self, fault: str, request: web.Request) -> bool:
        return self._backend.hit(fault, f"{request.method} {request.path}")

    @staticmethod
    def _credential(request: web.Request) -> str:
        scheme, _, token = request.headers.get("Authorization", "").partition(" ")
        return token.strip() if scheme.lower() == "bearer" else request.headers.get("X-API-Key", "")


def _drop(request: web.Request) -> web.Response:
    if request.transport is not None:
        request.transport.abort()
    return web.Response()  # aiohttp wants one; there is no connection left to write it to
