"""`titan-state wait`: wait until executions have finished, and tell the outcome by the exit code."""

from __future__ import annotations

import asyncio
import sys
from typing import TYPE_CHECKING, Any

import attrs

from titan_state import wording
from titan_state.cli.exits import OF_STATUS, Exit, worst
from titan_state.cli.hindrance import Hindrance, said, sought
from titan_state.cli.named import require_ids
from titan_state.cli.output import emit, emit_json
from titan_state.cli.spinner import spinner
from titan_state.errors import ExecutionNotFoundError, WaitTimeoutError, shorten

if TYPE_CHECKING:
    from collections.abc import Sequence

    from titan_state.cli.connection import Connection
    from titan_state.core.execution import Execution
    from titan_state.monitor.monitor import Monitor


@attrs.frozen
class Outcome:
    """How the wait for one execution ended.

    Attributes:
        execution_id: The execution.
        outcome: Its last status, `not_found` or `timeout`.
        code: The exit code of it.
        execution: What was last seen of it.
    """

    execution_id: str
    outcome: str
    code: Exit
    execution: Execution | None

    def line(self) -> str:
        """Return the outcome as a line for people."""
        told = {
            "not_found": "not found: check its id, the URL, and whether it was deleted",
            "timeout": f"still {self.execution.status}: the time was up, it goes on"
            if self.execution
            else "not seen before the time was up",
        }.get(self.outcome, self.outcome)
        if self.outcome in {"failed", "completed_with_errors"} and self.execution and self.execution.error:
            told += f": {shorten(self.execution.error, wording.ERROR_LIMIT)}"
        if self.outcome == "failed":
            told += "; check first: execution details and platform logs"
        if self.outcome == "not_found" and wording.is_short(self.execution_id):
            told += " (the id is cut as in a table: titan-state list has it whole)"
        return f"{shorten(self.execution_id)}  {told}"

    def to_dict(self) -> dict[str, Any]:
        """Return the outcome as JSON types."""
        return {
            "id": self.execution_id,
            "outcome": self.outcome,
            "exit_code": int(self.code),
            "execution": None if self.execution is None else self.execution.to_dict(),
        }


async def wait(connection: Connection, ids: Sequence[str], *, timeout_s: float | None, as_json: bool) -> int:
    """Wait for executions and write a line for each as it finishes.

    Returns:
        The exit code: of several outcomes the worst.

    Raises:
        ConfigurationError: Something is named that is no id.
    """
    require_ids(ids)
    async with connection.monitoring() as monitor:
        return await wait_with(monitor, ids, timeout_s=timeout_s, as_json=as_json)


async def wait_with(monitor: Monitor, ids: Sequence[str], *, timeout_s: float | None, as_json: bool) -> int:
    """Wait for executions with a monitor that runs already; see `wait`."""
    if sys.stderr.isatty():  # there the spinner says so
        return await _waited(monitor, ids, timeout_s=timeout_s, as_json=as_json)
    async with said(monitor):
        return await _waited(monitor, ids, timeout_s=timeout_s, as_json=as_json)


async def _waited(monitor: Monitor, ids: Sequence[str], *, timeout_s: float | None, as_json: bool) -> int:
    ids = tuple(dict.fromkeys(ids))
    waits = {asyncio.ensure_future(_end(monitor, name, timeout_s)) for name in ids}
    pending, codes = set(waits), []
    try:
        hindrance = Hindrance(monitor)
        with spinner(lambda: _waiting_for(monitor, ids, len(pending), hindrance.remark())) as (tick, aside):
            while pending:
                done, pending = await asyncio.wait(pending, timeout=tick(), return_when=asyncio.FIRST_COMPLETED)
                if not done:
                    continue
                outcomes = [one.result() for one in done]
                codes += [outcome.code for outcome in outcomes]
                with aside(for_good=not pending):
                    for outcome in outcomes:
                        emit_json(outcome.to_dict()) if as_json else emit(outcome.line())
    finally:
        for one in waits:
            one.cancel()
        await asyncio.gather(*waits, return_exceptions=True)
    return worst(codes)


async def _end(monitor: Monitor, execution_id: str, timeout_s: float | None) -> Outcome:
    try:
        async with sought(monitor, execution_id):
            execution = await monitor.wait(execution_id, timeout=timeout_s, check=False)
    except ExecutionNotFoundError as error:
        return Outcome(execution_id, "not_found", Exit.NOT_FOUND, error.execution)
    except WaitTimeoutError as error:
        return Outcome(execution_id, "timeout", Exit.TIMEOUT, error.execution)
    return Outcome(execution_id, execution.status, OF_STATUS.get(execution.status, Exit.ERROR), execution)


def _waiting_for(monitor: Monitor, ids: Sequence[str], left: int, remark: str) -> str:
    seen = {one.id: one for one in monitor.executions() if one.id in ids}
    if len(ids) == 1:
        one = seen.get(ids[0])
        told = "not seen yet" if one is None else f"{one.status} {wording.progress(one)}".strip()
    else:
        told = f"{left} of {len(ids)} left: {wording.counted(one.status for one in seen.values()) or 'not seen yet'}"
    open_ones = [str(kind) for name in ("", *ids) for kind in monitor.anomalies(name)]
    if open_ones:
        told += f" · ⚠ {wording.counted(open_ones)}"
    if remark:
        told += f" · ⚠ {remark}"
    return f"waiting · {told} · {monitor.remaining} requests left"
