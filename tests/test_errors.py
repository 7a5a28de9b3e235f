"""The exception tree: drawn as it is, pickling without loss, and messages that are safe to print."""

from __future__ import annotations

import builtins
import inspect
import pickle
import re
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

import titan_state
from titan_state import errors
from titan_state.core.execution import Execution
from titan_state.core.lifecycle import Verdict
from titan_state.errors import TitanStateError, shorten

HOSTILE = "\x1b[31mred\nline\u202e\ud800" + "x" * 5000
EXECUTION = Execution.from_payload({"id": "e", "status": "failed", "x": 1})
TREE = [kind for _, kind in inspect.getmembers(errors, inspect.isclass) if issubclass(kind, TitanStateError)]
VALUES = {
    "execution_id": "e-1",
    "task_id": "t-1",
    "candidates": ("e-1", "e-2"),
    "action": "pause",
    "verdict": Verdict(allowed=False, reason="it has finished"),
    "code": "CONFLICT",
    "message": "a message",
    "status": "running",
    "detail": "no answer came",
    "execution": EXECUTION,
    "request": "GET /executions/e-1",
    "sent": False,
    "body": "<html>",
    "http_status": 409,
    "reset_s": 12.5,
    "delay": 3.0,
    "subscription": "shop.export",
    "holder": "process 7 on a-machine",
    "statuses": ("completed", "completed_with_errors"),
    "path": "/data/e-1.json",
    "origin": "https://other.example",
    "answer": "404 NOT_FOUND",
}


def parameters(kind):
    """Return what an error of this class is made from."""
    return list(inspect.signature(kind).parameters) if inspect.isfunction(kind.__init__) else ["message"]


def build(kind, **changes):
    """Make an error of any class of the tree, with a value for each of its parameters."""
    values = {name: (VALUES | changes)[name] for name in parameters(kind)}
    return kind(**values) if inspect.isfunction(kind.__init__) else kind(*values.values())


