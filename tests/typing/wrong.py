"""What type checkers must refuse in programs that use the public API; nothing in it is run.

Each line that ends in `# wrong: CODE, RULE` is reported by mypy with that code and by pyright with that rule, and no
other line is reported by either (test_typing.py).
"""

from pathlib import Path

from titan_state import (
    Action,
    AnomalyCleared,
    AnomalyDetected,
    AnomalyKind,
    Execution,
    Handlers,
    Lifecycle,
    Monitor,
    RequestBudget,
    ResultsReady,
    Subscriber,
    TemporaryError,
    Thresholds,
    Transitioned,
)
from titan_state.emulator import Plan, Step

handlers = Handlers()


@handlers.on_completed  # wrong: type-var, reportArgumentType
async def for_anomalies(event: AnomalyDetected) -> None:
    """A callback for another kind of event."""


@handlers.on_anomaly(AnomalyKind.BLIND)  # wrong: type-var, reportArgumentType
def for_moves(event: Transitioned) -> None:
    """One for moves, where kinds are named."""


@handlers.on_anomaly_cleared  # wrong: type-var, reportArgumentType
def for_beginnings(event: AnomalyDetected) -> None:
    """One for anomalies, where they end."""


@handlers.on_results_ready(retries=1)  # wrong: type-var, reportArgumentType
def for_ends(event: Transitioned) -> None:
    """One for moves, where results are ready."""


def for_one_of_both(event: Transitioned) -> None:
    """One that takes only the first of the two kinds that it is registered for."""


handlers.on_anomaly(handlers.on_failed(for_one_of_both))  # wrong: type-var, reportArgumentType


@handlers.on_completed  # wrong: type-var, reportArgumentType
def without_event() -> None:
    """One without an argument."""


def cleared(event: AnomalyCleared) -> None:
    """Stand for a callback."""


def ready(event: ResultsReady) -> None:
    """Stand for a callback."""


handlers.on_anomaly(cleared)  # wrong: type-var, reportArgumentType
handlers.on_results_ready(ready, retry=5)  # wrong: call-overload, reportCallIssue
handlers.on_results_ready(ready, retries="5")  # wrong: call-overload, reportArgumentType
handlers.on_enter(5)  # wrong: arg-type, reportArgumentType


async def misuse(monitor: Monitor) -> None:
    """What a monitor does not take."""
    several: list[Execution] = await monitor.wait("one")  # wrong: assignment, reportAssignmentType
    one: Execution = await monitor.wait(["one"])  # wrong: assignment, reportAssignmentType
    await monitor.wait(5)  # wrong: call-overload, reportCallIssue
    monitor.watch(["one"])  # wrong: arg-type, reportArgumentType
    if monitor.verdict("one", Action.PAUSE):  # wrong: truthy-bool, reportUnnecessaryComparison
        monitor.watch(one.id, *(each.id for each in several))
    monitor.unwatch(task="t")  # wrong: call-arg, reportCallIssue
    await monitor.outputs("one").export(Path(), format="xml")  # wrong: arg-type, reportArgumentType
    await monitor.outputs("one").export(Path(), if_exists="replace")  # wrong: arg-type, reportArgumentType
    Monitor.from_env(handler=handlers)  # wrong: call-arg, reportCallIssue
    Monitor.from_env(handlers=[cleared])  # wrong: arg-type, reportArgumentType


def misuse_of_the_model(event: Transitioned, execution: Execution) -> None:
    """What is frozen stays as it is, and numbers are numbers."""
    event.dest = "failed"  # wrong: misc, reportAttributeAccessIssue
    execution.status = "failed"  # wrong: misc, reportAttributeAccessIssue
    str(event.kind)  # wrong: attr-defined, reportAttributeAccessIssue
    Lifecycle.default().extend(moves=["pause"])  # wrong: list-item, reportArgumentType
    Thresholds(stuck_queued_s="300")  # wrong: arg-type, reportArgumentType
    RequestBudget(per_minute="120")  # wrong: arg-type, reportArgumentType
    TemporaryError("later", 5)  # wrong: call-arg, reportCallIssue
    Subscriber("titan.db")  # wrong: call-arg, reportCallIssue
    Plan(steps=[("running", 5)])  # wrong: list-item, reportArgumentType
    Step(status=5)  # wrong: arg-type, reportArgumentType
