"""Traces: what spans there are, what they carry, whose children they are; and what cannot be measured."""

from __future__ import annotations

import asyncio
import logging
from datetime import UTC, datetime

import pytest
from opentelemetry import trace
from opentelemetry.semconv.attributes import (
    error_attributes,
    exception_attributes,
    http_attributes,
    server_attributes,
    url_attributes,
)
from opentelemetry.trace import SpanKind, StatusCode
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from titan_state import Handlers, IllegalActionError
from titan_state.core.events import Transitioned
from titan_state.emulator import Faults, Plan, Step, When
from titan_state.monitor.local import local_monitor
from titan_state.telemetry import catalog, safety
from titan_state.telemetry.catalog import ACCOUNT
from titan_state.telemetry.open_telemetry import delay_of
from titan_state.telemetry.requests import shown, template_of

STATUS = http_attributes.HTTP_RESPONSE_STATUS_CODE

LONG = Plan(id="long", task_id="nightly", steps=[Step("running", 1.0)])


def parent_of(span):
    return None if span.parent is None else span.parent.span_id


async def test_a_span_for_each_request(service, measured, exported, clock, until):
    """A request is a CLIENT span, named by its template, with the attributes that the conventions ask for."""
    service.add(LONG)
    async with measured(account="shop") as monitor:
        monitor.watch("long")
        await until(lambda: exported.spans("GET"))
    span = exported.spans("GET")[0]
    assert span.name == "GET /api/v1/executions/{execution_id}"
    assert span.kind is SpanKind.CLIENT
    assert span.status.status_code is StatusCode.UNSET
    port = int(service.url.rpartition(":")[2])
    assert dict(span.attributes) == {
        ACCOUNT: "shop",
        http_attributes.HTTP_REQUEST_METHOD: "GET",
        http_attributes.HTTP_RESPONSE_STATUS_CODE: 200,
        server_attributes.SERVER_ADDRESS: "127.0.0.1",
        server_attributes.SERVER_PORT: port,
        url_attributes.URL_FULL: f"{service.url}/api/v1/executions/long",
        "url.template": "/api/v1/executions/{execution_id}",
    }
    assert len(exported.spans("GET")) == len(service.requests)


async def test_requests_that_fail(service, measured, exported, clock, until):
    """Refusals, throttled requests and broken connections are told apart, in spans and in durations."""
    service.add(LONG)
    service.faults = Faults(
        server_error=When(at={1}),
        error_statuses=(503,),
        spurious_429=When(at={2}),
        reset=When(at={3}),
        truncated=When(at={4}),
    )

    def failed(kind, status):
        """Return the spans that ended so."""
        wanted = (kind, status)
        found = [(one.attributes.get("error.type"), one.attributes.get(STATUS)) for one in exported.spans("GET")]
        return [span for span, so in zip(exported.spans("GET"), found, strict=True) if so == wanted]

    lost = "titan_state.errors.ConnectionFailedError"
    kinds = [("503", 503), ("429", 429), (lost, None), (lost, 200), (None, 200)]
    async with measured() as monitor:
        monitor.watch("long")
        await until(lambda: all(failed(*kind) for kind in kinds))
        assert exported.total("titan_state.request.throttled") == 1
    refused, throttled, broken, cut, good = (failed(*kind)[0] for kind in kinds)
    assert throttled.attributes["titan_state.request.throttled"] is True
    assert "titan_state.request.throttled" not in refused.attributes
    assert {span.status.status_code for span in (refused, throttled, broken, cut)} == {StatusCode.ERROR}
    assert good.status.status_code is StatusCode.UNSET
    (event,) = broken.events
    assert event.name == "exception"
    assert event.attributes[exception_attributes.EXCEPTION_TYPE] == broken.attributes[error_attributes.ERROR_TYPE]
    assert "ConnectionFailedError" in event.attributes["exception.stacktrace"]
    assert exported.total("http.client.request.duration", error__type="429") == 1


