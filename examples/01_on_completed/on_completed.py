"""Call back once each time an execution enters `completed`, those to come included."""

import argparse
import asyncio
import contextlib
import sys

from titan_state import Handlers, Monitor, TitanStateError, Transitioned

handlers = Handlers()


@handlers.on_completed
async def export(event: Transitioned) -> None:
    """Start whatever comes after success; `event.id` stays the same if this delivery is repeated."""
    print(f"{event.at:%H:%M:%S}  completed  {event.execution_id}  ({event.id})", flush=True)


@handlers.on_failed
def tell(event: Transitioned) -> None:
    """A plain function does as well: it runs in a thread and never blocks the monitor."""
    print(f"{event.at:%H:%M:%S}  failed     {event.execution_id}  check first: {event.check_first}", flush=True)


async def main(task_id: str | None) -> None:
    """Watch one task, or everything, until interrupted."""
    async with Monitor.from_env(handlers=handlers) as monitor:
        if task_id is None:
            monitor.watch_all()
        else:
            monitor.watch_task(task_id)
        await asyncio.Event().wait()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("task", nargs="?", help="the id of a task whose executions are watched; all, if left out")
    arguments = parser.parse_args()
    with contextlib.suppress(KeyboardInterrupt):
        try:
            asyncio.run(main(arguments.task))
        except TitanStateError as error:
            sys.exit(str(error))
