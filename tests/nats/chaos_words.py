"""What the programs of the chaos test write down: one JSON object a line, appended to one file by all of them.

An appended line is written whole and at its place: the order of the lines is the order in which things happened on this
machine, whichever program they happened in. The monotonic clock is the same for all of them, too.
"""

from __future__ import annotations

import json
import os
import time
from pathlib import Path


class Words:
    """A file that several programs append to."""

    def __init__(self, path: str | Path) -> None:
        self._file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)

    def tell(self, kind: str, **what: object) -> None:
        """Append one line."""
        line = json.dumps({"kind": kind, "at": time.monotonic(), "pid": os.getpid(), **what})
        os.write(self._file, f"{line}\n".encode())

    def call(self, handler: str, event) -> None:
        """Append that the call of a callback has begun."""
        self._about("call", handler, event)

    def done(self, handler: str, event) -> None:
        """Append that a callback has done its work, and is about to return."""
        self._about("done", handler, event)

    def _about(self, kind: str, handler: str, event) -> None:
        self.tell(kind, handler=handler, name=event.execution_id, seq=event.seq, source=event.source, dest=event.dest)
