"""A program that watches everything with a limit on the size of its files, until SIGUSR1 lifts it.

Arguments: the journal, the file of calls, the limit in bytes. The address and the token are in the environment.
"""

from __future__ import annotations

import asyncio
import os
import resource
import signal
import sys

from titan_state import Handlers, Monitor, RequestBudget

JOURNAL, CALLS, LIMIT = sys.argv[1:]
handlers = Handlers()
calls = os.open(CALLS, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)


@handlers.on_transition(name="recorder")
async def record(event) -> None:
    """Write down the call."""
    os.write(calls, f"{event.id} {event.dest}\n".encode())


async def main() -> None:
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)  # as Python does by itself: the write fails instead
    budget = RequestBudget(per_minute=6000)
    _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGUSR1, resource.setrlimit, resource.RLIMIT_FSIZE, (hard, hard))
    async with Monitor.from_env(journal=f"sqlite:///{JOURNAL}", handlers=handlers, budget=budget) as monitor:
        resource.setrlimit(resource.RLIMIT_FSIZE, (int(LIMIT), hard))
        monitor.watch_all()
        await asyncio.Event().wait()


asyncio.run(main())
