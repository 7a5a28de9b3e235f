"""`titan-state monitor` and `titan-state subscribe` as a supervisor starts them: processes, probes, logs, signals."""

from __future__ import annotations

import json
import re
import signal
import socket
import sqlite3
import sys
import threading
import time
import urllib.error
import urllib.request
from datetime import UTC, datetime, timedelta

import pytest
from tokens import TOKEN

from titan_state.cli.service import Tended
from titan_state.cli.subscribe import Subscribed, since_of
from titan_state.emulator import Plan, Scenario, Step
from titan_state.errors import ConfigurationError, JournalDamagedError, JournalUnavailableError
from titan_state.monitor.subscriber import Subscriber
from titan_state.service.setbacks import Setback, setback
from titan_state.service.tokens import Veil

BAD = "wrong-token-0123456789"


class Process:
    """A process of the command whose log is read as it is written."""

    def __init__(self, process):
        self.process = process
        self.lines = []
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self):
        for line in self.process.stderr:
            self.lines.append(line)

    @property
    def log(self):
        """What was logged so far, as objects."""
        return [json.loads(line) for line in self.lines]

    def until(self, word, seconds=30.0):
        """Return the first record with a word in its message."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            for record in self.log:
                if word in record["message"]:
                    return record
            time.sleep(0.02)
        pytest.fail(f"{word} was not said: {self.lines}")

    def probes(self):
        """Return the address of its probes."""
        return re.search(r"http://\S+", self.until("probes are answered")["message"])[0]

    def ended(self, by=signal.SIGTERM):
        """End it by a signal, and return its code and what is in stdout."""
        self.process.send_signal(by)
        self._reader.join(30)
        return self.process.wait(timeout=30), self.process.stdout.read()


def asked(url):
    """Return the status and the JSON with which a probe answers."""
    try:
        with urllib.request.urlopen(url, timeout=10) as answer:
            return answer.status, json.loads(answer.read())
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.loads(error.read())


def until(condition, seconds=30.0):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        found = condition()
        if found:
            return found
        time.sleep(0.05)
    return pytest.fail("it never came true")


@pytest.fixture
def begin(start, tmp_path):
    """Start one of the commands with a journal of the test's own."""

    def call(*arguments, **options):
        return Process(start(*arguments, cwd=tmp_path, **options))

    return call


@pytest.fixture
def service(serve):
    plans = [Plan(id=name, task_id=f"task-{name}", steps=[Step("running")]) for name in ("a", "b")]
    return serve(Scenario(plans))


def fail(service):
    """Have both executions fail."""
    for name in ("a", "b"):
        service.move(name, "failed")


@pytest.fixture
def journal(tmp_path):
    return f"sqlite:///{tmp_path}/j.db"


def written(journal, table="events"):
    """Return how many rows there are in a journal."""
    connection = sqlite3.connect(journal.removeprefix("sqlite:///"))
    try:
        return connection.execute(f"SELECT COUNT(*) FROM {table}").fetchone()[0]
    except sqlite3.OperationalError:
        return 0
    finally:
        connection.close()


def test_a_monitor_without_a_screen(begin, service, journal):
    """It watches everything, answers probes, logs JSON without the token, and SIGTERM ends it in order."""
    process = begin("monitor", "--journal", journal, "--listen", "127.0.0.1:0", service=service)
    url = process.probes()
    process.until("leads the account")
    assert until(lambda: asked(f"{url}/readyz") == (200, {"is_ready": True, "reasons": []}))
    assert asked(f"{url}/livez") == (200, {"is_alive": True})
    told = asked(f"{url}/status")[1]["accounts"]
    assert [(one["account"], one["state"]) for one in told] == [(service.url, "leading")]
    until(lambda: written(journal) == 2)
    fail(service)
    until(lambda: written(journal) == 4)
    code, out = process.ended()
    assert (code, out) == (143, "")
    assert process.log[-1]["message"] == "the account is let go"
    assert {one.get("account") for one in process.log} == {None, service.url}
    assert TOKEN not in "".join(process.lines)


