"""The page that Prometheus reads, of real processes, and the dashboard and the alerts held against it."""

from __future__ import annotations

import asyncio
import json
import os
import re
import sys
import threading
from contextlib import AsyncExitStack
from pathlib import Path

import aiohttp
import pytest
import yaml
from exported import HIDDEN, true
from prometheus_client import generate_latest
from scraping import SCRAPED, Process, monitor_of, named_in, program_of, samples_of
from tokens import TOKEN

from titan_state.emulator import Faults, Plan, Scenario, Step, TaskServiceEmulator, When
from titan_state.service.probes import Probes
from titan_state.telemetry import MetricsPage, OpenTelemetry
from titan_state.telemetry.catalog import METRICS

pytestmark = pytest.mark.timeout(120)

GRAFANA = Path(__file__).parents[2] / "examples" / "grafana"
BOARD = json.loads((GRAFANA / "titan-state.json").read_text(encoding="utf-8"))
ALERTS = yaml.safe_load((GRAFANA / "alerts.yaml").read_text(encoding="utf-8"))
CALLBACKS = "Callbacks, in programs that are measured themselves"


def plans():
    yield from (Plan(id=f"e{number}", task_id="t", steps=[Step("running", 1.0)]) for number in range(4))
    yield Plan(id="odd", task_id="t", steps=[Step("archiving", 1.0), Step("running", 2.0)])


@pytest.fixture
async def service():
    async with TaskServiceEmulator(Scenario(plans()), token=TOKEN, per_minute=None) as emulator:
        yield emulator


async def scraped(process, condition):
    """Return the samples of a page once they fulfil a condition."""
    for _ in range(400):
        samples = await process.samples()
        if condition(samples):
            return samples
        await asyncio.sleep(0.1)
    return pytest.fail(f"it never came true: {sorted(samples)}")


def value(samples, name, **labels):
    return sum(number for told, number in samples.get(name, ()) if labels.items() <= told.items())


def _errors(samples):
    """Return how requests have failed."""
    requests = samples.get("http_client_request_duration_seconds_count", ())
    return {labels["error_type"] for labels, _ in requests if labels.get("error_type")}


@pytest.fixture
async def exposed(service, tmp_path):
    """What the two processes expose after failures, anomalies, actions, dead letters: by the row of the dashboard."""
    journal = f"sqlite:///{tmp_path}/monitor.db"
    environ = {**os.environ, "TITAN_API_URL": service.url, "TITAN_TOKEN": TOKEN}
    command = (sys.executable, "-m", "titan_state")
    async with AsyncExitStack() as stack:
        monitor = await stack.enter_async_context(monitor_of(service, journal, "--account", "shop"))
        program = await stack.enter_async_context(program_of(service, f"sqlite:///{tmp_path}/program.db"))
        subscribe = await asyncio.create_subprocess_exec(
            *command, "subscribe", "--name", "failing", "--on", "failed", "--retries", "0", "--account", "shop",
            "--journal", journal, "--exec", sys.executable, "-c", "raise SystemExit(1)",
            env=environ, stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL,
        )  # fmt: skip
        try:
            await scraped(monitor, lambda now: value(now, "titan_state_executions", titan_state_status="running") >= 4)
            await scraped(monitor, lambda now: "titan_state_subscription_waiting" in now)
            acting = await asyncio.create_subprocess_exec(
                *command, "pause", "e3", "--account", "shop", "--journal", journal, env=environ,
                stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL,
            )  # fmt: skip
            assert await acting.wait() == 0
            service.faults = Faults(server_error=When(every=3), spurious_429=When(every=4), spurious_reset_s=0.5)
            await scraped(monitor, lambda now: value(now, "titan_state_request_throttled_total"))
            await scraped(monitor, _errors)
            service.faults = Faults()
            service.move("e0", "failed")
            service.move("e1", "completed")
            await scraped(
                program,
                lambda now: value(
                    now, "titan_state_delivery_finished_total", titan_state_delivery_outcome="dead_letter"
                ),
            )
            await scraped(
                monitor,
                lambda now: value(now, "titan_state_subscription_dead_letters", titan_state_subscription="failing"),
            )
            await scraped(
                monitor,
                lambda now: value(now, "titan_state_anomaly_cleared_total", titan_state_anomaly_kind="unknown_status"),
            )
            yield await monitor.samples(), await program.samples()
        finally:
            subscribe.terminate()
            await subscribe.wait()
    assert TOKEN not in "".join([*monitor.lines, *program.lines])


