"""Completeness: whether the bytes of an export look whole, where HTTP itself cannot tell.

A `Content-Length` that is too small, or a service that stops in the middle and ends its answer in order, cuts a file
without a trace in the protocol. The shape of what arrived tells, in passing; where that leaves a doubt, its rows do.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from titan_state.client.loading.rows import parser_for
from titan_state.errors import PayloadError

if TYPE_CHECKING:
    from collections.abc import Callable

SPACE: Final = b" \t\r\n"
CLOSING: Final = {b"[": b"]", b"{": b"}"}
ENDS: Final = {b"[": (b"]",), b"{": (b"}", b"]")}
"""What a body may end with: lines of JSON that begin with an object may end with an array."""

BOM: Final = b"\xef\xbb\xbf"
KEPT: Final = 256
"""How many bytes of the beginning and of the end are looked at: indentation may stand between brackets."""


class Completeness:
    """Looks at an export as it comes by."""

    def __init__(self, form: str) -> None:
        """Begin at the beginning of an export.

        Args:
            form: `json`, also for JSON lines, `csv`, or anything else, which is never told to be cut.
        """
        self._form = form
        self._head = b""
        self._tail = b""
        self._space = b""
        self._ends_line = False
        self._quotes = 0

    def add(self, chunk: bytes) -> None:
        """Take in the next bytes."""
        if not self._head:
            self._head = chunk.lstrip(BOM + SPACE)[:KEPT]
        elif len(self._head) < KEPT:
            self._head += chunk[: KEPT - len(self._head)]
        if self._form == "csv":
            self._quotes += chunk.count(b'"')
        shown = chunk[-2 * KEPT :].rstrip(SPACE) or chunk.rstrip(SPACE)
        if shown:
            self._tail = (self._tail + self._space + shown if len(shown) < KEPT else shown)[-KEPT:]
            self._space = b""
        if chunk:
            self._space = b" " if chunk[-1:] in SPACE else b""
            self._ends_line = chunk[-1:] == b"\n"  # a carriage return may be half of an end

    @property
    def is_open(self) -> bool:
        """Whether it certainly is cut: something was begun that is not ended."""
        first = self._head[:1]
        return self._form == "json" and first in ENDS and not self._tail.endswith(ENDS[first])

    @property
    def is_doubtful(self) -> bool:
        """Whether it may be cut: it ends as it may, but seldom does.

        A table within a line, or within quotes; an array of objects with anything but an object; nothing at all.
        """
        if not self._form:
            return False
        if not self._tail:
            return True
        if self._form == "csv":
            return not self._ends_line or self._quotes % 2 == 1
        first, inner = self._head[:1], self._head[1:].lstrip(SPACE)[:1]
        if first == b"{":
            return not self._tail.endswith(b"}")
        ends = self._tail[:-1].rstrip(SPACE)
        return first == b"[" and inner in CLOSING and not ends.endswith(CLOSING[inner])


class RowCheck:
    """Counts the rows of a file as it comes by."""

    def __init__(self, form: str) -> None:
        self._parser = parser_for(form)
        self._count = 0
        self._is_broken = False

    def add(self, chunk: bytes) -> None:
        """Take in the next bytes."""
        self._try(lambda: self._parser.feed(chunk))

    def close(self) -> int | None:
        """Return how many rows there were, None if it is no whole file."""
        self._try(self._parser.close)
        return None if self._is_broken else self._count

    def _try(self, step: Callable[[], list[Any]]) -> None:
        if not self._is_broken:
            try:
                self._count += len(step())
            except PayloadError:
                self._is_broken = True
