"""Every exception that titan_state raises, and nothing else.

```
TitanStateError
├── ConfigurationError            an argument, URL or token that cannot work (a ValueError)
├── DefinitionError               a lifecycle that contradicts itself (a ValueError)
│   └── UnknownActionError        a control action that there is not
├── IllegalActionError            the status does not allow the action; nothing was sent
├── ActionRejectedError           the service refused a control action
├── ActionOutcomeUnknownError     an action may or may not have been carried out
├── RunOutcomeUnknownError        a run may or may not have been started
├── ExecutionUnreadableError      a run was started, and its execution could not be read
├── MonitorClosedError            the monitor is not running (a RuntimeError)
├── OutputsUnavailableError       the execution's status has no outputs; nothing was sent
├── OutputExistsError             a file is there already, left alone (a FileExistsError)
├── ForeignOriginError            a media URL points to another host; nothing was sent
├── JournalError                  the journal cannot be used
│   ├── JournalInUseError         another monitor writes it
│   ├── LeadershipLostError       another monitor leads the account since
│   ├── JournalVersionError       a newer version has written it; it was not touched
│   ├── JournalDamagedError       it is no journal, or not in order any more
│   ├── JournalUnavailableError   it cannot be read or written at present (a full disk)
│   └── SubscriptionInUseError    another program has the subscription open
├── TemporaryError                raised by a callback: try this delivery again later
├── PermanentError                raised by a callback: do not try this delivery again
├── WaitError                     what is waited for did not come
│   ├── ExecutionFailedError      it ended in failed
│   ├── ExecutionCancelledError   it ended in cancelled
│   ├── ExecutionNotFoundError    the service does not know it, or no longer
│   └── WaitTimeoutError          the time was up (a TimeoutError)
└── ServiceError                  a request to the Task Service did not succeed
    ├── TransportError            no whole answer arrived
    │   ├── ConnectionFailedError no connection, or it broke (a ConnectionError)
    │   ├── RequestTimeoutError   it took too long (a TimeoutError)
    │   └── TokenUnavailableError the token's function failed; nothing was sent
    ├── ResultsNotReadyError      the results cannot be read yet
    ├── PayloadError              an answer that is not what it should be
    │   └── BodyTooLargeError     it is larger than may be read
    └── ResponseError             the service answered with an error
        ├── RedirectError         3xx: redirects are never followed
        ├── BadRequestError       400
        ├── UnauthorizedError     401
        ├── ForbiddenError        403
        ├── NotFoundError         404
        ├── ConflictError         409 and 422
        ├── TooManyRequestsError  429
        └── InternalServiceError  5xx
            └── NotSupportedError 501
```

Errors carry what happened as attributes, build their own message, and survive pickling. None holds the token.
"""

from __future__ import annotations

from datetime import timedelta
from math import isfinite
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from titan_state.core.execution import Execution
    from titan_state.core.lifecycle import Verdict


def shorten(text: str, limit: int = 200) -> str:
    """Return `text` on one line, without control characters, cut to `limit` characters.

    Args:
        text: Text of any origin; it may hold escape sequences or lone surrogates.
        limit: The most characters to keep.

    Returns:
        Printable text, ending in an ellipsis where something was cut.
    """
    cut = text[: limit + 1]
    shown = "".join(character if character.isprintable() else "�" for character in cut)
    return shown if len(cut) <= limit else shown[: limit - 1] + "…"


def rebuild(cls: type[TitanStateError], args: tuple[Any, ...], state: dict[str, Any]) -> TitanStateError:
    """Return an error of another process: its class, what it was made with, and its attributes."""
    error = cls.__new__(cls, *args)
    error.args = args
    error.__dict__.update(state)
    return error


class TitanStateError(Exception):
    """The root of all errors of this library."""

    def __reduce__(self) -> tuple[Any, ...]:
        return rebuild, (type(self), self.args, self.__dict__)


