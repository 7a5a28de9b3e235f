"""Export every execution that succeeds, once, also over restarts and crashes.

Run it with TITAN_API_URL and TITAN_TOKEN set: `python export_completed.py DIRECTORY [TASK]`. What happens is written
into a journal in the directory, so that a further run goes on where this one was. Ctrl-C ends it.
"""

import asyncio
import contextlib
import sys
from pathlib import Path

from titan_state import AnomalyDetected, AnomalyKind, Monitor, ResultsReady


async def main(place: Path, task: str | None) -> None:
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

        if task is None:
            monitor.watch_all()
        else:
            monitor.watch_task(task)
        await asyncio.Event().wait()


if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    directory = Path(sys.argv[1])
    directory.mkdir(parents=True, exist_ok=True)
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(main(directory, sys.argv[2] if len(sys.argv) > 2 else None))
