"""The server: what it answers to a program that asks as the page does, and to one that does not."""

from __future__ import annotations

import asyncio
import json
from contextlib import asynccontextmanager
from urllib.parse import quote

import aiohttp
import pytest

from titan_state import ConfigurationError, Monitor, RequestBudget, Thresholds
from titan_state.dashboard.server import Dashboard
from titan_state.dashboard.sources import JournalSource, MonitorSource
from titan_state.emulator import Faults, Plan, Step, TaskServiceEmulator
from titan_state.journal.sqlite import SqliteJournal

TOKEN = "secret-0123456789-never-shown"
NASTY = "<img src=x onerror=alert(1)>"


@pytest.fixture
async def service():
    async with TaskServiceEmulator(per_minute=None, token=TOKEN) as emulator:
        yield emulator


class Client:
    """Asks a dashboard as its page does; every answer is looked through for the service's token."""

    def __init__(self, dashboard, session):
        self.dashboard = dashboard
        self.session = session
        self.base = dashboard.url.partition("/#")[0]

    async def ask(self, path, method="GET", **options):
        headers = {"Authorization": f"Bearer {self.dashboard.token}"} | options.pop("headers", {})
        async with self.session.request(method, self.base + path, headers=headers, **options) as answer:
            body = await answer.read()
            self.headers = answer.headers
            assert TOKEN.encode() not in body + str(answer.headers).encode()
            is_json = answer.content_type == "application/json"
            return answer.status, json.loads(body) if is_json else body.decode()

    async def post(self, path, **question):
        return await self.ask(path, "POST", json=question)

    async def execution(self, name):
        status, shown = await self.ask(f"/api/execution?id={quote(name, safe='')}")
        assert status == 200, shown
        return shown

    async def until(self, name, is_so):
        async with asyncio.timeout(20):
            while True:
                status, shown = await self.ask(f"/api/execution?id={quote(name, safe='')}")
                if status == 200 and shown["row"] and is_so(shown):
                    return shown
                await asyncio.sleep(0.02)

    @asynccontextmanager
    async def stream(self):
        """Read the stream: yields a function that returns the next message."""
        headers = {"Authorization": f"Bearer {self.dashboard.token}"}
        async with self.session.get(f"{self.base}/api/stream", headers=headers) as answer:
            assert answer.status == 200
            assert answer.content_type == "text/event-stream"

            async def take():
                kind = None
                async with asyncio.timeout(20):
                    while line := (await answer.content.readline()).decode():
                        assert TOKEN not in line
                        if line.startswith("event: "):
                            kind = line[7:].strip()
                        elif line.startswith("data: "):
                            return kind, json.loads(line[6:])
                return None, None

            yield take


def cause_of(shown, status):
    """Return what caused the last move into a status."""
    return next((event["cause"] for event in reversed(shown["events"]) if event["status"] == status), None)


@pytest.fixture
async def session():
    async with aiohttp.ClientSession(read_bufsize=1 << 24) as made:
        yield made


@pytest.fixture
async def monitor(service):
    budget, thresholds = RequestBudget(per_minute=60_000), Thresholds(replica_lag_s=0.1, stuck_queued_s=0.5)
    async with Monitor(service.url, TOKEN, budget=budget, thresholds=thresholds, drain_s=0) as made:
        yield made


@pytest.fixture
async def client(monitor, session):
    async with Dashboard(MonitorSource(monitor)) as dashboard:
        yield Client(dashboard, session)


async def test_the_page_and_its_files(client):
    """The page comes with everything it needs from this server, which no other page may use."""
    status, page = await client.ask("/")
    assert (status, client.headers["Content-Type"]) == (200, "text/html; charset=utf-8")
    assert "<title>" in page
    policy = client.headers["Content-Security-Policy"]
    for rule in ("default-src 'none'", "script-src 'self'", "frame-ancestors 'none'", "trusted-types 'none'"):
        assert rule in policy
    assert "unsafe" not in policy
    assert client.headers["X-Content-Type-Options"] == "nosniff"
    assert client.headers["Cache-Control"] == "no-store"
    status, _ = await client.ask("/static/figures.css")
    assert (status, client.headers["Content-Type"]) == (200, "text/css; charset=utf-8")
    for name in ("server.py", "%2e%2e%2fserver.py", "..%2fserver.py", "x.js", "__init__.py"):
        assert (await client.ask(f"/static/{name}"))[0] == 404