class ConfigurationError(TitanStateError, ValueError):
    """An argument, URL or token that cannot work; the message says what to do."""


class DefinitionError(TitanStateError, ValueError):
    """A lifecycle that contradicts itself, or a name that the model does not have; the message names the fault."""


class UnknownActionError(DefinitionError):
    """There is no control action of that name; the message lists those there are, and the nearest one."""


class IllegalActionError(TitanStateError):
    """The current status does not allow a control action; no request was sent.

    Attributes:
        execution_id: The execution that was to be controlled.
        action: The refused action.
        verdict: Why it is refused, and as of when.
    """

    def __init__(self, execution_id: str, action: str, verdict: Verdict) -> None:
        self.execution_id = execution_id
        self.action = action
        self.verdict = verdict
        super().__init__(f"{action} of execution {shorten(execution_id)} was not sent: {verdict.reason}")


class ActionRejectedError(TitanStateError):
    """The service refused a control action.

    Attributes:
        execution_id: The execution that was to be controlled.
        action: The refused action.
        code: The service's error code (`error.code`), or its HTTP status as text.
        status: The status that was observed after the refusal, None where it could not be read.
    """

    def __init__(self, execution_id: str, action: str, code: str, message: str, status: str | None) -> None:
        self.execution_id = execution_id
        self.action = action
        self.code = code
        self.status = status
        seen = f"its status is {shorten(status)}" if status else "its status could not be read"
        super().__init__(
            f"the service refused to {action} execution {shorten(execution_id)}: "
            f"{shorten(code)} {shorten(message)} ({seen})"
        )


class ActionOutcomeUnknownError(TitanStateError):
    """A control action was sent once, no answer came, and reading did not tell whether it took effect.

    Attributes:
        execution_id: The execution that was to be controlled.
        action: The action that was sent.
        status: The status last observed, None where none could be read.
    """

    def __init__(self, execution_id: str, action: str, status: str | None) -> None:
        self.execution_id = execution_id
        self.action = action
        self.status = status
        super().__init__(
            f"{action} of execution {shorten(execution_id)} was sent, but no answer came and its status "
            f"({shorten(status) if status else 'unread'}) does not show the effect; look again before sending it again"
        )


class RunOutcomeUnknownError(TitanStateError):
    """A run was requested, no answer came, and reading did not tell whether an execution was started.

    Attributes:
        task_id: The task that was to be run.
        candidates: The executions that may be it.
    """

    def __init__(self, task_id: str, detail: str, candidates: tuple[str, ...] = ()) -> None:
        self.task_id = task_id
        self.candidates = candidates
        named = f" ({shorten(', '.join(candidates))})" if candidates else ""
        super().__init__(
            f"running task {shorten(task_id)} was requested, but {shorten(detail)}{named}; "
            "list the task's executions before running it again"
        )


class ExecutionUnreadableError(TitanStateError):
    """An execution was started, and could not be read. It goes on.

    Attributes:
        execution_id: The execution.
    """

    def __init__(self, execution_id: str, detail: str) -> None:
        self.execution_id = execution_id
        super().__init__(
            f"execution {shorten(execution_id)} was started, but could not be read {shorten(detail, 500)}; "
            "it goes on, and can be watched by its id"
        )


class MonitorClosedError(TitanStateError, RuntimeError):
    """The monitor is not running, or was left meanwhile: use it inside `async with`."""


class OutputsUnavailableError(TitanStateError):
    """The execution is in a status that has no outputs; no request for them was sent.

    Attributes:
        execution_id: The execution.
        status: Its status.
        statuses: The statuses that have some.
    """

    def __init__(self, execution_id: str, status: str, statuses: tuple[str, ...]) -> None:
        self.execution_id = execution_id
        self.status = status
        self.statuses = statuses
        super().__init__(
            f"execution {shorten(execution_id)} is {shorten(status)}, which has no outputs: they are there once it is "
            f"{shorten(' or '.join(statuses)) or 'nothing at all'} (ServiceProfile.output_statuses)"
        )


