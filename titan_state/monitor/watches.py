"""Watches: which executions the user asked for, and since when.

An execution is watched by its id, or because its task, or everything, is watched. Only the latter have a baseline.
Whoever is busy with an execution (a wait, an action, a run) holds it: it stays watched until that is over.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Final

import attrs

from titan_state.core.tracking.retention import Baseline

if TYPE_CHECKING:
    from datetime import datetime


MOST_ALIASES: Final = 1000
"""A list that names more other tasks than that is no task's list."""


@attrs.define
class Watches:
    """What is watched.

    Attributes:
        ids: The executions that are watched by their id.
        lists: The tasks that are watched, None for all executions, each with its baseline.
        held: How many are busy with an execution.
        former: The lists that were watched before a restart, each with its baseline.
        changed: The lists of which the baseline has changed since `take_changes`.
        aliases: For the tasks that a watched list's executions name, where that is not the one it is the list of:
            that one. A service may take a slug for a task's id.
    """

    ids: set[str] = attrs.field(factory=set)
    lists: dict[str | None, Baseline] = attrs.field(factory=dict)
    held: Counter[str] = attrs.field(factory=Counter)
    former: dict[str | None, Baseline] = attrs.field(factory=dict)
    changed: set[str | None] = attrs.field(factory=set)
    aliases: dict[str, str | None] = attrs.field(factory=dict)

    def __bool__(self) -> bool:
        return bool(self.ids or self.lists)

    def is_named(self, execution_id: str) -> bool:
        """Return whether an execution is watched by its id, or held."""
        return execution_id in self.ids or execution_id in self.held

    def hold(self, *execution_ids: str) -> None:
        """Keep executions watched until they are released."""
        self.held.update(execution_ids)

    def release(self, *execution_ids: str) -> None:
        """End one hold of each."""
        for name in execution_ids:
            self.held[name] -= 1
            if not self.held[name]:
                del self.held[name]

    def showed(self, task_id: str | None, named: str | None) -> None:
        """Take in that the list of a task shows an execution that names another task, or none."""
        if named not in (None, task_id) and task_id in self.lists and len(self.aliases) < MOST_ALIASES:
            self.aliases[named] = task_id

    def enlist(self, task_id: str | None) -> bool:
        """Watch a list, from where it was left off if it was watched before a restart; return whether that is new."""
        if task_id in self.lists:
            return False
        self.lists[task_id] = self.former.get(task_id, Baseline())
        self.changed.add(task_id)
        return True

    def unlist(self, task_id: str | None) -> None:
        """Watch a list no longer."""
        self.lists.pop(task_id, None)
        self.former.pop(task_id, None)
        self.changed.add(task_id)
        self.aliases = {named: name for named, name in self.aliases.items() if name != task_id}

    def began(self, task_id: str | None, when: datetime | None) -> None:
        """Take in the service's date in the first answer of a list that is watched."""
        baseline = self.lists.get(task_id)
        if baseline is not None and baseline.since is None and not baseline.complete and when is not None:
            self.lists[task_id] = Baseline(when, complete=False)
            self.changed.add(task_id)

    def swept(self, task_id: str | None) -> None:
        """Take in that every page of a list was read once."""
        baseline = self.lists.get(task_id)
        if baseline is not None and not baseline.complete:
            self.lists[task_id] = attrs.evolve(baseline, complete=True)
            self.changed.add(task_id)

    def take_changes(self) -> dict[str | None, Baseline | None]:
        """Return the baselines that have changed since the last call, None for a list that is not watched any more."""
        changed, self.changed = self.changed, set()
        return {task_id: self.lists.get(task_id) for task_id in changed}

    def covers(self, execution_id: str, task_id: str | None, shown_by: str | None = None) -> bool:
        """Return whether an execution is watched.

        Args:
            execution_id: The execution.
            task_id: Its task, None if that is not known.
            shown_by: The task whose list shows it, None for the list of all, or a read of the execution by itself.
        """
        return self.is_named(execution_id) or self._list_of(task_id, shown_by) is not None

    def baseline(self, execution_id: str, task_id: str | None, shown_by: str | None = None) -> Baseline | None:
        """Return the baseline that a first sight of an execution is held against, None for one watched by its id."""
        return None if self.is_named(execution_id) else self._list_of(task_id, shown_by)

    def _list_of(self, task_id: str | None, shown_by: str | None) -> Baseline | None:
        """Return the baseline of the watched list that an execution belongs to, None if there is none."""
        for name in (shown_by, task_id, self.aliases.get(task_id or ""), None):
            baseline = self.lists.get(name)
            if baseline is not None:
                return baseline
        return None
