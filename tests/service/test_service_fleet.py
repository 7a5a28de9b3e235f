"""The order in which members tend accounts: the same for all, even, and moved as little as can be."""

from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from titan_state.service.fleet import Fleet, ranking

names = st.text(min_size=1, max_size=12)
several = st.sets(names, min_size=2, max_size=8)
ACCOUNTS = [f"account {number}" for number in range(600)]


@given(names, several)
def test_everybody_comes_to_the_same_order(account, members):
    """The order depends on neither the order nor the number of times in which members were seen."""
    one = ranking(account, sorted(members))
    assert one == ranking(account, [*sorted(members, reverse=True), *members])
    assert sorted(one) == sorted(members)


@given(names, several, st.data())
def test_a_member_that_goes_moves_nobody_else(account, members, data):
    """Without one of them the order of the others stays."""
    gone = data.draw(st.sampled_from(sorted(members)))
    assert [one for one in ranking(account, members) if one != gone] == ranking(account, members - {gone})


def test_accounts_are_spread_evenly():
    """Each of four members is first for about a quarter of the accounts, and second for about as many."""
    orders = [ranking(account, ["a", "b", "c", "d"]) for account in ACCOUNTS]
    for place in range(4):
        counts = Counter(order[place] for order in orders)
        assert all(100 <= counts[member] <= 200 for member in "abcd")


def test_names_do_not_run_into_each_other():
    """An account and a member that share their letters differently have another order."""
    assert any(ranking(f"x{n}", ["ab", "b"]) != ranking(f"x{n}a", ["ab", "b"]) for n in range(20))


def first_and_second(account="shop"):
    first, second = ranking(account, ["a", "b"])
    return first, second


def test_an_account_is_handed_over_to_the_first_after_a_while():
    """The first must have been there for some time, without a gap, and be able to tend the account."""
    first, second = first_and_second()
    fleet = Fleet(second)
    assert (fleet.rank("shop"), fleet.is_due("shop", 0.0, 20.0)) == (0, False)
    fleet.saw({first: ["shop"], second: ["shop"]}, 100.0)
    assert fleet.rank("shop") == 1
    assert not fleet.is_due("shop", 119.0, 20.0)
    assert fleet.is_due("shop", 120.0, 20.0)
    fleet.saw({first: ["other"]}, 121.0)  # it is there, but cannot tend this one
    assert (fleet.rank("shop"), fleet.is_due("shop", 999.0, 20.0)) == (0, False)
    fleet.saw({first: ["shop"]}, 130.0)
    assert not fleet.is_due("shop", 149.0, 20.0)
    fleet.lost_sight()
    assert (fleet.members("shop"), fleet.is_due("shop", 999.0, 20.0)) == ([second], False)


def test_the_first_keeps_what_it_has():
    """Whoever ranks first hands nothing over."""
    first, second = first_and_second()
    fleet = Fleet(first)
    fleet.saw({first: ["shop"], second: ["shop"]}, 0.0)
    assert (fleet.rank("shop"), fleet.is_due("shop", 1e9, 1.0)) == (0, False)


def test_what_is_not_taken_is_offered_ever_more_rarely():
    """A first member that does not take what it is handed gets it later each time, up to a bound."""
    first, second = first_and_second()
    fleet, now, waits = Fleet(second), 0.0, []
    fleet.saw({first: ["shop"]}, now)
    for _ in range(9):
        begun = now
        while not fleet.is_due("shop", now, 1.0):
            now += 0.25
        waits.append(now - begun)
        fleet.handed_over("shop", now)
    assert waits == [1, 2, 4, 8, 16, 32, 64, 64, 64]
