"""Registering callbacks: decorators, plain calls, filters and options."""

from __future__ import annotations

import functools
from datetime import UTC, datetime, timedelta
from unittest.mock import AsyncMock, Mock

import pytest

from titan_state import (
    AnomalyCleared,
    AnomalyDetected,
    AnomalyKind,
    ConfigurationError,
    Execution,
    Handlers,
    Lifecycle,
    Monitor,
    Move,
)
from titan_state.core.anomalies import Severity
from titan_state.core.events import ActionSent, Transitioned
from titan_state.core.lifecycle import DEFAULT_TERMINAL, Action, Status

NOW = datetime(2026, 1, 1, tzinfo=UTC)
TERMINAL = frozenset(DEFAULT_TERMINAL)


def moved(source: str | None, dest: str) -> Transitioned:
    return Transitioned(
        execution_id="e", seq=1, at=NOW, execution=Execution("e", dest), source=source, dest=dest, before=NOW
    )


def wanted(handlers: Handlers, event: object) -> list[str]:
    return [handler.name for handler in handlers if handler.wants(event, TERMINAL)]


@pytest.mark.parametrize("status", list(Status))
def test_each_status_has_a_registrar_of_its_name(status: Status):
    """`on_<status>` calls back when that status is entered, and for no other."""
    handlers = Handlers()
    getattr(handlers, f"on_{status}")(lambda event: None, name="one")
    assert [other for other in Status if wanted(handlers, moved("queued", other))] == [status]


def test_finished_means_any_terminal_status():
    """`on_finished` calls back for every terminal status and nothing else."""
    handlers = Handlers()
    handlers.on_finished(lambda event: None, name="one")
    assert {status for status in Status if wanted(handlers, moved("running", status))} == TERMINAL


def test_enter_exit_and_transition():
    """`on_enter` and `on_exit` take statuses, also further ones; `on_transition` is for every move."""
    handlers = Handlers()
    handlers.on_enter("assigned", "running")(lambda event: None, name="enter")
    handlers.on_exit("queued")(lambda event: None, name="exit")
    handlers.on_transition(lambda event: None, name="all")
    assert wanted(handlers, moved("queued", "assigned")) == ["enter", "exit", "all"]
    assert wanted(handlers, moved(None, "queued")) == ["all"]


def test_anomalies_of_all_kinds_or_some():
    """`on_anomaly` works bare, with kinds, and as a plain call; cleared ones have a registrar of their own."""
    handlers = Handlers()

    @handlers.on_anomaly
    def every(event): ...

    @handlers.on_anomaly(AnomalyKind.VANISHED, "blind", name="some")
    def some(event): ...

    handlers.on_anomaly(lambda event: None, AnomalyKind.FLAPPING, name="plain")
    handlers.on_anomaly_cleared(lambda event: None, name="cleared")
    detected = AnomalyDetected(
        execution_id="e", seq=1, at=NOW, kind=AnomalyKind.BLIND, severity=Severity.CRITICAL, message="", check_first=""
    )
    assert [name.rpartition(".")[2] for name in wanted(handlers, detected)] == ["every", "some"]
    cleared = AnomalyCleared(execution_id="e", seq=2, at=NOW, kind=AnomalyKind.BLIND, message="", since=NOW)
    assert wanted(handlers, cleared) == ["cleared"]


def test_an_action_is_no_transition():
    """Events that no registrar is for reach no handler."""
    handlers = Handlers()
    handlers.on_transition(lambda event: None, name="all")
    assert wanted(handlers, ActionSent(execution_id="e", seq=1, at=NOW, action=Action.STOP)) == []


def test_stacked_decorators_are_one_handler():
    """One function under two decorators is one handler with two filters, called once for one event."""
    handlers = Handlers()

    @handlers.on_completed
    @handlers.on_failed
    @handlers.on_finished
    async def either(event): ...

    assert len(handlers) == 1
    assert len(wanted(handlers, moved("running", "failed"))) == 1
    assert len(wanted(handlers, moved("running", "cancelled"))) == 1


def test_decorators_return_the_function():
    """The decorated function stays what it was."""
    handlers = Handlers()

    def plain(event): ...

    assert handlers.on_completed(plain) is plain
    assert handlers.on_failed(name="x")(plain) is plain


def test_a_name_belongs_to_one_callback():
    """Two callbacks under one name are an error that says what to do."""
    handlers = Handlers()
    handlers.on_completed(lambda event: 1, name="x")
    with pytest.raises(ConfigurationError, match="name="):
        handlers.on_failed(lambda event: 2, name="x")


def test_bound_methods_and_partials_are_callbacks():
    """A bound method may be registered twice, a partial is known as a coroutine function."""

    class Sink:
        def take(self, event): ...

        async def __call__(self, event): ...

    async def work(extra, event): ...

    handlers = Handlers()
    sink = Sink()
    handlers.on_completed(sink.take)
    handlers.on_failed(sink.take)
    handlers.on_completed(functools.partial(work, 1), name="partial")
    handlers.on_completed(sink)
    assert [handler.is_async for handler in handlers] == [False, True, True]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"retries": -1}, "retries"),
        ({"backoff": "1"}, "backoff"),
        ({"timeout": True}, "timeout"),
        ({"timeout": float("nan")}, "timeout"),
        ({"backoff": timedelta(seconds=-1)}, "backoff"),
        ({"retries": 2.5}, "retries"),
        ({"name": 7}, "name"),
        ({"delay": 1}, "no option delay"),
    ],
)
def test_options_that_cannot_work_are_refused(options: dict, message: str):
    """A bad option is an error that names it."""
    with pytest.raises(ConfigurationError, match=message):
        Handlers().on_completed(lambda event: None, **options)


