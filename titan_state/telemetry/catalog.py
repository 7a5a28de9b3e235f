"""Catalog: every metric and every span, with what tells its values apart. It measures nothing, and needs no extra.

Names, units and attributes are those of OpenTelemetry's semantic conventions where these have one, for HTTP clients
and for messaging; else they begin with `titan_state.`. The tests hold it against what is really exported, and
`docs/how-to/telemetry.md` against it.
"""

from __future__ import annotations

from typing import Final, Literal

import attrs

SCOPE: Final = "titan_state"
"""The name of the instrumentation scope."""

SCHEMA_URL: Final = "https://opentelemetry.io/schemas/1.44.0"
"""The version of the semantic conventions that names follow."""

ACCOUNT: Final = "titan_state.account"
"""Whose executions: on every metric and every span."""

TASK: Final = "titan_state.task.id"
"""The task of an execution: only where it was asked for (`OpenTelemetry(task_ids=True)`)."""

REQUEST_BOUNDS: Final = (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0)
"""What the conventions advise for requests and for what is done with messages, in seconds."""

PROCESS_BOUNDS: Final = (*REQUEST_BOUNDS, 30.0, 60.0, 300.0)
"""The same, and what callbacks take that export results."""

DELAY_BOUNDS: Final = (0.25, 0.5, 1.0, 2.0, 3.0, 5.0, 7.5, 10.0, 15.0, 20.0, 30.0, 45.0, 60.0, 120.0, 300.0, 900.0)
"""From a list that is read every second to one that is full of executions, in seconds."""

Instrument = Literal["counter", "histogram", "observable_counter", "observable_gauge", "observable_up_down_counter"]


@attrs.frozen
class Metric:
    """One metric.

    Attributes:
        name: Its name.
        instrument: The kind of instrument; what is observable is read when somebody asks.
        unit: Its unit, by UCUM.
        description: What it says.
        labels: The attributes that tell its values apart, beside the account.
        bounds: The bounds of its buckets.
    """

    name: str
    instrument: Instrument
    unit: str
    description: str
    labels: tuple[str, ...] = ()
    bounds: tuple[float, ...] = ()


HTTP: Final = (
    "http.request.method",
    "server.address",
    "server.port",
    "url.template",
    "http.response.status_code",
    "error.type",
)
MESSAGING: Final = (
    "messaging.system",
    "messaging.operation.name",
    "messaging.destination.name",
    "messaging.destination.subscription.name",
    "error.type",
)

REQUEST_DURATION: Final = Metric(
    "http.client.request.duration", "histogram", "s", "Duration of HTTP client requests.", HTTP, REQUEST_BOUNDS
)
PROCESS_DURATION: Final = Metric(
    "messaging.process.duration",
    "histogram",
    "s",
    "Duration of calls of callbacks.",
    MESSAGING,
    PROCESS_BOUNDS,
)
CONSUMED: Final = Metric(
    "messaging.client.consumed.messages",
    "counter",
    "{message}",
    "Events that were handed to callbacks; each further attempt counts.",
    MESSAGING,
)
TRANSITIONS: Final = Metric(
    "titan_state.transitions",
    "counter",
    "{transition}",
    "Moves of executions from one status to another; without a source, first sights.",
    (
        "titan_state.transition.source",
        "titan_state.transition.dest",
        "titan_state.transition.inferred",
        "titan_state.transition.forced",
        "titan_state.transition.cause",
        TASK,
    ),
)
DELAY: Final = Metric(
    "titan_state.detection.delay",
    "histogram",
    "s",
    "Estimate of how long after a move it was noticed: half the time since the read before.",
    ("titan_state.transition.dest", TASK),
    DELAY_BOUNDS,
)
DETECTED: Final = Metric(
    "titan_state.anomaly.detected",
    "counter",
    "{anomaly}",
    "Anomalies that were detected.",
    ("titan_state.anomaly.kind", "titan_state.anomaly.severity", TASK),
)
CLEARED: Final = Metric(
    "titan_state.anomaly.cleared",
    "counter",
    "{anomaly}",
    "Anomalies that have ended.",
    ("titan_state.anomaly.kind", "titan_state.anomaly.severity", TASK),
)
ACTIONS: Final = Metric(
    "titan_state.actions",
    "counter",
    "{action}",
    "Control actions: those about to be sent, and what became of them.",
    ("titan_state.action.name", "titan_state.action.outcome", TASK),
)

RECORDED: Final = (
    REQUEST_DURATION,
    PROCESS_DURATION,
    CONSUMED,
    TRANSITIONS,
    DELAY,
    DETECTED,
    CLEARED,
    ACTIONS,
)
"""What is recorded when it happens."""

