"""RequestBudget: the limit holds in every minute, control keeps its reserve, and headers are believed only so far."""

from __future__ import annotations

from math import inf, nan

import pytest
from hypothesis import given
from hypothesis import strategies as st

from titan_state.core.budget import (
    LARGEST,
    LONGEST_BACKOFF_S,
    LONGEST_RESET_S,
    WINDOW_S,
    Priority,
    RequestBudget,
)
from titan_state.errors import ConfigurationError

OTHERS = [priority for priority in Priority if priority is not Priority.CONTROL]


def spend(budget, now, count, priority=Priority.CONTROL, **headers):
    """Send and answer `count` requests, each as soon as the budget allows; return the time of the last."""
    for _ in range(count):
        now = budget.ready_at(now, priority)
        budget.answered(budget.send(now, priority), now, **headers)
    return now


def test_first_request_goes_at_once_but_a_restart_is_no_burst():
    """A new budget lets one poll go at once, and the next one at the pace of the limit."""
    budget = RequestBudget()
    budget.send(100.0, Priority.POLL)
    assert budget.ready_at(100.0, Priority.POLL) == pytest.approx(100.5)


def test_control_may_spend_the_reserve_at_once():
    """What polls must leave is there for control."""
    budget = RequestBudget(reserve=2)
    budget.send(0.0, Priority.POLL)
    for _ in range(2):
        budget.send(0.0, Priority.CONTROL)
    assert budget.ready_at(0.0, Priority.CONTROL) == pytest.approx(0.5)


def test_quiet_time_earns_a_small_burst():
    """After a minute of silence a twelfth of the limit may go at once, less the reserve."""
    budget = RequestBudget(120, reserve=2)
    assert budget.ready_at(0.0, Priority.POLL) == 0.0
    sent = 0
    while budget.ready_at(60.0, Priority.POLL) == 60.0:
        budget.send(60.0, Priority.POLL)
        sent += 1
    assert sent == 10 - 2


def test_slot_frees_a_minute_after_its_answer():
    """A request counts for as long as it is in flight, and for a minute more."""
    budget = RequestBudget(1)
    ticket = budget.send(0.0, Priority.POLL)
    assert budget.in_flight == 1
    assert budget.ready_at(500.0, Priority.CONTROL) == inf
    budget.answered(ticket, 500.0)
    assert budget.in_flight == 0
    assert budget.ready_at(500.0, Priority.CONTROL) == 560.0
    assert budget.remaining(559.0) == 0
    assert budget.remaining(560.0) == 1


def test_clock_that_goes_back_frees_nothing_early():
    """Slots free in the order of their answers, whatever the times say."""
    budget = RequestBudget(2, reserve=0)
    first, second = budget.send(0.0, Priority.POLL), budget.send(60.0, Priority.POLL)
    budget.answered(first, 70.0)
    budget.answered(second, 65.0)
    assert budget.ready_at(70.0, Priority.POLL) == 130.0


def test_sending_too_early_is_refused():
    """Who does not ask first gets an error, and nothing is spent."""
    budget = RequestBudget(1)
    budget.send(0.0, Priority.POLL)
    with pytest.raises(RuntimeError, match="ready_at"):
        budget.send(0.0, Priority.POLL)
    assert budget.in_flight == 1


def test_ticket_is_good_for_one_answer():
    """An answer to a request that is not in flight is a mistake."""
    budget = RequestBudget()
    ticket = budget.send(0.0, Priority.POLL)
    budget.answered(ticket, 1.0)
    with pytest.raises(RuntimeError, match="not in flight"):
        budget.answered(ticket, 1.0)
    with pytest.raises(RuntimeError, match="not in flight"):
        budget.throttled(ticket, 1.0, reset_s=None, jitter=0.0)


@pytest.mark.parametrize(
    ("learn", "told", "limit"),
    [
        (False, 60, 60),
        (False, 600, 120),
        (True, 600, 600),
        (True, 10**400, LARGEST),
        (False, 1, 1),
        (False, 0, 120),
        (False, -5, 120),
        (False, None, 120),
    ],
)
def test_headers_change_the_limit(learn, told, limit):
    """A header lowers the limit; it raises it above the cap only where that is wanted; nonsense is passed over."""
    budget = RequestBudget(learn=learn)
    budget.answered(budget.send(0.0, Priority.POLL), 0.0, limit=told, remaining=None)
    assert (budget.limit or LARGEST) == limit
    assert budget.ready_at(200.0, Priority.POLL) == 200.0


def test_limit_recovers_with_the_next_header():
    """A limit that was low for one answer is not low for ever."""
    budget = RequestBudget()
    spend(budget, 0.0, 1, limit=1)
    assert budget.limit == 1
    spend(budget, 0.0, 1, limit=120)
    assert budget.limit == 120


