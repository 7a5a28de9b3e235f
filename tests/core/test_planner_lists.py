"""The planner and lists: sweeps, pages, what leaves them, exploring for single ids, and lists that are refused.

Only what a planner answers is asserted, not how it chooses among what is due.
"""

from __future__ import annotations

from math import inf

import pytest
from desk import ALL, NEXT, Desk, live

from titan_state.core.planning.reads import ListPage


@pytest.fixture
def desk():
    return Desk()


@pytest.fixture
def listed(desk):
    """A desk that watches everything; two pages of the list have live executions on them."""
    desk.planner.watch_list(None, 0.0)
    desk.due(0.0)
    desk.page(ALL, 0.0, live("d", "c"), last=False)
    assert desk.due(0.0) == [NEXT]
    assert desk.page(NEXT, 0.0, live("b", "a"))
    return desk


def test_a_watched_list_is_swept_once_and_then_read_where_it_matters(listed):
    """Every page is read once, to its end; from then on those that show live executions, at the same interval."""
    assert set(listed.due(2.0)) == {ALL, NEXT}
    assert not listed.page(ALL, 2.0, live("d", "c"), last=False)
    assert not listed.page(NEXT, 2.0, {"b": "completed", "a": "failed"})
    assert listed.due(4.0) == [ALL]
    listed.page(ALL, 4.0, live("d", "c"), last=False)
    assert NEXT in listed.due(32.0)


def test_the_first_page_of_a_watched_list_is_read_on_though_it_is_empty(desk):
    """New executions show there."""
    desk.planner.watch_list("t", 0.0)
    log = desk.play(10.0, lambda target, now: desk.page(target, now, {}))
    assert log == [(at, ListPage("t", 0)) for at in (0.0, 2.0, 4.0, 6.0, 8.0, 10.0)]


def test_one_live_execution_on_a_later_page_is_read_by_itself(listed):
    """A page is read where it shows several; one that has a single live execution left costs the same by itself."""
    listed.due(2.0)
    listed.page(ALL, 2.0, live("d", "c"), last=False)
    listed.page(NEXT, 2.0, {"b": "running", "a": "failed"})
    assert set(listed.due(4.0)) == {ALL, "b"}
    listed.planner.failed("b", 4.0, 0.5)
    assert listed.due(4.5) == ["b"]


def test_a_page_full_of_new_executions_leads_to_the_next(listed):
    """More may have been created since than one page shows."""
    listed.due(2.0)
    listed.page(ALL, 2.0, live("f", "e"), last=False, ends_new=True)
    listed.page(NEXT, 2.0, live("d", "c"), last=False)
    assert ListPage(None, 2) in listed.due(2.0)


def test_a_page_of_nothing_but_new_executions_leads_to_the_next_though_none_is_missed(desk):
    """It does so too where nothing was on it before."""
    desk.planner.watch_list(None, 0.0)
    desk.due(0.0)
    desk.page(ALL, 0.0, {})
    desk.due(2.0)
    desk.page(ALL, 2.0, live("b", "a"), last=False, ends_new=True)
    assert desk.due(2.0) == [NEXT]


def test_executions_that_are_pushed_to_the_next_page_are_found_there(listed):
    """A page shift costs the pages that it moved things over, and no read of single executions."""
    listed.due(2.0)
    listed.page(ALL, 2.0, live("f", "e"), last=False)
    listed.page(NEXT, 2.0, live("d", "c"), last=False)
    assert listed.due(2.0) == [ListPage(None, 2)]
    listed.page(ListPage(None, 2), 2.0, live("b", "a"))
    assert set(listed.due(100.0)) == {ALL, NEXT, ListPage(None, 2)}


def test_what_another_page_has_shown_already_is_not_looked_for(listed):
    """The next page was read first, and shows what this one has lost: nothing is missing."""
    listed.due(2.0)
    listed.page(NEXT, 3.0, live("c", "b", "a"))
    listed.page(ALL, 4.0, live("e", "d"), last=False)
    log = listed.play(12.0, lambda target, now: listed.planner.failed(target, now, 60.0), 4.0)
    assert {target for _, target in log} == {ALL, NEXT}