async def test_one_execution(client, monitor, service):
    """What is known of an execution comes as text, whatever is in it."""
    service.add(Plan(id=NASTY, task_id="t", steps=[Step("running"), Step("failed", 0.1)], error=NASTY))
    await monitor.wait(NASTY, check=False, timeout=20)
    shown = await client.execution(NASTY)
    assert client.headers["Content-Type"].startswith("application/json")
    assert shown["execution"]["error"] == NASTY
    assert shown["row"][2] == "failed"
    assert [event["status"] for event in shown["events"]][-1] == "failed"
    assert shown["earlier"] == 0
    assert {one["action"]: one["allowed"] for one in shown["actions"]} == {
        "pause": False,
        "resume": False,
        "stop": False,
    }
    assert "terminal" in shown["actions"][0]["reason"]
    assert [one["status"] for one in shown["durations"]][-1] == "running"
    assert shown["outputs"]["state"] == "none"


async def test_what_nobody_knows(client):
    """An execution of which nothing is known is not found, and one has to be named."""
    assert (await client.ask("/api/execution?id=x"))[0] == 404
    assert (await client.ask("/api/timeline?id=x"))[0] == 404
    status, told = await client.ask("/api/execution")
    assert (status, told["error"]) == (400, "no execution is named: add ?id= and its id")


async def test_a_timeline_is_drawn(client, monitor, service):
    """The timeline is a picture without scripts and styles of its own, in which text stays text."""
    service.add(Plan(id=NASTY, steps=[Step("running"), Step("completed", 0.1)]))
    await monitor.wait(NASTY, timeout=20)
    for width in ("", "&width=400", "&width=99999999999", "&width=x", "&width=-1"):
        status, picture = await client.ask(f"/api/timeline?id={quote(NASTY)}{width}")
        assert (status, client.headers["Content-Type"]) == (200, "image/svg+xml; charset=utf-8")
        assert picture.lstrip().startswith("<svg")
        assert "<img" not in picture
        assert "<style" not in picture
        assert " style=" not in picture


async def test_a_timeline_is_told_by_the_clocks_of_the_page(client, monitor, service):
    """The page says how far its clocks are ahead of UTC; what makes no sense counts as little as it can."""
    service.add(Plan(id="a", steps=[Step("running"), Step("completed", 0.1)]))
    await monitor.wait("a", timeout=20)
    for offset, told in (("330", "UTC+05:30"), ("-60", "UTC-01:00"), ("999999", "UTC+16:00"), ("x", "UTC")):
        status, picture = await client.ask(f"/api/timeline?id=a&offset={offset}")
        assert (status, f"{told}<" in picture) == (200, True)


async def test_a_very_long_id(client, monitor, service):
    """The service chooses ids: one of ten thousand characters can be asked for."""
    name = "ü" * 5000
    service.add(Plan(id=name, steps=[Step("running"), Step("completed", 0.1)]))
    async with client.stream() as take:
        await take()
        monitor.watch_all()
        shown = await client.until(name, lambda shown: shown["row"][2] == "completed")
        assert shown["execution"]["id"] == name


async def test_the_model_is_drawn(client, monitor):
    """The model is a picture with a place for the count of each status."""
    status, picture = await client.ask("/api/model")
    assert status == 200
    for name in monitor.lifecycle.statuses:
        assert f'data-count="{name}"' in picture


async def test_control(client, monitor, service):
    """An action goes through the monitor; one that the status does not allow is refused here, with the reason."""
    service.add(Plan(id="a", steps=[Step("running")]))
    monitor.watch("a")
    async with client.stream() as take:
        while (await take())[0] != "state":
            pass
        await client.until("a", lambda shown: shown["row"][2] == "running")
        status, told = await client.post("/api/act", id="a", action="resume")
        assert (status, "resume" in told["error"]) == (409, True)
        assert [one for one in service.requests if one.method == "POST"] == []
        status, told = await client.post("/api/act", id="a", action="pause")
        assert (status, "pause was accepted" in told["text"]) == (200, True)
        shown = await client.until("a", lambda shown: cause_of(shown, "paused"))
        assert {event["type"] for event in shown["events"]} >= {"action_sent", "action_accepted", "transitioned"}
        assert cause_of(shown, "paused") == "action"
        assert (await client.post("/api/act", id="a", action="stop"))[0] == 200
        await client.until("a", lambda shown: shown["row"][2] == "cancelled")