def test_low_remaining_holds_requests_back_until_it_recovers():
    """Others spend too: where the service says that nothing is left, sending goes on at the pace."""
    budget = RequestBudget()
    budget.ready_at(0.0, Priority.POLL)
    budget.answered(budget.send(60.0, Priority.POLL), 60.0, remaining=0)
    assert budget.remaining(60.0) == 0
    assert budget.ready_at(60.0, Priority.CONTROL) == pytest.approx(60.5)
    assert budget.ready_at(60.0, Priority.POLL) == pytest.approx(61.5)
    assert budget.remaining(65.0) == 10
    assert budget.remaining(200.0) == 120


def test_remaining_counts_what_is_in_flight():
    """The service may not have counted what it has not seen yet, so that is taken off."""
    budget = RequestBudget()
    budget.ready_at(0.0, Priority.POLL)
    tickets = [budget.send(60.0, Priority.POLL) for _ in range(4)]
    budget.answered(tickets[0], 60.0, remaining=5)
    assert budget.remaining(60.0) == 2
    for ticket in tickets[1:]:
        budget.answered(ticket, 60.0)
    assert budget.remaining(60.0) == 2


@pytest.mark.parametrize("remaining", [-1, 10**400])
def test_nonsense_remaining_is_passed_over(remaining):
    """Numbers that cannot be meant change nothing."""
    budget = RequestBudget()
    budget.answered(budget.send(0.0, Priority.POLL), 0.0, remaining=remaining)
    assert budget.remaining(0.0) == 119


@pytest.mark.parametrize(
    ("reset_s", "least", "most"),
    [
        (30.0, 30.0, 30.0),
        (0.1, 1.0, 1.0),
        (1e12, LONGEST_RESET_S, LONGEST_RESET_S),
        (-50.0, 1.0, 2.0),
        (0.0, 1.0, 2.0),
        (nan, 1.0, 2.0),
        (inf, 1.0, 2.0),
        (None, 1.0, 2.0),
    ],
)
@pytest.mark.parametrize("jitter", [0.0, 0.5, 0.999])
def test_throttling_stops_everything_for_a_while(reset_s, least, most, jitter):
    """A 429 waits for its reset, within bounds, or else for the backoff; control waits too."""
    budget = RequestBudget()
    budget.throttled(budget.send(0.0, Priority.POLL), 10.0, reset_s=reset_s, jitter=jitter)
    at = budget.ready_at(10.0, Priority.CONTROL)
    assert 10.0 + least <= at <= 10.0 + most
    assert budget.ready_at(10.0, Priority.POLL) >= at


def throttle(budget, now):
    now = budget.ready_at(now, Priority.CONTROL)
    budget.throttled(budget.send(now, Priority.CONTROL), now, reset_s=None, jitter=0.0)
    return now, budget.ready_at(now, Priority.CONTROL) - now


def test_backoff_doubles_up_to_a_minute_and_starts_anew_after_a_good_answer():
    """Each further 429 waits twice as long; one good answer ends that."""
    budget = RequestBudget()
    now, waits = 0.0, []
    for _ in range(8):
        now, wait = throttle(budget, now)
        waits.append(wait)
    assert waits == pytest.approx([2, 4, 8, 16, 32, 60, 60, LONGEST_BACKOFF_S])
    now = spend(budget, now, 1)
    assert throttle(budget, now)[1] == pytest.approx(2.0)


def test_burst_that_is_refused_is_one_refusal():
    """Requests that were on their way when the first 429 came say nothing new, good or bad."""
    budget = RequestBudget()
    budget.ready_at(0.0, Priority.POLL)
    tickets = [budget.send(60.0, Priority.POLL) for _ in range(6)]
    for ticket in tickets[:5]:
        budget.throttled(ticket, 61.0, reset_s=None, jitter=0.0)
    budget.answered(tickets[5], 61.0)
    assert budget.ready_at(61.0, Priority.CONTROL) == 63.0
    assert throttle(budget, 63.0)[1] == 4.0


@pytest.mark.parametrize(
    "options",
    [
        {"per_minute": 0},
        {"per_minute": -1},
        {"per_minute": True},
        {"per_minute": 1.5},
        {"per_minute": "120"},
        {"per_minute": 10**400},
        {"burst": 0},
        {"reserve": -1},
        {"min_interval_s": -1},
        {"min_interval_s": nan},
        {"min_interval_s": inf},
        {"min_interval_s": True},
        {"min_interval_s": "1"},
    ],
)
def test_numbers_that_cannot_work_are_refused(options):
    """The error names the argument."""
    with pytest.raises(ConfigurationError, match=next(iter(options))):
        RequestBudget(**options)


def test_reserve_never_takes_all():
    """With a limit as low as the reserve, polls still go."""
    assert RequestBudget(1, reserve=50).ready_at(0.0, Priority.POLL) == 0.0


def test_repr_says_where_it_stands():
    """The repr has the limit and what is in flight."""
    budget = RequestBudget()
    budget.send(0.0, Priority.POLL)
    assert repr(budget) == "<RequestBudget of 120 a minute, 1 in flight>"


