"""Questions: what other programs of this machine may ask a monitor, with answers that can be sent to them."""

from __future__ import annotations

import json
from functools import partial
from typing import TYPE_CHECKING, Any

from titan_state.core.budget import Priority
from titan_state.core.execution import plain

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from titan_state.monitor.monitor import Monitor


def questions(monitor: Monitor) -> dict[str, Callable[..., Awaitable[Any]]]:
    """Return what a monitor can be asked, by name; `LocalMonitor` asks it."""

    async def survey(after: Sequence[Any] | None, ids: list[str]) -> dict[str, Any]:
        mark = None if after is None else (str(after[0]), float(after[1]), int(after[2]))
        return monitor.survey(after=mark, ids=frozenset(ids)).to_dict()

    async def known(execution_id: str) -> dict[str, Any]:
        return monitor.known(execution_id).to_dict()

    async def results(execution_id: str) -> dict[str, Any]:
        found = await monitor.outputs(execution_id).metadata()
        # a text, since its keys are the service's own, not those of the wire
        return {"row_count": found.row_count, "fields": json.dumps(plain(found.fields))}

    return {
        "verdict": monitor.verdict,
        "act": monitor.act,
        "run": monitor.run,
        "list": partial(monitor.service.list, priority=Priority.CONTROL),  # who asks is told if nothing can be sent
        "survey": survey,
        "known": known,
        "results": results,
    }
