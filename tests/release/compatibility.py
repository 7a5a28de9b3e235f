"""Tests under every Python that is found, and with the oldest versions of what is required (`make compat`).

The newest versions under the Python of the virtual environment are what all tests run with; here a selection runs with
what differs from that. The bounds are those of pyproject.toml: there is no second list.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import packages

FOLDER = Path(sys.prefix) / "compat"
ROOT = packages.ROOT
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]

NEWEST_MINOR = 14
"""The newest Python that is tried, from the one in `requires-python` on."""

CHOSEN = (
    "tests/client/test_client_hostile.py",
    "tests/client/test_client_lists.py",
    "tests/client/test_client_outputs.py",
    "tests/client/test_client_rows.py",
    "tests/client/test_client_transport.py",
    "tests/cli/test_cli_commands.py",
    "tests/cli/test_cli_completion.py",
    "tests/core/test_codec.py",
    "tests/core/test_lifecycle.py",
    "tests/cli/test_cli_dashboard.py",
    "tests/drawing",
    "tests/emulator",
    "tests/journal",
    "tests/monitor/test_dispatcher.py",
    "tests/monitor/test_handlers.py",
    "tests/monitor/test_streams.py",
    "tests/monitor/test_watching.py",
    "tests/nats/test_nats_layout.py",
    "tests/nats/test_nats_messages.py",
    "tests/nats/test_nats_writer.py",
    "tests/telemetry/test_metrics_page.py",
    "tests/telemetry/test_telemetry_off.py",
    "tests/telemetry/test_telemetry_traces.py",
    "tests/test_errors.py",
)
"""What depends on the interpreter and on other packages: protocols, files, processes, tasks, and each extra."""


def minors():
    """Return the minors of Python 3 that are allowed, those that are not tried left out."""
    (oldest,) = re.fullmatch(r">=3\.(\d+)", PROJECT["requires-python"]).groups()
    return range(int(oldest), NEWEST_MINOR + 1)


def starts(program, minor):
    """Return whether a program is a released Python of that minor; a version manager's shim may be none."""
    check = f"import sys; v = sys.version_info; sys.exit(v[:2] != (3, {minor}) or v.releaselevel != 'final')"
    try:
        return subprocess.run([program, "-c", check], capture_output=True, timeout=30, check=False).returncode == 0
    except (OSError, subprocess.TimeoutExpired):
        return False


def interpreters():
    """Find interpreters: on the path, and where pyenv and uv keep theirs.

    Returns:
        One for each minor that is there, the oldest minor first.
    """
    homes = (
        Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv") / "versions",
        Path(os.environ.get("UV_PYTHON_INSTALL_DIR") or Path.home() / ".local/share/uv/python"),
    )
    found = {}
    for minor in minors():
        name = f"python3.{minor}"
        on_path = [shutil.which(name, path=folder) for folder in os.get_exec_path()]
        kept = [path for home in homes for path in sorted(home.glob(f"*3.{minor}.*/bin/{name}"), reverse=True)]
        candidates = [Path(path) for path in on_path if path] + kept
        if sys.version_info[:2] == (3, minor):
            candidates.insert(0, Path(sys.executable))
        fitting = next((path for path in candidates if starts(path, minor)), None)
        if fitting is not None:
            found[minor] = fitting
    return found


def oldest_constraints(python):
    """Return a file with the oldest allowed version of everything that is required, by users and by their extras."""
    file = FOLDER / "oldest.txt"
    file.unlink(missing_ok=True)  # uv would prefer what is in it
    extras = [word for extra in packages.EXTRAS for word in ("--extra", extra)]
    wanted = ("--resolution", "lowest-direct", "--python", python, "--output-file", file)
    packages.uv("pip", "compile", "--quiet", "pyproject.toml", *extras, *wanted)
    return file


def made(name, python, *, is_oldest):
    """Make an environment, or take the one that was made since pyproject.toml was changed.

    Returns:
        Its interpreter.
    """
    folder = FOLDER / name
    stamp = folder / "made"
    if stamp.exists() and stamp.stat().st_mtime > (ROOT / "pyproject.toml").stat().st_mtime:
        return folder / "bin" / "python"
    ours = packages.new(folder, python)
    constraints = ("--constraint", oldest_constraints(python)) if is_oldest else ()
    packages.install(ours, "--editable", f"{ROOT}[test]", *constraints)
    stamp.touch()
    return ours


def passes(title, python):
    """Run the selection; what pytest says of it is shown.

    Returns:
        Whether all of it passed.
    """
    print(f"== {title}", flush=True)
    options = ["-q", "-p", "no:cacheprovider", "--hypothesis-profile=compat", "-n", str((os.cpu_count() or 1) + 1)]
    command = [python, "-m", "pytest", *options, "--dist", "worksteal", *CHOSEN, *sys.argv[1:]]
    foreign = ("COV", "PYTEST", "PYTHON", "VIRTUAL_ENV")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(foreign)}
    done = subprocess.run(command, cwd=ROOT, env=kept, stdout=subprocess.PIPE, text=True, check=False)
    lines = done.stdout.splitlines()
    print("\n".join(lines if done.returncode else lines[-1:]), flush=True)
    return done.returncode == 0


def main():
    """Run the selection in each environment.

    Returns:
        The exit code.
    """
    found = interpreters()
    ours = sys.version_info[1]
    if not found:
        print(f"no Python from 3.{minors()[0]} to 3.{minors()[-1]} found; 3.{ours} runs all tests", flush=True)
        return False
    runs = [("oldest", min(found), True)] + [(f"3.{minor}", minor, False) for minor in found if minor != ours]
    FOLDER.mkdir(exist_ok=True)
    print(f"Python {', '.join(f'3.{minor}' for minor in found)} found; 3.{ours} runs all tests", flush=True)
    all_pass = True
    for name, minor, is_oldest in runs:
        python = made(name, found[minor], is_oldest=is_oldest)
        all_pass &= passes(f"Python 3.{minor} with the {'oldest' if is_oldest else 'newest'} dependencies", python)
    return not all_pass


if __name__ == "__main__":
    try:
        sys.exit(main())
    except packages.UvError as error:
        sys.exit(str(error))
