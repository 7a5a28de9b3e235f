"""`titan-state monitor`: watch and write down for weeks, without a screen, under a supervisor.

How accounts are tended is in `titan_state.service`; here it is put together from what the options say.
"""

from __future__ import annotations

import logging
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final
from urllib.parse import unquote

import attrs

from titan_state.cli.connection import required
from titan_state.cli.exits import hint, of_error
from titan_state.cli.named import require_ids
from titan_state.cli.places import account_in, journal_path
from titan_state.errors import ConfigurationError, TitanStateError
from titan_state.journal.address import journal_of
from titan_state.service.accounts import Account, read_accounts
from titan_state.service.logs import LogFormat, logging_to
from titan_state.service.tokens import TokenFile, Veil

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from titan_state.telemetry import MetricsPage, OpenTelemetry

logger = logging.getLogger("titan_state.service")

SDK: Final = "opentelemetry.sdk"
"""What is loaded where OpenTelemetry was set up before this program began, by `opentelemetry-instrument`."""

OFF: Final = "off"
"""What `--listen` is told where no probes are wanted."""


@attrs.frozen(kw_only=True)
class Logging:
    """How the log is written.

    Attributes:
        form: `json` or `text`; None for text on a terminal, and JSON elsewhere.
        debug: Whether the whole log is written.
    """

    form: LogFormat | None = None
    debug: bool = False

    async def around(self, work: Callable[[Veil], Awaitable[int]]) -> int:
        """Do some work while the library's log is written; in JSON the error that ends it is a line of it."""
        form: LogFormat = self.form or ("text" if sys.stderr.isatty() else "json")
        veil = Veil()
        with logging_to(form, veil, level=logging.DEBUG if self.debug else logging.INFO):
            try:
                return await work(veil)
            except (TitanStateError, OSError) as error:
                if form == "text" or isinstance(error, BrokenPipeError):
                    raise  # it becomes a remark
                advice = hint(error)
                told = f"{error} ({advice})" if advice else str(error)
                logger.log(logging.ERROR, "ended: %s", told, exc_info=error if self.debug else None)
                return of_error(error)