async def test_the_service_refuses(client, monitor, service):
    """What the service refuses, or does not know, is told in words."""
    service.add(Plan(id="a", steps=[Step("running")]))
    monitor.watch("a")
    async with client.stream() as take:
        await take()
        await client.until("a", lambda shown: shown["row"][2] == "running")
    service.faults = Faults(server_error=1.0)
    status, told = await client.post("/api/act", id="a", action="stop")
    assert status == 502
    assert told["error"]


@pytest.mark.parametrize(
    ("path", "body", "told"),
    [
        ("/api/act", b"{", "the body is no JSON"),
        ("/api/act", b"[" * 100_000, "the body is no JSON"),
        ("/api/act", b"[]", "the body is no JSON object"),
        ("/api/act", b'{"action": "stop"}', "id must be a text"),
        ("/api/act", b'{"id": "a"}', "action must be a text"),
        ("/api/act", b'{"id": "a", "action": "explode"}', "there is no action 'explode'"),
        ("/api/results", b'{"id": 1}', "id must be a text"),
        ("/api/download", b'{"id": "a", "format": "exe"}', "the format must be json or csv"),
    ],
)
async def test_questions_that_make_no_sense(client, service, path, body, told):
    """They are refused with the reason, and nothing is sent to the service."""
    status, shown = await client.ask(path, "POST", data=body, headers={"Content-Type": "application/json"})
    assert status == 400
    assert told in shown["error"]
    assert list(service.requests) == []


async def test_questions_in_strange_clothes(client, service):
    """A character set that there is not, and a body that says it is compressed and is not, are refused as no JSON."""
    for headers in (
        {"Content-Type": "application/json; charset=nonsense"},
        {"Content-Type": "application/json", "Content-Encoding": "gzip"},
    ):
        status, told = await client.ask("/api/act", "POST", data=b'{"id": "a", "action": "stop"}', headers=headers)
        assert status == 400
        assert "Content-Security-Policy" in client.headers, told
    assert list(service.requests) == []


async def test_a_mistake_is_told_as_one(client, monitor, monkeypatch, caplog):
    """A mistake of the dashboard's own is answered as JSON, and logged."""
    monkeypatch.setattr(type(monitor), "known", lambda *_: 1 / 0)
    status, told = await client.ask("/api/execution?id=a")
    assert (status, told) == (500, {"error": "the dashboard made a mistake; its log says which"})
    assert "ZeroDivisionError" in caplog.text


async def test_credentials_in_a_phase_are_not_told(client, monitor, service):
    """What a service writes into the phase comes without credentials."""
    service.add(Plan(id="a", steps=[Step("running")], phases=("get https://x.example/?token=sk_live_1",)))
    monitor.watch("a")
    async with client.stream() as take:
        rows = []
        while not rows or not rows[-1][4]:
            kind, shown = await take()
            rows += shown["rows"] if kind == "rows" else []
        assert rows[-1][4] == "get https://x.example/?token=[redacted]"
    shown = await client.execution("a")
    assert "sk_live" not in json.dumps(shown)


async def test_too_long_a_question(client):
    """A body without end is not read to its end."""
    question = json.dumps({"id": "a" * 1_000_000}).encode()
    status, _ = await client.ask("/api/act", "POST", data=question, headers={"Content-Type": "application/json"})
    assert status == 413