def test_it_goes_on_where_it_was_left(begin, service, journal):
    """The journal is free once a signal has ended it, also by Ctrl-C, and is taken up by the next one."""
    for by, code in ((signal.SIGINT, 130), (signal.SIGTERM, 143)):
        process = begin("monitor", "--task", "task-a", "--journal", journal, "--listen", "off", service=service)
        process.until("leads the account")
        until(lambda: written(journal) == 1)
        assert process.ended(by)[0] == code


def test_several_accounts_of_which_one_is_refused(begin, service, tmp_path, monkeypatch):
    """A file names accounts; a token that is refused is read again from its file, and nothing shows it."""
    (tmp_path / "news.token").write_text(BAD)
    (tmp_path / "accounts.toml").write_text(
        f'[[account]]\nname = "shop"\nurl = "{service.url}"\ntoken_env = "SHOP_TOKEN"\ntasks = ["task-a"]\n\n'
        f'[[account]]\nname = "news"\nurl = "{service.url}"\ntoken_file = "news.token"\njournal = "sqlite:///n.db"\n'
    )
    monkeypatch.setenv("SHOP_TOKEN", TOKEN)
    process = begin("monitor", "--accounts", "accounts.toml", "--listen", "127.0.0.1:0")
    url = process.probes()
    assert process.until("the service refuses the token")["account"] == "news"
    status, told = asked(f"{url}/readyz")
    assert (status, told["reasons"]) == (503, [{"account": "news", "reason": "the service refuses the token (401)"}])
    (tmp_path / "news.token").write_text(TOKEN)
    until(lambda: asked(f"{url}/readyz")[0] == 200)
    assert process.ended()[0] == 143
    assert not {TOKEN, BAD} & set(re.findall(r"[\w-]+", "".join(process.lines)))


def test_a_token_file_is_enough(begin, service, journal, tmp_path):
    """One account may have its token in a file, too."""
    (tmp_path / "token").write_text(TOKEN)
    process = begin(
        "monitor", "--url", service.url, "--token-file", "token", "--journal", journal, "--listen", "127.0.0.1:0"
    )
    url = process.probes()
    until(lambda: written(journal) >= 2)
    assert asked(f"{url}/readyz")[0] == 200
    assert process.ended()[0] == 143


