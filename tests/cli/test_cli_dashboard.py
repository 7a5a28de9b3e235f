"""`titan-state dashboard`: the link it prints, what it watches or follows, and where it listens."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import stat
import subprocess
import sys
import urllib.error
import urllib.request

import pytest

from titan_state.cli import main
from titan_state.cli.places import session_token
from titan_state.emulator import Plan, Scenario, Step

LINK = re.compile(r"dashboard: (http://[\w.\[\]:]+)/#token=([\w-]{43})")


def link_of(process):
    """Return the origin and the token of the link that is printed first."""
    line = process.stdout.readline()
    found = LINK.match(line)
    assert found, (line, process.stderr.read() if process.poll() is not None else "")
    return found.groups()


def first_messages(origin, token, count=4):
    """Return what the stream tells first, by its kinds."""
    request = urllib.request.Request(f"{origin}/api/stream", headers={"Authorization": f"Bearer {token}"})
    told = {}
    with urllib.request.urlopen(request, timeout=30) as answer:
        kind = None
        while len(told) < count:
            line = answer.readline().decode()
            if line.startswith("event: "):
                kind = line[7:].strip()
            elif line.startswith("data: "):
                told[kind] = json.loads(line[6:])
    return told


def has_ipv6():
    """Return whether this machine can listen on ::1."""
    try:
        with socket.socket(socket.AF_INET6) as tried:
            tried.bind(("::1", 0))
    except OSError:
        return False
    return True


def ended(process, by=signal.SIGINT):
    process.send_signal(by)
    out, err = process.communicate(timeout=30)
    return process.returncode, out, err


def token_file(state_directory):
    """Return where the token is kept, in a directory that is there."""
    directory = state_directory / "titan-state"
    directory.mkdir(parents=True, exist_ok=True)
    return directory / "dashboard-token"


def written(start, service):
    """Return the address of a journal that a monitor has written."""
    address = f"sqlite:///{os.environ['XDG_STATE_HOME']}/named.db"
    process = start("watch", "a", "--json", "--journal", address, service=service)
    process.stdout.readline()
    ended(process)
    return address


@pytest.fixture
def service(serve):
    return serve(Scenario([Plan(id="a", task_id="t", steps=[Step("running")])]))


def test_it_prints_a_link_and_watches_everything(start, service):
    """One command prints the link, watches everything, and ends with Ctrl-C."""
    process = start("dashboard", "--port", 0, service=service)
    origin, token = link_of(process)
    told = first_messages(origin, token)
    assert told["hello"]["watches"] == "all executions"
    assert told["hello"]["mode"] == "monitor"
    code, _, err = ended(process)
    assert code == 130
    assert f"it shows all executions of {service.url}; Ctrl-C ends it" in err


def test_it_watches_what_is_named(start, service):
    """Executions and tasks that are named are watched, and nothing else."""
    process = start("dashboard", "a", "--task", "t", "--port", 0, "--no-journal", service=service)
    told = first_messages(*link_of(process))
    assert told["hello"]["watches"] == "task t and 1 execution"
    assert told["hello"]["journal"] is None
    assert "1 execution and 1 task of" in ended(process)[2]


def test_the_link_is_good_after_a_restart(start, service, state_directory):
    """A page that is open finds the dashboard again: the token is kept, for its owner only, until a new one is made."""
    tokens = []
    for more in ((), (), ("--new-link",), ()):
        process = start("dashboard", "--port", 0, *more, service=service)
        tokens.append(link_of(process)[1])
        ended(process)
    assert tokens[0] == tokens[1] != tokens[2] == tokens[3]
    (kept,) = state_directory.rglob("dashboard-token")
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600


def test_a_token_that_others_can_read_is_not_used(start, service, state_directory):
    """A file that others may have read, or that holds something else, is replaced."""
    kept = token_file(state_directory)
    for content, mode in (("k" * 43, 0o644), ("short", 0o600)):
        kept.write_text(content)
        kept.chmod(mode)
        process = start("dashboard", "--port", 0, service=service)
        assert link_of(process)[1] != content
        assert stat.S_IMODE(kept.stat().st_mode) == 0o600
        ended(process)


@pytest.mark.parametrize(
    "content", ["k" * 31, "k" * 129, "k" * 42 + "/", "k" * 43 + " " * 300, "k" * 43 + "\nk", "ß" * 43]
)
def test_a_token_that_is_none_is_not_used(content, state_directory):
    """What does not look like a token is replaced, and what is far too long is not read to its end."""
    kept = token_file(state_directory)
    kept.write_text(content, encoding="utf-8")
    kept.chmod(0o600)
    token = session_token()
    assert re.fullmatch(r"[\w-]{43}", token)
    assert token not in content
    assert kept.read_text() == token
    kept.write_text(f" {token}\n")
    assert session_token() == token


def test_a_link_in_place_of_the_token_is_replaced(start, service, state_directory, tmp_path):
    """A symbolic link is neither read nor written through: it is replaced itself, and so is a pipe."""
    kept = token_file(state_directory)
    other = tmp_path / "other"
    other.write_text("k" * 43)
    other.chmod(0o600)
    kept.symlink_to(other)
    process = start("dashboard", "--port", 0, service=service)
    token = link_of(process)[1]
    ended(process)
    assert (other.read_text(), kept.is_symlink(), kept.read_text()) == ("k" * 43, False, token)
    kept.unlink()
    os.mkfifo(kept, 0o600)
    assert session_token() == kept.read_text()
    kept.unlink()
    kept.symlink_to(tmp_path / "nowhere")
    assert session_token() == kept.read_text()
    assert not (tmp_path / "nowhere").exists()


def test_a_token_that_cannot_be_kept(titan, service, state_directory):
    """A directory in its place, or a file in place of its directory, is an error in one line; nothing is left over."""
    kept = token_file(state_directory)
    kept.mkdir()
    result = titan("dashboard", "--port", 0, "--no-journal", service=service)
    assert (result.exit_code, f"token cannot be kept in {kept}: " in result.stderr) == (2, True)
    assert list(kept.parent.iterdir()) == [kept]
    kept.rmdir()
    kept.parent.rmdir()
    kept.parent.write_text("")
    result = titan("dashboard", "--port", 0, "--no-journal", service=service)
    assert (result.exit_code, "token cannot be kept in" in result.stderr) == (2, True)


def test_a_new_link_says_when_the_old_ones_end(titan):
    """The help says that dashboards that run keep their token."""
    assert "each keeps the token it started with" in " ".join(titan("dashboard", "--help").stdout.split())


def test_a_journal_in_use_is_followed(start, service):
    """Where a monitor of this machine writes the journal already, the dashboard shows what that one does."""
    first = start("watch", "a", "--json", service=service)
    first.stdout.readline()
    second = start("dashboard", "--port", 0, service=service)
    told = first_messages(*link_of(second))
    assert (told["hello"]["mode"], told["hello"]["watches"]) == ("journal", "1 execution")
    assert told["state"]["is_live"]
    code, _, err = ended(second)
    assert code == 130
    assert "another monitor writes the journal already: what it watches is shown" in err
    ended(first)


def test_names_are_not_heeded_where_a_journal_is_followed(start, service):
    """Where another monitor writes the journal, it is said that what was named is not watched."""
    first = start("watch", "a", "--json", service=service)
    first.stdout.readline()
    second = start("dashboard", "--task", "other", "--port", 0, service=service)
    link_of(second)
    assert "what it watches is shown, not what is named here" in ended(second)[2]
    ended(first)


def test_only_following_needs_no_service(start, service, environment):
    """With --follow neither the token nor a request to the service is needed."""
    first = start("watch", "a", "--json", service=service)
    first.stdout.readline()
    ended(first)
    count = len(service.requests)
    process = start("dashboard", "--follow", "--url", service.url, "--port", 0)
    told = first_messages(*link_of(process))
    assert not told["state"]["is_live"]
    assert [row[0] for row in told["rows"]["rows"]] == ["a"]
    assert len(service.requests) == count
    assert "it shows what is written into" in ended(process)[2]


def test_nothing_to_follow(titan, service):
    """What cannot be followed is said."""
    result = titan("dashboard", "--follow", "--journal", "sqlite:///nowhere.db", service=service)
    assert result.exit_code == 2
    assert "there is no journal at" in result.stderr
    result = titan("dashboard", "--follow", "--no-journal", service=service)
    assert (result.exit_code, "nothing to follow" in result.stderr) == (2, True)


def test_the_page_is_told_a_checked_origin(start, titan, service):
    """What follows a journal tells the page the origin alone, and a URL that holds a password ends it."""
    address = written(start, service)
    process = start("dashboard", "--follow", "--journal", address, "--url", f"{service.url}/api/v1/", "--port", 0)
    assert first_messages(*link_of(process))["hello"]["origin"] == service.url
    ended(process)
    process = start("dashboard", "--follow", "--journal", address, "--port", 0)
    assert first_messages(*link_of(process))["hello"]["origin"] is None
    ended(process)
    result = titan("dashboard", "--follow", "--journal", address, "--url", "https://me:hunter2@api.example")
    assert (result.exit_code, "must hold no credentials" in result.stderr) == (2, True)
    assert "hunter2" not in result.output


def test_a_journal_is_followed_for_want_of_a_service(start, titan, service):
    """Without URL or token a journal that was named is followed, and that is said."""
    address = written(start, service)
    for options, missing in (((), "no URL and token are set"), (("--url", service.url), "no token is set")):
        process = start("dashboard", "--journal", address, *options, "--port", 0)
        assert first_messages(*link_of(process))["hello"]["mode"] == "journal"
        err = ended(process)[2]
        assert f"{missing}: the journal {address.removeprefix('sqlite:///')} is followed" in err
    for options in (("a",), ("--task", "t"), ("--no-journal",)):
        result = titan("dashboard", "--journal", address, *options)
        assert (result.exit_code, "address of the Task Service is missing" in result.stderr) == (2, True)


@pytest.mark.parametrize("journal", [None, "memory:", "sqlite:///nowhere.db"])
def test_what_is_missing_is_said(titan, journal):
    """Without a service and a journal that is there it says what to set."""
    result = titan("dashboard", *(() if journal is None else ("--journal", journal)))
    assert (result.exit_code, "TITAN_API_URL" in result.stderr) == (2, True)


def test_following_watches_nothing(titan, service):
    """What following cannot heed is wrong usage: names of what to watch, and a journal that nobody else can read."""
    for named in (("a",), ("--task", "t")):
        result = titan("dashboard", "--follow", *named, service=service)
        assert (result.exit_code, "up to the monitor that writes the journal" in result.stderr) == (2, True)
    result = titan("dashboard", "--follow", "--journal", "memory:", service=service)
    assert (result.exit_code, "a journal in memory cannot be followed" in result.stderr) == (2, True)


def test_what_can_be_no_execution_or_task(titan, service):
    """What can be no id is refused before anything is asked, and so is a task that the service does not know."""
    for named in (("\udcff",), ("--task", "\udcff"), ("",)):
        result = titan("dashboard", *named, "--port", 0, service=service)
        assert (result.exit_code, "id" in result.stderr) == (2, True)
    assert not service.requests
    result = titan("dashboard", "--task", "nosuch", "--port", 0, service=service)
    assert (result.exit_code, "404" in result.stderr, result.stdout) == (6, True, "")


def test_a_port_that_is_taken(start, titan, service):
    """A port that was named and is taken is an error; the usual one is replaced by any other."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        result = titan("dashboard", "--port", port, service=service)
        assert (result.exit_code, "cannot listen on" in result.stderr) == (2, True)
    first = start("dashboard", service=service)
    link_of(first)
    second = start("dashboard", service=service)
    link_of(second)
    assert "port 8288 is in use" in ended(second)[2]
    ended(first)