async def test_nothing_without_the_token(client, session):
    """Whoever lacks the token is told nothing, and does nothing."""
    for path in ("/api/stream", "/api/execution?id=a", "/api/timeline?id=a", "/api/model"):
        assert (await client.ask(path, headers={"Authorization": "Bearer x"}))[0] == 401
    for path in ("/api/act", "/api/results", "/api/download"):
        assert (await client.ask(path, "POST", json={}, headers={"Authorization": "Bearer x"}))[0] == 401
    assert (await client.ask("/api/act", headers={"Authorization": "Bearer x"}))[0] == 401
    assert (await client.ask("/api/act"))[0] == 405


async def test_results(client, monitor, service):
    """When results are there it is told, with what the service says of them, and they can be downloaded, once."""
    service.add(Plan(id="a", steps=[Step("running"), Step("completed")], rows=4))
    await monitor.wait("a", timeout=20)
    shown = await client.until("a", lambda shown: shown["outputs"]["state"] == "ready")
    assert shown["outputs"]["row_count"] == 4
    assert shown["outputs"]["can_save"]
    status, loaded = await client.post("/api/results", id="a")
    assert (status, loaded["row_count"]) == (200, 4)
    for form in ("json", "csv"):
        status, told = await client.post("/api/download", id="a", format=form)
        assert status == 200
        status, body = await client.ask(told["url"], headers={"Authorization": ""})
        assert status == 200
        assert client.headers["Content-Disposition"] == f"attachment; filename*=UTF-8''a.{form}"
        assert (json.dumps(body) if form == "json" else body).encode()
        assert (await client.ask(told["url"]))[0] == 404


async def test_results_that_are_not_there(client, monitor, service):
    """Results that cannot be read yet, or never, are told in words."""
    service.add(Plan(id="late", steps=[Step("running"), Step("completed")], results_after_s=None))
    service.add(Plan(id="lives", steps=[Step("running")]))
    await monitor.wait("late", timeout=20)
    monitor.watch("lives")
    shown = await client.until("late", lambda shown: shown["outputs"]["state"] == "awaited")
    assert shown["outputs"]["can_load"]
    assert (await client.post("/api/results", id="late"))[0] == 409
    assert (await client.post("/api/download", id="late", format="json"))[0] == 409
    await client.until("lives", lambda shown: shown["row"][2] == "running")
    status, told = await client.post("/api/results", id="lives")
    assert (status, "running" in told["error"]) == (409, True)


async def test_the_stream(client, monitor, service):
    """The stream tells everything first and then what changes, a line of JSON each."""
    service.add(Plan(id=NASTY, steps=[Step("running", 0.2), Step("completed", 0.4)]))
    monitor.watch(NASTY)
    async with client.stream() as take:
        assert [(await take())[0] for _ in range(4)] == ["hello", "rows", "events", "state"]
        seen = []
        while not seen or seen[-1] != "completed":
            kind, shown = await take()
            seen += [row[2] for row in shown["rows"]] if kind == "rows" else []
        assert set(seen) <= {"queued", "running", "completed"}


async def test_many_pages_at_once(client, monitor, service):
    """Each page is told the same."""
    async with client.stream() as one, client.stream() as two:
        for take in (one, two):
            assert [(await take())[0] for _ in range(4)] == ["hello", "rows", "events", "state"]
        service.add(Plan(id="a", steps=[Step("running")]))
        monitor.watch("a")
        for take in (one, two):
            rows = []
            while not rows:
                kind, shown = await take()
                rows = shown["rows"] if kind == "rows" else []
            assert rows[0][0] == "a"


async def test_leaving_ends_the_streams(monitor, session):
    """A page that is open does not hold up the end."""
    async with Dashboard(MonitorSource(monitor)) as dashboard:
        client = Client(dashboard, session)
        entered = client.stream()
        take = await entered.__aenter__()
        await take()
    async with asyncio.timeout(20):
        while (await take())[0] is not None:
            pass
    await entered.__aexit__(None, None, None)


async def test_a_port_that_is_taken(client, monitor):
    """It says what to do."""
    with pytest.raises(ConfigurationError, match=r"cannot listen on 127.0.0.1.*--port 0"):
        async with Dashboard(MonitorSource(monitor), port=client.dashboard.port):
            pass


