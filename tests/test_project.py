"""Cheap checks of the project itself: what ships, what is drawn, and what must not creep in."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import tomllib
from configparser import ConfigParser
from importlib import import_module, metadata
from pathlib import Path

import pytest

import titan_state

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "titan_state"
MODULES = sorted(PACKAGE.rglob("*.py"))
PYTHON = sorted([*MODULES, *(ROOT / "tests").rglob("*.py"), *(ROOT / "examples").rglob("*.py")])
TEXT = {".py", ".md", ".toml", ".cfg", ".ini", ".yml", ".yaml", ".json", ".txt", ""}

MOST_LINES = 320
LONGER = {
    "errors.py": 485,  # one tree, drawn in one place
    "core/tracker.py": 405,  # the door to all that is known
    "core/budget.py": 350,  # everything that decides whether a request may be sent
    "client/service.py": 350,  # every endpoint in one place
    "monitor/runtime.py": 345,  # what a monitor is made of, put together in one place
    "client/outputs.py": 388,  # all that users do with outputs, in one place
    "monitor/monitor.py": 412,  # what users do with a monitor, in one place
    "core/lifecycle.py": 425,  # everything that decides whether a move is legal lives in one file
    "journal/base.py": 414,  # one protocol, with what it hands over
    "journal/sqlite.py": 338,  # that protocol, and what its subscriptions use
    "journal/nats/link.py": 370,  # whatever can go wrong on a connection
    "journal/nats/journal.py": 390,  # that protocol, with all options that a user has
}


def tree():
    """Return the files of the project: what git knows and what it would take, or all where there is no git."""
    known = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"], cwd=ROOT, capture_output=True
    )
    if known.returncode == 0:
        return [ROOT / name for name in known.stdout.decode().split("\0") if name and (ROOT / name).is_file()]
    made = re.compile(r"\.\w.*|build|dist|_build|__pycache__")
    found = [path for path in ROOT.rglob("*") if path.is_file()]
    return [path for path in found if not any(map(made.fullmatch, path.relative_to(ROOT).parts))]


def contracts():
    parser = ConfigParser()
    parser.read(ROOT / "setup.cfg", encoding="utf-8")
    return parser


def each(paths):
    return [pytest.param(path, id=path.relative_to(ROOT).as_posix()) for path in paths]


def test_public_names_are_sorted_and_there():
    """`__all__` is sorted, without repetition, and each name can be imported."""
    assert titan_state.__all__ == sorted(set(titan_state.__all__))
    for name in titan_state.__all__:
        assert getattr(titan_state, name).__name__ == name
    assert set(titan_state.__all__) <= set(dir(titan_state))
    with pytest.raises(AttributeError, match="'titan_state' has no attribute 'nothing'"):
        _ = titan_state.nothing


def test_names_for_type_checkers_are_the_public_names():
    """What type checkers see imported is what is imported late when the program runs, from the same modules."""
    seen = {}
    for node in ast.walk(ast.parse((PACKAGE / "__init__.py").read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("titan_state"):
            seen |= {alias.asname: getattr(import_module(node.module), alias.name) for alias in node.names}
    assert sorted(seen) == titan_state.__all__
    assert all(getattr(titan_state, name) is value for name, value in seen.items())


def test_types_are_shipped():
    """The package says that it is typed."""
    assert (PACKAGE / "py.typed").is_file()


def test_version_is_told_once():
    """The version that is installed is the one in pyproject.toml."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert metadata.version("titan-state") == project["version"]
    assert project["version"] in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")


def test_entry_points_lead_somewhere():
    """The command and the pytest plugin can be loaded from what is installed."""
    found = metadata.distribution("titan-state").entry_points
    assert {(point.group, point.name) for point in found} == {
        ("console_scripts", "titan-state"),
        ("pytest11", "titan_state"),
    }
    assert all(point.load() for point in found)


def test_layer_contracts_name_modules_that_exist():
    """A contract about a module that is not there would hold for nothing; only what is in brackets may be missing."""
    parser = contracts()
    names = {f"titan_state.{one}" for one in re.split(r"[\s|:]+", parser["importlinter:contract:layers"]["layers"])}
    for section in parser.sections():
        for key in ("source_modules", "forbidden_modules"):
            names |= set(parser.get(section, key, fallback="").split())
    ours = {name for name in names if re.fullmatch(r"titan_state(\.\w+)*", name)}
    assert "titan_state.core" in ours
    for name in ours:
        place = ROOT.joinpath(*name.split("."))
        assert place.is_dir() or place.with_suffix(".py").is_file(), name


@pytest.mark.parametrize("path", each(MODULES))
def test_module_is_short_and_says_what_it_is_for(path):
    """A file has one responsibility, says which, and stays short enough to be read at once."""
    text = path.read_text(encoding="utf-8")
    assert len(text.splitlines()) <= LONGER.get(path.relative_to(PACKAGE).as_posix(), MOST_LINES)
    assert ast.get_docstring(ast.parse(text))


@pytest.mark.parametrize("name", LONGER)
def test_exceptions_to_the_length_are_needed(name):
    """A file that has become clearly shorter, or is gone, needs no exception any more."""
    assert len((PACKAGE / name).read_text(encoding="utf-8").splitlines()) > MOST_LINES - 20


SUPPRESSION = re.compile(r"#\s*(?:type:\s*ignore|noqa|pragma:\s*no cover|mypy:|ruff:)", re.IGNORECASE)
WITH_REASON = re.compile(
    r"#\s*(?:type:\s*ignore\[[\w, -]+\]|noqa:\s*[A-Z]+\d+(?:,\s*[A-Z]+\d+)*|pragma:\s*no cover)\s*(?:#|-)\s*\S.{8,}"
)


@pytest.mark.parametrize("path", each(PYTHON))
def test_suppressions_give_their_reason(path):
    """Whoever silences a tool says which rule, and beside it why."""
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        if SUPPRESSION.search(line) and "re.compile" not in line and not line.lstrip().startswith('r"#'):
            assert WITH_REASON.search(line), f"{path.name}:{number}: {line.strip()}"


def test_no_machine_paths_in_the_tree():
    """No file holds the path of somebody's home, workspace or temporary folder."""
    folders = "|".join(("home/[a-z]", "Users/[A-Za-z]", "root/", "work/", "tmp/[a-z]", "opt/[a-z]"))
    path = re.compile(rf"(?<![\w.~:/*-])/(?:{folders})")
    assert path.search("see " + "/".join(("", "home", "someone", "x")))
    for file in tree():
        if file.suffix in TEXT:
            found = path.search(file.read_text(encoding="utf-8"))
            assert found is None, f"{file.relative_to(ROOT)}: {found.group()}"


def test_importing_the_package_costs_nothing():
    """Neither the HTTP client nor the state machine is loaded before a name is used."""
    code = "import sys, titan_state; sys.exit(bool({'aiohttp', 'transitions', 'typer'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_test_modules_have_names_of_their_own():
    """Two modules of tests of one name would hide each other, as the folders of tests are no packages."""
    ours = [path for path in PYTHON if PACKAGE not in path.parents]
    names = [path.name for path in ours if path.name != "conftest.py"]
    assert sorted(names) == sorted(set(names))
