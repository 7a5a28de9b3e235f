"""Tell somebody when something is wrong, once, and again when it is over.

Run it with TITAN_API_URL and TITAN_TOKEN set. Replace `send` by your chat, pager or mail.
"""

import asyncio
import contextlib

from titan_state import AnomalyCleared, AnomalyDetected, AnomalyKind, Handlers, Monitor, Thresholds

handlers = Handlers()


def send(text: str) -> None:
    """Stand in for a message to people."""
    print(text, flush=True)


@handlers.on_anomaly
def alert(event: AnomalyDetected) -> None:
    """Raised once for each anomaly, not at every look."""
    who = event.execution_id or "the monitor itself"
    send(f"{event.severity}: {event.kind} of {who}: {event.message}. Check first: {event.check_first}.")


@handlers.on_anomaly_cleared
def all_clear(event: AnomalyCleared) -> None:
    """An anomaly that can end says so when it does."""
    send(f"over: {event.kind} of {event.execution_id or 'the monitor itself'}: {event.message}.")


@handlers.on_anomaly(AnomalyKind.LEFT_TERMINAL, retries=5, backoff=2.0)
async def page(event: AnomalyDetected) -> None:
    """Only for finished executions that run again, and tried five times more if it fails."""
    send(f"PAGE: {event.execution_id} runs again after it had finished")


async def main() -> None:
    """Watch everything; an execution may be queued for ten minutes, and run for a day."""
    thresholds = Thresholds(stuck_queued_s=600, stuck_running_s=86_400)
    async with Monitor.from_env(handlers=handlers, thresholds=thresholds) as monitor:
        monitor.watch_all()
        await asyncio.Event().wait()


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(main())
