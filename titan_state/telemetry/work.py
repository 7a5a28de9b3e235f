"""Work: spans round what is done for events and by control actions, in which the user's own spans are children."""

from __future__ import annotations

from collections import OrderedDict
from time import perf_counter
from typing import TYPE_CHECKING, Final

from opentelemetry import context as contexts
from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.trace import Link, SpanKind, Status, StatusCode

from titan_state.core.events import ActionEvent, Transitioned
from titan_state.telemetry.safety import describe, harmless, type_of

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextvars import Token
    from types import TracebackType

    from opentelemetry.metrics import Counter, Histogram
    from opentelemetry.trace import Span, SpanContext, Tracer

    from titan_state.core.events import Event
    from titan_state.core.lifecycle import Action

SYSTEM: Final = "titan_state"
"""The `messaging.system`: none that the conventions list."""

DESTINATION: Final = "events"
"""The `messaging.destination.name`: the log of events; whose it is, the account says."""

MOST_ACTIONS: Final = 1000
"""Of how many control actions the spans are remembered, so that what they cause is linked to them."""


class Around:
    """Goes round some work with a span that is the current one meanwhile."""

    def __init__(self, clean: Callable[[str], str]) -> None:
        self._clean = clean
        self._span: Span = trace.INVALID_SPAN
        self._token: Token[Context] | None = None
        self._began = 0.0

    def __enter__(self) -> None:
        with harmless("a callback or a control action"):
            self._span = self._start()
            self._token = contexts.attach(self._within(trace.set_span_in_context(self._span)))
        self._began = perf_counter()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace_: TracebackType | None
    ) -> None:
        seconds = perf_counter() - self._began
        if self._token is not None:
            contexts.detach(self._token)
        with harmless("a callback or a control action"):
            if error is not None and self._span.is_recording():
                self._span.set_attribute("error.type", type_of(error))
                self._span.set_status(Status(StatusCode.ERROR))
                describe(self._span, error, self._clean)
            self._ended(seconds, error)
            self._span.end()

    def _start(self) -> Span:
        raise NotImplementedError

    def _within(self, context: Context) -> Context:
        return context

    def _ended(self, seconds: float, error: BaseException | None) -> None:
        """Record more than the span; nothing, unless a kind of work says otherwise."""


class Acts:
    """Remembers the spans of control actions by the executions that they were for."""

    def __init__(self) -> None:
        self._spans: OrderedDict[str, SpanContext] = OrderedDict()

    def began(self, execution_id: str, span: SpanContext) -> None:
        """Take in that an action is under way."""
        self._spans[execution_id] = span
        self._spans.move_to_end(execution_id)
        while len(self._spans) > MOST_ACTIONS:
            self._spans.popitem(last=False)

    def behind(self, event: Event) -> list[Link]:
        """Return a link to the action that has led to an event, nothing if none of ours has."""
        is_ours = isinstance(event, ActionEvent) or (isinstance(event, Transitioned) and event.cause == "action")
        span = self._spans.get(event.execution_id) if is_ours else None
        return [] if span is None else [Link(span)]


class Delivering(Around):
    """Goes round one call of a callback."""

    def __init__(
        self,
        tracer: Tracer,
        durations: Histogram,
        consumed: Counter,
        account: dict[str, str],
        acts: Acts,
        clean: Callable[[str], str],
        handler: str,
        event: Event,
        attempts: int,
    ) -> None:
        super().__init__(clean)
        self._tracer = tracer
        self._durations = durations
        self._consumed = consumed
        self._acts = acts
        self._handler = handler
        self._event = event
        self._attempts = attempts
        self._attributes: dict[str, str | int] = {
            **account,
            "messaging.system": SYSTEM,
            "messaging.operation.name": "process",
            "messaging.destination.name": DESTINATION,
            "messaging.destination.subscription.name": handler,
        }

    def _start(self) -> Span:
        event = self._event
        attributes = {
            **self._attributes,
            "messaging.operation.type": "process",
            "messaging.message.id": event.id,
            "titan_state.event.type": event.type,
            "titan_state.execution.id": event.execution_id,
            "titan_state.delivery.attempt": self._attempts + 1,
        }
        task_id = None if event.execution is None else event.execution.task_id
        if task_id is not None:
            attributes["titan_state.task.id"] = task_id
        # A root, whatever was going on where its handler was registered.
        return self._tracer.start_span(
            f"process {self._handler}",
            Context(),
            kind=SpanKind.CONSUMER,
            attributes=attributes,
            links=self._acts.behind(event),
        )

    def _within(self, context: Context) -> Context:
        return trace.set_span_in_context(self._span, Context())

    def _ended(self, seconds: float, error: BaseException | None) -> None:
        if error is not None:
            self._attributes["error.type"] = type_of(error)
        context = trace.set_span_in_context(self._span, Context())
        self._durations.record(seconds, self._attributes, context)
        self._consumed.add(1, self._attributes, context)


class Acting(Around):
    """Goes round one control action."""

    def __init__(
        self,
        tracer: Tracer,
        account: dict[str, str],
        acts: Acts,
        clean: Callable[[str], str],
        execution_id: str,
        action: Action,
    ) -> None:
        super().__init__(clean)
        self._tracer = tracer
        self._account = account
        self._acts = acts
        self._execution_id = execution_id
        self._action = action

    def _start(self) -> Span:
        attributes = {
            **self._account,
            "titan_state.action.name": self._action.value,
            "titan_state.execution.id": self._execution_id,
        }
        span = self._tracer.start_span(f"{self._action.value} execution", attributes=attributes)
        self._acts.began(self._execution_id, span.get_span_context())
        return span
