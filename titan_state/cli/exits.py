"""Exit codes: what the command tells a script, and which error means which. It prints nothing."""

from __future__ import annotations

from enum import IntEnum
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable


class Exit(IntEnum):
    """The exit codes of the command."""

    OK = 0
    ERROR = 1
    USAGE = 2
    FAILED = 3
    CANCELLED = 4
    WITH_ERRORS = 5
    NOT_FOUND = 6
    ILLEGAL = 7
    REJECTED = 8
    UNKNOWN = 9
    TIMEOUT = 124  # as timeout(1) has it
    INTERRUPTED = 130  # these three are 128 and the number of the signal, as shells have it
    PIPE = 141
    TERMINATED = 143


MEANINGS: Final = {
    Exit.OK: "completed; done; allowed",
    Exit.ERROR: "any other error",
    Exit.USAGE: "wrong usage, or a setting is missing",
    Exit.FAILED: "the execution failed",
    Exit.CANCELLED: "the execution was cancelled",
    Exit.WITH_ERRORS: "the execution completed with errors",
    Exit.NOT_FOUND: "the service does not know it",
    Exit.ILLEGAL: "the status does not allow the action, or has no outputs; nothing was sent",
    Exit.REJECTED: "the service refused the action",
    Exit.UNKNOWN: "sent, but no answer told whether it was carried out",
    Exit.TIMEOUT: "the time was up; the execution goes on, or its results are to come",
    Exit.INTERRUPTED: "Ctrl-C",
    Exit.PIPE: "the reader of the output went away",
    Exit.TERMINATED: "SIGTERM",
}
"""Every exit code in words: help and documentation are made of it."""

OF_STATUS: Final = {
    "completed": Exit.OK,
    "completed_with_errors": Exit.WITH_ERRORS,
    "failed": Exit.FAILED,
    "cancelled": Exit.CANCELLED,
}
"""The exit code of an execution that ended in a status."""

_GRAVITY: Final = (
    Exit.OK,
    Exit.WITH_ERRORS,
    Exit.TIMEOUT,
    Exit.ILLEGAL,
    Exit.CANCELLED,
    Exit.FAILED,
    Exit.NOT_FOUND,
    Exit.USAGE,
    Exit.ERROR,
)


def worst(codes: Iterable[Exit]) -> Exit:
    """Return the gravest of the outcomes of several executions: in doubt the one that wants a person first."""
    return max(codes, key=_GRAVITY.index, default=Exit.OK)


def of_error(error: BaseException) -> Exit:
    """Return the exit code of an error that ended a command."""
    from titan_state import errors

    for kinds, code in (
        ((errors.ConfigurationError, errors.DefinitionError), Exit.USAGE),
        ((errors.ExecutionFailedError,), Exit.FAILED),
        ((errors.ExecutionCancelledError,), Exit.CANCELLED),
        ((errors.ExecutionNotFoundError, errors.NotFoundError), Exit.NOT_FOUND),
        ((errors.WaitTimeoutError, errors.ResultsNotReadyError), Exit.TIMEOUT),
        ((errors.IllegalActionError, errors.OutputsUnavailableError), Exit.ILLEGAL),
        ((errors.ActionRejectedError,), Exit.REJECTED),
        (
            (errors.ActionOutcomeUnknownError, errors.RunOutcomeUnknownError, errors.ExecutionUnreadableError),
            Exit.UNKNOWN,
        ),
        ((BrokenPipeError,), Exit.PIPE),
    ):
        if isinstance(error, kinds):
            return code
    return Exit.ERROR


def hint(error: BaseException) -> str:
    """Return what to look at first after an error, empty where its message says so itself."""
    from titan_state import errors, wording

    if isinstance(error, errors.ExecutionNotFoundError) and wording.is_short(error.execution_id):
        return "the id is cut as in a table: titan-state list has it whole"
    if isinstance(error, errors.UnauthorizedError):
        return "check TITAN_TOKEN"
    if isinstance(error, errors.ForbiddenError):
        return "the token lacks a scope"
    if isinstance(error, errors.NotFoundError):
        return "check the id, and the URL (TITAN_API_URL)"
    if isinstance(error, errors.TooManyRequestsError):
        return "the limit is shared by all programs of the account: try again in a minute"
    if isinstance(error, errors.PayloadError) and error.body.lstrip().startswith("<"):
        return "check TITAN_API_URL, or --url"
    if isinstance(error, errors.ResultsNotReadyError):
        from titan_state.core.anomalies import RULES, AnomalyKind

        return f"check first: {RULES[AnomalyKind.RESULTS_OVERDUE].check_first}"
    return ""
