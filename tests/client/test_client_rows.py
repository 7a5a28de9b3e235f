"""Rows of an export: whole ones as soon as they are there, however the bytes are split, and one kind of error."""

from __future__ import annotations

import csv
import io
import json
import math
from itertools import cycle

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from titan_state.client.loading import rows_csv, rows_json
from titan_state.client.loading.rows import MAX_ROW, parser_for
from titan_state.errors import BodyTooLargeError, ConfigurationError, PayloadError

SIZES = st.lists(st.integers(1, 40), min_size=1, max_size=8)
"""How large the chunks are, one after the other and over again."""

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)
STYLES = st.fixed_dictionaries({"ensure_ascii": st.booleans(), "indent": st.sampled_from([None, 0, 3, 40])})

FIELD = st.text(st.characters(codec="utf-8", exclude_characters="\0") | st.sampled_from('",\r\n;é😀'), max_size=12)
TABLES = st.integers(1, 4).flatmap(
    lambda width: st.tuples(
        st.lists(FIELD.filter(bool), min_size=width, max_size=width, unique=True),
        st.lists(st.lists(FIELD, min_size=width, max_size=width), max_size=6),
    )
)
FRAGMENTS = {
    "json": [
        *'[]{},:"\\13xé😀',
        *('\\"', "\\u", "\\ud83d", "\\ude00", '{"a":1}', '{"data":[1]}', '{"error":"x"}'),
        *("12e", "-1.5e+7", "tru", "true", "NaN", "-Infinity", "null", "12345678901234567890"),
    ],
    "csv": ["a", "b", ",", '"', '""', '","', "a,b", "\r", "\n", "\r\n", "é", "😀", " ", "\0", "\ufeff", "\u2028"],
}


def pieces(body, sizes):
    """Split bytes into chunks of these sizes, over and over again."""
    start = 0
    for size in cycle(sizes):
        if start >= len(body):
            return
        yield body[start : start + size]
        start += size


def parsed(kind, body, sizes=(MAX_ROW,), **options):
    """Return the rows of a body, and the error behind them, None if there is none."""
    parser = parser_for(kind, **options)
    rows = []
    try:
        for chunk in pieces(body, sizes):
            rows += parser.feed(chunk)
        rows += parser.close()
    except PayloadError as error:
        return rows, error
    return rows, None


def whole(kind, body, sizes=(MAX_ROW,), **options):
    """Return the rows of a body in which nothing is wrong."""
    rows, error = parsed(kind, body, sizes, **options)
    assert error is None, error
    return rows


def flaw(kind, body, **options):
    """Return how many rows come before the error of a body, and its text, which are the same for all splits."""
    rows, error = parsed(kind, body, **options)
    assert error is not None
    for sizes in ((1,), (2, 3), (7,)):
        again, other = parsed(kind, body, sizes, **options)
        assert (again, type(other)) == (rows, type(error))
    return len(rows), str(error)


def written(table, quoted, newline, *, last):
    """Write a table as CSV, with quotes where they are needed or everywhere."""

    def field(text, alone):
        needed = quoted or (alone and not text) or any(sign in text for sign in '",\r\n')
        return '"' + text.replace('"', '""') + '"' if needed else text

    lines = [",".join(field(text, len(record) == 1) for text in record) for record in table]
    return newline.join(lines) + (newline if last else "")


@given(st.lists(JSON, max_size=6), STYLES, SIZES, st.sampled_from(["", "\ufeff", " \r\n"]))
def test_the_elements_of_an_array_come_out_as_they_went_in(values, style, sizes, before):
    """Whatever an array holds and however its bytes are split, its elements are the rows."""
    body = (before + json.dumps(values, **style) + before.strip("\ufeff")).encode()
    assert whole("json", body, sizes) == values


