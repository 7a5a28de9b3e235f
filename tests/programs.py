"""Programs run as a user runs them: processes of their own, with only what they are given in their environment.

What a program must say is for the tests; what is here is how it is started, listened to and ended.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from pathlib import Path

import pytest


@contextmanager
def heeding_ctrl_c() -> Iterator[None]:
    """Let children heed SIGINT also where this test run, as one in the background, was told to ignore it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def environment(**more: str) -> dict[str, str]:
    """Return the environment of a user without an account, and what is named on top of it.

    The programs of the environment that runs the tests are found first.
    """
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("TITAN_", "NATS_"))}
    path = f"{Path(sys.executable).parent}{os.pathsep}{kept.get('PATH', os.defpath)}"
    return kept | {"PATH": path} | more


class Program:
    """A program that runs, in a process group of its own.

    Attributes:
        lines: What it has written to its standard output.
    """

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self.lines: list[str] = []

    @property
    def is_running(self) -> bool:
        """Whether it has not ended."""
        return self._process.returncode is None

    async def until(self, *wanted: str, seconds: float = 60) -> None:
        """Read lines until each of the wanted texts was in one of them."""
        met = await self.reach(
            lambda lines: all(any(text in line for line in lines) for text in wanted), seconds=seconds
        )
        assert met, f"it ended after {self.lines}: {await self._complaints()}"

    async def reach(self, condition: Callable[[list[str]], bool], *, seconds: float = 60) -> bool:
        """Read lines until they meet a condition; return whether they did before the end of the output.

        Raises:
            TimeoutError: Neither came within `seconds`.
        """
        async with asyncio.timeout(seconds):
            while not condition(self.lines):
                line = await self._process.stdout.readline()
                if not line:
                    return False
                self.lines.append(line.decode().rstrip("\n"))
        return True

    async def end(self, *, by: signal.Signals | None = None, seconds: float = 60) -> tuple[int, str]:
        """Wait until it has ended, by a signal if one is named; return its exit code and what it complained of."""
        if by is not None and self.is_running:
            os.killpg(self._process.pid, by)
        async with asyncio.timeout(seconds):
            out, err = await self._process.communicate()
        self.lines += out.decode().splitlines()
        return self._process.returncode, (err or b"").decode()

    async def kill(self) -> None:
        """End it and what it has started, if it still runs."""
        if self.is_running:
            os.killpg(self._process.pid, signal.SIGKILL)
        await self._process.communicate()

    async def _complaints(self) -> str:
        return "" if self._process.stderr is None else (await self._process.stderr.read()).decode()


@asynccontextmanager
async def running(
    *command: str | Path, env: dict[str, str], cwd: Path | None = None, merges: bool = False
) -> AsyncIterator[Program]:
    """Have a program run for the body; it is killed if it still runs at its end.

    Args:
        *command: The program and its arguments.
        env: Its environment.
        cwd: Where it is run.
        merges: Whether its complaints are among its lines, as on a terminal.
    """
    with heeding_ctrl_c():
        process = await asyncio.create_subprocess_exec(
            *(str(one) for one in command),
            env=env,
            cwd=cwd,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT if merges else asyncio.subprocess.PIPE,
            start_new_session=True,
            limit=2**22,
        )
    program = Program(process)
    try:
        yield program
    finally:
        await program.kill()


@pytest.fixture
async def start():
    """Start programs in Python, against a service if one is given; what still runs at the end is killed."""
    async with AsyncExitStack() as stack:

        async def call(program, *arguments, service=None):
            account = {} if service is None else {"TITAN_API_URL": service.url, "TITAN_TOKEN": service.token}
            return await stack.enter_async_context(
                running(sys.executable, program, *arguments, env=environment(**account))
            )

        yield call
