"""Anomalies: what can be wrong with an execution, how grave it is, what to check first, and the thresholds.

The table of the rules is here; the tracker holds executions against it.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import Any, Final

import attrs

from titan_state.errors import ConfigurationError


class AnomalyKind(StrEnum):
    """What is wrong. The seconds are those of `Thresholds`, and so is what None switches off.

    Attributes:
        ILLEGAL_MOVE: A confirmed change that no path of the model explains.
        LEFT_TERMINAL: A finished execution moved again.
        UNEXPECTED_FLIP: From `running` to `paused` or back, without a control action sent through this monitor.
        FLAPPING: `flap_count` such flips within `flap_window_s`.
        STUCK_QUEUED: Queued for longer than `stuck_queued_s`.
        STUCK_RUNNING: Running for longer than `stuck_running_s`.
        STUCK_PAUSED: Paused for longer than `stuck_paused_s`.
        ACTION_NOT_APPLIED: An action that the service accepted shows no effect within `action_s`.
        UNKNOWN_STATUS: A status that the model does not have.
        VANISHED: An execution that was seen is not found any more (404), confirmed.
        RESULTS_OVERDUE: The results of a success cannot be read within `results_s`.
        BLIND: The monitor has seen nothing for `blind_s`, or is that late against its own plan.
    """

    ILLEGAL_MOVE = "illegal_move"
    LEFT_TERMINAL = "left_terminal"
    UNEXPECTED_FLIP = "unexpected_flip"
    FLAPPING = "flapping"
    STUCK_QUEUED = "stuck_queued"
    STUCK_RUNNING = "stuck_running"
    STUCK_PAUSED = "stuck_paused"
    ACTION_NOT_APPLIED = "action_not_applied"
    UNKNOWN_STATUS = "unknown_status"
    VANISHED = "vanished"
    RESULTS_OVERDUE = "results_overdue"
    BLIND = "blind"


class Severity(StrEnum):
    """How grave an anomaly is.

    Attributes:
        WARNING: Worth a look.
        ERROR: The platform broke its own rules, or work is lost.
        CRITICAL: The monitor can no longer tell.
    """

    WARNING = "warning"  # worth a look
    ERROR = "error"  # the platform broke its own rules, or work is lost
    CRITICAL = "critical"  # the monitor can no longer tell


@attrs.frozen
class Rule:
    """One row of the table of anomalies.

    Attributes:
        severity: How grave it is.
        check_first: What the documentation, or experience, says to check first.
        ends: Whether it can end, and is then said to have ended (`AnomalyCleared`).
    """

    severity: Severity
    check_first: str
    ends: bool


_PAUSE_LOGIC = "whether pause/resume logic is in use"
_LOGS = "platform logs"
_EXTENSION = "the lifecycle's extension: Lifecycle.extend makes the status known (docs: how-to/statuses)"
DETAILS_AND_LOGS: Final = "execution details and platform logs"

RULES: Final[Mapping[AnomalyKind, Rule]] = MappingProxyType(
    {
        AnomalyKind.ILLEGAL_MOVE: Rule(Severity.ERROR, _LOGS, ends=False),
        AnomalyKind.LEFT_TERMINAL: Rule(Severity.ERROR, _LOGS, ends=True),
        AnomalyKind.UNEXPECTED_FLIP: Rule(Severity.WARNING, _PAUSE_LOGIC, ends=False),
        AnomalyKind.FLAPPING: Rule(Severity.WARNING, _PAUSE_LOGIC, ends=True),
        AnomalyKind.STUCK_QUEUED: Rule(Severity.WARNING, "worker capacity and scheduler health", ends=True),
        AnomalyKind.STUCK_RUNNING: Rule(Severity.WARNING, DETAILS_AND_LOGS, ends=True),
        AnomalyKind.STUCK_PAUSED: Rule(Severity.WARNING, DETAILS_AND_LOGS, ends=True),
        AnomalyKind.ACTION_NOT_APPLIED: Rule(Severity.WARNING, "whether the deployment supports it", ends=True),
        AnomalyKind.UNKNOWN_STATUS: Rule(
            Severity.WARNING,
            _EXTENSION,
            ends=True,
        ),
        AnomalyKind.VANISHED: Rule(Severity.ERROR, "whether it or its task was deleted", ends=True),
        AnomalyKind.RESULTS_OVERDUE: Rule(Severity.WARNING, "result ingestion or result path timing", ends=True),
        AnomalyKind.BLIND: Rule(Severity.CRITICAL, "connectivity, credentials, rate limits", ends=True),
    }
)
"""Every kind of anomaly with its rule; the hints are those of the documentation's troubleshooting table."""

STUCK: Final[Mapping[str, AnomalyKind]] = MappingProxyType(
    {
        "queued": AnomalyKind.STUCK_QUEUED,
        "running": AnomalyKind.STUCK_RUNNING,
        "paused": AnomalyKind.STUCK_PAUSED,
    }
)
"""The anomaly of staying too long in a status."""