async def test_a_request_that_nobody_waits_for(service, measured, exported, clock, until):
    """A request that is cancelled on its way ends its span, and says so."""
    service.add(LONG)
    service.faults = Faults(slow=When(every=1), slow_s=50.0)
    async with measured() as monitor:
        monitor.watch("long")
        await until(lambda: monitor.service.statistics.requests)
        await clock.settle()
    (span,) = exported.spans("GET")
    assert span.attributes["error.type"] == "cancelled"
    assert span.status.status_code is StatusCode.ERROR


async def test_a_request_that_is_sent_again_with_another_token(service, exported, clock, until):
    """The second of two says that it is one."""
    from titan_state import Monitor

    service.add(LONG)
    tokens = iter(["an-old-token-0123", service.token])
    async with Monitor(
        service.url, lambda: next(tokens), clock=clock, telemetry=exported.telemetry(), drain_s=0
    ) as monitor:
        monitor.watch("long")
        await until(lambda: monitor.executions())
    first, second = exported.spans("GET")[:2]
    assert (first.attributes["http.response.status_code"], second.attributes["http.response.status_code"]) == (401, 200)
    assert "http.request.resend_count" not in first.attributes
    assert second.attributes["http.request.resend_count"] == 1


@pytest.mark.parametrize("plain", [True, False])
async def test_spans_of_callbacks_are_children(service, measured, exported, clock, until, plain):
    """What a callback does is inside the span of its delivery, in a thread of its own, too."""
    service.add(LONG)
    handlers, tracer = Handlers(), exported.tracers.get_tracer("user")

    def work(event):
        with tracer.start_as_current_span("work"):
            pass

    async def work_async(event):
        work(event)

    handlers.on_running(work if plain else work_async, name="work")
    async with measured(handlers=handlers, account="shop") as monitor:
        monitor.watch("long")
        await until(lambda: exported.spans("process"))
        event = (await monitor.journal.history("long"))[-1]
    (delivery,), (inner,) = exported.spans("process"), exported.spans("work")
    assert parent_of(inner) == delivery.context.span_id
    assert (delivery.name, delivery.kind, delivery.parent) == ("process work", SpanKind.CONSUMER, None)
    assert dict(delivery.attributes) == {
        ACCOUNT: "shop",
        "messaging.system": "titan_state",
        "messaging.operation.name": "process",
        "messaging.operation.type": "process",
        "messaging.destination.name": "events",
        "messaging.destination.subscription.name": "work",
        "messaging.message.id": event.id,
        "titan_state.event.type": "transitioned",
        "titan_state.execution.id": "long",
        "titan_state.task.id": "nightly",
        "titan_state.delivery.attempt": 1,
    }


async def test_attempts_that_fail(service, measured, exported, clock, until):
    """Each attempt is a span with its number, and says what was raised."""
    service.add(LONG)
    handlers = Handlers()

    @handlers.on_running(name="fails", retries=1)
    async def fails(event):
        raise KeyError("row")

    async with measured(handlers=handlers) as monitor:
        monitor.watch("long")
        await until(lambda: len(exported.spans("process")) == 2)
    spans = exported.spans("process")
    assert [span.attributes["titan_state.delivery.attempt"] for span in spans] == [1, 2]
    assert {span.attributes["error.type"] for span in spans} == {"KeyError"}
    assert {span.status.status_code for span in spans} == {StatusCode.ERROR}
    assert spans[0].events[0].attributes["exception.message"] == "'row'"
    assert "in fails" in spans[0].events[0].attributes["exception.stacktrace"]


