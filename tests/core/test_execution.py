"""Decoding what the service says of an execution: tolerant of optional fields, strict about what makes an execution."""

from __future__ import annotations

import copy
import json
import pickle
from datetime import UTC, datetime

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from titan_state.core.execution import ALIASES, Execution
from titan_state.core.lifecycle import Status
from titan_state.errors import PayloadError

NEEDED = {"id": "e-1", "status": "running"}
MOMENT = datetime(2026, 3, 4, 5, 6, 7, tzinfo=UTC)
TIMES = ("created_at", "updated_at", "started_at", "finished_at")
GOOD = {"task_id": "t-1", "phase": "crawl", "progress": 0.5, "error": "broken", **dict.fromkeys(TIMES, MOMENT)}
SENT = {name: value.isoformat() if isinstance(value, datetime) else value for name, value in GOOD.items()}
EVERY_ALIAS = [(name, alias) for name, aliases in ALIASES.items() for alias in aliases]
NAMES = ["id", "status", "extra", *(alias for _, alias in EVERY_ALIAS)]

surrogates = st.text(st.characters(categories=["Cs", "L", "Cc"]), max_size=8)
scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.integers(min_value=10**400, max_value=10**401),
    st.floats(),
    st.text(max_size=8),
    surrogates,
    st.datetimes(timezones=st.none() | st.just(UTC)).map(datetime.isoformat),
    st.sampled_from(["9999-12-31T23:59:59.999999-23:59", "0001-01-01T00:00:00Z", "2026-13-01", "Infinity", *Status]),
)
anything = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4)
)
payloads = st.dictionaries(st.sampled_from(NAMES) | surrogates, anything, max_size=12)
good_ids = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=8)


def nested(depth):
    value = "bottom"
    for _ in range(depth):
        value = {"in": [value]}
    return value


@pytest.mark.parametrize(("name", "alias"), EVERY_ALIAS)
def test_every_alias_is_understood(name, alias):
    """Each optional field is found under each of its names."""
    execution = Execution.from_payload({**NEEDED, alias: SENT[name]})
    assert getattr(execution, name) == GOOD[name]
    assert execution.extra == {}
    assert execution.dropped == ()


@pytest.mark.parametrize("name", [name for name, aliases in ALIASES.items() if len(aliases) > 1])
@pytest.mark.parametrize("backwards", [False, True])
def test_earlier_alias_wins_in_any_order_of_keys(name, backwards):
    """Of several names the first that can be read is taken; what the others said stays reachable."""
    aliases = ALIASES[name]
    values = [f"2026-01-0{day}T00:00:00Z" for day in range(1, len(aliases) + 1)]
    sent = list(zip(aliases, values, strict=True))
    execution = Execution.from_payload(NEEDED | dict(reversed(sent) if backwards else sent))
    alone = Execution.from_payload({**NEEDED, aliases[0]: values[0]})
    assert getattr(execution, name) == getattr(alone, name)
    assert execution.extra == dict(sent[1:])


@given(st.permutations(["finished_at", "finishedAt", "completed_at", "completedAt"]))
def test_alias_that_cannot_be_read_gives_way_to_the_next(order):
    """A broken or empty first name does not hide a good second one, whatever order they came in."""
    values = {"finished_at": 3, "finishedAt": MOMENT.isoformat(), "completed_at": "2020-01-01", "completedAt": None}
    execution = Execution.from_payload(NEEDED | {key: values[key] for key in order})
    assert execution.finished_at == MOMENT
    assert execution.dropped == ("finished_at",)
    assert execution.extra == {"finished_at": 3, "completed_at": "2020-01-01"}


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("task_id", ["t"]),
        ("task_id", True),
        ("taskId", 1 << 63),
        ("phase", {"name": "x"}),
        ("phase", "\ud800"),
        ("progress", "50 %"),
        ("progress", True),
        ("progress", float("nan")),
        ("progress", float("inf")),
        ("progress", 10**400),
        ("error", {"detail": "x"}),
        ("error_message", {"message": 1.5}),
        ("created_at", 1767225600),
        ("createdAt", "yesterday"),
        ("updated_at", "\ud800"),
        ("started_at", "0001-01-01T00:00:00Z"),
        ("ended_at", "9999-12-31T23:59:59.999999Z"),
        ("endedAt", "0001-01-01T00:00:00+23:59"),
    ],
)
def test_bad_optional_field_is_dropped_and_named(key, value):
    """An optional field that cannot be read costs itself only, is named, and stays reachable."""
    execution = Execution.from_payload({**NEEDED, key: value})
    assert execution.dropped == (key,)
    assert execution.extra == {key: value} or value != value  # NaN differs from itself
    assert all(getattr(execution, name) is None for name in ALIASES)
    assert execution.to_dict()["dropped"] == [key]


def test_null_is_the_same_as_nothing():
    """A field that is null was not sent."""
    assert Execution.from_payload(NEEDED | dict.fromkeys(SENT)) == Execution(id="e-1", status="running")


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2026-03-04T05:06:07Z", MOMENT),
        ("2026-03-04T05:06:07", MOMENT),
        ("2026-03-04T07:06:07+02:00", MOMENT),
        ("2026-03-04T05:06:07.25Z", MOMENT.replace(microsecond=250_000)),
    ],
)
def test_times_are_aware_and_in_utc(text, moment):
    """Any offset becomes UTC, and none is taken as UTC."""
    decoded = Execution.from_payload({**NEEDED, "updated_at": text}).updated_at
    assert decoded == moment
    assert decoded.tzinfo is UTC


