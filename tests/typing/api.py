"""The public API as users write it, for type checkers: test_typing.py has them read it; nothing in it is run.

Every result has the type that is asserted. What must be refused is in wrong.py. Only public names are imported.
"""

import asyncio
import functools
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Collection, Iterable, Mapping
from contextlib import aclosing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, assert_type

from titan_state import (
    Action,
    ActionAccepted,
    ActionOutcomeUnknownError,
    ActionRefused,
    ActionRejectedError,
    ActionSent,
    ActionUnknown,
    AnomalyCleared,
    AnomalyDetected,
    AnomalyKind,
    BodyTooLargeError,
    Dataset,
    Delivery,
    Event,
    EventStream,
    Execution,
    ExecutionFailedError,
    ExecutionNotFoundError,
    ExecutionUnreadableError,
    Explanation,
    ForeignOriginError,
    Handlers,
    Health,
    IllegalActionError,
    Journal,
    JournalInUseError,
    Lifecycle,
    MemoryJournal,
    Monitor,
    Move,
    NatsJournal,
    OutputExistsError,
    Outputs,
    OutputsUnavailableError,
    PayloadError,
    PermanentError,
    RequestBudget,
    ResponseError,
    ResultMetadata,
    ResultsNotReadyError,
    ResultsReady,
    RunOutcomeUnknownError,
    SavedFile,
    ServiceError,
    ServiceProfile,
    Severity,
    SqliteJournal,
    Status,
    Subscriber,
    SubscriptionInUseError,
    TaskService,
    TemporaryError,
    Thresholds,
    TooManyRequestsError,
    Tracker,
    Transitioned,
    TransportError,
    Verdict,
    WaitError,
    WaitTimeoutError,
    current_delivery,
)
from titan_state.emulator import (
    Faults,
    HistoryEntry,
    Plan,
    RequestRecord,
    Scenario,
    Step,
    Task,
    TaskServiceEmulator,
    When,
)
from titan_state.testing import ManualClock

# Handlers: decorators keep the type of what they decorate, with arguments and without.

handlers = Handlers()


@handlers.on_completed
async def export(event: Transitioned) -> None:
    """Async def, without arguments."""
    assert_type(event.execution, Execution)
    assert_type(event.source, str | None)
    assert_type(event.dest, str)
    assert_type(event.move, str | None)
    assert_type(event.inferred, bool)
    assert_type(event.forced, bool)
    assert_type(event.after, datetime | None)
    assert_type(event.before, datetime)
    assert_type(event.check_first, str | None)
    assert_type((event.id, event.seq, event.at, event.execution_id), tuple[str, int, datetime, str])
    assert_type(event.to_dict(), dict[str, Any])


@handlers.on_failed(name="alert", retries=5, backoff=0.5, timeout=30, task="nightly", since="beginning")
def alert(event: Transitioned) -> str:
    """A plain def, with every option, and a result that nobody needs."""
    raise TemporaryError("later", delay=timedelta(seconds=5))


@handlers.on_queued(backoff=timedelta(seconds=1), timeout=None, task=["a", "b"], since=datetime.now(UTC))
@handlers.on_running
@handlers.on_paused
@handlers.on_completed_with_errors()
@handlers.on_cancelled
@handlers.on_finished
@handlers.on_transition
@handlers.on_enter(Status.RUNNING, "assigned")
@handlers.on_exit("assigned")
def stacked(event: Transitioned) -> None:
    """Several registrars on one function."""
    raise PermanentError("never")


@handlers.on_transition
@handlers.on_results_ready
@handlers.on_anomaly
@handlers.on_anomaly_cleared
def everything(event: Event) -> None:
    """What takes any event may be registered for each kind."""
    assert_type(event.execution, Execution | None)


@handlers.on_completed
@handlers.on_anomaly(AnomalyKind.LEFT_TERMINAL)
async def either(event: Transitioned | AnomalyDetected) -> None:
    """And what takes two kinds for these two."""
    if isinstance(event, AnomalyDetected):
        assert_type(event.kind, AnomalyKind)


@handlers.on_results_ready(retries=10)
async def results(event: ResultsReady) -> None:
    """Results that can be read."""
    assert_type(event.row_count, int | None)
    assert_type(event.metadata, Mapping[str, Any])
    assert_type((event.status, event.before), tuple[str, datetime])


@handlers.on_anomaly
def any_kind(event: AnomalyDetected) -> None:
    """Every kind of anomaly."""
    assert_type((event.kind, event.severity), tuple[AnomalyKind, Severity])
    assert_type((event.message, event.check_first), tuple[str, str])


@handlers.on_anomaly(AnomalyKind.LEFT_TERMINAL, "blind", retries=1)
async def some_kinds(event: AnomalyDetected) -> None:
    """Some kinds, by member and by name."""


