"""A program that exports everything that succeeds until it is killed, and writes each new file into a list.

Arguments: the journal, the directory of exports, the list. The address and the token of the service are in the
environment.
"""

from __future__ import annotations

import asyncio
import os
import sys

from titan_state import Handlers, Monitor, RequestBudget

JOURNAL, PLACE, LIST = sys.argv[1:]
handlers = Handlers()
listed = os.open(LIST, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)


async def main() -> None:
    budget = RequestBudget(per_minute=12_000)
    async with Monitor.from_env(journal=f"sqlite:///{JOURNAL}", handlers=handlers, budget=budget) as monitor:

        @monitor.on_results_ready(name="export", retries=20, backoff=0.1)
        async def export(event) -> None:
            form = "csv" if event.execution_id.endswith("7") else "json"
            outputs = monitor.outputs(event.execution_id)
            saved = await outputs.export(
                f"{PLACE}/{event.execution_id}.{form}", format=form, if_exists="skip", retries=10
            )
            os.write(listed, f"{event.execution_id} {'new' if saved.is_new else 'old'}\n".encode())

        monitor.watch_all()
        await asyncio.Event().wait()


asyncio.run(main())
