"""Handle events in a process of its own: it follows the journal that a monitor writes, and needs neither URL nor token.

The monitor is `titan-state monitor --journal ADDRESS`, or a program with `Monitor(…, journal=ADDRESS)`.
"""

import argparse
import asyncio
import contextlib
import logging
import signal
import sys

from titan_state import (
    AnomalyDetected,
    AnomalyKind,
    Handlers,
    IllegalActionError,
    Subscriber,
    TitanStateError,
    Transitioned,
)


async def main(journal: str) -> None:
    """Follow a journal until a signal ends it; what is being handled then has ten seconds to come to its end."""
    handlers = Handlers()

    @handlers.on_finished(name="tell", since="beginning")  # a new name gets what is in the log already, too
    def tell(event: Transitioned) -> None:
        print(f"{event.execution_id} {event.dest} ({event.id})", flush=True)

    @handlers.on_anomaly(AnomalyKind.STUCK_QUEUED, name="give-up", retries=5)
    async def give_up(event: AnomalyDetected) -> None:
        # the monitor sends it, within its own request budget; to stop twice is refused before it is sent
        async with subscriber.monitor() as monitor:
            with contextlib.suppress(IllegalActionError):
                await monitor.stop(event.execution_id)
        print(f"{event.execution_id} was queued for too long: stopped", flush=True)

    subscriber = Subscriber(journal, handlers)
    running = asyncio.ensure_future(subscriber.run())
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, running.cancel)
    with contextlib.suppress(asyncio.CancelledError):
        await running


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("journal", help="sqlite:///path/of/journal.db, or nats://host:4222?account=NAME")
    arguments = parser.parse_args()
    logging.basicConfig(format="%(asctime)s %(levelname)s %(message)s")
    try:
        asyncio.run(main(arguments.journal))
    except TitanStateError as error:
        sys.exit(str(error))
