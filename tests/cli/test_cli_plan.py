"""Planning: what delay to expect without a service, and why each request is sent while watching."""

from __future__ import annotations

import json

from titan_state.emulator import Plan, Scenario, Step


def test_plan_says_what_to_expect(titan):
    """For one GET each, for a sweep, and for the library, in words; nothing is sent."""
    result = titan("plan", "--executions", "10000", "--rpm", "120")
    assert result.exit_code == 0
    lines = result.stdout.splitlines()
    assert lines[0].startswith("10,000 live executions among 50,000 finished ones, 120 requests a minute")
    assert "41.7 min" in lines[1]
    assert "2.5 min" in lines[2]
    assert "titan-state" in lines[3]
    assert "full at 6 executions" in lines[4]


def test_plan_as_json(titan):
    """The same numbers for programs."""
    arguments = ("--executions", "100", "--finished", "0", "--page-size", "50", "--json")
    shown = json.loads(titan("plan", *arguments).stdout)
    assert shown["mean_delay_s"] == {
        "one GET for each, in turn": 25.0,
        "all pages of the list, in turn": 0.5,
        "titan-state": 0.5,
    }


def test_plan_needs_a_number_of_executions(titan):
    """Without one it says what is missing."""
    result = titan("plan")
    assert result.exit_code == 2
    assert "--executions" in result.stderr


def test_watch_explains_each_request(serve, titan):
    """Beside the events, each request has a line with its reason."""
    service = serve(Scenario((Plan(id="a", steps=(Step("running", 0.2), Step("completed", 4.0))),)))
    result = titan("watch", "a", "--explain", service=service)
    assert result.exit_code == 0
    told = [line for line in result.stdout.splitlines() if line.startswith("reads ")]
    assert told[0] == "reads execution a: it is to be read at this time"
    assert any("unseen changes expected" in line for line in told)
    assert any(line.endswith("-> completed") for line in result.stdout.splitlines())
