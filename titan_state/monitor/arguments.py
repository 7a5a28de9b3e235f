"""Arguments: what users hand to a monitor, by name and type, checked and brought into one form."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypedDict

from titan_state.errors import ConfigurationError, shorten

if TYPE_CHECKING:
    import os

    from titan_state.client.profile import ServiceProfile
    from titan_state.clock import Clock
    from titan_state.core.anomalies import Thresholds
    from titan_state.core.budget import RequestBudget
    from titan_state.core.lifecycle import Lifecycle
    from titan_state.instrumentation import Telemetry
    from titan_state.journal.base import Journal
    from titan_state.monitor.handlers import Handlers


class MonitorOptions(TypedDict, total=False):
    """The keyword arguments of `Monitor`, which says what each of them is."""

    account: str | None
    journal: str | os.PathLike[str] | Journal | None
    handlers: Handlers | None
    lifecycle: Lifecycle | None
    thresholds: Thresholds | None
    budget: RequestBudget | None
    profile: ServiceProfile | None
    clock: Clock | None
    drain_s: float
    telemetry: Telemetry | None


def require_id(value: str, what: str) -> None:
    """Refuse what cannot be an id: neither the service nor a journal could be asked about it.

    Raises:
        ConfigurationError: It is no text, an empty one, or one that cannot be encoded: a lone surrogate stands for what
            was not typed in the encoding of this machine.
    """
    if not isinstance(value, str) or not value:
        raise ConfigurationError(f"{what} is named by its id, a text that is not empty, not {shorten(repr(value))}")
    try:
        value.encode()
    except UnicodeEncodeError:
        raise ConfigurationError(f"{shorten(value)!r} cannot be the id of {what}: it is no valid text") from None