@pytest.mark.parametrize(
    ("journal", "account", "label"),
    [
        ("nats://localhost:4222?account=shop", None, "shop"),
        ("nats://a:4222,b:4222?replicas=3&account=my%20shop", None, "my shop"),
        ("nats://localhost:4222?account=shop", "other", "other"),
        ("nats://localhost:4222", None, "https://api.example"),
        ("sqlite:///x.db", None, "https://api.example"),
        (None, None, "https://api.example"),
    ],
)
def test_logs_call_an_account_what_the_journal_calls_it(journal, account, label):
    """An account that only the journal's address names is not shown under its origin."""
    wish = Tended(url="https://api.example", token=TOKEN, journal=journal, account=account)
    assert [one.label for one in wish.found(Veil())] == [label]


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("monitor",), "TITAN_API_URL"),
        (("monitor", "--url", "https://api.example"), "set TITAN_TOKEN, or give --token-file"),
        (("monitor", "--url", "https://api.example", "--token-file", "missing"), "No such file"),
        (("monitor", "--accounts", "missing.toml"), "the accounts cannot be read"),
        (("monitor", "--accounts", "missing.toml", "--task", "t"), "the file says which tasks"),
        (
            ("monitor", "--accounts", "missing.toml", "--account", "a", "--token-file", "f"),
            "leave out --account and --token-file, and unset TITAN_ACCOUNT and TITAN_TOKEN_FILE",
        ),
        (("monitor", "--all", "--task", "t", "--url", "https://api.example"), "either everything is watched"),
        (("monitor", "--listen", "nowhere", "--url", "https://api.example", "--token", TOKEN), "no place to listen"),
        (("monitor", "--journal", "memory:", "--url", "https://api.example", "--token", TOKEN), "that others can read"),
        (("monitor", "--journal", "x:y", "--url", "https://api.example", "--token", TOKEN), "there is no journal at"),
        (("monitor", "", "--url", "https://api.example", "--token", TOKEN), "an execution is named by its id"),
        (("subscribe", "--name", "n", "--on", "failed"), "--exec CMD"),
        (("subscribe", "--name", "n", "--on", "failed", "true"), "--exec CMD"),
        (("subscribe", "--on", "failed", "--exec", "true"), "--name NAME"),
        (("subscribe", "--name", "n", "--exec", "true"), "--on failed"),
        (("subscribe", "--name", "n", "--on", ",", "--journal", "x.db", "--exec", "true"), "say for which events"),
        (
            ("subscribe", "--name", "n", "--on", "faild", "--journal", "sqlite:///x.db", "--exec", "true"),
            "mean failed?",
        ),
        (("subscribe", "--name", "n", "--on", "finishd", "--journal", "x.db", "--exec", "true"), "mean finished?"),
        (("subscribe", "--name", "n", "--on", "mail", "--journal", "x.db", "--exec", "true"), "anomaly:KIND"),
        (
            ("subscribe", "--name", "n", "--on", "anomaly:x", "--journal", "sqlite:///x.db", "--exec", "true"),
            "kinds are",
        ),
        (("subscribe", "--name", "n", "--on", "failed", "--journal", "x.db", "--exec", "no-such-one"), "no program"),
        (
            (
                "subscribe",
                "--name",
                "n",
                "--on",
                "failed",
                "--since",
                "ever",
                "--url",
                "https://a.example",
                "--exec",
                "true",
            ),
            "no time",
        ),
        (("subscribe", "--name", "n", "--on", "failed", "--exec", "true"), "TITAN_API_URL"),
        (("subscribe", "--name", "n", "--on", "failed", "--journal", "memory:", "--exec", "true"), "that lasts"),
    ],
    ids=lambda value: " ".join(value)[-40:] if isinstance(value, tuple) else None,
)
@pytest.mark.parametrize("form", ["text", "json"])
def test_what_cannot_work(titan, monkeypatch, tmp_path, form, arguments, told):
    """Wrong usage is code 2 and one line that says what to do, in the form of the log."""
    monkeypatch.chdir(tmp_path)
    command, *rest = arguments
    result = titan(command, "--log-format", form, *rest)
    assert result.exit_code == 2
    assert told in " ".join(result.stderr.split())
    if form == "json" and "Usage" not in result.stderr:
        assert json.loads(result.stderr)["level"] == "error"


