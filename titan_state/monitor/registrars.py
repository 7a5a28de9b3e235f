"""Registrars: what `@monitor.on_completed` and its like are, one for each kind of event.

Each takes a callback, says by its type which events that must accept, and hands it on to the registry as it is. What
may be a callback beyond its type is said in `callbacks.py`; what registering means is for the registry to say.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, TypeVar, Unpack, overload

from titan_state.core.anomalies import AnomalyKind
from titan_state.core.events import AnomalyCleared, AnomalyDetected, ResultsReady, Transitioned
from titan_state.errors import ConfigurationError
from titan_state.monitor.delivery.callbacks import Options
from titan_state.monitor.delivery.handler import Filter

if TYPE_CHECKING:
    from titan_state.monitor.handlers import Registry

# One for each kind of event: a callback for another kind is an error to type checkers, and keeps its own type else.
OfTransition = TypeVar("OfTransition", bound=Callable[[Transitioned], Any])
OfResults = TypeVar("OfResults", bound=Callable[[ResultsReady], Any])
OfDetection = TypeVar("OfDetection", bound=Callable[[AnomalyDetected], Any])
OfClearing = TypeVar("OfClearing", bound=Callable[[AnomalyCleared], Any])

NOTHING: Final[Any] = object()  # a callback that is to come: None would hide a mistake


class Registrar:
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

    def _register(self, callback: Any, filter_: Filter, options: Options) -> Any:
        if callback is NOTHING:
            return lambda function: self._registry.register(function, filter_, options)
        return self._registry.register(callback, filter_, options)


class TransitionRegistrar(Registrar):
    """Registers a callback for moves, which gets a `Transitioned`; see `Registrar`."""

    @overload
    def __call__(self, callback: OfTransition, /, **options: Unpack[Options]) -> OfTransition: ...

    @overload
    def __call__(self, /, **options: Unpack[Options]) -> Callable[[OfTransition], OfTransition]: ...

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
        return self._register(callback, self._filter, options)


class ResultsRegistrar(Registrar):
    """Registers a callback for results that can be read, which gets a `ResultsReady`; see `Registrar`."""

    @overload
    def __call__(self, callback: OfResults, /, **options: Unpack[Options]) -> OfResults: ...

    @overload
    def __call__(self, /, **options: Unpack[Options]) -> Callable[[OfResults], OfResults]: ...

    def __call__(self, callback: Any = NOTHING, /, **options: Unpack[Options]) -> Any:
        """Register `callback`, or return a decorator that does. See `TransitionRegistrar.__call__`."""
        return self._register(callback, self._filter, options)


class OfKinds(Registrar):
    """What the registrars of anomalies share: kinds may be named before the options."""

    def _register_for(self, arguments: tuple[Any, ...], options: Options) -> Any:
        is_call = bool(arguments) and callable(arguments[0])
        callback, kinds = (arguments[0], arguments[1:]) if is_call else (NOTHING, arguments)
        try:
            values = frozenset(AnomalyKind(kind).value for kind in kinds)
        except ValueError as error:
            raise ConfigurationError(f"{error}; the kinds are {', '.join(AnomalyKind)}") from None
        return self._register(callback, Filter(self._filter.about, values), options)


class AnomalyRegistrar(OfKinds):
    """Registers a callback for anomalies, of all kinds or of those named first; it gets an `AnomalyDetected`."""

    @overload
    def __call__(
        self, callback: OfDetection, /, *kinds: AnomalyKind | str, **options: Unpack[Options]
    ) -> OfDetection: ...

    @overload
    def __call__(
        self, /, *kinds: AnomalyKind | str, **options: Unpack[Options]
    ) -> Callable[[OfDetection], OfDetection]: ...

    def __call__(self, /, *arguments: Any, **options: Unpack[Options]) -> Any:
        """Register a callback for kinds of anomalies, all by default, or return a decorator that does.

        Args:
            arguments: The callback, if it is no decorator, then kinds of anomalies.
            options: How it is delivered, see `TransitionRegistrar`.

        Returns:
            The callback itself.

        Raises:
            ConfigurationError: There is no such kind, the callback or an option cannot work, or another handler has
                the name.
        """
        return self._register_for(arguments, options)


class ClearedRegistrar(OfKinds):
    """Registers a callback for the end of anomalies, used like `AnomalyRegistrar`; it gets an `AnomalyCleared`."""

    @overload
    def __call__(
        self, callback: OfClearing, /, *kinds: AnomalyKind | str, **options: Unpack[Options]
    ) -> OfClearing: ...

    @overload
    def __call__(
        self, /, *kinds: AnomalyKind | str, **options: Unpack[Options]
    ) -> Callable[[OfClearing], OfClearing]: ...

    def __call__(self, /, *arguments: Any, **options: Unpack[Options]) -> Any:
        """Register a callback for kinds of anomalies that have ended. See `AnomalyRegistrar.__call__`."""
        return self._register_for(arguments, options)
