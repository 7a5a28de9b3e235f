"""World: the ground truth of the whole service, advanced lazily to the time of each question.

It knows scenario seconds only, and nothing of HTTP, faults or the wall clock.
"""

from __future__ import annotations

import heapq
from itertools import count

import attrs

from titan_state.core.lifecycle import Lifecycle
from titan_state.emulator.plan import Plan
from titan_state.emulator.run import Run
from titan_state.emulator.scenario import Scenario, Task
from titan_state.emulator.stories import new_id, seeded
from titan_state.errors import shorten


@attrs.frozen
class KnownTask:
    """A task with its id, and when it was created in scenario seconds."""

    id: str
    task: Task
    created_at: float


class World:
    """All tasks and executions."""

    def __init__(self, scenario: Scenario, *, seed: int, lifecycle: Lifecycle) -> None:
        self._lifecycle = lifecycle
        self._random = seeded(f"{seed}:ids")
        self._order = count()
        self._now = 0.0
        self._due: list[tuple[float, int, Run]] = []
        self._planned: list[tuple[float, int, str, Plan]] = []
        self._planned_ids: set[str] = set()
        self._runs: dict[str, Run] = {}
        self._of_task: dict[str, list[Run]] = {}
        self.tasks: dict[str, KnownTask] = {}
        for task in scenario.tasks:
            self.add_task(task, now=0.0)
        if not self.tasks and not any(plan.task_id for plan in scenario.plans):
            self.add_task(Task(), now=0.0)
        for plan in scenario.plans:
            self.plan(plan, now=0.0)

    def add_task(self, task: Task, *, now: float) -> KnownTask:
        """Add a task and return it with its id."""
        known = KnownTask(task.id or new_id(self._random), task, now)
        self.tasks[known.id] = known
        self._of_task.setdefault(known.id, [])
        return known

    def plan(self, plan: Plan, *, now: float) -> str:
        """Schedule a plan's execution and return its id.

        Raises:
            ValueError: There is an execution of that id already.
        """
        execution_id = plan.id or new_id(self._random)
        if execution_id in self._runs or execution_id in self._planned_ids:
            raise ValueError(f"there is an execution {execution_id} already: give the plan another id")
        if plan.task_id is not None and plan.task_id not in self.tasks:
            self.add_task(Task(id=plan.task_id), now=now)
        self._planned_ids.add(execution_id)
        heapq.heappush(self._planned, (now + plan.created_after_s, next(self._order), execution_id, plan))
        self.advance(now)
        return execution_id

    def advance(self, now: float) -> None:
        """Let everything happen that is due by `now`."""
        self._now = now
        while self._planned and self._planned[0][0] <= now:
            at, _, execution_id, plan = heapq.heappop(self._planned)
            task_id = plan.task_id or next(iter(self.tasks))
            run = Run(plan, execution_id=execution_id, task_id=task_id, created_at=at, lifecycle=self._lifecycle)
            self._planned_ids.discard(execution_id)
            self._runs[execution_id] = run
            self._of_task[task_id].append(run)
            self.reschedule(run)
        while self._due and self._due[0][0] <= now:
            run = heapq.heappop(self._due)[2]
            run.advance(now)
            self.reschedule(run)

    def reschedule(self, run: Run) -> None:
        """Note when an execution changes next. An earlier note that became wrong does no harm."""
        due = run.next_due()
        if due != float("inf"):
            heapq.heappush(self._due, (due, next(self._order), run))

    def run(self, execution_id: str) -> Run:
        """Return an execution, also one that has vanished.

        Raises:
            KeyError: There is none of that id, or it is not created yet.
        """
        try:
            return self._runs[execution_id]
        except KeyError:
            raise KeyError(
                f"there is no execution {shorten(repr(execution_id))} now: add one, or wait for it"
            ) from None

    def is_planned(self, execution_id: str) -> bool:
        """Return whether the execution is going to be created later."""
        return execution_id in self._planned_ids

    def runs(self, task_id: str | None = None) -> list[Run]:
        """Return the executions of all tasks or of one, in the order of their creation, vanished ones too."""
        return list(self._runs.values()) if task_id is None else list(self._of_task.get(task_id, ()))

    def visible(self, at: float, task_id: str | None = None) -> list[Run]:
        """Return the executions that can be found at a scenario time, newest first."""
        if at >= self._now:  # the common case, kept cheap for large services
            return [run for run in reversed(self.runs(task_id)) if run.status is not None]
        found = []
        for run in reversed(self.runs(task_id)):
            mark = run.mark_at(at)
            if mark is not None and mark.status is not None:
                found.append(run)
        return found