@handlers.on_anomaly_cleared("blind", name="over")
def over(event: AnomalyCleared) -> None:
    """The end of an anomaly."""
    assert_type((event.kind, event.since), tuple[AnomalyKind, datetime])


class Shop:
    """Callbacks may be bound methods, partials, and calls in place of decorators."""

    async def book(self, event: Transitioned) -> None:
        """Take an event."""

    def into(self, place: str, event: Transitioned) -> None:
        """Take what a partial fills in, then an event."""


def with_more(event: Transitioned, place: Path = Path()) -> int:
    """Take further arguments that have defaults: they stay known behind the decorator."""
    return len(str(place))


def called_in_place(shop: Shop) -> None:
    """Registrars are called with functions, too, and hand them back as they are."""
    handlers.on_completed(shop.book, name="book", retries=1)
    handlers.on_completed(functools.partial(shop.into, "shelf"), name="shelf")
    handlers.on_anomaly(any_kind, AnomalyKind.BLIND, "vanished", name="blind")
    assert_type(handlers.on_completed(with_more)(events()[0], place=Path("x")), int)
    assert_type(handlers.on_failed(name="named")(with_more)(events()[0]), int)
    assert_type(len(handlers), int)
    Handlers(handlers, durable=True)


def events() -> list[Transitioned]:
    """Stand for events from somewhere."""
    return []


# Monitor.


async def use(url: str, token: str, ids: list[str], place: Path) -> None:
    """Everything that is done with a monitor."""
    async with Monitor(url, token) as monitor:
        assert_type(monitor, Monitor)

        @monitor.on_completed
        async def _(event: Transitioned) -> None: ...

        @monitor.on_anomaly(AnomalyKind.STUCK_QUEUED, timeout=5)
        def _alert(event: AnomalyDetected) -> None: ...

        monitor.watch("one", "two")
        monitor.watch(*ids)
        monitor.watch_task("task")
        monitor.watch_all()
        monitor.unwatch("one")
        monitor.unwatch(task_id="task")
        monitor.unwatch()
        assert_type(monitor.executions(), tuple[Execution, ...])

        assert_type(await monitor.wait("one"), Execution)
        assert_type(await monitor.wait("one", timeout=timedelta(minutes=5), check=False), Execution)
        assert_type(await monitor.wait(["one", "two"], timeout=60), list[Execution])
        assert_type(await monitor.wait(name for name in ids), list[Execution])
        async for execution in monitor.as_completed(ids, timeout=600):
            assert_type(execution, Execution)
        async with aclosing(monitor.as_completed(set(ids))) as finished:
            assert_type(finished, AsyncGenerator[Execution, None])

        assert_type(await monitor.run("task"), Execution)
        assert_type(await monitor.run("task", secret_payload={"key": "value"}), Execution)
        assert_type(monitor.check("one", Action.PAUSE), Verdict)
        assert_type(await monitor.verdict("one", "stop"), Verdict)
        for acted in (monitor.pause("one"), monitor.resume("one", force=True), monitor.stop("one")):
            assert_type(await acted, Execution)
        assert_type(await monitor.act("one", Action.STOP), Execution)

        stream = monitor.events()
        assert_type(stream, EventStream)
        async for event in stream:
            assert_type(event, Event)
            told(event)
        async with aclosing(monitor.events()) as closing:
            assert_type(closing, EventStream)

        assert_type(monitor.anomalies("one"), tuple[AnomalyKind, ...])
        assert_type(monitor.health(), Health)
        assert_type(monitor.health().reasons, tuple[str, ...])
        assert_type((monitor.is_blind, monitor.remaining), tuple[bool, int])
        assert_type(monitor.explain(), Explanation)
        assert_type(monitor.explain().expected_delay_s, float | None)
        assert_type(monitor.deliveries.given_up, int)
        assert_type((monitor.account, monitor.lifecycle), tuple[str, Lifecycle])
        assert_type(monitor.service, TaskService)
        assert_type(monitor.journal, Journal)
        await outputs(monitor, place)


def told(event: Event) -> str:
    """Tell events apart by their class."""
    match event:
        case Transitioned(source=None, dest=dest):
            return dest
        case Transitioned():
            return event.cause
        case AnomalyDetected() | AnomalyCleared():
            return event.kind
        case ResultsReady():
            return event.status
        case ActionRefused():
            return event.code
        case ActionSent() | ActionAccepted() | ActionUnknown():
            return assert_type(event.action, Action)
        case _:
            return event.type


