"""Commands against the embedded service: what they write, what they send, and how they exit."""

from __future__ import annotations

import json

import pytest

from titan_state.emulator import Faults, Plan, Scenario, Step, Task

HOSTILE = "[red]x[/red]\x1b[2J\r\n"
NEVER = 10_000.0


def ends_in(status, **options):
    """Return a plan that is over before anybody looks."""
    return Plan(id=options.pop("id", status), steps=(Step("running", 0), Step(status, 0)), **options)


def stays_in(status, **options):
    """Return a plan that goes on for the whole test."""
    steps = {"queued": (), "running": (Step("running", 0),), "paused": (Step("running", 0), Step("paused", 0))}[status]
    return Plan(id=options.pop("id", status), steps=steps, **options)


def posts(service):
    return [request.path for request in service.requests if request.method == "POST"]


# wait


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
    service = serve(Scenario((stays_in("running"),)))
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
    result = titan("wait", "nothing", service=serve(Scenario((stays_in("running"),))))
    assert result.exit_code == 6
    assert "not found" in result.stdout


# list


def test_list_shows_executions_of_all_tasks_or_of_one(serve, titan):
    """Without --task all are listed, with it those of the task."""
    service = serve(Scenario((stays_in("running", task_id="t1"), ends_in("failed", task_id="t2"))))
    everything, one = titan("list", service=service), titan("list", "--task", "t2", service=service)
    assert everything.exit_code == one.exit_code == 0
    assert {line.split()[0] for line in everything.stdout.splitlines()} == {"execution", "running", "failed"}
    assert {line.split()[0] for line in one.stdout.splitlines()} == {"execution", "failed"}


def test_list_as_json_is_one_execution_on_a_line(serve, titan):
    """A program reads an execution from each line."""
    service = serve(Scenario((stays_in("running"), ends_in("failed"))))
    result = titan("list", "--json", service=service)
    assert {one["id"]: one["status"] for one in map(json.loads, result.stdout.splitlines())} == {
        "running": "running",
        "failed": "failed",
    }


def test_list_goes_through_pages_up_to_its_limit(serve, titan):
    """More than a page is fetched page by page, each execution once, and what is left is said."""
    service = serve(Scenario(tuple(stays_in("running", id=f"e{n:03}") for n in range(250))))
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
        *(stays_in("running", id=f"e{n:03}", created_after_s=0.01) for n in range(150)),
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


# check, pause, resume, stop


@pytest.mark.parametrize(
    ("status", "action", "code"), [("running", "pause", 0), ("running", "resume", 7), ("queued", "stop", 0)]
)
def test_check_answers_without_sending_an_action(serve, titan, status, action, code):
    """The verdict and its reason are written, and its code tells it to scripts."""
    service = serve(Scenario((stays_in(status),)))
    result = titan("check", status, action, service=service)
    assert result.exit_code == code
    assert result.stdout.startswith("allowed: " if code == 0 else "not allowed: ")
    assert posts(service) == []


def test_check_as_json(serve, titan):
    """A program gets the verdict with its reason and date."""
    result = titan("check", "failed", "stop", "--json", service=serve(Scenario((ends_in("failed"),))))
    shown = json.loads(result.stdout)
    assert (shown["allowed"], shown["action"], result.exit_code) == (False, "stop", 7)
    assert "terminal" in shown["reason"]
    assert shown["as_of"]


def test_check_of_what_is_not_there_exits_with_6(serve, titan):
    """An unknown id is not found, rather than not allowed."""
    assert titan("check", "nothing", "pause", service=serve()).exit_code == 6


@pytest.mark.parametrize(
    ("status", "action", "dest"),
    [("running", "pause", "paused"), ("paused", "resume", "running"), ("queued", "stop", "cancelled")],
)
def test_actions_say_what_happened(serve, titan, status, action, dest):
    """A legal action is sent once, and its effect is told."""
    service = serve(Scenario((stays_in(status),)))
    result = titan(action, status, service=service)
    assert result.exit_code == 0, result.stderr
    assert result.stdout == f"{status}  {action} was accepted: it is {dest}\n"
    assert posts(service) == [f"/api/v1/executions/{status}/{action}"]
    assert service.executions()[status] == dest


