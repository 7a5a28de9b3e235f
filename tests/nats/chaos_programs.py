"""The programs of the chaos test, and what is done to them. None outlives the test, however that ends."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import attrs
from chaos_checks import Call, TakeOver
from servers import die_with_parent, halt

HERE = Path(__file__).parent
ROOT = HERE.parent.parent

PATIENCE_S = 75.0
"""How long something may take that comes by itself: longer than a delivery stays with a program that was killed."""


async def until(condition: Callable[[], object], what: Callable[[], object], seconds: float = PATIENCE_S) -> None:
    """Return when a condition holds."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"not within {seconds:g} s: {what()}"
        await asyncio.sleep(0.05)


class Program:
    """One program, in one life after the other.

    Attributes:
        name: What it is called.
        is_struck: Whether it was killed, and not started again.
    """

    is_struck = False

    def __init__(self, name: str, script: str, arguments: list[object], place: Path, env: Mapping[str, str]) -> None:
        self.name = name
        self._command = [sys.executable, HERE / script, *map(str, arguments)]
        self._env = os.environ | {"PYTHONPATH": str(ROOT)} | env
        self._errors = place / f"{name}.log"
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        """The number of its process."""
        assert self._process is not None
        return self._process.pid

    @property
    def is_running(self) -> bool:
        """Whether it has not ended."""
        return self._process is not None and self._process.poll() is None

    def said(self) -> str:
        """Return the end of what it logged."""
        return self._errors.read_text(errors="replace")[-3000:] if self._errors.exists() else ""

    def launch(self) -> None:
        """Start it."""
        self.is_struck = False
        with self._errors.open("ab") as errors:
            self._process = subprocess.Popen(
                self._command,
                env=self._env,
                stdin=subprocess.DEVNULL,
                stdout=errors,
                stderr=errors,
                preexec_fn=die_with_parent,
            )

    def kill(self) -> None:
        """End it as a crash does, also while it is stopped."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def strike(self) -> None:
        """Kill it; it must not have ended by itself."""
        self.check()
        self.is_struck = True
        self.kill()

    def check(self) -> None:
        """It runs, unless it was killed."""
        assert self.is_struck or self.is_running, f"{self.name} has ended by itself: {self.said()}"

    def stop(self) -> None:
        """Have it stand still (SIGSTOP)."""
        self.check()
        halt(self.pid)

    def resume(self) -> None:
        """Have it go on."""
        os.kill(self.pid, signal.SIGCONT)


@attrs.frozen
class Told:
    """What the programs have told so far: which calls began, and which did their work, each in this order."""

    calls: list[Call]
    done: list[Call]
    takeovers: list[TakeOver]
    lost: int

    @property
    def leader(self) -> int | None:
        """The process that began to lead last."""
        return self.takeovers[-1].pid if self.takeovers else None

    def is_busy(self, pid: int) -> bool:
        """Return whether a process is in the middle of a call, or waits for another attempt."""
        begun = {call for call in self.calls if call.pid == pid}
        return bool(begun - set(self.done))


class Ear:
    """Reads what programs tell, from where it left off."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self._at = 0
        self._rest = b""
        self._told = Told([], [], [], 0)

    def told(self) -> Told:
        """Return everything that was told so far."""
        if self.file.exists():
            with self.file.open("rb") as file:
                file.seek(self._at)
                new = file.read()
            self._at += len(new)
            *lines, self._rest = (self._rest + new).split(b"\n")
            for line in lines:
                self._take(json.loads(line))
        return self._told

    def _take(self, one: dict) -> None:
        kind, at, pid = one.pop("kind"), one.pop("at"), one.pop("pid")
        if kind in ("call", "done"):
            (self._told.calls if kind == "call" else self._told.done).append(Call(pid, **one))
        elif kind == "lead":
            self._told.takeovers.append(TakeOver(at, pid, one["page"]))
        else:
            self._told = attrs.evolve(self._told, lost=self._told.lost + 1)
