"""Agenda: fixed times come first, the rest shares what the budget allows, and nothing waits for ever."""

from __future__ import annotations

from math import inf

import pytest

from titan_state.core.planning.agenda import LEAST_PRICE, Agenda


@pytest.fixture
def agenda():
    return Agenda()


def share(agenda, target, *, seen=0.0, span=10.0, open_at=0.0, worth=1.0, latest=1e6):
    agenda.share(target, seen=seen, due=seen + span, open_at=open_at, worth=worth, scale=span, latest=latest)


def test_an_empty_agenda_has_nothing_to_read(agenda):
    """Nothing is due, at no time, and a look may cost nothing."""
    assert agenda.pop(5.0) is None
    assert (agenda.next_at(), agenda.first_due()) == (inf, inf)
    assert agenda.price(2.0) == LEAST_PRICE
    assert agenda.delay_s(2.0) is None
    assert agenda.stalest() is None


def test_a_fixed_time_comes_before_what_is_shared(agenda):
    """What has its time is read at that time, however late the rest is; not before."""
    share(agenda, "shared", open_at=8.0)
    agenda.at("fixed", 5.0)
    agenda.at("fixed", 7.0)
    assert agenda.pop(4.0) is None
    assert agenda.pop(9.0) == "fixed"
    assert agenda.pop(9.0) == "shared"
    assert len(agenda) == 0


def test_what_is_shared_is_read_early_where_there_is_room(agenda):
    """The budget is not left unused, but nothing is read sooner than it may be."""
    share(agenda, "e", open_at=2.0, span=50.0)
    assert agenda.next_at() == 2.0
    assert agenda.first_due() == 50.0
    assert agenda.pop(1.9) is None
    assert agenda.pop(2.0) == "e"


def test_the_worthiest_is_read_first(agenda):
    """Of two that are late by the same time, the one that is looked at more often has lost more."""
    share(agenda, "often", seen=0.0, span=10.0)
    share(agenda, "seldom", seen=-90.0, span=100.0)
    assert agenda.pop(20.0) == "often"
    assert agenda.pop(20.0) == "seldom"


def test_nothing_is_put_off_beyond_its_bound(agenda):
    """An entry that is hardly worth anything is read when its time is up, before worthier ones."""
    share(agenda, "dull", span=60.0, worth=1e-9, latest=60.0)
    for number in range(5):
        share(agenda, f"e{number}", span=1.0, worth=100.0)
    assert agenda.pop(60.0) == "dull"


def test_a_fixed_time_that_is_earlier_stays(agenda):
    """Sharing does not put off what was to be read at once; a later time does not put off what may be read before."""
    agenda.at("e", 1.0)
    share(agenda, "e", span=10.0, open_at=5.0)
    assert agenda.pop(1.0) == "e"
    share(agenda, "e", span=10.0, open_at=5.0)
    agenda.at("e", 20.0)
    assert agenda.first_due() == 10.0
    agenda.at("e", 2.0)
    assert agenda.next_at() == 2.0


def test_the_price_is_what_the_budget_is_used_up_at(agenda):
    """Ten pages of the same hazard at two reads a second: each is read every 5 s, and a look is worth L 5^2 / 2."""
    hazard = 0.01
    for number in range(10):
        share(agenda, f"e{number}", span=7.0, worth=hazard * 7.0**2 / 2)
    assert agenda.price(2.0) == pytest.approx(hazard * 5.0**2 / 2)
    assert agenda.delay_s(2.0) == pytest.approx(2.5)
    assert (agenda.alone, agenda.shared) == (10, 10)
    for number in range(10):
        agenda.drop(f"e{number}")
    assert agenda.price(2.0) == LEAST_PRICE
    assert (agenda.alone, agenda.shared) == (0, 0)


def test_lateness_raises_the_price(agenda):
    """And what is read early lowers it, each by a little, within bounds; so do reads that come first."""
    share(agenda, "e", span=10.0)
    before = agenda.price(2.0)
    for _ in range(400):
        assert agenda.pop(40.0) == "e"
        share(agenda, "e", span=10.0)
    assert before < agenda.price(2.0) <= 4.001 * before
    for _ in range(400):
        agenda.spent()
    assert agenda.price(2.0) > 10 * before


def test_the_longest_planned_is_reviewed_first(agenda):
    """Whatever was planned anew goes to the end."""
    share(agenda, "a")
    share(agenda, "b")
    assert agenda.stalest() == "a"
    share(agenda, "a")
    assert agenda.stalest() == "b"
    agenda.at("b", 1.0)
    assert agenda.stalest() == "a"
