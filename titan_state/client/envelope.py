"""Envelope: from the bytes of an answer to its data, or to the error that it is.

The rules are the documentation's: `{"success": true, "data": …}`, or `{"success": false, "error": …}` where the error
is an object or a string and `success` may be missing. Branches are on the HTTP status and the code, never on a text.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final, NoReturn

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
    TooManyRequestsError,
    UnauthorizedError,
)

if TYPE_CHECKING:
    from datetime import datetime

    from titan_state.client.transport import Answer

BY_STATUS: Final[dict[int, type[ResponseError]]] = {
    400: BadRequestError,
    401: UnauthorizedError,
    403: ForbiddenError,
    404: NotFoundError,
    409: ConflictError,
    422: ConflictError,
    501: NotSupportedError,
}

BY_CODE: Final[dict[str, type[ResponseError]]] = {
    "BAD_REQUEST": BadRequestError,
    "UNAUTHORIZED": UnauthorizedError,
    "FORBIDDEN": ForbiddenError,
    "NOT_FOUND": NotFoundError,
    "CONFLICT": ConflictError,
    "NOT_IMPLEMENTED": NotSupportedError,
    "INTERNAL_SERVER_ERROR": InternalServiceError,
}
"""For answers whose HTTP status does not tell: a 200 that says `success: false`."""

SHOWN: Final = 400


def unwrap(answer: Answer, name: str, now: datetime) -> Any:
    """Return the data of an answer.

    Args:
        answer: The answer.
        name: How its request is called in errors.
        now: The date, for an answer that has none.

    Raises:
        ResponseError: The answer is an error.
        PayloadError: It is a success, but nothing that can be read.
    """
    status = answer.status
    if 300 <= status < 400:
        raise RedirectError(status, str(status), "redirects are not followed; check the URL", request=name)
    success = 200 <= status < 300
    try:
        payload = decode(answer.body)
    except PayloadError as error:
        if success:
            raise PayloadError(f"the answer cannot be read: {error}", body=_shown(answer), request=name) from None
        _refuse(answer, name, str(status), f"no error envelope: {_shown(answer)}", now)
    if not isinstance(payload, dict):
        if success:
            return payload
        _refuse(answer, name, str(status), f"no error envelope: {_shown(answer)}", now)
    failure = payload.get("error")
    if not success or payload.get("success") is False or (failure and "data" not in payload and "id" not in payload):
        code, message = _error(failure, status)
        _refuse(answer, name, code, message, now)
    return payload.get("data", payload)


def decode(body: bytes) -> Any:
    """Decode JSON of any origin.

    Raises:
        PayloadError: It is no JSON, or holds what must not be: NaN, lone surrogates, too deep nesting, huge integers.
    """
    try:
        text = body.decode("utf-8-sig")
        payload = json.loads(text, parse_constant=_refuse_constant)
        if "\\ud" in text or "\\uD" in text:
            json.dumps(payload, ensure_ascii=False).encode()
    except RecursionError:
        raise PayloadError("it is nested too deeply") from None
    except ValueError as error:  # no JSON, no UTF-8, a lone surrogate, a huge integer
        raise PayloadError(f"it is no valid JSON ({type(error).__name__})") from None
    return payload


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
    status = answer.status
    if status == 429 or (status < 300 and code == "TOO_MANY_REQUESTS"):
        failure: ResponseError = TooManyRequestsError(status, code, message, request=name, reset_s=answer.reset_s(now))
    else:
        kind = BY_STATUS.get(status)
        if kind is None and status < 300:
            kind = BY_CODE.get(code)
        if kind is None:
            kind = InternalServiceError if status >= 500 else ResponseError
        failure = kind(status, code, message, request=name)
    failure.sent_at, failure.received_at = answer.sent_at, answer.received_at
    raise failure


def _shown(answer: Answer) -> str:
    return answer.body[:SHOWN].decode("utf-8", "replace") or "an empty body"
