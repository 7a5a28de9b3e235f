"""What was exported, by real readers and exporters of the SDK, as tests look at it."""

from __future__ import annotations

import asyncio
import json

import pytest
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import HistogramDataPoint, InMemoryMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from titan_state.telemetry import OpenTelemetry

ACCOUNT = "titan_state.account"

HIDDEN = """
import sys
class Finder:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in ("opentelemetry", "prometheus_client"):
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
sys.meta_path.insert(0, Finder())
"""
"""What a program begins with that is to find no OpenTelemetry."""


async def true(condition, *, seconds=20.0):
    """Return when a condition holds that threads or processes bring about: no clock moves them."""
    for _ in range(int(seconds * 50)):
        if condition():
            return
        await asyncio.sleep(0.02)
    pytest.fail("it never came true")


class Exported:
    """An SDK whose metrics and spans stay in memory.

    Attributes:
        meters: Its meter provider.
        tracers: Its tracer provider.
    """

    def __init__(self):
        self._reader = InMemoryMetricReader()
        self._spans = InMemorySpanExporter()
        self.meters = MeterProvider((self._reader,), shutdown_on_exit=False)
        self.tracers = TracerProvider(shutdown_on_exit=False)
        self.tracers.add_span_processor(SimpleSpanProcessor(self._spans))

    def telemetry(self, **options):
        """Return what measures into it."""
        return OpenTelemetry(meter_provider=self.meters, tracer_provider=self.tracers, **options)

    def close(self):
        self.meters.shutdown()
        self.tracers.shutdown()

    def scopes(self):
        """Return every scope that has metrics, with these."""
        data = self._reader.get_metrics_data()
        resources = [] if data is None else data.resource_metrics
        return [scope for resource in resources for scope in resource.scope_metrics]

    def metrics(self):
        """Return every metric, by name."""
        return {metric.name: metric for scope in self.scopes() for metric in scope.metrics}

    def points(self, name, **wanted):
        """Return the values of a metric with these attributes, each with all its attributes; counts of histograms."""
        metric = self.metrics().get(name)
        asked = {key.replace("__", "."): value for key, value in wanted.items()}
        found = [] if metric is None else metric.data.data_points
        return [
            (point.count if isinstance(point, HistogramDataPoint) else point.value, dict(point.attributes))
            for point in found
            if asked.items() <= dict(point.attributes).items()
        ]

    def total(self, name, **wanted):
        """Return the sum of the values of a metric with these attributes; dots are written as two underscores."""
        return sum(value for value, _ in self.points(name, **wanted))

    def spans(self, prefix=""):
        """Return the spans that have ended, whose names begin so."""
        return [span for span in self._spans.get_finished_spans() if span.name.startswith(prefix)]

    def everything(self):
        """Return all that was exported, as one text."""
        data = self._reader.get_metrics_data()
        spans = [json.loads(span.to_json()) for span in self.spans()]
        return json.dumps(spans, ensure_ascii=False) + ("" if data is None else data.to_json())
