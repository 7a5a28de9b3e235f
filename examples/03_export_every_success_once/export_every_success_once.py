"""Export every execution that succeeds, once, also over restarts and crashes.

What happens is written into a journal in the directory, so that a further run goes on where this one was.
"""

import argparse
import asyncio
import contextlib
import sys
from pathlib import Path

from titan_state import AnomalyDetected, AnomalyKind, Monitor, ResultsReady, TitanStateError


async def main(place: Path, task_id: str | None) -> None:
    """Watch one task, or everything, until interrupted."""
    async with Monitor.from_env(journal=place / "journal.db") as monitor:

        @monitor.on_results_ready(name="export", retries=10, backoff=5)
        async def export(event: ResultsReady) -> None:
            # acknowledged when this returns: after a crash it is called again, and a file that is whole is left alone
            saved = await monitor.outputs(event.execution_id).export(place, if_exists="skip")
            print(f"{event.execution_id}: {saved.path.name}, {saved.size} bytes", flush=True)

        @monitor.on_anomaly(AnomalyKind.RESULTS_OVERDUE, name="late")
        def late(event: AnomalyDetected) -> None:
            print(f"{event.execution_id}: {event.message} - check first: {event.check_first}", flush=True)

        if task_id is None:
            monitor.watch_all()
        else:
            monitor.watch_task(task_id)
        await asyncio.Event().wait()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("directory", type=Path, help="where the exports and the journal are put")
    parser.add_argument("task", nargs="?", help="the id of a task whose executions are exported; all, if left out")
    arguments = parser.parse_args()
    with contextlib.suppress(KeyboardInterrupt):
        try:
            arguments.directory.mkdir(parents=True, exist_ok=True)
            asyncio.run(main(arguments.directory, arguments.task))
        except (TitanStateError, OSError) as error:
            sys.exit(str(error))
