"""Completion: in a real bash, from journals of this machine alone, and nothing that a shell could run."""

from __future__ import annotations

import asyncio
import os
import shutil
import sqlite3
import subprocess
import sys
import time
from contextlib import closing

import pytest
import typer

from titan_state import Action, Lifecycle, Monitor, RequestBudget
from titan_state.cli import completion
from titan_state.cli.app import app
from titan_state.cli.places import journal_path
from titan_state.emulator import Plan, Scenario, Step
from titan_state.journal import names

ROOT = typer.main.get_command(app)
HOSTILE = ["$(touch x)", "a;b", "-rf", "`x`", "a b", "x\n", "'", "\x1b[2J"]

STORY = Scenario(
    [
        Plan(id="prices-1", task_id="prices", steps=(Step("running", 0), Step("completed", 0))),
        Plan(id="prices-2", task_id="prices", steps=(Step("running", 0),)),
        Plan(id="stock-1", task_id="stock", steps=(Step("running", 0), Step("paused", 0))),
    ]
)


@pytest.fixture
def service(serve):
    """A service whose executions the journal of this machine knows."""
    service = serve(STORY)
    while service.executions() != {"prices-1": "completed", "prices-2": "running", "stock-1": "paused"}:
        time.sleep(0.01)

    async def work():
        path = journal_path(service.url, None)
        async with Monitor(service.url, service.token, journal=path, budget=RequestBudget(60_000)) as monitor:
            stream = monitor.events()
            monitor.watch("prices-1", "prices-2", "stock-1")
            written = set()
            while len(written) < 3:  # what the stream hands out is in the journal
                written.add((await anext(stream)).execution_id)

    asyncio.run(work())
    return service


@pytest.fixture
def complete(monkeypatch):
    """Return what a command offers for the last of its words, with what is said of it."""

    def of(*words, url=None):
        monkeypatch.delenv("TITAN_API_URL", raising=False)
        monkeypatch.delenv("TITAN_JOURNAL", raising=False)
        if url is not None:
            monkeypatch.setenv("TITAN_API_URL", url)
        monkeypatch.setenv("_TITAN_STATE_COMPLETE", "complete_zsh")
        monkeypatch.setenv("_TYPER_COMPLETE_ARGS", " ".join(["titan-state", *words]))
        found = typer._completion_classes.ZshComplete(ROOT, {}, "titan-state", "_TITAN_STATE_COMPLETE")
        typer.completion.completion_init()
        args, incomplete = found.get_completion_args()
        return {item.value: item.help or "" for item in found.get_completions(args, incomplete)}

    return of


def test_executions_come_with_status_and_task(service, complete):
    """An id alone tells nobody anything; none of it is asked of the service."""
    sent = len(service.requests)
    assert complete("history ", url=service.url) == {
        "prices-1": "completed, task prices",
        "prices-2": "running, task prices",
        "stock-1": "paused, task stock",
    }
    assert complete("history s", url=service.url) == {"stock-1": "paused, task stock"}
    assert len(service.requests) == sent


@pytest.mark.parametrize(
    ("command", "offered"),
    [("pause", {"prices-2"}), ("resume", {"stock-1"}), ("stop", {"prices-2", "stock-1"}), ("export", {"prices-1"})],
)
def test_only_what_the_command_is_for(service, complete, command, offered):
    """Pause offers what runs, and export what has results."""
    assert set(complete(f"{command} ", url=service.url)) == offered


def test_where_nothing_fits_everything_is_offered(service, complete):
    """The journal may be behind: better too many than none."""
    assert set(complete("pause stock", url=service.url)) == {"stock-1"}


def test_what_is_on_the_line_already_is_left_out(service, complete):
    """The second id is another one."""
    assert set(complete("wait prices-2 ", url=service.url)) == {"stock-1"}


