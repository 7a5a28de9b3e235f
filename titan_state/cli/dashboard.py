"""`titan-state dashboard`: serve the page, of a monitor of its own or of a journal that another monitor writes."""

from __future__ import annotations

import asyncio
import errno
import webbrowser
from contextlib import AsyncExitStack
from importlib.util import find_spec
from typing import TYPE_CHECKING, Final

import attrs

from titan_state.cli.connection import Connection
from titan_state.cli.journal import opened, place
from titan_state.cli.named import require_ids, require_task
from titan_state.cli.output import emit, remark
from titan_state.cli.places import origin_at, session_token
from titan_state.errors import ConfigurationError, JournalInUseError
from titan_state.journal.address import journal_of

if TYPE_CHECKING:
    from pathlib import Path

    from titan_state.dashboard.server import Dashboard
    from titan_state.dashboard.sources import Source
    from titan_state.monitor.monitor import Monitor

PORT: Final = 8288
"""The port that is taken unless one is named, or it is in use."""


@attrs.frozen(kw_only=True)
class Wish:
    """What is wanted.

    Attributes:
        ids: Executions to watch.
        tasks: Tasks to watch; everything is watched where neither is named.
        follows: Whether to show what another monitor writes down, and watch nothing.
        host: The address to listen on.
        port: The port; None for the usual one, or any if that is in use.
        names: Further host names under which the page may be reached.
        opens: Whether to open the page in a browser.
        renews: Whether links that were printed before are good no longer.
    """

    ids: tuple[str, ...] = ()
    tasks: tuple[str, ...] = ()
    follows: bool = False
    host: str = "127.0.0.1"
    port: int | None = None
    names: tuple[str, ...] = ()
    opens: bool = False
    renews: bool = False


@attrs.frozen(kw_only=True)
class Place:
    """Which service and which journal are meant, as the options say it; see `Connection`."""

    url: str | None = None
    token: str | None = attrs.field(default=None, repr=False)
    per_minute: int | None = None
    account: str | None = None
    journal: str | None = None
    has_journal: bool = True

    @property
    def origin(self) -> str | None:
        """The origin of the service, None if no URL was given.

        Raises:
            ConfigurationError: The URL cannot work.
        """
        return origin_at(self.url) if self.url else None


async def dashboard(wish: Wish, where: Place) -> int:
    """Serve the page until the user leaves.

    Raises:
        ConfigurationError: Something is missing, or the port cannot be used; the message says what to do.
        NotFoundError: The service does not know one of the tasks.
    """
    if find_spec("aiohttp_sse") is None:
        raise ConfigurationError("the dashboard needs aiohttp-sse: pip install 'titan-state[dashboard]'")
    async with AsyncExitStack() as stack:
        source = await _source(stack, wish, where)
        page = await _listen(stack, wish, source)
        if not page.is_local:
            remark(
                f"warning: the page is served on {wish.host}, beyond this machine, and unencrypted: whoever sees the "
                "link can stop executions; elsewhere, put this machine's address in the place of the link's"
            )
        emit(f"dashboard: {page.url}")
        remark(f"it shows {_told(wish, source)}; Ctrl-C ends it")
        if wish.opens:
            await asyncio.to_thread(webbrowser.open, page.url)
        await page.wait()
    raise AssertionError("it ends by being cancelled")


async def _source(stack: AsyncExitStack, wish: Wish, where: Place) -> Source:
    from titan_state.dashboard.sources import JournalSource, MonitorSource

    require_ids(wish.ids, wish.tasks)
    if wish.follows:
        _require_followed(wish, where)
    elif not _lacks_service(wish, where):
        connection = Connection.of(
            where.url,
            where.token,
            where.per_minute,
            account=where.account,
            journal=where.journal,
            no_journal=not where.has_journal,
        )
        try:
            monitor = await stack.enter_async_context(connection.alone())
        except JournalInUseError:
            aside = ", not what is named here" if wish.ids or wish.tasks else ""
            remark(f"another monitor writes the journal already: what it watches is shown{aside}")
        else:
            await _watch(monitor, wish)
            return MonitorSource(monitor)
    origin = where.origin
    journal = await stack.enter_async_context(opened(place(where.journal, where.url, where.account)))
    return JournalSource(journal, account=where.account, origin=origin)


def _require_followed(wish: Wish, where: Place) -> None:
    """Raise if there is nothing to follow, or if something is named that following cannot heed."""
    if wish.ids or wish.tasks:
        raise ConfigurationError(
            "with --follow no execution or task can be named: what is watched is up to the monitor that writes the "
            "journal"
        )
    if not where.has_journal:
        raise ConfigurationError("there is nothing to follow without a journal: leave --no-journal out")
    if where.journal and not journal_of(where.journal).is_durable:
        raise ConfigurationError("a journal in memory cannot be followed: name one in a file, as sqlite:///path")


def _lacks_service(wish: Wish, where: Place) -> bool:
    """Return whether there is only a journal to show: what is named could not be watched then, and has to wait."""
    missing = [name for name, value in (("URL", where.url), ("token", where.token)) if not value]
    if not missing or wish.ids or wish.tasks or not where.has_journal or not where.journal:
        return False
    journal = journal_of(where.journal)
    path: Path | None = getattr(journal, "path", None)
    if not journal.is_shared and (path is None or not path.exists()):
        return False
    remark(
        f"no {' and '.join(missing)} {'are' if len(missing) > 1 else 'is'} set: the journal {journal.name} is followed"
    )
    return True


async def _watch(monitor: Monitor, wish: Wish) -> None:
    """Watch what is wanted."""
    for task in wish.tasks:
        await require_task(monitor, task)
        monitor.watch_task(task)
    monitor.watch(*wish.ids)
    if not (wish.ids or wish.tasks):
        monitor.watch_all()


async def _listen(stack: AsyncExitStack, wish: Wish, source: Source) -> Dashboard:
    from titan_state.dashboard.server import Dashboard

    token = session_token(renews=wish.renews)

    def listening(port: int) -> Dashboard:
        names = [_bare(name) for name in wish.names]
        return Dashboard(source, host=_bare(wish.host), port=port, names=names, token=token)

    try:
        return await stack.enter_async_context(listening(PORT if wish.port is None else wish.port))
    except ConfigurationError as error:
        if wish.port is not None or not _is_in_use(error):
            raise
    page = await stack.enter_async_context(listening(0))
    remark(f"port {PORT} is in use, so it is {page.port} this time; --port chooses one")
    return page


def _is_in_use(error: ConfigurationError) -> bool:
    return isinstance(error.__cause__, OSError) and error.__cause__.errno == errno.EADDRINUSE


def _bare(host: str) -> str:
    """Return a host without the brackets that an IPv6 address has in a URL."""
    return host[1:-1] if host.startswith("[") and host.endswith("]") else host


def _told(wish: Wish, source: Source) -> str:
    if source.mode == "journal":
        return f"what is written into {source.journal.name}"
    counts = ((len(wish.ids), "execution"), (len(wish.tasks), "task"))
    named = [f"{count} {word}{'s' * (count != 1)}" for count, word in counts if count]
    return f"{' and '.join(named) or 'all executions'} of {source.origin}"
