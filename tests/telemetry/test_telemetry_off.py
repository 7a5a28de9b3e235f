"""Off: nothing of OpenTelemetry is loaded, and what is missing is said. On by default: the global providers."""

from __future__ import annotations

import subprocess
import sys

import pytest
from exported import HIDDEN

from titan_state import telemetry

RUN = """
import asyncio, sys
from titan_state import Handlers, Monitor, Subscriber
from titan_state.emulator import Plan, Step, TaskServiceEmulator

async def main():
    async with TaskServiceEmulator() as service:
        service.add(Plan(id="e", steps=[Step("running", 0.1), Step("completed", 0.2)]))
        async with Monitor(service.url, service.token) as monitor:
            monitor.on_completed(lambda event: None, name="x")
            await monitor.wait("e")

asyncio.run(main())
import titan_state.service.service, titan_state.service.probes
loaded = [name for name in sys.modules if name.split(".")[0] in ("opentelemetry", "prometheus_client")]
sys.exit(f"loaded: {loaded}" if loaded else 0)
"""

GLOBAL = """
import asyncio
from opentelemetry import metrics, trace
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from titan_state import Monitor
from titan_state.emulator import Plan, Step, TaskServiceEmulator
from titan_state.telemetry import OpenTelemetry

def leading(reader):
    data = reader.get_metrics_data()
    found = [] if data is None else [
        point.attributes["titan_state.account"]
        for resource in data.resource_metrics for scope in resource.scope_metrics for metric in scope.metrics
        if metric.name == "titan_state.leader.active" for point in metric.data.data_points
    ]
    return sorted(found)

async def main():
    reader, spans = InMemoryMetricReader(), InMemorySpanExporter()
    async with TaskServiceEmulator() as service:
        service.add(Plan(id="e", steps=[Step("running", 0.1), Step("completed", 0.2)]))
        def monitor(account, **options):
            return Monitor(service.url, service.token, account=account, telemetry=OpenTelemetry(**options))
        async with monitor("early") as early:
            provider = MeterProvider([reader])
            metrics.set_meter_provider(provider)
            trace.set_tracer_provider(TracerProvider())
            trace.get_tracer_provider().add_span_processor(SimpleSpanProcessor(spans))
            async with monitor("late") as late, monitor("given", meter_provider=provider):
                await late.wait("e")
                print(leading(reader), {span.name for span in spans.get_finished_spans()})
        print(leading(reader))

asyncio.run(main())
"""


def ran(code):
    """Return what a program printed that has come to a good end."""
    done = subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    return done.stdout


def test_nothing_is_loaded_where_nothing_is_measured():
    """A monitor that works, and what a service is made of, load nothing of OpenTelemetry."""
    ran(RUN)


def test_all_of_it_works_without_the_extra():
    """Without the extra the same monitor works."""
    ran(HIDDEN + RUN)


@pytest.mark.parametrize("name", ["OpenTelemetry", "MetricsPage"])
def test_what_is_missing_is_said(name):
    """Without the extra the import says what to install."""
    code = f"try:\n from titan_state.telemetry import {name}\nexcept ModuleNotFoundError as error: print(error)"
    assert ran(HIDDEN + code) == 'telemetry needs the extra otel: pip install "titan-state[otel]"\n'
    assert ran(HIDDEN + "from titan_state.telemetry import is_installed; print(is_installed())") == "False\n"
    assert ran("from titan_state.telemetry import is_installed; print(is_installed())") == "True\n"


def test_names_that_there_are_not():
    """Another name is no name of the module."""
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = telemetry.nothing


def test_global_providers():
    """By default the global providers are used, whenever they are set up, and nothing is registered twice."""
    first, second = ran(GLOBAL).splitlines()
    assert first.startswith("['early', 'given', 'late'] {")
    assert "GET /api/v1/executions/{execution_id}" in first
    assert second == "[]"