@pytest.mark.parametrize("host", ["192.0.2.1", "nosuch.invalid", "a" * 64])
def test_a_host_that_is_none_of_this_machine(titan, service, host):
    """Another port is taken only where the usual one is in use: a host that cannot be listened on is an error."""
    result = titan("dashboard", "--host", host, service=service)
    assert (result.exit_code, "cannot listen on" in result.stderr) == (2, True)
    assert "in use" not in result.stderr


@pytest.mark.skipif(not has_ipv6(), reason="this machine has no IPv6")
def test_brackets_of_an_address(start, service):
    """An IPv6 address may be written as it is in a URL."""
    process = start("dashboard", "--host", "[::1]", "--port", 0, service=service)
    origin, token = link_of(process)
    assert origin.startswith("http://[::1]:")
    assert first_messages(origin, token)["hello"]["mode"] == "monitor"
    assert "warning" not in ended(process)[2]


def test_beyond_this_machine_it_warns(start, service):
    """Whoever lets others reach it is warned."""
    process = start("dashboard", "--host", "0.0.0.0", "--port", 0, service=service)
    link_of(process)
    assert "warning: the page is served on 0.0.0.0, beyond this machine" in ended(process)[2]


def test_a_refused_token_ends_it(start, service):
    """When the service refuses the credentials the dashboard ends, and says so."""
    process = start("dashboard", "--port", 0, "--url", service.url, "--token", "wrong")
    _, err = process.communicate(timeout=30)
    assert process.returncode == 1
    assert "401" in err


