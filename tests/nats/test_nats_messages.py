"""Messages: what is written comes back, none is too long, no event is lost for its length, and noise is refused."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from math import inf
from types import MappingProxyType

import attrs
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from titan_state import Action, AnomalyDetected, AnomalyKind, Execution, PayloadError, Severity, Transitioned
from titan_state.core.events import LONGEST_METADATA, ActionSent, ResultsReady
from titan_state.core.tracking.retention import Baseline
from titan_state.core.tracking.state import FIELDS, FINAL
from titan_state.journal.nats.messages import (
    Head,
    event_read,
    event_written,
    list_read,
    list_written,
    row_read,
    row_written,
)

AT = datetime(2026, 1, 1, tzinfo=UTC)
MOST = 1024 * 1024 - 1024
"""What the server takes by default, less what is left to headers."""

texts = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=12)
ids = st.sampled_from(["a.b.*", ">", " ", "\n", '1 "x"\n{', "\0", "ä" * 5000, "\ud800", ":", "e:1"]) | st.text(
    min_size=1
)
dates = st.integers(10**9, 7 * 10**15).map(lambda micros: AT.fromtimestamp(0, UTC) + timedelta(microseconds=micros))
values = (
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats(allow_nan=False, allow_infinity=False) | texts
)


def moved(name: str, seq: int = 1, **fields: object) -> Transitioned:
    execution = Execution(name, "completed", **fields)
    return Transitioned(
        execution_id=name, seq=seq, at=AT, execution=execution, source="running", dest="completed", before=AT
    )


@given(ids, st.integers(1, 2**63), st.dictionaries(texts, values, max_size=3), st.none() | texts)
def test_an_event_of_any_id_comes_back(name, seq, extra, phase):
    """Whatever the id is, line breaks, quotes and lone surrogates too, the event equals what was written."""
    event = moved(name, seq, extra=MappingProxyType(extra), phase=phase)
    data = event_written(event, MOST)
    assert event_read(data) == event
    assert event_read(data).id == event.id


@given(ids, dates, st.integers(0, 40))
def test_events_without_an_execution_come_back(name, at, rows):
    """So does what was never seen, and the results of an execution."""
    sent = ActionSent(execution_id=name, seq=2, at=at, action=Action.PAUSE)
    ready = ResultsReady(
        execution_id=name, seq=3, at=at, status="completed", row_count=rows, metadata={"a": 1}, after=at, before=at
    )
    for event in (sent, ready):
        assert event_read(event_written(event, MOST)) == event


lengths = st.sampled_from([0, 10, 9_999, 10_000, 10_001, 300_000, 1_200_000])
signs = st.sampled_from(["x", "ä", "\U0001f600", "\x01", '"'])


@settings(max_examples=60)
@given(
    signs, lengths, lengths, lengths, st.sampled_from([0, 100, 1_200_000]), st.sampled_from([MOST, 400_000, 200_000])
)
@example("\x01", 10_000, 10_000, 10_000, 2_000_000, 200_000)
def test_no_payload_is_too_long_and_no_event_is_lost(sign, phase, error, task, extra, most):
    """However much the service says of an execution, the payload is within the limit, and the event says what was."""
    event = moved(
        "e" * 100,
        7,
        phase=sign * phase or None,
        error=sign * error or None,
        task_id=sign * task or None,
        progress=0.5,
        created_at=AT,
        extra=MappingProxyType({"log": sign * extra} if extra else {}),
    )
    data = event_written(event, most)
    assert len(data) <= most
    again = event_read(data)
    assert attrs.evolve(again, execution=event.execution) == event
    whole = event_written(event, 1 << 40)
    if len(whole) <= most:
        assert again == event
        return
    execution = again.execution
    assert (execution.id, execution.status, execution.progress, execution.created_at) == (
        "e" * 100,
        "completed",
        0.5,
        AT,
    )
    for name, long in (("phase", phase), ("error", error), ("task_id", task)):
        kept = getattr(execution, name)
        assert kept == getattr(event.execution, name) or (kept is None and name in execution.dropped)
        assert kept is not None or long > 10_000 or not long
    if extra:
        assert not execution.extra
        assert "extra" in execution.dropped


def test_no_more_is_left_out_than_is_needed():
    """The error of an execution stays where leaving out what is not documented is enough."""
    event = moved("e", error="x" * 20_000, extra=MappingProxyType({"log": "y" * MOST}))
    execution = event_read(event_written(event, MOST)).execution
    assert execution.error == "x" * 20_000
    assert execution.dropped == ("extra",)


@pytest.mark.parametrize("kind", ["known", "unknown"])
def test_a_status_of_any_length_is_no_reason_to_lose_an_event(kind):
    """A service that sends a status of a megabyte must not keep the monitor from writing what happened."""
    status = "x" * 2_000_000
    common = {"execution_id": "e", "seq": 1, "at": AT, "execution": Execution("e", status)}
    if kind == "known":
        event = ResultsReady(**common, status="completed", after=AT, before=AT)
    else:
        event = AnomalyDetected(
            **common, kind=AnomalyKind.UNKNOWN_STATUS, severity=Severity.WARNING, message="odd", check_first="it"
        )
    data = event_written(event, MOST)
    assert len(data) <= MOST
    assert attrs.evolve(event_read(data), execution=event.execution) == event


def test_the_longest_metadata_of_results_fits():
    """What an event may hold beside its execution is within the limit by itself."""
    metadata = {"k": "\U0001f600" * (LONGEST_METADATA - 20)}
    event = ResultsReady(execution_id="e" * 5000, seq=1, at=AT, status="s", metadata=metadata, after=AT, before=AT)
    data = event_written(event, MOST)
    assert len(data) <= 128 * 1024
    assert event_read(data) == event


def row(name: str = "e", final: str | None = None) -> tuple:
    """Return a row as a tracker writes it."""
    values = {
        "id": name,
        "status": "completed",
        "progress": 0.5,
        "seq": 3,
        "since": 1e9 + 0.25,
        "kept": 0,
        "final": final,
    }
    return tuple(values.get(field) for field in FIELDS)


@given(ids, st.none() | st.text())
def test_a_row_comes_back(name, final):
    """Texts of any kind, numbers and None survive, as a tuple."""
    assert row_read(row_written(row(name, final), 1 << 30)) == row(name, final)


def test_a_row_that_is_too_long_is_kept_without_its_last_snapshot():
    """What must not be lost is the number and the status; what was last read of an execution is read again."""
    long = row(final=json.dumps({"id": "e", "status": "completed", "extra": {"x": "y" * 2_000_000}}))
    data = row_written(long, MOST)
    assert len(data) <= MOST
    assert row_read(data) == (*long[:FINAL], None)


@given(
    st.integers(1, 2**63), texts, texts, st.integers(0, 2**53), st.just(-inf) | st.floats(0, 1e12, allow_infinity=False)
)
def test_a_head_comes_back(epoch, mark, holder, floor, horizon):
    """Also one of which nothing was forgotten yet, which JSON has no number for."""
    head = Head(epoch=epoch, mark=mark, holder=holder, floor=floor, horizon=horizon)
    assert Head.read(head.written()) == head
    json.loads(head.written(), parse_constant=pytest.fail)


@given(st.none() | ids, st.none() | st.builds(Baseline, st.none() | dates, st.booleans()))
def test_a_list_comes_back(task_id, baseline):
    """A list with its baseline, and one that is watched no longer; None is that of all executions."""
    assert list_read(list_written(task_id, baseline)) == (task_id, baseline)


READERS = [event_read, row_read, list_read, Head.read]
json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=8,
)


@pytest.mark.parametrize("read", READERS, ids=lambda read: read.__qualname__)
@given(data=st.binary(max_size=60) | json_values.map(lambda value: json.dumps(value).encode()))
@example(data=b"")
@example(data=b"\xff")
@example(data=b'1 "e"\nnull')
@example(data=b"[" * 100_000)
def test_noise_is_refused(read, data):
    """What somebody else has written there is a PayloadError, and nothing else."""
    try:
        read(data)
    except PayloadError:
        return
    assert read is list_read  # a list that is watched no longer needs little


@given(st.sampled_from(["epoch", "mark", "holder", "floor", "horizon"]), json_values)
@example("epoch", inf)
def test_a_head_that_was_changed_by_hand(name, value):
    """Any value in place of a right one is a head, or refused as none."""
    told = json.loads(Head(epoch=1, mark="m", holder="h").written()) | {name: value}
    try:
        head = Head.read(json.dumps(told).encode())
    except PayloadError:
        return
    assert isinstance(head, Head)


@given(st.sampled_from(["type", "at", "dest", "source", "execution", "before"]), json_values)
@example("at", 1e300)
def test_an_event_that_was_changed_by_hand(name, value):
    """Any value in place of a right one is an event, or refused as none."""
    first, body = event_written(moved("e"), MOST).split(b"\n")
    told = json.loads(body) | {name: value}
    try:
        event = event_read(first + b"\n" + json.dumps(told).encode())
    except PayloadError:
        return
    assert event.id == "e:1"
