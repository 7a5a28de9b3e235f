"""Figures: the numbers that a monitor or a subscriber shows of itself, read when somebody asks for them.

They are counted where things happen; here they are put together. Nothing is decided by them.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final, NoReturn

from titan_state.core.anomalies import RULES, AnomalyKind
from titan_state.instrumentation import Figure
from titan_state.monitor.health import health_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from datetime import datetime

    from titan_state.client.service import TaskService
    from titan_state.clock import Clock
    from titan_state.core.planner import Planner
    from titan_state.core.tracker import Tracker
    from titan_state.journal.base import Journal, SubscriptionState
    from titan_state.monitor.delivery.dispatcher import Dispatcher
    from titan_state.monitor.ledger import Ledger

logger = logging.getLogger("titan_state.monitor")

LOOK_S: Final = 15.0
"""How often the journal is asked how far its subscriptions have come."""

SHARE: Final = 0.01
"""Which part of the time asking may take at most: to count what waits takes long in a journal where much does."""


class DeliveryFigures:
    """The numbers of deliveries: those to handlers here, and how far all subscriptions of a journal have come."""

    def __init__(self, dispatcher: Dispatcher, journal: Journal, clock: Clock) -> None:
        """Make what reads them.

        Args:
            dispatcher: Calls the handlers.
            journal: Has the subscriptions.
            clock: The time.
        """
        self._dispatcher = dispatcher
        self._journal = journal
        self._clock = clock
        self._subscriptions: Sequence[SubscriptionState] = ()

    def read(self) -> list[Figure]:
        """Return the numbers of this moment."""
        return [*self._of_handlers(), *self._of_subscriptions()]

    async def follow(self) -> NoReturn:
        """Ask the journal now and then how far its subscriptions have come, until cancelled."""
        while True:
            began = self._clock.time()
            try:
                self._subscriptions = await self._journal.subscriptions()
            except Exception as error:  # noqa: BLE001 - it may be a journal of the user's, and what is measured goes on
                logger.debug("the journal could not be asked for its subscriptions: %s", error)
            await self._clock.sleep(max(LOOK_S, (self._clock.time() - began) / SHARE))

    def _of_handlers(self) -> Iterator[Figure]:
        for feed in self._dispatcher.feeds():
            name, tally = feed.handler.name, feed.tally
            yield Figure("delivery.finished", tally.delivered, (name, "delivered"))
            yield Figure("delivery.finished", tally.given_up, (name, "dead_letter"))
            yield Figure("delivery.retries", tally.retried, (name,))
            yield Figure("delivery.pending", feed.pending, (name,))
            waiting = [lane.queue[0].event.at for lane in feed.lanes() if lane.queue]
            yield Figure("delivery.oldest_age", self._age_s(min(waiting, default=None)), (name,))

    def _of_subscriptions(self) -> Iterator[Figure]:
        for one in self._subscriptions:
            yield Figure("subscription.waiting", one.waiting, (one.name,))
            yield Figure("subscription.unfinished", one.unfinished, (one.name,))
            yield Figure("subscription.dead_letters", one.dead, (one.name,))

    def _age_s(self, at: datetime | None) -> float:
        return 0.0 if at is None else max(0.0, (self._clock.now() - at).total_seconds())


class Figures(DeliveryFigures):
    """The numbers of a monitor.

    Attributes:
        has_led: Whether it became the one that writes the journal.
    """

    def __init__(
        self,
        ledger: Ledger,
        dispatcher: Dispatcher,
        service: TaskService,
        tracker: Tracker,
        planner: Planner,
        clock: Clock,
    ) -> None:
        """Make what reads them.

        Args:
            ledger: The journal, and what is to be written into it.
            dispatcher: Calls the handlers.
            service: Counts requests, and has the budget.
            tracker: Knows the executions.
            planner: Tells what delay to expect.
            clock: The time.
        """
        super().__init__(dispatcher, ledger.journal, clock)
        self.has_led = False
        self._service = service
        self._tracker = tracker
        self._planner = planner
        self._outbox = ledger.outbox

    def read(self) -> list[Figure]:
        """Return the numbers of this moment."""
        return [*self._of_requests(), *self._of_executions(), *self._of_the_monitor(), *super().read()]

    def _of_requests(self) -> Iterator[Figure]:
        statistics, budget = self._service.statistics, self._service.budget
        yield Figure("request.sent", statistics.requests)
        yield Figure("request.throttled", statistics.throttled)
        if budget.limit is not None:
            yield Figure("budget.limit", budget.limit)
            yield Figure("budget.remaining", budget.remaining(self._clock.time()))
        delay_s = self._planner.explain().expected_delay_s
        if delay_s is not None:
            yield Figure("detection.expected_delay", delay_s)
        yield Figure("item.unreadable", statistics.rejected)

    def _of_executions(self) -> Iterator[Figure]:
        counts = self._tracker.counts
        yield Figure("observation.taken", counts.observed)
        yield Figure("observation.stale", counts.stale)
        yield Figure("observation.suspected", counts.suspected)
        yield Figure("observation.dismissed", counts.dismissed)
        statuses, anomalies = self._tracker.census()
        for status in self._tracker.lifecycle.statuses:
            yield Figure("executions", statuses[status], (status,))
        for kind, rule in RULES.items():
            if rule.ends:
                yield Figure("anomaly.open", anomalies[kind], (kind.value, rule.severity.value))

    def _of_the_monitor(self) -> Iterator[Figure]:
        is_blind = AnomalyKind.BLIND in self._tracker.open_anomalies("")
        health = health_of(self._outbox, self._journal, is_blind=is_blind)
        lease = self._journal.lease
        yield Figure("monitor.blind", is_blind)
        yield Figure("monitor.ready", self.has_led and health.is_ready)
        yield Figure("leader.active", self.has_led and (lease is None or lease.is_held))
        yield Figure("leader.terms", self.has_led)
        yield Figure("outbox.waiting", self._outbox.waiting)
        yield Figure("outbox.oldest_age", self._age_s(self._outbox.oldest))