def test_a_finished_execution_that_leaves_its_page_is_not_looked_for(listed):
    """Where only its list is watched, it is of interest while a page shows it."""
    listed.due(2.0)
    listed.page(NEXT, 2.0, {"b": "running", "z": "running", "a": "completed"})
    listed.page(ALL, 2.0, live("d", "c"), last=False)
    listed.due(4.0)
    listed.page(NEXT, 4.0, live("b", "z"))
    listed.page(ALL, 4.0, live("d", "c"), last=False)
    log = listed.play(60.0, lambda target, now: listed.planner.failed(target, now, 90.0), 4.0)
    assert not any(isinstance(target, str) for _, target in log)


def test_an_execution_that_no_page_shows_any_more_is_read_by_itself(listed):
    """Being missing from a list is a reason to ask for that execution, and no more than that."""
    listed.due(2.0)
    listed.page(ALL, 2.0, live("d", "c"), last=False)
    listed.page(NEXT, 2.0, live("a", "z"))
    log = listed.play(10.0, lambda target, now: listed.planner.failed(target, now, 60.0), 2.0)
    assert "b" in [target for _, target in log]


def test_a_read_by_somebody_else_does_not_hide_that_it_left_the_page(listed):
    """An execution that was read for an action, and then leaves its page, is not forgotten."""
    listed.see("running", 1.5, name="a")
    listed.due(2.0)
    listed.page(ALL, 2.0, live("d", "c"), last=False)
    listed.page(NEXT, 2.0, live("b", "z"))
    log = listed.play(10.0, lambda target, now: listed.planner.failed(target, now, 60.0), 2.0)
    assert "a" in [target for _, target in log]


def test_one_that_leaves_its_page_while_it_is_read_is_read_on(listed):
    """It is asked for once at a time, and again after that answer."""
    listed.planner.soon("a", 1.0)
    assert listed.due(1.0) == ["a"]
    listed.due(2.0)
    listed.page(ALL, 2.0, live("d", "c"), last=False)
    listed.page(NEXT, 2.0, live("b", "z"))
    listed.due(2.0)
    assert "a" not in listed.due(100.0)
    listed.read("a", 100.0)
    assert listed.due(102.0) == ["a"]


def test_an_execution_that_vanished_from_a_list_costs_nothing_more(listed):
    """Only what is watched by its id is asked for again; the list shows the others if they come back."""
    pages = [live("d", "c"), live("b", "z")]

    def answer(target, now):
        if isinstance(target, ListPage):
            listed.page(target, now, pages[target.page] if target.page in (0, 1) else {}, last=target.page != 0)
        else:
            listed.read(target, now, None)

    log = listed.play(400.0, answer)
    assert listed.tracker.has_vanished("a")
    assert [at for at, target in log if target == "a" and at > 30.0] == []


def test_a_finished_execution_that_left_its_page_is_read_if_it_is_watched_by_its_id(listed):
    """Nothing else would notice that it runs again."""
    listed.planner.watch("a", 0.0)
    listed.due(0.0)
    listed.read("a", 0.0)
    listed.due(2.0)
    listed.page(ALL, 2.0, live("d", "c"), last=False)
    listed.page(NEXT, 2.0, {"b": "running", "a": "completed"})
    listed.due(32.0)
    listed.page(ALL, 32.0, live("d", "c"), last=False)
    listed.page(NEXT, 32.0, live("b"))
    log = listed.play(90.0, lambda target, now: listed.planner.failed(target, now, 500.0), 32.0)
    assert "a" in [target for _, target in log]


