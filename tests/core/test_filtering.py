"""Lists of one status: read where the service honours them and it is worth it, and given up where it does not."""

from __future__ import annotations

import random

import pytest
from moving import MovingList

from titan_state.core.planning.reads import ListPage, Scope

RUNNING = Scope(None, "running")


class Thin(MovingList):
    """A list of executions most of which have finished, a few on each page."""

    def __init__(self, *, filters=True, tells_total=True, live=40, each=8):
        super().__init__(tells_total=tells_total)
        self.filters = filters
        self.rng = random.Random(1)
        for _ in range(live):
            self.arrive(each - 1, "completed")
            self.arrive(1)

    def filtered(self):
        """Return how many of the reads asked for one status."""
        return sum(1 for _, target, _ in self.log if isinstance(target, ListPage) and target.status is not None)

    def live(self):
        """Return the executions that run."""
        return [name for name in self.names if self.statuses[name] == "running"]

    def finish(self, count):
        """Let some executions finish; return them."""
        gone = self.rng.sample(self.live(), count)
        for name in gone:
            self.statuses[name] = "completed"
        return gone


def swept(world):
    """Let a list be read to its end, and a little longer."""
    now = world.pass_time(260.0, 0.0)
    world.log.clear()
    return now


@pytest.mark.parametrize("tells_total", [True, False])
def test_it_is_read_where_it_shows_the_same_on_fewer_pages(tells_total):
    """Most reads are of the list of what runs, and what finishes is noticed there and read once by itself."""
    world = Thin(tells_total=tells_total)
    now = swept(world)
    for _ in range(10):
        gone = world.finish(1)
        world.arrive(1)
        now = world.pass_time(12.0, now)
        assert all(world.tracker.is_finished(name) for name in gone)
    assert world.filtered() > len(world.log) / 2
    assert all(world.tracker.is_live(name) for name in world.live())


@pytest.mark.parametrize("arrivals", [0.0, 0.1, 0.5])
def test_nothing_is_missed_while_executions_come_and_go(arrivals):
    """Whatever moves over the edges of pages, each live execution is seen again, and each end is noticed."""
    world = Thin()
    now = swept(world)
    for _ in range(40):
        world.finish(1 if len(world.live()) > 5 else 0)
        now = world.pass_time(5.0, now, arrivals=arrivals)
    assert world.filtered()
    now = world.pass_time(90.0, now)
    assert world.unseen(now - 90.0) == set()
    assert all(world.tracker.is_finished(name) for name in world.names if world.statuses[name] == "completed")


def test_what_is_in_another_status_is_read_on_the_list_of_all():
    """Executions that wait are not on the list of those that run; when they begin to, and pause, that is noticed."""
    world = Thin()
    now = swept(world)
    world.arrive(3, "queued")
    queued = world.names[:3]
    now = world.pass_time(30.0, now)
    assert [world.tracker.status(name) for name in queued] == ["queued"] * 3
    for name in queued:
        world.statuses[name] = "running"
    paused = world.live()[5]
    world.statuses[paused] = "paused"
    now = world.pass_time(60.0, now)
    assert [world.tracker.status(name) for name in (*queued, paused)] == ["running"] * 3 + ["paused"]


@pytest.mark.parametrize("filters", [False, "refused"])
def test_a_service_that_does_not_honour_it_is_asked_once(filters):
    """One request finds out that the status is ignored, or refused; everything is read as before."""
    world = Thin(filters=filters)
    now = world.pass_time(260.0, 0.0)
    assert world.filtered() == 1
    now = world.pass_time(600.0, now)
    assert world.filtered() == 1
    assert world.unseen(now - 120.0) == set()


@pytest.mark.parametrize("later", [False, "refused"])
def test_it_is_given_up_when_the_service_changes_its_mind(later):
    """Another status shows, or the request is refused, after it was honoured for a while: nothing is lost."""
    world = Thin()
    now = swept(world)
    assert world.planner._listings.keys() >= {RUNNING}
    world.filters = later
    now = world.pass_time(20.0, now)
    world.log.clear()
    gone = world.finish(5)
    now = world.pass_time(120.0, now)
    assert world.filtered() == 0
    assert world.unseen(now - 120.0) == set()
    assert all(world.tracker.is_finished(name) for name in gone)


def test_a_list_that_leaves_out_what_runs_is_given_up():
    """Executions that are missing from it, and still run, prove it wrong; no more than a few reads find that out."""
    world = Thin()
    now = swept(world)
    hidden = set(world.live()[3:30:2])
    statuses = world.statuses

    class Hiding(dict):
        def __getitem__(self, name):
            return "hidden" if self.hides and name in hidden else super().__getitem__(name)

        def get(self, name, default=None):
            return super().__getitem__(name) if name in self else default

    world.statuses = Hiding(statuses)
    answer = world.answer

    def answered(target, at):
        world.statuses.hides = isinstance(target, ListPage) and target.status is not None
        answer(target, at)
        world.statuses.hides = False

    world.answer = answered
    world.statuses.hides = False
    now = world.pass_time(120.0, now)
    assert RUNNING not in world.planner._listings
    assert all(world.tracker.is_live(name) for name in hidden)
    now = world.pass_time(120.0, now)
    assert world.unseen(now - 120.0) == set()


def test_it_is_not_read_where_too_much_changes():
    """Each change costs a read by itself: where they are many against the requests, the list of all is read on."""
    world = Thin(live=200, each=4)
    now = world.pass_time(30.0, 0.0)
    for _ in range(60):
        world.finish(8)
        world.arrive(8)
        now = world.pass_time(5.0, now)
    assert world.filtered() < len(world.log) / 4  # it takes a while to learn how much changes
    world.log.clear()
    for _ in range(10):
        world.finish(8)
        world.arrive(8)
        now = world.pass_time(5.0, now)
    assert world.filtered() == 0


def test_it_is_not_read_where_it_would_take_as_many_pages():
    """A list of which nearly all runs is read as it is."""
    world = MovingList(60)
    world.filters = True
    world.pass_time(200.0, 0.0)
    assert not [target for _, target, _ in world.log if isinstance(target, ListPage) and target.status]


def test_it_may_become_empty():
    """That nothing is in the status any more proves nothing wrong."""
    world = Thin()
    now = swept(world)
    world.finish(len(world.live()))
    now = world.pass_time(60.0, now)
    assert world.planner._filters
    assert not any(world.tracker.is_live(name) for name in world.names)


def test_unwatching_the_list_ends_it():
    """With the list of all the one of what runs is let go."""
    world = Thin()
    now = swept(world)
    assert RUNNING in world.planner._listings
    world.planner.unwatch_list(None)
    assert not world.planner._listings
    assert world.planner.next(now + 1000.0, 2.0) is None


def test_two_failures_in_a_row_end_it_for_a_while():
    """One failure is chance; after two it is let go, and tried again later, unless the service refuses it."""
    world = Thin()
    now = swept(world)
    page = RUNNING.page(0)
    assert world.planner.failed(page, now, 0.5)
    assert RUNNING in world.planner._listings
    assert not world.planner.failed(page, now, 0.5)
    assert RUNNING not in world.planner._listings
    assert world.planner.list_refused(page)
    now = world.pass_time(120.0, now)
    assert RUNNING in world.planner._listings  # it may have been an outage
    assert not world.planner.failed(page, now, 0.5, refused=True)
    world.pass_time(120.0, now)
    assert RUNNING not in world.planner._listings