@pytest.mark.parametrize("host", ["nosuch.invalid", "x" * 70, "203.0.113.1"])
async def test_a_host_that_is_none_of_this_machine(monitor, host):
    """It says that the host is wrong, and nothing of ports."""
    with pytest.raises(ConfigurationError, match=r"cannot listen on .*as --host$"):
        async with Dashboard(MonitorSource(monitor), host=host):
            pass


async def test_links(monitor):
    """The link names an address that can be opened, and holds the token where browsers do not send it."""
    async with Dashboard(MonitorSource(monitor), host="0.0.0.0") as everywhere:
        assert everywhere.url == f"http://127.0.0.1:{everywhere.port}/#token={everywhere.token}"
        assert not everywhere.is_local
    async with Dashboard(MonitorSource(monitor), host="::1", token="t" * 40) as six:
        assert six.url == f"http://[::1]:{six.port}/#token={'t' * 40}"
        assert six.is_local
    assert Dashboard(MonitorSource(monitor), host="127.0.0.2").is_local
    assert not Dashboard(MonitorSource(monitor), host="board.example").is_local
    with pytest.raises(ConfigurationError, match="name an address"):
        Dashboard(MonitorSource(monitor), host="")


async def test_tokens_differ(monitor):
    """Without one that is given each dashboard has a token of its own."""
    tokens = {Dashboard(MonitorSource(monitor)).token for _ in range(3)}
    assert len(tokens) == 3
    assert min(map(len, tokens)) >= 43


async def test_a_journal_without_a_monitor(session, service, tmp_path):
    """What is written down is shown, nothing can be done, and it is said why."""
    path = tmp_path / "journal.db"
    service.add(Plan(id="a", steps=[Step("running"), Step("completed")], rows=2))
    ready = asyncio.Event()
    async with Monitor(service.url, TOKEN, journal=path, budget=RequestBudget(per_minute=60_000)) as monitor:

        @monitor.on_results_ready(name="ready")
        async def note(event):
            ready.set()

        monitor.watch("a")
        await ready.wait()
    journal = SqliteJournal(path)
    await journal.open()
    try:
        async with Dashboard(JournalSource(journal)) as dashboard:
            client = Client(dashboard, session)
            async with client.stream() as take:
                told = [await take() for _ in range(4)]
                assert [row[2] for row in told[1][1]["rows"]] == ["completed"]
                assert not told[3][1]["is_live"]
                shown = await client.execution("a")
                assert shown["execution"]["status"] == "completed"
                assert shown["outputs"]["state"] == "ready"
                assert not shown["outputs"]["can_save"]
                assert not any(one["allowed"] for one in shown["actions"])
                assert "no monitor is running" in shown["actions"][0]["reason"]
                for path, question in (
                    ("/api/act", {"action": "stop"}),
                    ("/api/results", {}),
                    ("/api/download", {"format": "json"}),
                ):
                    status, told = await client.post(path, id="a", **question)
                    assert (status, "monitor" in told["error"]) == (502, True)
    finally:
        await journal.close()


async def test_a_journal_with_a_monitor(session, service, tmp_path):
    """Control and questions go to the monitor that writes the journal: it shares its budget and explains the moves."""
    path = tmp_path / "journal.db"
    service.add(Plan(id="a", steps=[Step("running")]))
    service.add(Plan(id="b", steps=[Step("running"), Step("completed")], rows=2))
    journal = SqliteJournal(path)
    budget = RequestBudget(per_minute=60_000)
    async with Monitor(service.url, TOKEN, journal=path, budget=budget) as monitor:
        monitor.watch("a", "b")
        await journal.open()
        try:
            async with Dashboard(JournalSource(journal)) as dashboard:
                client = Client(dashboard, session)
                async with client.stream() as take:
                    await take()
                    await client.until("a", lambda shown: shown["row"][2] == "running")
                    assert (await client.post("/api/act", id="a", action="resume"))[0] == 409
                    assert (await client.post("/api/act", id="a", action="pause"))[0] == 200
                    await client.until("a", lambda shown: cause_of(shown, "paused") == "action")
                    await client.until("b", lambda shown: shown["row"][2] == "completed")
                    status, found = await client.post("/api/results", id="b")
                    assert (status, found["row_count"], found["can_save"]) == (200, 2, False)
        finally:
            await journal.close()
