"""The codec: every event comes back from its text as it was, and what is no event is refused."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st
from test_events import EVENTS

from titan_state import Execution, PayloadError
from titan_state.core.codec import read, written
from titan_state.core.events import Transitioned

dates = st.integers(10**9, 7 * 10**15).map(
    lambda micros: datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=micros)
)
texts = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=12)
values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats(allow_nan=False, allow_infinity=False) | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=6,
)
executions = st.builds(
    Execution,
    id=texts,
    status=texts,
    task_id=st.none() | texts,
    created_at=st.none() | dates,
    updated_at=st.none() | dates,
    started_at=st.none() | dates,
    finished_at=st.none() | dates,
    phase=st.none() | texts,
    progress=st.none() | st.floats(allow_nan=False, allow_infinity=False),
    error=st.none() | texts,
    extra=st.dictionaries(texts, values, max_size=3),
    dropped=st.lists(texts, max_size=2).map(tuple),
)


@pytest.mark.parametrize("event", EVENTS, ids=lambda event: event.type)
def test_every_kind_of_event_comes_back(event):
    """Every kind comes back equal; what JSON has no word for in a payload is replaced, as in `to_dict`."""
    again = read(event.execution_id, event.seq, written(event))
    assert type(again) is type(event)
    assert again.to_dict() == event.to_dict()
    if not isinstance(event, Transitioned):  # these are always about an execution
        nothing = attrs.evolve(event, execution=None)
        assert read(event.execution_id, event.seq, written(nothing)) == nothing


@given(executions, texts, st.none() | texts, dates, st.timedeltas(timedelta(0), timedelta(days=400)))
def test_whatever_the_service_says_comes_back(execution, execution_id, source, at, earlier):
    """Texts, numbers, dates to the microsecond and nested payloads survive."""
    event = Transitioned(
        execution_id=execution_id,
        seq=3,
        at=at,
        execution=execution,
        source=source,
        dest=execution.status if source else "elsewhere",
        inferred=bool(source),
        after=at - earlier,
        before=at + earlier,
    )
    assert read(execution_id, 3, written(event)) == event


def test_what_goes_without_saying_is_left_out():
    """The text holds no id, no number, no default, and no date twice."""
    at = datetime(2026, 1, 1, tzinfo=UTC)
    event = Transitioned(
        execution_id="e", seq=1, at=at, execution=Execution("e", "queued"), source=None, dest="queued", before=at
    )
    assert json.loads(written(event)) == {
        "type": "transitioned",
        "at": at.timestamp(),
        "source": None,
        "dest": "queued",
        "execution": {},
    }


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{}",
        '{"type": "transitioned"}',
        '{"type": "nothing", "at": 1}',
        '{"type": "transitioned", "at": "x", "dest": "y"}',
        '{"type": "transitioned", "at": 1e300, "dest": "y"}',
        '{"type": "action_sent", "at": 1, "action": "dance"}',
        '{"type": "action_sent", "at": 1, "action": "stop", "more": 1}',
        '{"type": "action_sent", "at": 1, "action": "stop", "execution": []}',
    ],
)
def test_what_is_no_event_is_refused(text):
    """Anything else raises one error, which shows its beginning."""
    with pytest.raises(PayloadError, match="no event was written there"):
        read("e", 1, text)
