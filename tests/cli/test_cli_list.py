"""`titan-state list`: pages, filters, and what is said of what is not shown."""

from __future__ import annotations

import json
import os

import pytest

from titan_state.cli import listing
from titan_state.core.execution import Execution
from titan_state.emulator import Plan, Scenario, Step

HOSTILE = "[red]x[/red]\x1b[2J\r\n"


def ends_in(status, **options):
    """Return a plan that is over before anybody looks."""
    return Plan(id=options.pop("id", status), steps=(Step("running", 0), Step(status, 0)), **options)


def running(name="running", **options):
    """Return a plan that goes on for the whole test."""
    return Plan(id=name, steps=(Step("running", 0),), **options)


def test_list_shows_executions_of_all_tasks_or_of_one(serve, titan):
    """Without --task all are listed, with it those of the task."""
    service = serve(Scenario((running(task_id="t1"), ends_in("failed", task_id="t2"))))
    everything, one = titan("list", service=service), titan("list", "--task", "t2", service=service)
    assert everything.exit_code == one.exit_code == 0
    assert {line.split()[0] for line in everything.stdout.splitlines()} == {"execution", "running", "failed"}
    assert {line.split()[0] for line in one.stdout.splitlines()} == {"execution", "failed"}


@pytest.mark.parametrize(
    ("width", "error", "shown"),
    [
        (100, "no seats", "execution status age progress task error"),
        (80, "no seats", "execution status age progress error"),
        (64, "no seats", "execution status age error"),
        (20, "no seats", "execution …"),
        (80, None, "execution status age progress task"),
        (0, None, "execution status age progress task error"),
    ],
)
def test_what_has_no_room_on_a_screen_is_left_out(monkeypatch, capsys, width, error, shown):
    """A screen shows whole columns, of errors where there are any; what is no screen gets all of them."""
    monkeypatch.setattr(listing.shutil, "get_terminal_size", lambda: os.terminal_size((width, 24)))
    monkeypatch.setattr(listing.sys.stdout, "isatty", lambda: width > 0, raising=False)
    one = Execution(
        id="8d723104-8133-4876-b7eb-dcd9e87a1613",
        status="failed",
        task_id="eb1167b3-8133-4876-b7eb-dcd9e87a1613",
        progress=15,
        phase="fetching",
        error=error,
    )
    listing._write([one], with_task=True)
    lines = capsys.readouterr().out.splitlines()
    assert " ".join(lines[0].split()) == shown
    assert not width or max(map(len, lines)) <= width


def test_list_as_json_is_one_execution_on_a_line(serve, titan):
    """A program reads an execution from each line."""
    service = serve(Scenario((running(), ends_in("failed"))))
    result = titan("list", "--json", service=service)
    assert {one["id"]: one["status"] for one in map(json.loads, result.stdout.splitlines())} == {
        "running": "running",
        "failed": "failed",
    }


def test_list_goes_through_pages_up_to_its_limit(serve, titan):
    """More than a page is fetched page by page, each execution once, and what is left is said."""
    service = serve(Scenario(tuple(running(f"e{n:03}") for n in range(250))))
    result = titan("list", "--limit", "230", "--json", service=service)
    assert len({json.loads(line)["id"] for line in result.stdout.splitlines()}) == 230
    assert len(service.requests) == 3
    cut = titan("list", "--limit", "5", service=service)
    assert len(cut.stdout.splitlines()) == 6
    assert "there are more" in cut.stderr


def test_list_by_status_looks_beyond_the_first_page(serve, titan):
    """A status filter is not part of the API, so executions are looked through here."""
    plans = [
        ends_in("failed", id="old"),
        *(running(f"e{n:03}", created_after_s=0.01) for n in range(150)),
    ]
    service = serve(Scenario(plans), speed=100.0)
    result = titan("list", "--status", "failed", service=service)
    assert [line.split()[0] for line in result.stdout.splitlines()] == ["execution", "old"]


def test_list_of_nothing_says_so(serve, titan):
    """No executions is no error."""
    result = titan("list", service=serve())
    assert result.exit_code == 0
    assert result.stdout == ""
    assert "no such executions" in result.stderr


def test_list_of_a_task_that_is_not_there_exits_with_6(serve, titan):
    """The service's 404 has its own exit code."""
    result = titan("list", "--task", "nothing", service=serve())
    assert result.exit_code == 6
    assert result.stderr.count("\n") == 1


def test_list_is_safe_to_look_at(serve, titan):
    """Escapes and line breaks in an error do not reach the terminal."""
    result = titan("list", service=serve(Scenario((ends_in("failed", error=HOSTILE),))))
    assert "[red]x[/red]" in result.stdout
    assert "\x1b" not in result.stdout
    assert len(result.stdout.splitlines()) == 2


def test_list_as_json_says_too_that_there_are_more(serve, titan):
    """A program's log shows that what it read was cut."""
    service = serve(Scenario(tuple(running(f"e{n}") for n in range(3))))
    result = titan("list", "--limit", "2", "--json", service=service)
    assert len(result.stdout.splitlines()) == 2
    assert "there are more (--limit)" in result.stderr


def test_list_without_totals_reads_on_until_nothing_new_comes(serve, titan):
    """A short page may be all there is, or all that the service sends at once; the next one tells."""
    service = serve(Scenario(tuple(running(f"e{n}") for n in range(5))), list_shape="array", max_limit=2)
    result = titan("list", "--json", service=service)
    assert len(result.stdout.splitlines()) == 5
    assert result.stderr == ""
    cut = titan("list", "--limit", "2", "--json", service=service)
    assert "looked at 2 executions, there may be more (--limit)" in cut.stderr


def test_list_by_a_status_that_there_is_not_names_those_that_are(serve, titan):
    """A slip of the pen must not look like good news."""
    result = titan("list", "--status", "complete", service=serve(Scenario((ends_in("completed"),))))
    assert result.exit_code == 0
    assert "warning: no status 'complete' is known: did you mean completed? Known are queued, " in result.stderr
    assert "completed_with_errors" in result.stderr


def test_list_by_a_status_of_the_deployments_own_shows_it(serve, titan):
    """A status that is not known here may be one all the same: it is listed, and only warned of."""
    service = serve(Scenario((Plan(id="a", steps=(Step("archived", 0),)),)))
    result = titan("list", "--status", "archived", service=service)
    assert (result.exit_code, result.stdout.splitlines()[1].split()[:2]) == (0, ["a", "archived"])
    assert "no status 'archived' is known; known are" in result.stderr


def test_a_search_by_status_ends_after_some_pages(serve, titan, monkeypatch):
    """It does not spend the requests of a minute, and says how far it looked."""
    monkeypatch.setattr(listing, "PAGES", 2)
    service = serve(Scenario(tuple(running(f"e{n:04}") for n in range(201))))
    result = titan("list", "--status", "failed", service=service)
    assert len(service.requests) == 2
    assert result.stdout == ""
    assert "none among the 200 looked at" in result.stderr
    assert "(--limit)" not in result.stderr