def made(token: str) -> list[Monitor]:
    """Monitors with every option, by constructor and by environment."""

    async def fresh() -> str:
        return token

    return [
        Monitor(
            "https://api.example.com",
            fresh,
            account="shop",
            journal="sqlite:///titan.db",
            handlers=handlers,
            lifecycle=Lifecycle.default(),
            thresholds=Thresholds(stuck_running_s=60, stuck_queued_s=None),
            budget=RequestBudget(per_minute=60),
            profile=ServiceProfile(),
            clock=ManualClock(),
            drain_s=1,
        ),
        Monitor("https://api.example.com", lambda: token, journal=Path("titan.db")),
        assert_type(Monitor.from_env(), Monitor),
        Monitor.from_env(handlers=handlers, journal=SqliteJournal("titan.db"), thresholds=Thresholds()),
    ]


# Outputs.


async def outputs(monitor: Monitor, place: Path) -> None:
    """Everything that is done with what an execution leaves behind."""
    out = monitor.outputs("one")
    assert_type(out, Outputs)
    assert_type(await out.metadata(), ResultMetadata)
    assert_type((await out.ready(timeout=60)).row_count, int | None)
    saved = await out.export(place, format="csv", wait=timedelta(minutes=1), if_exists="skip", max_size=10, retries=1)
    assert_type(saved, SavedFile)
    assert_type((saved.path, saved.size, saved.is_new), tuple[Path, int, bool])
    assert_type(await out.download("file.csv", progress=lambda done, total: None), SavedFile)
    async for row in out.rows(format="json", wait=5, max_size=100):
        for address in out.media_urls(row):
            assert_type(address, str)
            assert_type(await out.media(address, place, if_exists="overwrite"), SavedFile)
    async with aclosing(out.rows()) as rows:
        assert_type(rows, AsyncGenerator[Any, None])
    assert_type(await out.datasets(), tuple[Dataset, ...])
    assert_type((await out.task_datasets("task"))[0].name, str | None)


async def batches(rows: AsyncIterator[Any]) -> int:
    """Rows go where an asynchronous iterator is wanted."""
    return len([row async for row in rows])


async def counted(monitor: Monitor) -> int:
    """Hand rows on."""
    return await batches(monitor.outputs("one").rows())


# Journals and subscribers.


async def journals() -> None:
    """A journal may be any of three, or one's own; what is in it is typed."""
    own: list[Journal] = [MemoryJournal(), SqliteJournal(Path("titan.db")), NatsJournal("nats://localhost:4222")]
    for journal in own:
        assert_type(await journal.history("one"), list[Event])
        for letter in await journal.letters(dead_only=True):
            assert_type((letter.event, letter.is_dead, letter.error), tuple[Event, bool, str])
        for subscription in await journal.subscriptions():
            assert_type(subscription.name, str)
        await journal.redeliver(["one:1"], subscription="export")
        assert_type(await journal.prune(datetime.now(UTC)), int)
        assert_type(await journal.verify(), list[str])


async def subscribe() -> None:
    """Callbacks in a program of their own, which may ask the monitor."""
    subscriber = Subscriber("nats://localhost:4222?account=shop", handlers, drain_s=5)
    assert_type(await subscriber.run(), None)
    assert_type(subscriber.deliveries.delivered, int)
    async with subscriber.monitor() as monitor:
        assert_type(await monitor.stop("one"), Execution)
        assert_type(await monitor.verdict("one", Action.PAUSE), Verdict)
        assert_type(await monitor.run("task"), Execution)
    delivery = current_delivery()
    assert_type(delivery, Delivery)
    assert_type((delivery.attempts, delivery.is_out_of_order), tuple[int, bool])


# The model and the tracker.


def model() -> None:
    """A lifecycle answers, and is extended."""
    lifecycle = Lifecycle.default().extend(
        statuses=["assigned"],
        moves=[Move("assign", "queued", "assigned"), Move("stop", "assigned", "cancelled", Action.STOP)],
        without=["start"],
    )
    assert_type(lifecycle, Lifecycle)
    assert_type(lifecycle.path("queued", Status.RUNNING), tuple[Move, ...] | None)
    assert_type(lifecycle.moves, tuple[Move, ...])
    assert_type((lifecycle.terminal, lifecycle.initial), tuple[frozenset[str], str])
    statuses: Collection[str] = lifecycle.statuses
    assert_type((lifecycle.diagram(), len(statuses)), tuple[str, int])
    verdict = lifecycle.verdict("running", "pause")
    assert_type((verdict.allowed, verdict.reason), tuple[bool, str])
    assert_type((verdict.leads_to, verdict.as_of), tuple[str | None, datetime | None])
    assert_type(bool(verdict), bool)
    assert_type(verdict.leads_to == Status.RUNNING, bool)


