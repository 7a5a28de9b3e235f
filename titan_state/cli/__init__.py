"""The command line `titan-state`: an entry point that imports little, so that help and mistakes answer at once.

What commands there are is in `app.py`; each command's work is in a module of its own, imported when it is called.
"""

from __future__ import annotations

import os
import sys
from importlib.util import find_spec
from io import TextIOWrapper

from titan_state.cli.exits import Exit


def main() -> None:
    """Run the command line and exit."""
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:  # whoever started it has closed it: what would be written there goes nowhere
            setattr(sys, name, os.fdopen(os.open(os.devnull, os.O_WRONLY), "w", encoding="utf-8"))
    missing = [name for name in ("platformdirs", "rich", "typer") if find_spec(name) is None]
    if missing:
        sys.stderr.write(
            f"titan-state: error: the command line needs {', '.join(missing)}: pip install 'titan-state[cli]'\n"
        )
        raise SystemExit(int(Exit.USAGE))
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):  # a terminal that cannot show a character must not end the program
            stream.reconfigure(errors="backslashreplace")
    try:
        from titan_state.cli.app import app

        app(prog_name="titan-state")
    except KeyboardInterrupt:  # before the command could listen
        raise SystemExit(int(Exit.INTERRUPTED)) from None
