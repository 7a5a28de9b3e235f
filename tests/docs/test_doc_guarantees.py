"""Every promise of docs/guarantees.md has a number, and names tests that there are and that say what they hold."""

from __future__ import annotations

import ast
import re

import pytest
from documents import DOCUMENTS, NAMED, ROOT

PAGE = NAMED["docs/guarantees.md"].text
PROMISES = [part.strip() for part in re.split(r"^### ", PAGE, flags=re.MULTILINE)[1:]]
NODE = re.compile(r"`(tests/[\w/]+\.py)::(\w+)`")


def nodes_of(path):
    """Return what a test module has that pytest runs, by name, with its docstring; a class stands for its own."""
    found = {}
    for node in ast.parse((ROOT / path).read_text(encoding="utf-8")).body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test_"):
            found[node.name] = ast.get_docstring(node)
        elif isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            name = node.targets[0].id
            if name.startswith("Test"):  # hypothesis makes a test of a state machine: `TestX = X.TestCase`
                found[name] = "a state machine"
    return found


def test_promises_are_numbered():
    """The numbers follow one another, so that other pages may name them."""
    told = [int(re.match(r"G(\d+): \S", promise)[1]) for promise in PROMISES]
    assert told == list(range(1, len(told) + 1))
    assert len(told) > 20


@pytest.mark.parametrize("promise", [pytest.param(one, id=one.partition("\n")[0]) for one in PROMISES])
def test_a_promise_is_held(promise):
    """It is one sentence first, and the tests that it names are there and say what they show."""
    body = promise.partition("\n\n")[2].partition("\n\n")[0]
    assert body.endswith(".")
    assert not re.search(r"\.\s", body)
    held = NODE.findall(promise.partition("*Held by*")[2])
    assert held
    for path, name in held:
        assert nodes_of(path).get(name), f"{path}::{name}"


def test_promises_that_other_pages_name_are_there():
    """A `G7` in another document leads to that promise."""
    numbers = {f"g{number}" for number in range(1, len(PROMISES) + 1)}
    for document in DOCUMENTS:
        for anchor in re.findall(r"guarantees\.md#(g\d+)-", document.text):
            assert anchor in numbers, document.name
