"""Link: one connection to NATS. What goes wrong on it comes out as an error of the journal, within a bounded time.

nats-py connects again by itself. What it does not do is done here: no message is kept for later while the connection is
away, since it would be written after somebody was told that it was not, and no cancellation is swallowed.
"""

from __future__ import annotations

import asyncio
import json
import logging
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final, TypeVar

import nats.errors
from nats.aio.client import Client
from nats.js import JetStreamContext
from nats.js import errors as js_errors

from titan_state.errors import JournalError, JournalUnavailableError, shorten

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterator, Mapping

    from nats.aio.msg import Msg

    from titan_state.clock import Clock
    from titan_state.journal.nats.settings import Settings

T = TypeVar("T")

logger = logging.getLogger("titan_state.journal")

CONNECT_S: Final = 10.0
"""How long the first connection may take, with all servers that are named."""

ANSWER_S: Final = 5.0
"""How long an answer is waited for."""

CLOSE_S: Final = 3.0
"""How long closing waits for what is on its way out."""

AGAIN_S: Final = 0.5
"""How soon it is tried again to connect, to each server."""

PING_S: Final = 5
LOST_PINGS: Final = 2
"""A server that has not answered this many pings, one every so many seconds, is taken for gone."""

SECRETS: Final = frozenset({"user", "password", "token"})
"""The options of nats-py that are sent as they are."""

WRONG_SEQUENCE: Final = frozenset({10071, 10164})
"""The error codes of the server for "somebody was faster"."""


NO_MESSAGE: Final = frozenset({10037, 10043, 10057})
"""Error codes of the server for a message that is not there, or not any more."""

LASTING: Final = frozenset({10074})
"""Error codes of the server for what does not pass by itself, though it says so: replicas without a cluster."""


FULL: Final = frozenset({10002, 10047, 10077})
"""Error codes of the server for no room: of the account's limits, of the server's storage, of the stream's bytes."""


class FullError(JournalUnavailableError):
    """There is no room for it. Nothing was written."""


class WrongSequenceError(JournalError):
    """Another program has written to a subject first."""


