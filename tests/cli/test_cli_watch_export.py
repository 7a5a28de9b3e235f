"""Watching with --export: each success has its file, once, whatever happens meanwhile."""

from __future__ import annotations

import json
import signal
import time

import pytest

from titan_state.cli import watch_export
from titan_state.cli.connection import Connection
from titan_state.core.anomalies import Thresholds
from titan_state.emulator import Faults, Plan, Scenario, Step, Task, When

FAST = ("--per-minute", "60000")
HANGS = Faults(slow=When(probability=1.0, only="/results/export"), slow_s=60.0)


def done(name, status="completed", **given):
    """Return a plan that is over before anybody looks."""
    return Plan(id=name, steps=(Step("running", 0), Step(status, 0)), **given)


def exports(service):
    """Return the executions of which an export was asked for, and answered."""
    paths = [one.path for one in service.requests if one.path.endswith("/results/export") and one.status == 200]
    return sorted(path.split("/")[-3] for path in paths)


def names(directory):
    return sorted(path.name for path in directory.iterdir()) if directory.exists() else []


def until(is_so):
    """Wait for something that another process does."""
    deadline = time.monotonic() + 30
    while not is_so():
        assert time.monotonic() < deadline
        time.sleep(0.02)


@pytest.fixture
def impatient(monkeypatch):
    """Call results overdue after a moment, and wait for news of them for little longer."""
    monitor = Connection.monitor
    thresholds = Thresholds(results_s=0.3, replica_lag_s=0.2)
    monkeypatch.setattr(Connection, "monitor", lambda self, **more: monitor(self, thresholds=thresholds, **more))


@pytest.fixture
def blocked(monkeypatch, tmp_path):
    """Be a place where no file can be put, which is given up soon."""
    monkeypatch.setattr(watch_export, "RETRIES", 1)
    monkeypatch.setattr(watch_export, "BACKOFF_S", 0.01)
    place = tmp_path / "out" / "a.json"
    place.mkdir(parents=True)
    return place


@pytest.mark.parametrize("form", ["json", "csv"])
@pytest.mark.parametrize("journal", [(), ("--no-journal",)], ids=["journal", "no journal"])
def test_what_succeeds_is_exported_before_it_ends(serve, titan, tmp_path, form, journal):
    """The watch ends once everything is exported that has outputs, and says what was."""
    plans = (
        Plan(id="late", steps=(Step("running", 0.2), Step("completed", 0.4)), results_after_s=1.5),
        done("partly", "completed_with_errors", rows=1),
        done("broken", "failed"),
    )
    service = serve(Scenario(plans))
    directory = tmp_path / "new" / "out"
    command = ("watch", "late", "partly", "broken", *FAST, *journal, "--export", directory, "--export-format", form)
    result = titan(*command, service=service)
    assert (result.exit_code, result.stderr) == (0, "")
    assert names(directory) == [f"late.{form}", f"partly.{form}"]
    for name in ("late", "partly"):
        saved = service.export_bytes(name, form)
        assert (directory / f"{name}.{form}").read_bytes() == saved
        assert any(line.startswith(f"exported {directory / name}.{form} (") for line in result.stdout.splitlines())
    assert any(line.endswith("  late  results ready: 3 rows") for line in result.stdout.splitlines())
    assert exports(service) == ["late", "partly"]


def test_json_lines_tell_of_exports(serve, titan, tmp_path):
    """With --json each export is an object beside the events."""
    result = titan("watch", "a", *FAST, "--json", "--export", tmp_path / "out", service=serve(Scenario((done("a"),))))
    assert result.exit_code == 0
    assert all(line.startswith("{") for line in result.stdout.splitlines())
    assert '"type": "results_ready"' in result.stdout
    (told,) = [line for line in map(json.loads, result.stdout.splitlines()) if line["type"] == "exported"]
    place = tmp_path / "out" / "a.json"
    assert (told["execution_id"], told["path"], told["size"]) == ("a", str(place), place.stat().st_size)
    assert told["new"] is True
    assert names(tmp_path / "out") == ["a.json"]


