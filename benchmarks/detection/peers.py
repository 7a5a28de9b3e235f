"""How others watch executions, as their documentation describes it: one GET for each, after a pause of its own.

All wait out a 429 until the time that the service names, which is whole seconds. Those that wait try again together,
and it is chance whose request arrives first.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable
from math import ceil

from detection.ours import LATENCY_S, Account
from detection.world import World

Pause = Callable[[int], float]
"""How many seconds a client waits after so many looks at an execution that showed it unfinished."""

DOCUMENTED: Pause = lambda looks: 3.0  # noqa: E731 - a table of pauses reads best
"""The loop of the platform's documentation: one GET every 3 s."""

FIXED: Pause = lambda looks: 15.0  # noqa: E731 - as above
"""A waiter with a fixed delay, as operators of workflow engines have it."""

BACKING_OFF: Pause = lambda looks: min(20.0, 1.5 ** (looks - 1))  # noqa: E731 - as above
"""A client that backs off for each execution: 1 s, then 1.5 times as long each time, 20 s at most."""


def watch(world: World, pause: Pause, start: float, until: float, others: list[float]) -> Account:
    """Watch all executions that live at time 0, or are created later, each by GET.

    Args:
        world: The service.
        pause: How long to wait between looks.
        start: From when requests are counted.
        until: Until when; it goes on until all that ended by then are seen.
        others: When other clients of the account send requests.

    Returns:
        What was seen, and spent.
    """
    account = Account()
    rng, limiter = world.rng, world.limiter
    wanted = {run.live.id for run in world.runs if start <= run.ends_at < until}
    others = sorted(others, reverse=True)
    due = [(max(0.0, run.created_at), number, 1) for number, run in enumerate(world.runs) if run.ends_at > 0.0]
    heapq.heapify(due)
    crowd: list[tuple[int, int]] = []
    retry_at = float("inf")
    while wanted:
        now = min(due[0][0] if due else float("inf"), retry_at)
        while others and others[-1] <= now:
            limiter.admit(others.pop())
        trying: list[tuple[int, int]] = []
        while due and due[0][0] <= now:
            _, number, looks = heapq.heappop(due)
            trying.append((number, looks))
        if now >= retry_at:
            trying, crowd = trying + crowd, []
        free = limiter.free(now)
        for _ in range(min(free, len(trying))):
            place = rng.randrange(len(trying))
            trying[place], trying[-1] = trying[-1], trying[place]
            number, looks = trying.pop()
            limiter.admit(now)
            account.requests += start <= now < until
            run = world.runs[number]
            if not world.fails() and now >= run.ends_at:
                account.seen_at[run.live.id] = now + LATENCY_S / 2
                wanted.discard(run.live.id)
            else:
                heapq.heappush(due, (now + LATENCY_S / 2 + pause(looks), number, looks + 1))
        if start <= now < until:
            account.throttled += len(trying)
        crowd += trying
        retry_at = ceil(max(limiter.reset_at(), now + 1e-9)) if crowd else float("inf")
    return account
