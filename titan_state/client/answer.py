"""Answer: one answer of the service, its headers read with care. What its body means is in `envelope.py`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Final

import attrs

NUMBER: Final = re.compile(r"\s*(\d{1,15})(?:\.\d*)?\s*(?:[,;].*)?", re.ASCII)
"""A header's number; some services write further limits behind it."""


@attrs.frozen
class Answer:
    """One answer.

    Attributes:
        status: The HTTP status.
        headers: Its headers.
        body: Its body, decompressed, with the token replaced wherever it was echoed.
        sent_at: When the request was sent, in seconds of the client's clock.
        received_at: When the answer was complete.
        issue: The number of the token's issue that was sent; see `Credential.renew`.
    """

    status: int
    headers: Mapping[str, str] = attrs.field(repr=False)
    sent_at: float
    received_at: float
    issue: int
    body: bytes = attrs.field(default=b"", repr=False)

    @property
    def is_success(self) -> bool:
        """Whether the HTTP status says that the request succeeded."""
        return 200 <= self.status < 300

    @property
    def served_at(self) -> datetime | None:
        """The service's date, None if it sent none that can be read."""
        text = self.headers.get("Date", "")
        try:
            date = parsedate_to_datetime(text)
            return date.replace(tzinfo=UTC) if date.tzinfo is None else date.astimezone(UTC)
        except (ValueError, TypeError, OverflowError, IndexError):
            return None

    def reset_s(self, now: datetime) -> float | None:
        """Return in how many seconds requests are possible again, as far as the service says so.

        Args:
            now: The date, for an answer that has none. `X-RateLimit-Reset` is absolute, by the service's own clock.
        """
        reset = self.number("X-RateLimit-Reset")
        reset_s = None if reset is None else reset - (self.served_at or now).timestamp()
        retry_after = self.number("Retry-After")
        if retry_after is not None and (reset_s is None or reset_s <= 0):
            return float(retry_after)
        return reset_s

    def number(self, header: str) -> int | None:
        """Return a header that is a number, None if it is not there or is none."""
        found = NUMBER.fullmatch(self.headers.get(header, ""))
        return int(found[1]) if found else None
