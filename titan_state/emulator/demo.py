"""The demonstration's story: every kind of good and bad run, each visible for several seconds.

Only the story is here. At speed 1 it is told in about 25 s; what should be confirmed by a careful monitor stays for
at least 4 s in each status.
"""

from __future__ import annotations

import attrs

from titan_state.emulator.plan import Plan, Step
from titan_state.emulator.stories import new_id, seeded

NAMES = ("Catalogue prices", "Job adverts", "News headlines")


def tell(seed: int) -> tuple[dict[str, str], tuple[Plan, ...]]:
    """Return the story's tasks (names by id) and its plans, with ids drawn from `seed`."""
    random = seeded(seed)
    tasks = {new_id(random): name for name in NAMES}
    ids = tuple(tasks)
    return tasks, tuple(
        attrs.evolve(plan, id=new_id(random), task_id=ids[n % len(ids)]) for n, plan in enumerate(_story())
    )


def _story() -> tuple[Plan, ...]:
    return (
        Plan(
            note="completes",
            steps=(Step("running", 1.0), Step("completed", 4.0)),
            results_after_s=1.0,
            rows=5,
        ),
        Plan(
            note="results late",
            created_after_s=0.5,
            steps=(Step("running", 1.5), Step("completed", 5.0)),
            results_after_s=8.0,
            rows=4,
        ),
        Plan(
            note="completes with errors",
            created_after_s=1.0,
            steps=(Step("running", 1.0), Step("completed_with_errors", 7.0)),
            results_after_s=1.0,
            error="2 of 40 pages could not be read",
        ),
        Plan(note="fails", created_after_s=1.0, steps=(Step("running", 2.0), Step("failed", 4.0))),
        Plan(note="long runner", steps=(Step("running", 1.0), Step("completed", 600.0)), rows=40),
        Plan(note="stuck in queued"),
        Plan(
            note="flips by itself",
            steps=(
                Step("running", 1.0),
                Step("paused", 5.0),
                Step("running", 6.0),
                Step("paused", 6.0),
                Step("running", 6.0),
            ),
        ),
        Plan(
            note="leaves completed",
            steps=(Step("running", 1.0), Step("completed", 4.0), Step("running", 7.0), Step("completed", 7.0)),
        ),
        Plan(
            note="unknown status",
            steps=(Step("running", 2.0), Step("throttled", 4.0), Step("running", 6.0), Step("completed", 5.0)),
        ),
        Plan(note="vanishes", steps=(Step("running", 1.0), Step.vanish(8.0))),
        Plan(
            note="starts later",
            created_after_s=7.0,
            steps=(Step("running", 2.0), Step("completed", 6.0)),
            results_after_s=1.0,
        ),
        Plan(
            note="stopped by someone else",
            created_after_s=10.0,
            steps=(Step("running", 3.0), Step("cancelled", 9.0)),
        ),
    )