def panels():
    """Hand out the panels of the dashboard that show something, each with the title of its row."""
    row = ""
    for panel in BOARD["panels"]:
        if panel["type"] == "row":
            row = panel["title"]
        else:
            yield row, panel


def holds(expression, samples, told=()):
    """Check that a query names metrics that are exposed, with labels that they have."""
    metrics, grouped = named_in(expression)
    assert metrics
    for name, labels in metrics.items():
        assert name in samples, name
        known = {label for sample, _ in samples[name] for label in sample} | SCRAPED
        assert labels | grouped <= known, (name, labels | grouped, known)
        for label in told:
            assert label in known, (name, label)


async def test_the_dashboard_and_the_alerts_name_what_is_exposed(exposed):
    """Every query of the dashboard and of the alerts is of metrics and labels that real processes expose."""
    monitor, program = exposed
    seen = set()
    for row, panel in panels():
        samples = program if row == CALLBACKS else monitor
        for target in panel["targets"]:
            expression = target["expr"]
            holds(expression, samples, re.findall(r"\{\{(\w+)\}\}", target["legendFormat"]))
            assert all(
                'titan_state_account=~"$account"' in selector for selector in re.findall(r"\{[^}]*\}", expression)
            )
            seen |= set(named_in(expression)[0])
    for rule in ALERTS["groups"][0]["rules"]:
        metrics, grouped = named_in(rule["expr"])
        holds(rule["expr"], monitor)
        shown = re.findall(r"\$labels\.(\w+)", json.dumps(rule["annotations"]))
        assert set(shown) <= grouped
        assert set(rule["annotations"]) == {"summary", "description"}
        seen |= set(metrics)
    (variable,) = [one for one in BOARD["templating"]["list"] if one["name"] == "account"]
    name, label = re.fullmatch(r"label_values\((\w+), (\w+)\)", variable["definition"]).groups()
    assert label in monitor[name][0][0]
    everything = {name for name in {**monitor, **program} if name.startswith(("titan_state_", "http_", "messaging_"))}
    parts = re.compile(r"_(bucket|sum|count|created)$")
    shown = {parts.sub("", name) for name in seen}
    assert {parts.sub("", name) for name in everything} == shown
    assert len(shown) == len(METRICS)


def test_panels_say_what_they_show():
    """Each panel has a title of its own, a description, a unit, a place, and the data source of the page."""
    titles = [panel["title"] for _, panel in panels()]
    assert len(titles) == len(set(titles)) > 20
    places = set()
    for _, panel in panels():
        assert panel["description"].endswith(".")
        assert panel["fieldConfig"]["defaults"]["unit"]
        assert panel["datasource"] == {"type": "prometheus", "uid": "${datasource}"}
        place = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not cells & places
        assert place["x"] + place["w"] <= 24
        places |= cells
    assert len({panel["id"] for panel in BOARD["panels"]}) == len(BOARD["panels"])
    assert [one["name"] for one in BOARD["templating"]["list"]] == ["datasource", "account"]
    assert BOARD["schemaVersion"] >= 39


async def test_the_page_of_a_monitor(service, tmp_path):
    """The page is text of Prometheus, or OpenMetrics where that is asked for; it names no execution and no token."""
    async with monitor_of(service, f"sqlite:///{tmp_path}/j.db", "--account", "shop") as process:
        await scraped(process, lambda now: value(now, "titan_state_executions", titan_state_status="running") >= 4)
        status, headers, text = await process.get()
        assert (status, headers["Content-Type"]) == (200, "text/plain; version=0.0.4; charset=utf-8")
        assert (headers["Cache-Control"], headers["Vary"]) == ("no-store", "Accept")
        assert not re.search(r'"(e\d|odd)"', text)
        assert TOKEN not in text
        assert value(samples_of(text), "process_resident_memory_bytes") > 0
        assert 'service_name="titan-state"' in text
        status, headers, text = await process.get(
            Accept="application/openmetrics-text;version=1.0.0;q=0.5,text/plain;q=0.1"
        )
        assert headers["Content-Type"].startswith("application/openmetrics-text; version=1.0.0; charset=utf-8")
        assert text.endswith("# EOF\n")
        _, headers, _ = await process.get(Accept_Encoding="gzip")
        assert headers["Content-Encoding"] == "gzip"
        assert (await process.get("/"))[2] == '{"error": "ask /livez, /readyz, /status or /metrics"}\n'