@given(st.lists(JSON.filter(lambda value: not isinstance(value, list)), min_size=2), STYLES, SIZES, st.data())
def test_values_in_lines_come_out_as_they_went_in(values, style, sizes, data):
    """Whatever values follow each other, each on a line or on many, with blank ones between, they are the rows."""
    between = data.draw(st.sampled_from(["\n", "\r\n", " ", "\n\n\r\n\t"]))
    after = data.draw(st.sampled_from(["", between]))
    body = between.join(json.dumps(value, **style) for value in values) + after
    assert whole("json", body.encode(), sizes) == values


@given(TABLES, st.booleans(), st.sampled_from(["\n", "\r\n", "\r"]), st.booleans(), st.booleans(), SIZES)
def test_the_records_of_a_table_come_out_as_they_went_in(table, quoted, newline, last, marked, sizes):
    """Whatever text a table holds and however its bytes are split, its records are the rows."""
    header, records = table
    text = written([header, *records], quoted, newline, last=last)
    body = ("\ufeff" * (marked or text.startswith("\ufeff")) + text).encode()
    assert whole("csv", body, sizes) == [dict(zip(header, record, strict=True)) for record in records]


@given(st.lists(JSON, max_size=4), st.booleans(), SIZES)
@example([1, 23], True, [1])
def test_each_part_of_an_array_is_a_cut_one(values, ensure_ascii, sizes):
    """An array that ends before its bracket is an error, and what was given before it was right."""
    body = json.dumps(values, ensure_ascii=ensure_ascii).encode()
    for length in range(1, len(body)):
        rows, error = parsed("json", body[:length], sizes)
        assert error is not None
        assert rows == values[: len(rows)]


@pytest.mark.parametrize("kind", ["json", "csv"])
def test_any_bytes_are_rows_or_an_error_whatever_the_chunks(kind):
    """No bytes raise anything but a PayloadError, and how they are split changes neither that nor the rows."""
    text = st.lists(st.sampled_from(FRAGMENTS[kind]) | st.sampled_from(["\n", " ", ","]), max_size=30).map("".join)

    @given(st.binary(max_size=60) | st.tuples(text.map(str.encode), st.binary(max_size=1)).map(b"".join), SIZES)
    @example(b"12\xc3 ", [1])
    @example(b'{"a":1}\xff', [3])
    @example(b"[12e,1]", [1])
    @example(b'a\r"b\r\r\n', [1])
    def check(body, sizes):
        rows, error = parsed(kind, body)
        again, other = parsed(kind, body, sizes)
        assert repr(again) == repr(rows)
        assert (other is None) == (error is None)

    check()


@given(st.lists(st.sampled_from(FRAGMENTS["csv"]).filter(lambda sign: sign not in "\0\ufeff"), max_size=25), SIZES)
def test_csv_is_what_the_standard_library_says(signs, sizes):
    """Rows are what the reader of the standard library makes of the whole text, up to the first that is refused."""
    body = "h\n" + "".join(signs)
    expected, is_refused = [], False
    try:
        for record in csv.reader(io.StringIO(body, newline=""), strict=True):
            if len(record) > 1:
                is_refused = True
                break
            expected += record
    except csv.Error:
        is_refused = True
    rows, error = parsed("csv", body.encode(), sizes)
    assert [row["h"] for row in rows] == expected[1:]
    assert (error is not None) == is_refused


@pytest.mark.parametrize("kind", ["json", "csv"])
@pytest.mark.parametrize("body", [b"", b"\xef\xbb\xbf", b"\n\r\n"])
def test_a_body_of_nothing_has_no_rows(kind, body):
    """No bytes, a byte order mark or blank lines alone are no rows, and no error."""
    assert whole(kind, body, (1,)) == []


