"""Watches: which executions the user asked for, and since when.

An execution is watched by its id, or because its task, or everything, is watched. Only the latter have a baseline.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs

from titan_state.core.retention import Baseline

if TYPE_CHECKING:
    from datetime import datetime

    from titan_state.core.execution import Execution


@attrs.define
class Watches:
    """What is watched.

    Attributes:
        ids: The executions that are watched by their id.
        lists: The tasks that are watched, None for all executions, each with its baseline.
    """

    ids: set[str] = attrs.field(factory=set)
    lists: dict[str | None, Baseline] = attrs.field(factory=dict)

    def __bool__(self) -> bool:
        return bool(self.ids or self.lists)

    def began(self, task_id: str | None, when: datetime | None) -> None:
        """Take in the service's date in the first answer of a list that is watched."""
        baseline = self.lists.get(task_id)
        if baseline is not None and baseline.since is None and not baseline.complete and when is not None:
            self.lists[task_id] = Baseline(when, complete=False)

    def swept(self, task_id: str | None) -> None:
        """Take in that every page of a list was read once."""
        baseline = self.lists.get(task_id)
        if baseline is not None:
            self.lists[task_id] = attrs.evolve(baseline, complete=True)

    def covers(self, execution: Execution, shown_by: str | None = None) -> bool:
        """Return whether an execution is watched; `shown_by` is the task whose list shows it."""
        return (
            execution.id in self.ids
            or None in self.lists
            or (execution.task_id is not None and execution.task_id in self.lists)
            or (shown_by is not None and shown_by in self.lists)
        )

    def baseline(self, execution: Execution, shown_by: str | None = None) -> Baseline | None:
        """Return the baseline that a first sight of an execution is held against, None for one watched by its id."""
        if execution.id in self.ids:
            return None
        for task_id in (shown_by, execution.task_id, None):
            if task_id in self.lists:
                return self.lists[task_id]
        return None
