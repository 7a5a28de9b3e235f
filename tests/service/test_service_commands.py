"""Programs that are run for events: real ones, that succeed, fail, hang, fork, print much, or are not there."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import signal
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

import pytest
from waits import true

from titan_state import Execution, Handlers, SqliteJournal, TemporaryError, Transitioned
from titan_state.clock import SystemClock
from titan_state.errors import ConfigurationError
from titan_state.journal.base import Commit
from titan_state.monitor.delivery.dispatcher import Dispatcher
from titan_state.service.commands import CommandError, command_handler

AT = datetime(2026, 1, 1, tzinfo=UTC)


def event(name="e-1", seq=3, **more):
    execution = Execution.from_payload({"id": name, "status": "failed", "task_id": "t", **more})
    return Transitioned(
        execution_id=name, seq=seq, at=AT, before=AT, source="running", dest="failed", execution=execution
    )


def python(code):
    return [sys.executable, "-c", code]


async def run(code, one=None, **options):
    await command_handler(python(code), **options)(event() if one is None else one)


@pytest.fixture
def told(caplog):
    caplog.set_level(logging.INFO, "titan_state.service.command")
    return lambda: [record.getMessage() for record in caplog.records]


def is_alive(pid):
    """Return whether a process runs; one that has ended and is not reaped does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def open_files():
    return len(list(Path("/proc/self/fd").iterdir()))


async def test_it_gets_the_event(tmp_path, monkeypatch):
    """The event is JSON on standard input, its names are in the environment, and no secret is."""
    monkeypatch.setenv("TITAN_TOKEN", "secret-token")
    monkeypatch.setenv("NATS_PASSWORD", "secret-password")
    monkeypatch.setenv("TITAN_JOURNAL", "nats://me:secret-word@host:4222")
    monkeypatch.setenv("TITAN_API_URL", "https://api.example")
    out = tmp_path / "out"
    code = f"import json, os, sys; json.dump([json.load(sys.stdin), dict(os.environ)], open({str(out)!r}, 'w'))"
    await run(code, event(extra={"x": [1]}))
    given, environ = json.loads(out.read_text())
    assert given == json.loads(json.dumps(event(extra={"x": [1]}).to_dict()))
    assert (given["id"], given["dest"], given["check_first"] is not None) == ("e-1:3", "failed", True)
    assert (environ["TITAN_EVENT_ID"], environ["TITAN_EVENT_TYPE"]) == ("e-1:3", "transitioned")
    assert (environ["TITAN_EXECUTION_ID"], environ["TITAN_API_URL"]) == ("e-1", "https://api.example")
    assert "secret" not in json.dumps(environ)


async def test_a_journal_without_a_secret_stays_in_the_environment(tmp_path, monkeypatch):
    """A program may look into the journal itself, where its address holds no password."""
    monkeypatch.setenv("TITAN_JOURNAL", "sqlite:///x.db")
    out = tmp_path / "out"
    await run(f"import os; open({str(out)!r}, 'w').write(os.environ['TITAN_JOURNAL'])")
    assert out.read_text() == "sqlite:///x.db"


async def test_there_is_no_shell(tmp_path):
    """Arguments arrive as they are."""
    out = tmp_path / "out"
    arguments = ["$HOME; rm *", "a b", "'\"", ""]
    code = f"import json, sys; json.dump(sys.argv[1:], open({str(out)!r}, 'w'))"
    await command_handler([*python(code), *arguments])(event())
    assert json.loads(out.read_text()) == arguments


async def test_a_large_event_that_nobody_reads():
    """A program that leaves its input alone is no error, however long that is."""
    await run("pass", event(extra={"x": "y" * 3_000_000}))
    await run("import sys; assert len(sys.stdin.read()) > 3000000", event(extra={"x": "y" * 3_000_000}))


