"""Commands against the embedded service: what they write, what they send, and how they exit."""

from __future__ import annotations

import json

import pytest

from titan_state.emulator import Faults, Plan, Scenario, Step, Task, When
from titan_state.monitor import runs

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


def test_check_of_an_action_that_there_is_not_names_the_nearest(serve, titan):
    """A typing error is one line with what was meant, is wrong usage, and costs no request."""
    service = serve(Scenario((stays_in("running"),)))
    result = titan("check", "running", "puase", service=service)
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr == (
        "titan-state: error: there is no action 'puase': 'pause' or 'resume' or 'stop' (did you mean 'pause'?)\n"
    )
    assert not service.requests


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
    """A task that is not there cannot be run, and what to look at is said."""
    result = titan("run", "nothing", service=serve())
    assert result.exit_code == 6
    assert "(check the id, and the URL (TITAN_API_URL))" in result.stderr


def test_run_where_a_web_page_answers_starts_nothing(serve, titan):
    """With a wrong URL nothing was sent that could start anything: an ordinary error, which says what is wrong."""
    service = serve(Scenario(tasks=(Task(id="t"),)), faults=Faults(html=1.0))
    result = titan("run", "t", service=service)
    assert result.exit_code == 1
    assert "a web page, so the URL may not be that of the Task Service" in result.stderr
    assert result.stderr.endswith("(check TITAN_API_URL, or --url)\n")
    assert posts(service) == []


def test_run_whose_answer_is_a_web_page_is_unknown(serve, titan, monkeypatch):
    """Once it was sent, a page tells nothing: the task's executions are read, and 9 says to look first."""
    monkeypatch.setattr(runs, "look_pause", lambda _: 0.0)
    service = serve(Scenario(tasks=(Task(id="t"),)), faults=Faults(html=When(probability=1.0, only="POST")))
    result = titan("run", "t", service=service)
    assert result.exit_code == 9
    assert "list the task's executions before running it again" in result.stderr
    assert len(posts(service)) == 1


# errors


@pytest.mark.parametrize(
    "arguments",
    [
        ("list",),
        ("wait", "e"),
        ("watch", "--all"),
        ("check", "e", "pause"),
        ("stop", "e"),
        ("run", "t"),
        ("export", "e", "f"),
    ],
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
    assert "no connection to http://127.0.0.1:9 (" in result.stderr
    assert result.stderr.endswith("): check the URL (TITAN_API_URL)\n")


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


def test_an_action_as_json(serve, titan):
    """A program reads what was accepted, and the execution as it was seen last."""
    service = serve(Scenario((stays_in("running"),)))
    result = titan("pause", "running", "--json", service=service)
    shown = json.loads(result.stdout)
    assert (shown["id"], shown["action"], shown["accepted"]) == ("running", "pause", True)
    assert shown["execution"]["status"] == "paused"


def test_an_action_whose_answer_is_lost_is_found_out_by_reading(serve, titan):
    """The pause is seen to have happened, so it is not sent again."""
    service = serve(Scenario((stays_in("running"),)), faults=Faults(lost_answer=1.0))
    result = titan("pause", "running", service=service)
    assert result.exit_code == 0, result.stderr
    assert len(posts(service)) == 1
    assert service.executions()["running"] == "paused"
