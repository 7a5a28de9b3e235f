"""Pages of metrics as Prometheus reads them, of real processes, and what queries name."""

from __future__ import annotations

import asyncio
import os
import re
import sys

import aiohttp
from prometheus_client.parser import text_string_to_metric_families
from tokens import TOKEN

COMMAND = """
from titan_state.cli import main
from titan_state.monitor import figures

figures.LOOK_S = 0.2
main()
"""
"""The command as it is installed, but that it asks its journal more often than tests would wait."""

PROGRAM = """
import asyncio, sys
from titan_state import Handlers
from titan_state.service.accounts import Account
from titan_state.service.service import Service
from titan_state.telemetry import MetricsPage, OpenTelemetry

handlers, page = Handlers(), MetricsPage()

@handlers.on_transition(name="works")
async def works(event): ...

@handlers.on_failed(name="fails", retries=1, backoff=0.1)
def fails(event):
    raise ValueError("no")

async def main():
    account = Account(url=sys.argv[1], token=sys.argv[2], name="callbacks")
    telemetry = OpenTelemetry(meter_provider=page.meter_provider)
    service = Service(
        [account], sys.argv[3], listen=("127.0.0.1", 0), handlers=handlers, telemetry=telemetry, metrics=page
    )
    running = asyncio.create_task(service.run())
    while not service.probes.port:
        await asyncio.sleep(0.01)
    print("answered at", service.probes.url, flush=True)
    await running

asyncio.run(main())
"""


class Process:
    """A process that tells where its probes are answered."""

    def __init__(self, *arguments, environ=None):
        self._arguments = arguments
        self._environ = {**os.environ, **(environ or {})}
        self.lines = []

    async def __aenter__(self):
        pipe = asyncio.subprocess.PIPE
        self.process = await asyncio.create_subprocess_exec(
            sys.executable, *self._arguments, env=self._environ, stdout=pipe, stderr=asyncio.subprocess.STDOUT
        )
        while (found := re.search(r"answered at (http://[\w.:]+)", "".join(self.lines))) is None:
            line = (await asyncio.wait_for(self.process.stdout.readline(), 30)).decode()
            assert line, self.lines
            self.lines.append(line)
        self.url = found[1]
        self._reader = asyncio.create_task(self._read())
        return self

    async def _read(self):
        async for line in self.process.stdout:
            self.lines.append(line.decode())

    async def __aexit__(self, *_):
        if self.process.returncode is None:
            self.process.terminate()
        await asyncio.wait_for(self.process.wait(), 30)
        await self._reader

    async def get(self, path="/metrics", **headers):
        """Return an answer: its status, its headers and its text."""
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        async with (
            aiohttp.ClientSession() as session,
            session.get(self.url + path, headers=sent, auto_decompress=True) as answer,
        ):
            return answer.status, answer.headers, await answer.text()

    async def samples(self):
        """Return the samples of its page, as Prometheus' own parser reads them: names, each with its labels."""
        _, _, text = await self.get()
        return samples_of(text)


def monitor_of(service, journal, *options):
    """Return a process of `titan-state monitor`, not started yet."""
    arguments = ("monitor", "--listen", "127.0.0.1:0", "--journal", str(journal), *options)
    return Process("-c", COMMAND, *arguments, environ={"TITAN_API_URL": service.url, "TITAN_TOKEN": TOKEN})


def program_of(service, journal):
    """Return a program with callbacks that is measured itself, not started yet."""
    return Process("-c", PROGRAM, service.url, TOKEN, str(journal))


def samples_of(text):
    """Return the samples of a page by name, each as its labels and its value."""
    found = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            found.setdefault(sample.name, []).append((sample.labels, sample.value))
    return found


FUNCTIONS = {"sum", "max", "min", "rate", "increase", "histogram_quantile", "absent", "by", "label_values"}
SCRAPED = {"instance", "job"}
"""Labels that Prometheus adds to all that it scrapes."""


def named_in(expression):
    """Return what a query names: its metrics, each with the labels that select, and the labels it groups by.

    Every selector has braces, so that whatever else is a word is a function, and known.
    """
    selectors = re.findall(r"([a-z_]\w*)\{([^}]*)\}", expression)
    metrics = {}
    for name, matchers in selectors:
        labels = re.findall(r'(\w+)\s*(?:=~|!~|!=|=)\s*"[^"]*"', matchers)
        assert re.sub(r'\w+\s*(?:=~|!~|!=|=)\s*"[^"]*"|[,\s]', "", matchers) == ""
        metrics.setdefault(name, set()).update(labels)
    rest = re.sub(r"[a-z_]\w*\{[^}]*\}", "", expression)
    grouped = {label for group in re.findall(r"by \(([^)]*)\)", rest) for label in re.split(r",\s*", group)}
    rest = re.sub(r"by \([^)]*\)|\[[^\]]*\]", "", rest)
    assert set(re.findall(r"[A-Za-z_]\w*", rest)) <= FUNCTIONS, rest
    return metrics, grouped
