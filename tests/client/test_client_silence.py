"""Silence: what is said, and not said, when answers fail to come."""

from __future__ import annotations

import pytest

from titan_state.client.silence import DARK_S, Silence
from titan_state.client.statistics import Statistics
from titan_state.testing import ManualClock


@pytest.fixture
def counted():
    """What a client counts."""
    return Statistics()


@pytest.fixture
def clock():
    """Time that stands still until it is moved."""
    return ManualClock()


@pytest.fixture
def silence(counted, clock):
    """Silence of a service that has answered once."""
    counted.requests = 1
    counted.answers["2xx"] = 1
    looking = Silence(counted, now=clock.time)
    assert looking.remark() == ""
    return looking


async def test_requests_without_answers_are_said_after_a_while(counted, clock, silence):
    """Silence is told with its length, once it is longer than a single failure."""
    counted.requests += 1
    counted.answers["none"] += 1
    await clock.advance(DARK_S - 1)
    assert silence.remark() == ""
    await clock.advance(60)
    assert silence.remark() == "no answer for 1m09"


async def test_an_answer_ends_the_silence(counted, clock, silence):
    """The remark goes away with the next good answer, and counts anew after it."""
    counted.requests += 1
    await clock.advance(100)
    assert silence.remark()
    counted.answers["2xx"] += 1
    assert silence.remark() == ""
    counted.requests += 1
    await clock.advance(DARK_S)
    assert silence.remark() == "no answer for 10s"


async def test_a_long_time_without_a_look_is_not_told(counted, clock, silence):
    """Whoever looks once in hours is not told of hours of silence because a request is under way just now."""
    await clock.advance(5 * 3600)
    counted.requests += 1
    assert silence.dark_s() == 0
    counted.requests += 1
    await clock.advance(DARK_S)
    assert silence.remark() == "no answer for 10s"


async def test_asking_nothing_is_no_silence(clock, silence):
    """Where all has finished nothing is read, and nothing is missing."""
    await clock.advance(3600)
    assert silence.remark() == ""


async def test_not_found_is_an_answer_and_too_many_requests_is_none(counted, clock, silence):
    """A 404 tells something of executions; a 429 and an error of the service do not."""
    counted.requests += 2
    counted.answers["4xx"] += 1
    counted.throttled += 1
    counted.answers["5xx"] += 1
    await clock.advance(DARK_S)
    assert silence.remark()
    counted.answers["4xx"] += 1
    assert silence.remark() == ""
