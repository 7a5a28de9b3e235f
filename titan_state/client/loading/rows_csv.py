"""Rows of CSV: the records behind a header, as the standard library reads them.

It knows records and the header. What rows of any format have in common is in `rows.py`; what a row means, of which
type a field is among it, is decided elsewhere.
"""

from __future__ import annotations

import csv
import re
import threading
from collections.abc import Iterator
from io import StringIO
from itertools import chain
from typing import Final

from titan_state.client.loading.rows import MAX_ROW, RowParser

_QUOTED: Final = rb'[^"]*+(?:""[^"]*+)*+"[^,\r\n]*+'
RECORD_END: Final = re.compile(_QUOTED + rb'(?:,(?:"' + _QUOTED + rb'|[^",\r\n][^,\r\n]*+|))*+[\r\n]')
"""Matches, inside a quoted field and at the start of a line, if the record ends in the lines from there on.

It only tells when it is worth reading the record again, as the reader of the standard library cannot go on with half of
one; what the record is, is up to that. No part of it is ever tried twice.
"""

_LIMIT: Final = threading.Lock()


class CsvRows(RowParser):
    """Gives the records of CSV with a header, each as a dict of the header's names.

    Quotes are taken strictly, as RFC 4180 has them: behind a closing quote is a comma or the end of the line. Blank
    lines are no records. A body of nothing has no rows.
    """

    def __init__(self, *, max_row: int = MAX_ROW) -> None:
        super().__init__(max_row=max_row)
        self._header: list[str] | None = None
        self._whole = 0  # how many of the bytes that are held are whole lines of one record
        self._seen = 0  # how many have been searched for the ends of lines

    def _read(self, *, is_end: bool) -> None:
        size = len(self._held) if is_end else self._lines()
        if size == self._whole and not is_end:
            return
        if self._whole and not is_end and not RECORD_END.match(self._held, self._whole, size):
            self._whole = size
            return
        text, _, flaw = self._text(size, is_end=True)
        nul = text.find("\0")
        if nul >= 0:
            text, flaw = text[:nul], "holds a NUL character"
        if flaw:
            text = text[: max(text.rfind("\n"), text.rfind("\r")) + 1]
        found, broken = records(text, is_end=is_end and not flaw)
        start = 0
        for fields, end in found:
            self._check_text(text, start, end)
            self._take(fields)
            start = end
        if broken or flaw:
            raise self._flawed(broken or flaw)
        self._whole = len(text[start:].encode())
        del self._held[: size - self._whole]
        self._seen = len(self._held)

    def _lines(self) -> int:
        """Return how many of the bytes that are held are whole lines; half of a line's end is none."""
        held, seen = self._held, self._seen
        self._seen = len(held)
        last = max(held.rfind(b"\n", seen), held.rfind(b"\r", max(seen - 1, 0), max(len(held) - 1, 0)))
        return max(last + 1, self._whole)

    def _take(self, fields: list[str]) -> None:
        header = self._header
        if not fields:
            return
        if header is None:
            if "" in fields:
                raise self._flawed(f"has an empty name in column {fields.index('') + 1}")
            if len(set(fields)) < len(fields):
                column = next(number for number, name in enumerate(fields, 1) if name in fields[: number - 1])
                raise self._flawed(f"has the name of column {column} twice")
            self._header = fields
            return
        if len(fields) != len(header):
            raise self._flawed(f"has {len(fields)} fields, the header has {len(header)}")
        self._rows.append(dict(zip(header, fields, strict=True)))
        self._count += 1

    def _next(self) -> str:
        return "the header" if self._header is None else super()._next()


def records(text: str, *, is_end: bool) -> tuple[list[tuple[list[str], int]], str]:
    """Split lines into records.

    Quotes are taken strictly: what follows a closing quote is a comma or the end of the line. A quote inside a field
    that did not begin with one is a character like others.

    Args:
        text: Whole lines, each with its end; at the end of the body the last may have none.
        is_end: Whether nothing comes behind the text.

    Returns:
        The whole records, each with the place where it ends, and what is wrong with the one behind them. That is empty
        if all is well: if text is left, it is the beginning of a record. A blank line is a record without fields.
    """
    lines = StringIO(text, newline="")
    found: list[tuple[list[str], int]] = []
    with _LIMIT:  # the limit of 128 KiB for a field is that of the whole process
        limit = csv.field_size_limit()
        csv.field_size_limit(max(limit, len(text)))
        try:
            reader = csv.reader(chain(lines, _More()), strict=True)
            while True:
                found.append((next(reader), lines.tell()))
        except _MoreNeeded:
            flaw = "is cut inside a quoted field" if is_end and text[found[-1][1] if found else 0 :] else ""
        except csv.Error as error:
            flaw = f"is no valid CSV ({error})"
        finally:
            csv.field_size_limit(limit)
    return found, flaw


class _MoreNeeded(Exception):  # noqa: N818 - no error: the reader takes it up where it would make up the end of a record
    pass


class _More:
    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        raise _MoreNeeded
