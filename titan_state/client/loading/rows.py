"""Rows: from the bytes of an export, as they come, to its rows.

It is given bytes and gives rows: where the bytes come from, and what a row means, is decided elsewhere. Nothing here
waits, reads or writes. What all formats share is here; how each is read is in `rows_json.py` and `rows_csv.py`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from codecs import BOM_UTF8, utf_8_decode
from collections.abc import Collection
from typing import Any, Final

from titan_state.errors import BodyTooLargeError, ConfigurationError, PayloadError, shorten

MAX_ROW: Final = 16 * 1024 * 1024
"""The largest single row, in bytes."""


class RowParser(ABC):
    """Takes the bytes of one body, split anywhere, and gives its rows as soon as they are whole.

    What it gives does not depend on how the bytes are split. Rows in front of a flaw are returned, and the next call
    raises; each call after that raises the same error. An error does not show the body, but for its first wrong sign
    and what an error of the service says of itself. No more bytes are kept than one row may have.
    """

    def __init__(self, *, max_row: int = MAX_ROW) -> None:
        if isinstance(max_row, bool) or not isinstance(max_row, int) or max_row < 1:
            raise ConfigurationError(f"max_row must be a number of bytes of at least 1, not {shorten(repr(max_row))}")
        self._max_row = max_row
        self._held = bytearray()
        self._rows: list[Any] = []
        self._count = 0
        self._is_begun = False
        self._is_closed = False
        self._failure: PayloadError | None = None

    def feed(self, chunk: bytes) -> list[Any]:
        """Take the next bytes.

        Args:
            chunk: As many as there are; memory for them is needed beside that for one row.

        Returns:
            The rows that are whole now, in order.

        Raises:
            PayloadError: The body is not what it should be; or it was closed already.
            BodyTooLargeError: A row is larger than `max_row`.
        """
        if self._failure is None:
            if self._is_closed:
                raise PayloadError("more came behind the end of the body")
            self._held += chunk
        return self._given(is_end=False)

    def close(self) -> list[Any]:
        """Take the end of the body.

        Returns:
            The rest of the rows; none when called again.

        Raises:
            PayloadError: The body is cut, or is not what it should be.
            BodyTooLargeError: A row is larger than `max_row`.
        """
        if self._is_closed and self._failure is None:
            return []
        self._is_closed = True
        return self._given(is_end=True)

    def _given(self, *, is_end: bool) -> list[Any]:
        if self._failure is not None:
            raise self._failure
        try:
            if not (self._is_begun or self._begin(is_end=is_end)):
                return []
            self._read(is_end=is_end)
            self._check_size(len(self._held) - self._held.endswith(b"\r"))  # which may be the end of a line
        except PayloadError as error:
            self._held.clear()
            self._failure = error
            if is_end or not self._rows:
                raise
            error.__traceback__ = None  # it would keep the chunk
        rows, self._rows = self._rows, []
        return rows

    def _begin(self, *, is_end: bool) -> bool:
        """Drop the mark that a body may begin with, and return False if only a part of that may have come."""
        mark = self._held[: len(BOM_UTF8)]
        if mark == BOM_UTF8:
            del self._held[: len(mark)]
        elif not is_end and BOM_UTF8.startswith(bytes(mark)):
            return False
        self._is_begun = True
        return True

    @abstractmethod
    def _read(self, *, is_end: bool) -> None:
        """Move what is whole from the bytes that are held to the rows."""

    def _text(self, size: int, *, is_end: bool) -> tuple[str, int, str]:
        """Return the text of the first bytes held, how many of the bytes are not in it, and what is wrong with them."""
        data, flaw = self._held[:size], ""
        try:
            text, used = utf_8_decode(data, "strict", is_end)
        except UnicodeDecodeError as error:
            used, flaw = error.start, "is no valid UTF-8"
            text = data[:used].decode()
        return text, size - used, flaw

    def _flawed(self, flaw: str) -> PayloadError:
        return PayloadError(f"{self._next()} {flaw}")

    def _next(self) -> str:
        return f"row {self._count + 1}"

    def _check_size(self, size: int) -> None:
        if size > self._max_row:
            raise BodyTooLargeError(f"{self._next()} is larger than {self._max_row} bytes{self._hint()}")

    def _check_text(self, text: str, start: int, end: int) -> None:
        if (end - start) * 4 > self._max_row:  # a character has at most four bytes
            self._check_size(len(text[start:end].rstrip("\r\n").encode()))

    def _hint(self) -> str:
        return ""


def parser_for(format: str, *, max_row: int = MAX_ROW, item_keys: Collection[str] = ()) -> RowParser:  # noqa: A002 - the service calls it so
    """Return a parser for a body.

    Args:
        format: `json` or `csv`.
        max_row: The largest row, in bytes.
        item_keys: Where beside `data` the rows may be, if a body of JSON is one object.

    Raises:
        ConfigurationError: There is no such format, or `max_row` is no number of bytes.
    """
    # Only now: both build on what is above.
    from titan_state.client.loading.rows_csv import CsvRows
    from titan_state.client.loading.rows_json import JsonRows

    if format == "json":
        return JsonRows(max_row=max_row, item_keys=item_keys)
    if format == "csv":
        return CsvRows(max_row=max_row)
    raise ConfigurationError(f"format must be 'json' or 'csv', not {shorten(repr(format))}")