@attrs.frozen(kw_only=True)
class Tended:
    """What `titan-state monitor` is to tend, and how.

    Attributes:
        ids: Executions to watch.
        tasks: Tasks to watch; everything is watched where neither is named.
        everything: Whether it was said that everything is to be watched.
        accounts: A file that names several accounts.
        url: The origin of the service, where one account is tended.
        token: Its token.
        token_file: A file that holds its token.
        account: Its name.
        per_minute: The most requests in a minute, for each account that does not say so itself.
        journal: The address of the journal, None for the usual place of each account.
        listen: Where probes are answered, or `off`.
        metrics: Whether metrics are answered there, None for where that can be.
        drain_s: How many seconds ending may take at most for open deliveries.
        spreads: Whether accounts are spread over all members, None for as usual.
        member: The name of this member, None for the usual one.
    """

    ids: tuple[str, ...] = ()
    tasks: tuple[str, ...] = ()
    everything: bool = False
    accounts: Path | None = None
    url: str | None = None
    token: str | None = attrs.field(default=None, repr=False)
    token_file: Path | None = None
    account: str | None = None
    per_minute: int | None = None
    journal: str | None = attrs.field(default=None, repr=False)
    listen: str = OFF
    metrics: bool | None = None
    drain_s: float = 10.0
    spreads: bool | None = None
    member: str | None = None

    def found(self, veil: Veil) -> list[Account]:
        """Return the accounts.

        Raises:
            ConfigurationError: Something is missing, or cannot work; the message says what to do.
        """
        if self.everything and (self.ids or self.tasks):
            raise ConfigurationError("either everything is watched (--all), or what is named")
        if self.accounts is None:
            return [self._single(veil)]
        if self.ids or self.tasks:
            raise ConfigurationError("with --accounts nothing is named here: the file says which tasks are watched")
        given = [name for name, value in (("--account", self.account), ("--token-file", self.token_file)) if value]
        if given:
            variables = " and ".join("TITAN_" + name[2:].upper().replace("-", "_") for name in given)
            raise ConfigurationError(
                f"with --accounts the file names accounts and tokens: leave out {' and '.join(given)}, and unset "
                f"{variables} if that is set"
            )
        found = read_accounts(self.accounts, veil=veil)
        return [attrs.evolve(one, per_minute=one.per_minute or self.per_minute) for one in found]

    def _single(self, veil: Veil) -> Account:
        url = required(self.url)
        require_ids(self.ids, self.tasks)
        if self.token_file is not None:
            token: str | TokenFile = TokenFile(self.token_file, veil)
            TokenFile(self.token_file, veil).read()  # what is missing now would be missed when nobody looks
        elif self.token:
            token = self.token
            veil.add(self.token)
        else:
            raise ConfigurationError("the token is missing: set TITAN_TOKEN, or give --token-file")
        return Account(
            url=url,
            token=token,
            name=self.account or account_in(self.journal),  # so that logs call it what the journal does
            tasks=tuple(dict.fromkeys(self.tasks)),
            ids=tuple(dict.fromkeys(self.ids)),
            per_minute=self.per_minute,
        )

    def journal_for(self, account: Account) -> str | Path:
        """Return the journal of an account that names none of its own."""
        return self.journal or journal_path(account.url, account.name)

    def measured(self) -> Measured:
        """Return what measures, and what makes the page for Prometheus.

        Without that page, what OpenTelemetry is set up for in this process is served all the same, if it is set up.

        Raises:
            ConfigurationError: The page is wanted, and cannot be had; the message says what to do.
        """
        from titan_state.telemetry import is_installed

        if self.metrics and self.listen == OFF:
            raise ConfigurationError("metrics are answered where probes are: give --listen HOST:PORT, or --no-metrics")
        if self.metrics and not is_installed():
            raise ConfigurationError('--metrics needs OpenTelemetry: pip install "titan-state[otel]"')
        if self.metrics or (self.metrics is None and self.listen != OFF and is_installed()):
            from titan_state.telemetry import MetricsPage, OpenTelemetry

            page = MetricsPage(member=self.member)
            return Measured(OpenTelemetry(meter_provider=page.meter_provider), page)
        if sys.modules.get(SDK) is not None:
            from titan_state.telemetry import OpenTelemetry

            return Measured(OpenTelemetry())
        return Measured()


@attrs.frozen
class Measured:
    """What is measured, and who reads it.

    Attributes:
        telemetry: What measures, None for nothing.
        page: What makes the page for Prometheus, None for none.
    """

    telemetry: OpenTelemetry | None = None
    page: MetricsPage | None = None


async def monitor(wish: Tended, log: Logging) -> int:
    """Tend accounts until a signal ends it.

    Raises:
        ConfigurationError: Something is missing, or cannot work; the message says what to do.
    """
    return await log.around(lambda veil: _monitor(wish, veil))


async def _monitor(wish: Tended, veil: Veil) -> int:
    from titan_state.service.probes import place_of
    from titan_state.service.service import Service

    hide(veil, wish.journal)
    accounts = wish.found(veil)
    for account in accounts:
        where = account.journal or wish.journal_for(account)
        hide(veil, where)
        if not journal_of(where).is_durable:
            raise ConfigurationError(
                "a monitor without a screen needs a journal that others can read: sqlite:///path or nats://host:4222"
            )
    measured = wish.measured()
    service = Service(
        accounts,
        wish.journal_for,
        listen=None if wish.listen == OFF else place_of(wish.listen),
        spreads=wish.spreads,
        member=wish.member,
        drain_s=wish.drain_s,
        telemetry=measured.telemetry,
        metrics=measured.page,
    )
    await service.run()
    raise AssertionError("it ends by an error, or by being cancelled")


def hide(veil: Veil, address: str | Path | None) -> None:
    """Have the secrets of a journal's address, and those for it in the environment, shown nowhere."""
    for variable in ("NATS_PASSWORD", "NATS_TOKEN"):
        veil.add(os.environ.get(variable, ""))
    if not isinstance(address, str):
        return
    for part in address.partition("://")[2].partition("?")[0].split(","):
        user, colon, password = part.rpartition("@")[0].partition(":")
        secret = password if colon else user
        veil.add(secret)
        veil.add(unquote(secret))
