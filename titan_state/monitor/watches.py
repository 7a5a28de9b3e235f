"""Watches: which executions the user asked for, and since when.

An execution is watched by its id, or because its task, or everything, is watched. Only the latter have a baseline.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs

from titan_state.core.retention import Baseline

if TYPE_CHECKING:
    from datetime import datetime


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

    def covers(self, execution_id: str, task_id: str | None, shown_by: str | None = None) -> bool:
        """Return whether an execution is watched.

        Args:
            execution_id: The execution.
            task_id: Its task, None if that is not known.
            shown_by: The task whose list shows it, None for the list of all, or a read of the execution by itself.
        """
        return execution_id in self.ids or self._list_of(task_id, shown_by) is not None

    def baseline(self, execution_id: str, task_id: str | None, shown_by: str | None = None) -> Baseline | None:
        """Return the baseline that a first sight of an execution is held against, None for one watched by its id."""
        return None if execution_id in self.ids else self._list_of(task_id, shown_by)

    def _list_of(self, task_id: str | None, shown_by: str | None) -> Baseline | None:
        """Return the baseline of the watched list that an execution belongs to, None if there is none."""
        for name in (shown_by, task_id, None):
            baseline = self.lists.get(name)
            if baseline is not None:
                return baseline
        return None
