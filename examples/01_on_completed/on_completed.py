"""Call back once each time an execution enters `completed`, those to come included.

Run it with TITAN_API_URL and TITAN_TOKEN set; a task's id as argument watches just that task. Ctrl-C ends it; nothing
on the platform is stopped by that.
"""

import asyncio
import contextlib
import sys

from titan_state import Handlers, Monitor, Transitioned

handlers = Handlers()


@handlers.on_completed
async def export(event: Transitioned) -> None:
    """Start whatever comes after success; `event.id` stays the same if this delivery is repeated."""
    print(f"{event.at:%H:%M:%S}  completed  {event.execution_id}  ({event.id})", flush=True)


@handlers.on_failed
def tell(event: Transitioned) -> None:
    """A plain function does as well: it runs in a thread and never blocks the monitor."""
    print(f"{event.at:%H:%M:%S}  failed     {event.execution_id}  check first: {event.check_first}", flush=True)


async def main() -> None:
    """Watch one task, or everything, until interrupted."""
    async with Monitor.from_env(handlers=handlers) as monitor:
        if len(sys.argv) > 1:
            monitor.watch_task(sys.argv[1])
        else:
            monitor.watch_all()
        await asyncio.Event().wait()


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(main())
