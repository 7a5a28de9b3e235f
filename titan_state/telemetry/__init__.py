"""Telemetry: metrics and traces of OpenTelemetry, and the page that Prometheus reads. It needs the extra `otel`.

What is measured is in `catalog.py`; those who are measured know the protocols of `titan_state.instrumentation` only.
"""

from __future__ import annotations

from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from titan_state.telemetry.open_telemetry import OpenTelemetry as OpenTelemetry
    from titan_state.telemetry.prometheus import MetricsPage as MetricsPage

__all__ = ["MetricsPage", "OpenTelemetry", "is_installed"]

HOME: Final = {"MetricsPage": "prometheus", "OpenTelemetry": "open_telemetry"}

NEEDED: Final = {
    "MetricsPage": ("opentelemetry.sdk", "opentelemetry.exporter.prometheus"),
    "OpenTelemetry": ("opentelemetry.metrics", "opentelemetry.trace"),
}
"""What each name needs of the extra: who has an SDK of their own needs no page."""


def is_installed(name: str = "MetricsPage") -> bool:
    """Return whether what a name of this module needs is there.

    Args:
        name: `MetricsPage`, which needs all of the extra `otel`, or `OpenTelemetry`, which needs no exporter.
    """
    try:
        return all(find_spec(needed) is not None for needed in NEEDED[name])
    except ModuleNotFoundError:  # not even what they are in
        return False


def __getattr__(name: str) -> Any:
    """Import a name when it is used.

    Raises:
        ModuleNotFoundError: What it needs of the extra is not installed.
    """
    if name not in HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    if not is_installed(name):
        raise ModuleNotFoundError(
            'telemetry needs the extra otel: pip install "titan-state[otel]"', name=NEEDED[name][0]
        )
    return getattr(import_module(f"{__name__}.{HOME[name]}"), name)