def test_tasks_without_a_url_are_those_of_every_journal(service, complete):
    """Somebody who has set nothing is helped, too."""
    assert complete("run ") == {"prices": "2 executions", "stock": "1 execution"}
    assert complete("list --task p") == {"prices": "2 executions"}
    assert complete("run ", url="http://elsewhere.example") == {}


def test_subscriptions_and_what_they_gave_up(service, complete):
    """Names that need no quoting are offered, with what they have given up."""
    with closing(sqlite3.connect(journal_path(service.url, None))) as connection, connection:
        for name in ("mail", "titan-state watch --export"):
            connection.execute("INSERT INTO subscriptions VALUES (?, 0, 0, 0, NULL, NULL)", (name,))
        position, event = connection.execute("SELECT position, execution_id || ':' || seq FROM events").fetchone()
        connection.execute("INSERT INTO deliveries VALUES ('mail', ?, 'dead', 1, NULL, 'no', 0)", (position,))
    assert complete("subscriptions remove ", url=service.url) == {"mail": "1 given up"}
    assert complete("deliveries retry --subscription m", url=service.url) == {"mail": "1 given up"}
    assert complete("deliveries retry ", url=service.url) == {event: "mail"}


def test_choices_are_offered():
    """Statuses, actions and events are those of the library."""
    assert dict(completion.statuses("c")) == {
        "completed": "terminal",
        "completed_with_errors": "terminal",
        "cancelled": "terminal",
    }
    assert dict(completion.actions("")) == {
        "pause": "legal while running",
        "resume": "legal while paused",
        "stop": "legal while paused or queued or running",
    }
    events = dict(completion.events(""))
    assert {"failed", "finished", "transition", "results-ready", "anomaly:stuck_queued"} <= set(events)
    assert events["anomaly:blind"] == "critical, check first: connectivity, credentials, rate limits"


@pytest.mark.parametrize("action", Action)
def test_where_an_action_is_legal_is_what_the_model_says(action):
    """Completion does not load the model for it, and must not have another one."""
    model = Lifecycle.default()
    assert completion.LEGAL[action] == {status for status in model.statuses if model.verdict(status, action)}


def test_events_that_are_offered_are_taken(titan, tmp_path):
    """Nothing is offered to --on that subscribe would refuse."""
    from titan_state.cli.subscribe import Subscribed

    for name, _ in completion.events(""):
        assert Subscribed(command=("true",), events=(name,), name="n").handlers()


def test_nothing_that_a_shell_could_run(service, complete):
    """Ids come from the API, and shells evaluate what they complete."""
    with closing(sqlite3.connect(journal_path(service.url, None))) as connection, connection:
        for name in HOSTILE:
            connection.execute("INSERT INTO records (id, status, seq, kept) VALUES (?, 'running', 1, 0)", (name,))
        connection.execute("UPDATE records SET status = '$(id)' WHERE id = 'prices-2'")
    assert complete("history ", url=service.url) == {
        "prices-1": "completed, task prices",
        "prices-2": "",
        "stock-1": "paused, task stock",
    }


@pytest.mark.parametrize("content", [b"", b"no database", None])
def test_a_journal_that_cannot_be_read_is_no_error(complete, state_directory, capfd, content):
    """The shell is in the middle of a line: nothing is offered, and nothing said."""
    directory = state_directory / "titan-state"
    directory.mkdir(parents=True)
    (directory / "example.com-1.db").mkdir() if content is None else (directory / "example.com-1.db").write_bytes(
        content
    )
    assert complete("wait ") == {}
    assert capfd.readouterr() == ("", "")


def test_a_journal_that_is_written_is_not_waited_for(service, complete):
    """A writer in the middle of a transaction does not hold up the shell."""
    with closing(sqlite3.connect(journal_path(service.url, None), isolation_level=None)) as connection, connection:
        connection.execute("BEGIN IMMEDIATE")
        assert set(complete("history ", url=service.url)) == {"prices-1", "prices-2", "stock-1"}
        connection.execute("ROLLBACK")


