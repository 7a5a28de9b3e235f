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
        lost: What became of the body where it could not be read whole, in words; empty where it was.
    """

    status: int
    headers: Mapping[str, str] = attrs.field(repr=False)
    sent_at: float
    received_at: float
    issue: int
    body: bytes = attrs.field(default=b"", repr=False)
    lost: str = ""

    @property
    def is_success(self) -> bool:
        """Whether the HTTP status says that the request succeeded."""
        return 200 <= self.status < 300

    @property
    def served_at(self) -> datetime | None:
        """The service's date, None if it sent none that can be read."""
        return self._date("Date")

    def reset_s(self, now: datetime) -> float | None:
        """Return in how many seconds requests are possible again, as far as the service says so.

        Args:
            now: The date, for an answer that has none. `X-RateLimit-Reset`, and a `Retry-After` that is a date, are
                absolute, by the service's own clock.

        Returns:
            Seconds, of which nothing is certain: they may be below 0 or beyond all reason.
        """
        reset = self.number("X-RateLimit-Reset")
        reset_s = None if reset is None else reset - (self.served_at or now).timestamp()
        retry_after_s = self._retry_after_s(now)
        if retry_after_s is not None and (reset_s is None or reset_s <= 0):
            return retry_after_s
        return reset_s

    def number(self, header: str) -> int | None:
        """Return a header that is a number, None if it is not there or is none."""
        found = NUMBER.fullmatch(self.headers.get(header, ""))
        return int(found[1]) if found else None

    def _retry_after_s(self, now: datetime) -> float | None:
        seconds = self.number("Retry-After")
        if seconds is not None:
            return float(seconds)
        date = self._date("Retry-After")
        return None if date is None else (date - (self.served_at or now)).total_seconds()

    def _date(self, header: str) -> datetime | None:
        """Return a header that is a date, None if it is not there or is none."""
        try:
            date = parsedate_to_datetime(self.headers.get(header, ""))
            return date.replace(tzinfo=UTC) if date.tzinfo is None else date.astimezone(UTC)
        except (ValueError, TypeError, OverflowError, IndexError):
            return None
