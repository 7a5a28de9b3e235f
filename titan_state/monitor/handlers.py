"""Handlers: the registry behind `@monitor.on_completed` and its like.

A handler is a callback with a filter and delivery options. The registry is shared by `Monitor` and `Handlers`; it
delivers nothing itself. What may be a callback is said in `callbacks.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator
from typing import Any, Final, Generic, Literal, TypeVar, Unpack, overload

import attrs

from titan_state.core.anomalies import AnomalyKind
from titan_state.core.events import Event, ResultsReady, Transitioned
from titan_state.core.lifecycle import Status
from titan_state.errors import ConfigurationError, shorten
from titan_state.monitor.callbacks import Options, check_callback, checked, name_of, needs_name
from titan_state.monitor.handler import Filter, Handler

E = TypeVar("E", bound=Event, contravariant=True)
F = TypeVar("F", bound=Callable[[Any], Any])

NOTHING: Final[Any] = object()  # a callback that is to come: None would hide a mistake


class Registrar(Generic[E]):
    """Registers a callback for one kind of event: as a decorator, with or without options, or as a plain call.

    ```python
    @monitor.on_failed(retries=5, backoff=2, timeout=30)
    def alert(event): ...
    ```

    A delivery that fails, because the callback raises or takes longer than `timeout`, is tried again `retries` times
    (3), `backoff` seconds (1) later and then after twice the time each time: after 1, 2 and 4 s by default. Then it
    is given up and logged. Meanwhile later events of the same execution wait, for this handler only. A callback may
    raise `TemporaryError(delay=…)` to say when to try again, and `PermanentError` to say that it is no use.
    """

    def __init__(self, registry: Registry, filter_: Filter) -> None:
        self._registry = registry
        self._filter = filter_

    @overload
    def __call__(self, callback: F, /, **options: Unpack[Options]) -> F: ...

    @overload
    def __call__(self, /, **options: Unpack[Options]) -> Callable[[F], F]: ...

    def __call__(self, callback: Any = NOTHING, /, **options: Unpack[Options]) -> Any:
        """Register `callback`, or return a decorator that does.

        Args:
            callback: A function of one argument, the event; `async def`, called on the event loop, or `def`, called in
                a thread. If the latter returns something that can be awaited, it is awaited on the loop.
            options: How it is delivered: `name`, by default the callback's own; `retries`, 3 by default; `backoff` in
                seconds, 1 by default; `timeout` of one attempt in seconds, none by default; `task`, the only one whose
                executions it is for, or several; `since`, where it begins when its name is new to the journal.

        Returns:
            The callback itself.

        Raises:
            ConfigurationError: A callback or an option that cannot work, a status that the monitor's model does not
                have, or a name that another handler has.
        """
        if callback is NOTHING:
            return lambda function: self._registry.register(function, self._filter, options)
        return self._registry.register(callback, self._filter, options)


class AnomalyRegistrar:
    """Registers a callback for anomalies: of all kinds, or of those that are named first."""

    def __init__(self, registry: Registry, about: Literal["anomaly", "cleared"]) -> None:
        self._registry = registry
        self._about: Literal["anomaly", "cleared"] = about

    @overload
    def __call__(self, callback: F, /, *kinds: AnomalyKind | str, **options: Unpack[Options]) -> F: ...

    @overload
    def __call__(self, /, *kinds: AnomalyKind | str, **options: Unpack[Options]) -> Callable[[F], F]: ...

    def __call__(self, /, *arguments: Any, **options: Unpack[Options]) -> Any:
        """Register a callback for kinds of anomalies, all by default, or return a decorator that does.

        Args:
            arguments: The callback, if it is no decorator, then kinds of anomalies.
            options: How it is delivered, see `Registrar`.

        Returns:
            The callback itself.

        Raises:
            ConfigurationError: There is no such kind, the callback or an option cannot work, or another handler has
                the name.
        """
        callback, kinds = (arguments[0], arguments[1:]) if arguments and callable(arguments[0]) else (None, arguments)
        try:
            values = frozenset(AnomalyKind(kind).value for kind in kinds)
        except ValueError as error:
            raise ConfigurationError(f"{error}; the kinds are {', '.join(AnomalyKind)}") from None
        registrar = Registrar[Event](self._registry, Filter(self._about, values))
        return registrar(**options) if callback is None else registrar(callback, **options)


class Registry:
    """The names under which callbacks are registered; what registering means is for the heir to say."""

    def register(self, callback: F, filter_: Filter, options: Options) -> F:
        """Register a callback.

        Args:
            callback: The function.
            filter_: The events it is for.
            options: How they are delivered.

        Returns:
            The callback.
        """
        raise NotImplementedError(type(self))  # pragma: no cover - every registry has its own

    @property
    def on_queued(self) -> Registrar[Transitioned]:
        """Call back when an execution enters `queued`."""
        return self._entering(Status.QUEUED)

    @property
    def on_running(self) -> Registrar[Transitioned]:
        """Call back when an execution enters `running`."""
        return self._entering(Status.RUNNING)

    @property
    def on_paused(self) -> Registrar[Transitioned]:
        """Call back when an execution enters `paused`."""
        return self._entering(Status.PAUSED)

    @property
    def on_completed(self) -> Registrar[Transitioned]:
        """Call back when an execution enters `completed`: `@on_completed` or `@on_completed(retries=5, timeout=30)`."""
        return self._entering(Status.COMPLETED)

    @property
    def on_completed_with_errors(self) -> Registrar[Transitioned]:
        """Call back when an execution enters `completed_with_errors`."""
        return self._entering(Status.COMPLETED_WITH_ERRORS)

    @property
    def on_failed(self) -> Registrar[Transitioned]:
        """Call back when an execution enters `failed`."""
        return self._entering(Status.FAILED)

    @property
    def on_cancelled(self) -> Registrar[Transitioned]:
        """Call back when an execution enters `cancelled`."""
        return self._entering(Status.CANCELLED)

    @property
    def on_finished(self) -> Registrar[Transitioned]:
        """Call back when an execution enters any terminal status."""
        return Registrar(self, Filter("finish"))

    @property
    def on_transition(self) -> Registrar[Transitioned]:
        """Call back at every move of an execution, and at its first sight."""
        return Registrar(self, Filter("transition"))

    @property
    def on_results_ready(self) -> Registrar[ResultsReady]:
        """Call back when the results of an execution that has succeeded can be read, which is later than its end."""
        return Registrar(self, Filter("results"))

    @property
    def on_anomaly(self) -> AnomalyRegistrar:
        """Call back when an anomaly is detected: `@on_anomaly` or `@on_anomaly(AnomalyKind.LEFT_TERMINAL, …)`."""
        return AnomalyRegistrar(self, "anomaly")

    @property
    def on_anomaly_cleared(self) -> AnomalyRegistrar:
        """Call back when an anomaly has ended; used like `on_anomaly`."""
        return AnomalyRegistrar(self, "cleared")

    def on_enter(self, *statuses: str) -> Registrar[Transitioned]:
        """Call back when an execution enters one of `statuses`: `@on_enter("assigned")`."""
        return Registrar(self, Filter("enter", _statuses(statuses)))

    def on_exit(self, *statuses: str) -> Registrar[Transitioned]:
        """Call back when an execution leaves one of `statuses`: `@on_exit(Status.QUEUED)`."""
        return Registrar(self, Filter("exit", _statuses(statuses)))

    def _entering(self, status: Status) -> Registrar[Transitioned]:
        return Registrar(self, Filter("enter", frozenset((status.value,))))


class Handlers(Registry):
    """A set of handlers, to be made apart from a monitor and handed to it: `Monitor(url, token, handlers=handlers)`.

    The monitor takes a copy when it is made. It checks then that its model has the statuses of `on_enter` and
    `on_exit`.
    """

    def __init__(self, handlers: Iterable[Handler] = (), *, durable: bool = False) -> None:
        """Make a set of handlers, empty or of copies of others.

        Args:
            handlers: The others.
            durable: Whether their names must be found again after a restart.

        Raises:
            ConfigurationError: One has the name of a local function, or of one of the program that is run.
        """
        self._durable = durable
        self._handlers = {handler.name: attrs.evolve(handler, filters=list(handler.filters)) for handler in handlers}
        for handler in self:
            self._check_name(handler)

    def register(self, callback: F, filter_: Filter, options: Options) -> F:
        """Register a callback; one that is registered already under its name gets a further filter."""
        check_callback(callback)
        chosen = checked(options)
        given = chosen.pop("name", None)
        name = given or name_of(callback)
        handler = self._handlers.get(name)
        if handler is None:
            handler = Handler(name, callback, [], is_named=given is not None)
            self._check_name(handler)
            self._handlers[name] = handler
        elif handler.callback is not callback and handler.callback != callback:
            raise ConfigurationError(f"two handlers have the name {name!r}: give one of them name=")
        for option, value in chosen.items():
            setattr(handler, option, value)
        handler.filters.append(filter_)
        return callback

    @property
    def want_results(self) -> bool:
        """Whether one is for results that can be read."""
        return any(filter_.about == "results" for handler in self for filter_ in handler.filters)

    def check(self, statuses: Collection[str]) -> None:
        """Refuse handlers that wait for a status which a model with these ones does not have.

        Raises:
            ConfigurationError: There is no such status.
        """
        for handler in self:
            for filter_ in handler.filters:
                try:
                    filter_.check(statuses)
                except ConfigurationError as error:
                    raise ConfigurationError(f"handler {shorten(handler.name)}: {error}") from None

    def _check_name(self, handler: Handler) -> None:
        if self._durable and not handler.is_named and needs_name(handler.name):
            raise ConfigurationError(
                f"handler {shorten(handler.name)} needs a name= of its own: a durable journal must find it again "
                "after a restart, and that name may then be another's"
            )

    def __iter__(self) -> Iterator[Handler]:
        return iter(tuple(self._handlers.values()))

    def __len__(self) -> int:
        return len(self._handlers)


def _statuses(statuses: tuple[str, ...]) -> frozenset[str]:
    if not statuses or not all(isinstance(status, str) for status in statuses):
        raise ConfigurationError('name at least one status: @on_enter("assigned")')
    return frozenset(str(status) for status in statuses)