class Link:
    """One connection to NATS, or to a cluster of it.

    Attributes:
        name: What it leads to, for messages: without credentials.
        clock: The time.
        nc: The connection, once it was opened.
        js: What JetStream is asked with.
    """

    def __init__(self, settings: Settings, clock: Clock) -> None:
        self._settings = settings
        self.name: str = settings.name
        self.clock = clock
        self.nc: Client = Client()
        self.js: JetStreamContext = self.nc.jetstream(timeout=ANSWER_S)
        self._failure: str | None = None
        self._refused = asyncio.Event()
        self._refusal = f"{settings.name} refuses the credentials: {settings.hint}"
        self._wants_tls = False
        self._has_warned = False
        self._denials = 0
        self._denied = ""
        self._is_open = False

    @property
    def is_up(self) -> bool:
        """Whether messages can be sent at present."""
        return self._is_open and self.nc.is_connected

    async def open(self) -> None:
        """Connect.

        Raises:
            ConfigurationError: A file with credentials cannot be read.
            JournalUnavailableError: No server can be reached.
            JournalError: A server refuses the credentials, or has no JetStream; the message says what to do.
        """
        options = self._settings.options()
        self._wants_tls = "tls" in options
        if self._wants_tls:
            options |= {name: self._guarded(options[name]) for name in SECRETS & options.keys()}
        work = self.nc.connect(
            servers=list(self._settings.servers),
            name="titan_state",
            error_cb=self._erred,
            closed_cb=self._closed,
            reconnected_cb=self._reconnected,
            max_reconnect_attempts=-1,
            reconnect_time_wait=AGAIN_S,  # type: ignore[arg-type] # a float is what it sleeps for
            ping_interval=PING_S,
            max_outstanding_pings=LOST_PINGS,
            pending_size=64 * 1024 * 1024,  # of a batch on its way out; nothing is sent while the connection is away
            **options,
        )
        task = asyncio.ensure_future(work)
        refused = asyncio.ensure_future(self._refused.wait())
        try:
            await asyncio.wait((task, refused), timeout=CONNECT_S, return_when=asyncio.FIRST_COMPLETED)
            self._connected(task)
        except BaseException:
            task.cancel()
            task.add_done_callback(taken)
            await self._end()
            raise
        finally:
            refused.cancel()
        self._is_open = True

    def _connected(self, task: asyncio.Future[None]) -> None:
        if self._refused.is_set():
            raise JournalError(self._refusal)
        if not task.done():
            raise JournalUnavailableError(f"NATS cannot be reached at {self.name}{self._why()}")
        with self.told("be connected to"):
            task.result()
        if not self._is_safe:
            raise JournalError(self._plain)

    def _guarded(self, secret: str) -> Callable[[], str]:
        """Return what hands out a secret, once the connection is one that nobody else can read."""

        def give() -> str:
            if not self._is_safe:
                raise nats.errors.SecureConnWantedError
            return secret

        return give

    @property
    def _is_safe(self) -> bool:
        info = self.nc._server_info  # noqa: SLF001 - nothing public tells whether the connection is encrypted
        return not self._wants_tls or bool(info.get("tls_required"))

    @property
    def _plain(self) -> str:
        return f"{self.name} does not want TLS, so nothing was sent: enable it there, or write nats:// without ca, cert"

    async def close(self) -> None:
        """Send what is on its way out, as far as that can be done soon, and disconnect."""
        if self._is_open and self.nc.is_connected:
            flush = asyncio.ensure_future(self.nc.flush(int(CLOSE_S)))
            flush.add_done_callback(taken)
            await asyncio.wait((flush,), timeout=CLOSE_S)
            flush.cancel()
        self._is_open, self._failure = False, f"the connection to {self.name} was closed"
        await self._end()

    async def _end(self) -> None:
        closing = asyncio.ensure_future(self.nc.close())
        closing.add_done_callback(taken)
        await asyncio.wait((closing,), timeout=CLOSE_S)
        closing.cancel()

    async def do(self, work: Coroutine[Any, Any, T], doing: str = "be asked") -> T:
        """Await something that asks NATS, with errors of the journal; a cancellation ends it at once.

        Args:
            work: What asks.
            doing: What NATS cannot do if that fails, for the message.
        """
        try:
            self.ensure_up()
        except JournalError:
            work.close()
            raise
        task = asyncio.ensure_future(work)
        denials = self._denials
        try:
            # nats-py waits with asyncio.wait_for, which may swallow a cancellation: this does not
            await asyncio.wait((task,))
        finally:
            task.cancel()
            task.add_done_callback(taken)
        try:
            with self.told(doing):
                return _result(task)
        except JournalUnavailableError as error:
            if self._denials > denials:  # no answer came, since the question was not allowed
                raise JournalError(f"{self.name} does not permit it: {self._denied}; {self._settings.hint}") from error
            raise

    async def ask(
        self,
        subject: str,
        payload: bytes = b"",
        headers: Mapping[str, str] | None = None,
        *,
        timeout_s: float = ANSWER_S,
        doing: str = "be asked",
    ) -> Msg:
        """Send a request, and return its answer."""
        shown = None if headers is None else dict(headers)
        return await self.do(self.nc.request(subject, payload, timeout=timeout_s, headers=shown), doing)

    async def api(
        self,
        what: str,
        asked: object = None,
        *,
        passes: frozenset[int] = frozenset(),
        timeout_s: float = ANSWER_S,
        doing: str = "be asked",
    ) -> dict[str, Any]:
        """Ask JetStream, and return its answer.

        Args:
            what: The end of the subject, after `$JS.API`.
            asked: The question, for JSON; None for none.
            passes: The codes of errors that are an answer, too.
            timeout_s: How long the answer is waited for.
            doing: What NATS cannot do if that fails, for the message.
        """
        payload = b"" if asked is None else json.dumps(asked).encode()
        answer: dict[str, Any] = json.loads(
            (await self.ask(f"$JS.API.{what}", payload, timeout_s=timeout_s, doing=doing)).data
        )
        error = answer.get("error")
        if error is not None and error.get("err_code") not in passes:
            with self.told(doing):
                js_errors.APIError.from_error(error)
        return answer

    async def put(
        self, subject: str, payload: bytes, *, expected: int | None = None, replaces: bool = True, doing: str = "write"
    ) -> int:
        """Write one message, and return its sequence.

        Args:
            subject: Its subject.
            payload: What it says.
            expected: The sequence of the last message of that subject, 0 for none; None for whatever it is.
            replaces: Whether it takes the place of all earlier ones of its subject.
            doing: What NATS cannot do if that fails, for the message.

        Raises:
            WrongSequenceError: The last message is another one.
            JournalUnavailableError: It is not known to be written.
        """
        headers: dict[str, Any] = {}
        if replaces:
            headers["Nats-Rollup"] = "sub"
        if expected is not None:
            headers["Nats-Expected-Last-Subject-Sequence"] = str(expected)
        return (await self.do(self.js.publish(subject, payload, headers=headers), doing)).seq

    def ensure_up(self) -> None:
        """Return if messages can be sent.

        Raises:
            JournalUnavailableError: The connection is away; it comes back by itself.
            JournalError: It is closed for good.
        """
        if self.is_up:
            return
        if self._failure is not None:
            raise JournalError(self._failure)
        raise JournalUnavailableError(f"the connection to {self.name} is away{self._why()}")

    @contextmanager
    def told(self, doing: str = "be asked") -> Iterator[None]:
        """Let errors of NATS come out as those of the journal."""
        try:
            yield
        except (js_errors.KeyWrongLastSequenceError, js_errors.KeyNotFoundError) as error:
            # The code of the one is lost on the way; the other is a key that expired while it was to be made anew.
            raise WrongSequenceError("somebody else has written") from error
        except js_errors.APIError as error:
            if error.err_code in WRONG_SEQUENCE:
                raise WrongSequenceError(f"somebody else has written: {error.description}") from error
            if error.err_code in FULL:
                raise FullError(f"{self.name} has no room left: {error.description}") from error
            if error.code in (None, 408, 500, 503) and error.err_code not in LASTING:
                raise self._away(doing, error) from error
            raise JournalError(f"{self.name} refuses to {doing}: {shorten(str(error.description))}") from error
        except nats.errors.AuthorizationError as error:
            raise JournalError(f"{self.name} refuses the credentials: {self._settings.hint}") from error
        except nats.errors.MaxPayloadError as error:
            raise JournalError(f"a message is longer than {self.name} takes: raise its max_payload") from error
        except (nats.errors.Error, OSError, TimeoutError) as error:
            if isinstance(error, nats.errors.Error) and "Authorization" in str(error):
                raise JournalError(f"{self.name} refuses the credentials: {self._settings.hint}") from error
            raise self._away(doing, error) from error

    def _away(self, doing: str, error: BaseException) -> JournalUnavailableError:
        text = shorten(str(error)) or type(error).__name__
        return JournalUnavailableError(f"{self.name} could not {doing}: {text}")

    def _why(self) -> str:
        error = self.nc.last_error
        return "" if error is None else f": {shorten(str(error)) or type(error).__name__}"

    async def _erred(self, error: Exception) -> None:
        text = str(error).lower()
        if isinstance(error, nats.errors.SecureConnWantedError):
            self._refusal = self._plain
            self._refused.set()
        elif isinstance(error, nats.errors.AuthorizationError) or "authorization violation" in text:
            self._refused.set()
        elif "permissions violation" in text:
            self._denials, self._denied = self._denials + 1, shorten(str(error))
        level = logging.DEBUG
        if not self._is_open and not self._has_warned and not self._refused.is_set() and self._failure is None:
            level, self._has_warned = logging.WARNING, True  # else a first connection is waited for in silence
        logger.log(level, "the connection to %s: %s", self.name, shorten(str(error)) or type(error).__name__)

    async def _reconnected(self) -> None:
        if not self._is_safe:
            self._failure = self._plain
            logger.error("%s", self._failure)
            closing = asyncio.ensure_future(self.nc.close())
            closing.add_done_callback(taken)

    async def _closed(self) -> None:
        """Take in that nats-py has given the connection up, as it does when credentials are refused."""
        if self._is_open and self._failure is None:
            self._failure = f"the connection to {self.name} was closed for good{self._why()}: {self._settings.hint}"
            logger.error("%s", self._failure)


def _result(task: asyncio.Future[T]) -> T:
    if task.cancelled():  # by nats-py: nobody else has it
        raise nats.errors.ConnectionClosedError
    return task.result()


def taken(task: asyncio.Future[Any]) -> None:
    """Take an outcome that nobody waits for any more."""
    if not task.cancelled():
        task.exception()
