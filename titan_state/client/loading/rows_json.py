"""Rows of JSON: the elements of an array, values with white space between them, or the list in an object.

It knows the syntax of JSON, and where an export may have its rows. What rows of any format have in common is in
`rows.py`; what a row means is decided elsewhere.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Mapping
from enum import Enum, auto
from itertools import accumulate
from typing import Any, Final, NoReturn

from titan_state.client.loading.rows import MAX_ROW, RowParser
from titan_state.errors import PayloadError, shorten

CUT_TOKEN: Final = 16
"""A decoder that minds nothing but a cut stops at most so many characters before it, as in `-Infinity` or an escape."""

BLOCK: Final = 64 * 1024
"""How many bytes are searched for brackets at once; more would need memory, as there may be nothing else."""

_SPACE: Final = re.compile(r"[ \t\n\r]*+")
_TOKEN: Final = re.compile(r"[-+.0-9A-Za-z]*+")
_TOKEN_BYTES: Final = re.compile(rb"[-+.0-9A-Za-z]*+")
_STRING: Final = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"', re.DOTALL)
_IN_STRING: Final = re.compile(rb'[^"\\]*+(?:\\.[^"\\]*+)*+', re.DOTALL)
_OUTSIDE: Final = re.compile(rb'(?:[^"]++|"[^"\\]*+(?:\\.[^"\\]*+)*+")*+', re.DOTALL)
_STEPS: Final = {ord("["): 1, ord("{"): 1, ord("]"): -1, ord("}"): -1}
_NO_BRACKETS: Final = bytes(set(range(256)) - set(_STEPS))


class _Place(Enum):
    """Where in a body of JSON the next character is."""

    START = auto()
    IN_EMPTY_ARRAY = auto()
    BEFORE_ELEMENT = auto()
    AFTER_ELEMENT = auto()
    AFTER_ARRAY = auto()
    BEFORE_VALUE = auto()
    AFTER_VALUE = auto()


class JsonRows(RowParser):
    """Gives the elements of one array, or values with white space between them, such as JSON lines.

    Which of them it is, is told by the first character. A body that is one object is held until it ends: its rows are
    the first list under `data` or one of the keys, in itself or in `data`. Without such a list it is a row itself,
    unless it is the envelope of an error. A body of nothing has no rows.

    Args:
        max_row: The largest row, or object around all rows, in bytes.
        item_keys: Where beside `data` the rows may be.
    """

    def __init__(self, *, max_row: int = MAX_ROW, item_keys: Collection[str] = ()) -> None:
        super().__init__(max_row=max_row)
        self._keys = ("data", *item_keys)
        self._place = _Place.START
        self._single: dict[str, Any] | None = None
        self._end: ValueEnd | None = None
        self._again = 0

    def _read(self, *, is_end: bool) -> None:
        held = self._held
        if not is_end and self._end is not None and not self._end.has_come(held) and len(held) < self._again:
            return
        text, behind, flaw = self._text(len(held), is_end=is_end)
        is_last = is_end and self._place is _Place.BEFORE_VALUE  # an array would go on
        position = self._values(text, may_go_on=not (is_last or behind))
        del held[: len(held) - len(text[position:].encode()) - behind]
        if flaw:
            self._release()
            raise self._flawed(flaw)
        if is_end:
            self._finish(is_cut=position < len(text))
        elif position == len(text):
            self._end = None
        else:
            if position or self._end is None:
                self._end = ValueEnd()
            # It is decoded when its end has come, which is cheap to see, and seldom before, as that finds flaws sooner.
            self._again = 2 * len(held)

    def _values(self, text: str, *, may_go_on: bool) -> int:
        """Take the whole values of a text, and return where the first is that is not, or the text's end."""
        end = 0
        while True:
            position = _behind(_SPACE, text, end, len(text))
            if self._place is _Place.AFTER_VALUE and position > end:
                self._place = _Place.BEFORE_VALUE
            if position == len(text):
                return position
            if self._is_punctuation(text[position]):
                end = position + 1
                continue
            self._release()
            try:
                found = value_at(text, position, may_go_on=may_go_on)
            except ValueError as error:
                flaw = str(error)
            else:
                if found is None:
                    return position
                value, end = found
                self._check_text(text, position, end)
                self._take(value)
                continue
            raise self._flawed(f"{flaw}; it begins with {shorten(repr(text[position]))}")

    def _is_punctuation(self, character: str) -> bool:
        """Go on to the next place if a character belongs to the array, and not to a value."""
        place = self._place
        if place is _Place.START:
            self._place = _Place.IN_EMPTY_ARRAY if character == "[" else _Place.BEFORE_VALUE
            return character == "["
        if character == "]" and place in (_Place.IN_EMPTY_ARRAY, _Place.AFTER_ELEMENT):
            self._place = _Place.AFTER_ARRAY
            return True
        if place is _Place.AFTER_ELEMENT:
            if character != ",":
                raise PayloadError(f"there is no comma behind row {self._count}")
            self._place = _Place.BEFORE_ELEMENT
            return True
        if place is _Place.AFTER_ARRAY:
            raise PayloadError(f"something follows the array, which has ended behind row {self._count}")
        if place is _Place.AFTER_VALUE:
            self._release()
            raise PayloadError(f"there is no white space behind row {self._count}")
        return False

    def _take(self, value: Any) -> None:
        is_element = self._place in (_Place.IN_EMPTY_ARRAY, _Place.BEFORE_ELEMENT)
        self._place = _Place.AFTER_ELEMENT if is_element else _Place.AFTER_VALUE
        if not (is_element or self._count) and isinstance(value, dict):
            self._single = value  # a row only if another value follows
        else:
            self._rows.append(value)
        self._count += 1

    def _release(self) -> None:
        if self._single is not None:
            self._rows.append(self._single)
            self._single = None

    def _finish(self, *, is_cut: bool) -> None:
        if is_cut:
            raise self._flawed("is cut")
        if self._place in (_Place.IN_EMPTY_ARRAY, _Place.BEFORE_ELEMENT, _Place.AFTER_ELEMENT):
            raise PayloadError(f"the array is cut behind row {self._count}")
        single, self._single = self._single, None
        if single is not None:
            self._rows += _rows_in(single, self._keys)

    def _hint(self) -> str:
        is_first = self._place is _Place.BEFORE_VALUE and not self._count
        return "; if it is an object around all rows, that can only be read whole" if is_first else ""