@pytest.mark.parametrize("name", ["with space:and.dots", "null\0byte", "ünïcode-🙂", "x" * 5000, "a\nb"])
async def test_any_id_can_be_told(tmp_path, name):
    """What an environment cannot hold is written otherwise there; the JSON has it as it is."""
    out = tmp_path / "out"
    code = f"import json, os, sys; open({str(out)!r}, 'w').write(json.load(sys.stdin)['execution_id'])"
    await run(code, event(name))
    assert out.read_bytes().decode() == name


@pytest.mark.parametrize("code", [1, 2, 65, 255])
async def test_another_exit_code_is_a_failure(code):
    """Whatever is neither 0 nor 75 fails the delivery, and the last line that was said is told."""
    with pytest.raises(CommandError, match=rf"ended with code {code}: second$"):
        await run(f"import sys; print('first\\nsecond', file=sys.stderr); sys.exit({code})")


async def test_75_asks_for_another_attempt():
    """EX_TEMPFAIL is a TemporaryError."""
    with pytest.raises(TemporaryError, match="asks for another attempt: later"):
        await run("import sys; print('later', file=sys.stderr); sys.exit(75)")


async def test_a_program_that_is_killed_by_somebody():
    """A signal from elsewhere is told as such."""
    with pytest.raises(CommandError, match="was ended by signal 9"):
        await run("import os, signal; os.kill(os.getpid(), signal.SIGKILL)")


async def test_what_it_says_is_logged_within_bounds(told):
    """Lines of standard error are logged, harmlessly; of very many only the first, and how much was left out."""
    say = "import sys; say = lambda text: print(text, file=sys.stderr)\n"
    await run(say + "say('red \\x1b[31m and https://x/?token=abcdef'); say('y' * 9999)")
    first, second = told()
    assert "for event e-1:3: red" in first
    assert "\x1b" not in first
    assert "abcdef" not in first
    assert len(second) < 1200


async def test_a_program_that_prints_much(told):
    """Endless output is read, and dropped: the program does not stand still, and memory and log stay small."""
    await run("import sys\nfor _ in range(300000): print('a line of some length, again and again', file=sys.stderr)")
    assert len(told()) == 51
    assert told()[-1].endswith("further bytes, which are left out")
    await run("import os; os.write(2, b'x' * 5000000)")  # no line break at all
    assert len(told()) == 53


async def test_a_program_that_hangs_is_killed_with_its_group(tmp_path):
    """When the time is up the program ends, one that heeds no SIGTERM too, and so does what it has started."""
    pids = tmp_path / "pids"
    code = (
        "import os, signal, subprocess, sys, time; signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        "child = subprocess.Popen(['sleep', '300'])\n"
        f"open({str(pids)!r}, 'w').write(f'{{os.getpid()}} {{child.pid}}')\ntime.sleep(300)"
    )
    begun = time.monotonic()
    with pytest.raises(CommandError, match="was killed: it had not ended after 1 s"):
        await run(code, timeout=1.0)
    assert time.monotonic() - begun < 5
    numbers = [int(one) for one in pids.read_text().split()]
    await true(lambda: not any(is_alive(pid) for pid in numbers))


async def test_a_program_may_tidy_up(tmp_path):
    """SIGTERM comes first."""
    out = tmp_path / "out"
    code = (
        "import signal, sys, time\n"
        f"def leave(*_):\n    open({str(out)!r}, 'w').write('tidy'); sys.exit(0)\n"
        "signal.signal(signal.SIGTERM, leave)\nprint('ready', file=sys.stderr, flush=True)\ntime.sleep(300)"
    )
    with pytest.raises(CommandError):
        await run(code, timeout=1.0)
    assert out.read_text() == "tidy"


async def test_a_cancelled_delivery_ends_the_program(tmp_path, told):
    """Cancelled, it is gone within the second that a callback has."""
    pid = tmp_path / "pid"
    task = asyncio.ensure_future(
        run(f"import os, time; open({str(pid)!r}, 'w').write(str(os.getpid())); time.sleep(300)")
    )
    await true(lambda: pid.exists() and pid.read_text())
    begun = time.monotonic()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert time.monotonic() - begun < 1.0
    await true(lambda: not is_alive(int(pid.read_text())))