NUMBERS = st.one_of(st.none(), st.integers(-5, 30), st.integers(-(10**20), 10**20))
STEPS = st.lists(
    st.tuples(
        st.floats(0.0, 20.0),  # how long nobody wants anything
        st.sampled_from(Priority),
        st.floats(0.0, 90.0),  # how long the answer takes
        NUMBERS,  # the header of the limit
        NUMBERS,  # the header of what remains
        st.one_of(st.just("good"), st.just("429"), st.just("429 with reset")),
        st.floats(-100.0, 300.0),  # the reset
        st.floats(0.0, 1.0, exclude_max=True),  # the jitter
    ),
    max_size=60,
)


@given(STEPS, st.integers(1, 12), st.integers(0, 4), st.booleans())
def test_no_minute_holds_more_than_the_limit(steps, per_minute, reserve, learn):
    """Whatever is asked for and answered, no minute holds more requests than the limit in force, and all go at last."""
    budget = RequestBudget(per_minute, reserve=reserve, learn=learn)
    now = 0.0
    flying: list[tuple[float, int, dict]] = []
    counted: list[float] = []  # until when each request counts that was answered

    def answer_until(time):
        nonlocal now
        flying.sort(key=lambda one: one[0])
        while flying and flying[0][0] <= time:
            at, ticket, rest = flying.pop(0)
            now = max(now, at)
            counted.append(now + WINDOW_S)
            if rest["kind"] == "good":
                budget.answered(ticket, now, limit=rest["limit"], remaining=rest["remaining"])
            else:
                reset_s = rest["reset_s"] if rest["kind"] == "429 with reset" else None
                budget.throttled(ticket, now, reset_s=reset_s, jitter=rest["jitter"])
        if time != inf:
            now = max(now, time)

    for quiet_s, priority, answer_s, limit, remaining, kind, reset_s, jitter in steps:
        answer_until(now + quiet_s)
        patience = now + 3600.0
        while (at := budget.ready_at(now, priority)) > now:
            if at == inf:
                assert flying, "nothing is in flight, and still the budget waits for an answer"
                answer_until(flying[0][0])
            else:
                answer_until(min([at, *(one[0] for one in flying)]))
            assert now < patience, "a request starves"
        ticket = budget.send(now, priority)
        assert len(flying) + sum(until > now for until in counted) + 1 <= (budget.limit or LARGEST)
        assert (budget.limit or LARGEST) >= 1
        assert learn or (budget.limit or LARGEST) <= per_minute
        rest = {"kind": kind, "limit": limit, "remaining": remaining, "reset_s": reset_s, "jitter": jitter}
        flying.append((now + answer_s, ticket, rest))
        flying.sort(key=lambda one: one[0])
        assert budget.in_flight == len(flying)
        assert 0 <= budget.remaining(now) <= (budget.limit or LARGEST)


@given(
    st.lists(st.tuples(st.sampled_from(OTHERS), st.floats(0.0, 40.0), st.floats(0.0, 3.0)), max_size=80),
    st.integers(60, 120),
    st.integers(1, 3),
)
def test_control_never_waits_because_of_others(steps, per_minute, reserve):
    """However many polls are sent, as fast as they may be, the reserve for control stays unspent."""
    budget = RequestBudget(per_minute, reserve=reserve)
    now = 0.0
    flying: list[tuple[float, int]] = []
    for priority, answer_s, pause_s in steps:
        at = budget.ready_at(now, priority)
        if at == inf:
            at = min(flying)[0]
        now = max(now, at) + pause_s
        for one in sorted(one for one in flying if one[0] <= now):
            budget.answered(one[1], now)
            flying.remove(one)
        if budget.ready_at(now, priority) <= now:
            flying.append((now + answer_s, budget.send(now, priority)))
        assert budget.ready_at(now, Priority.CONTROL) == now


@pytest.mark.parametrize("per_minute", [1, 2, 3, 5, 10, 30, 120])
def test_polls_get_nearly_all_of_the_limit(per_minute):
    """The reserve for control is a level, not a share: polls alone are sent at nineteen twentieths of the limit."""
    budget = RequestBudget(per_minute, reserve=2)
    now, sent = 0.0, 0
    while (now := budget.ready_at(now, Priority.POLL)) < 1200.0:
        budget.answered(budget.send(now, Priority.POLL), now)
        sent += 1
    assert sent >= per_minute * 20 * 19 // 20


@given(st.floats(0.0, 1e9), st.sampled_from(Priority), st.lists(st.floats(0.0, 5.0), max_size=40), st.integers(1, 200))
def test_time_that_is_named_is_one_at_which_it_goes(start, priority, pauses, per_minute):
    """Whoever waits until the named time may send, and was not told to wait without need before."""
    budget = RequestBudget(per_minute)
    now = start
    for pause_s in pauses:
        at = budget.ready_at(now, priority)
        budget.answered(budget.send(at, priority), at + pause_s)
        now = at + pause_s