def test_an_unwatched_list_is_read_no_more(listed):
    """Neither its pages nor, one by one, the executions that they showed; an answer that comes late is no matter."""
    listed.due(2.0)
    listed.page(ALL, 2.0, live("d", "c"), last=False)
    listed.planner.unwatch_list(None)
    listed.planner.unwatch_list(None)
    assert listed.planner.next_at() == inf
    assert not listed.page(NEXT, 2.0, live("b", "a"))
    listed.planner.failed(NEXT, 2.0, 0.5)
    listed.planner.sweep_again(None, 2.0)
    assert listed.planner.next_at() == inf


def test_single_reads_of_an_unwatched_list_end_with_it(listed):
    """What was read by itself because its page showed nothing else is let go, too."""
    listed.due(2.0)
    listed.page(ALL, 2.0, live("d", "c"), last=False)
    listed.page(NEXT, 2.0, {"b": "running", "a": "failed"})
    listed.planner.unwatch_list(None)
    assert listed.planner.next_at() == inf


def test_what_is_watched_twice_is_read_on(listed):
    """An execution that is watched by its id is read by itself once its list is not watched any more."""
    listed.planner.watch("a", 0.0)
    listed.due(0.0)
    listed.read("a", 0.0)
    listed.planner.unwatch_list(None)
    assert listed.planner.behind_s(0.0) == 0.0
    assert listed.due(10.0) == ["a"]


def test_what_another_list_may_show_is_read_on(desk):
    """Everything is watched, and a task: when the task is not any more, its executions still are."""
    desk.planner.watch_list(None, 0.0)
    desk.planner.watch_list("t", 0.0)
    desk.planner.watch_list("u", 0.0)
    desk.due(0.0)
    desk.page(ALL, 0.0, {})
    desk.page(ListPage("u", 0), 0.0, {})
    desk.page(ListPage("t", 0), 0.0, live("x", "y"))
    desk.planner.unwatch_list("t")
    assert set(desk.due(10.0)) == {ALL, ListPage("u", 0), "x", "y"}
    desk.read("x", 10.0)
    desk.planner.unwatch_list(None)
    assert desk.due(20.0) == []


def test_an_id_that_its_list_covers_is_read_on_by_itself(listed):
    """Unwatching the id of the only live execution of a page leaves it to the watch of the list."""
    listed.planner.watch("b", 0.0)
    listed.due(2.0)
    listed.page(ALL, 2.0, live("d", "c"), last=False)
    listed.page(NEXT, 2.0, {"b": "running", "a": "failed"})
    listed.planner.failed("b", 2.0, 0.0)
    listed.planner.unwatch("b")
    assert set(listed.due(4.0)) == {ALL, "b"}


@pytest.mark.parametrize("count", [2, 3])
def test_many_single_reads_lead_to_the_list(desk, count):
    """From three executions on, the list is tried; a page that shows several takes the place of their reads."""
    names = [f"e{number}" for number in range(count)]
    for name in names:
        desk.planner.watch(name, 0.0)

    def answer(target, now):
        if isinstance(target, ListPage):
            desk.page(target, now, live(*names))
        else:
            desk.read(target, now)

    log = desk.play(200.0, answer)
    late = {target for at, target in log if at > 150.0}
    assert late == ({ALL} if count == 3 else set(names))


def test_exploring_goes_on_while_pages_are_worth_it(desk):
    """Pages are tried one after the other until one does not show several of the executions, or none follows."""
    names = [f"e{number}" for number in range(5)]
    for name in names:
        desk.planner.watch(name, 0.0)
    pages = {0: names[:2], 1: names[2:4], 2: names[4:]}
    log = desk.play(
        8.0,
        lambda target, now: (
            desk.page(target, now, live(*pages[target.page]), last=False)
            if isinstance(target, ListPage)
            else desk.read(target, now)
        ),
    )
    asked = [target for _, target in log if isinstance(target, ListPage)]
    assert {target.page for target in asked} == {0, 1, 2}
    assert asked.count(ListPage(None, 2)) == 1
    assert [target for at, target in log if at > 6.0 and not isinstance(target, ListPage)] == ["e4"]