async def test_a_control_action_and_what_it_causes(service, measured, exported, clock, until):
    """An action is a span with its steps and requests in it; deliveries of what it causes are linked to it."""
    service.add(LONG)
    handlers = Handlers()
    handlers.on_paused(lambda event: None, name="paused")
    tracer = exported.tracers.get_tracer("user")
    async with measured(handlers=handlers) as monitor:
        monitor.watch("long")
        await until(lambda: exported.total("titan_state.executions", titan_state__status="running"))
        with tracer.start_as_current_span("mine"):
            acting = asyncio.create_task(monitor.pause("long"))
        await until(acting.done)
        await until(lambda: exported.spans("process paused"))
        refusing = asyncio.create_task(monitor.pause("long"))
        await until(refusing.done)
        assert isinstance(refusing.exception(), IllegalActionError)
    for span in exported.spans():
        of_kind = [one for one in catalog.SPANS if one.kind == span.kind.name and span.name != "mine"]
        assert all({*span.attributes} <= {ACCOUNT, *one.attributes} for one in of_kind)
    (pause, refused), (mine,) = exported.spans("pause execution"), exported.spans("mine")
    assert parent_of(pause) == mine.context.span_id
    assert pause.kind is SpanKind.INTERNAL
    assert pause.attributes["titan_state.execution.id"] == "long"
    assert [event.name for event in pause.events] == ["checked", "intended", "accepted"]
    assert dict(pause.events[0].attributes) == {"titan_state.allowed": True, "titan_state.status": "running"}
    (post,) = exported.spans("POST")
    assert post.name == "POST /api/v1/executions/{execution_id}/pause"
    assert parent_of(post) == pause.context.span_id
    (delivery,) = exported.spans("process paused")
    assert [link.context.span_id for link in delivery.links] == [pause.context.span_id]
    assert refused.attributes["error.type"] == "titan_state.errors.IllegalActionError"


async def test_what_a_monitor_reads_is_no_part_of_where_it_was_entered(service, measured, exported, clock, until):
    """A monitor entered inside a span of the user does not fill that with requests for weeks."""
    service.add(LONG)
    tracer = exported.tracers.get_tracer("user")
    handlers = Handlers()
    handlers.on_running(lambda event: None, name="running")
    with tracer.start_as_current_span("start"):
        async with measured(handlers=handlers) as monitor:
            monitor.watch("long")
            await until(lambda: exported.spans("process"))
    assert all(span.parent is None for span in [*exported.spans("GET"), *exported.spans("process")])


async def test_what_another_program_asks_for_is_no_part_of_where_the_monitor_was_entered(
    service, measured, exported, until, tmp_path
):
    """An action that comes through the journal's socket begins a trace, whoever happened to enter the monitor."""
    service.add(LONG)
    tracer, journal = exported.tracers.get_tracer("user"), tmp_path / "j.db"
    with tracer.start_as_current_span("start"):
        async with measured(journal=journal) as monitor, local_monitor(journal) as other:
            monitor.watch("long")
            await until(lambda: exported.total("titan_state.executions", titan_state__status="running"))
            acting = asyncio.create_task(other.pause("long"))
            await until(acting.done)
            assert acting.result().id == "long"
    (pause,) = exported.spans("pause execution")
    assert pause.parent is None


async def test_what_a_user_asks_for_is_a_part_of_what_asks(service, measured, exported, clock, until):
    """Requests for outputs belong to the span in which they were asked for."""
    service.add(Plan(id="done", steps=[Step("running", 0.1), Step("completed", 0.1)]))
    tracer = exported.tracers.get_tracer("user")
    async with measured() as monitor:
        monitor.watch("done")
        await until(lambda: monitor.check("done", "stop").as_of and not monitor.check("done", "stop").allowed)
        with tracer.start_as_current_span("export"):
            asking = asyncio.create_task(monitor.outputs("done").metadata())
        await until(asking.done)
    (export,) = exported.spans("export")
    assert export.context.span_id in {parent_of(span) for span in exported.spans("GET")}


@pytest.mark.parametrize("propagates", [True, False])
async def test_the_context_is_sent_only_where_that_is_asked_for(service, measured, exported, clock, until, propagates):
    """`traceparent` goes to the service when it is wanted, and names the span of the request."""
    from titan_state.client.transport import Transport

    sent = []
    opened = Transport._open

    def listening(self):
        session = opened(self)
        request = session.request

        def spy(method, url, *, headers, **options):
            sent.append(dict(headers))
            return request(method, url, headers=headers, **options)

        session.request = spy
        return session

    service.add(LONG)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Transport, "_open", listening)
        async with measured(exported.telemetry(propagates=propagates)) as monitor:
            monitor.watch("long")
            await until(lambda: exported.spans("GET"))
    contexts = [trace.get_current_span(TraceContextTextMapPropagator().extract(one)).get_span_context() for one in sent]
    if propagates:
        assert contexts[0].span_id == exported.spans("GET")[0].context.span_id
    else:
        assert not any(context.is_valid for context in contexts)


