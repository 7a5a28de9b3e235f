"""Random plans: legal runs, and every way of misbehaving that the monitor should notice.

Choices come from a seed and nothing else. Tasks and scenarios are put together in `scenario.py`.
"""

from __future__ import annotations

from collections.abc import Sequence
from random import Random
from typing import Final
from uuid import UUID

import attrs

from titan_state.emulator.plan import Plan, Step

KINDS: Final = ("leaves_terminal", "flips", "stuck_queued", "vanishes", "unknown_status", "results_late")
"""The ways of misbehaving. The platform's own model allows the last one; it is late, not wrong."""

ENDS: Final = ("completed", "completed", "completed", "completed_with_errors", "failed", "cancelled")
"""How random runs end, each as likely as the others: half of them well."""


def seeded(seed: int | str) -> Random:
    """Return a source of choices that can be repeated."""
    return Random(seed)  # noqa: S311 - choices of a test double that must be repeatable; nothing secret depends on them


def new_id(random: Random) -> str:
    """Return a UUID drawn from `random`."""
    return str(UUID(int=random.getrandbits(128), version=4))


def ordinary() -> Plan:
    """Return the plan of an execution that was started by a request: 10 s of work, no trouble."""
    return Plan(steps=(Step("running", 1.0), Step("completed", 10.0)), results_after_s=1.0, note="run")


def make_up(
    count: int,
    *,
    seed: int,
    tasks: int,
    duration_s: float,
    illegal: float,
    kinds: Sequence[str],
    pauses: float,
    min_stay_s: float,
) -> tuple[tuple[str, ...], tuple[Plan, ...]]:
    """Make up plans; the arguments are those of `Scenario.random`.

    Returns:
        The ids of the tasks, and the plans with their ids.

    Raises:
        ValueError: There is no such kind of misbehaving.
    """
    unknown = set(kinds) - set(KINDS)
    if unknown:
        raise ValueError(f"unknown kinds of misbehaving: {', '.join(sorted(unknown))}; there are {', '.join(KINDS)}")
    random = seeded(seed)
    task_ids = tuple(new_id(random) for _ in range(max(1, tasks)))

    def stay() -> float:
        return min_stay_s + random.uniform(0.02, 0.2) * duration_s

    plans = []
    for _ in range(count):
        steps = [Step("running", stay())]
        if random.random() < pauses:
            steps += [Step("paused", stay()), Step("running", stay())]
        plan = Plan(
            id=new_id(random),
            task_id=random.choice(task_ids),
            created_after_s=random.uniform(0.0, 0.2) * duration_s,
            steps=(*steps, Step(random.choice(ENDS), stay())),
            results_after_s=random.uniform(0.0, 0.05) * duration_s,
            rows=random.randint(0, 5),
            note="legal",
        )
        if kinds and random.random() < illegal:
            kind = random.choice(kinds)
            plan = attrs.evolve(_misbehave(kind, plan, (stay(), stay(), stay())), note=kind)
        plans.append(plan)
    return task_ids, tuple(plans)


def _misbehave(kind: str, plan: Plan, stays: tuple[float, float, float]) -> Plan:
    first, second, third = stays
    begun = plan.steps[:1]
    if kind == "leaves_terminal":
        return attrs.evolve(plan, steps=(*plan.steps, Step("running", first), Step("completed", second)))
    if kind == "flips":
        flips = (Step("paused", first), Step("running", second), Step("paused", third), Step("running", first))
        return attrs.evolve(plan, steps=(*begun, *flips, Step("completed", second)))
    if kind == "stuck_queued":
        return attrs.evolve(plan, steps=())
    if kind == "vanishes":
        return attrs.evolve(plan, steps=(*begun, Step.vanish(first)))
    if kind == "unknown_status":
        return attrs.evolve(
            plan, steps=(*begun, Step("throttled", first), Step("running", second), Step("completed", third))
        )
    return attrs.evolve(plan, steps=(*begun, Step("completed", first)), results_after_s=None)