_HANDLER: Final = ("titan_state.handler",)
_SUBSCRIPTION: Final = ("titan_state.subscription",)


def _counter(name: str, unit: str, description: str, *labels: str) -> Metric:
    return Metric(f"{SCOPE}.{name}", "observable_counter", unit, description, labels)


def _gauge(name: str, unit: str, description: str, *labels: str) -> Metric:
    return Metric(f"{SCOPE}.{name}", "observable_gauge", unit, description, labels)


def _amount(name: str, unit: str, description: str, *labels: str) -> Metric:
    return Metric(f"{SCOPE}.{name}", "observable_up_down_counter", unit, description, labels)


OBSERVED: Final = (
    _counter("request.sent", "{request}", "Requests that were sent to the Task Service."),
    _counter("request.throttled", "{request}", "Requests that were answered by 429, or its like."),
    _gauge("budget.limit", "{request}", "How many requests may be sent in a minute."),
    _gauge("budget.remaining", "{request}", "How many requests may still be sent in the present minute."),
    _gauge("detection.expected_delay", "s", "How long after a change it is noticed on average, by the plan."),
    _counter("observation.taken", "{observation}", "What reads said of single executions, unchanged or not."),
    _counter("observation.stale", "{observation}", "Observations that were dropped: older than what was known."),
    _counter("observation.suspected", "{observation}", "Contradictions that were held back for confirmation."),
    _counter("observation.dismissed", "{observation}", "Contradictions that a later read did not confirm."),
    _counter("item.unreadable", "{item}", "Items of lists that could not be read."),
    _amount("executions", "{execution}", "Executions that are kept in full, by status.", "titan_state.status"),
    _amount(
        "anomaly.open",
        "{anomaly}",
        "Anomalies that were detected and have not ended, of executions that are kept in full.",
        "titan_state.anomaly.kind",
        "titan_state.anomaly.severity",
    ),
    _counter(
        "delivery.finished",
        "{delivery}",
        "Deliveries to handlers of this process that came to an end.",
        *_HANDLER,
        "titan_state.delivery.outcome",
    ),
    _counter("delivery.retries", "{attempt}", "Attempts that failed and are followed by another one.", *_HANDLER),
    _amount("delivery.pending", "{delivery}", "Deliveries to handlers of this process that are open.", *_HANDLER),
    _gauge("delivery.oldest_age", "s", "How old the oldest event is that is being delivered.", *_HANDLER),
    _gauge("subscription.waiting", "{event}", "Events that a subscription has not looked at.", *_SUBSCRIPTION),
    _gauge("subscription.unfinished", "{delivery}", "Deliveries that are to be tried again.", *_SUBSCRIPTION),
    _gauge("subscription.dead_letters", "{delivery}", "Deliveries that were given up.", *_SUBSCRIPTION),
    _amount("outbox.waiting", "{event}", "Events that wait to be written into the journal."),
    _gauge("outbox.oldest_age", "s", "How old the oldest event is that waits to be written into the journal."),
    _gauge("monitor.ready", "1", "1 where the account is led, seen and written down as it should be, else 0."),
    _gauge("monitor.blind", "1", "1 where nothing is seen of the service for too long, else 0."),
    _gauge("leader.active", "1", "1 where this process leads the account, else 0."),
    _counter("leader.terms", "{term}", "How often this process has begun to lead the account."),
)
"""What is read when somebody asks for it: `titan_state.monitor.figures` by the same names."""

METRICS: Final = (*RECORDED, *OBSERVED)
"""Every metric."""


@attrs.frozen
class Span:
    """One kind of span.

    Attributes:
        name: Its name, with what is filled in.
        kind: `CLIENT`, `CONSUMER` or `INTERNAL`.
        description: What it goes round.
        attributes: What it may carry beside the account.
    """

    name: str
    kind: Literal["CLIENT", "CONSUMER", "INTERNAL"]
    description: str
    attributes: tuple[str, ...]


SPANS: Final = (
    Span(
        "{method} {url.template}",
        "CLIENT",
        "One HTTP request, from when it leaves to the end of its answer.",
        (
            *HTTP,
            "url.full",
            "http.request.resend_count",
            "titan_state.request.throttled",
        ),
    ),
    Span(
        "process {handler}",
        "CONSUMER",
        "One call of a callback with an event.",
        (
            *MESSAGING,
            "messaging.operation.type",
            "messaging.message.id",
            "titan_state.event.type",
            "titan_state.execution.id",
            "titan_state.task.id",
            "titan_state.delivery.attempt",
        ),
    ),
    Span(
        "{action} execution",
        "INTERNAL",
        "One control action, from the check of its legality to its answer.",
        ("titan_state.action.name", "titan_state.execution.id", "error.type"),
    ),
)
"""Every kind of span."""
