"""OpenTelemetry: what users hand to a monitor, a subscriber or a service to have it measured.

It puts the parts together: requests, deliveries and actions are spans and durations; events are counted when they are
written down; everything else is read from the monitor when an exporter asks.
"""

from __future__ import annotations

from importlib import metadata
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from opentelemetry import context as contexts
from opentelemetry import metrics, trace
from opentelemetry.context import Context

from titan_state.core.anomalies import RULES
from titan_state.core.events import ActionEvent, AnomalyCleared, AnomalyDetected, Transitioned
from titan_state.core.redaction import redacted
from titan_state.errors import shorten
from titan_state.telemetry import catalog
from titan_state.telemetry.catalog import ACCOUNT, SCHEMA_URL, SCOPE, TASK
from titan_state.telemetry.requests import UNMEASURED, Requests
from titan_state.telemetry.safety import harmless
from titan_state.telemetry.sources import Counted, Source, Sources
from titan_state.telemetry.work import Acting, Acts, Delivering

if TYPE_CHECKING:
    from collections.abc import Callable, MutableMapping, Sequence

    from opentelemetry.metrics import Counter, Histogram, Meter, MeterProvider
    from opentelemetry.trace import Tracer, TracerProvider

    from titan_state.core.anomalies import AnomalyKind, Severity
    from titan_state.core.events import Event
    from titan_state.core.lifecycle import Action
    from titan_state.instrumentation import Figure, Sending
    from titan_state.telemetry.catalog import Metric

VERSION = metadata.version("titan-state")


class OpenTelemetry:
    """Measures monitors and subscribers, as metrics and traces of OpenTelemetry.

    ```python
    async with Monitor(url, token, telemetry=OpenTelemetry()) as monitor:
        ...
    ```

    One object may measure any number of them. What goes where is the business of the providers: of an SDK that is set
    up in the program, of `opentelemetry-instrument`, or of those that are given here.
    """

    def __init__(
        self,
        *,
        meter_provider: MeterProvider | None = None,
        tracer_provider: TracerProvider | None = None,
        task_ids: bool = False,
        propagates: bool = False,
    ) -> None:
        """Make what measures.

        Args:
            meter_provider: Takes the metrics, the global one by default.
            tracer_provider: Takes the spans, the global one by default.
            task_ids: Whether metrics of events tell tasks apart (`titan_state.task.id`): where there are few.
            propagates: Whether the context of traces is sent to the Task Service (`traceparent`): where that is
                measured, too, and trusted with it.
        """
        self._meter_provider = meter_provider
        self._tracer_provider = tracer_provider
        self._task_ids = task_ids
        self._propagates = propagates
        self._counted = Counted()

    def instrument(self, account: str, clean: Callable[[str], str]) -> AccountInstrumentation:
        """Return what one monitor, or one subscriber, tells of its work.

        Args:
            account: Whose executions these are.
            clean: Takes credentials out of a text.
        """
        meters = self._meter_provider or metrics.get_meter_provider()
        tracers = self._tracer_provider or trace.get_tracer_provider()
        return AccountInstrumentation(
            shorten(redacted(clean(account))),
            clean,
            instruments_of(meters),
            tracers.get_tracer(SCOPE, VERSION, SCHEMA_URL),
            self._counted,
            task_ids=self._task_ids,
            propagates=self._propagates,
        )


class Instruments:
    """The instruments of one provider, which all that is measured shares."""

    def __init__(self, meter: Meter) -> None:
        """Make them.

        Args:
            meter: Makes instruments.
        """
        self.requests = _histogram(meter, catalog.REQUEST_DURATION)
        self.processing = _histogram(meter, catalog.PROCESS_DURATION)
        self.consumed = _counter(meter, catalog.CONSUMED)
        self.transitions = _counter(meter, catalog.TRANSITIONS)
        self.delays = _histogram(meter, catalog.DELAY)
        self.detected = _counter(meter, catalog.DETECTED)
        self.cleared = _counter(meter, catalog.CLEARED)
        self.actions = _counter(meter, catalog.ACTIONS)
        self.sources = Sources(meter)


_known: WeakKeyDictionary[Any, Instruments] = WeakKeyDictionary()


def instruments_of(provider: MeterProvider) -> Instruments:
    """Return the instruments of a provider: an SDK lets nobody add to those that are read, so they are made once."""
    found = _known.get(provider)
    if found is None and provider is metrics.get_meter_provider():
        # Made before an SDK was set up, they are the SDK's since.
        found = next(
            (made for earlier, made in _known.items() if type(earlier).__name__ == "_ProxyMeterProvider"), None
        )
    if found is None:
        found = Instruments(provider.get_meter(SCOPE, VERSION, SCHEMA_URL))
    _known[provider] = found
    return found


def _histogram(meter: Meter, metric: Metric) -> Histogram:
    return meter.create_histogram(
        metric.name, metric.unit, metric.description, explicit_bucket_boundaries_advisory=metric.bounds
    )


def _counter(meter: Meter, metric: Metric) -> Counter:
    return meter.create_counter(metric.name, metric.unit, metric.description)


