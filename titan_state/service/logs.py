"""Logs: the library's log as lines for machines, one JSON object each, or for people; no line holds a secret.

Which account a line is about is found by itself: whatever is done for an account is done in its context.
"""

from __future__ import annotations

import json
import logging
import sys
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final, Literal, TextIO

from titan_state.core.redaction import redacted
from titan_state.errors import shorten

if TYPE_CHECKING:
    from collections.abc import Iterator

    from titan_state.service.tokens import Veil

LogFormat = Literal["json", "text"]

LONGEST_MESSAGE: Final = 8000
LONGEST_TRACE: Final = 32_000
"""How much of a message, and of the end of a traceback, is written, in characters."""

current_account: ContextVar[str | None] = ContextVar("titan_state_account", default=None)
"""The account for which something is done."""


class _Formatter(logging.Formatter):
    """Gives the parts of a line, without secrets."""

    def __init__(self, veil: Veil) -> None:
        super().__init__()
        self._veil = veil

    def _clean(self, text: str) -> str:
        return redacted(self._veil.clean(text))

    def _message(self, record: logging.LogRecord) -> str:
        return self._clean(record.getMessage())

    def _trace(self, record: logging.LogRecord) -> str:
        """Return the traceback of a record, empty where it has none."""
        if not record.exc_info or record.exc_info[0] is None:
            return ""
        return self._clean(self.formatException(record.exc_info))[-LONGEST_TRACE:]


class JsonFormatter(_Formatter):
    """One JSON object a line: time, level, logger, message, and account and exception where there are some."""

    def format(self, record: logging.LogRecord) -> str:
        """Return a record as a line. It is ASCII: nothing in it can steer a terminal or break the line."""
        at = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        message = self._message(record)
        told: dict[str, Any] = {
            "time": at,
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": message if len(message) <= LONGEST_MESSAGE else message[: LONGEST_MESSAGE - 1] + "…",
        }
        account = current_account.get()
        if account is not None:
            told["account"] = self._clean(account)
        trace = self._trace(record)
        if trace:
            told["exception"] = trace
        return json.dumps(told)


class TextFormatter(_Formatter):
    """A line for people, and the lines of the traceback where there is one."""

    def format(self, record: logging.LogRecord) -> str:
        """Return a record as lines."""
        at = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        account = current_account.get()
        told = "" if account is None else f"{shorten(self._clean(account))}: "
        lines = [f"{at} {record.levelname.lower():8}{told}{shorten(self._message(record), LONGEST_MESSAGE)}"]
        lines += [shorten(line, LONGEST_MESSAGE) for line in self._trace(record).splitlines()]
        return "\n".join(lines)


class _Lines(logging.StreamHandler[TextIO]):
    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - the name that logging has for it
        """Go on: whoever has read the log has gone, or its disk is full, and that must not end the service."""


@contextmanager
def logging_to(
    form: LogFormat, veil: Veil, *, stream: TextIO | None = None, level: int = logging.INFO
) -> Iterator[logging.Logger]:
    """Write the library's log as lines, and nothing else of it anywhere; what others warn of is written so, too.

    Args:
        form: What the lines are for.
        veil: Takes secrets out of them.
        stream: Where they go, stderr by default.
        level: The lowest level that is written.

    Yields:
        The library's logger.
    """
    logger = logging.getLogger("titan_state")
    handler = _Lines(sys.stderr if stream is None else stream)
    handler.setFormatter(JsonFormatter(veil) if form == "json" else TextFormatter(veil))
    root, others = logging.getLogger(), _Lines(handler.stream)
    others.setFormatter(handler.formatter)
    others.setLevel(logging.WARNING)
    before = logger.handlers[:], logger.level, logger.propagate
    logger.handlers[:] = [handler]
    logger.setLevel(level)
    logger.propagate = False
    root.addHandler(others)
    try:
        yield logger
    finally:
        root.removeHandler(others)
        logger.handlers[:], logger.propagate = before[0], before[2]
        logger.setLevel(before[1])