class OutputExistsError(TitanStateError, FileExistsError):
    """A file is there already, and was left as it is.

    Attributes:
        path: The file.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        super().__init__(
            f'{shorten(path, 500)} is there already: give if_exists="overwrite" or "skip", or another path'
        )


class ForeignOriginError(TitanStateError):
    """A media URL points to a host that is not to get its credential; nothing was sent.

    Attributes:
        origin: Where it points, without path and query.
    """

    def __init__(self, origin: str) -> None:
        self.origin: str = shorten(origin)
        super().__init__(
            f"the media URL points to {self.origin}, which is not the service: its credential goes nowhere else "
            "(ServiceProfile.media_origins names further ones)"
        )


class JournalError(TitanStateError):
    """The journal cannot be used; the message says why, and what to do."""


class JournalInUseError(JournalError):
    """Another monitor writes the journal: there is one writer at a time."""


class LeadershipLostError(JournalError):
    """Another monitor leads the account now. This one has ended; another one, entered anew, stands by."""


class JournalVersionError(JournalError):
    """A newer version of titan_state has written the journal. Nothing in it was touched."""


class JournalDamagedError(JournalError):
    """What is there is no journal, or is not in order any more; the message names it and says how to keep a copy."""


class JournalUnavailableError(JournalError):
    """The journal cannot be read or written at present, because a disk is full, say. Nothing of it was written."""


class SubscriptionInUseError(JournalError):
    """Another program has the subscription open.

    Attributes:
        subscription: Its name.
        holder: The program.
    """

    def __init__(self, subscription: str, holder: str) -> None:
        self.subscription = subscription
        self.holder = holder
        super().__init__(
            f"the subscription {shorten(subscription)} is used by {shorten(holder)}: give one of the handlers "
            "another name=, or end that program"
        )


class TemporaryError(TitanStateError):
    """Raised by a callback: this delivery could not be handled now, try it again. It counts as one of the retries.

    Attributes:
        delay: Seconds to wait before the next attempt, None for the handler's own backoff.

    Args:
        message: Why, for the log.
        delay: Seconds, or a `timedelta`, to wait before the next attempt; None for the handler's own backoff.

    Raises:
        ConfigurationError: The delay is no number of seconds of 0 or more.
    """

    def __init__(self, message: str = "", *, delay: float | timedelta | None = None) -> None:
        seconds = delay.total_seconds() if isinstance(delay, timedelta) else delay
        if seconds is not None and not (isinstance(seconds, int | float) and isfinite(seconds) and seconds >= 0):
            raise ConfigurationError(f"delay must be a number of seconds of 0 or more, not {shorten(repr(delay))}")
        self.delay: float | None = seconds
        super().__init__(message or "the callback asked for another attempt")


class PermanentError(TitanStateError):
    """Raised by a callback: this delivery can never be handled, do not try it again."""


class WaitError(TitanStateError):
    """Waiting for an execution did not end in success.

    Attributes:
        execution_id: The execution that was waited for.
        execution: What was last seen of it, None if it was never seen.
    """

    def __init__(self, execution_id: str, execution: Execution | None, message: str) -> None:
        self.execution_id = execution_id
        self.execution = execution
        super().__init__(message)


class ExecutionFailedError(WaitError):
    """The execution ended in `failed`. Check first: execution details and platform logs."""


class ExecutionCancelledError(WaitError):
    """The execution ended in `cancelled`: it was stopped before completion."""


class ExecutionNotFoundError(WaitError):
    """The service does not know the execution (404), and went on saying so."""


class WaitTimeoutError(WaitError, TimeoutError):
    """The execution did not end in time. It goes on; nothing remote was stopped."""


class ServiceError(TitanStateError):
    """A request to the Task Service did not succeed.

    Attributes:
        request: The request as `METHOD /path`, without host and query; empty where there was none.
        sent_at: When it was sent, in seconds of the client's clock; None where it was not.
        received_at: When the answer, or the failure, was received, on the same clock.
    """

    def __init__(self, message: str, *, request: str = "") -> None:
        self.request = request
        self.sent_at: float | None = None
        self.received_at: float | None = None
        super().__init__(f"{request}: {message}" if request else message)


class TransportError(ServiceError):
    """No whole answer arrived.

    Attributes:
        sent: Whether the request may have reached the service. False means that it certainly did not.
    """

    def __init__(self, message: str, *, request: str = "", sent: bool = True) -> None:
        self.sent = sent
        super().__init__(message, request=request)


class ConnectionFailedError(TransportError, ConnectionError):
    """The connection could not be made, or broke."""


class RequestTimeoutError(TransportError, TimeoutError):
    """The answer did not arrive in time."""


class TokenUnavailableError(TransportError):
    """The function that gives the token raised, or returned what cannot be one; the cause is chained."""

    def __init__(self, message: str) -> None:
        super().__init__(message, sent=False)


class ResultsNotReadyError(ServiceError):
    """The results of an execution cannot be read yet: they are published some time after it has ended.

    Check first: result ingestion or result path timing.

    Attributes:
        execution_id: The execution.
        answer: What the service answered, in short.
    """

    def __init__(self, execution_id: str, answer: str, *, request: str = "") -> None:
        self.execution_id = execution_id
        self.answer: str = shorten(answer)
        super().__init__(
            f"the results of execution {shorten(execution_id)} cannot be read yet ({self.answer})", request=request
        )


class PayloadError(ServiceError):
    """An answer that is not what it should be.

    Attributes:
        body: The beginning of what was received, made printable.
    """

    def __init__(self, message: str, *, body: str = "", request: str = "") -> None:
        self.body: str = shorten(body)
        super().__init__(f"{message}, got {self.body}" if self.body else message, request=request)


class BodyTooLargeError(PayloadError):
    """An answer larger, after decompression, than the client's cap."""


