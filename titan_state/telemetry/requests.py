"""Requests: a span and a duration for each HTTP request, as the conventions for HTTP clients have it.

While a request is on its way, instrumentation of the HTTP library itself is held off: it would count it once more, and
send the trace's context to whoever answers.
"""

from __future__ import annotations

from time import perf_counter
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from opentelemetry import context as contexts
from opentelemetry import propagate, trace
from opentelemetry.context import (
    _SUPPRESS_HTTP_INSTRUMENTATION_KEY as SUPPRESSED,
)
from opentelemetry.trace import SpanKind, Status, StatusCode

from titan_state.core.redaction import REDACTED, redacted
from titan_state.telemetry.safety import describe, harmless, type_of

if TYPE_CHECKING:
    from collections.abc import Callable, MutableMapping
    from contextvars import Token

    from opentelemetry.context import Context
    from opentelemetry.metrics import Histogram
    from opentelemetry.trace import Span, Tracer

CANCELLED: Final = "cancelled"
"""The `error.type` of a request for which nobody waits any more."""

IDS: Final = {"executions": "{execution_id}", "tasks": "{task_id}"}
"""What stands behind these in a path is an id."""

MEDIA: Final = "media"
PORTS: Final = {"http": 80, "https": 443}


def template_of(path: str) -> str:
    """Return a path of the Task Service with names in the place of ids: low in cardinality, as metrics need it.

    What is none of the API is a medium that rows name elsewhere than under `/media/`: each has a path of its own.
    """
    parts, found = iter(path.split("/")), []
    for part in parts:
        found.append(part)
        if part == MEDIA and found == ["", MEDIA]:
            return "/media/{path}"
        if part in IDS and next(parts, None) is not None:
            found.append(IDS[part])
    return "/".join(found) if not IDS.keys().isdisjoint(found) else "/{path}"


def shown(url: str, clean: Callable[[str], str], *, is_ours: bool) -> str:
    """Return a URL as it may be written down: of other origins, which sign theirs in their own ways, without values."""
    if is_ours:
        return redacted(clean(url))
    place, mark, query = url.partition("?")
    names = "&".join(f"{part.partition('=')[0]}={REDACTED}" for part in query.split("&"))
    return redacted(clean(place)) + (f"?{names}" if mark else "")


class Requests:
    """Measures the requests of one client."""

    def __init__(
        self, tracer: Tracer, durations: Histogram, attributes: dict[str, str], *, propagates: bool = False
    ) -> None:
        """Make what measures requests.

        Args:
            tracer: Makes spans.
            durations: Takes durations.
            attributes: What is on all of them.
            propagates: Whether the trace's context is sent along to the one origin.
        """
        self.durations = durations
        self._tracer = tracer
        self._attributes = attributes
        self._propagates = propagates

    def begin(
        self,
        method: str,
        url: str,
        headers: MutableMapping[str, str],
        *,
        clean: Callable[[str], str],
        is_ours: bool,
        resends: int,
    ) -> Request:
        """Take in that a request leaves now."""
        parts = urlsplit(url)
        attributes: dict[str, str | int] = {
            **self._attributes,
            "http.request.method": method,
            "server.address": parts.hostname or "",
            "server.port": parts.port or PORTS.get(parts.scheme, 0),
        }
        name = method
        if is_ours:
            attributes["url.template"] = template_of(parts.path)
            name = f"{method} {attributes['url.template']}"
        span = self._tracer.start_span(name, kind=SpanKind.CLIENT, attributes=attributes)
        if span.is_recording():
            span.set_attribute("url.full", shown(url, clean, is_ours=is_ours))
            if resends:
                span.set_attribute("http.request.resend_count", resends)
        context = trace.set_span_in_context(span)
        if self._propagates and is_ours:
            propagate.inject(headers, context)
        token = contexts.attach(contexts.set_value(SUPPRESSED, True, context))
        return Request(self, span, attributes, clean, context, token)


class Request:
    """One request that is on its way."""

    def __init__(
        self,
        requests: Requests,
        span: Span,
        attributes: dict[str, str | int],
        clean: Callable[[str], str],
        context: Context,
        token: Token[Context],
    ) -> None:
        self._requests = requests
        self._span = span
        self._attributes = attributes
        self._clean = clean
        self._context = context
        self._token = token
        self._began = perf_counter()

    def answered(self, status: int, *, is_throttled: bool) -> None:
        """Take in that an answer came."""
        contexts.detach(self._token)
        with harmless("a request"):
            if is_throttled:
                self._span.set_attribute("titan_state.request.throttled", True)
            if status >= 400:
                self._attributes["error.type"] = str(status)
            self._end(status)

    def failed(self, error: BaseException | None, status: int | None) -> None:
        """Take in that no whole answer came."""
        contexts.detach(self._token)
        with harmless("a request"):
            self._attributes["error.type"] = CANCELLED if error is None else type_of(error)
            if error is not None and self._span.is_recording():
                describe(self._span, error, self._clean)
            self._end(status)

    def _end(self, status: int | None) -> None:
        seconds = perf_counter() - self._began
        if status is not None:
            self._attributes["http.response.status_code"] = status
            self._span.set_attribute("http.response.status_code", status)
        if "error.type" in self._attributes:
            self._span.set_attribute("error.type", self._attributes["error.type"])
            self._span.set_status(Status(StatusCode.ERROR))
        self._requests.durations.record(seconds, self._attributes, self._context)
        self._span.end()


class Unmeasured:
    """Stands for a request that could not be measured."""

    def answered(self, status: int, *, is_throttled: bool) -> None:
        """Leave it at that."""

    def failed(self, error: BaseException | None, status: int | None) -> None:
        """Leave it at that."""


UNMEASURED: Final = Unmeasured()
