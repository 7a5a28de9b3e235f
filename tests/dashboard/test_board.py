"""The board: what changes in its rows, and what has no room."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from titan_state.core.tracking.sights import Sight
from titan_state.dashboard.board import Board


def live(name, **fields):
    return Sight(name, "t", **{"status": "running", "since": 1.0, "seen": 2.0} | fields)


def over(name, **fields):
    return Sight(name, "t", "completed", **{"since": 1.0, "seen": 2.0, "is_over": True} | fields)


def test_only_what_differs_is_a_change():
    """A row that is as it was is not told again."""
    board = Board()
    assert board.merge([live("a"), live("b")]).rows == [live("a"), live("b")]
    assert not board.merge([live("a")])
    change = board.merge([live("a"), live("b", seen=3.0)])
    assert (change.rows, change.gone) == ([live("b", seen=3.0)], [])


def test_what_lives_and_is_known_no_more_goes():
    """In a comparison of everything, what is watched no longer goes; what has finished stays."""
    board = Board()
    board.merge([live("a"), live("b"), over("c")])
    assert not board.merge([live("a")])
    change = board.merge([live("a")], is_whole=True)
    assert (change.rows, change.gone) == ([], ["b"])
    assert list(board.rows) == ["a", "c"]


def test_what_is_known_is_not_replaced_by_less():
    """Of a finished execution little is kept in the end: the board goes on showing what it knew."""
    board = Board()
    board.merge([over("a")])
    note = Sight("a", "t", "completed", is_over=True)
    assert not board.merge([note])
    assert board.rows["a"] == over("a")
    other = Sight("a", "t", "failed", is_over=True)
    assert board.merge([other]).rows == [other]


def test_finished_ones_beyond_a_number_are_left_out():
    """Those that ended first go; those with an anomaly, and those that live, stay."""
    board = Board(most_finished=2)
    odd = over("odd", since=0.5, anomalies=(("left_terminal", 1.0),))
    change = board.merge([odd, over("a", since=1.0), over("b", since=2.0), over("c", since=3.0), *map(live, "xyz")])
    assert [row.id for row in change.rows] == ["odd", "c", "x", "y", "z"]
    assert (change.gone, board.hidden) == ([], {"a", "b"})
    change = board.merge([over("d", since=4.0)])
    assert ([row.id for row in change.rows], change.gone, len(board.hidden)) == (["d"], ["c"], 3)
    for _ in range(3):  # one that is told again and again is left out once
        assert not board.merge([over("a", since=1.5)])
    assert board.hidden == {"a", "b", "c"}
    board.merge(list(board.rows.values()), is_whole=True)
    assert board.hidden == set()


def test_what_was_shown_and_has_no_room_any_more_goes():
    """A row that changes and falls out at once is taken back from pages, which have it still as it was."""
    board = Board(most_finished=2)
    board.merge([over("a", since=5.0), over("b", since=6.0), live("c")])
    change = board.merge([over("c", since=1.0)])
    assert (change.rows, change.gone) == ([], ["c"])


def test_live_ones_beyond_a_number_are_left_out():
    """Those of which nothing has changed for the longest have no room; one that moves has."""
    board = Board(most_live=2)
    change = board.merge([live(name, since=since) for name, since in (("a", 1.0), ("b", 2.0), ("c", 3.0))])
    assert ([row.id for row in change.rows], board.hidden) == (["b", "c"], {"a"})
    change = board.merge([live("a", since=9.0, status="paused")])
    assert ([row.id for row in change.rows], change.gone, board.hidden) == (["a"], ["b"], {"b"})


names = st.sampled_from("abcdef")
seconds = st.integers(0, 5).map(float)
anomalies = st.sampled_from([(), (("stuck_queued", 1.0),)])
sights = st.one_of(
    st.builds(live, names, since=seconds, seen=seconds, anomalies=anomalies),
    st.builds(over, names, since=seconds, seen=seconds, anomalies=anomalies),
    st.builds(lambda name: Sight(name, "t", "completed", is_over=True), names),
)
merges = st.tuples(st.lists(sights, max_size=5, unique_by=lambda sight: sight.id), st.booleans())


@given(st.lists(merges, max_size=12), st.integers(0, 3), st.integers(0, 3))
def test_a_page_that_takes_every_change_shows_the_board(told, most_finished, most_live):
    """Whatever is told, what pages put together of the changes is what the board has, within its limits."""
    board = Board(most_finished, most_live)
    page = {}
    for some, is_whole in told:
        change = board.merge(some, is_whole=is_whole)
        page |= {row.id: row for row in change.rows}
        for name in change.gone:
            del page[name]  # nothing goes that is not there
        assert page == board.rows
        assert not set(page) & board.hidden
        assert sum(row.is_over for row in page.values()) <= most_finished
        assert sum(not row.is_over for row in page.values()) <= most_live
        if is_whole:
            assert {row.id for row in page.values() if not row.is_over} <= {sight.id for sight in some}