def value_at(text: str, start: int, *, may_go_on: bool) -> tuple[Any, int] | None:
    """Decode the value that begins at a place.

    Args:
        text: The text.
        start: Where the value begins; there is a character, and it is no white space.
        may_go_on: Whether a number or a word that the text ends with may be cut there.

    Returns:
        The value and where it ends; None if it may go on behind the text.

    Raises:
        ValueError: It is none, or one that must not be: NaN, lone surrogates, too deep nesting, huge integers. The text
            of the error can follow a subject.
    """
    token_end = 0
    if text[start] not in '{["':
        token_end = _behind(_TOKEN, text, start, len(text))
        if token_end == len(text) and may_go_on:
            return None
    is_sure = bool(token_end)
    try:
        value, end = _DECODER.raw_decode(text, start)
        if token_end in (0, end):
            if "\\ud" in text[start:end] or "\\uD" in text[start:end]:
                json.dumps(value, ensure_ascii=False).encode()
            return value, end
        flaw = "is no valid JSON"
    except RecursionError:
        flaw, is_sure = "is nested too deeply", True
    except json.JSONDecodeError as error:
        flaw = f"is no valid JSON ({error.msg})"
        is_sure |= error.pos < len(text) - CUT_TOKEN and not error.msg.startswith("Unterminated string")
    except UnicodeEncodeError:
        flaw, is_sure = "is no valid JSON (a lone surrogate)", True
    except ValueError:  # not sure either: a long number may yet become a fraction
        flaw = "is no valid JSON (NaN, Infinity or a huge integer)"
    if not is_sure and not ValueEnd().has_come(text[start:].encode()):
        return None
    raise ValueError(flaw)  # out of the handler: what that handles holds the text, and would be attached


class ValueEnd:
    """Finds where a value ends that comes in pieces, without decoding it, and looks at each byte once."""

    def __init__(self) -> None:
        self._position = 0
        self._depth = 0
        self._is_in_string = False
        self._block = 256  # most values end soon, and what is behind them is not searched

    def has_come(self, held: bytes | bytearray) -> bool:
        """Return whether it is sure that the value ends in what there is of it.

        Args:
            held: The value from its first byte on; at least what was given before.
        """
        if not self._position:
            first = held[:1]
            if first not in (b"{", b"[", b'"'):
                return _behind(_TOKEN_BYTES, held, 0, len(held)) < len(held)
            self._position, self._depth, self._is_in_string = 1, int(first != b'"'), first == b'"'
        while self._position < len(held):
            if self._is_in_string:
                self._position = _behind(_IN_STRING, held, self._position, len(held))
                if held[self._position : self._position + 1] != b'"':  # maybe what an escape needs has not come yet
                    return False
                self._position += 1
                self._is_in_string = False
                if not self._depth:
                    return True
            elif self._is_closed_in_block(held):
                return True
        return False

    def _is_closed_in_block(self, held: bytes | bytearray) -> bool:
        """Go on by a block, or to the first string that does not end in it."""
        stop = min(self._position + self._block, len(held))
        self._block = min(2 * self._block, BLOCK)
        end = _behind(_OUTSIDE, held, self._position, stop)
        brackets = _STRING.sub(b"", held[self._position : end]).translate(None, _NO_BRACKETS)
        depths = list(accumulate(map(_STEPS.__getitem__, brackets), initial=self._depth))
        self._position, self._depth, self._is_in_string = end + (end < stop), depths[-1], end < stop
        return min(depths) <= 0


def _behind(pattern: re.Pattern[Any], text: str | bytes | bytearray, start: int, stop: int) -> int:
    """Return where that ends which a pattern matches, be it nothing."""
    match = pattern.match(text, start, stop)
    return match.end() if match else start


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON")


_DECODER: Final = json.JSONDecoder(parse_constant=_refuse_constant)


def _rows_in(single: Mapping[str, Any], keys: Collection[str]) -> list[Any]:
    """Return the rows of a body that is one object."""
    failure, data = single.get("error"), single.get("data")
    if single.get("success") is not False:
        for holder in (single, data):
            if isinstance(holder, Mapping):
                for found in map(holder.get, keys):
                    if isinstance(found, list):
                        return found
        if not failure or "data" in single or "id" in single:
            return [single]
    raise PayloadError("there are no rows, but an error of the service")