async def test_instrumentation_of_the_http_library_is_held_off(service, measured, exported, clock, until):
    """While a request is on its way others are told not to count it, and only then."""
    from opentelemetry import context

    from titan_state.client.transport import Transport
    from titan_state.telemetry.requests import SUPPRESSED

    seen = []
    opened = Transport._open

    def looking(self):
        seen.append((context.get_value(SUPPRESSED), trace.get_current_span().is_recording()))
        return opened(self)

    service.add(LONG)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Transport, "_open", looking)
        async with measured() as monitor:
            acting = asyncio.create_task(monitor.verdict("long", "pause"))
            await until(acting.done)
    assert seen == [(True, True)]
    assert context.get_value(SUPPRESSED) is None


class Failing:
    """A provider that raises whatever it is asked for."""

    def __init__(self, tracer):
        self._tracer = tracer

    def get_tracer(self, *_):
        return self

    def start_span(self, *_, **__):
        raise RuntimeError("no span")


async def test_what_cannot_be_measured_is_done_all_the_same(service, measured, exported, clock, until, caplog):
    """A provider that raises is told of once for each thing, and the monitor works as ever."""
    from titan_state.telemetry import OpenTelemetry

    service.add(LONG)
    calls, handlers = [], Handlers()
    handlers.on_running(calls.append, name="calls")
    telemetry = OpenTelemetry(meter_provider=exported.meters, tracer_provider=Failing(None))
    with caplog.at_level(logging.ERROR):
        async with measured(telemetry, handlers=handlers) as monitor:
            monitor.watch("long")
            await until(lambda: calls)
            acting = asyncio.create_task(monitor.pause("long"))
            await until(acting.done)
            assert acting.result().id == "long"
    told = [record for record in caplog.records if record.name == "titan_state.telemetry"]
    assert {record.getMessage() for record in told} == {
        "a request could not be measured (RuntimeError)",
        "a callback or a control action could not be measured (RuntimeError)",
    }
    assert len(told) == 2


class WordlessError(Exception):
    """An error that has no text: asking for it fails."""

    def __str__(self):
        raise ValueError("no text")


async def test_an_error_without_a_text(service, measured, exported, clock, until):
    """A callback whose error cannot be written down has its span and its duration all the same."""
    service.add(LONG)
    handlers = Handlers()

    @handlers.on_running(name="wordless", retries=0)
    async def wordless(event):
        raise WordlessError

    async with measured(handlers=handlers) as monitor:
        monitor.watch("long")
        await until(lambda: exported.total("messaging.process.duration"))
    (span,) = exported.spans("process wordless")
    assert span.status.status_code is StatusCode.ERROR
    assert span.attributes["error.type"].endswith(".WordlessError")


async def test_numbers_that_cannot_be_read(service, measured, exported, clock, until, caplog):
    """Where reading numbers fails the others of the process are told, and the mistake is logged."""
    service.add(LONG)
    async with measured(account="broken") as broken, measured(account="shop") as monitor:
        broken._figures.read = broken._measures._source._read = lambda: 1 / 0
        monitor.watch("long")
        await until(lambda: exported.total("titan_state.executions", titan_state__account="shop"))
        assert exported.points("titan_state.leader.active", titan_state__account="broken") == []
        assert exported.total("titan_state.leader.active", titan_state__account="shop") == 1
    assert "a monitor could not be measured (ZeroDivisionError)" in caplog.text