class AccountInstrumentation:
    """What one monitor, or one subscriber, tells of its work. Nothing in here raises."""

    def __init__(
        self,
        account: str,
        clean: Callable[[str], str],
        instruments: Instruments,
        tracer: Tracer,
        counted: Counted,
        *,
        task_ids: bool,
        propagates: bool,
    ) -> None:
        """Make it; nothing is shown yet.

        Args:
            account: Whose executions these are.
            clean: Takes credentials out of a text.
            instruments: Take the numbers.
            tracer: Makes spans.
            counted: What was counted by those before.
            task_ids: Whether metrics of events tell tasks apart.
            propagates: Whether the context of traces is sent to the Task Service.
        """
        self._account = {ACCOUNT: account}
        self._clean = clean
        self._instruments = instruments
        self._tracer = tracer
        self._counted = counted
        self._task_ids = task_ids
        self._requests = Requests(tracer, instruments.requests, self._account, propagates=propagates)
        self._acts = Acts()
        self._source: Source | None = None
        self._counts = False

    def sending(
        self,
        method: str,
        url: str,
        headers: MutableMapping[str, str],
        *,
        clean: Callable[[str], str],
        is_ours: bool,
        resends: int,
    ) -> Sending:
        """Take in that a request leaves now."""
        request: Sending | None = None
        with harmless("a request"):
            request = self._requests.begin(method, url, headers, clean=clean, is_ours=is_ours, resends=resends)
        return UNMEASURED if request is None else request

    def delivering(self, handler: str, event: Event, attempts: int) -> Delivering:
        """Go round one call of a callback."""
        durations, consumed = self._instruments.processing, self._instruments.consumed
        return Delivering(
            self._tracer, durations, consumed, self._account, self._acts, self._clean, handler, event, attempts
        )

    def acting(self, execution_id: str, action: Action) -> Acting:
        """Go round a control action."""
        return Acting(self._tracer, self._account, self._acts, self._clean, execution_id, action)

    def reached(self, step: str, **facts: str | bool) -> None:
        """Take in how far the control action has come that is under way here."""
        with harmless("a control action"):
            attributes = {f"titan_state.{name}": self._shown(value) for name, value in facts.items()}
            trace.get_current_span().add_event(step, attributes)

    def _shown(self, value: str | bool) -> str | bool:
        return shorten(redacted(self._clean(value))) if isinstance(value, str) else value

    def published(self, events: Sequence[Event]) -> None:
        """Count events that were written down; at the first time, count from nought what should not come up at all."""
        with harmless("an event"):
            if not self._counts:
                self._counts = True
                self._count_nothing()
            for event in events:
                self._count(event)

    def _count_nothing(self) -> None:
        """Begin the counts of anomalies: what begins with one is no increase to whoever reads it."""
        for kind, rule in RULES.items():
            told = self._of_anomaly(kind, rule.severity)
            self._instruments.detected.add(0, told)
            if rule.ends:
                self._instruments.cleared.add(0, told)

    def _of_anomaly(self, kind: AnomalyKind, severity: Severity) -> dict[str, str]:
        told = {"titan_state.anomaly.kind": kind.value, "titan_state.anomaly.severity": severity.value}
        return {**self._account, **told}

    def _count(self, event: Event) -> None:
        common, instruments = dict(self._account), self._instruments
        if self._task_ids and event.execution is not None and event.execution.task_id is not None:
            common[TASK] = event.execution.task_id
        if isinstance(event, Transitioned):
            attributes: dict[str, str | bool] = {
                **common,
                "titan_state.transition.dest": event.dest,
                "titan_state.transition.inferred": event.inferred,
                "titan_state.transition.forced": event.forced,
                "titan_state.transition.cause": event.cause,
            }
            if event.source is not None:
                attributes["titan_state.transition.source"] = event.source
            instruments.transitions.add(1, attributes)
            delay_s = delay_of(event)
            if delay_s is not None:
                instruments.delays.record(delay_s, {**common, "titan_state.transition.dest": event.dest})
        elif isinstance(event, AnomalyDetected | AnomalyCleared):
            counter = instruments.detected if isinstance(event, AnomalyDetected) else instruments.cleared
            counter.add(1, {**common, **self._of_anomaly(event.kind, RULES[event.kind].severity)})
        elif isinstance(event, ActionEvent):
            outcome = event.type.removeprefix("action_")
            acted = {"titan_state.action.name": event.action.value, "titan_state.action.outcome": outcome}
            instruments.actions.add(1, {**common, **acted})

    def stand_apart(self) -> None:
        """Have what this task does from now on be nobody's part."""
        with harmless("a task"):
            contexts.attach(Context())  # a task's context is its own, and ends with it

    def show(self, figures: Callable[[], Sequence[Figure]]) -> None:
        """Have numbers read whenever somebody asks for them, until `leave`."""
        with harmless("a monitor"):
            self._source = Source(self._account[ACCOUNT], figures, self._counted)
            self._instruments.sources.add(self._source)

    def leave(self) -> None:
        """Show nothing any more."""
        source, self._source = self._source, None
        if source is not None:
            with harmless("a monitor"):
                self._instruments.sources.remove(source)
                source.close()


def delay_of(event: Transitioned) -> float | None:
    """Return an estimate of how long after a move it was noticed, in seconds; None where nothing can be said.

    The move lies somewhere between the read before and the one that showed it. With nothing more known it lies halfway
    on average, so the truth is between nought and twice the estimate; a lagging replica may add `replica_lag_s`. First
    sights have no read before, and inferred moves are part of what the last one of them is counted for.
    """
    if event.source is None or event.inferred or event.after is None:
        return None
    return max(0.0, (event.before - event.after).total_seconds() / 2)
