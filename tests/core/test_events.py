"""Events: frozen, named for good, and written as JSON with the version of their schema."""

from __future__ import annotations

import json
import pickle
from datetime import UTC, datetime

import attrs
import pytest

from titan_state.core.anomalies import AnomalyKind, Severity
from titan_state.core.events import (
    SCHEMA,
    ActionAccepted,
    ActionRefused,
    ActionSent,
    ActionUnknown,
    AnomalyCleared,
    AnomalyDetected,
    Event,
    Transitioned,
)
from titan_state.core.execution import Execution
from titan_state.core.lifecycle import Action

AT = datetime(2026, 3, 4, 5, 6, 7, tzinfo=UTC)
EXECUTION = Execution.from_payload({"id": "e", "status": "running", "x": float("nan")})
COMMON = {"execution_id": "e", "seq": 3, "at": AT, "execution": EXECUTION}
EVENTS = [
    Transitioned(**COMMON, source="queued", dest="running", move="start", before=AT),
    Transitioned(**COMMON, source=None, dest="failed", after=AT, before=AT, forced=True, cause="action"),
    AnomalyDetected(
        **COMMON, kind=AnomalyKind.VANISHED, severity=Severity.ERROR, message="it is gone", check_first="whether"
    ),
    AnomalyCleared(**COMMON, kind=AnomalyKind.FLAPPING, message="it has stopped", since=AT),
    ActionSent(**COMMON, action=Action.PAUSE),
    ActionAccepted(**COMMON, action=Action.RESUME),
    ActionRefused(**COMMON, action=Action.STOP, code="CONFLICT"),
    ActionUnknown(**COMMON, action=Action.STOP),
]


@pytest.mark.parametrize("event", EVENTS, ids=lambda event: event.type)
def test_event_is_written_as_json_with_its_schema(event):
    """Every event is strict JSON that begins with schema, type and id and holds all its attributes."""
    written = json.loads(json.dumps(event.to_dict(), allow_nan=False))
    assert list(written)[:3] == ["schema", "type", "id"]
    assert written["schema"] == SCHEMA == 1
    assert written["id"] == event.id == "e:3"
    assert written["at"] == "2026-03-04T05:06:07+00:00"
    assert written["execution"] == {"id": "e", "status": "running", "extra": {"x": None}}
    assert {field.name for field in attrs.fields(type(event))} <= set(written)


def test_every_event_has_a_type_of_its_own():
    """The type in JSON tells the classes apart."""
    concrete = {type(event) for event in EVENTS}
    assert len({kind.type for kind in concrete}) == len(concrete) == 7


@pytest.mark.parametrize("event", EVENTS, ids=lambda event: event.type)
def test_event_is_frozen_and_pickles(event):
    """Nothing of an event can be changed, and a copy from another process equals it but for NaN."""
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        event.seq = 4
    with pytest.raises((AttributeError, TypeError)):
        event.id = "other"
    assert pickle.loads(pickle.dumps(event)).to_dict() == event.to_dict()


def test_failure_says_what_to_check_first():
    """Only a move into `failed` carries a hint, also when it is written."""
    first, failed = EVENTS[:2]
    assert first.check_first is None
    assert first.to_dict()["check_first"] is None
    assert failed.check_first == failed.to_dict()["check_first"] == "execution details and platform logs"


def test_event_about_nothing_seen_is_written_too():
    """An event of the monitor as a whole has no execution."""
    event = Event(execution_id="", seq=1, at=AT)
    assert event.id == ":1"
    assert event.to_dict() == {
        "schema": 1,
        "type": "event",
        "id": ":1",
        "execution_id": "",
        "seq": 1,
        "at": "2026-03-04T05:06:07+00:00",
        "execution": None,
    }


def test_written_values_are_plain_texts():
    """Kinds, severities and actions are written by their values."""
    written = json.loads(json.dumps([event.to_dict() for event in EVENTS]))
    assert written[2]["kind"] == "vanished"
    assert written[2]["severity"] == "error"
    assert written[4]["action"] == "pause"
