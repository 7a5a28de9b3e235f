"""Reads: what a planner chooses between. Data only; the choice is in `planner.py`."""

from __future__ import annotations

from typing import NamedTuple

from titan_state.core.budget import Priority


class Scope(NamedTuple):
    """What a list is of.

    Attributes:
        task_id: The task whose executions are listed, None for all.
        status: The status that the service is asked to list only, None for any.
    """

    task_id: str | None
    status: str | None = None

    def page(self, number: int) -> ListPage:
        """Return a page of the list."""
        return ListPage(self.task_id, number, self.status)


class ListPage(NamedTuple):
    """A page of a list.

    Attributes:
        task_id: The task whose executions are listed, None for all.
        page: The number of the page that it was when the list was first read, from 0; those that have come before it
            since have negative numbers. Where it begins now is for the planner to say.
        status: The status that the service is asked to list only, None for any.
    """

    task_id: str | None
    page: int
    status: str | None = None

    @property
    def scope(self) -> Scope:
        """What it is a page of."""
        return Scope(self.task_id, self.status)

    def at(self, number: int) -> ListPage:
        """Return another page of the same list."""
        return self._replace(page=number)


class ResultsOf(NamedTuple):
    """The results of an execution: whether they can be read.

    Attributes:
        execution_id: The execution.
    """

    execution_id: str


Target = ListPage | str
"""What shows executions: a page of a list, or an execution by its id."""


class Choice(NamedTuple):
    """A request worth sending.

    Attributes:
        target: A page of a list, the id of one execution, or whose results are looked for.
        priority: With which priority it is sent.
    """

    target: Target | ResultsOf
    priority: Priority