@pytest.mark.parametrize(
    ("path", "template"),
    [
        ("/api/v1/executions", "/api/v1/executions"),
        ("/api/v1/executions/e-1/results/export", "/api/v1/executions/{execution_id}/results/export"),
        ("/api/v1/tasks/t%2F1/executions", "/api/v1/tasks/{task_id}/executions"),
        ("/api/v1/executions/executions", "/api/v1/executions/{execution_id}"),
        ("/api/v1/tasks/executions/run", "/api/v1/tasks/{task_id}/run"),
        ("/media/a/b/c.png", "/media/{path}"),
        ("/files/a/b/c.png", "/{path}"),
        ("/c.png", "/{path}"),
    ],
)
def test_templates(path, template):
    """Ids, whatever they look like, are no part of a template."""
    assert template_of(path) == template


def test_urls_are_shown_without_credentials():
    """Of our own origin what is no credential is shown; of another one no value is."""
    ours = "http://127.0.0.1/media/a.png?token=abcdefghijkl&size=3"
    assert shown(ours, str, is_ours=True) == "http://127.0.0.1/media/a.png?token=[redacted]&size=3"
    theirs = "https://storage.example/a.png?sig=abcdefghijkl&se=2026"
    assert shown(theirs, str, is_ours=False) == "https://storage.example/a.png?sig=[redacted]&se=[redacted]"
    assert shown("https://storage.example/a.png", str, is_ours=False) == "https://storage.example/a.png"


def test_delays_are_estimated_only_where_something_is_known():
    """Half of the time since the read before; nothing for first sights, inferred moves, and without such a read."""
    at = [datetime(2026, 1, 1, 0, 0, second, tzinfo=UTC) for second in range(9)]

    def moved(**more):
        given = {"source": "running", "after": at[2], "before": at[8], **more}
        return Transitioned(execution_id="e", seq=1, at=at[8], execution=None, dest="completed", **given)

    assert delay_of(moved()) == 3.0
    assert delay_of(moved(after=at[8], before=at[2])) == 0.0
    assert [delay_of(moved(source=None)), delay_of(moved(inferred=True)), delay_of(moved(after=None))] == [None] * 3


def test_long_tracebacks_are_cut(exported):
    """A span keeps the end of a long traceback, and no secret that an error quotes."""
    span = exported.tracers.get_tracer("x").start_span("x")
    try:
        raise ValueError("https://e.example/?token=abcdefghijkl " + "x" * 20_000)
    except ValueError as error:
        safety.describe(span, error, str)
    span.end()
    attributes = exported.spans("x")[0].events[0].attributes
    assert len(attributes["exception.stacktrace"]) == safety.LONGEST + 1
    assert "abcdefghijkl" not in str(dict(attributes))


def test_the_catalog_lists_every_attribute_of_the_conventions_once():
    """Names are those of the conventions' own constants, and no metric lists an attribute twice."""
    from opentelemetry.semconv._incubating.attributes import messaging_attributes
    from opentelemetry.semconv._incubating.attributes import url_attributes as more
    from opentelemetry.semconv._incubating.metrics import messaging_metrics
    from opentelemetry.semconv.metrics import http_metrics

    conventions = {
        value
        for module in (http_attributes, server_attributes, url_attributes, error_attributes, messaging_attributes, more)
        for name, value in vars(module).items()
        if name.isupper() and isinstance(value, str)
    }
    attributes = {name for metric in catalog.METRICS for name in metric.labels}
    attributes |= {name for span in catalog.SPANS for name in span.attributes}
    assert {name for name in attributes if not name.startswith("titan_state.")} <= conventions
    named = {metric.name for metric in catalog.METRICS if not metric.name.startswith("titan_state.")}
    assert named == {
        http_metrics.HTTP_CLIENT_REQUEST_DURATION,
        messaging_metrics.MESSAGING_PROCESS_DURATION,
        messaging_metrics.MESSAGING_CLIENT_CONSUMED_MESSAGES,
    }
    assert len({metric.name for metric in catalog.METRICS}) == len(catalog.METRICS)
    assert all(len(set(metric.labels)) == len(metric.labels) for metric in catalog.METRICS)