@pytest.mark.parametrize(
    ("error", "shown"),
    [("text", "text"), ({"message": "m", "code": "c"}, "m"), ({"code": "c"}, "c"), (404, "404")],
)
def test_error_may_be_a_text_or_an_object(error, shown):
    """The text of an error is taken from where it is; an object stays reachable as a whole."""
    execution = Execution.from_payload({**NEEDED, "error": error})
    assert execution.error == shown
    assert execution.extra == ({"error": error} if isinstance(error, dict) else {})
    assert execution.dropped == ()


def test_whole_numbers_may_be_ids():
    """A service that counts its executions and tasks is understood."""
    execution = Execution.from_payload({"id": 7, "status": "queued", "task_id": 8})
    assert (execution.id, execution.task_id) == ("7", "8")


@pytest.mark.parametrize(
    "payload",
    [
        None,
        "running",
        [NEEDED],
        {},
        {"id": "e"},
        {"status": "running"},
        *({**NEEDED, "id": bad} for bad in ("", None, True, 1.5, [], {}, "\ud800", 1 << 63, 10**5000)),
        *({**NEEDED, "status": bad} for bad in ("", None, True, 1, [], {}, "\udfff")),
        {"id": nested(5000)},
    ],
    ids=lambda payload: type(payload).__name__,
)
def test_what_is_no_execution_is_a_payload_error(payload):
    """Without a usable id and status there is no execution; the error is short and printable."""
    with pytest.raises(PayloadError) as caught:
        Execution.from_payload(payload)
    assert "an execution must" in str(caught.value)
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 300


@given(payloads)
def test_any_mapping_decodes_or_is_a_payload_error(payload):
    """Whatever a server says, it is an execution or a PayloadError, and never anything else."""
    before = copy.deepcopy(payload)
    try:
        execution = Execution.from_payload(payload)
    except PayloadError:
        return
    finally:
        assert repr(payload) == repr(before)
    assert execution.id == str(payload["id"])
    assert execution.status == payload["status"]


@given(payloads, good_ids, good_ids)
def test_anything_decoded_can_be_written_sent_and_kept(payload, execution_id, status):
    """With a good id and status every payload decodes, and its snapshot is strict JSON, pickles and prints."""
    execution = Execution.from_payload(payload | {"id": execution_id, "status": status})
    text = json.dumps(execution.to_dict(), allow_nan=False, ensure_ascii=False)
    assert json.loads(text.encode())["id"] == execution_id
    assert repr(pickle.loads(pickle.dumps(execution))) == repr(execution)
    assert set(execution.dropped) <= set(execution.extra)
    for key, value in payload.items():
        if key not in NAMES:
            assert execution.extra[key] is value
    for name in TIMES:
        moment = getattr(execution, name)
        assert moment is None or datetime.fromtimestamp(moment.timestamp(), UTC).utcoffset() == moment.utcoffset()


@pytest.mark.parametrize("depth", [10, 450, 5000])
def test_deep_nesting_is_kept_but_written_shortened(depth):
    """What is nested without end neither stops decoding nor breaks what prints or writes the snapshot."""
    execution = Execution.from_payload({**NEEDED, "result": nested(depth), "results": [nested(depth)]})
    text = json.dumps(execution.to_dict())
    assert ("bottom" in text) is (depth == 10)
    assert len(repr(execution)) < 1000


def test_unknown_fields_are_reachable_but_not_changeable():
    """What this library has no name for is in `extra`, apart from the payload and read-only."""
    payload = {**NEEDED, "region": "eu", "labels": [1]}
    execution = Execution.from_payload(payload)
    payload["region"] = "us"
    assert execution.extra == {"region": "eu", "labels": [1]}
    with pytest.raises(TypeError):
        execution.extra["region"] = "us"
    written = execution.to_dict()
    written["extra"]["labels"].append(2)
    assert execution.extra["labels"] == [1]


def test_snapshot_is_frozen_and_hashable():
    """No attribute can be set, and equal snapshots are equal keys."""
    one, other = (Execution.from_payload({**NEEDED, "x": 1}) for _ in range(2))
    assert len({one, other}) == 1
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        one.status = "completed"
    with pytest.raises((AttributeError, TypeError)):
        one.other = 1


def test_to_dict_leaves_out_what_has_no_value():
    """A snapshot is written with the fields that it has, times in ISO 8601."""
    assert Execution.from_payload(NEEDED).to_dict() == NEEDED
    assert Execution.from_payload(NEEDED | SENT).to_dict() == NEEDED | SENT


def test_status_compares_equal_to_a_status():
    """A decoded status is a text that equals the member of `Status`, the same object for all executions."""
    one, other = (Execution.from_payload(json.loads('{"id": "e", "status": "queued"}')) for _ in range(2))
    assert one.status == Status.QUEUED
    assert one.status is other.status


@pytest.mark.parametrize("extra", [{}, {"region": "eu"}])
def test_copies_are_equal_and_as_immutable(extra):
    """Pickling and deep copying keep the snapshot, and its `extra` read-only."""
    execution = Execution.from_payload(NEEDED | extra)
    for one in (pickle.loads(pickle.dumps(execution)), copy.deepcopy(execution)):
        assert one == execution
        with pytest.raises(TypeError):
            one.extra["x"] = 1
