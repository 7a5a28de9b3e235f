"""`titan-state wait`: a line and a code for each way to end."""

from __future__ import annotations

import json

import pytest

from titan_state.emulator import Faults, Plan, Scenario, Step

HOSTILE = "[red]x[/red]\x1b[2J\r\n"


def ends_in(status, **options):
    """Return a plan that is over before anybody looks."""
    return Plan(id=options.pop("id", status), steps=(Step("running", 0), Step(status, 0)), **options)


def running(name="running", **options):
    """Return a plan that goes on for the whole test."""
    return Plan(id=name, steps=(Step("running", 0),), **options)


def posts(service):
    return [request.path for request in service.requests if request.method == "POST"]


@pytest.mark.parametrize(
    ("status", "code"), [("completed", 0), ("failed", 3), ("cancelled", 4), ("completed_with_errors", 5)]
)
def test_wait_tells_the_outcome_by_its_exit_code(serve, titan, status, code):
    """Each way to end has its own code, and a line that names it."""
    result = titan("wait", status, service=serve(Scenario((ends_in(status),))))
    assert result.exit_code == code
    assert result.stdout.startswith(f"{status}  {status}")
    assert result.stdout.count("\n") == 1


def test_wait_gives_up_after_its_timeout(serve, titan):
    """As timeout(1) does, it exits with 124, and it stops nothing."""
    service = serve(Scenario((running(),)))
    result = titan("wait", "running", "--timeout", "0.5", service=service)
    assert result.exit_code == 124
    assert "still running" in result.stdout
    assert posts(service) == []


def test_wait_for_several_exits_with_the_worst(serve, titan):
    """One line for each, and the code of the gravest."""
    service = serve(Scenario((ends_in("completed"), ends_in("failed"), ends_in("cancelled"))))
    result = titan("wait", "completed", "failed", "cancelled", "completed", service=service)
    assert result.exit_code == 3
    assert sorted(line.split()[0] for line in result.stdout.splitlines()) == ["cancelled", "completed", "failed"]


def test_wait_as_json_is_one_object_on_a_line(serve, titan):
    """Every outcome is an object of its own, with the execution and the code it stands for."""
    service = serve(Scenario((ends_in("completed"), ends_in("failed", error=HOSTILE))))
    result = titan("wait", "completed", "failed", "--json", service=service)
    shown = {one["id"]: one for one in map(json.loads, result.stdout.splitlines())}
    assert shown["completed"]["exit_code"] == 0
    assert shown["failed"]["exit_code"] == result.exit_code == 3
    assert shown["failed"]["execution"]["error"] == HOSTILE
    assert "\x1b" not in result.stdout


def test_wait_for_what_is_not_there_exits_with_6(serve, titan, short_grace):
    """An id that the service goes on not to know is said to be not found, after the grace for new executions."""
    result = titan("wait", "nothing", service=serve(Scenario((running(),))))
    assert result.exit_code == 6
    assert "not found" in result.stdout


def test_a_wait_that_saw_nothing_does_not_claim_that_it_goes_on(serve, titan):
    """Where no answer came, nothing is known of the execution."""
    service = serve(Scenario((running(),)), faults=Faults(server_error=1.0))
    result = titan("wait", "running", "--timeout", "0.5", "--json", service=service)
    assert result.exit_code == 124
    assert json.loads(result.stdout) == {"id": "running", "outcome": "timeout", "exit_code": 124, "execution": None}
    told = titan("wait", "running", "--timeout", "0.5", service=service).stdout
    assert told == "running  not seen before the time was up\n"


def test_what_went_wrong_is_told_beside_the_outcome(serve, titan):
    """A failed execution's own words and what to check first are on its line, harmless."""
    service = serve(Scenario((ends_in("failed", error=HOSTILE), ends_in("completed_with_errors", error="2 pages"))))
    result = titan("wait", "failed", "completed_with_errors", service=service)
    assert result.exit_code == 3
    failed, partly = sorted(result.stdout.splitlines(), reverse=True)
    assert failed.startswith("failed  failed: [red]x[/red]")
    assert failed.endswith("; check first: execution details and platform logs")
    assert "\x1b" not in failed
    assert partly == "completed_with_errors  completed_with_errors: 2 pages"


def test_wait_keeps_to_the_given_rate(serve, titan):
    """--per-minute is the most that is sent, however long it waits."""
    service = serve(Scenario((running(),)))
    result = titan("wait", "running", "--per-minute", "2", "--timeout", "1.5", service=service)
    assert result.exit_code == 124
    assert len(service.requests) <= 2
