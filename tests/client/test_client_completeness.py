"""Whether an export is cut shows in its shape, however its bytes are split, and a whole one never looks cut."""

from __future__ import annotations

import csv
import io
import json
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from titan_state.client.loading.completeness import Completeness

SCALARS = st.none() | st.booleans() | st.integers() | st.text()
VALUES = st.recursive(SCALARS, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=10)


def look(form: str, body: bytes, cuts: list[int] = ()) -> Completeness:
    found = Completeness(form)
    edges = sorted({0, len(body), *(cut % (len(body) + 1) for cut in cuts)})
    for start, end in pairwise(edges):
        found.add(body[start:end])
    return found


@given(
    st.lists(VALUES), st.sampled_from([None, 1]), st.lists(st.integers(0, 10_000)), st.sampled_from(["", "\n", " \n "])
)
def test_whole_arrays(rows, indent, cuts, end):
    """An array that is whole is not open, whatever it holds and however it is written."""
    found = look("json", (json.dumps(rows, indent=indent) + end).encode(), cuts)
    assert not found.is_open


@given(st.lists(st.dictionaries(st.text(), VALUES)), st.lists(st.integers(0, 10_000)))
def test_whole_arrays_of_objects(rows, cuts):
    """An array of objects, which an export is, raises no doubt."""
    assert not look("json", json.dumps(rows).encode(), cuts).is_doubtful


@given(st.lists(st.dictionaries(st.text(), VALUES)), st.lists(st.integers(0, 10_000)))
def test_whole_lines(rows, cuts):
    """Lines of objects that are whole are not open."""
    body = "".join(json.dumps(row) + "\n" for row in rows).encode()
    assert not look("json", body, cuts).is_open


@given(st.lists(st.fixed_dictionaries({"a": st.integers(), "b": st.text()}), min_size=1), st.data())
def test_cut_arrays(rows, data):
    """An array of plain objects that is cut anywhere is open."""
    body = json.dumps(rows, ensure_ascii=False).encode()
    cut = data.draw(st.integers(1, len(body) - 1))
    found = look("json", body[:cut], data.draw(st.lists(st.integers(0, 10_000))))
    assert found.is_open or found.is_doubtful


@given(st.lists(st.lists(st.text(), min_size=2, max_size=2), min_size=1), st.lists(st.integers(0, 10_000)))
def test_whole_tables(rows, cuts):
    """A table with an end to its last line is not doubtful, whatever its fields hold."""
    text = io.StringIO(newline="")
    csv.writer(text).writerows([["a", "b"], *rows])
    found = look("csv", text.getvalue().encode(errors="replace"), cuts)
    assert not found.is_doubtful
    assert not found.is_open


@pytest.mark.parametrize("body", [b'a,b\r\n1,"x\r\n', b"a,b\r\n1,2\r", b"a,b\r\n1,2", b'a,b\n1,"2'])
def test_cut_tables(body):
    """A table that ends within a line or within quotes may be cut."""
    assert look("csv", body).is_doubtful


@pytest.mark.parametrize(
    ("body", "is_open"),
    [
        (b"", False),
        (b" \n", False),
        (b"[]", False),
        (b"\xef\xbb\xbf[]", False),
        (b" [ ]\r\n", False),
        (b"[", True),
        (b"[[1],[2]", False),
        (b'[{"a":[1]', False),  # only doubtful
        (b'[{"a":[1]}', True),
        (b'{"a":1', True),
        (b'{"a":1}\n{"a":', True),
        (b'{"a":1}\n', False),
        (b"1\n2\n", False),
        (b"[1,2]" + b" " * 100, False),
        (b"[1,2" + b" " * 100, True),
    ],
)
def test_shapes_of_json(body, is_open):
    """What is begun must be ended; white space around it means nothing."""
    for size in (1, 3, 1000):
        found = Completeness("json")
        for start in range(0, len(body), size):
            found.add(body[start : start + size])
        assert found.is_open is is_open


def test_other_files_are_never_cut():
    """Of media nothing is known."""
    found = look("", b"[{")
    assert not found.is_open
    assert not found.is_doubtful