@pytest.mark.parametrize(
    ("chunks", "expected"),
    [
        ([b'[{"a":1}', b",", b"2]"], [[{"a": 1}], [], [2]]),
        ([b"[1", b"2,", b"3", b"]"], [[], [12], [], [3]]),
        ([b"[-", b"1", b"e", b"2 ", b"]"], [[], [], [], [-100.0], []]),
        ([b"tru", b"e", b"\nnull\n", b"fal", b"se"], [[], [], [True, None], [], []]),
        ([b'["\\', b'"', b"\\u00", b'e9"', b"]"], [[], [], [], ['"é'], []]),
        ([b'["\xc3', b'\xa9"', b"]"], [[], ["é"], []]),
        ([b'{"a":1}\n', b'{"a":2}', b'\n{"a":'], [[], [{"a": 1}, {"a": 2}], []]),
    ],
)
def test_a_json_row_is_given_as_soon_as_it_is_whole(chunks, expected):
    """A row comes with the chunk that makes sure where it ends; only the first object may be more than a row."""
    parser = parser_for("json")
    assert [parser.feed(chunk) for chunk in chunks] == expected


@pytest.mark.parametrize(
    ("chunks", "expected"),
    [
        ([b"a,b\n1,2\n", b"3,", b"4\n"], [["12"], [], ["34"]]),
        ([b"a,b\r\n1,2\r", b"\n3,4\r", b"5,6\n"], [[], ["12"], ["34", "56"]]),
        ([b'a,b\n"1\n', b'",2\n3,', b"4\n"], [[], ["1\n2"], ["34"]]),
        ([b'a,b\n"1\n', b'""', b'\n","2\n', b'"\n\n5,6\n'], [[], [], [], ['1\n"\n2\n', "56"]]),
    ],
)
def test_a_csv_row_is_given_as_soon_as_it_is_whole(chunks, expected):
    """A row comes with the chunk that ends its last line for sure, and lines inside quotes do not end it."""
    parser = parser_for("csv")
    assert [["".join(row.values()) for row in parser.feed(chunk)] for chunk in chunks] == expected


@pytest.mark.parametrize(
    ("body", "count", "text"),
    [
        (b"<html>", 0, "row 1 is no valid JSON (Expecting value); it begins with '<'"),
        (b"[1, nope]", 1, "row 2 is no valid JSON (Expecting value); it begins with 'n'"),
        (b"[1 2]", 1, "there is no comma behind row 1"),
        (b"[1, 2,]", 2, "row 3 is no valid JSON (Expecting value); it begins with ']'"),
        (b"[,1]", 0, "row 1 is no valid JSON (Expecting value); it begins with ','"),
        (b"[1]]", 1, "something follows the array, which has ended behind row 1"),
        (b"[1]\n[2]", 1, "something follows the array, which has ended behind row 1"),
        (b"[1, 2", 1, "row 2 is cut"),
        (b"[1, 2 ", 2, "the array is cut behind row 2"),
        (b"[1,", 1, "the array is cut behind row 1"),
        (b"[ ", 0, "the array is cut behind row 0"),
        (b'[1, {"a": "b', 1, "row 2 is cut"),
        (b'{"a": 1}\n{"a": ', 1, "row 2 is cut"),
        (b'{"a": 1}{"a": 2}', 1, "there is no white space behind row 1"),
        (b"1, 2", 1, "there is no white space behind row 1"),
        (b"01 ", 0, "row 1 is no valid JSON; it begins with '0'"),
        (b"[12e, 3]", 0, "row 1 is no valid JSON; it begins with '1'"),
        (b'[{"a" 1}, 2]', 0, "row 1 is no valid JSON (Expecting ':' delimiter); it begins with '{'"),
        (b'[{]}, "and more than a few characters"]', 0, "row 1 is no valid JSON (Expecting property name enclosed in"),
        (b'["a\nb"]', 0, "row 1 is no valid JSON (Invalid control character at); it begins with '\"'"),
        (b'[1, "\\ud800"]', 1, "row 2 is no valid JSON (a lone surrogate); it begins with '\"'"),
        (b'[{"\\uDFFF": 1}]', 0, "row 1 is no valid JSON (a lone surrogate); it begins with '{'"),
        (b"[NaN]", 0, "row 1 is no valid JSON (NaN, Infinity or a huge integer); it begins with 'N'"),
        (b"[1, [-Infinity]]", 1, "row 2 is no valid JSON (NaN, Infinity or a huge integer); it begins with '['"),
        (b"[" + b"9" * 5000 + b"]", 0, "row 1 is no valid JSON (NaN, Infinity or a huge integer); it begins with '9'"),
        (b"[1, " + b"[" * 100_000, 1, "row 2 is nested too deeply; it begins with '['"),
        (b'[1, "\xe9"]', 1, "row 2 is no valid UTF-8"),
        (b'{"a": 1}\n\xff', 1, "row 2 is no valid UTF-8"),
        (b'{"a": "\xc3', 0, "row 1 is no valid UTF-8"),
        (b"\xef\xbb", 0, "row 1 is no valid UTF-8"),
    ],
)
def test_a_flaw_in_json_is_named(body, count, text):
    """What is wrong, and with which row, is said behind the rows that were right."""
    rows, error = flaw("json", body)
    assert rows == count
    assert error.startswith(text)


