"""Commands: a handler that runs a program for each event, with the event as JSON on its standard input.

There is no shell in between. The program's exit code says what became of the event; what it writes to standard error
goes into our log, a bounded part of it, and what it writes to standard output goes where ours goes.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import shutil
import signal
import tempfile
from pathlib import PurePath
from typing import TYPE_CHECKING, Any, BinaryIO, Final

from titan_state.clock import Clock, SystemClock, within
from titan_state.core.redaction import redacted
from titan_state.errors import ConfigurationError, TemporaryError, TitanStateError, shorten

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence

    from titan_state.core.events import Event

logger = logging.getLogger("titan_state.service.command")

TEMPORARY: Final = 75
"""The exit code that asks for another attempt (`EX_TEMPFAIL` of sysexits.h)."""

AT_ONCE: Final = 4
"""How many programs run at the same time, by default."""

MOST_LINES: Final = 50
LONGEST_LINE: Final = 1000
MOST_BYTES: Final = 64 * 1024
"""How much of what one run writes to standard error is logged; the rest is read, and dropped."""

LINGER_S: Final = 0.5
"""How long standard error is still read once the program has ended: something that it started may hold it open."""

KILL_S: Final = 0.5
"""How long a program that was told to end (SIGTERM) has before it is killed; shorter than callbacks have to end."""

SECRETS: Final = frozenset(
    {"TITAN_TOKEN", "TITAN_TOKEN_FILE", "NATS_PASSWORD", "NATS_TOKEN", "NATS_CREDS", "NATS_NKEY"}
)
"""What the program does not find in its environment."""


class CommandError(TitanStateError):
    """A program did not handle an event.

    Attributes:
        program: Its name.
        detail: What became of it.
    """

    def __init__(self, program: str, detail: str) -> None:
        self.program = program
        self.detail = detail
        super().__init__(f"{shorten(program)} {shorten(detail, 500)}")


def command_handler(
    argv: Sequence[str],
    *,
    timeout: float | None = None,
    at_once: int = AT_ONCE,
    environ: Mapping[str, str] | None = None,
    clock: Clock | None = None,
) -> Callable[[Event], Awaitable[None]]:
    """Return a callback that runs a program for each event.

    ```python
    handlers.on_failed(command_handler(["notify", "--page"], timeout=30), name="page")
    ```

    The program gets the event as JSON (`Event.to_dict`) on standard input, and `TITAN_EVENT_ID`, `TITAN_EVENT_TYPE` and
    `TITAN_EXECUTION_ID` in its environment, which is otherwise ours without the token. Exit code 0 says that the event
    is handled, 75 that it is to be tried again later; any other fails the delivery, which is tried again as well, as
    the handler's `retries` say. It runs in a process group of its own, which is killed when the time is up or the
    delivery is cancelled.

    Args:
        argv: The program and its arguments.
        timeout: Seconds that one run may take, None for as long as it takes; waiting for a place does not count.
        at_once: How many run at the same time.
        environ: The environment, by default ours.
        clock: The time, the machine's own by default.

    Raises:
        ConfigurationError: There is no such program, or a number cannot work.
    """
    if isinstance(argv, str) or not argv or not all(isinstance(one, str) for one in argv) or not argv[0]:
        raise ConfigurationError("a command is a list of texts: the program, then its arguments")
    if at_once < 1:
        raise ConfigurationError(f"at_once must be 1 or more, not {at_once!r}")
    if timeout is not None and not timeout > 0:
        raise ConfigurationError(f"timeout must be a number of seconds above 0, not {timeout!r}")
    kept = _without_secrets(os.environ if environ is None else environ)
    program = shutil.which(argv[0], path=kept.get("PATH"))
    if program is None:
        raise ConfigurationError(
            f"there is no program {shorten(repr(argv[0]))} that can be run: install it, or name its path"
        )
    places = asyncio.Semaphore(at_once)
    time = clock or SystemClock()

    async def run_command(event: Event) -> None:
        async with places:
            await _Run(program, argv, event, kept, time).until_ended(timeout)

    return run_command


def _without_secrets(environ: Mapping[str, str]) -> dict[str, str]:
    kept = {name: value for name, value in environ.items() if name not in SECRETS}
    if "@" in kept.get("TITAN_JOURNAL", ""):  # it holds a password, or a token
        del kept["TITAN_JOURNAL"]
    return kept


class _Run:
    """One run of a program."""

    def __init__(
        self, program: str, argv: Sequence[str], event: Event, environ: Mapping[str, str], clock: Clock
    ) -> None:
        self._program = program
        self._shown = PurePath(argv[0]).name
        self._argv = argv
        self._event = event
        self._environ = {
            **environ,
            "TITAN_EVENT_ID": _plain(event.id),
            "TITAN_EVENT_TYPE": event.type,
            "TITAN_EXECUTION_ID": _plain(event.execution_id),
        }
        self._clock = clock

    async def until_ended(self, timeout_s: float | None) -> None:
        """Run it to its end, and raise if the event is not handled.

        When the time is up, or this is cancelled, the program is ended with its whole group.
        """
        with contextlib.ExitStack() as stack:
            given = stack.enter_context(_file_of(json.dumps(self._event.to_dict(), default=_jsonable).encode()))
            read, write = os.pipe()
            told = stack.enter_context(os.fdopen(read, "rb", buffering=0))
            try:
                process = await asyncio.create_subprocess_exec(
                    *self._argv,
                    executable=self._program,
                    stdin=given,
                    stderr=write,
                    env=self._environ,
                    start_new_session=True,
                )
            except (OSError, ValueError) as error:
                why = error.strerror if isinstance(error, OSError) else None
                raise CommandError(self._shown, f"could not be started: {why or error}") from error
            finally:
                os.close(write)
            log = _Log(self._argv[0], self._event.id)
            reading = asyncio.ensure_future(_read(told, log))
            try:
                code = await self._ended(process, timeout_s)
                await self._rest(reading)
            finally:
                reading.cancel()
                await asyncio.gather(reading, return_exceptions=True)
                log.end()
        self._judge(code, log.last)

    async def _ended(self, process: asyncio.subprocess.Process, timeout_s: float | None) -> int:
        """Return the code with which the program ends."""
        try:
            return await within(self._clock, timeout_s, process.wait())
        except TimeoutError:
            await self._kill(process)
            raise CommandError(self._shown, f"was killed: it had not ended after {timeout_s:g} s") from None
        except BaseException:
            await self._kill(process)
            raise

    async def _rest(self, reading: asyncio.Future[None]) -> None:
        """Read what is left of standard error; what holds it open any longer was started by the program, and may."""
        with contextlib.suppress(TimeoutError):
            await within(self._clock, LINGER_S, asyncio.shield(reading))

    async def _kill(self, process: asyncio.subprocess.Process) -> None:
        """End the program and everything in its group: first gently."""
        try:
            _signal(process.pid, signal.SIGTERM)
            await self._gone(process)
        finally:
            _signal(process.pid, signal.SIGKILL)
        await self._gone(process)

    async def _gone(self, process: asyncio.subprocess.Process) -> None:
        with contextlib.suppress(TimeoutError):
            await within(self._clock, KILL_S, process.wait())

    def _judge(self, code: int, last: str) -> None:
        if code == 0:
            return
        said = f": {last}" if last else ""
        if code == TEMPORARY:
            raise TemporaryError(f"{shorten(self._shown)} asks for another attempt{said}")
        told = f"was ended by signal {-code}" if code < 0 else f"ended with code {code}"
        raise CommandError(self._shown, f"{told}{said}")


def _signal(group: int, number: signal.Signals) -> None:
    # The leader may have ended: its number is not given to another group as long as one of it is left.
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(group, number)


class _Log:
    """Logs the lines of one run, as many as are bearable.

    Attributes:
        last: The last line that was logged.
    """

    def __init__(self, program: str, event_id: str) -> None:
        self.last = ""
        self._program = shorten(program)
        self._event_id = shorten(event_id)
        self._lines = 0
        self._bytes = 0
        self._dropped = 0
        self._begun = b""

    def take(self, data: bytes) -> None:
        """Take in what was written."""
        room = MOST_BYTES - self._bytes
        self._bytes += len(data)
        self._dropped += max(0, len(data) - max(0, room))
        *lines, self._begun = (self._begun + data[: max(0, room)]).split(b"\n")
        for line in lines:
            self._tell(line)

    def _tell(self, line: bytes) -> None:
        text = shorten(redacted(line.decode("utf-8", "replace").rstrip()), LONGEST_LINE)
        if not text:
            return
        if self._lines >= MOST_LINES:
            self._dropped += len(line)
            return
        self._lines += 1
        self.last = text
        logger.info("%s for event %s: %s", self._program, self._event_id, text)

    def end(self) -> None:
        """Log what is left, and how much was not."""
        self._tell(self._begun)
        self._begun = b""
        if self._dropped:
            logger.info(
                "%s for event %s wrote %d further bytes, which are left out",
                self._program,
                self._event_id,
                self._dropped,
            )


async def _read(pipe: BinaryIO, log: _Log) -> None:
    """Read a pipe to its end."""
    loop = asyncio.get_running_loop()
    os.set_blocking(pipe.fileno(), False)
    ready = asyncio.Event()
    loop.add_reader(pipe.fileno(), ready.set)
    try:
        while True:
            await ready.wait()
            ready.clear()
            try:
                data = os.read(pipe.fileno(), MOST_BYTES)
            except BlockingIOError:
                continue
            if not data:
                return
            log.take(data)
    finally:
        loop.remove_reader(pipe.fileno())


@contextlib.contextmanager
def _file_of(data: bytes) -> Iterator[BinaryIO]:
    """Hand out a file that holds data, at its beginning: unlike a pipe it cannot be too small, or broken."""
    memory = getattr(os, "memfd_create", None)  # Linux has it: no disk is needed
    with tempfile.TemporaryFile() if memory is None else os.fdopen(memory("event"), "w+b") as file:
        file.write(data)
        file.flush()
        file.seek(0)
        yield file


def _plain(text: str) -> str:
    """Return a text as an environment can hold it."""
    return text.replace("\0", "\\0").encode("utf-8", "backslashreplace").decode()


def _jsonable(value: Any) -> Any:
    return dict(value) if hasattr(value, "keys") else str(value)
