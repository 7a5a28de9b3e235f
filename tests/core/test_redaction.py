"""Redaction: what is a credential by its place or its name is not written down; everything else is."""

from __future__ import annotations

import pytest
from test_events import AT

from titan_state import Execution
from titan_state.core.events import ActionSent
from titan_state.core.lifecycle import Action
from titan_state.core.redaction import redacted, redacted_event, redacted_execution


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("https://x/media/7?token=abc123", "https://x/media/7?token=[redacted]"),
        ("see /media/7?size=3&token=abc&x=1#top now", "see /media/7?size=3&token=[redacted]&x=1#top now"),
        ("/m?X-Amz-Signature=ff00&access_token=q", "/m?X-Amz-Signature=[redacted]&access_token=[redacted]"),
        ("/blob?sv=2024&sig=ab%2Fc", "/blob?sv=2024&sig=[redacted]"),
        ("/blob?design=2", "/blob?design=2"),
        ("Authorization: Bearer eyJhbGciOi.x.y", "Authorization: Bearer [redacted]"),
        ("the token expired", "the token expired"),
        ("a basic failure", "a basic failure"),
        ("https://x/media/7?tokens_used=3", "https://x/media/7?tokens_used=3"),
        ("nothing to hide", "nothing to hide"),
    ],
)
def test_texts(text, expected):
    """Values in URLs and of headers are replaced, words that only sound like it stay."""
    assert redacted(text) == expected


def test_payloads():
    """Nested payloads are gone through: fields by their names, texts by what is in them."""
    execution = Execution(
        "e",
        "failed",
        error="GET /media/1?token=abc failed",
        extra={
            "media": [{"url": "/media/1?token=abc", "token": "abc"}],
            "apiKey": None,
            "secret_payload": {"x": 1},
            "accessToken": "q",
            "count": 3,
        },
    )
    clean = redacted_execution(execution)
    assert clean.error == "GET /media/1?token=[redacted] failed"
    assert dict(clean.extra) == {
        "media": [{"url": "/media/1?token=[redacted]", "token": "[redacted]"}],
        "apiKey": None,
        "secret_payload": "[redacted]",
        "accessToken": "[redacted]",
        "count": 3,
    }
    assert execution.extra["accessToken"] == "q"


def test_what_holds_none_is_left_as_it_is():
    """Where there is nothing to hide nothing is copied."""
    plain = Execution("e", "running", extra={"x": [1, {"y": "z"}]})
    assert redacted_execution(plain) is plain
    for execution in (None, Execution("e", "running"), plain):
        event = ActionSent(execution_id="e", seq=1, at=AT, execution=execution, action=Action.STOP)
        assert redacted_event(event) is event


def test_an_event():
    """An event gets the clean execution, and is the same otherwise."""
    dirty = Execution("e", "running", extra={"token": "abc"})
    event = ActionSent(execution_id="e", seq=1, at=AT, execution=dirty, action=Action.STOP)
    clean = redacted_event(event)
    assert clean.execution.extra == {"token": "[redacted]"}
    assert (clean.id, clean.action) == (event.id, event.action)


def test_hostile_depth_ends_somewhere():
    """What is nested without end is cut, not followed."""
    deep = value = {}
    for _ in range(5000):
        value["x"] = value = {}
    listed = inner = []
    for _ in range(5000):
        inner.append(inner := [])
    redacted_execution(Execution("e", "running", extra={"deep": deep, "listed": listed}))
