"""Service: tends all accounts side by side, answers probes, and comes to an end in bounded time."""

from __future__ import annotations

import asyncio
import logging
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Any, Final

from titan_state.clock import Clock, SystemClock, within
from titan_state.errors import ConfigurationError, shorten
from titan_state.journal.address import journal_of
from titan_state.service.probes import Probes
from titan_state.service.tending import Tending
from titan_state.service.turns import Alone

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from titan_state.monitor.handlers import Handlers
    from titan_state.service.accounts import Account
    from titan_state.service.presence import Presence
    from titan_state.service.turns import Turns
    from titan_state.telemetry import MetricsPage, OpenTelemetry

logger = logging.getLogger("titan_state.service")

GRACE_S: Final = 15.0
"""How long ending may take beside open deliveries: to write down what is left, and to let go of the lead."""


class Service:
    """Tends accounts until it is cancelled.

    ```python
    await Service([Account(url=url, token=token, name="shop")], "nats://host:4222").run()
    ```

    Attributes:
        tendings: What is done for each account.
        probes: What answers a supervisor, None if nothing does.
    """

    def __init__(
        self,
        accounts: Sequence[Account],
        journal: str | Path | Callable[[Account], str | Path],
        *,
        listen: tuple[str, int] | None = None,
        handlers: Handlers | None = None,
        spreads: bool | None = None,
        member: str | None = None,
        clock: Clock | None = None,
        drain_s: float = 10.0,
        telemetry: OpenTelemetry | None = None,
        metrics: MetricsPage | None = None,
    ) -> None:
        """Make a service that does not run yet.

        Args:
            accounts: The accounts.
            journal: The address of the journal, or what returns that of an account.
            listen: The address and the port of probes, None for none.
            handlers: Callbacks that are called in this process for the accounts that it leads.
            spreads: Whether accounts are spread over all members that are there; None for where there are several
                accounts, and a journal that members share.
            member: The name of this member, by default the machine and the process.
            clock: The time, the machine's own by default.
            drain_s: How many seconds open deliveries have when it ends.
            telemetry: What measures all accounts, None for nothing.
            metrics: Makes the page that Prometheus reads, beside the probes; None for none.

        Raises:
            ConfigurationError: Accounts cannot be told apart, or cannot have the journal that is meant for them.
        """
        self._clock = clock or SystemClock()
        self._drain_s = drain_s
        addresses = _addresses(accounts, journal)
        shared = _shared(addresses)
        self._presence: Presence | None = None
        if shared is not None and (len(accounts) > 1 if spreads is None else spreads):
            self._presence = self._seen_at(shared, member)
        turns: Turns = Alone() if self._presence is None else self._presence
        self.tendings = [
            Tending(
                account,
                address,
                handlers=handlers,
                turns=turns,
                clock=self._clock,
                drain_s=drain_s,
                telemetry=telemetry,
            )
            for account, address in zip(accounts, addresses, strict=True)
        ]
        self.probes = None if listen is None else Probes(self.status, listen, metrics=metrics)

    def _seen_at(self, address: str, member: str | None) -> Presence:
        from titan_state.service.presence import Presence  # NATS is loaded where it is needed

        return Presence(address, self._clock, able=self._able, member=member)

    def _able(self) -> list[str]:
        return [one.account.label for one in self.tendings if one.is_able]

    def status(self) -> dict[str, Any]:
        """Return how each account fares, as JSON types."""
        reports = [one.report() for one in self.tendings]
        return {
            "is_ready": all(one.is_ready for one in reports),
            "reasons": [
                {"account": one.account, "reason": reason}
                for one in reports
                if not one.is_ready
                for reason in one.reasons
            ],
            "member": None if self._presence is None else self._presence.member,
            "accounts": [one.to_dict() for one in reports],
        }

    async def run(self) -> None:
        """Tend the accounts until cancelled; then let go of each in order, open deliveries first.

        Raises:
            ConfigurationError: Probes cannot be answered where they should be.
            TitanStateError: No account can be tended without the help of a person; it is the first one's error.
        """
        async with AsyncExitStack() as stack:
            if self.probes is not None:
                await stack.enter_async_context(self.probes)
                logger.info("probes are answered at %s", self.probes.url)
            seeing = None if self._presence is None else asyncio.create_task(self._presence.run())
            tasks = [asyncio.create_task(one.run(), name="titan_state account") for one in self.tendings]
            try:
                await asyncio.wait(tasks)
                for task in tasks:
                    task.result()
            finally:
                await self._end(tasks, seeing)
        failures = [one.failure for one in self.tendings if one.failure is not None]
        if failures:
            raise failures[0]

    async def _end(self, tasks: Sequence[asyncio.Task[None]], seeing: asyncio.Task[None] | None) -> None:
        everything = [*tasks, *([] if seeing is None else [seeing])]
        if seeing is not None:
            seeing.cancel()
        if not all(task.done() for task in tasks):
            logger.info("ending: open deliveries have %g s", self._drain_s)
        for one in self.tendings:
            one.leave()
        try:
            await within(self._clock, self._drain_s + GRACE_S, asyncio.wait(everything))
        except TimeoutError:
            late = [one.account.label for one, task in zip(self.tendings, tasks, strict=True) if not task.done()]
            logger.error("did not come to an end in time: %s", shorten(", ".join(late)))  # noqa: TRY400 - the traceback would show this wait, nothing else
        finally:
            for task in everything:
                task.cancel()
            await asyncio.wait(everything, timeout=1.0)


def _addresses(accounts: Sequence[Account], journal: str | Path | Callable[[Account], str | Path]) -> list[str | Path]:
    """Return the journal of each account.

    Raises:
        ConfigurationError: Two accounts have one name, or one journal that belongs to one account.
    """
    if not accounts:
        raise ConfigurationError("there is no account to tend: name one at least")
    labels = [one.label for one in accounts]
    twice = next((label for label in labels if labels.count(label) > 1), None)
    if twice is not None:
        raise ConfigurationError(f"two accounts are called {shorten(twice)}: give each a name of its own")
    found = [one.journal or (journal(one) if callable(journal) else journal) for one in accounts]
    for number, address in enumerate(found):
        kept = journal_of(address)
        if kept.is_durable and not kept.is_shared and address in found[:number]:
            raise ConfigurationError(
                f"{shorten(kept.name)} belongs to one account: name a journal in each [[account]], or one in NATS as "
                "--journal nats://host:4222 for all"
            )
    return found


def _shared(addresses: Sequence[str | Path]) -> str | None:
    """Return the one journal that all accounts are in and members share, None if there is none."""
    first, *others = addresses
    is_one = isinstance(first, str) and all(one == first for one in others)
    return first if is_one and isinstance(first, str) and journal_of(first).is_shared else None
