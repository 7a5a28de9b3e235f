"""Explanation: what is said of each request, and what delay is to be expected."""

from __future__ import annotations

import pytest
from moving import MovingList

from titan_state import ConfigurationError
from titan_state.core.planning.explanation import REMEMBERED, estimate


def test_each_request_is_explained():
    """First looks, new windows, looks that are worth it, confirmations: each has its words, and a number."""
    world = MovingList(35)
    now = world.pass_time(30.0, 0.0)
    world.planner.watch("nowhere", now)
    now = world.pass_time(2.0, now)
    world.statuses["e0001"] = "queued"
    world.pass_time(20.0, now)
    explanation = world.planner.explain()
    assert len(explanation.requests) == REMEMBERED
    numbers = [request.number for request in explanation.requests]
    assert numbers == list(range(numbers[0], numbers[0] + REMEMBERED))
    reasons = {request.reason.split(",")[0] for request in explanation.requests}
    assert "it is to be read at this time" in reasons
    assert any("unseen changes expected" in reason for reason in reasons)
    assert any("contradicts" in reason for reason in reasons)
    assert any(request.target == "execution nowhere" for request in explanation.requests)
    assert any("the list of all executions, from 10 on" in request.target for request in explanation.requests)
    first = MovingList(35)
    first.pass_time(2.0, 0.0)
    assert any("never read" in request.reason for request in first.planner.explain().requests)


def test_the_expected_delay_is_told():
    """Four pages of the same load at two reads a second: a second on average."""
    world = MovingList(40)
    world.pass_time(60.0, 0.0)
    explanation = world.planner.explain()
    assert explanation.pages == 4
    assert explanation.expected_delay_s == pytest.approx(1.0, rel=0.3)
    assert "pages: 4, single executions: 0, reads a minute: 120; a change" in str(explanation)


def test_nothing_to_read_has_no_delay():
    """Before anything is watched there is nothing to expect."""
    explanation = MovingList(0, watch=False).planner.explain()
    assert explanation.expected_delay_s is None
    assert "nothing is read in turn" in str(explanation)


def test_a_load_is_estimated_without_a_service():
    """The documented loop is full at 6 executions; pages carry far more; a few are best read one by one."""
    found = estimate(10_000, 120)
    assert found.one_by_one_s == 2500.0
    assert found.sweep_s == 150.0
    assert 80.0 < found.planned_s < 100.0
    assert found.full_at == 6
    assert estimate(1, 120, finished=100_000).planned_s == 0.25
    assert estimate(1000, 120, finished=0).planned_s == estimate(1000, 120, finished=0).sweep_s == 2.5


@pytest.mark.parametrize(
    ("arguments", "options"),
    [((0, 120), {}), ((5, 0), {}), ((5, 120), {"finished": -1}), ((5, 120), {"page_size": 0})],
)
def test_numbers_that_cannot_be_are_refused(arguments, options):
    """With what they must be."""
    with pytest.raises(ConfigurationError, match="must be"):
        estimate(*arguments, **options)
