"""The command line `titan-state`: an entry point that imports little, so that help and mistakes answer at once.

What commands there are is in `app.py`; each command's work is in a module of its own, imported when it is called.
"""

from __future__ import annotations

import sys
from importlib.util import find_spec
from io import TextIOWrapper


def main() -> None:
    """Run the command line and exit."""
    missing = [name for name in ("platformdirs", "rich", "typer") if find_spec(name) is None]
    if missing:
        sys.stderr.write(
            f"titan-state: error: the command line needs {', '.join(missing)}: pip install 'titan-state[cli]'\n"
        )
        raise SystemExit(1)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):  # a terminal that cannot show a character must not end the program
            stream.reconfigure(errors="backslashreplace")
    from titan_state.cli.app import app

    app(prog_name="titan-state")
