"""Which Pythons `make compat` finds, and what it does where there is none of them."""

from __future__ import annotations

import sys

import compatibility
import pytest


def test_the_python_that_runs_is_found():
    """Where it is one of those that are tried, it is there; and whatever is found is what it is called."""
    found = compatibility.interpreters()
    assert all(compatibility.starts(path, minor) for minor, path in found.items())
    is_tried = sys.version_info.releaselevel == "final" and sys.version_info[1] in compatibility.minors()
    assert (sys.version_info[1] in found) or not is_tried


def test_a_machine_whose_only_python_is_newer(monkeypatch, capsys):
    """Nothing is made, and nothing fails: all tests run with that one."""
    monkeypatch.setattr(compatibility, "starts", lambda program, minor: False)
    monkeypatch.setattr(compatibility, "made", lambda *_, **__: pytest.fail("there is nothing to make"))
    assert not compatibility.main()
    assert f"3.{sys.version_info[1]} runs all tests" in capsys.readouterr().out
