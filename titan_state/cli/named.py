"""What a user names: executions and tasks, looked at before anything is done with them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from titan_state.core.budget import Priority
from titan_state.errors import ForbiddenError, NotFoundError, ServiceError, UnauthorizedError
from titan_state.monitor.arguments import require_id

if TYPE_CHECKING:
    from collections.abc import Iterable

    from titan_state.monitor.monitor import Monitor


def require_ids(ids: Iterable[str] = (), tasks: Iterable[str] = ()) -> None:
    """Refuse what can be no id.

    Args:
        ids: Executions.
        tasks: Tasks.

    Raises:
        ConfigurationError: One of them is empty, or no valid text.
    """
    for names, what in ((ids, "an execution"), (tasks, "a task")):
        for name in names:
            require_id(name, what)


async def require_task(monitor: Monitor, task_id: str) -> None:
    """Raise if the service does not know a task: the monitor itself would go on looking for it.

    Raises:
        NotFoundError: There is no such task.
        ServiceError: The credentials were refused; of other failures nothing is said, the monitor tries again.
    """
    try:
        await monitor.service.list(task_id=task_id, limit=1, priority=Priority.CONTROL)
    except (NotFoundError, UnauthorizedError, ForbiddenError):
        raise
    except ServiceError:  # the monitor tries again
        return
