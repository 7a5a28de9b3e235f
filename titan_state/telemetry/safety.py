"""Safety: what goes wrong while something is measured concerns nobody but whoever measures.

A provider is the user's, and may raise; what it measures goes on.
"""

from __future__ import annotations

import logging
import traceback
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from titan_state.core.redaction import redacted
from titan_state.errors import shorten

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from opentelemetry.trace import Span

logger = logging.getLogger("titan_state.telemetry")

LONGEST: Final = 8000
"""How much of a traceback a span keeps, in characters; its end is what tells most."""

_told: set[str] = set()


@contextmanager
def harmless(what: str) -> Iterator[None]:
    """Let nothing out that goes wrong inside; the first time, for each thing, is logged with its traceback."""
    try:
        yield
    except Exception as error:
        level = logging.DEBUG if what in _told else logging.ERROR
        _told.add(what)
        logger.log(level, "%s could not be measured (%s)", what, type(error).__name__, exc_info=True)


def type_of(error: BaseException) -> str:
    """Return the `error.type` of an error: its class, with the module unless that goes without saying."""
    kind = type(error)
    return kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"


def describe(span: Span, error: BaseException, clean: Callable[[str], str]) -> None:
    """Write an error down in a span, as the conventions have it, without credentials; without it, if it has no text."""
    with harmless("an error"):
        trace = redacted(clean("".join(traceback.format_exception(error))))
        attributes = {
            "exception.type": type_of(error),
            "exception.message": shorten(redacted(clean(str(error))), 1000),
            "exception.stacktrace": trace if len(trace) <= LONGEST else f"…{trace[-LONGEST:]}",
        }
        span.add_event("exception", attributes)
