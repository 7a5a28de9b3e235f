"""Poller: sends the reads that the planner chooses, and hands the answers to the tracker.

It decides neither what to read nor what an answer means. Whatever the service answers, it goes on; only refused
credentials end it.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
from itertools import pairwise
from typing import TYPE_CHECKING, Any, NoReturn

import attrs

from titan_state.client.retries import retry_delay
from titan_state.clock import within
from titan_state.core.budget import Priority
from titan_state.core.execution import Execution
from titan_state.core.planning.reads import ListPage, ResultsOf
from titan_state.core.planning.window import Shown
from titan_state.errors import (
    ForbiddenError,
    InternalServiceError,
    LeadershipLostError,
    NotFoundError,
    PayloadError,
    ResponseError,
    ServiceError,
    TitanStateError,
    TooManyRequestsError,
    UnauthorizedError,
)
from titan_state.monitor.reader import of_task

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from titan_state.client.service import Page, TaskService
    from titan_state.clock import Clock
    from titan_state.core.events import Event
    from titan_state.core.planner import Planner
    from titan_state.core.planning.reads import Choice, Target
    from titan_state.core.tracker import Tracker
    from titan_state.monitor.looks import Looks
    from titan_state.monitor.reader import Reader
    from titan_state.monitor.watches import Watches

logger = logging.getLogger("titan_state.monitor")

IN_PARALLEL = 8
"""How many reads are under way at the same time."""

WORTH_A_WARNING = 3
"""After how many failures of the same read, one after the other, a warning is logged, once; single ones are normal.

