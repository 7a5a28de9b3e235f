"""Handler: a callback, what it is called for, and how it is delivered to. It calls nothing itself."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Collection
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any, Literal

import attrs

from titan_state.core.events import AnomalyCleared, AnomalyDetected, Event, ResultsReady, Transitioned
from titan_state.errors import ConfigurationError, shorten

if TYPE_CHECKING:
    from titan_state.journal.base import Since


@attrs.frozen
class Filter:
    """Which events a handler is for.

    Attributes:
        about: What kind of event.
        values: The statuses or kinds of anomaly; empty for all.
    """

    about: Literal["enter", "exit", "finish", "transition", "anomaly", "cleared", "results"]
    values: frozenset[str] = frozenset()

    def check(self, statuses: Collection[str]) -> None:
        """Refuse a status that no execution can enter or leave, in a model with these ones.

        Raises:
            ConfigurationError: There is no such status; the message names those that there are.
        """
        if self.about not in ("enter", "exit"):
            return
        for status in sorted(self.values.difference(statuses)):
            near = get_close_matches(status.casefold(), statuses, 1)
            raise ConfigurationError(
                f"the model has no status {shorten(repr(status))}{f', did you mean {near[0]!r}?' if near else ';'} "
                f"it has {shorten(', '.join(statuses))} (Lifecycle.extend adds further ones)"
            )

    def matches(self, event: Event, terminal: frozenset[str]) -> bool:
        """Return whether an event passes, in a model with these terminal statuses."""
        if isinstance(event, Transitioned):
            match self.about:
                case "enter":
                    return event.dest in self.values
                case "exit":
                    return event.source in self.values
                case "finish":
                    return event.dest in terminal
                case about:
                    return about == "transition"
        if isinstance(event, ResultsReady):
            return self.about == "results"
        if isinstance(event, AnomalyDetected):
            return self.about == "anomaly" and (not self.values or event.kind in self.values)
        if isinstance(event, AnomalyCleared):
            return self.about == "cleared" and (not self.values or event.kind in self.values)
        return False


@attrs.define(eq=False)
class Handler:
    """A callback, what it is called for, and how.

    Attributes:
        name: Its name, unique in its registry.
        callback: The function, `def` or `async def`, called with the event.
        filters: It is called for an event that passes one of them, once.
        retries: How often a failed delivery is tried again.
        backoff: Seconds before the first further attempt; doubled for each one after it.
        timeout: Seconds that one attempt may take; None for as long as it takes.
        tasks: The tasks for whose executions it is called; empty for all.
        since: Where it begins when its name is new to the journal; None for now.
        is_named: Whether the name was chosen, and is not the callback's own.
    """

    name: str
    callback: Callable[[Any], Any]
    filters: list[Filter]
    retries: int = 3
    backoff: float = 1.0
    timeout: float | None = None
    tasks: frozenset[str] = frozenset()
    since: Since | None = None
    is_named: bool = False

    @property
    def is_async(self) -> bool:
        """Whether the callback is a coroutine function, and so is called on the event loop."""
        called = type(self.callback).__call__  # an object's may be a coroutine function
        return inspect.iscoroutinefunction(self.callback) or inspect.iscoroutinefunction(called)

    def wants(self, event: Event, terminal: frozenset[str]) -> bool:
        """Return whether the callback is called for an event."""
        if self.tasks and (event.execution is None or event.execution.task_id not in self.tasks):
            return False
        return any(filter_.matches(event, terminal) for filter_ in self.filters)
