"""Running a command: from signals, errors and lost readers to the exit code, in this process."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import sys

import pytest

from titan_state.cli.output import RemarkHandler, emit, remark
from titan_state.cli.running import run
from titan_state.errors import ConfigurationError, ForbiddenError, UnauthorizedError

HOSTILE = "[red]x[/red]\x1b[2J\x07"


def exit_code(work, **options):
    with pytest.raises(SystemExit) as left:
        run(work, **options)
    assert type(left.value.code) is int
    return left.value.code


async def leave_by(number):
    os.kill(os.getpid(), number)
    await asyncio.sleep(30)


@pytest.fixture
def heeding():
    """Let this process heed SIGINT, also where it was started in the background."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def test_the_code_is_what_the_work_returns():
    """What a command returns is what the shell gets."""

    async def work():
        return 5

    assert exit_code(work) == 5


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_cancels_the_work_and_is_the_code(heeding, number, code):
    """The work can tidy up, and the code says which signal it was."""
    tidied = []

    async def work():
        try:
            await leave_by(number)
        finally:
            await asyncio.sleep(0)
            tidied.append(number)

    assert exit_code(work) == code
    assert tidied == [number]


def test_a_signal_that_is_ignored_stays_ignored():
    """A command that was started in the background with SIGINT ignored goes on."""
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)

    async def work():
        os.kill(os.getpid(), signal.SIGINT)
        await asyncio.sleep(0)
        return 0

    try:
        assert exit_code(work) == 0
    finally:
        signal.signal(signal.SIGINT, before)


def test_ctrl_c_before_the_loop_listens():
    """The first moment is no exception: 130 and no traceback."""

    def work():
        raise KeyboardInterrupt

    assert exit_code(work) == 130


def test_a_cancellation_of_the_works_own_is_a_bug_and_not_hidden():
    """Without a signal a cancelled work must not look like success."""

    async def work():
        raise asyncio.CancelledError

    with pytest.raises(asyncio.CancelledError):
        run(work)


@pytest.mark.parametrize(
    ("error", "code", "told"),
    [
        (ConfigurationError("the URL is missing"), 2, "the URL is missing"),
        (UnauthorizedError(401, "UNAUTHORIZED", "no"), 1, "(check TITAN_TOKEN)"),
        (ForbiddenError(403, "FORBIDDEN", "no"), 1, "(the token lacks a scope)"),
        (OSError(98, "Address already in use"), 1, "Address already in use"),
        (OSError(HOSTILE), 1, "[red]x[/red]"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_errors_are_one_harmless_line(capsys, error, code, told):
    """Each error is a line on stderr with what to look at."""

    async def work():
        raise error

    assert exit_code(work) == code
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err.startswith("titan-state: error: ")
    assert told in shown.err
    assert shown.err.count("\n") == 1
    assert "\x1b" not in shown.err


def test_debug_shows_where_it_happened_harmlessly(capsys):
    """A traceback quotes messages, and messages quote the service."""

    async def work():
        logging.getLogger("titan_state.monitor").debug("a detail %s", HOSTILE)
        try:
            raise ValueError(HOSTILE)
        except ValueError:
            logging.getLogger("titan_state.monitor").exception("it went wrong")
        raise OSError(HOSTILE)

    assert exit_code(work, debug=True) == 1
    shown = capsys.readouterr().err
    assert shown.count("Traceback (most recent call last):") == 2
    assert "debug: a detail [red]x[/red]" in shown
    assert "ValueError: [red]x[/red]" in shown
    assert "\x1b" not in shown
    assert "\x07" not in shown


def test_without_debug_the_log_is_warnings_only(capsys):
    """A user sees what may matter, in one line each, and no tracebacks."""

    async def work():
        log = logging.getLogger("titan_state.client")
        log.info("a detail")
        try:
            raise ValueError("inner")
        except ValueError:
            log.warning("a read failed", exc_info=True)
        return 0

    assert exit_code(work) == 0
    assert capsys.readouterr().err == "titan-state: warning: a read failed\n"


def test_the_log_is_left_as_it_was():
    """A command that was run in a process leaves no handler behind."""

    async def work():
        assert any(isinstance(one, RemarkHandler) for one in logging.getLogger("titan_state").handlers)
        return 0

    exit_code(work)
    assert not any(isinstance(one, RemarkHandler) for one in logging.getLogger("titan_state").handlers)


def test_a_reader_that_has_gone_is_141(monkeypatch, tmp_path):
    """Nothing is said of a pipe that nobody reads, also when Python ends."""
    read, write = os.pipe()
    os.close(read)
    with os.fdopen(write, "w") as pipe:
        monkeypatch.setattr(sys, "stdout", pipe)

        async def work():
            emit("nobody reads this")
            return 0

        assert exit_code(work) == 141
        pipe.write("nor this")
        pipe.flush()


def test_an_output_that_is_no_file_may_break_too(monkeypatch):
    """Where stdout has no descriptor there is nothing to redirect."""

    class Broken:
        def write(self, text):
            raise BrokenPipeError

        def fileno(self):
            raise ValueError("no descriptor")

    monkeypatch.setattr(sys, "stdout", Broken())

    async def work():
        emit("nobody reads this")
        return 0

    assert exit_code(work) == 141


def test_lines_are_bounded(capsys):
    """An endless text does not fill the terminal."""
    emit("x" * 100_000)
    remark("y" * 100_000)
    shown = capsys.readouterr()
    assert len(shown.out) == 2001
    assert len(shown.err) < 2050
