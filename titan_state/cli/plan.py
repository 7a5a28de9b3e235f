"""`titan-state plan`, and `watch --explain`: what delay to expect, and why a request is sent, in words."""

from __future__ import annotations

from typing import TYPE_CHECKING

from titan_state.cli.output import emit, emit_json
from titan_state.core.planning.explanation import estimate

if TYPE_CHECKING:
    from titan_state.monitor.monitor import Monitor

SUMMARY_EACH = 20
"""After how many requests that are explained a line says what delay to expect."""


def plan(executions: int, per_minute: float, *, finished: int | None, page_size: int, as_json: bool) -> None:
    """Write what mean delay to expect at a load, without a service."""
    found = estimate(executions, per_minute, finished=finished, page_size=page_size)
    others = 5 * executions if finished is None else finished
    rows = {
        "one GET for each, in turn": found.one_by_one_s,
        "all pages of the list, in turn": found.sweep_s,
        "titan-state": found.planned_s,
    }
    if as_json:
        emit_json({"executions": executions, "finished": others, "per_minute": per_minute, "mean_delay_s": rows})
        return
    emit(f"{executions:,} live executions among {others:,} finished ones, {per_minute:g} requests a minute:")
    for name, seconds in rows.items():
        emit(f"  {name:<32} a change is noticed after {_shown(seconds)} on average")
    emit(f"  One GET every 3 s for each is full at {found.full_at} executions.")
    emit("Durations are taken as memoryless, the list as newest first; durations that vary less are noticed sooner.")


class Explainer:
    """Says of each request why it was sent."""

    def __init__(self, monitor: Monitor) -> None:
        self._monitor = monitor
        self._next = 0

    def lines(self) -> list[str]:
        """Return what was not said before."""
        explanation = self._monitor.explain()
        lines = []
        for request in explanation.requests:
            if request.number >= self._next:
                self._next = request.number + 1
                lines.append(f"reads {request.target}: {request.reason}")
                if not self._next % SUMMARY_EACH:
                    lines.append(f"  {explanation}")
        return lines


def _shown(seconds: float) -> str:
    return f"{seconds:.3g} s" if seconds < 120 else f"{seconds / 60:.3g} min"