class ResponseError(ServiceError):
    """The service answered with an error.

    Attributes:
        http_status: The HTTP status.
        code: `error.code` of the envelope, or the HTTP status as text where there was none.
        message: `error.message` of the envelope, made printable; for people, never to branch on.
    """

    def __init__(self, http_status: int, code: str, message: str, *, request: str = "") -> None:
        self.http_status = http_status
        self.code: str = shorten(code)
        self.message: str = shorten(message, 500)
        named = "" if self.code == str(http_status) else f" {self.code}"
        super().__init__(f"HTTP {http_status}{named}: {self.message}", request=request)


class RedirectError(ResponseError):
    """The service answered with a redirect, which is never followed: the token belongs to one origin."""


class BadRequestError(ResponseError):
    """400: malformed or inconsistent request."""


class UnauthorizedError(ResponseError):
    """401: no or invalid credentials. Set a valid token."""


class ForbiddenError(ResponseError):
    """403: the identity is fine, a scope is missing."""


class NotFoundError(ResponseError):
    """404: absent, or the feature is switched off in this deployment."""


class ConflictError(ResponseError):
    """409 or 422: the request does not fit the state of what it is about."""


class TooManyRequestsError(ResponseError):
    """429: the account's request limit was reached.

    Attributes:
        reset_s: Seconds until the service says that requests are possible again, None where it does not.
    """

    def __init__(
        self, http_status: int, code: str, message: str, *, request: str = "", reset_s: float | None = None
    ) -> None:
        self.reset_s = reset_s
        super().__init__(http_status, code, message, request=request)


class InternalServiceError(ResponseError):
    """5xx: the service, or something in front of it, failed."""


class NotSupportedError(InternalServiceError):
    """501: this deployment does not support the request."""
