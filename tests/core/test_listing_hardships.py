"""Lists that lag, lose executions, lie about their total, or break off: everything live is still read, on few pages."""

from __future__ import annotations

import os
import subprocess
import sys
from math import inf
from random import Random

import pytest
from desk import Desk
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from moving import MovingList

from titan_state.core.planning.lists import PATROL
from titan_state.core.planning.reads import ListPage, Scope


def singles(world):
    """Return which share of the reads went to single executions."""
    return sum(isinstance(target, str) for _, target, _ in world.log) / len(world.log)


def windows(world):
    """Return how many windows of the list are read."""
    (listing,) = world.planner._listings.values()
    return len(listing.windows)


def forgotten(world):
    """Return the live executions that are neither on a page that is read nor read by themselves."""
    planner = world.planner
    planned = {target for target in planner._agenda if isinstance(target, str)} | planner._in_flight.keys()
    for scope, listing in planner._listings.items():
        for number, window in listing.windows.items():
            if scope.page(number) in planner._agenda or scope.page(number) in planner._in_flight:
                planned.update(window.members)
        if listing.sweep is not None:
            planned |= listing.sought.keys()
    return {name for name in world.names if world.tracker.is_live(name)} - planned


def delete(world, names):
    """Let the service lose executions: the list shows them no more, and asked for they answer 404."""
    for name in names:
        world.names.remove(name)
        world.statuses[name] = None


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    seed=st.integers(0, 2**32),
    size=st.sampled_from([5, 10, 20]),
    larger=st.sampled_from([1, 3, 10]),
    tells_total=st.booleans(),
    lag=st.sampled_from([0, 2, 5, 20]),
    often=st.sampled_from([0.1, 0.3, 0.6]),
    per_second=st.sampled_from([0.5, 2.0, 5.0]),
)
def test_nothing_live_is_forgotten(seed, size, larger, tells_total, lag, often, per_second):
    """Whatever replicas, bursts, deletions, pauses and outages do to a list, everything live on it is read."""
    dice = Random(seed)  # chance, not malice: what a service never shows cannot be known
    world = MovingList(dice.choice([0, 15, 60, 150]), size=size, tells_total=tells_total)
    world.most = size * larger
    world.lags = iter(lambda: dice.randint(1, lag) if lag and dice.random() < often else 0, None)
    now = 0.0
    for _ in range(6):
        world.breaks = dice.choice([inf, inf, inf, size + 1])
        if dice.random() < 0.3 and len(world.names) > 20:
            count = dice.randint(1, len(world.names) // 3)
            first = dice.randrange(len(world.names) - count)
            delete(world, world.names[first : first + count])
        for name in world.names:
            if dice.random() < 0.03:
                world.statuses[name] = "completed"
        world.arrive(dice.choice([0, 0, 0, size, 4 * size]))
        now += dice.choice([0.0, 0.0, 0.0, 10.0, 300.0])
        now = world.pass_time(
            dice.choice([10.0, 40.0]), now, per_second=per_second, arrivals=dice.choice([0.0, 0.1, 0.5])
        )
    world.breaks = inf
    world.pass_time(100.0 + 10.0 * len(world.names) / size / per_second, now, per_second=per_second)
    assert forgotten(world) == set()


@pytest.mark.parametrize("tells_total", [True, False])
def test_what_was_passed_over_is_found_some_time(tells_total):
    """Now and then a page is read that nothing asks for: there may be executions on it that no answer has shown."""
    world = MovingList(10, tells_total=tells_total)
    world.arrive(20, "completed")
    world.arrive(12)
    now = world.pass_time(60.0, 0.0)
    world.statuses["hidden"] = "running"
    world.names.insert(25, "hidden")
    world.pass_time(6 * PATROL / 2.0, now)
    assert world.tracker.is_live("hidden")


@pytest.mark.parametrize("count", [9, 15, 40])
def test_a_sweep_passes_over_nothing_when_the_end_of_the_list_goes(count):
    """The total falls by what retention deletes; nothing before that has moved."""
    world = MovingList(0)
    world.arrive(100, "completed")
    world.arrive(300)
    now = world.pass_time(5.0, 0.0)
    delete(world, world.names[-count:])
    world.pass_time(300.0, now)
    assert {name for name in world.names if not world.tracker.knows(name)} == set()


@pytest.mark.parametrize("tells_total", [True, False])
@pytest.mark.parametrize("where", ["end", "middle"])
def test_deletions_leave_each_execution_on_one_page(tells_total, where):
    """Pages that have moved are found again; what was shown in their place is not read beside them from then on."""
    world = MovingList(0, size=20, tells_total=tells_total)
    world.arrive(400, "completed")
    world.arrive(300)
    now = world.pass_time(200.0, 0.0, arrivals=0.1)
    for _ in range(5):
        delete(world, world.names[-60:] if where == "end" else world.names[100:130])
        now = world.pass_time(90.0, now, arrivals=0.1)
    now = world.pass_time(600.0, now)
    world.log.clear()
    now = world.pass_time(120.0, now)
    live = sum(world.tracker.is_live(name) for name in world.names)
    assert windows(world) <= 1.5 * live / 20 + 2
    assert singles(world) < 0.1
    assert world.unseen(now - 120.0) == set()


@pytest.mark.parametrize("count", [100, 300])
def test_a_total_that_only_says_that_there_is_more_keeps_nothing_busy(count):
    """What further pages tell beyond the first one is no arrival; the first page gets no more than its part."""
    world = MovingList(count)
    world.total = lambda there, end: min(there, end + 1)
    now = world.pass_time(120.0, 0.0)
    world.log.clear()
    now = world.pass_time(240.0, now)
    assert world.unseen(now - 120.0) == set()
    assert sum(1 for _, target, _ in world.log if target == ListPage(None, 0)) < len(world.log) / 2
    assert windows(world) <= 1.3 * count / 10


@pytest.mark.parametrize("arrivals", [0.1, 0.5, 1.0])
def test_an_explored_list_is_followed_though_its_total_stays_the_same(arrivals):
    """As many may go as come, or the total may be capped: where executions are found again tells more."""
    world = MovingList(100, watch=False)
    world.total = lambda there, end: 100
    wanted = world.names[20:70]
    for name in wanted:
        world.planner.watch(name, 0.0)
    now = world.pass_time(400.0, 0.0, arrivals=arrivals)
    assert {name for name in wanted if world.tracker.seen_at(name)[0] < now - 20.0} == set()
    assert windows(world) < 15


def test_many_that_were_lost_sight_of_are_found_on_their_pages():
    """Where pages fall out of a list's windows they are found between the others, instead of read one by one."""
    world = MovingList(200)
    now = world.pass_time(60.0, 0.0)
    (listing,) = world.planner._listings.values()
    for number in (3, 4, 9):
        window = listing.windows.pop(number)
        world.planner._agenda.drop(Scope(None).page(number))
        for name in window.members:
            world.planner._uncover(name, now)
    now = world.pass_time(180.0, now)
    world.log.clear()
    now = world.pass_time(60.0, now)
    assert singles(world) == 0
    assert world.unseen(now - 60.0) == set()


def test_a_trial_whose_list_is_let_go_is_over():
    """The next list is asked for a larger page as if nothing had been tried."""
    world = MovingList(50)
    world.most = 100
    world.answer(world.planner.next(0.0, 2.0).target, 0.0)
    trial = world.planner.next(0.5, 2.0).target
    assert world.planner.request(trial, 0.5)[0] == 1000
    world.planner.unwatch_list(None)
    world.answer(trial, 0.6)
    world.planner.watch_list(None, 1.0)
    world.pass_time(5.0, 1.0)
    assert max(world.asked[-3:]) >= 100


WORLD = """
from hashlib import sha256
from random import Random
from moving import MovingList

dice = Random(3)
world = MovingList(200)
world.most = 100
world.lags = iter(lambda: 3 if dice.random() < 0.3 else 0, None)
now = world.pass_time(40.0, 0.0, arrivals=0.3)
world.breaks = 11
del world.names[100:130]
world.pass_time(90.0, now, arrivals=0.3)
print(sha256(repr(world.log).encode()).hexdigest())
"""


def test_the_same_world_is_read_in_the_same_way():
    """Nothing hangs on how sets happen to be ordered: what was seen once can be seen again."""
    answers = set()
    for seed in range(3):
        environment = os.environ | {"PYTHONHASHSEED": str(seed), "PYTHONPATH": os.pathsep.join(sys.path)}
        command = [sys.executable, "-c", WORLD]
        answers.add(subprocess.run(command, env=environment, check=True, capture_output=True).stdout)
    assert len(answers) == 1


def test_lists_that_were_read_to_their_end_share_what_goes_to_them_again():
    """However many tasks are watched, looking for what was passed over takes its part of the reads, and no more."""
    desk = Desk()
    for number in range(200):
        desk.planner.watch_list(f"t{number}", 0.0)
    again = 0
    for turn in range(2400):
        now = turn / 2.0
        target = desk.planner.next(now, 2.0).target
        desk.page(target, now, {f"a{target.task_id}": "running", f"b{target.task_id}": "running"})
        again += target.page != 0
    assert again <= 2400 / PATROL + 1


def test_an_empty_list_ends_where_it_begins():
    """Without a total, a page that shows nothing is the end of a sweep; what comes later shows on the first page."""
    world = MovingList(0, tells_total=False)
    now = world.pass_time(30.0, 0.0)
    assert {target.page for _, target, _ in world.log if target.page > 0} == set()
    world.arrive(1)
    world.pass_time(10.0, now)
    assert world.tracker.is_live("e0000")