@pytest.mark.parametrize(
    ("body", "count", "text"),
    [
        (b"a,b\n1,2\n3\n", 1, "row 2 has 1 fields, the header has 2"),
        (b"a,b\n\n1,2,3\n4,5\n", 0, "row 1 has 3 fields, the header has 2"),
        (b"a,b,a\n", 0, "the header has the name of column 3 twice"),
        (b"a,,b\n1,2,3\n", 0, "the header has an empty name in column 2"),
        (b'a\n1\n"2\n3\n', 1, "row 2 is cut inside a quoted field"),
        (b'a\n1\n"2""', 1, "row 2 is cut inside a quoted field"),
        (b'"a', 0, "the header is cut inside a quoted field"),
        (b'a\n1\n"2"3\n4\n', 1, "row 2 is no valid CSV ("),
        (b"a\n1\n2\0\n", 1, "row 2 holds a NUL character"),
        (b"a\n1\n\xff\n", 1, "row 2 is no valid UTF-8"),
        (b"a\n1\n2\xc3", 1, "row 2 is no valid UTF-8"),
        (b"\xff\xfea\0", 0, "the header "),
    ],
)
def test_a_flaw_in_csv_is_named(body, count, text):
    """What is wrong, and with which row or the header, is said behind the rows that were right."""
    rows, error = flaw("csv", body)
    assert rows == count
    assert error.startswith(text)


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({"data": [1, {"a": 2}]}, [1, {"a": 2}]),
        ({"success": True, "data": {"items": [1]}}, [1]),
        ({"success": True, "data": {"rows": [], "items": [1]}}, [1]),
        ({"rows": [1], "items": [2]}, [2]),
        ({"rows": [1], "data": [2], "error": "none"}, [2]),
        ({"data": {"data": [3]}}, [3]),
        ({"data": []}, []),
        ({"error": None, "a": 1}, None),
        ({"error": "a column of the row", "id": 1}, None),
        ({"data": {"items": {"items": [1]}}, "error": "x"}, None),
        ({"results": [1]}, None),
        ({}, None),
    ],
)
def test_a_single_object_is_the_list_in_it_or_a_row(body, expected):
    """The list under `data` or the first of the keys has the rows, at the top or in `data`; without one it is a row."""
    for after in (b"", b"\r\n"):
        text = json.dumps(body).encode() + after
        assert whole("json", text, (3,), item_keys=("items", "rows")) == ([body] if expected is None else expected)
    assert whole("json", text + b"null", item_keys=("items", "rows")) == [body, None]


