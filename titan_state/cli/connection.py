"""Connection: which service a command talks to, with which token, how fast, and where what happens is written down."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING, Any

import attrs

from titan_state.cli.output import remark
from titan_state.cli.places import journal_path, of_account, origin_at
from titan_state.errors import ConfigurationError, JournalInUseError, JournalUnavailableError, MonitorClosedError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from titan_state.journal.base import Journal
    from titan_state.monitor.local import LocalMonitor
    from titan_state.monitor.monitor import Monitor

ATTEMPTS = 3
PAUSE_S = 2.0
"""How often the monitor that leads is looked for, and how many seconds apart."""

DRAIN_S = 1.0
"""How long leaving waits for open deliveries: the commands have no callbacks worth more."""


@attrs.frozen(kw_only=True)
class Connection:
    """What the options say of the service.

    Attributes:
        url: Its origin.
        token: The bearer token; never printed.
        per_minute: The most requests to send in a minute, None for the library's default.
        account: Whose executions these are, None for the origin.
        journal: The address of the journal, None for the one in the usual place.
        has_journal: Whether there is to be one at all.
    """

    url: str
    token: str = attrs.field(repr=False)
    per_minute: int | None = None
    account: str | None = None
    journal: str | None = None
    has_journal: bool = False

    @classmethod
    def of(
        cls,
        url: str | None,
        token: str | None,
        per_minute: int | None = None,
        *,
        account: str | None = None,
        journal: str | None = None,
        no_journal: bool = True,
    ) -> Connection:
        """Return the connection that options and environment describe.

        Raises:
            ConfigurationError: The URL or the token is missing; the message says how to set it.
        """
        url = required(url)
        if not token:
            raise ConfigurationError("the token is missing: set TITAN_TOKEN (or give --token, which others can see)")
        return cls(
            url=url,
            token=token,
            per_minute=per_minute,
            account=account,
            journal=journal or None,
            has_journal=not no_journal,
        )

    def monitor(self, **options: Any) -> Monitor:
        """Return a monitor of the service, not yet entered."""
        from titan_state.core.budget import RequestBudget
        from titan_state.monitor.monitor import Monitor

        if self.per_minute is not None:
            options.setdefault("budget", RequestBudget(per_minute=self.per_minute))
        return Monitor(self.url, self.token, drain_s=DRAIN_S, account=self.account, **options)

    @asynccontextmanager
    async def controlling(self, *, alone_with_journal: bool = True) -> AsyncIterator[Monitor | LocalMonitor]:
        """Ask the monitor that runs and writes the journal, on this machine or wherever it is shared, or run one alone.

        What is done by the one that runs shares its budget, and its watchers see that it was ours.

        Args:
            alone_with_journal: Whether one that runs alone writes the journal.
        """
        async with AsyncExitStack() as stack:
            running = await self._running(stack) if self.has_journal else None
            if running is not None:
                yield running
            elif alone_with_journal:
                yield await stack.enter_async_context(self.monitoring())
            else:
                yield await stack.enter_async_context(self.monitor())

    async def _running(self, stack: AsyncExitStack) -> LocalMonitor | None:
        """Return the monitor that runs and writes the journal, None if there is none.

        Raises:
            MonitorClosedError: None leads a journal that is shared: whoever began to lead it for one command would keep
                others waiting, and may not know which account is meant.
        """
        from titan_state.journal.address import journal_of
        from titan_state.monitor.local import leading_monitor

        if self.journal is None:
            return await stack.enter_async_context(leading_monitor(self._journal()))
        journal = journal_of(of_account(self.journal, self.account), stands_by=False)
        if not journal.is_shared:
            return await stack.enter_async_context(leading_monitor(journal))
        stack.push_async_callback(journal.close)
        await journal.open()
        for attempt in range(ATTEMPTS):  # the lead may just be changing
            if attempt:
                await asyncio.sleep(PAUSE_S)
            found = await stack.enter_async_context(leading_monitor(journal))
            if found is not None:
                return found
        raise MonitorClosedError(
            f"no monitor that leads {journal.name} answers, and nothing was sent to the service: look at titan-state "
            "monitor, name the --account, or give --no-journal to act without it"
        )

    def _journal(self) -> Journal:
        from titan_state.journal.address import journal_of

        if self.journal is None:
            return journal_of(journal_path(self.url, self.account))
        return journal_of(of_account(self.journal, self.account or origin_at(self.url)), stands_by=False)

    def alone(self) -> Monitor:
        """Return a monitor of the service with its journal, not yet entered; it goes nowhere without that."""
        if not self.has_journal:
            return self.monitor()
        return self.monitor(journal=self._journal())

    @asynccontextmanager
    async def monitoring(self) -> AsyncIterator[Monitor]:
        """Run a monitor of the service, with its journal.

        If the usual one cannot be used just now, it goes on without, and says so; one that was named must be usable.
        """
        async with AsyncExitStack() as stack:
            try:
                monitor = await stack.enter_async_context(self.alone())
            except (JournalInUseError, JournalUnavailableError) as error:
                if self.journal is not None:
                    raise
                remark(f"nothing is written down this time: {error}")
                monitor = await stack.enter_async_context(self.monitor())
            yield monitor


def required(url: str | None) -> str:
    """Return the address of the service.

    Raises:
        ConfigurationError: It is missing; the message says how to set it.
    """
    if not url:
        raise ConfigurationError(
            "the address of the Task Service is missing: set TITAN_API_URL, or give --url "
            "(for example https://api.webscraping.titannet.io; titan-state emulate starts one to try)"
        )
    return url