def test_an_action_that_takes_its_time_is_said_to(serve, titan):
    """Where the effect does not show yet, the line does not claim it."""
    service = serve(Scenario((stays_in("running"),)), action_delay_s=NEVER)
    result = titan("pause", "running", service=service)
    assert result.exit_code == 0
    assert "it is running still" in result.stdout


def test_an_illegal_action_is_refused_before_it_is_sent(serve, titan):
    """One line says why, the code is its own, and the service never hears of it."""
    service = serve(Scenario((ends_in("completed"),)))
    result = titan("pause", "completed", service=service)
    assert result.exit_code == 7
    assert result.stdout == ""
    assert result.stderr.count("\n") == 1
    assert "was not sent" in result.stderr
    assert posts(service) == []


def test_force_sends_in_spite_of_the_verdict(serve, titan):
    """With --force the service decides, and its refusal has another code."""
    service = serve(Scenario((ends_in("completed"),)))
    result = titan("pause", "completed", "--force", service=service)
    assert result.exit_code == 8
    assert result.stderr.count("\n") == 1
    assert "refused" in result.stderr
    assert posts(service) == ["/api/v1/executions/completed/pause"]


def test_an_unsupported_action_is_rejected(serve, titan):
    """A deployment without pause says so, and nothing else is tried."""
    service = serve(Scenario((stays_in("running"),)), unsupported=["pause"])
    result = titan("pause", "running", service=service)
    assert result.exit_code == 8
    assert len(posts(service)) == 1


# run


def test_run_starts_an_execution_and_names_it(serve, titan):
    """The new id is the first word of the line, for scripts."""
    service = serve(Scenario(tasks=(Task(id="t"),)))
    result = titan("run", "t", service=service)
    assert result.exit_code == 0, result.stderr
    assert result.stdout.split()[0] in service.executions()
    assert "started" in result.stdout


def test_run_and_wait_exits_with_the_outcome(serve, titan):
    """With --wait there is a second line, and the code is that of wait."""
    task = Task(id="t", template=Plan(steps=(Step("running", 0.1), Step("failed", 0.1))))
    result = titan("run", "t", "--wait", "--json", service=serve(Scenario(tasks=(task,))))
    assert result.exit_code == 3
    assert [json.loads(line)["outcome"] for line in result.stdout.splitlines()] == ["started", "failed"]


def test_run_of_an_unknown_task_exits_with_6(serve, titan):
    """A task that is not there cannot be run."""
    assert titan("run", "nothing", service=serve()).exit_code == 6


# errors


@pytest.mark.parametrize(
    "arguments",
    [("list",), ("wait", "e"), ("watch", "--all"), ("check", "e", "pause"), ("stop", "e"), ("run", "t")],
    ids=lambda arguments: arguments[0],
)
def test_refused_credentials_are_one_line(serve, titan, arguments):
    """A wrong token ends every command with one line that says what to look at, and not the token itself."""
    service = serve()
    result = titan(*arguments, "--token", "wrong-token-4711", service=service)
    assert result.exit_code == 1
    errors = [line for line in result.stderr.splitlines() if "error: " in line]
    assert len(errors) == 1
    assert "TITAN_TOKEN" in errors[0]
    assert "4711" not in result.output
    assert "Traceback" not in result.output


def test_a_service_that_is_not_there_is_one_line(titan):
    """Nobody listening is an ordinary error, with what to look at."""
    result = titan("list", "--url", "http://127.0.0.1:9", "--token", "wrong-token-4711")
    assert result.exit_code == 1
    assert result.stderr.count("\n") == 1
    assert "TITAN_API_URL" in result.stderr


def test_debug_shows_the_traceback_but_not_the_token(titan):
    """With --debug there is all that a bug report needs, and no secret."""
    result = titan("list", "--url", "http://127.0.0.1:9", "--token", "wrong-token-4711", "--debug")
    assert result.exit_code == 1
    assert "Traceback" in result.stderr
    assert "4711" not in result.output


def test_broken_answers_are_one_line(serve, titan):
    """A proxy's page instead of JSON is an error of one line."""
    result = titan("list", service=serve(faults=Faults(html=1.0)))
    assert result.exit_code == 1
    assert result.stderr.count("\n") == 1