async def test_without_metrics(service, tmp_path):
    """Where metrics are not wanted there are none, and nobody is told of them."""
    async with monitor_of(service, f"sqlite:///{tmp_path}/j.db", "--no-metrics") as process:
        assert (await process.get())[0] == 404
        assert (await process.get("/"))[2] == '{"error": "ask /livez, /readyz or /status"}\n'


async def test_a_page_that_cannot_be_made(caplog):
    """A page that cannot be made costs one scrape, and is told in the log; the next one is answered."""

    class Broken:
        fails = True

        async def render(self, accept):
            if self.fails:
                raise RuntimeError("a mistake")
            return b"x 1\n", "text/plain"

    page = Broken()
    async with Probes(dict, ("127.0.0.1", 0), metrics=page) as probes, aiohttp.ClientSession(probes.url) as session:
        async with session.get("/metrics") as answer:
            assert answer.status == 500
        page.fails = False
        async with session.get("/metrics") as answer:
            assert (answer.status, await answer.read()) == (200, b"x 1\n")
    assert "a mistake" in caplog.text


@pytest.mark.parametrize("kind", ["application/openmetrics-text", "text/plain"])
@pytest.mark.parametrize("version", ["abc", "1.x", ";", "1.0.0;escaping=no"])
async def test_whoever_asks_in_a_strange_way_is_answered(caplog, kind, version):
    """A version that is none is no mistake of ours: the page comes, and anybody could fill the log otherwise."""
    page = MetricsPage()
    async with (
        Probes(dict, ("127.0.0.1", 0), metrics=page) as probes,
        aiohttp.ClientSession(probes.url) as session,
        session.get("/metrics", headers={"Accept": f"{kind}; version={version}"}) as answer,
    ):
        assert answer.status == 200
        assert b"process_max_fds" in await answer.read()
    page.close()
    assert caplog.text == ""


async def test_many_who_ask_hold_up_nobody_else():
    """Pages are made in a thread of their own: those of the loop, in which files are read and written, stay free."""
    page, is_free = MetricsPage(), threading.Event()
    page.meter_provider.get_meter("other").create_observable_gauge("slow", [lambda _: [is_free.wait(20)][:0]])
    asked = [asyncio.create_task(page.render("")) for _ in range(64)]  # more than the loop has threads
    await asyncio.sleep(0)
    await asyncio.to_thread(is_free.set)
    assert all(b"process_max_fds" in content for content, _ in await asyncio.gather(*asked))
    page.close()


@pytest.mark.parametrize(
    ("environ", "name"),
    [
        ({}, "titan-state"),
        ({"OTEL_SERVICE_NAME": "shop"}, "shop"),
        ({"OTEL_RESOURCE_ATTRIBUTES": "service.name=shop,deployment.environment.name=test"}, "shop"),
        ({"OTEL_RESOURCE_ATTRIBUTES": "deployment.environment.name=test"}, "titan-state"),
    ],
)
async def test_a_service_is_called_as_its_environment_says(monkeypatch, environ, name):
    """Both variables of OpenTelemetry name it; without a name it is called after the program."""
    for variable in ("OTEL_SERVICE_NAME", "OTEL_RESOURCE_ATTRIBUTES"):
        monkeypatch.delenv(variable, raising=False)
    for variable, value_ in environ.items():
        monkeypatch.setenv(variable, value_)
    page = MetricsPage(member="one")
    page.meter_provider.get_meter("other").create_counter("fine").add(1)
    content, _ = await page.render("")
    page.close()
    (info,) = [line for line in content.decode().splitlines() if line.startswith("target_info{")]
    assert f'service_name="{name}"' in info
    assert 'service_instance_id="one"' in info
    assert ("deployment_environment_name" in info) == ("OTEL_RESOURCE_ATTRIBUTES" in environ)