def test_other_names_are_refused(start, service):
    """A name that was not given is refused, one that was is not."""
    process = start("dashboard", "--port", 0, "--name", "board.example", service=service)
    origin, _ = link_of(process)
    with urllib.request.urlopen(urllib.request.Request(f"{origin}/", headers={"Host": "board.example"}), timeout=30):
        pass
    with pytest.raises(urllib.error.HTTPError, match="403") as refused:
        urllib.request.urlopen(urllib.request.Request(f"{origin}/", headers={"Host": "evil.example"}), timeout=30)
    refused.value.close()
    ended(process)


def test_ctrl_c_before_the_page_is_there(start):
    """Ctrl-C ends it while it waits for a service that does not answer, and nothing is printed."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        process = start("dashboard", "--task", "t", "--port", 0, "--url", url, "--token", "k" * 20)
        silent.settimeout(30)
        asked, _ = silent.accept()
        with asked:
            asked.recv(1)
            code, out, err = ended(process)
    assert (code, out, err) == (130, "", "")


def test_without_a_reader(start, service):
    """A reader that has gone ends it."""
    reading, writing = os.pipe()
    os.close(reading)
    process = start("dashboard", "--port", 0, stdout=writing, service=service)
    os.close(writing)
    _, err = process.communicate(timeout=30)
    assert (process.returncode, err) == (141, "")


@pytest.mark.parametrize("stream", [1, 2])
def test_a_stream_that_is_closed(environment, service, stream):
    """Where stdout or stderr was closed from the beginning, what would be written there goes nowhere."""
    command = [sys.executable, "-m", "titan_state", "dashboard", "--port", "0"]
    with subprocess.Popen(
        ["/bin/sh", "-c", f'exec "$@" {stream}>&-', "sh", *command],
        env=environment(service),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            line = (process.stderr if stream == 1 else process.stdout).readline()
            code, out, err = ended(process, by=signal.SIGTERM)
        finally:
            process.kill()
    assert ("it shows all executions" in line) if stream == 1 else LINK.match(line)
    assert (code, out, err) == (143, "", "")


def test_ctrl_c_while_the_command_is_loaded(monkeypatch):
    """Ctrl-C before the command could listen to it has its exit code, and no traceback."""

    def interrupted(**_):
        raise KeyboardInterrupt

    monkeypatch.setattr("titan_state.cli.app.app", interrupted)
    with pytest.raises(SystemExit) as left:
        main()
    assert left.value.code == 130
