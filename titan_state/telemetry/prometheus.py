"""The page that Prometheus reads: metrics of this process in Prometheus' text formats. It is served elsewhere."""

from __future__ import annotations

import asyncio
import os
import threading
from typing import TYPE_CHECKING

from opentelemetry.exporter.prometheus import PrometheusMetricReader
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.resources import SERVICE_INSTANCE_ID, SERVICE_NAME, SERVICE_VERSION, Resource
from prometheus_client import CollectorRegistry, ProcessCollector
from prometheus_client.exposition import choose_encoder

from titan_state.telemetry.open_telemetry import VERSION

if TYPE_CHECKING:
    from collections.abc import Callable


class MetricsPage:
    """Makes the page.

    It has a registry of its own: what else of the program is registered with `prometheus_client` is not on it.

    Attributes:
        meter_provider: Whose metrics are on it: hand it to `OpenTelemetry`.
    """

    def __init__(self, *, member: str | None = None) -> None:
        """Make what makes the page.

        Args:
            member: The name of this process among several, for `target_info`.
        """
        self._registry = CollectorRegistry()
        self._lock = threading.Lock()
        reader = PrometheusMetricReader(scope_info_enabled=False, registry=self._registry)
        ProcessCollector(registry=self._registry)
        told = {} if "OTEL_SERVICE_NAME" in os.environ else {SERVICE_NAME: "titan-state", SERVICE_VERSION: VERSION}
        if member is not None:
            told[SERVICE_INSTANCE_ID] = member
        self.meter_provider = MeterProvider((reader,), Resource.create(told), shutdown_on_exit=False)

    async def render(self, accept: str) -> tuple[bytes, str]:
        """Return the page, and its type; it is written in a thread, so that the event loop goes on meanwhile.

        Args:
            accept: The `Accept` header of whoever asks: the OpenMetrics format is for those who ask for it.
        """
        try:
            encode, content_type = choose_encoder(accept)
        except Exception:  # noqa: BLE001 - it raises whatever comes up at a version that is no number
            encode, content_type = choose_encoder("")
        return await asyncio.to_thread(self._encoded, encode), content_type

    def _encoded(self, encode: Callable[[CollectorRegistry], bytes]) -> bytes:
        with self._lock:  # the reader keeps what it has collected until it is written
            return encode(self._registry)

    def close(self) -> None:
        """Collect nothing any more."""
        self.meter_provider.shutdown()
