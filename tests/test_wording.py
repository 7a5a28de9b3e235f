"""Wording: events, ids and durations in words, and exit codes."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from titan_state import errors, wording
from titan_state.cli.exits import MEANINGS, Exit, of_error, worst
from titan_state.core.events import ActionRefused, ActionSent, ActionUnknown, ResultsReady, Transitioned
from titan_state.core.execution import Execution
from titan_state.core.lifecycle import Action, Verdict

AT = datetime(2026, 11, 24, 12, 0, 0, 5000, tzinfo=UTC)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(-3, "0s"), (59.9, "59s"), (60, "1m00"), (3599, "59m59"), (3600, "1h00"), (86_399, "23h59"), (1e6, "11d")],
)
def test_durations_stay_short(seconds, text):
    """Five characters hold any duration."""
    assert wording.duration(seconds) == text


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (0, "0 bytes"),
        (1, "1 byte"),
        (999, "999 bytes"),
        (1000, "1.0 kB"),
        (999_949, "999.9 kB"),
        (999_950, "1.0 MB"),
        (1_234_567, "1.2 MB"),
        (16 * 1024**3, "17.2 GB"),
        (5 * 10**15, "5000.0 TB"),
    ],
)
def test_sizes_are_for_people(count, text):
    """Three or four digits tell any size."""
    assert wording.size(count) == text


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("3f2504e0-4f89-41d3-9a0c-0305e82c3301", "3f2504e0"),
        ("short", "short"),
        ("execution-number-000001", "execu…000001"),
        ("", ""),
    ],
)
def test_ids_are_cut_sensibly(name, text):
    """A UUID is known by its beginning, a numbered name by its end."""
    assert wording.short_id(name) == text
    assert wording.is_short(text) is (text != name)


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        ({}, ""),
        ({"progress": 41.6, "phase": "storing"}, "42% storing"),
        ({"progress": 12345.0}, "12345"),
        ({"phase": "storing"}, "storing"),
    ],
)
def test_progress_is_percent_only_where_it_can_be(fields, text):
    """The unit is not documented, so a number beyond 100 is shown as it is."""
    assert wording.progress(Execution(id="e", status="running", **fields)) == text


def ready(row_count):
    return ResultsReady(
        execution_id="e", seq=1, at=AT, status="completed", row_count=row_count, after=AT, before=AT, metadata={"a": 1}
    )


def moved(**fields):
    status = fields.get("dest", "running")
    given = {"execution": Execution(id="e", status=status, error="broken\x1b"), "source": "queued", "dest": status}
    return Transitioned(execution_id="e", seq=1, at=AT, before=AT, **given | fields)


@pytest.mark.parametrize(
    ("event", "text"),
    [
        (moved(), "queued -> running"),
        (moved(source=None), "is running"),
        (moved(inferred=True, cause="action"), "queued -> running (inferred, by our action)"),
        (moved(source="completed", forced=True), "completed -> running (not a legal move)"),
        (
            moved(source="running", dest="failed"),
            "running -> failed: broken�; check first: execution details and platform logs",
        ),
        (ready(57), "results ready: 57 rows"),
        (ready(1), "results ready: 1 row"),
        (ready(None), "results ready"),
        (ActionSent(execution_id="e", seq=1, at=AT, action=Action.PAUSE), "pause was sent"),
        (ActionRefused(execution_id="e", seq=1, at=AT, action=Action.STOP, code="C"), "stop was refused: C"),
        (
            ActionUnknown(execution_id="e", seq=1, at=AT, action=Action.STOP),
            "stop got no answer: its outcome is unknown",
        ),
    ],
)
def test_events_are_told_in_words(event, text):
    """Every kind of event has its sentence."""
    assert wording.story(event) == text


def test_a_line_begins_with_when_and_which():
    """A log line can be sorted by its time, and searched for its id."""
    assert wording.line(moved()) == "2026-11-24T12:00:00.005Z  e  queued -> running"


def test_every_exit_code_is_explained():
    """No code is left without a meaning in the help."""
    assert set(MEANINGS) == set(Exit)


@pytest.mark.parametrize(
    ("codes", "code"),
    [
        ([], Exit.OK),
        ([Exit.OK, Exit.WITH_ERRORS], Exit.WITH_ERRORS),
        ([Exit.TIMEOUT, Exit.FAILED, Exit.CANCELLED], Exit.FAILED),
        ([Exit.FAILED, Exit.NOT_FOUND], Exit.NOT_FOUND),
        ([Exit.TIMEOUT, Exit.ILLEGAL, Exit.OK], Exit.ILLEGAL),
        ([Exit.USAGE, Exit.ILLEGAL], Exit.USAGE),
        ([Exit.OK, Exit.ERROR, Exit.NOT_FOUND], Exit.ERROR),
    ],
)
def test_the_worst_of_several_outcomes_counts(codes, code):
    """What needs a person first decides the exit code."""
    assert worst(codes) is code


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (errors.ConfigurationError("x"), 2),
        (errors.NotFoundError(404, "NOT_FOUND", "x"), 6),
        (errors.ExecutionNotFoundError("e", None, "x"), 6),
        (errors.IllegalActionError("e", "pause", Verdict(allowed=False, reason="x")), 7),
        (errors.ActionRejectedError("e", "pause", "CONFLICT", "x", None), 8),
        (errors.ActionOutcomeUnknownError("e", "pause", None), 9),
        (errors.RunOutcomeUnknownError("t", "x"), 9),
        (errors.OutputsUnavailableError("e", "running", ("completed",)), 7),
        (errors.ResultsNotReadyError("e", "404"), 124),
        (errors.OutputExistsError("x"), 1),
        (errors.WaitTimeoutError("e", None, "x"), 124),
        (errors.UnauthorizedError(401, "UNAUTHORIZED", "x"), 1),
        (errors.ConnectionFailedError("x"), 1),
        (OSError("x"), 1),
    ],
    ids=lambda value: type(value).__name__,
)
def test_errors_have_their_exit_codes(error, code):
    """A script can tell the errors apart that it may want to handle."""
    assert of_error(error) == code