@pytest.mark.parametrize(
    "body",
    [
        {"success": False, "error": {"code": "FORBIDDEN", "message": "no scope"}},
        {"success": False, "data": [1]},
        {"error": "x" * 1000},
        {"error": {"code": 5}},
    ],
)
def test_a_single_object_that_is_an_error_is_raised(body):
    """The envelope of an error is no row; what it says is not shown, as it may echo a credential."""
    count, text = flaw("json", json.dumps(body).encode())
    assert (count, text) == (0, "there are no rows, but an error of the service")


def test_only_two_formats_can_be_parsed():
    """Another format, or a size that is none, is refused at once."""
    with pytest.raises(ConfigurationError, match="format must be 'json' or 'csv', not 'xml'"):
        parser_for("xml")
    for size in (0, -1, True, 1.5):
        with pytest.raises(ConfigurationError, match="max_row must be a number of bytes"):
            parser_for("csv", max_row=size)


def test_rows_before_a_flaw_are_given_first_and_the_error_stays():
    """What is right is not lost with what is wrong in the same chunk; from then on each call raises the same error."""
    parser = parser_for("json")
    assert parser.feed(b"[1, 2, x, 4]") == [1, 2]
    for again in (lambda: parser.feed(b"5"), parser.close, parser.close, lambda: parser.feed(b"")):
        with pytest.raises(PayloadError, match="row 3 is no valid JSON"):
            again()
    assert not parser._held


def test_nothing_comes_after_the_end():
    """A closed parser takes no more bytes, and closing it again gives nothing."""
    parser = parser_for("csv")
    assert parser.feed(b"a\n1") == []
    assert parser.close() == [{"a": "1"}]
    assert parser.close() == []
    with pytest.raises(PayloadError, match="more came behind the end of the body"):
        parser.feed(b"2")


@pytest.mark.parametrize(
    ("kind", "before", "row", "after", "text"),
    [
        ("json", "[1, ", '"' + "x" * 38 + '"', ", 2]", "row 2 is larger than 40 bytes"),
        ("json", "1\r\n", '{"a": "' + "é" * 15 + 'x"}', "\r\n2", "row 2 is larger than 40 bytes"),
        ("json", "[", "0." + "1" * 38, "]", "row 1 is larger than 40 bytes"),
        (
            "json",
            " ",
            '{"data": [' + "1" * 28 + "]}",
            "\n",
            "row 1 is larger than 40 bytes; if it is an object around all rows, that can only be read whole",
        ),
        ("csv", "a,b\r\n1,2\r\n", "x" * 38 + ",y", "\r\n1,2\r\n", "row 2 is larger than 40 bytes"),
        ("csv", "a,b\n", '"' + "x\n" * 18 + '",y', "\n1,2\n", "row 1 is larger than 40 bytes"),
        ("csv", "", "a," + "é" * 19, "\n1,2\n", "the header is larger than 40 bytes"),
    ],
)
def test_a_row_may_be_so_large_and_no_larger(kind, before, row, after, text):
    """A row of just the limit is given, one of a byte more is refused, and which it is, is the same for all splits."""
    assert len(row.encode()) == 40
    for sizes in ((1,), (7,), (1000,)):
        whole(kind, (before + row + after).encode(), sizes, max_row=40)
    larger = row.replace("x", "xx", 1) if "x" in row else row.replace("1", "11", 1) if "1" in row else row + "x"
    rows, error = parsed(kind, (before + larger + after).encode(), max_row=40)
    assert isinstance(error, BodyTooLargeError)
    assert str(error) == text
    assert flaw(kind, (before + larger + after).encode(), max_row=40) == (len(rows), text)


@pytest.mark.parametrize(("kind", "start"), [("json", b'["'), ("json", b"[1"), ("csv", b'a\n"'), ("csv", b"")])
def test_no_more_is_held_than_a_row_and_a_chunk(kind, start):
    """A row that never ends is given up as soon as it is too large."""
    parser = parser_for(kind, max_row=10_000)
    parser.feed(start)
    with pytest.raises(BodyTooLargeError):  # noqa: PT012 - the chunk that is too much is not known
        for _ in range(12):
            parser.feed(b"1" * 1000)
            assert len(parser._held) <= 10_000
    assert not parser._held


