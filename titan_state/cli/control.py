"""`titan-state check`, `pause`, `resume`, `stop` and `run`: one request, one line, one exit code."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from titan_state import wording
from titan_state.cli.exits import Exit
from titan_state.cli.output import emit, emit_json
from titan_state.cli.spinner import shown
from titan_state.cli.wait import wait_with
from titan_state.core.lifecycle import Action, Lifecycle
from titan_state.errors import shorten

if TYPE_CHECKING:
    from titan_state.cli.connection import Connection
    from titan_state.core.execution import Execution


async def check(connection: Connection, execution_id: str, action: str, *, as_json: bool) -> int:
    """Say whether an action is legal now; nothing but a read is sent."""
    wanted = Action(action)
    async with connection.controlling(alone_with_journal=False) as monitor:
        verdict = await shown(monitor.verdict(execution_id, wanted), lambda: "reading the status")
    if as_json:
        emit_json(
            {
                "id": execution_id,
                "action": action,
                "allowed": verdict.allowed,
                "reason": verdict.reason,
                "leads_to": verdict.leads_to,
                "as_of": None if verdict.as_of is None else verdict.as_of.isoformat(),
            }
        )
    else:
        seen = f" (seen at {wording.clock_time(verdict.as_of)})" if verdict.as_of else ""
        emit(f"{'allowed' if verdict else 'not allowed'}: {verdict.reason}{seen}")
    return Exit.OK if verdict else Exit.ILLEGAL


async def act(connection: Connection, execution_id: str, action: str, *, force: bool, as_json: bool) -> int:
    """Send a control action, unless the status does not allow it."""
    wanted = Action(action)
    async with connection.controlling() as monitor:
        execution = await shown(monitor.act(execution_id, wanted, force=force), lambda: f"{action} · until it is clear")
    leads_to = Lifecycle.default().verdict(execution.status, wanted).leads_to
    if as_json:
        emit_json({"id": execution_id, "action": action, "accepted": True, "execution": execution.to_dict()})
        return Exit.OK
    # where the action would be legal still, its effect is yet to be seen
    effect = f"it is {execution.status}" + (" still, the effect may take a moment" if leads_to else "")
    emit(f"{shorten(execution_id)}  {action} was accepted: {effect}")
    return Exit.OK


async def run(connection: Connection, task_id: str, *, wait: bool, timeout_s: float | None, as_json: bool) -> int:
    """Start an execution of a task, and wait for its end if asked to."""
    if not wait:
        async with connection.controlling() as controller:
            _tell_start(await shown(controller.run(task_id), _starting), as_json=as_json)
        return Exit.OK
    async with connection.monitoring() as monitor:
        execution = await shown(monitor.run(task_id), _starting)
        _tell_start(execution, as_json=as_json)
        return await wait_with(monitor, (execution.id,), timeout_s=timeout_s, as_json=as_json)


def _starting() -> str:
    return "starting · until it is clear"


def _tell_start(execution: Execution, *, as_json: bool) -> None:
    if as_json:
        started: dict[str, Any] = {"id": execution.id, "outcome": "started", "execution": execution.to_dict()}
        emit_json(started)
    else:
        emit(f"{shorten(execution.id)}  started, it is {execution.status}")
