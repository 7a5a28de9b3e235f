"""Connection: which service a command talks to, with which token, and how fast."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import attrs

from titan_state.errors import ConfigurationError

if TYPE_CHECKING:
    from titan_state.monitor.monitor import Monitor

DRAIN_S = 1.0
"""How long leaving waits for open deliveries: the commands have no callbacks worth more."""


@attrs.frozen(kw_only=True)
class Connection:
    """What the options say of the service.

    Attributes:
        url: Its origin.
        token: The bearer token; never printed.
        per_minute: The most requests to send in a minute, None for the library's default.
    """

    url: str
    token: str = attrs.field(repr=False)
    per_minute: int | None = None

    @classmethod
    def of(cls, url: str | None, token: str | None, per_minute: int | None = None) -> Connection:
        """Return the connection that options and environment describe.

        Raises:
            ConfigurationError: The URL or the token is missing; the message says how to set it.
        """
        if not url:
            raise ConfigurationError(
                "the address of the Task Service is missing: set TITAN_API_URL, or give --url "
                "(for example https://api.webscraping.titannet.io; titan-state emulate starts one to try)"
            )
        if not token:
            raise ConfigurationError("the token is missing: set TITAN_TOKEN (or give --token, which others can see)")
        return cls(url=url, token=token, per_minute=per_minute)

    def monitor(self, **options: Any) -> Monitor:
        """Return a monitor of the service, not yet entered."""
        from titan_state.core.budget import RequestBudget
        from titan_state.monitor.monitor import Monitor

        if self.per_minute is not None:
            options.setdefault("budget", RequestBudget(per_minute=self.per_minute))
        return Monitor(self.url, self.token, drain_s=DRAIN_S, **options)
