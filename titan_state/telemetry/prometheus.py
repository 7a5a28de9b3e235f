"""The page that Prometheus reads: metrics of this process in Prometheus' text formats. It is served elsewhere."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from typing import Final

from opentelemetry.exporter.prometheus import PrometheusMetricReader
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.resources import SERVICE_INSTANCE_ID, SERVICE_NAME, SERVICE_VERSION, Resource
from prometheus_client import CollectorRegistry, ProcessCollector
from prometheus_client.exposition import choose_encoder

from titan_state.telemetry.open_telemetry import VERSION

UNNAMED: Final = "unknown_service"
"""What OpenTelemetry calls a process that nobody has named begins with this."""


class MetricsPage:
    """Makes the page.

    It has a registry of its own: what else of the program is registered with `prometheus_client` is not on it.

    Attributes:
        meter_provider: Whose metrics are on it: hand it to `OpenTelemetry`.
    """

    def __init__(self, *, member: str | None = None) -> None:
        """Make what makes the page.

        Args:
            member: The name of this process among several, for `target_info`; None for none.
        """
        self._registry = CollectorRegistry()
        # One after the other, as the reader keeps what it has collected until it is written; and apart from the loop's
        # own threads, which others wait for.
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="titan_state metrics")
        reader = PrometheusMetricReader(scope_info_enabled=False, registry=self._registry)
        ProcessCollector(registry=self._registry)
        given = Resource.create()  # of the environment
        is_named = not str(given.attributes.get(SERVICE_NAME, UNNAMED)).startswith(UNNAMED)
        told = {} if is_named else {SERVICE_NAME: "titan-state", SERVICE_VERSION: VERSION}
        if member is not None:
            told[SERVICE_INSTANCE_ID] = member
        self.meter_provider = MeterProvider((reader,), given.merge(Resource(told)), shutdown_on_exit=False)

    async def render(self, accept: str) -> tuple[bytes, str]:
        """Return the page, and its type; it is written in a thread, so that the event loop goes on meanwhile.

        Args:
            accept: The `Accept` header of whoever asks: the OpenMetrics format is for those who ask for it.

        Returns:
            The page in UTF-8, and its `Content-Type`.
        """
        try:
            encode, content_type = choose_encoder(accept)
        except Exception:  # noqa: BLE001 - it raises whatever comes up at a version that is no number
            encode, content_type = choose_encoder("")
        page = await asyncio.get_running_loop().run_in_executor(self._thread, encode, self._registry)
        return page, content_type

    def close(self) -> None:
        """Collect nothing any more."""
        self.meter_provider.shutdown()
        self._thread.shutdown(wait=False, cancel_futures=True)
