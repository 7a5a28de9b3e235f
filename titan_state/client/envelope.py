"""Envelope: from the bytes of an answer to its data, or to the error that it is.

The rules are the documentation's: `{"success": true, "data": …}`, or `{"success": false, "error": …}` where the error
is an object or a string and `success` may be missing. Branches are on the HTTP status and the code, never on a text.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final, NoReturn

from titan_state.client.address import origin_shown
from titan_state.errors import (
    BadRequestError,
    ConflictError,
    ForbiddenError,
    InternalServiceError,
    NotFoundError,
    NotSupportedError,
    PayloadError,
    RedirectError,
    ResponseError,
    ServiceError,
    TooManyRequestsError,
    UnauthorizedError,
)

if TYPE_CHECKING:
    from datetime import datetime

    from titan_state.client.answer import Answer
    from titan_state.client.credential import Credential

BY_STATUS: Final[dict[int, type[ResponseError]]] = {
    400: BadRequestError,
    401: UnauthorizedError,
    403: ForbiddenError,
    404: NotFoundError,
    409: ConflictError,
    422: ConflictError,
    429: TooManyRequestsError,
    501: NotSupportedError,
}

BY_CODE: Final[dict[str, type[ResponseError]]] = {
    "BAD_REQUEST": BadRequestError,
    "UNAUTHORIZED": UnauthorizedError,
    "FORBIDDEN": ForbiddenError,
    "NOT_FOUND": NotFoundError,
    "CONFLICT": ConflictError,
    "TOO_MANY_REQUESTS": TooManyRequestsError,
    "NOT_IMPLEMENTED": NotSupportedError,
    "INTERNAL_SERVER_ERROR": InternalServiceError,
}
"""For answers whose HTTP status does not tell: a 200 that says `success: false`, a 4xx that is not in the table."""

BEYOND_5XX: Final = frozenset({"NOT_IMPLEMENTED", "TOO_MANY_REQUESTS"})
"""Codes that are believed beside any 5xx: the request was not carried out. Beside others it may have been."""

SHOWN: Final = 400

A_PAGE: Final = "it is no valid JSON but a web page, so the URL may not be that of the Task Service"


def unwrap(answer: Answer, name: str, credential: Credential, now: datetime) -> Any:
    """Return the data of an answer.

    Args:
        answer: The answer.
        name: How its request is called in errors.
        credential: What must not be shown.
        now: The date, for an answer that has none.

    Returns:
        `data` where the answer has it, all of the answer where it has not, None for an empty body.

    Raises:
        ResponseError: The answer is an error.
        PayloadError: It is a success, but nothing that can be read.
    """
    try:
        return _unwrap(answer, name, credential, now)
    except ServiceError as error:
        error.sent_at, error.received_at = answer.sent_at, answer.received_at
        raise


def is_throttled(answer: Answer, credential: Credential, now: datetime) -> bool:
    """Return whether an answer says that there were too many requests, by its status or its code."""
    if answer.status == 429:
        return True
    if b"TOO_MANY_REQUESTS" not in answer.body:
        return False
    try:
        unwrap(answer, "", credential, now)
    except ServiceError as error:
        return isinstance(error, TooManyRequestsError)
    return False


def _unwrap(answer: Answer, name: str, credential: Credential, now: datetime) -> Any:
    status = answer.status
    if 300 <= status < 400:
        target = origin_shown(credential.redact(answer.headers.get("Location", "")))
        raise RedirectError(status, str(status), f"redirects are not followed, this one names {target}", request=name)
    if answer.is_success and not answer.body.strip():
        return None
    try:
        payload = decode(answer.body, credential)
    except PayloadError as error:
        if answer.is_success:
            what = A_PAGE if answer.body.lstrip()[:1] == b"<" else str(error)
            text = f"the answer cannot be read: {what}"
            raise PayloadError(text, body=_shown(answer), request=name) from None
        payload = None
    if not isinstance(payload, dict):
        if answer.is_success:
            return payload
        _refuse(answer, name, str(status), f"no error envelope: {_shown(answer)}", now)
    failure = payload.get("error")
    is_failure = payload.get("success") is False or (failure and "data" not in payload and "id" not in payload)
    if not answer.is_success or is_failure:
        code, message = _error(failure, status)
        _refuse(answer, name, code, message, now)
    return payload.get("data", payload)


def decode(body: bytes, credential: Credential) -> Any:
    """Decode JSON of any origin.

    Args:
        body: The bytes, without the token as it is.
        credential: What is replaced also where it was spelled with escapes.

    Raises:
        PayloadError: It is no JSON, or holds what must not be: NaN, lone surrogates, too deep nesting, huge integers.
    """
    try:
        text = body.decode("utf-8-sig")
        payload = json.loads(text, parse_constant=_refuse_constant)
        if "\\ud" in text or "\\uD" in text:
            json.dumps(payload, ensure_ascii=False).encode()
        if "\\u00" in text or "\\/" in text:
            plain = json.dumps(payload, ensure_ascii=False)
            if credential.is_in(plain):
                payload = json.loads(credential.redact(plain))
    except RecursionError:
        raise PayloadError("it is nested too deeply") from None
    except ValueError as error:  # no JSON, no UTF-8, a lone surrogate, a huge integer
        raise PayloadError(f"it is no valid JSON ({type(error).__name__})") from None
    return payload


def kind_of(status: int, code: str) -> type[ResponseError]:
    """Return which error a status and a code are; the status comes first."""
    kind = BY_STATUS.get(status)
    if kind is not None:
        return kind
    if status >= 500:
        return BY_CODE[code] if code in BEYOND_5XX else InternalServiceError
    return BY_CODE.get(code, ResponseError)


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON")


def _error(error: object, status: int) -> tuple[str, str]:
    if isinstance(error, dict):
        code, message = error.get("code"), error.get("message")
        return (
            code if isinstance(code, str) and code else str(status),
            message if isinstance(message, str) else "no message",
        )
    return str(status), error if isinstance(error, str) else "no message"


def _refuse(answer: Answer, name: str, code: str, message: str, now: datetime) -> NoReturn:
    """Raise the error that an answer is."""
    kind = kind_of(answer.status, code)
    if issubclass(kind, TooManyRequestsError):
        raise kind(answer.status, code, message, request=name, reset_s=answer.reset_s(now))
    raise kind(answer.status, code, message, request=name)


def _shown(answer: Answer) -> str:
    if answer.lost:
        return answer.lost
    if b"\0" in answer.body[:SHOWN]:  # no UTF-8, so that the token could not be looked for
        return f"{len(answer.body)} bytes that are no text"
    return answer.body[:SHOWN].decode("utf-8", "replace") or "an empty body"
