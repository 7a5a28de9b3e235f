"""Larger pages: found out with one page that is read anyway, and given up where the service does not keep to them."""

from __future__ import annotations

import random
from math import inf

import pytest
from moving import MovingList

from titan_state.core.planning.reads import ListPage
from titan_state.core.planning.sizes import AGAIN_S, Sizes
from titan_state.core.planning.window import Shown

PAGE = ListPage(None, 1)


def larger(world):
    """Return how many reads asked for more than is usual."""
    return sum(1 for limit in world.asked if limit > 10)


def shown(count, *, asked, last=False, offset=10):
    """Return a page."""
    names = tuple(f"e{number}" for number in range(count))
    return Shown(names, last, offset=offset, asked=asked, names=names)


@pytest.mark.parametrize("tells_total", [True, False])
def test_larger_pages_are_used_where_the_service_sends_them(tells_total):
    """A list of 350 executions is soon read with requests that each show all of it."""
    world = MovingList(350, tells_total=tells_total)
    world.most = 1000
    now = world.pass_time(10.0, 0.0)
    assert world.unseen(0.0) == set()
    world.log.clear()
    now = world.pass_time(60.0, now, arrivals=0.1)
    assert len(world.unseen(now - 5.0)) < 20
    assert not any(isinstance(target, str) for _, target, _ in world.log)


@pytest.mark.parametrize("tells_total", [True, False])
def test_a_service_that_sends_no_more_is_asked_once(tells_total):
    """One request asks for more, and shows what it would have shown anyway: the list does not end there."""
    world = MovingList(95, tells_total=tells_total)
    now = world.pass_time(60.0, 0.0)
    assert world.unseen(now - 60.0) == set()
    assert larger(world) == 1


def test_a_service_that_refuses_it_is_asked_once():
    """A refusal costs one request; the page is read with the usual size after it."""
    world = MovingList(95)
    world.refuses = 11
    now = world.pass_time(60.0, 0.0)
    assert world.unseen(now - 60.0) == set()
    assert larger(world) == 1


@pytest.mark.parametrize("tells_total", [True, False])
@pytest.mark.parametrize("refuses", [True, False])
def test_they_are_given_up_when_the_service_changes_its_mind(tells_total, refuses):
    """A service that begins to send less, or to refuse, is read with usual pages from then on; nothing is lost."""
    world = MovingList(200, tells_total=tells_total)
    world.most = 100
    now = world.pass_time(60.0, 0.0)
    world.most = 10
    if refuses:
        world.refuses = 11
    now = world.pass_time(30.0, now)
    world.asked.clear()
    world.log.clear()
    now = world.pass_time(60.0, now)
    assert larger(world) == 0
    assert world.unseen(now - 60.0) == set()
    assert sum(1 for _, target, _ in world.log if isinstance(target, str)) < len(world.log) / 5


def test_executions_watched_by_their_ids_are_still_seen_when_pages_shrink():
    """A list that was only tried for the sake of others is let go, and what it showed is read one by one, or again."""
    world = MovingList(200, watch=False)
    world.most = 1000
    for name in world.names[:60]:
        world.planner.watch(name, 0.0)
    now = world.pass_time(90.0, 0.0)
    world.most = 10
    now = world.pass_time(90.0, now)
    assert not {name for name in world.names[:60] if name in world.unseen(now - 90.0)}


def test_a_short_list_is_no_reason_to_ask_for_more():
    """A list that fits on the usual page is not read for the sake of finding out."""
    world = MovingList(8)
    world.pass_time(60.0, 0.0)
    assert larger(world) == 0


def test_the_last_page_says_nothing_and_a_second_one_is_tried():
    """Two requests at most are spent on it."""
    sizes = Sizes(10, 1000)
    for _ in range(2):
        sizes.begin(PAGE, 0.0, is_new=True)
        assert sizes.of(PAGE) == 1000
        assert not sizes.took(PAGE, shown(3, asked=1000, last=True), follows=False)
        assert sizes.of(PAGE) == 10
    sizes.begin(PAGE, 0.0, is_new=True)
    assert sizes.of(PAGE) == 10


def test_a_failure_may_be_chance_and_a_second_one_is_not():
    """Larger pages that fail twice in a row, whatever the reason, are too much for the service."""
    sizes = Sizes(10, 1000)
    assert not sizes.failed(PAGE, 0.0, refused=True)
    sizes.begin(PAGE, 0.0, is_new=True)
    assert not sizes.took(PAGE, shown(500, asked=1000), follows=True)
    assert sizes.size == 500
    assert not sizes.failed(PAGE, 0.0, refused=False)
    assert not sizes.took(PAGE, shown(500, asked=500), follows=True)
    assert not sizes.failed(PAGE, 0.0, refused=False)
    assert sizes.failed(PAGE, 0.0, refused=False)
    assert sizes.size == 10


def test_an_outage_does_not_end_it_for_good():
    """What failed without being refused is tried again later, with any page but the first; what is refused is not."""
    sizes = Sizes(10, 1000)
    sizes.begin(PAGE, 0.0, is_new=True)
    assert not sizes.took(PAGE, shown(500, asked=1000), follows=True)
    for refused in (False, False, True):
        sizes.failed(PAGE, 5.0, refused=False)
        assert sizes.failed(PAGE, 5.0, refused=False)
        sizes.begin(PAGE, 5.0 + AGAIN_S - 1.0, is_new=True)
        assert sizes.of(PAGE) == 10
        sizes.begin(PAGE, 5.0 + AGAIN_S, is_new=False)
        assert sizes.of(PAGE) == 1000
        if refused:
            assert not sizes.failed(PAGE, 5.0, refused=True)
        else:
            assert sizes.took(PAGE, shown(500, asked=1000), follows=True)
            assert sizes.size == 500
    sizes.begin(PAGE, 1e6, is_new=True)
    assert sizes.of(PAGE) == 10


def test_executions_are_all_followed_through_an_outage_and_after_it():
    """Pages shrink when nothing but usual ones comes through, and grow again; nothing falls between them."""
    world = MovingList(300)
    world.most = 100
    now = world.pass_time(60.0, 0.0)
    dice = random.Random(3)
    world.lags = iter(lambda: 3 if dice.random() < 0.3 else 0, None)
    world.breaks = 11
    now = world.pass_time(60.0, now)
    world.breaks = inf
    world.asked.clear()
    now = world.pass_time(60.0, now)
    assert larger(world) == 0
    assert not world.unseen(now - 60.0)
    now = world.pass_time(AGAIN_S, now)
    world.asked.clear()
    now = world.pass_time(60.0, now)
    assert larger(world) > len(world.asked) * 0.8
    assert not world.unseen(now - 30.0)


def test_it_can_be_left_alone():
    """No larger page is asked for where the largest is the usual one."""
    sizes = Sizes(100, 100)
    sizes.begin(PAGE, 0.0, is_new=True)
    assert sizes.of(PAGE) == 100
