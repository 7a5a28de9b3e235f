"""`titan-state dashboard`: the link it prints, what it watches or follows, and where it listens."""

from __future__ import annotations

import json
import re
import signal
import socket
import stat
import urllib.error
import urllib.request

import pytest

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


def ended(process, by=signal.SIGINT):
    process.send_signal(by)
    out, err = process.communicate(timeout=30)
    return process.returncode, out, err


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
    directory = state_directory / "titan-state"
    directory.mkdir(parents=True)
    kept = directory / "dashboard-token"
    for content, mode in (("k" * 43, 0o644), ("short", 0o600)):
        kept.write_text(content)
        kept.chmod(mode)
        process = start("dashboard", "--port", 0, service=service)
        assert link_of(process)[1] != content
        assert stat.S_IMODE(kept.stat().st_mode) == 0o600
        ended(process)


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
    assert "it is followed" in err
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


def test_what_is_missing_is_said(titan):
    """Without a service it says what to set."""
    result = titan("dashboard")
    assert (result.exit_code, "TITAN_API_URL" in result.stderr) == (2, True)


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