def test_a_port_for_probes_that_is_taken(titan, service, journal):
    """A port that is taken ends it before anything is asked, with what to do."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        place = f"127.0.0.1:{taken.getsockname()[1]}"
        result = titan("monitor", "--listen", place, "--journal", journal, "--log-format", "text", service=service)
    assert (result.exit_code, "name another port" in result.stderr) == (2, True)
    assert not service.requests


def test_logs_for_people(begin, service, journal):
    """In text the log is lines with time, level and account."""
    process = begin("monitor", "--log-format", "text", "--journal", journal, "--listen", "off", service=service)
    until(lambda: any("leads the account" in line for line in process.lines))
    process.ended()
    assert re.match(rf"\d{{4}}-\S+Z info    {re.escape(service.url)}: leads the account\n", process.lines[0])


def script(path, code):
    """Write a program that is run for events."""
    path.write_text(f"#!{sys.executable}\n{code}")
    path.chmod(0o755)
    return path


@pytest.fixture
def monitor(begin, service, journal):
    """A monitor that has seen both executions run and fail."""
    process = begin("monitor", "--journal", journal, "--listen", "off", service=service)
    until(lambda: written(journal) == 2)
    fail(service)
    until(lambda: written(journal) == 4)
    yield process
    assert process.ended()[0] == 143


def test_a_program_for_each_event(begin, monitor, service, journal, tmp_path):
    """What a monitor writes down is handed to a program, with its own options untouched, once for each event."""
    program = script(
        tmp_path / "program",
        "import json, os, sys\nevent = json.load(sys.stdin)\n"
        "open('calls', 'a').write(f\"{event['id']} {os.environ['TITAN_EVENT_ID']} {event['dest']} \"\n"
        "    f\"{' '.join(sys.argv[1:])} {os.environ.get('TITAN_TOKEN')}\\n\")\nprint(event['id'])\n",
    )
    process = begin(
        "subscribe",
        "--name",
        "page",
        "--on",
        "failed,completed",
        "--on",
        "paused",
        "--since",
        "beginning",
        "--journal",
        journal,
        "--exec",
        program,
        "--name",
        "other",
        service=service,
    )
    calls = tmp_path / "calls"
    until(lambda: calls.exists() and calls.read_text().count("\n") == 2)
    assert sorted(calls.read_text().splitlines()) == [
        f"{name}:2 {name}:2 failed --name other None" for name in ("a", "b")
    ]
    code, out = process.ended()
    assert (code, sorted(out.split())) == (143, ["a:2", "b:2"])


def test_a_program_that_fails_or_hangs(begin, titan, monitor, journal, tmp_path):
    """One that fails has its attempts and one that hangs is killed; both end as dead letters, and the log says why."""
    program = script(
        tmp_path / "program",
        "import os, sys, time\nopen('calls', 'a').write(os.environ['TITAN_EXECUTION_ID'] + ' ')\n"
        "print('no paper', file=sys.stderr, flush=True)\n"
        "time.sleep(300) if os.environ['TITAN_EXECUTION_ID'] == 'a' else sys.exit(75)\n",
    )
    options = ("--since", "beginning", "--retries", 1, "--backoff", 0.1, "--timeout", 1, "--at-once", 2)
    arguments = ("subscribe", "--name", "page", "--on", "failed", *options, "--journal", journal, "--exec", program)
    process = begin(*arguments)
    until(lambda: sum("was given up" in record["message"] for record in process.log) == 2)
    assert sorted((tmp_path / "calls").read_text().split()) == ["a", "a", "b", "b"]
    assert sum("no paper" in record["message"] and record["logger"].endswith(".command") for record in process.log) == 4
    assert process.ended()[0] == 143
    letters = titan("deliveries", "--dead", "--journal", journal).stdout
    assert "given up after 2 attempts: " in letters
    assert "was killed: it had not ended after 1 s" in letters
    assert "asks for another attempt: no paper" in letters


def test_sigterm_lets_a_run_come_to_its_end(begin, monitor, journal, tmp_path):
    """A program that is under way has as long as --drain says; then it is ended, and its event comes again."""
    program = script(
        tmp_path / "program",
        "import os, sys, time\nif os.environ['TITAN_EXECUTION_ID'] == 'b': sys.exit()\n"
        "open('begun', 'a').write('x')\ntime.sleep(float(sys.argv[1]))\nopen('done', 'a').write('x')\n",
    )
    begun, done = tmp_path / "begun", tmp_path / "done"
    for drain, seconds, count in ((0.2, 300, 0), (20, 1.5, 1)):
        begun.unlink(missing_ok=True)
        process = begin(
            *("subscribe", "--name", "page", "--on", "failed", "--since", "beginning", "--journal", journal),
            *("--drain", drain, "--exec", program, seconds),
        )
        until(begun.exists)
        at = time.monotonic()
        assert process.ended()[0] == 143
        assert time.monotonic() - at < 10
        assert (len(done.read_text()) if done.exists() else 0) == count


def test_a_second_program_of_one_name(begin, monitor, journal):
    """In a journal where only one program can have a subscription the second one is told so."""
    arguments = ("subscribe", "--name", "page", "--on", "failed", "--journal", journal, "--exec", "true")
    first = begin(*arguments)
    until(lambda: written(journal, "subscriptions"))
    second = begin(*arguments)
    assert second.process.wait(timeout=30) == 1
    assert second.until("is used by")["level"] == "error"
    first.ended()


def test_a_journal_that_is_away_is_waited_for(titan, monkeypatch, journal):
    """A journal that cannot be reached is tried again; what no waiting helps with ends it."""
    errors = [
        JournalUnavailableError("it is away"),
        JournalUnavailableError("it is away"),
        JournalDamagedError("broken"),
    ]

    async def run(self):
        raise errors.pop(0)

    monkeypatch.setattr(Subscriber, "run", run)
    monkeypatch.setattr(Setback, "delay_s", lambda *_: 0.01)
    arguments = ("--name", "page", "--on", "failed", "--journal", journal, "--log-format", "json", "--exec", "true")
    result = titan("subscribe", *arguments)
    told = [json.loads(line)["message"] for line in result.stderr.splitlines()]
    assert (result.exit_code, told[-1]) == (1, "ended: broken")
    assert (
        sum("the journal cannot be followed at present; next attempt in 0.0 s: it is away" in one for one in told) == 2
    )


def test_every_kind_of_event_can_be_named():
    """Statuses and the other kinds are registered as one handler, however they are written."""
    events = ("finished,transition", "results-ready", "anomaly", "anomaly:blind", "anomaly-cleared:blind", "paused")
    wish = Subscribed(command=("true",), events=events, name="n", journal="x", tasks=("t",), retries=0, backoff_s=2.0)
    (handler,) = wish.handlers()
    assert [(one.about, sorted(one.values)) for one in handler.filters] == [
        ("finish", []),
        ("transition", []),
        ("results", []),
        ("anomaly", []),
        ("anomaly", ["blind"]),
        ("cleared", ["blind"]),
        ("enter", ["paused"]),
    ]
    assert (handler.name, handler.retries, handler.backoff, handler.tasks) == ("n", 0, 2.0, {"t"})


def test_where_it_begins():
    """A time is what it says; an age is that long ago; what is neither is refused."""
    assert (since_of("now"), since_of("beginning")) == ("now", "beginning")
    assert since_of("2026-03-01T08:00Z") == datetime(2026, 3, 1, 8, tzinfo=UTC)
    assert since_of("2026-03-01T08:00+02:00") == datetime(2026, 3, 1, 6, tzinfo=UTC)
    assert abs(since_of("2h") - (datetime.now(UTC) - timedelta(hours=2))) < timedelta(minutes=1)
    for text in ("", "ever", "9999999999d", "2026-13-01"):
        with pytest.raises(ConfigurationError, match="no time"):
            since_of(text)


@pytest.mark.parametrize(
    ("journal", "account", "where"),
    [
        ("nats://h:1", None, "nats://h:1"),
        ("nats://h:1", "a b", "nats://h:1?account=a%20b"),
        ("nats://h:1?lease=5", "shop", "nats://h:1?lease=5&account=shop"),
        ("tls://h:1?account=news", "shop", "tls://h:1?account=news"),
        ("sqlite:///x.db", "shop", "sqlite:///x.db"),
    ],
)
def test_whose_journal_is_meant(journal, account, where):
    """An account that is named is told to a journal that holds several."""
    wish = Subscribed(command=("true",), events=("failed",), name="n", journal=journal, account=account)
    assert wish.where() == where


def test_a_line_of_the_log_does_not_send_to_the_log():
    """Probes say to look into the log; the log itself has what there is to see."""
    told = setback(JournalDamagedError("it is torn"))
    assert (told.reason, told.cause) == ("the journal is damaged: see the log", "the journal is damaged")
