"""Reports and diagrams as files: what the journal knows, in one page, put in its place once it is whole."""

from __future__ import annotations

from xml.etree.ElementTree import fromstring

import pytest

from titan_state import Lifecycle
from titan_state.cli import report
from titan_state.emulator import Plan, Scenario, Step

ERROR = "<img src=x onerror=alert(1)>"
TASK = "the-task"


@pytest.fixture
def address(state_directory):
    return f"sqlite:///{state_directory / 'journal.db'}"


@pytest.fixture
def watched(titan, serve, address):
    """Watch two executions of one task and one of another to their ends."""
    service = serve(
        Scenario(
            [
                Plan(id="a", task_id=TASK, steps=[Step("running"), Step("completed", 0.1)]),
                Plan(id="<b>", task_id=TASK, steps=[Step("running"), Step("failed", 0.1)], error=ERROR),
                Plan(id="c", task_id="other", steps=[Step("running"), Step("completed", 0.1)]),
            ]
        )
    )
    titan("wait", "a", "<b>", "c", "--journal", address, service=service)
    return service


def test_a_report_of_named_executions(titan, watched, address, tmp_path):
    """The page is written, holds what was asked for, and the service is asked nothing."""
    before = len(watched.requests)
    path = tmp_path / "page.html"
    result = titan("report", "a", "<b>", "--journal", address, "--output", path, service=watched)
    assert result.exit_code == 0, result.output
    assert result.stdout == f"{path}  2 executions: 1 completed, 1 failed\n"
    assert len(watched.requests) == before
    page = path.read_text(encoding="utf-8")
    assert page.startswith("<!DOCTYPE html>\n")
    assert "&lt;img src=x onerror=alert(1)&gt;" in page
    assert "<img" not in page
    assert "<b>" not in page
    assert [one.name for one in tmp_path.iterdir() if one.name.startswith(("page", "."))] == ["page.html"]


def test_a_report_of_a_task(titan, watched, address, tmp_path):
    """With --task there are all executions of a task that the journal has, and no others."""
    path = tmp_path / "page.html"
    result = titan("report", "--task", TASK, "--journal", address, "--account", "us", "--output", path)
    assert result.stdout == f"{path}  2 executions: 1 completed, 1 failed\n"
    page = path.read_text(encoding="utf-8")
    assert f"2 executions of task {TASK}" in page
    assert ">us<" in page
    assert ">c<" not in page
    both = titan("report", "c", "--task", TASK, "--journal", address, "--output", "-")
    assert f"3 executions of task {TASK} or among 1 named ones" in both.stdout


def test_what_the_journal_does_not_know(titan, watched, address, tmp_path):
    """Unknown ids are said on stderr; the exit code tells it where nothing is left."""
    path = tmp_path / "page.html"
    result = titan("report", "a", "x", "--journal", address, "--output", path)
    assert (result.exit_code, "has nothing of x" in result.stderr) == (0, True)
    assert "the journal has nothing of 1 other asked for" in path.read_text(encoding="utf-8")
    nothing = titan("report", *"stuvwxyz", "--journal", address, "--output", tmp_path / "none.html")
    assert (nothing.exit_code, "has nothing of s, t, u, v, w and 3 more" in nothing.stderr) == (6, True)
    task = titan("report", "--task", "no", "--journal", address, "--output", tmp_path / "none.html")
    assert (task.exit_code, "has no execution of task no" in task.stderr) == (6, True)
    assert not (tmp_path / "none.html").exists()


def test_a_file_is_not_replaced_unasked(titan, watched, address, tmp_path, monkeypatch):
    """What is there already stays, unless --force is given; the usual name is report.html."""
    monkeypatch.chdir(tmp_path)
    assert titan("report", "a", "--journal", address).stdout.startswith("report.html  1 execution: ")
    path = tmp_path / "report.html"
    path.write_text("mine", encoding="utf-8")
    refused = titan("report", "a", "--journal", address)
    assert (refused.exit_code, "report.html is there already: --force replaces it" in refused.stderr) == (1, True)
    assert path.read_text(encoding="utf-8") == "mine"
    assert titan("report", "a", "--journal", address, "--force").exit_code == 0
    assert path.read_text(encoding="utf-8").startswith("<!DOCTYPE html>")


