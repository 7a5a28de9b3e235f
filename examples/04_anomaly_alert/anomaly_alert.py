"""Tell a chat when something is wrong, once, and again when it is over.

The messages go to the webhook that ALERT_WEBHOOK_URL names, as JSON with a `text`: what Slack, Mattermost and many
others take.
"""

import argparse
import asyncio
import contextlib
import os
import sys

import aiohttp

from titan_state import (
    AnomalyCleared,
    AnomalyDetected,
    Monitor,
    PermanentError,
    TemporaryError,
    Thresholds,
    TitanStateError,
)


class Webhook:
    """A place that takes messages. Its URL is a secret: it is in no message of an error."""

    def __init__(self, session: aiohttp.ClientSession, url: str) -> None:
        """Make it from a session and the URL."""
        self._session = session
        self._url = url

    async def send(self, text: str) -> None:
        """Send one message, or say whether it is worth another attempt."""
        try:
            async with self._session.post(self._url, json={"text": text}, allow_redirects=False) as answer:
                status, wait = answer.status, answer.headers.get("Retry-After", "")
        except (aiohttp.ClientError, TimeoutError) as error:
            raise TemporaryError(f"the webhook could not be reached ({type(error).__name__})") from None
        if status == 429 or status >= 500:
            raise TemporaryError(f"the webhook answered {status}", delay=int(wait) if wait.isdecimal() else None)
        if status >= 300:
            raise PermanentError(f"the webhook answered {status}")


async def main(url: str, thresholds: Thresholds) -> None:
    """Watch everything until interrupted."""
    timeout = aiohttp.ClientTimeout(total=10)
    async with aiohttp.ClientSession(timeout=timeout) as session, Monitor.from_env(thresholds=thresholds) as monitor:
        webhook = Webhook(session, url)

        @monitor.on_anomaly(retries=8)
        async def alert(event: AnomalyDetected) -> None:  # once for each anomaly, not at every look
            who = event.execution_id or "the monitor itself"
            await webhook.send(f"{event.severity}: {event.message} ({event.kind} of {who}). Check {event.check_first}.")

        @monitor.on_anomaly_cleared(retries=8)
        async def all_clear(event: AnomalyCleared) -> None:  # an anomaly that can end says so when it does
            who = event.execution_id or "the monitor itself"
            await webhook.send(f"over: {event.message} ({event.kind} of {who}, since {event.since:%H:%M:%S} UTC)")

        monitor.watch_all()
        print("watching", flush=True)
        await asyncio.Event().wait()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--queued", type=float, default=600, metavar="S", help="seconds it may be queued (%(default)s)")
    parser.add_argument("--running", type=float, metavar="S", help="seconds it may run; as long as it takes by default")
    arguments = parser.parse_args()
    address = os.environ.get("ALERT_WEBHOOK_URL")
    if not address:
        sys.exit("set the environment variable ALERT_WEBHOOK_URL")
    with contextlib.suppress(KeyboardInterrupt):
        try:
            limits = Thresholds(stuck_queued_s=arguments.queued, stuck_running_s=arguments.running)
            asyncio.run(main(address, limits))
        except TitanStateError as error:
            sys.exit(str(error))
