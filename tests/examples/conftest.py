"""Programs run as a user runs them: processes of their own, with the two variables in their environment."""

from __future__ import annotations

import asyncio
import os
import signal
import sys

import pytest


class Program:
    """A program that runs."""

    def __init__(self, process):
        self._process = process
        self.lines: list[str] = []

    async def until(self, *wanted, seconds=60):
        """Read lines until each of the wanted texts was in one of them."""
        async with asyncio.timeout(seconds):
            while not all(any(text in line for line in self.lines) for text in wanted):
                line = await self._process.stdout.readline()
                assert line, f"it ended after {self.lines}: {await self._process.stderr.read()}"
                self.lines.append(line.decode().rstrip("\n"))

    async def end(self, *, by=None, seconds=60):
        """Wait until it has ended, by a signal if one is named; return its exit code and what it complained of."""
        if by is not None:
            self._process.send_signal(by)
        async with asyncio.timeout(seconds):
            out, err = await self._process.communicate()
        self.lines += out.decode().splitlines()
        return self._process.returncode, err.decode()


@pytest.fixture
async def start():
    """Start programs against a service; what still runs at the end is killed."""
    started = []

    async def call(program, *arguments, service=None):
        env = {name: value for name, value in os.environ.items() if not name.startswith("TITAN_")}
        if service is not None:
            env |= {"TITAN_API_URL": service.url, "TITAN_TOKEN": service.token}
        # a test run in the background may have been told to ignore Ctrl-C, and children inherit that
        before = signal.signal(signal.SIGINT, signal.default_int_handler)
        try:
            process = await asyncio.create_subprocess_exec(
                sys.executable,
                str(program),
                *arguments,
                env=env,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
            )
        finally:
            signal.signal(signal.SIGINT, before)
        started.append(process)
        return Program(process)

    yield call
    for process in started:
        if process.returncode is None:
            process.kill()
            await process.communicate()