def test_a_file_that_comes_meanwhile_stays(titan, watched, address, tmp_path, monkeypatch):
    """Between the first look and the end somebody else may put a file there: it is left alone."""
    path = tmp_path / "page.html"
    made = report.report_page

    def slow(*arguments):
        path.write_text("mine", encoding="utf-8")
        return made(*arguments)

    monkeypatch.setattr(report, "report_page", slow)
    result = titan("report", "a", "--journal", address, "--output", path)
    assert (result.exit_code, "--force replaces it" in result.stderr) == (1, True)
    assert path.read_text(encoding="utf-8") == "mine"


def test_wrong_usage_of_report(titan, address, tmp_path):
    """Somebody must say of what, of a journal that is there, and where a file can be."""
    nothing = titan("report", "--journal", address)
    assert (nothing.exit_code, "--task TASK" in nothing.stderr) == (2, True)
    nowhere = titan("report", "a", "--journal", address, "--output", tmp_path / "page.html")
    assert (nowhere.exit_code, "there is no journal at" in nowhere.stderr) == (2, True)
    folder = titan("report", "a", "--journal", address, "--output", tmp_path / "no" / "page.html")
    assert (folder.exit_code, "there is no directory" in folder.stderr) == (2, True)
    assert not list(tmp_path.glob("*.html"))


@pytest.mark.parametrize("named", [("\udcff",), ("--task", "\udcff"), ("",), ("a", "--task", "")])
def test_what_can_be_no_id(start, watched, address, tmp_path, named):
    """What is empty, or was typed in another encoding, is refused in one line, with the exit code of wrong usage."""
    process = start("report", *named, "--journal", address, "--output", tmp_path / "page.html")
    _, err = process.communicate(timeout=30)
    assert process.returncode == 2
    assert ("it is no valid text" in err) or ("a text that is not empty" in err)
    assert len(err.splitlines()) == 1
    assert not (tmp_path / "page.html").exists()


@pytest.mark.parametrize("command", [("history",), ("wait",), ("watch",), ("watch", "--task")])
def test_other_commands_refuse_it_too(titan, watched, address, command):
    """What can be no id is neither looked up nor asked for again and again."""
    before = len(watched.requests)
    result = titan(*command, "\udcff", "--journal", address, service=watched)
    assert (result.exit_code, "it is no valid text" in result.stderr) == (2, True)
    assert len(watched.requests) == before


def test_open_anomalies_are_counted(titan, serve, address, tmp_path):
    """The line about a report says how many executions have open anomalies."""
    service = serve(Scenario([Plan(id="a", steps=[Step("strange")])]))
    assert titan("wait", "a", "--timeout", 2, "--journal", address, service=service).exit_code == 124
    path = tmp_path / "page.html"
    result = titan("report", "a", "--journal", address, "--output", path)
    assert result.stdout == f"{path}  1 execution: 1 strange; 1 with open anomalies\n"
    assert "unknown_status (warning)" in path.read_text(encoding="utf-8")


def test_diagrams_in_every_notation(titan, tmp_path):
    """The model is written as Mermaid, SVG or DOT, to standard output or into a file."""
    lifecycle = Lifecycle.default()
    assert titan("diagram").stdout == titan("diagram", "--format", "mermaid").stdout == lifecycle.diagram()
    svg = titan("diagram", "--format", "svg").stdout
    assert fromstring(svg).get("class") == "model"
    assert "<style>" in svg
    assert titan("diagram", "--format", "dot").stdout.startswith("digraph lifecycle {")
    assert titan("diagram", "--format", "png").exit_code == 2
    path = tmp_path / "model.svg"
    assert titan("diagram", "--format", "svg", "--output", path).exit_code == 0
    assert path.read_text(encoding="utf-8") == svg
    assert titan("diagram", "--format", "dot", "--output", path).exit_code == 1
    assert titan("diagram", "--format", "dot", "--output", path, "--force").exit_code == 0
    assert path.read_text(encoding="utf-8").startswith("digraph")
