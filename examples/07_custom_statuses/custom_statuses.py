"""Watch a deployment that assigns an execution to a worker before it runs, and takes its time to pause it."""

import argparse
import asyncio
import contextlib
import sys

from titan_state import (
    Action,
    AnomalyDetected,
    AnomalyKind,
    Handlers,
    Lifecycle,
    Monitor,
    Move,
    TitanStateError,
    Transitioned,
)

LIFECYCLE = Lifecycle.default().extend(
    statuses=["assigned", "pausing"],
    moves=[
        Move("assign", "queued", "assigned"),
        Move("begin", "assigned", "running"),
        Move("fail", "assigned", "failed"),
        Move("stop", "assigned", "cancelled", Action.STOP),
        Move("pause", "running", "pausing", Action.PAUSE),
        Move("settle", "pausing", "paused"),
        Move("fail", "pausing", "failed"),
        Move("stop", "pausing", "cancelled", Action.STOP),
    ],
    without=["pause"],  # the default's, which leads to paused at once
)
handlers = Handlers()


@handlers.on_enter("assigned")
@handlers.on_exit("assigned")
def tell(event: Transitioned) -> None:
    """Both ways are one handler: a move from one status to another is told once."""
    how = "inferred" if event.inferred else event.cause
    print(f"{event.execution_id}: {event.source} -> {event.dest} ({event.move}, {how})", flush=True)


@handlers.on_anomaly(AnomalyKind.UNKNOWN_STATUS, AnomalyKind.ILLEGAL_MOVE)
def incomplete(event: AnomalyDetected) -> None:
    """What the model does not know is told, never guessed: it is time to extend it."""
    print(f"{event.execution_id}: {event.message}", flush=True)


async def main() -> None:
    """Watch everything by the extended model, until interrupted."""
    async with Monitor.from_env(handlers=handlers, lifecycle=LIFECYCLE) as monitor:
        monitor.watch_all()
        await asyncio.Event().wait()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--diagram", action="store_true", help="print the model, in Mermaid's notation, and end")
    if parser.parse_args().diagram:
        sys.exit(print(LIFECYCLE.diagram()))
    with contextlib.suppress(KeyboardInterrupt):
        try:
            asyncio.run(main())
        except TitanStateError as error:
            sys.exit(str(error))