def test_a_second_run_exports_nothing_twice(serve, titan, tmp_path):
    """What an earlier run has exported is there already, and costs no request for results."""
    service = serve(Scenario((done("a"),)))
    command = ("watch", "a", *FAST, "--export", tmp_path / "out")
    assert titan(*command, service=service).exit_code == 0
    count = sum("/results" in one.path for one in service.requests)
    result = titan(*command, service=service)
    assert result.exit_code == 0
    assert f"{tmp_path / 'out' / 'a.json'} was there already" in result.stdout
    assert sum("/results" in one.path for one in service.requests) == count


def test_what_was_ready_before_anybody_wanted_it_is_exported(serve, titan, tmp_path):
    """A run without --export has heard of the results: one with it does not wait for that in vain."""
    service = serve(Scenario((done("a"),)))
    assert titan("watch", "a", *FAST, "--export", tmp_path / "other", service=service).exit_code == 0
    assert "results ready" in titan("history", "a", service=service).stdout
    result = titan("watch", "a", *FAST, "--export", tmp_path / "out", service=service)
    assert result.exit_code == 0, result.stderr
    assert (tmp_path / "out" / "a.json").read_bytes() == service.export_bytes("a")


def test_results_that_come_after_a_restart_are_exported(serve, titan, tmp_path):
    """A run that ends between success and results leaves the export to the next one."""
    service = serve(Scenario((done("a", results_after_s=3.0),)))
    assert titan("wait", "a", *FAST, service=service).exit_code == 0
    result = titan("watch", "a", *FAST, "--export", tmp_path / "out", service=service)
    assert result.exit_code == 0, result.stderr
    assert "results ready" in result.stdout
    assert exports(service) == ["a"]
    assert names(tmp_path / "out") == ["a.json"]


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT], ids=["kill -9", "Ctrl-C"])
def test_one_that_was_ended_meanwhile_is_exported_by_the_next_run(serve, start, titan, tmp_path, number):
    """No half file is left under the name of a whole one, and the next run exports it, once."""
    service = serve(Scenario((done("a", rows=50),)), faults=HANGS)
    command = ("watch", "a", *FAST, "--export", tmp_path / "out")
    process = start(*command, service=service)
    until(lambda: service._backend.dice._counts.get("slow", (None, 0))[1] > 0)  # it has asked, and waits
    process.send_signal(number)
    _, stderr = process.communicate(timeout=30)
    assert process.returncode == (-9 if number == signal.SIGKILL else 130)
    assert "error" not in stderr
    assert names(tmp_path / "out") == []
    service.faults = Faults()
    before = len(exports(service))
    result = titan(*command, service=service)
    assert result.exit_code == 0, result.stderr
    assert names(tmp_path / "out") == ["a.json"]
    assert (tmp_path / "out" / "a.json").read_bytes() == service.export_bytes("a")
    assert len(exports(service)) == before + 1
    assert titan("deliveries", service=service).stdout == ""


def test_all_executions_of_a_task_are_exported_once(serve, start, tmp_path):
    """A watch without end exports what succeeds meanwhile; one that goes on after it exports only what is new."""
    steps = (Step("running", 0.5), Step("completed", 1.5))
    plans = tuple(Plan(id=name, task_id="t", steps=steps) for name in "ab")
    service = serve(Scenario(plans, tasks=(Task(id="t"),)))
    for expected in (["a.json", "b.json"], ["a.json", "b.json", "c.json"]):
        process = start("watch", "--task", "t", *FAST, "--export", tmp_path / "out", service=service)
        until(lambda expected=expected: names(tmp_path / "out") == expected)
        time.sleep(0.5)  # for an export too many
        process.terminate()
        process.communicate(timeout=30)
        assert process.returncode == 143
        service.add(Plan(id="c", task_id="t", steps=steps)) if expected == ["a.json", "b.json"] else None
    assert exports(service) == ["a", "b", "c"]


def test_results_that_are_overdue_end_it_with_1(serve, titan, tmp_path, impatient):
    """It does not wait for ever, says what to check and what to do, and says it again when it is run again."""
    service = serve(Scenario((done("a", results_after_s=None), done("b"))))
    for _ in range(2):
        result = titan("watch", "a", "b", *FAST, "--export", tmp_path / "out", service=service)
        assert result.exit_code == 1
        assert "a: its results are overdue, and were not exported; check first: result ingestion" in result.stderr
        assert names(tmp_path / "out") == ["b.json"]
    assert "anomaly results_overdue" in titan("history", "a", service=service).stdout


