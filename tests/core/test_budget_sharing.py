"""RequestBudget and others: what other clients of the account spend is left to them; deployments without a limit."""

from __future__ import annotations

from math import inf

import pytest

from titan_state import RequestBudget
from titan_state.core.budget import INTERVAL_S, UNLIMITED_INTERVAL_S, Priority


def spend(budget, seconds, *, others=0, told=120, now=0.0):
    """Send what may be sent for a while, each answered at once; the service counts `others` beside it."""
    sent: list[float] = []
    end = now + seconds
    while (at := max(now, budget.ready_at(now, Priority.POLL))) < end:
        now = at
        ticket = budget.send(now, Priority.POLL)
        sent.append(now)
        remaining = told - others - sum(1 for time in sent if time > now - 60.0)
        budget.answered(ticket, now, limit=told, remaining=max(0, remaining))
    return sent


def test_what_others_spend_is_left_to_them():
    """With 24 a minute of theirs, 120 in all are never reached, and a quarter more is left for them to grow."""
    budget = RequestBudget()
    sent = spend(budget, 300.0, others=24)
    assert budget.others == 24
    for at in sent:
        assert sum(1 for time in sent if at - 60.0 < time <= at) + 24 <= 120
    late = [at for at in sent if at > 200.0]
    assert 75 <= len(late) * 60 / 100 <= 92
    assert budget.rate(300.0) == pytest.approx((120 - 2 - 24 * 1.25 - 1) / 60)


def test_the_share_grows_again_when_others_fall_silent():
    """What they no longer spend is ours after a while."""
    budget = RequestBudget()
    spend(budget, 120.0, others=60)
    assert budget.rate(120.0) < 1.0
    spend(budget, 240.0, now=120.0)
    assert budget.rate(360.0) > 1.8


def test_a_share_remains_where_others_spend_nearly_all():
    """A tenth of the limit at least, as far as anything remains at all."""
    budget = RequestBudget()
    spend(budget, 120.0, others=115)
    assert budget.rate(120.0) == pytest.approx(12 / 60)


def test_a_lower_limit_of_ours_leaves_room_already():
    """Who asks for 60 of 120 does not spend less because others spend 24."""
    budget = RequestBudget(per_minute=60)
    sent = spend(budget, 240.0, others=24)
    assert len([at for at in sent if at > 120.0]) >= 110


def test_control_may_go_where_reads_must_wait():
    """What is left to others binds reads, not control."""
    budget = RequestBudget()
    spend(budget, 120.0, others=60)
    now = 119.9
    assert budget.ready_at(now, Priority.CONTROL) <= now + 0.6


def test_without_a_limit_reads_keep_a_pace():
    """No minute is counted; the same thing is read once a second by default."""
    budget = RequestBudget(per_minute=None)
    assert (budget.limit, budget.min_interval_s) == (None, UNLIMITED_INTERVAL_S)
    assert RequestBudget().min_interval_s == INTERVAL_S
    assert "no limit" in repr(budget)
    now = 5.0
    for _ in range(1000):
        assert budget.ready_at(now, Priority.POLL) < now + 0.001
        now = budget.ready_at(now, Priority.POLL)
        budget.answered(budget.send(now, Priority.POLL), now)
    assert budget.rate(now) > 1e4


def test_a_limit_that_a_header_tells_counts_after_all():
    """The user was wrong: there is one."""
    budget = RequestBudget(per_minute=None)
    budget.answered(budget.send(0.0, Priority.POLL), 0.0, limit=60, remaining=59)
    assert budget.limit == 60
    assert budget.rate(0.0) <= 1.0
    assert budget.ready_at(0.0, Priority.POLL) < inf