class Decoder:
    """The decoder of rows, which counts how much it was asked to decode."""

    def __init__(self, decoder):
        self._decoder = decoder
        self.decoded = 0

    def raw_decode(self, text, start):
        self.decoded += len(text) - start
        return self._decoder.raw_decode(text, start)


@pytest.mark.parametrize(
    "row",
    [
        ["x" * 5_000_000],
        '\\"\n' * 800_000,
        [[1, {"a": "b"}]] * 300_000,
        [math.pi] * 250_000,
    ],
    ids=["one string", "escapes", "brackets", "numbers"],
)
def test_a_large_json_row_in_small_chunks_is_looked_at_a_few_times(monkeypatch, row):
    """The work for a row of 5 MB in chunks of 1 KiB grows with its size, not with that times the chunks."""
    decoder, searched = Decoder(rows_json._DECODER), 0
    search = rows_json._behind

    def behind(pattern, text, start, stop):
        nonlocal searched
        end = search(pattern, text, start, stop)
        searched += end - start
        return end

    monkeypatch.setattr(rows_json, "_DECODER", decoder)
    monkeypatch.setattr(rows_json, "_behind", behind)
    body = json.dumps([row]).encode()
    assert len(body) > 4_000_000
    assert whole("json", body, (1024,)) == [row]
    assert decoder.decoded < 3.1 * len(body)
    assert searched < 3.1 * len(body)


@pytest.mark.parametrize(
    "field", ["x" * 5_000_000, "\n" * 2_500_000, 'a ""quote"", and\r\n' * 250_000], ids=["one line", "blank", "quotes"]
)
def test_a_large_csv_row_in_small_chunks_is_read_twice_at_most(monkeypatch, field):
    """The work for a record of many megabytes and lines grows with its size, not with that times the chunks."""
    read = 0
    records = rows_csv.records

    def counted(text, *, is_end):
        nonlocal read
        read += len(text)
        return records(text, is_end=is_end)

    monkeypatch.setattr(rows_csv, "records", counted)
    body = f'a,b\n1,"{field}"\n2,3\n'.encode()
    assert whole("csv", body, (1024,)) == [{"a": "1", "b": field.replace('""', '"')}, {"a": "2", "b": "3"}]
    assert read < 1.1 * len(body)


def test_the_limit_of_the_csv_module_is_left_as_it_was():
    """A field may be larger than the process allows, and afterwards that is what it was, also on an error."""
    before = csv.field_size_limit(10)
    try:
        assert whole("csv", b"a\n" + b"x" * 1000) == [{"a": "x" * 1000}]
        assert csv.field_size_limit() == 10
        assert flaw("csv", b'a\n"' + b"x" * 1000 + b'"y\n')[0] == 0
        assert csv.field_size_limit() == 10
    finally:
        csv.field_size_limit(before)


def test_a_long_number_may_become_a_fraction():
    """Digits that would be a huge integer are none before it is sure that nothing follows them."""
    digits = "1" * 5000
    body = f"[[{digits}.5e-4990], {digits}.5e-4990]".encode()
    value = float(f"{digits}.5e-4990")
    for size in (1, 4900, 5003, 5010):
        assert whole("json", body, (size,)) == [[value], value]


def test_an_error_does_not_keep_the_body():
    """What is attached to an error, and what it says, is not the text in which something was wrong."""
    for kind, body in (("json", b'[1, {"secret": tok}]'), ("csv", b'a\n1\n"secret"tok\n'), ("json", b"[1, secret]")):
        rows, error = parsed(kind, body)
        assert len(rows) == 1
        assert "secret" not in str(error)
        assert error.__context__ is None
