"""Scenario: the tasks of an embedded service and what their executions are going to do.

Data only. How random and demonstration stories are made up is in `stories.py` and `demo.py`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import attrs

from titan_state.emulator import checks, demo, stories
from titan_state.emulator.plan import Plan
from titan_state.errors import shorten

HOW_PLAN = "Plan(steps=…)"


def _template(template: Plan) -> Plan:
    return checks.one("template", template, Plan, HOW_PLAN)


@attrs.frozen(kw_only=True)
class Task:
    """One task of the embedded service.

    Attributes:
        id: Its id; None for a UUID made from the emulator's seed.
        name: Its name.
        status: Its status, of the tasks' own enumeration. One that is `deleted` is not found.
        template: What an execution does that is started by `POST /tasks/:id/run`.
    """

    id: str | None = None
    name: str = "A task"
    status: str = "active"
    template: Plan = attrs.field(factory=stories.ordinary, converter=_template)


def _plans(plans: Iterable[Plan]) -> tuple[Plan, ...]:
    return checks.several("plans", plans, Plan, HOW_PLAN)


def _tasks(tasks: Iterable[Task]) -> tuple[Task, ...]:
    return checks.several("tasks", tasks, Task, "Task(id=…)")


@attrs.frozen
class Scenario:
    """Tasks and plans: all that an embedded service is going to do by itself.

    ```python
    scenario = Scenario(
        plans=[Plan(id="good", steps=[Step("running", 1), Step("completed", 5)]), Plan(id="stays", task_id="nightly")],
        tasks=[Task(id="nightly", name="Nightly prices")],
    )
    ```

    Attributes:
        plans: What its executions do. A plan with a `task_id` that no task has brings that task along.
        tasks: Its tasks. Without any, there is one.
    """

    plans: tuple[Plan, ...] = attrs.field(default=(), converter=_plans)
    tasks: tuple[Task, ...] = attrs.field(default=(), converter=_tasks)

    def plan(self, note: str) -> Plan:
        """Return the plan with that note.

        Args:
            note: The note (`Plan.note`).

        Raises:
            KeyError: No plan has it.
        """
        for plan in self.plans:
            if plan.note == note:
                return plan
        known = ", ".join(repr(plan.note) for plan in self.plans if plan.note)
        raise KeyError(f"no plan has the note {shorten(repr(note))}; there are {shorten(known) or 'none'}")

    @classmethod
    def random(
        cls,
        count: int,
        *,
        seed: int,
        tasks: int = 3,
        duration_s: float = 60.0,
        illegal: float = 0.0,
        kinds: Sequence[str] = stories.KINDS,
        pauses: float = 0.3,
        min_stay_s: float = 0.0,
    ) -> Scenario:
        """Make up a scenario; the same arguments always give the same one, ids included.

        Args:
            count: How many executions.
            seed: The seed of all choices.
            tasks: How many tasks they are spread over.
            duration_s: By when, in scenario seconds, about everything has happened. Each stay is drawn from it.
            illegal: The share of executions that misbehave, 0 to 1. `Plan.note` names how, `legal` for the others.
            kinds: The ways of misbehaving to draw from, of `KINDS`.
            pauses: The share of legal runs that pause once by themselves.
            min_stay_s: The shortest stay in any status.

        Returns:
            The scenario. `Plan.timeline`, `Plan.final` and `Plan.is_legal` say what is true of each execution.
        """
        ids, plans = stories.make_up(
            count,
            seed=seed,
            tasks=tasks,
            duration_s=duration_s,
            illegal=illegal,
            kinds=kinds,
            pauses=pauses,
            min_stay_s=min_stay_s,
        )
        return cls(plans, tuple(Task(id=task_id, name=f"Task {n}") for n, task_id in enumerate(ids, 1)))

    @classmethod
    def demo(cls, *, seed: int = 0) -> Scenario:
        """Return a lively scenario of 12 executions in 3 tasks whose story takes about 25 scenario seconds.

        Args:
            seed: The seed of the ids; the story is always the same. `Plan.note` names each part in it.
        """
        names, plans = demo.tell(seed)
        return cls(plans, tuple(Task(id=task_id, name=name) for task_id, name in names.items()))
