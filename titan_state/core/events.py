"""Events: what the tracker says happened. Past tense, frozen, and the same for callbacks, streams and the journal.

An event says what was observed; it holds no behaviour and decides nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, ClassVar, Final, Literal

import attrs

from titan_state.core.anomalies import DETAILS_AND_LOGS, AnomalyKind, Severity
from titan_state.core.execution import Execution
from titan_state.core.lifecycle import Action

SCHEMA: Final = 1
"""The version of what `Event.to_dict` returns. It grows by one when a reader must change."""

LONGEST_METADATA: Final = 16 * 1024
"""The longest metadata of results that an event keeps, in characters of JSON; the journal holds every event."""

NO_METADATA: Final[Mapping[str, Any]] = {}

Cause = Literal["action", "platform"]


@attrs.frozen(kw_only=True)
class Event:
    """What all events have.

    Attributes:
        execution_id: The execution it is about; empty for what concerns the monitor as a whole (`blind`).
        seq: The number of the event among those of its execution, from 1.
        at: When it was noticed, an aware UTC time.
        execution: The execution as it was last seen; None if it was never seen.
    """

    type: ClassVar[str] = "event"

    execution_id: str
    seq: int
    at: datetime
    execution: Execution | None = None

    @property
    def id(self) -> str:
        """The event's stable name, `<execution id>:<seq>`: the same again when it is delivered again."""
        return f"{self.execution_id}:{self.seq}"

    def to_dict(self) -> dict[str, Any]:
        """Return the event as JSON types: `schema`, `type`, `id`, then its attributes; times as ISO 8601 in UTC."""
        shown: dict[str, Any] = {"schema": SCHEMA, "type": self.type, "id": self.id}
        for field in attrs.fields(type(self)):
            value = getattr(self, field.name)
            if isinstance(value, datetime):
                value = value.isoformat()
            elif isinstance(value, Execution):
                value = value.to_dict()
            shown[field.name] = value
        return shown


@attrs.frozen(kw_only=True)
class Transitioned(Event):
    """An execution moved from one status to another, or was seen for the first time.

    It has these attributes beside those of `Event`; its `execution` is never None.

    Attributes:
        source: The status it left; None when it was seen for the first time.
        dest: The status it entered.
        move: The name of the move in the model; None for the first sight and for what no path explains.
        inferred: Whether the move was not seen itself: it lies on the only sensible way to what was seen.
        forced: Whether the model does not allow it. An anomaly says so beside it.
        cause: `action` if a control action sent through this monitor explains it, else `platform`.
        after: The change happened at or after this aware UTC time; None if that is not known. An answer that came
            from a lagging replica may move it by as much as `Thresholds.replica_lag_s`.
        before: The change happened at or before this aware UTC time.
    """

    type: ClassVar[str] = "transitioned"

    execution: Execution
    source: str | None
    dest: str
    move: str | None = None
    inferred: bool = False
    forced: bool = False
    cause: Cause = "platform"
    after: datetime | None = None
    before: datetime

    @property
    def check_first(self) -> str | None:
        """What to check first where the execution failed, else None."""
        return DETAILS_AND_LOGS if self.dest == "failed" else None

    def to_dict(self) -> dict[str, Any]:
        """Return the event as JSON types, with `check_first`; see `Event.to_dict`."""
        return {**Event.to_dict(self), "check_first": self.check_first}


@attrs.frozen(kw_only=True)
class AnomalyDetected(Event):
    """Something is wrong with an execution, or with what the monitor can see.

    It has these attributes beside those of `Event`.

    Attributes:
        kind: What is wrong.
        severity: How grave it is.
        message: One sentence for people.
        check_first: What to check first.
    """

    type: ClassVar[str] = "anomaly_detected"

    kind: AnomalyKind
    severity: Severity
    message: str
    check_first: str


@attrs.frozen(kw_only=True)
class AnomalyCleared(Event):
    """What was wrong has ended.

    It has these attributes beside those of `Event`.

    Attributes:
        kind: What was wrong.
        message: One sentence for people.
        since: When the anomaly was detected, an aware UTC time.
    """

    type: ClassVar[str] = "anomaly_cleared"

    kind: AnomalyKind
    message: str
    since: datetime


@attrs.frozen(kw_only=True)
class ResultsReady(Event):
    """The results of an execution that has succeeded can be read.

    It has these attributes beside those of `Event`.

    Attributes:
        status: The status in which it has succeeded.
        row_count: How many rows they have, None if the service does not say.
        metadata: What the service says of them, by its own names; empty if they are longer than
            16,384 characters of JSON.
        after: They became readable at or after this aware UTC time.
        before: They were readable at this aware UTC time.
    """

    type: ClassVar[str] = "results_ready"

    status: str
    row_count: int | None = None
    metadata: Mapping[str, Any] = attrs.field(default=NO_METADATA, hash=False)
    after: datetime
    before: datetime


@attrs.frozen(kw_only=True)
class ActionEvent(Event):
    """What became of a control action.

    Attributes:
        action: The action.
    """

    type: ClassVar[str] = "action"

    action: Action


@attrs.frozen(kw_only=True)
class ActionSent(ActionEvent):
    """A control action is about to be sent: from now on the move it causes is explained by it.

    It has this attribute beside those of `Event`.

    Attributes:
        action: The action.
    """

    type: ClassVar[str] = "action_sent"


@attrs.frozen(kw_only=True)
class ActionAccepted(ActionEvent):
    """The service accepted a control action; that it takes effect is an event of its own.

    It has this attribute beside those of `Event`.

    Attributes:
        action: The action.
    """

    type: ClassVar[str] = "action_accepted"


@attrs.frozen(kw_only=True)
class ActionRefused(ActionEvent):
    """The service refused a control action.

    It has these attributes beside those of `Event`.

    Attributes:
        action: The action.
        code: The service's error code (`error.code`), or its HTTP status as text.
    """

    type: ClassVar[str] = "action_refused"

    code: str


@attrs.frozen(kw_only=True)
class ActionUnknown(ActionEvent):
    """A control action was sent and no answer came: it may or may not have been carried out.

    It has this attribute beside those of `Event`.

    Attributes:
        action: The action.
    """

    type: ClassVar[str] = "action_unknown"