def test_a_long_name_that_needs_quoting_costs_no_time():
    """Names come from the API: no text makes the shell hang, however long it is."""
    assert completion._harmless([(f"{'a' * 5000}!", "mail"), ("mail", f"{'a' * 5000} é")]) == [("mail", "")]


def test_a_journal_that_cannot_be_read_hides_no_other(service, complete, state_directory):
    """A file of another program lies beside the journals, and was written last."""
    other = state_directory / "titan-state" / "zz.db"
    other.write_bytes(b"no database")
    os.utime(other, (time.time() + 60,) * 2)
    assert complete("run ") == {"prices": "2 executions", "stock": "1 execution"}


def test_completing_leaves_nothing_behind(service, complete, state_directory):
    """A journal that nobody has open has no files beside it afterwards that were not there before."""
    directory = state_directory / "titan-state"
    before = {path.name: path.stat().st_mtime_ns for path in directory.iterdir()}
    assert complete("history stock", url=service.url) == {"stock-1": "paused, task stock"}
    assert {path.name: path.stat().st_mtime_ns for path in directory.iterdir()} == before


def test_a_pipe_in_place_of_a_journal_is_not_waited_for(complete, tmp_path):
    """Opening it would wait until somebody writes into it."""
    os.mkfifo(tmp_path / "pipe")
    assert complete(f"history --journal {tmp_path}/pipe ") == {}


@pytest.mark.parametrize("beginning", ["", "stock", "prices-1"])
def test_a_large_journal_is_read_in_part(service, complete, monkeypatch, beginning):
    """What has changed last is offered; what has not is found by the beginning of its id."""
    monkeypatch.setattr(names, "_RECORDS", names._RECORDS.replace(str(names.NEWEST), "1"))
    with closing(sqlite3.connect(journal_path(service.url, None))) as connection:
        (last,) = connection.execute("SELECT id FROM records ORDER BY rowid DESC LIMIT 1").fetchone()
    expected = {last} if last.startswith(beginning) else {"stock": {"stock-1"}}.get(beginning, {beginning})
    assert set(complete(f"history {beginning}", url=service.url)) == expected


def test_a_journal_that_takes_too_long_is_left_alone(service, complete, monkeypatch):
    """On a disk that is slow, or in a file that is foreign, the reading comes to an end."""
    monkeypatch.setattr(names, "LONGEST_S", 0)
    monkeypatch.setattr(names, "STEPS", 1)
    assert complete("run ", url=service.url) == {}


BASH = """
eval "$(_TITAN_STATE_COMPLETE=source_bash titan-state)"
for word in "$@"; do
    COMP_WORDS=(titan-state $word "")
    COMP_CWORD=$((${#COMP_WORDS[@]} - 1))
    COMPREPLY=()
    _titan_state_completion titan-state
    echo "$word: ${COMPREPLY[*]}" | tr '\\n' ' '
    echo
done
"""


@pytest.mark.skipif(shutil.which("bash") is None, reason="there is no bash")
def test_a_real_bash_completes(service, environment, tmp_path):
    """The script of --show-completion works: commands, choices, ids, and files where nothing else is meant."""
    (tmp_path / "titan-state").write_text(f'#!/bin/sh\nexec {sys.executable} -m titan_state "$@"\n')
    (tmp_path / "titan-state").chmod(0o755)
    env = environment(service)
    env["PATH"] = f"{tmp_path}:{env['PATH']}"
    asked = ["journal", "export --format", "resume", "report --output", "check prices-2"]
    done = subprocess.run(
        ["bash", "--norc", "-c", BASH, "bash", *asked], env=env, capture_output=True, text=True, timeout=60
    )
    assert done.stderr == ""
    assert [line.split() for line in done.stdout.splitlines()] == [
        ["journal:", "prune", "verify"],
        ["export", "--format:", "json", "csv"],
        ["resume:", "stock-1"],
        ["report", "--output:"],
        ["check", "prices-2:", "pause", "resume", "stop"],
    ]