async def test_a_callback_of_somebody_that_fails(caplog):
    """An instrument of the same provider whose callback raises is left out, and the page is made."""
    page = MetricsPage(member="one")

    def fail(options):
        raise RuntimeError("a mistake")

    page.meter_provider.get_meter("other").create_observable_gauge("broken", [fail])
    page.meter_provider.get_meter("other").create_counter("fine").add(1)
    OpenTelemetry(meter_provider=page.meter_provider).instrument("shop", str).published(())
    text, _ = await page.render("")
    samples = samples_of(text.decode())
    assert value(samples, "fine_total") == 1
    assert "broken" not in samples
    assert samples["target_info"][0][0]["service_instance_id"] == "one"
    assert value(samples, "titan_state_anomaly_detected_total") == 0
    page.close()


async def test_the_loop_goes_on_while_the_page_is_made(service):
    """Scrapes side by side are each whole, and the loop turns meanwhile."""
    from titan_state import Monitor

    page, turns = MetricsPage(), []

    async def turn():
        while True:
            turns.append(1)
            await asyncio.sleep(0)

    telemetry = OpenTelemetry(meter_provider=page.meter_provider)
    async with Monitor(service.url, service.token, telemetry=telemetry):
        turning = asyncio.create_task(turn())
        texts = await asyncio.gather(*(page.render("") for _ in range(8)))
        turning.cancel()
    assert len(turns) > 8
    leading = [value(samples_of(text.decode()), "titan_state_leader_active") for text, _ in texts]
    assert leading == [1.0] * 8
    page.close()


async def test_a_loop_that_is_busy_is_not_waited_for_long(service, monkeypatch):
    """Where the loop does not answer, the last numbers are told; so they are where it is gone."""
    from titan_state import Monitor
    from titan_state.telemetry import sources

    monkeypatch.setattr(sources, "PATIENCE_S", 0.05)
    page = MetricsPage()
    async with Monitor(service.url, service.token, telemetry=OpenTelemetry(meter_provider=page.meter_provider)) as one:
        await page.render("")
        one._figures.has_led = False
        page_here = generate_latest(page._registry)  # on the loop itself, which cannot wait for itself
        assert value(samples_of(page_here.decode()), "titan_state_leader_active") == 0
        one._figures.has_led = True
        source = one._measures._source
        for loop in (Busy(), Gone()):
            source._loop = loop
            text, _ = await page.render("")
            assert value(samples_of(text.decode()), "titan_state_leader_active") == 0
    page.close()


class Busy:
    """A loop that does not come to what it is asked for."""

    def call_soon_threadsafe(self, work):
        pass


class Gone:
    """A loop that was closed."""

    def call_soon_threadsafe(self, work):
        raise RuntimeError("Event loop is closed")


async def test_the_command_says_what_is_missing(service, tmp_path):
    """What cannot be had is said at the start: without the extra, and without a place to answer."""
    journal = f"sqlite:///{tmp_path}/j.db"
    with pytest.raises(AssertionError, match="give --listen HOST:PORT, or --no-metrics"):
        async with monitor_of(service, journal, "--metrics", "--listen", "off"):
            pass
    code = f"""{HIDDEN}
from titan_state.cli import main
sys.argv = ["titan-state", "monitor", "--metrics", "--journal", {journal!r}, "--listen", "127.0.0.1:0"]
main()
"""
    environ = {"TITAN_API_URL": service.url, "TITAN_TOKEN": TOKEN}
    with pytest.raises(AssertionError, match=r"pip install .*titan-state\[otel\]"):
        async with Process("-c", code, environ=environ):
            pass
    async with Process("-c", code.replace('"--metrics", ', ""), environ=environ) as process:
        assert (await process.get())[0] == 404
    await true(lambda: process.process.returncode is not None)
