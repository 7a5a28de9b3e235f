"""`titan-state subscribe`: run a program for each event that a monitor writes into a journal.

How a program is run is in `titan_state.service.commands`; here it is put together from what the options say.
"""

from __future__ import annotations

import asyncio
import logging
import random
from datetime import UTC, datetime
from difflib import get_close_matches
from typing import TYPE_CHECKING, Final

import attrs

from titan_state.cli.completion import EVENTS
from titan_state.cli.journal import age_of, place
from titan_state.cli.service import hide
from titan_state.core.lifecycle import Lifecycle
from titan_state.errors import ConfigurationError, JournalUnavailableError, shorten
from titan_state.journal.base import BEGINNING, NOW
from titan_state.monitor.delivery.callbacks import Options
from titan_state.monitor.handlers import Handlers
from titan_state.monitor.subscriber import Subscriber
from titan_state.service.commands import AT_ONCE, command_handler
from titan_state.service.setbacks import setback

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

    from titan_state.cli.service import Logging
    from titan_state.core.events import Event
    from titan_state.journal.base import Since
    from titan_state.service.tokens import Veil

logger = logging.getLogger("titan_state.service")

STEADY_S: Final = 60.0
"""Whoever has followed a journal for so long begins anew to count failures."""


@attrs.frozen(kw_only=True)
class Subscribed:
    """What `titan-state subscribe` is to call, and for what.

    Attributes:
        command: The program and its arguments.
        events: For which events: statuses, `finished`, `transition`, `anomaly` and the like.
        name: The name of the subscription.
        since: Where it begins if it is new: `now`, `beginning`, an age, or a time.
        tasks: Only executions of these tasks.
        retries: How often a delivery that failed is tried again.
        backoff_s: Seconds before the first further attempt.
        timeout_s: Seconds that one run may take.
        at_once: How many run at the same time.
        url: The origin of the service, to find the journal in its usual place.
        account: Whose executions these are.
        journal: The address of the journal.
        drain_s: How many seconds runs have to come to their end when it ends.
    """

    command: tuple[str, ...]
    events: tuple[str, ...]
    name: str
    since: str | None = None
    tasks: tuple[str, ...] = ()
    retries: int | None = None
    backoff_s: float | None = None
    timeout_s: float | None = None
    at_once: int = AT_ONCE
    url: str | None = None
    account: str | None = None
    journal: str | None = attrs.field(default=None, repr=False)
    drain_s: float = 10.0

    def handlers(self) -> Handlers:
        """Return the one handler that is meant.

        Raises:
            ConfigurationError: Something in it cannot work.
        """
        asked = [one.strip().replace("-", "_") for text in self.events for one in text.split(",") if one.strip()]
        if not asked:
            raise ConfigurationError("say for which events: --on failed, --on finished, --on anomaly")
        callback = command_handler(self.command, timeout=self.timeout_s, at_once=self.at_once)
        handlers = Handlers(durable=True)
        for one in dict.fromkeys(asked):
            self._register(handlers, one, callback)
        return handlers

    def _register(self, handlers: Handlers, asked: str, callback: Callable[[Event], Awaitable[None]]) -> None:
        options = Options(name=self.name)
        if self.retries is not None:
            options["retries"] = self.retries
        if self.backoff_s is not None:
            options["backoff"] = self.backoff_s
        if self.tasks:
            options["task"] = self.tasks
        if self.since is not None:
            options["since"] = since_of(self.since)
        what, _, kind = asked.partition(":")
        kinds = (kind,) if kind else ()
        match what:
            case "finished":
                handlers.on_finished(callback, **options)
            case "transition":
                handlers.on_transition(callback, **options)
            case "results_ready":
                handlers.on_results_ready(callback, **options)
            case "anomaly":
                handlers.on_anomaly(callback, *kinds, **options)
            case "anomaly_cleared":
                handlers.on_anomaly_cleared(callback, *kinds, **options)
            case _ if Lifecycle.default().knows(asked):
                handlers.on_enter(asked)(callback, **options)
            case _:
                raise ConfigurationError(_unknown(asked))

    def where(self) -> str | Path:
        """Return where the journal is."""
        return place(self.journal, self.url, self.account)


def _unknown(asked: str) -> str:
    """Return what to say of an event that there is not."""
    known = [*Lifecycle.default().statuses, *EVENTS, "anomaly:KIND"]
    near = get_close_matches(asked.replace("_", "-").casefold(), known, 1)
    meant = f", did you mean {near[0]}?" if near else ";"
    return f"--on: there is no event {shorten(repr(asked), 80)}{meant} there are {', '.join(known)}"


async def subscribe(wish: Subscribed, log: Logging) -> int:
    """Run a program for each event until a signal ends it.

    Raises:
        ConfigurationError: Something is missing, or cannot work; the message says what to do.
        SubscriptionInUseError: Another program has the subscription open, in a journal where only one can.
    """
    return await log.around(lambda veil: _subscribe(wish, veil))


async def _subscribe(wish: Subscribed, veil: Veil) -> int:
    where = wish.where()
    hide(veil, where)
    handlers = wish.handlers()
    loop = asyncio.get_running_loop()
    failures = 0
    while True:
        subscriber = Subscriber(where, handlers, drain_s=wish.drain_s)
        begun = loop.time()
        logger.info("%s follows %s", shorten(wish.name), subscriber.journal.name)
        try:
            await subscriber.run()
        except JournalUnavailableError as error:
            failures = 1 if loop.time() - begun > STEADY_S else failures + 1
            delay_s = setback(error).delay_s(failures, random.Random())  # noqa: S311 - jitter, nothing secret
            logger.warning("the journal cannot be followed at present; next attempt in %.1f s: %s", delay_s, error)
            await asyncio.sleep(delay_s)


def since_of(text: str) -> Since:
    """Return where a subscription begins: `now`, `beginning`, an age such as `2h`, or a time as `2026-03-01T08:00Z`.

    Raises:
        ConfigurationError: It is none of these.
    """
    if text in (NOW, BEGINNING):
        return NOW if text == NOW else BEGINNING
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        try:
            return datetime.now(UTC) - age_of(text)
        except (ConfigurationError, OverflowError):
            raise ConfigurationError(
                f"{shorten(repr(text))} is no time: write now, beginning, an age as 2h or 30d, or 2026-03-01T08:00Z"
            ) from None
    return at.astimezone(UTC)
