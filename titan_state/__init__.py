"""Watch the executions of the Titan platform: a formal lifecycle, callbacks, anomalies, safe control actions.

The names are imported when they are first used, so that importing the package costs nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    __version__: str

    from titan_state.client.loading.files import SavedFile as SavedFile
    from titan_state.client.output_options import LoadOptions as LoadOptions
    from titan_state.client.output_options import SaveOptions as SaveOptions
    from titan_state.client.outputs import Outputs as Outputs
    from titan_state.client.profile import ServiceProfile as ServiceProfile
    from titan_state.client.readings import Dataset as Dataset
    from titan_state.client.readings import ResultMetadata as ResultMetadata
    from titan_state.client.service import TaskService as TaskService
    from titan_state.core.anomalies import AnomalyKind as AnomalyKind
    from titan_state.core.anomalies import Severity as Severity
    from titan_state.core.anomalies import Thresholds as Thresholds
    from titan_state.core.budget import RequestBudget as RequestBudget
    from titan_state.core.events import ActionAccepted as ActionAccepted
    from titan_state.core.events import ActionRefused as ActionRefused
    from titan_state.core.events import ActionSent as ActionSent
    from titan_state.core.events import ActionUnknown as ActionUnknown
    from titan_state.core.events import AnomalyCleared as AnomalyCleared
    from titan_state.core.events import AnomalyDetected as AnomalyDetected
    from titan_state.core.events import Event as Event
    from titan_state.core.events import ResultsReady as ResultsReady
    from titan_state.core.events import Transitioned as Transitioned
    from titan_state.core.execution import Execution as Execution
    from titan_state.core.lifecycle import Action as Action
    from titan_state.core.lifecycle import Lifecycle as Lifecycle
    from titan_state.core.lifecycle import Move as Move
    from titan_state.core.lifecycle import Status as Status
    from titan_state.core.lifecycle import Verdict as Verdict
    from titan_state.core.planning.explanation import Explanation as Explanation
    from titan_state.core.tracker import Tracker as Tracker
    from titan_state.errors import ActionOutcomeUnknownError as ActionOutcomeUnknownError
    from titan_state.errors import ActionRejectedError as ActionRejectedError
    from titan_state.errors import BadRequestError as BadRequestError
    from titan_state.errors import BodyTooLargeError as BodyTooLargeError
    from titan_state.errors import ConfigurationError as ConfigurationError
    from titan_state.errors import ConflictError as ConflictError
    from titan_state.errors import ConnectionFailedError as ConnectionFailedError
    from titan_state.errors import DefinitionError as DefinitionError
    from titan_state.errors import ExecutionCancelledError as ExecutionCancelledError
    from titan_state.errors import ExecutionFailedError as ExecutionFailedError
    from titan_state.errors import ExecutionNotFoundError as ExecutionNotFoundError
    from titan_state.errors import ExecutionUnreadableError as ExecutionUnreadableError
    from titan_state.errors import ForbiddenError as ForbiddenError
    from titan_state.errors import ForeignOriginError as ForeignOriginError
    from titan_state.errors import IllegalActionError as IllegalActionError
    from titan_state.errors import InternalServiceError as InternalServiceError
    from titan_state.errors import JournalDamagedError as JournalDamagedError
    from titan_state.errors import JournalError as JournalError
    from titan_state.errors import JournalInUseError as JournalInUseError
    from titan_state.errors import JournalUnavailableError as JournalUnavailableError
    from titan_state.errors import JournalVersionError as JournalVersionError
    from titan_state.errors import LeadershipLostError as LeadershipLostError
    from titan_state.errors import MonitorClosedError as MonitorClosedError
    from titan_state.errors import NotFoundError as NotFoundError
    from titan_state.errors import NotSupportedError as NotSupportedError
    from titan_state.errors import OutputExistsError as OutputExistsError
    from titan_state.errors import OutputsUnavailableError as OutputsUnavailableError
    from titan_state.errors import PayloadError as PayloadError
    from titan_state.errors import PermanentError as PermanentError
    from titan_state.errors import RedirectError as RedirectError
    from titan_state.errors import RequestTimeoutError as RequestTimeoutError
    from titan_state.errors import ResponseError as ResponseError
    from titan_state.errors import ResultsNotReadyError as ResultsNotReadyError
    from titan_state.errors import RunOutcomeUnknownError as RunOutcomeUnknownError
    from titan_state.errors import ServiceError as ServiceError
    from titan_state.errors import SubscriptionInUseError as SubscriptionInUseError
    from titan_state.errors import TemporaryError as TemporaryError
    from titan_state.errors import TitanStateError as TitanStateError
    from titan_state.errors import TokenUnavailableError as TokenUnavailableError
    from titan_state.errors import TooManyRequestsError as TooManyRequestsError
    from titan_state.errors import TransportError as TransportError
    from titan_state.errors import UnauthorizedError as UnauthorizedError
    from titan_state.errors import UnknownActionError as UnknownActionError
    from titan_state.errors import WaitError as WaitError
    from titan_state.errors import WaitTimeoutError as WaitTimeoutError
    from titan_state.journal.base import Delivery as Delivery
    from titan_state.journal.base import Journal as Journal
    from titan_state.journal.memory import MemoryJournal as MemoryJournal
    from titan_state.journal.nats import NatsJournal as NatsJournal
    from titan_state.journal.sqlite import SqliteJournal as SqliteJournal
    from titan_state.monitor.delivery.calling import current_delivery as current_delivery
    from titan_state.monitor.handlers import Handlers as Handlers
    from titan_state.monitor.health import Health as Health
    from titan_state.monitor.monitor import Monitor as Monitor
    from titan_state.monitor.streams import EventStream as EventStream
    from titan_state.monitor.subscriber import Subscriber as Subscriber

_HOMES = {
    "client.loading.files": ("SavedFile",),
    "client.output_options": ("LoadOptions", "SaveOptions"),
    "client.outputs": ("Outputs",),
    "client.profile": ("ServiceProfile",),
    "client.readings": (
        "Dataset",
        "ResultMetadata",
    ),
    "client.service": ("TaskService",),
    "core.anomalies": ("AnomalyKind", "Severity", "Thresholds"),
    "core.budget": ("RequestBudget",),
    "core.events": (
        "ActionAccepted",
        "ActionRefused",
        "ActionSent",
        "ActionUnknown",
        "AnomalyCleared",
        "AnomalyDetected",
        "Event",
        "ResultsReady",
        "Transitioned",
    ),
    "core.execution": ("Execution",),
    "core.planning.explanation": ("Explanation",),
    "core.lifecycle": ("Action", "Lifecycle", "Move", "Status", "Verdict"),
    "core.tracker": ("Tracker",),
    "errors": (
        "ActionOutcomeUnknownError",
        "ActionRejectedError",
        "BadRequestError",
        "BodyTooLargeError",
        "ConfigurationError",
        "ConflictError",
        "ConnectionFailedError",
        "DefinitionError",
        "ExecutionCancelledError",
        "ExecutionFailedError",
        "ExecutionNotFoundError",
        "ExecutionUnreadableError",
        "ForbiddenError",
        "ForeignOriginError",
        "IllegalActionError",
        "InternalServiceError",
        "JournalDamagedError",
        "JournalError",
        "JournalInUseError",
        "JournalUnavailableError",
        "JournalVersionError",
        "LeadershipLostError",
        "MonitorClosedError",
        "NotFoundError",
        "NotSupportedError",
        "OutputExistsError",
        "OutputsUnavailableError",
        "PayloadError",
        "PermanentError",
        "RedirectError",
        "RequestTimeoutError",
        "ResponseError",
        "ResultsNotReadyError",
        "RunOutcomeUnknownError",
        "ServiceError",
        "SubscriptionInUseError",
        "TemporaryError",
        "TitanStateError",
        "TokenUnavailableError",
        "TooManyRequestsError",
        "TransportError",
        "UnauthorizedError",
        "UnknownActionError",
        "WaitError",
        "WaitTimeoutError",
    ),
    "journal.base": ("Delivery", "Journal"),
    "journal.memory": ("MemoryJournal",),
    "journal.nats": ("NatsJournal",),
    "journal.sqlite": ("SqliteJournal",),
    "monitor.delivery.calling": ("current_delivery",),
    "monitor.handlers": ("Handlers",),
    "monitor.health": ("Health",),
    "monitor.monitor": ("Monitor",),
    "monitor.streams": ("EventStream",),
    "monitor.subscriber": ("Subscriber",),
}
_HOME_OF = {name: module for module, names in _HOMES.items() for name in names}

__all__ = sorted(_HOME_OF)


def __getattr__(name: str) -> Any:
    if name == "__version__":
        return _version()
    module = _HOME_OF.get(name)
    if module is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.{module}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__, "__version__"})


def _version() -> str:
    """Return the version that is installed; it is written in pyproject.toml only."""
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version("titan-state")
    except PackageNotFoundError:  # run out of a folder of sources
        return "0+unknown"
