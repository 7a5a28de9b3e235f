"""Recognition: tells a file from what some services and proxies send in its place with a success: refusals and pages.

It looks at the beginning of a body. Whether the rest came is `completeness.py`'s business.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

import attrs

from titan_state.client.envelope import decode, unwrap
from titan_state.client.loading.completeness import BOM, SPACE
from titan_state.errors import PayloadError

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from titan_state.client.answer import Answer
    from titan_state.client.incoming import Incoming
    from titan_state.errors import ResultsNotReadyError

HEAD: Final = 64 * 1024
"""How many bytes of a body are looked at; an envelope that refuses is shorter."""

NO_CONTENT: Final = 204

JSON_BEGINS: Final = frozenset(b'[{"-0123456789tfn')

REFUSES: Final = re.compile(rb'\{\s*"success"\s*:\s*false')

OF_ERRORS: Final = frozenset(
    {"error", "message", "code", "status", "statusCode", "status_code", "request_id", "requestId", "timestamp", "path"}
)
"""An object with an `error` and nothing but these is no row of an export."""


@attrs.frozen(kw_only=True)
class Recognition:
    """What a file should be.

    Attributes:
        name: How requests for it are called in errors.
        form: `json`, `csv`, or nothing in particular.
        is_page: Whether it may be a page of HTML.
        not_ready: Makes the error that says that results cannot be read yet; None for a file that is no result.
        is_pending: Tells from the data of an envelope whether it says so.
    """

    name: str
    form: str
    is_page: bool
    not_ready: Callable[[str], ResultsNotReadyError] | None
    is_pending: Callable[[Any], str | None]

    def check(self, incoming: Incoming, head: bytes, *, is_all: bool, now: datetime) -> None:
        """Refuse what is no file.

        Args:
            incoming: The answer.
            head: The beginning of its body.
            is_all: Whether that is all of it.
            now: The date, for an answer that has none.

        Raises:
            ResultsNotReadyError: It says that the results cannot be read yet.
            ResponseError: It is a refusal.
            PayloadError: It is something else.
        """
        headers = incoming.answer.headers
        kind, body = headers.get("Content-Type", "").lower(), head.lstrip(BOM + SPACE)
        if (kind.startswith("text/html") and not self.is_page) or (self.form and body[:1] == b"<"):
            raise PayloadError("a page came instead of the file", request=self.name)
        if self.form == "json" and body and body[0] not in JSON_BEGINS:
            raise PayloadError("what came is no JSON", request=self.name)
        if body[:1] == b"{" and (self.form or "json" in kind or not kind):
            if is_all:
                self._check_envelope(incoming, body, now)
            elif REFUSES.match(body):
                raise PayloadError("an error of the service came instead of the file", request=self.name)
        is_empty = not body and (incoming.answer.status == NO_CONTENT or "application/json" in kind)
        if is_empty and self.not_ready is not None and not is_attachment(incoming.answer):
            raise self.not_ready("an empty answer")

    def _check_envelope(self, incoming: Incoming, body: bytes, now: datetime) -> None:
        if not (b'"success"' in body or b'"error"' in body):
            return
        shown = attrs.evolve(incoming.answer, body=incoming.credential.redact_body(body))
        try:
            payload = decode(shown.body, incoming.credential)
        except PayloadError:
            return  # lines of JSON, say
        is_error = "error" in payload and payload.keys() <= OF_ERRORS and not is_attachment(incoming.answer)
        if payload.get("success") is False or is_error:
            unwrap(shown, self.name, incoming.credential, now)
        if payload.get("success") is True and "data" in payload and self.not_ready is not None:
            story = self.is_pending(payload["data"])
            if story is not None:
                raise self.not_ready(story)


def is_attachment(answer: Answer) -> bool:
    """Return whether the service calls an answer a file, as it is documented to: it is handed on as it comes, then."""
    return answer.headers.get("Content-Disposition", "").lower().startswith("attachment")