def drawn_tree():
    """Read the tree in the module's docstring: the drawn parent of each class, and what else it says to be."""
    parents, builtin, stack = {}, {}, []
    for line in re.search(r"```\n(.*?)```", errors.__doc__, re.DOTALL).group(1).splitlines():
        branch, name, rest = re.fullmatch(r"([│├└─ ]*)(\w+)(.*)", line).groups()
        del stack[len(branch) // 4 :]
        parents[name] = stack[-1] if stack else None
        also = re.search(r"\(an? (\w+Error)\)", rest)
        builtin[name] = also.group(1) if also else None
        stack.append(name)
    return parents, builtin


def test_drawn_tree_is_the_real_one():
    """The docstring draws every class once, under its parent, with the built-in error that it also is."""
    parents, builtin = drawn_tree()
    real = {kind.__name__: kind.__bases__[0].__name__ for kind in TREE}
    assert parents == real | {"TitanStateError": None}
    for kind in TREE:
        others = [base.__name__ for base in kind.__bases__[1:]]
        assert others == ([builtin[kind.__name__]] if builtin[kind.__name__] else [])
        assert all(hasattr(builtins, name) for name in others)


def test_every_error_can_be_caught_by_its_public_name():
    """What the library raises is exported by it."""
    assert {kind.__name__ for kind in TREE} <= set(titan_state.__all__)


def test_names_and_docstrings():
    """Every class ends in Error and says in a sentence what it means."""
    for kind in TREE:
        assert kind.__name__.endswith("Error")
        assert inspect.getdoc(kind).splitlines()[0].endswith((".", ":"))


@pytest.mark.parametrize("kind", TREE, ids=lambda kind: kind.__name__)
def test_error_pickles_with_its_attributes(kind):
    """An error from another process has the same class, message, attributes and notes."""
    error = build(kind)
    error.add_note("a note")
    copy = pickle.loads(pickle.dumps(error))
    assert type(copy) is kind
    assert str(copy) == str(error) != ""
    assert copy.args == error.args
    assert vars(copy) == vars(error)
    assert copy.__notes__ == ["a note"]


@pytest.mark.parametrize("kind", TREE, ids=lambda kind: kind.__name__)
def test_error_keeps_what_it_was_given(kind):
    """Each parameter but the words of the message is an attribute of the same name."""
    error = build(kind)
    for name in set(parameters(kind)) - {"detail", "message"}:
        assert getattr(error, name) == VALUES[name]


@pytest.mark.parametrize("kind", TREE, ids=lambda kind: kind.__name__)
def test_message_is_printable_whatever_the_service_says(kind):
    """Ids, codes, statuses and texts of any origin neither escape to the terminal nor flood it."""
    error = build(
        kind,
        execution_id=HOSTILE,
        task_id=HOSTILE,
        code=HOSTILE,
        status=HOSTILE,
        body=HOSTILE,
        detail=HOSTILE,
        path=HOSTILE,
        origin=HOSTILE,
        answer=HOSTILE,
    )
    assert str(error).isprintable()
    assert len(str(error)) < 1000


def test_messages_say_what_happened_and_what_to_do():
    """The messages that people meet most are whole sentences with the facts in them."""
    assert str(build(errors.IllegalActionError)) == "pause of execution e-1 was not sent: it has finished"
    assert str(build(errors.ActionRejectedError)) == (
        "the service refused to pause execution e-1: CONFLICT a message (its status is running)"
    )
    assert str(build(errors.ActionRejectedError, status=None)).endswith("(its status could not be read)")
    assert "(running) does not show the effect" in str(build(errors.ActionOutcomeUnknownError))
    assert "(unread) does not show the effect" in str(build(errors.ActionOutcomeUnknownError, status=None))
    assert "list the task's executions before running it again" in str(build(errors.RunOutcomeUnknownError))
    assert str(build(errors.PayloadError)) == "GET /executions/e-1: a message, got <html>"
    assert str(errors.PayloadError("a message")) == "a message"
    assert str(build(errors.ConflictError)) == "GET /executions/e-1: HTTP 409 CONFLICT: a message"
    assert str(errors.InternalServiceError(502, "502", "no error envelope")) == "HTTP 502: no error envelope"
    assert str(errors.TemporaryError()) == "the callback asked for another attempt"


@pytest.mark.parametrize(("delay", "seconds"), [(None, None), (0, 0), (1.5, 1.5), (timedelta(minutes=1), 60.0)])
def test_the_delay_of_a_temporary_error_is_kept_in_seconds(delay, seconds):
    """It is given in seconds or as a timedelta, and survives pickling."""
    assert pickle.loads(pickle.dumps(errors.TemporaryError(delay=delay))).delay == seconds


@pytest.mark.parametrize("delay", [-1, float("nan"), float("inf"), "5", timedelta(seconds=-1)])
def test_a_delay_that_cannot_work_is_refused(delay):
    """What no one can wait for is an error where it is written, not where it is waited for."""
    with pytest.raises(errors.ConfigurationError, match="delay must be"):
        errors.TemporaryError(delay=delay)


def test_text_of_the_service_is_made_harmless_in_response_errors():
    """Code and message of an answer are attributes too, and these are printable and short as well."""
    error = build(errors.NotFoundError, code=HOSTILE, message=HOSTILE)
    assert error.code.isprintable()
    assert error.message.isprintable()
    assert len(error.code) == 200
    assert len(error.message) == 500


@pytest.mark.parametrize(
    ("kind", "builtin"),
    [
        (errors.WaitTimeoutError, TimeoutError),
        (errors.RequestTimeoutError, TimeoutError),
        (errors.ConnectionFailedError, ConnectionError),
        (errors.ConfigurationError, ValueError),
        (errors.DefinitionError, ValueError),
        (errors.MonitorClosedError, RuntimeError),
    ],
)
def test_errors_are_caught_as_the_builtins_they_are(kind, builtin):
    """Who catches the built-in error catches ours."""
    with pytest.raises(builtin) as caught:
        raise build(kind)
    assert isinstance(caught.value, TitanStateError)


@given(st.text(st.characters()), st.integers(min_value=1, max_value=300))
def test_shorten_is_safe_for_any_text(text, limit):
    """The result is printable, within the limit, and the text itself where that was harmless and short."""
    shown = shorten(text, limit)
    assert shown.isprintable()
    assert len(shown) <= limit
    shown.encode()
    if text.isprintable() and len(text) <= limit:
        assert shown == text
    if len(text) > limit:
        assert shown.endswith("…")


def test_shorten_does_not_read_what_it_does_not_show():
    """A text of many megabytes costs no more than what is shown of it."""
    assert shorten("é\t" * 10_000_000, 4) == "é�é…"
