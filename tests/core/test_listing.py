"""Lists that move: what was seen once is seen again wherever it is by now, and nothing that arrives is missed."""

from __future__ import annotations

import random

import attrs
import pytest
from moving import MovingList

from titan_state.core.planning.listing import Listing
from titan_state.core.planning.reads import ListPage
from titan_state.core.planning.window import Shown


@pytest.mark.parametrize("tells_total", [True, False])
@pytest.mark.parametrize("arrivals", [0.1, 0.5, 2.0])
def test_what_is_pushed_back_is_read_on(tells_total, arrivals):
    """Everything that lives is seen again and again while the list grows, by whole pages, hardly ever one by one."""
    world = MovingList(35, tells_total=tells_total)
    now = world.pass_time(120.0, 0.0, arrivals=arrivals)
    world.log.clear()
    now = world.pass_time(120.0, now, arrivals=arrivals)
    assert world.unseen(now - 150.0) <= set(world.names[:10])
    singles = sum(1 for _, target, _ in world.log if isinstance(target, str))
    assert singles < len(world.log) / 5


@pytest.mark.parametrize("tells_total", [True, False])
def test_a_burst_larger_than_a_page_is_found(tells_total):
    """More than one page has arrived at once: the gap between the front and what was known is closed."""
    world = MovingList(15, tells_total=tells_total)
    now = world.pass_time(20.0, 0.0)
    world.arrive(47)
    now = world.pass_time(10.0, now)
    assert all(world.tracker.knows(name) for name in world.names)
    now = world.pass_time(70.0, now)
    assert world.unseen(now - 70.0) == set()


def test_a_list_from_which_much_is_deleted_is_found_again():
    """What has moved up by deletions is shown by a page, or read by itself."""
    world = MovingList(60)
    now = world.pass_time(40.0, 0.0)
    deleted = world.names[5:25]
    world.names = world.names[:5] + world.names[25:]
    for name in deleted:
        world.statuses[name] = None
    now = world.pass_time(90.0, now)
    assert world.unseen(now - 40.0) - set(deleted) == set()
    assert all(world.tracker.has_vanished(name) for name in deleted)


def test_a_sweep_skips_nothing_when_arrivals_stop():
    """What was expected to arrive does not: the sweep goes on where its last page ended, and not behind that."""
    world = MovingList(0)
    world.arrive(900, "completed")
    world.arrive(60)
    now = world.pass_time(60.0, 0.0, arrivals=3.0)
    now = world.pass_time(600.0, now, per_second=0.2)
    world.pass_time(1500.0, now)
    assert [name for name in world.names if not world.tracker.knows(name)] == []


def test_a_page_that_is_read_twice_is_no_end_of_the_list():
    """Only a service that shows the same for another place takes no notice of where a page is to begin."""
    listing = Listing(2)
    shown = Shown(["c", "b", "a"], None, offset=3, asked=2, names=("c", "b", "a"))
    assert not listing.ends(shown)
    assert not listing.ends(attrs.evolve(shown, offset=4))
    assert listing.ends(attrs.evolve(shown, offset=6))


def test_pages_without_anything_live_cost_nothing():
    """Executions that had finished long ago are not looked at again once the list was swept."""
    world = MovingList(0)
    world.arrive(200, "completed")
    world.arrive(10)
    now = world.pass_time(200.0, 0.0)
    world.log.clear()
    world.pass_time(300.0, now)
    deep = [offset for _, _, offset in world.log if offset is not None and offset >= 20]
    assert len(deep) < len(world.log) / 4


def test_a_total_that_does_not_grow_is_not_believed():
    """A service that counts the page, or stops counting, hides no shift."""
    listing = Listing(size=2, watched=True)

    def front(*names, fresh):
        shown = Shown(names, None, offset=0, asked=2, names=names, fresh=fresh, total=7)
        listing.take(0, shown, front.now, names)
        front.now += 1.0

    front.now = 0.0
    front("b", "a", fresh=0)
    listing.take(3, Shown(("x", "y"), None, offset=6, asked=2, names=("x", "y"), total=7), 0.5, ("x", "y"))
    for first, second in (("c", "b"), ("d", "c"), ("e", "d")):
        front(first, second, fresh=1)
    assert listing.offset(3, 3.0) == 9


def test_a_page_of_another_size_is_noticed():
    """A service that sends fewer at once, or more, is asked for what follows where that begins."""
    listing = Listing(size=100, watched=True)
    small = Shown(("d", "c"), None, offset=0, asked=100, names=("d", "c"))
    assert not listing.ends(small)
    assert listing.following(0, small) == 1
    assert listing.offset(1, 0.0) == 1  # one earlier: a replica that lags may show one less
    assert not listing.ends(Shown(("b", "a"), False, offset=2, asked=100, names=("b", "a")))
    assert listing.size == 2
    assert listing.ends(Shown(("b", "a"), False, offset=4, asked=100, names=("b", "a")))
    many = tuple(f"e{number}" for number in range(150))
    listing.ends(Shown(many, None, offset=0, asked=100, names=many, broken=3))
    assert listing.size == 153


def test_what_is_explored_for_single_ids_moves_too():
    """Where only ids are watched nothing tells how many arrive but where they are found again."""
    world = MovingList(60, watch=False, tells_total=False)
    wanted = world.names[10:40]
    for name in wanted:
        world.planner.watch(name, 0.0)
    now = 0.0
    for _ in range(6):
        now = world.pass_time(30.0, now)
        world.arrive(3)
    late = [target for at, target, _ in world.log if at > now - 30.0]
    assert {name for name in wanted if world.tracker.seen_at(name)[0] > now - 40.0} == set(wanted)
    assert sum(isinstance(target, ListPage) for target in late) > len(late) / 3


def test_one_that_was_read_by_itself_is_seen_when_it_runs_again():
    """A finished execution that no page shows together with live ones is looked at again all the same."""
    world = MovingList(1)
    world.arrive(60, "completed")
    world.arrive(10)
    (name,) = world.names[-1:]
    now = world.pass_time(90.0, 0.0)
    world.statuses[name] = "completed"
    now = world.pass_time(60.0, now)
    assert world.tracker.is_finished(name)
    world.statuses[name] = "running"
    world.pass_time(240.0, now)
    assert world.tracker.is_live(name)


@pytest.mark.parametrize(("tells_total", "part"), [(True, 10), (False, 6)])
def test_what_lagging_replicas_cut_off_is_not_looked_for(tells_total, part):
    """A page that shows a bit more or less at its ends, time and again, leaves its executions on pages."""
    world = MovingList(60, tells_total=tells_total)
    dice = random.Random(7)
    world.lags = iter(lambda: 3 if dice.random() < 0.3 else 0, None)
    now = world.pass_time(60.0, 0.0, arrivals=0.5)
    now = world.pass_time(120.0, now)
    singles = [target for _, target, _ in world.log if not isinstance(target, ListPage)]
    assert len(singles) < len(world.log) / part
    assert not world.unseen(now - 60.0)


def test_a_pause_after_many_have_arrived_scatters_nothing():
    """Where more was expected to come than has, or less, pages are found again before executions are read singly."""
    world = MovingList(0)
    now = world.pass_time(60.0, 0.0, arrivals=2.0)
    for _ in range(4):
        now = world.pass_time(20.0, now + 15.0)
    singles = [target for _, target, _ in world.log if not isinstance(target, ListPage)]
    assert len(singles) < len(world.log) / 20
    assert not world.unseen(now - 20.0)