def test_unknown_kinds_and_callbacks_that_are_none():
    """A kind that does not exist, no status, and a callback that cannot be called are errors."""
    handlers = Handlers()
    with pytest.raises(ConfigurationError, match="left_terminal"):
        handlers.on_anomaly("weird")
    with pytest.raises(ConfigurationError, match="at least one status"):
        handlers.on_enter()
    with pytest.raises(ConfigurationError, match="function of one argument"):
        handlers.on_completed("not a function")


def test_a_copy_is_apart():
    """A monitor's own registrations do not reach the handlers it was made with."""
    first = Handlers()
    first.on_completed(lambda event: None, name="one", retries=7)
    second = Handlers(first)
    second.on_completed(lambda event: None, name="two")
    assert [handler.name for handler in first] == ["one"]
    assert [(handler.name, handler.retries) for handler in second] == [("one", 7), ("two", 3)]


def test_durations_may_be_timedeltas():
    """`backoff` and `timeout` are seconds or timedeltas."""
    handlers = Handlers()
    handlers.on_completed(lambda event: None, name="x", backoff=timedelta(minutes=1), timeout=timedelta(seconds=5))
    assert [(handler.backoff, handler.timeout) for handler in handlers] == [(60.0, 5.0)]


def test_a_registration_that_is_refused_leaves_nothing_behind():
    """After a bad option the name is still free."""
    handlers = Handlers()
    with pytest.raises(ConfigurationError):
        handlers.on_completed(lambda event: None, name="x", retries=-1)
    assert len(handlers) == 0
    handlers.on_completed(lambda event: None, name="x")


class Sink:
    def take(self, event): ...

    def none(self): ...

    def stream(self, event):
        yield event

    @staticmethod
    def static(event): ...


class Streaming:
    def __call__(self, event):
        yield event


def nothing(): ...


def two(event, other): ...


def keyword(event, *, where): ...


async def several(event):
    yield event


def injected(function):
    @functools.wraps(function)
    def call(*arguments):
        return function("a connection", *arguments)

    return call


@pytest.mark.parametrize("callback", [nothing, two, keyword, Sink.take, Sink().none, functools.partial(nothing)])
def test_what_cannot_take_one_argument_is_refused(callback):
    """A callback that could never be called with an event is an error that says what to register instead."""
    with pytest.raises(ConfigurationError, match=r"one argument, the event .*: register a function of one argument"):
        Handlers().on_completed(callback)


@pytest.mark.parametrize("callback", [several, Sink().stream, Streaming(), functools.partial(several)])
def test_generator_functions_are_refused(callback):
    """Calling one runs nothing of it: that is an error, and not a delivery."""
    with pytest.raises(ConfigurationError, match="without yield"):
        Handlers().on_completed(callback)


@pytest.mark.parametrize("callback", [None, 7, "export", Sink.__dict__])
def test_what_cannot_be_called_is_refused(callback):
    """None is no decorator that waits for its function, but a mistake."""
    with pytest.raises(ConfigurationError, match="function of one argument"):
        Handlers().on_completed(callback)


@pytest.mark.parametrize(
    "callback",
    [
        print,
        [].append,
        {}.update,
        dict,
        Sink().take,
        Sink.static,
        functools.partial(two, other=1),
        functools.partial(keyword, where="here"),
        injected(two),
        Mock(),
        AsyncMock(),
        lambda *arguments: None,
        lambda event, where="here": None,
    ],
)
def test_whatever_takes_one_argument_is_a_callback(callback):
    """Builtins, bound methods, partials, wrappers that fill in arguments, and mocks are callbacks."""
    handlers = Handlers()
    assert handlers.on_completed(callback, name="x") is callback
    assert len(handlers) == 1


def lifecycle() -> Lifecycle:
    moves = [Move("assign", "queued", "assigned"), Move("begin", "assigned", "running")]
    return Lifecycle.default().extend(statuses=["assigned"], moves=moves)


@pytest.mark.parametrize("registrar", ["on_enter", "on_exit"])
@pytest.mark.parametrize(("status", "near"), [("complete", "completed"), ("FAILED", "failed"), ("asigned", None)])
def test_a_monitor_refuses_statuses_that_its_model_does_not_have(registrar, status, near):
    """A status that no execution can have is refused when it is registered, with the nearest one and all others."""
    monitor = Monitor("http://localhost:1", "token-of-mine")
    with pytest.raises(ConfigurationError, match=f"no status '{status}'") as caught:
        getattr(monitor, registrar)("running", status)(lambda event: None)
    assert (f"did you mean '{near}'" in str(caught.value)) is (near is not None)
    assert "queued, running, paused" in str(caught.value)
    getattr(monitor, registrar)("running")(lambda event: None)


def test_handlers_made_apart_are_checked_when_they_meet_a_model():
    """Handlers have no model of their own; a monitor that is made with them checks them against its own."""
    handlers = Handlers()
    handlers.on_enter("assigned")(lambda event: None, name="mine")
    with pytest.raises(ConfigurationError, match="handler mine: the model has no status 'assigned'"):
        Monitor("http://localhost:1", "token-of-mine", handlers=handlers)
    monitor = Monitor("http://localhost:1", "token-of-mine", handlers=handlers, lifecycle=lifecycle())
    monitor.on_exit("assigned")(lambda event: None, name="other")