The first read of all is none of those: if it fails, the URL may be wrong.
"""

TICK_S = 0.5
"""How often the rules of time are applied."""

LONGEST_IDLE_S = 60.0


@attrs.frozen
class Failure:
    """A read that failed.

    Attributes:
        count: How often, one after the other.
        retry_at: When it is to be sent again.
    """

    count: int
    retry_at: float


class Poller:
    """Reads what is watched."""

    def __init__(
        self,
        service: TaskService,
        tracker: Tracker,
        planner: Planner,
        watches: Watches,
        clock: Clock,
        *,
        reader: Reader,
        looks: Looks,
        commit: Callable[[list[Event]], None],
        room: Callable[[], Awaitable[None]],
        has_room: Callable[[], bool],
        rng: random.Random,
    ) -> None:
        """Make a poller that does not run yet.

        Args:
            service: Where reads are sent.
            tracker: Where answers go.
            planner: Chooses what to read.
            watches: What is watched.
            clock: The time.
            reader: Reads single executions.
            looks: Looks for results.
            commit: Takes the events.
            room: Returns when there is room for further events.
            has_room: Returns whether they can be written down at present.
            rng: Jitter comes from it.
        """
        self._service = service
        self._tracker = tracker
        self._planner = planner
        self._watches = watches
        self._clock = clock
        self._commit = commit
        self._reader = reader
        self._looks = looks
        self._room = room
        self._has_room = has_room
        self._rng = rng
        self._wake = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()
        self._failures: dict[ListPage | str, Failure] = {}
        self._has_begun = False
        self._fatal: ServiceError | None = None

    def wake(self) -> None:
        """Look again at what is due: something new is watched, or an answer is in."""
        self._wake.set()

    async def run(self) -> None:
        """Read until cancelled.

        Raises:
            UnauthorizedError: The credentials were refused.
            ForbiddenError: A scope is missing.
        """
        ticker = asyncio.create_task(self._tick(), name="titan_state ticker")
        ticker.add_done_callback(lambda _: self.wake())
        try:
            while self._fatal is None:
                if ticker.done():
                    ticker.result()  # it ends by an error only
                await self._room()
                self._wake.clear()
                now = self._clock.time()
                wait_s = self._service.budget.ready_at(now, Priority.POLL) - now
                if wait_s <= 0 and len(self._tasks) < IN_PARALLEL:
                    choice = self._planner.next(now, self._service.budget.rate(now))
                    if choice is not None:
                        self._send(choice)
                        continue
                    wait_s = self._planner.next_at() - now
                await self._idle(LONGEST_IDLE_S if len(self._tasks) >= IN_PARALLEL else wait_s)
            raise self._fatal
        finally:
            running = (ticker, *self._tasks)
            for task in running:
                task.cancel()
            await asyncio.gather(*running, return_exceptions=True)

    async def _idle(self, seconds: float) -> None:
        with contextlib.suppress(TimeoutError):
            await within(self._clock, min(max(0.0, seconds), LONGEST_IDLE_S), self._wake.wait())

    async def _tick(self) -> NoReturn:
        while True:
            await self._clock.sleep(TICK_S)
            now = self._clock.time()
            self._tracker.anchor(self._clock.now(), now)
            if not self._tasks and self._planner.next_at() > now and not self._awaits_retry(now):
                self._tracker.rest(now)
            behind_s = self._planner.behind_s(now)
            if self._has_room():
                self._commit(self._tracker.tick(now, behind_s=behind_s))

    def _send(self, choice: Choice) -> None:
        target = choice.target
        work = self._look(target) if isinstance(target, ResultsOf) else self._request(target, choice.priority)
        task = asyncio.create_task(work, name="titan_state read")
        self._tasks.add(task)
        task.add_done_callback(self._sent)

    def _sent(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        self._wake.set()

    async def _look(self, target: ResultsOf) -> None:
        try:
            await self._looks.look(target.execution_id)
        except UnauthorizedError as error:
            self._fatal = self._fatal or error
        except LeadershipLostError as error:
            logger.debug("results were not looked for: %s", error)
        except Exception:
            logger.exception("what was said of results could not be taken in; it is asked for again")
            self._tracker.results.retry(target.execution_id, self._clock.time() + retry_delay(1, self._rng))
        finally:
            self._tracker.results.landed()

    async def _request(self, target: Target, priority: Priority) -> None:
        try:
            if isinstance(target, ListPage):
                await self._read_page(target, priority)
            else:
                await self._read_one(target, priority)
        except (UnauthorizedError, ForbiddenError, NotFoundError) as error:
            if isinstance(target, ListPage) and self._planner.list_refused(target):
                logger.info("the list cannot be read, executions are read one by one: %s", error)
            elif isinstance(error, NotFoundError):
                self._failed(target, error)
            else:
                self._fatal = self._fatal or error
        except TooManyRequestsError as error:
            logger.info("the request limit was reached: %s", error)
            self._planner.failed(target, self._clock.time(), 0.0)  # the budget waits, for all requests
        except TitanStateError as error:
            self._failed(target, error)
        except Exception:
            logger.exception("a read could not be taken in; it is tried again")
            self._failed(target, None)
        else:
            self._has_begun = True
            self._failures.pop(target, None)

    def _failed(self, target: ListPage | str, error: TitanStateError | None) -> None:
        now = self._clock.time()
        known = self._failures.get(target)
        count = 1 if known is None else known.count + 1
        delay_s = retry_delay(count, self._rng)
        if error is not None:
            is_no_hiccup = isinstance(error, NotFoundError) or not self._has_begun  # a list's 404, or a wrong URL
            first = 1 if is_no_hiccup else WORTH_A_WARNING
            self._has_begun = True
            level = logging.WARNING if count == first else logging.DEBUG
            is_list = isinstance(error, NotFoundError) and isinstance(target, ListPage) and target.task_id
            advice = " - check the task's id" if is_list else ""
            logger.log(level, "a read failed, next attempt in %.1f s: %s%s", delay_s, error, advice)
        self._failures[target] = Failure(count, now + delay_s)
        refused = isinstance(error, PayloadError | ResponseError) and not isinstance(error, InternalServiceError)
        if not self._planner.failed(target, now, delay_s, refused=refused):
            del self._failures[target]  # it is not to be read again: nobody watches it any more

    def _awaits_retry(self, now: float) -> bool:
        """Return whether a read that failed is to be sent again later, where nothing is due now.

        One whose time has come and that is not due is not wanted any more: its execution was unwatched, or what the
        read was to confirm was told by another.
        """
        self._failures = {target: failure for target, failure in self._failures.items() if failure.retry_at > now}
        return bool(self._failures)

    async def _read_one(self, execution_id: str, priority: Priority) -> None:
        with contextlib.suppress(NotFoundError):  # that is an answer, too
            await self._reader.read(execution_id, priority)
        self._planner.read(execution_id, self._clock.time())

    async def _read_page(self, target: ListPage, priority: Priority) -> None:
        task_id = target.task_id
        limit, offset = self._planner.request(target, self._clock.time())
        reading = await self._service.list(
            task_id=task_id,
            limit=limit,
            offset=offset,
            status=target.status,
            priority=priority,
            known=self._tracker.agrees,
        )
        page, times = reading.value, {"sent_at": reading.sent_at, "received_at": reading.received_at}
        self._watches.began(task_id, reading.served_at)
        self._tracker.contact(**times, served_at=reading.served_at)
        names = tuple(dict.fromkeys(map(_id_of, page.entries)))
        fresh = next((place for place, name in enumerate(names) if self._tracker.knows(name)), len(names))
        ends_new = bool(names) and not self._tracker.knows(names[-1])
        self._tracker.again([entry for entry in page.entries if not isinstance(entry, Execution)], **times)
        items = {item.id: of_task(item, task_id) for item in page.items}
        others: set[str] = set()
        events: list[Event] = []
        for item in items.values():
            self._watches.showed(task_id, item.task_id)
        for item in items.values():
            if self._watches.covers(item.id, item.task_id, task_id):
                baseline = self._watches.baseline(item.id, item.task_id, task_id)
                events += self._tracker.observe(item, **times, baseline=baseline)
            else:
                others.add(item.id)
        self._commit(events)
        shown = Shown(
            ids=[name for name in names if name not in others],
            last=page.is_last,
            ends_new=ends_new,
            offset=offset,
            asked=limit,
            fresh=fresh,
            names=names,
            broken=page.count - len(names),
            total=page.total,
            strangers=0 if target.status is None else sum(_status_of(one) != target.status for one in page.entries),
        )
        if self._planner.page_read(target, shown, sent_at=reading.sent_at, now=self._clock.time()):
            self._watches.swept(task_id)
        if target.status is None and not _is_newest_first(page):
            self._planner.sweep_again(task_id, self._clock.time())


def _id_of(entry: Execution | Mapping[str, Any]) -> str:
    return entry.id if isinstance(entry, Execution) else str(entry["id"])


def _status_of(entry: Execution | Mapping[str, Any]) -> object:
    return entry.status if isinstance(entry, Execution) else entry["status"]


def _is_newest_first(page: Page) -> bool:
    dates = [item.created_at for item in page.items if item.created_at is not None]
    return all(first >= second for first, second in pairwise(dates))
