"""What agrees with what is known is taken in without decoding, to the same effect."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from titan_state import Execution, PayloadError, Tracker
from titan_state.core.tracking.retention import Baseline

BEGAN = datetime(2026, 1, 1, tzinfo=UTC)
EARLY = "2025-12-01T00:00:00Z"

dates = st.sampled_from(
    [
        None,
        EARLY,
        "2026-01-01T00:00:01.5+00:00",
        "2026-01-01T00:00:01.500000000000000000000+00:00",
        "soon",
        "",
        7,
        "\ud800",
    ]
)
payloads = st.fixed_dictionaries(
    {"id": st.sampled_from(["a", "b"]), "status": st.sampled_from(["queued", "running", "completed", "odd", ""])},
    optional={
        "task_id": st.sampled_from(["t", None]),
        "progress": st.sampled_from([None, 0, 50, 0.25, "half", True, 10**400]),
        "phase": st.sampled_from([None, "fetching", 3, ["x"]]),
        "created_at": dates,
        "updated_at": dates,
        "updatedAt": dates,
    },
)


def decoded(payload):
    try:
        return Execution.from_payload(payload)
    except PayloadError:
        return None


@given(st.lists(payloads, min_size=1, max_size=12), st.booleans())
def test_it_is_the_same_as_decoding_and_observing(shown, adopts):
    """Two trackers, one of which decodes all it is shown, tell the same and know the same."""
    quick, whole = Tracker(epoch=BEGAN), Tracker(epoch=BEGAN)
    baseline = Baseline(BEGAN) if adopts else None
    for second, payload in enumerate(shown):
        times = {"sent_at": float(second), "received_at": second + 0.5}
        execution = decoded(payload)
        if quick.agrees(payload):
            assert execution is not None
            quick.again([payload], **times)
            events = []
        else:
            events = [] if execution is None else quick.observe(execution, **times, baseline=baseline)
        assert events == ([] if execution is None else whole.observe(execution, **times, baseline=baseline))
        for name in ("a", "b"):
            assert quick.snapshot(name) == whole.snapshot(name)
            assert quick.seen_at(name) == whole.seen_at(name)


def test_what_had_finished_before_agrees_though_only_a_note_of_it_remains():
    """A finished execution that was adopted silently is not decoded at each look."""
    tracker = Tracker(epoch=BEGAN)
    old = {"id": "a", "status": "completed", "task_id": "t", "created_at": EARLY, "updated_at": EARLY}
    assert not tracker.agrees(old)
    tracker.observe(Execution.from_payload(old), sent_at=0.0, received_at=0.1, baseline=Baseline(BEGAN))
    assert tracker.record("a") is None
    assert tracker.agrees(old)
    tracker.again([old], sent_at=1.0, received_at=1.1)
    assert tracker.record("a") is None
    assert not tracker.agrees({**old, "status": "running"})


@pytest.mark.parametrize("payload", [None, 5, "a", [], ["id"], {}, {"id": "a"}, {"id": [], "status": "running"}])
def test_what_is_no_execution_agrees_with_nothing(payload):
    """What cannot be an execution is left to the decoder, which says what is wrong with it."""
    tracker = Tracker()
    tracker.observe(Execution("a", "running", "t"), sent_at=0.0, received_at=0.1)
    assert not tracker.agrees(payload)
    tracker.expect("b")
    tracker.action_sent("b", "stop", at=0.0)
    assert not tracker.agrees({"id": "b", "status": ""})
