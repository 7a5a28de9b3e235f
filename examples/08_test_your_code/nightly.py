"""A small package function, as users write them: run the nightly task, wait for it, and save what it found."""

from dataclasses import dataclass
from pathlib import Path

from titan_state import Action, ExecutionFailedError, Monitor, WaitTimeoutError


@dataclass(frozen=True)
class Night:
    """What became of one night.

    Attributes:
        execution_id: The execution.
        file: The export; None if it did not succeed.
        problem: What went wrong, None if nothing did.
    """

    execution_id: str
    file: Path | None = None
    problem: str | None = None


async def nightly(monitor: Monitor, task_id: str, place: Path, *, limit_s: float = 3600) -> Night:
    """Run a task and export its results; what takes longer than the limit is stopped."""
    execution = await monitor.run(task_id)
    try:
        await monitor.wait(execution.id, timeout=limit_s)
    except ExecutionFailedError as error:
        return Night(execution.id, problem=error.execution.error if error.execution else str(error))
    except WaitTimeoutError:
        if await monitor.verdict(execution.id, Action.STOP):
            await monitor.stop(execution.id)
        return Night(execution.id, problem=f"stopped after {limit_s:g} s")
    saved = await monitor.outputs(execution.id).export(place, if_exists="skip")
    return Night(execution.id, file=saved.path)
