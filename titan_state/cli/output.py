"""Output: lines to stdout, remarks to stderr. Every piece of text that leaves here is printable and stays on its line.

What to say is the callers' business.
"""

from __future__ import annotations

import json
import logging
import os
import select
import sys
from typing import Any

from titan_state.errors import shorten

LONGEST_LINE = 2000


def emit(line: str) -> None:
    """Write one line to stdout at once; control and escape characters in it are made harmless."""
    sys.stdout.write(shorten(line, LONGEST_LINE) + "\n")
    sys.stdout.flush()


def emit_json(value: Any) -> None:
    """Write one line of JSON to stdout at once. It is ASCII: nothing in it can steer a terminal."""
    sys.stdout.write(json.dumps(value, ensure_ascii=True, default=str) + "\n")
    sys.stdout.flush()


def remark(text: str) -> None:
    """Write one line for people to stderr."""
    sys.stderr.write(f"titan-state: {shorten(text, LONGEST_LINE)}\n")
    sys.stderr.flush()


def trace(text: str) -> None:
    """Write a traceback to stderr, line by line: the messages in it may quote anything."""
    for line in text.splitlines():
        sys.stderr.write(shorten(line, LONGEST_LINE) + "\n")
    sys.stderr.flush()


def check_reader() -> None:
    """Notice that the reader of a pipe has gone although there is nothing to write just now.

    Raises:
        BrokenPipeError: Nobody can read what would be written to stdout.
    """
    try:
        poll = select.poll()
        poll.register(sys.stdout.fileno(), 0)  # errors are told unasked
    except (AttributeError, OSError, ValueError):  # no such call on this platform, or stdout is no file
        return
    if any(told & select.POLLERR for _, told in poll.poll(0)):
        raise BrokenPipeError


def swallow_the_rest() -> None:
    """Send what is still to be written to stdout nowhere: its reader has gone, and Python would complain at its end."""
    try:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
    except (OSError, ValueError):  # stdout is no file: there is nothing to complain of
        return


class RemarkHandler(logging.Handler):
    """Shows the library's log as remarks."""

    def __init__(self, *, debug: bool) -> None:
        super().__init__(logging.DEBUG if debug else logging.WARNING)
        self._debug = debug

    def emit(self, record: logging.LogRecord) -> None:
        """Write one record; the traceback only when debugging."""
        remark(f"{record.levelname.lower()}: {record.getMessage()}")
        if self._debug and record.exc_info:
            trace(logging.Formatter().formatException(record.exc_info))