def test_results_that_were_overdue_and_came_are_exported(serve, titan, tmp_path, impatient):
    """What an earlier run has given up waiting for is exported by the next one."""
    service = serve(Scenario((done("a", results_after_s=3.0),)))
    command = ("watch", "a", *FAST, "--export", tmp_path / "out")
    assert titan(*command, service=service).exit_code == 1
    until(lambda: service.results_ready("a"))
    result = titan(*command, service=service)
    assert (result.exit_code, names(tmp_path / "out")) == (0, ["a.json"]), result.stderr


def test_a_watch_that_hears_nothing_of_results_asks_itself(serve, titan, tmp_path, monkeypatch):
    """Where the service refuses to tell of results, it ends with the reason."""
    monkeypatch.setattr(watch_export, "PATIENCE_S", 1.0)
    service = serve(Scenario((done("a"),)), scopes=["tasks:read", "executions:read"])
    result = titan("watch", "a", *FAST, "--export", tmp_path / "out", service=service)
    assert result.exit_code == 1
    assert "a: its export was given up: " in result.stderr
    assert "the token lacks a scope" in result.stderr
    assert result.stderr.rstrip().endswith("titan-state export a")


def test_an_export_that_fails_for_good_ends_it_with_1(serve, titan, tmp_path, blocked):
    """It is said what to do; the delivery is there to be made again, and the next run makes up for it."""
    service = serve(Scenario((done("a"), done("b"))))
    command = ("watch", "a", "b", *FAST, "--export", blocked.parent)
    result = titan(*command, service=service)
    assert result.exit_code == 1
    assert "a: its export was given up: " in result.stderr
    assert "titan-state deliveries" in result.stderr
    assert "Traceback" not in result.stderr
    letter = titan("deliveries", "--dead", service=service).stdout
    assert f"titan-state watch --export {blocked.parent} json  given up after 2 attempts" in letter
    blocked.rmdir()
    assert titan("deliveries", "retry", letter.split()[0], service=service).exit_code == 0
    result = titan(*command, service=service)
    assert result.exit_code == 0, result.stderr
    assert names(blocked.parent) == ["a.json", "b.json"]
    assert exports(service) == ["a", "b"]


def test_what_was_given_up_is_tried_by_the_next_run(serve, titan, tmp_path, blocked):
    """Naming the execution again is enough."""
    service = serve(Scenario((done("a"),)))
    command = ("watch", "a", *FAST, "--export", blocked.parent)
    assert [titan(*command, service=service).exit_code for _ in range(2)] == [1, 1]
    blocked.rmdir()
    assert titan(*command, service=service).exit_code == 0
    assert names(blocked.parent) == ["a.json"]


def test_a_directory_that_cannot_be_one_is_said_at_once(serve, titan, tmp_path):
    """A file in its place is wrong usage."""
    (tmp_path / "out").touch()
    service = serve(Scenario((done("a"),)))
    result = titan("watch", "a", "--export", tmp_path / "out", service=service)
    assert result.exit_code == 2
    assert "is no directory" in result.stderr
    assert not service.requests


def test_a_reader_that_goes_away_ends_it_quietly(serve, start, titan, tmp_path):
    """What was exported and could not be told any more is there all the same, and is no failure."""
    service = serve(Scenario((done("a"), Plan(id="b", steps=(Step("running", 0),)))))
    process = start("watch", "a", "b", *FAST, "--export", tmp_path / "out", service=service)
    process.stdout.close()
    process.stdout = None
    assert process.wait(timeout=60) == 141
    assert process.stderr.read() == ""
    result = titan("watch", "a", *FAST, "--export", tmp_path / "out", service=service)
    assert (result.exit_code, names(tmp_path / "out")) == (0, ["a.json"])


def test_an_execution_that_the_log_has_nothing_of_any_more_is_exported(serve, titan, tmp_path):
    """An end that is known, and of which no event is left, does not keep it waiting."""
    service = serve(Scenario((done("a"),)))
    assert titan("watch", "a", *FAST, service=service).exit_code == 0
    assert titan("journal", "prune", "--older-than", "0s", service=service).exit_code == 0
    result = titan("watch", "a", *FAST, "--export", tmp_path / "out", service=service)
    assert (result.exit_code, names(tmp_path / "out")) == (0, ["a.json"])