async def test_something_left_in_the_background_holds_nothing_up(tmp_path):
    """A program that starts another one and ends is done, also if that one holds its outputs open."""
    pid = tmp_path / "pid"
    code = (
        f"import subprocess\nchild = subprocess.Popen(['sleep', '300'])\nopen({str(pid)!r}, 'w').write(str(child.pid))"
    )
    begun = time.monotonic()
    await run(code, timeout=60)
    assert time.monotonic() - begun < 10
    assert is_alive(int(pid.read_text()))
    os.kill(int(pid.read_text()), signal.SIGKILL)


async def test_no_more_than_so_many_run_at_once(tmp_path):
    """Further ones wait for a place, and that waiting does not count as running."""
    code = (
        f"import os, time\nopen({str(tmp_path)!r} + f'/{{os.getpid()}}', 'w')\ntime.sleep(0.3)\n"
        f"n = len(os.listdir({str(tmp_path)!r}))\nos.unlink({str(tmp_path)!r} + f'/{{os.getpid()}}')\nassert n <= 2, n"
    )
    handler = command_handler(python(code), at_once=2, timeout=10)
    await asyncio.gather(*(handler(event(seq=number)) for number in range(6)))


async def test_no_descriptors_and_no_tasks_are_left(tmp_path):
    """Many runs, with failures and leftovers among them, leave nothing open."""
    before = open_files()
    for code in ("pass", "import sys; sys.exit(1)", "import subprocess; subprocess.Popen(['sleep', '1'])") * 3:
        with contextlib.suppress(CommandError):
            await run(code)
    assert open_files() <= before
    assert len(asyncio.all_tasks()) == 1


async def test_a_program_that_has_gone_since(tmp_path):
    """One that cannot be started is a failure of the delivery: it may be there again at the next attempt."""
    program = tmp_path / "program"
    program.write_text("#!/bin/sh\nexit 0\n")
    program.chmod(0o755)
    handler = command_handler([str(program)])
    await handler(event())
    program.unlink()
    with pytest.raises(CommandError, match="could not be started: No such file"):
        await handler(event())


@pytest.mark.parametrize(
    ("argv", "options", "told"),
    [
        ([], {}, "a command is a list"),
        ("ls -l", {}, "a command is a list"),
        ([""], {}, "a command is a list"),
        (["no-such-program-anywhere"], {}, "no program 'no-such-program-anywhere'"),
        ([sys.executable], {"at_once": 0}, "at_once must be"),
        ([sys.executable], {"timeout": 0}, "timeout must be"),
        ([sys.executable], {"timeout": float("nan")}, "timeout must be"),
    ],
)
def test_what_cannot_work_is_refused_at_once(argv, options, told):
    """Mistakes are told before the first event comes."""
    with pytest.raises(ConfigurationError, match=told):
        command_handler(argv, **options)


async def test_retries_and_dead_letters(tmp_path):
    """In a journal a failing program has its attempts, then its event is a dead letter with what was said last."""
    handlers = Handlers(durable=True)
    calls = tmp_path / "calls"
    code = f"import sys; open({str(calls)!r}, 'a').write('x'); print('no paper', file=sys.stderr); sys.exit(3)"
    handlers.on_failed(command_handler(python(code)), name="printer", retries=2, backoff=0.01, since="beginning")
    journal = SqliteJournal(tmp_path / "j.db")
    await journal.open()
    await journal.lead("shop")
    await journal.append(Commit(events=[event(seq=1)]))
    dispatcher = Dispatcher(handlers, frozenset({"failed"}), SystemClock(), journal, failed=pytest.fail)
    dispatcher.begin()
    for _ in range(1000):
        if letters := await journal.letters(dead_only=True):
            break
        await asyncio.sleep(0.01)
    await dispatcher.close(1.0)
    await journal.close()
    assert calls.read_text() == "xxx"
    assert (letters[0].attempts, "ended with code 3: no paper" in letters[0].error) == (3, True)