def test_exploring_ends_where_it_shows_nothing(desk):
    """A list full of other executions is tried again after a minute only, one page of it."""
    names = ["a", "b", "c"]
    for name in names:
        desk.planner.watch(name, 0.0)
    log = desk.play(
        100.0,
        lambda target, now: (
            desk.page(target, now, {}, last=False) if isinstance(target, ListPage) else desk.read(target, now)
        ),
    )
    assert [target for _, target in log if isinstance(target, ListPage)] == [ALL, ALL]
    assert len([at for at, target in log if target == "a"]) == 51


def test_a_list_that_is_refused_is_not_tried_again(desk):
    """Where the list was only tried for the sake of ids, those are read one by one from then on, at once."""
    names = ["a", "b", "c"]
    for name in names:
        desk.planner.watch(name, 0.0)
    refused = []

    def answer(target, now):
        if not isinstance(target, ListPage):
            desk.read(target, now)
        elif now < 100.0:
            desk.page(target, now, live(*names))
        else:
            refused.append(desk.planner.list_refused(target))
            assert desk.planner.behind_s(now) < 10.0
            assert desk.planner.next_at() <= now + 4.0

    log = desk.play(300.0, answer)
    assert refused == [True]
    assert {target for at, target in log if at > 110.0} == set(names)


def test_a_watched_list_that_is_refused_is_an_error(desk):
    """A list that the user asked for is not given up silently; one that nobody asks for any more is."""
    desk.planner.watch_list("t", 0.0)
    desk.due(0.0)
    assert not desk.planner.list_refused(ListPage("t", 0))
    desk.planner.failed(ListPage("t", 0), 0.0, 0.0)
    desk.due(0.0)
    desk.planner.unwatch_list("t")
    assert desk.planner.list_refused(ListPage("t", 0))


def test_a_list_that_does_not_begin_with_the_newest_is_swept_now_and_then(desk):
    """New executions may show anywhere, so all pages are read, but not at every interval."""
    desk.planner.watch_list("t", 0.0)

    def answer(target, now):
        desk.page(target, now, {f"e{target.page}": "completed"}, last=target.page == 3)
        desk.planner.sweep_again("t", now)

    log = desk.play(100.0, answer)
    last = [at for at, target in log if target.page == 3]
    assert len(last) in range(3, 16)
    assert len([at for at, target in log if target.page == 0]) == 51


def test_a_list_that_is_said_not_to_begin_with_the_newest_is_swept_without_being_told_again():
    """A deployment without dates says it once, in its profile."""
    desk = Desk(newest_first=False)
    desk.planner.watch_list("t", 0.0)

    def answer(target, now):
        desk.page(target, now, {f"e{target.page}": "completed"}, last=target.page == 3)

    log = desk.play(100.0, answer)
    assert len([at for at, target in log if target.page == 3]) in range(3, 16)


def test_a_list_that_nobody_watches_is_not_swept(desk):
    """Exploring stays small, in whatever order the list is."""
    for name in "abc":
        desk.planner.watch(name, 0.0)

    def answer(target, now):
        if isinstance(target, ListPage):
            desk.page(target, now, {}, last=False)
            desk.planner.sweep_again(None, now)
        else:
            desk.read(target, now)

    log = desk.play(50.0, answer)
    assert [target for _, target in log if isinstance(target, ListPage)] == [ALL]


def test_what_leaves_a_list_in_any_order_is_read_by_itself_at_once():
    """Where new executions do not push others to the next page, there is nothing to wait for."""
    desk = Desk(newest_first=False)
    desk.planner.watch_list(None, 0.0)
    desk.due(0.0)
    desk.page(ALL, 0.0, live("a", "b", "c"))
    desk.due(2.0)
    desk.page(ALL, 2.0, live("a", "b"))
    assert desk.due(2.0) == ["c"]