def _duration(instance: Any, attribute: attrs.Attribute[Any], value: Any) -> None:
    if value is None and attribute.name not in _NEEDED:
        return
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= _LONGEST_S:
        allowed = f"a number of seconds from 0 to {_LONGEST_S:g}" + (
            "" if attribute.name in _NEEDED else ", or None to switch it off"
        )
        raise ConfigurationError(f"{attribute.name} must be {allowed}, not {value!r}")


def _count(instance: Any, attribute: attrs.Attribute[Any], value: Any) -> None:
    if value is not None and (isinstance(value, bool) or not isinstance(value, int) or value < 1):
        raise ConfigurationError(f"{attribute.name} must be a whole number of at least 1, or None, not {value!r}")


def _tasks(value: Any) -> Any:
    return dict(value) if isinstance(value, Mapping) else value  # a copy: what is frozen must not change from outside


def _for_each_task(instance: Any, attribute: attrs.Attribute[Any], value: Any) -> None:
    if not isinstance(value, dict):
        raise ConfigurationError(f"tasks must map task ids to Thresholds, not be {value!r}")
    for task_id, own in value.items():
        if not isinstance(task_id, str) or not isinstance(own, Thresholds):
            raise ConfigurationError(f"tasks must map task ids to Thresholds, not {task_id!r} to {own!r}")


_LONGEST_S: Final = 1e9  # some thirty years: what is longer is a mistake, and no date could be told for it
_NEEDED: Final = frozenset({"replica_lag_s", "flap_window_s", "not_found_s", "retention_s"})


@attrs.frozen(kw_only=True)
class Thresholds:
    """When something counts as an anomaly. All durations are seconds; None switches a rule off.

    ```python
    thresholds = Thresholds(stuck_queued_s=600, tasks={"nightly": Thresholds(stuck_running_s=7200)})
    ```

    The defaults are this library's choice, as the documentation of the service names none.

    Attributes:
        replica_lag_s: How far an answer of the service may lag behind the truth, 5 by default. Two reads at least this
            far apart must agree before a contradiction is believed.
        stuck_queued_s: Queued for longer than this, 300 by default. As for every rule of time, a read shows it that was
            sent at least `replica_lag_s` later; what is not read is not called stuck.
        stuck_running_s: Running for longer than this; None, the default, as durations differ by task.
        stuck_paused_s: Paused for longer than this; None by default.
        flap_count: Flips between running and paused, none of them an action of ours, that count as flapping: 4 by
            default.
        flap_window_s: The time within which they must fall, 600 by default.
        action_s: How long an accepted action may stay without effect, 60 by default.
        blind_s: How long the monitor may see nothing, or be late against its own plan, 300 by default.
        results_s: How long results may stay unreadable after success, 300 by default.
        not_found_s: How long an execution that was never seen may be unreadable (404) after it was asked for, 10 by
            default.
        retention_s: How long a finished execution is kept in full, to notice that it runs again, 900 by default.
        tasks: Other thresholds for single tasks, by task id. Of those, only `stuck_queued_s`, `stuck_running_s` and
            `stuck_paused_s` count.

    Raises:
        ConfigurationError: A number that cannot work; the message says which are possible.
    """

    replica_lag_s: float = attrs.field(default=5.0, validator=_duration)
    stuck_queued_s: float | None = attrs.field(default=300.0, validator=_duration)
    stuck_running_s: float | None = attrs.field(default=None, validator=_duration)
    stuck_paused_s: float | None = attrs.field(default=None, validator=_duration)
    flap_count: int | None = attrs.field(default=4, validator=_count)
    flap_window_s: float = attrs.field(default=600.0, validator=_duration)
    action_s: float | None = attrs.field(default=60.0, validator=_duration)
    blind_s: float | None = attrs.field(default=300.0, validator=_duration)
    results_s: float | None = attrs.field(default=300.0, validator=_duration)
    not_found_s: float = attrs.field(default=10.0, validator=_duration)
    retention_s: float = attrs.field(default=900.0, validator=_duration)
    tasks: Mapping[str, Thresholds] = attrs.field(factory=dict, converter=_tasks, validator=_for_each_task, hash=False)

    def stuck_after(self, status: str, task_id: str | None) -> float | None:
        """Return after how many seconds an execution of a task is stuck in a status.

        Args:
            status: The status; only `queued`, `running` and `paused` have such a rule.
            task_id: Its task, for thresholds of its own in `tasks`; None if that is not known.

        Returns:
            The seconds; None for never.
        """
        kind = STUCK.get(status)
        if kind is None:
            return None
        own = self if task_id is None else self.tasks.get(task_id, self)
        value: float | None = getattr(own, f"{kind.value}_s")
        return value
