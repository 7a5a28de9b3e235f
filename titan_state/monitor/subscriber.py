"""Subscriber: callbacks in a program of their own, of what a monitor writes into a journal."""

from __future__ import annotations

import asyncio
import logging
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Final

from titan_state.clock import Clock, SystemClock
from titan_state.core.lifecycle import Lifecycle
from titan_state.core.redaction import redacted
from titan_state.errors import ConfigurationError, JournalUnavailableError, MonitorClosedError
from titan_state.journal.address import journal_of
from titan_state.monitor.delivery.dispatcher import DeliveryCounts, Dispatcher
from titan_state.monitor.figures import DeliveryFigures
from titan_state.monitor.handlers import Handlers
from titan_state.monitor.local import leading_monitor

if TYPE_CHECKING:
    import os
    from collections.abc import AsyncIterator

    from titan_state.instrumentation import Telemetry
    from titan_state.journal.base import Journal
    from titan_state.monitor.local import LocalMonitor

logger = logging.getLogger("titan_state.monitor")

POLL_S: Final = 0.1
"""How often the journal is asked for news."""

DRAIN_S: Final = 10.0
"""How long ending waits for open deliveries."""


class Subscriber:
    """Calls handlers for what a monitor, in another program, writes into a journal.

    ```python
    handlers = Handlers()


    @handlers.on_failed(name="shop.alert")  # the name under which the journal finds it again
    async def alert(event): ...


    await Subscriber("sqlite:////var/lib/shop/titan.db", handlers).run()
    ```

    The handlers are those that a monitor takes, with the same promises: named subscriptions, at least once, in order
    for each execution, further attempts, dead letters. It sends no requests itself and needs neither URL nor token; its
    callbacks may ask the monitor (`monitor`). Several may follow one journal, with handlers of different names; while
    none of them runs, what is for them waits in the journal. In a journal that is shared, as in NATS, handlers of the
    same name in several programs, on any machines, share the deliveries, still in order for each execution.

    Attributes:
        journal: The journal.
        deliveries: What became of deliveries to handlers.
    """

    def __init__(
        self,
        journal: str | os.PathLike[str] | Journal,
        handlers: Handlers,
        *,
        lifecycle: Lifecycle | None = None,
        clock: Clock | None = None,
        drain_s: float = DRAIN_S,
        telemetry: Telemetry | None = None,
    ) -> None:
        """Make a subscriber that does not run yet.

        Args:
            journal: Where the monitor writes: `sqlite:///path`, a `Path`, `nats://host:4222?account=NAME`, or a
                `Journal`.
            handlers: Who is called.
            lifecycle: The model of the monitor, the documented one by default.
            clock: The time, the machine's own by default.
            drain_s: How many seconds ending waits for open deliveries.
            telemetry: What measures, an `OpenTelemetry` of `titan_state.telemetry`; by default nothing is measured.

        Raises:
            ConfigurationError: The journal cannot be followed, there is no handler, or one cannot work: it has no name
                that lasts, or it is for a status that the model does not have.
        """
        self._clock = clock or SystemClock()
        self.journal: Journal = journal_of(journal, self._clock)
        if not self.journal.is_durable:
            raise ConfigurationError("a Subscriber follows a journal that lasts: name the one that the monitor writes")
        model = lifecycle or Lifecycle.default()
        self._handlers = Handlers(handlers, durable=True)
        self._handlers.check(model.statuses)
        if not len(self._handlers):
            raise ConfigurationError("a Subscriber without handlers does nothing: register a callback first")
        self._drain_s = drain_s
        self._failed: asyncio.Future[None] | None = None
        account = getattr(self.journal, "account", None) or self.journal.name
        self._measures = None if telemetry is None else telemetry.instrument(account, redacted)
        self._dispatcher = Dispatcher(
            self._handlers,
            model.terminal,
            self._clock,
            self.journal,
            failed=self._fail,
            clean=redacted,
            instrumentation=self._measures,
        )
        self._figures = DeliveryFigures(self._dispatcher, self.journal, self._clock)
        self.deliveries: DeliveryCounts = self._dispatcher.counts

    def __repr__(self) -> str:
        return f"<Subscriber of {self.journal.name}>"

    async def run(self) -> None:
        """Call the handlers until cancelled. Then open deliveries have `drain_s` seconds to come to their end.

        Raises:
            SubscriptionInUseError: Another program has a subscription of one of these names open.
            JournalError: The journal cannot be used; the message says what to do.
            ConfigurationError: It runs already, or has run.
        """
        if self._dispatcher.has_begun or (self._failed is not None and not self._failed.done()):
            raise ConfigurationError("a Subscriber runs once: make another one")
        self._failed = asyncio.get_running_loop().create_future()
        try:
            await self.journal.open()
            try:
                await self._deliver(self._failed)
            finally:
                await self.journal.close()
        finally:
            self._failed.cancel()

    async def _deliver(self, failed: asyncio.Future[None]) -> None:
        """Deliver until cancelled, or until something fails for good; then what is open."""
        self._dispatcher.begin()
        work: list[asyncio.Future[None]] = [failed, asyncio.ensure_future(self._follow())]
        if self._measures is not None:
            self._measures.show(self._figures.read)
            work.append(asyncio.ensure_future(self._figures.follow()))
        try:
            await asyncio.wait(work, return_when=asyncio.FIRST_COMPLETED)
            for one in work:
                if one.done():
                    one.result()
        finally:
            for one in work[1:]:
                one.cancel()
            await asyncio.gather(*work[1:], return_exceptions=True)
            try:
                await self._dispatcher.close(self._drain_s)
            finally:
                if self._measures is not None:
                    self._measures.leave()

    @asynccontextmanager
    async def monitor(self) -> AsyncIterator[LocalMonitor]:
        """Ask the monitor that writes the journal: it checks, acts, runs and lists, within its own budget.

        ```python
        async with subscriber.monitor() as monitor:
            await monitor.stop(event.execution_id)
        ```

        Yields:
            The monitor.

        Raises:
            MonitorClosedError: None runs, or it cannot be asked: on another machine only where the journal is shared.
        """
        async with leading_monitor(self.journal) as found:
            if found is None:
                raise MonitorClosedError(f"no monitor that writes {self.journal.name} can be asked: start one")
            yield found

    async def _follow(self) -> None:
        while True:
            try:
                if await self.journal.poll():
                    self._dispatcher.notify()
            except JournalUnavailableError as error:
                logger.debug("the journal could not be asked for news: %s", error)
            await self._clock.sleep(POLL_S)

    def _fail(self, error: Exception) -> None:
        if self._failed is not None and not self._failed.done():
            self._failed.set_exception(error)
