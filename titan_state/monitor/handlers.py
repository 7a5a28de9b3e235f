"""Handlers: the registry behind `@monitor.on_completed` and its like.

A handler is a callback with a filter and delivery options. The registry is shared by `Monitor` and `Handlers`; it
delivers nothing itself. What may be a callback is said in `callbacks.py`, how it is handed over in `registrars.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator
from typing import Any, TypeVar

import attrs

from titan_state.core.lifecycle import Status
from titan_state.errors import ConfigurationError, shorten
from titan_state.monitor.delivery.callbacks import Options, check_callback, checked, name_of, needs_name
from titan_state.monitor.delivery.handler import Filter, Handler
from titan_state.monitor.registrars import AnomalyRegistrar, ClearedRegistrar, ResultsRegistrar, TransitionRegistrar

F = TypeVar("F", bound=Callable[[Any], Any])


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
    def on_queued(self) -> TransitionRegistrar:
        """Call back when an execution enters `queued`."""
        return self._entering(Status.QUEUED)

    @property
    def on_running(self) -> TransitionRegistrar:
        """Call back when an execution enters `running`."""
        return self._entering(Status.RUNNING)

    @property
    def on_paused(self) -> TransitionRegistrar:
        """Call back when an execution enters `paused`."""
        return self._entering(Status.PAUSED)

    @property
    def on_completed(self) -> TransitionRegistrar:
        """Call back when an execution enters `completed`: `@on_completed` or `@on_completed(retries=5, timeout=30)`."""
        return self._entering(Status.COMPLETED)

    @property
    def on_completed_with_errors(self) -> TransitionRegistrar:
        """Call back when an execution enters `completed_with_errors`."""
        return self._entering(Status.COMPLETED_WITH_ERRORS)

    @property
    def on_failed(self) -> TransitionRegistrar:
        """Call back when an execution enters `failed`."""
        return self._entering(Status.FAILED)

    @property
    def on_cancelled(self) -> TransitionRegistrar:
        """Call back when an execution enters `cancelled`."""
        return self._entering(Status.CANCELLED)

    @property
    def on_finished(self) -> TransitionRegistrar:
        """Call back when an execution enters any terminal status."""
        return TransitionRegistrar(self, Filter("finish"))

    @property
    def on_transition(self) -> TransitionRegistrar:
        """Call back at every move of an execution, and at its first sight."""
        return TransitionRegistrar(self, Filter("transition"))

    @property
    def on_results_ready(self) -> ResultsRegistrar:
        """Call back when the results of an execution that has succeeded can be read, which is later than its end."""
        return ResultsRegistrar(self, Filter("results"))

    @property
    def on_anomaly(self) -> AnomalyRegistrar:
        """Call back when an anomaly is detected: `@on_anomaly` or `@on_anomaly(AnomalyKind.LEFT_TERMINAL, …)`."""
        return AnomalyRegistrar(self, Filter("anomaly"))

    @property
    def on_anomaly_cleared(self) -> ClearedRegistrar:
        """Call back when an anomaly has ended; used like `on_anomaly`."""
        return ClearedRegistrar(self, Filter("cleared"))

    def on_enter(self, *statuses: str) -> TransitionRegistrar:
        """Call back when an execution enters one of several statuses: `@on_enter("assigned")`.

        Args:
            statuses: The statuses, at least one.

        Raises:
            ConfigurationError: No status is named, or what is named is no text.
        """
        return TransitionRegistrar(self, Filter("enter", _statuses(statuses)))

    def on_exit(self, *statuses: str) -> TransitionRegistrar:
        """Call back when an execution leaves one of several statuses: `@on_exit(Status.QUEUED)`.

        Args:
            statuses: The statuses, at least one.

        Raises:
            ConfigurationError: No status is named, or what is named is no text.
        """
        return TransitionRegistrar(self, Filter("exit", _statuses(statuses)))

    def _entering(self, status: Status) -> TransitionRegistrar:
        return TransitionRegistrar(self, Filter("enter", frozenset((status.value,))))


class Handlers(Registry):
    """A set of handlers, to be made apart from a monitor and handed to it.

    ```python
    handlers = Handlers()


    @handlers.on_completed(retries=5)
    async def export(event): ...


    monitor = Monitor(url, token, handlers=handlers)
    ```

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
        """Register a callback; one that is registered already under its name gets a further filter.

        The registrars (`on_completed` and the others) do this; there is seldom a need to call it.

        Args:
            callback: A function of one argument, the event.
            filter_: The events it is for.
            options: How they are delivered; see `Options` in the reference of handlers.

        Returns:
            The callback.

        Raises:
            ConfigurationError: The callback or an option cannot work, or another handler has the name.
        """
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
            raise ConfigurationError(f"two handlers have the name {shorten(name)!r}: give one of them another as name=")
        for option, value in chosen.items():
            setattr(handler, option, value)
        handler.filters.append(filter_)
        return callback

    @property
    def want_results(self) -> bool:
        """Whether one is for results that can be read."""
        return any(filter_.about == "results" for handler in self for filter_ in handler.filters)

    def check(self, statuses: Collection[str]) -> None:
        """Refuse handlers that wait for a status which a model does not have.

        Args:
            statuses: The statuses of the model (`Lifecycle.statuses`).

        Raises:
            ConfigurationError: A handler waits for a status that is not among them.
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