def track() -> None:
    """The tracker by itself."""
    tracker = Tracker(lifecycle=Lifecycle.default(), thresholds=Thresholds(replica_lag_s=1))
    execution = Execution.from_payload({"id": "one", "status": "running"})
    assert_type(execution, Execution)
    assert_type((execution.id, execution.status, execution.task_id), tuple[str, str, str | None])
    assert_type((execution.updated_at, execution.progress), tuple[datetime | None, float | None])
    assert_type(tracker.observe(execution, sent_at=0.0, received_at=1), list[Event])
    assert_type(tracker.absent("one", sent_at=2, received_at=3), list[Event])
    assert_type(tracker.action_sent("one", Action.PAUSE, at=4), list[Event])
    assert_type(tracker.action_accepted("one", "pause", at=5), list[Event])
    assert_type(tracker.tick(6.0), list[Event])
    assert_type(tracker.check("one", Action.PAUSE), Verdict)
    ids: Collection[str] = tracker.needs_confirmation
    assert "one" not in ids


def budget() -> None:
    """A budget is made by a number, and may be without a limit."""
    assert_type(RequestBudget(per_minute=60, burst=5, learn=True).limit, int | None)
    RequestBudget(None, min_interval_s=0.5)
    assert_type(Thresholds(tasks={"nightly": Thresholds(stuck_running_s=60)}).stuck_running_s, float | None)


# Errors.


async def errors(monitor: Monitor) -> object:
    """Errors carry what happened."""
    try:
        return await monitor.stop("one")
    except IllegalActionError as error:
        return assert_type(error.verdict, Verdict)
    except ActionRejectedError as error:
        return assert_type((error.code, error.status), tuple[str, str | None])
    except ActionOutcomeUnknownError as error:
        return assert_type((error.action, error.status), tuple[str, str | None])
    except RunOutcomeUnknownError as error:
        return assert_type((error.task_id, error.candidates), tuple[str, tuple[str, ...]])
    except ExecutionUnreadableError as error:
        return assert_type(error.execution_id, str)
    except ExecutionFailedError as error:
        return assert_type(error.execution, Execution | None)
    except (ExecutionNotFoundError, WaitTimeoutError) as error:
        wait: WaitError = error
        return assert_type(wait.execution_id, str)
    except OutputsUnavailableError as error:
        return assert_type((error.status, error.statuses), tuple[str, tuple[str, ...]])
    except OutputExistsError as error:
        existing: FileExistsError = error
        return assert_type(error.path, str), existing
    except ForeignOriginError as error:
        return assert_type(error.origin, str)
    except (JournalInUseError, SubscriptionInUseError) as error:
        return str(error)
    except TooManyRequestsError as error:
        return assert_type(error.reset_s, float | None)
    except ResponseError as error:
        return assert_type((error.http_status, error.code, error.message), tuple[int, str, str])
    except ResultsNotReadyError as error:
        return assert_type(error.answer, str)
    except (BodyTooLargeError, PayloadError) as error:
        return assert_type(error.body, str)
    except TransportError as error:
        return assert_type(error.sent, bool)
    except ServiceError as error:
        return assert_type((error.request, error.sent_at), tuple[str, float | None])


# For tests of users.


async def test_of_a_user(titan_service: Callable[..., TaskServiceEmulator]) -> None:
    """The fixture, the clock and what the embedded service tells."""
    clock = ManualClock(start=10, turns=100)
    steps: Iterable[Step] = [Step("running", 5), Step.vanish(1.0)]
    scenario = Scenario([Plan(id="one", task_id="t", steps=steps, rows=2)], tasks=[Task(id="t", name="Prices")])
    faults = Faults(server_error=0.1, reset=When(every=3, only="GET"), late=[1, 2])
    async with (
        titan_service(scenario, clock=clock, faults=faults) as service,
        Monitor(service.url, service.token, clock=clock) as monitor,
    ):
        assert_type(service, TaskServiceEmulator)
        waiting = asyncio.create_task(monitor.wait("one", check=False))
        assert_type(await clock.advance(1), None)
        assert_type(await waiting, Execution)
        assert_type(service.history("one"), tuple[HistoryEntry, ...])
        assert_type(service.executions(), dict[str, str])
        assert_type(service.requests[-1], RequestRecord)
        assert_type(service.add(Plan(id="two")), str)
        assert_type(service.export_bytes("two", "csv"), bytes)
        service.move("two", "failed")
        service.remove("two")
    async with TaskServiceEmulator(Scenario.random(5, seed=1), per_minute=None, unsupported=["pause"]) as other:
        assert_type(other, TaskServiceEmulator)
        assert_type((clock.time(), clock.now(), clock.next_wake), tuple[float, datetime, float | None])
