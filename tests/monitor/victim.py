"""A program that watches everything until it is killed, and writes each call of a callback into a file.

Arguments: the journal, the file of calls. The address and the token of the service are in the environment.
"""

from __future__ import annotations

import asyncio
import os
import random
import sys

from titan_state import Handlers, Monitor, RequestBudget

JOURNAL, CALLS = sys.argv[1:]
handlers = Handlers()
calls = os.open(CALLS, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)


@handlers.on_transition(name="recorder")
async def record(event) -> None:
    """Write down the call, and return a little later: a kill may come in between."""
    os.write(calls, f"{os.getpid()} {event.execution_id} {event.seq} {event.source} {event.dest}\n".encode())
    await asyncio.sleep(random.random() * 0.02)


@handlers.on_completed(name="other")
def other(event) -> None:
    """Be another subscription of the same journal."""


async def main() -> None:
    budget = RequestBudget(per_minute=6000)
    async with Monitor.from_env(journal=f"sqlite:///{JOURNAL}", handlers=handlers, budget=budget) as monitor:
        monitor.watch_all()
        await asyncio.Event().wait()


asyncio.run(main())
