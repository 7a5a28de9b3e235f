"""What the command writes down, shows of it, and leaves to a monitor that runs already."""

from __future__ import annotations

import asyncio
import json
from datetime import timedelta

import pytest

from titan_state import ConfigurationError, Handlers, Monitor, RequestBudget
from titan_state.cli.exits import Exit
from titan_state.cli.journal import age_of
from titan_state.cli.places import journal_path
from titan_state.cli.wait import Outcome
from titan_state.emulator import Plan, Scenario, Step
from titan_state.wording import short_id

STORY = Scenario([Plan(id="a", steps=[Step("running", 0.4), Step("completed", 0.8)])])


@pytest.fixture
def path(state_directory):
    return state_directory / "journal.db"


def watch(service, path, *names, retries=0):
    """Run a monitor with a callback that always fails until the executions have ended."""
    handlers = Handlers()

    @handlers.on_completed(name="broken", retries=retries, backoff=3600)
    def broken(event):
        raise ValueError("no room for it")

    async def work():
        budget = RequestBudget(per_minute=60_000)
        async with Monitor(
            service.url, service.token, journal=path, handlers=handlers, budget=budget, drain_s=1
        ) as monitor:
            await monitor.wait(names)

    asyncio.run(work())


def test_a_second_run_goes_on(titan, serve, state_directory):
    """What was told is told no more but for the last move, and it is in the usual place, for its owner only."""
    service = serve(STORY)
    first = titan("watch", "a", service=service)
    assert "running -> completed" in first.stdout
    second = titan("watch", "a", service=service)
    assert (second.exit_code, len(second.stdout.splitlines())) == (0, 1)
    assert second.stdout.splitlines()[0] == first.stdout.splitlines()[-1]
    assert journal_path(service.url, None).exists()
    assert journal_path(service.url, None).parent == state_directory / "titan-state"
    assert journal_path(service.url, "other") != journal_path(service.url, None)


def test_no_journal(titan, serve, state_directory):
    """Nothing is written with --no-journal, also where an address is set."""
    service = serve(STORY)
    assert titan("wait", "a", "--no-journal", service=service).exit_code == 0
    assert not state_directory.exists()
    address = f"sqlite:///{state_directory}/x.db"
    assert titan("wait", "a", "--no-journal", "--journal", address, service=service).exit_code == 0
    assert not state_directory.exists()


def test_history(titan, serve, path):
    """The timeline says when, what, for how long, and what was inferred; as JSON it is the events."""
    service = serve(Scenario([Plan(id="a"), Plan(id="b")]))
    address = f"sqlite:///{path}"
    process_of = ("--journal", address)
    service.move("a", "running")
    service.move("a", "completed")
    assert titan("wait", "a", *process_of, service=service).exit_code == 0
    assert titan("pause", "b", "--force", *process_of, service=service).exit_code == 8
    shown = titan("history", "a", *process_of, service=service)
    assert shown.exit_code == 0
    assert [line.partition("  ")[2].strip() for line in shown.stdout.splitlines()] == ["is completed"]
    lines = titan("history", "b", *process_of, service=service).stdout.splitlines()
    assert [line.partition("  ")[2].strip() for line in lines][:3] == [
        "is queued",
        "pause was sent",
        "pause was refused: CONFLICT",
    ]
    assert "has been queued for" in lines[-1]
    events = [json.loads(line) for line in titan("history", "b", "--json", *process_of).stdout.splitlines()]
    assert [event["id"] for event in events] == ["b:1", "b:2", "b:3"]
    nothing = titan("history", "x", *process_of)
    assert (nothing.exit_code, "has nothing of execution x" in nothing.stderr) == (6, True)


def test_an_id_may_be_given_as_the_table_shows_it(titan, serve, path):
    """History and report know an id that is cut, where the journal has one such; the service is asked for whole ids."""
    first, second = "23a7711a-8133-4876-b7eb-dcd9e87a1613", "a-name-of-the-deployment"
    twin = "23a7711a-0000-4876-b7eb-dcd9e87a1613"
    service = serve(Scenario([Plan(id=name, initial="completed") for name in (first, second, twin)]))
    journal = ("--journal", f"sqlite:///{path}")
    assert titan("wait", first, second, *journal, service=service).exit_code == 0
    for name in (first, second):
        shown = titan("history", short_id(name), "--json", *journal)
        assert {json.loads(line)["execution_id"] for line in shown.stdout.splitlines()} == {name}
    page = titan("report", first, short_id(first), "--output", path.with_name("page.html"), *journal)
    assert "1 execution:" in page.stdout
    for command in (("check", short_id(first), "stop"), ("stop", short_id(second)), ("export", short_id(first))):
        asked = titan(*command, service=service)
        assert (asked.exit_code, "titan-state list has it whole" in asked.stderr) == (6, True)
    told = Outcome(short_id(first), "not_found", Exit.NOT_FOUND, None).line()
    assert "titan-state list has it whole" in told
    assert titan("wait", twin, *journal, service=service).exit_code == 0
    assert titan("history", short_id(first), *journal).exit_code == 6


def test_subscriptions_name_their_journal(titan, serve, path):
    """An empty list may be that of the wrong journal: which one it is is said."""
    service = serve(STORY)
    watch(service, path, "a")
    shown = titan("subscriptions", "--journal", f"sqlite:///{path}")
    assert shown.stdout.startswith("broken  ")
    assert shown.stderr == f"titan-state: journal {path}\n"


def test_deliveries(titan, serve, path):
    """What was given up is listed with its error, and made once more on request."""
    service = serve(STORY)
    watch(service, path, "a")
    address = ("--journal", f"sqlite:///{path}")
    shown = titan("deliveries", *address)
    assert shown.stderr == f"titan-state: journal {path}\n"
    (line,) = shown.stdout.splitlines()
    event_id = line.partition("  ")[0]
    assert line == f"{event_id}  broken  given up after 1 attempt: ValueError: no room for it"
    assert titan("deliveries", "--dead", *address).stdout == shown.stdout
    (letter,) = [json.loads(one) for one in titan("deliveries", "--json", *address).stdout.splitlines()]
    assert (letter["event"]["id"], letter["is_dead"]) == (event_id, True)
    missing = titan("deliveries", "retry", "x:1", *address)
    assert (missing.exit_code, "no delivery of x:1 was given up" in missing.stderr) == (6, True)
    again = titan("deliveries", "retry", event_id, *address)
    assert (again.exit_code, again.stdout) == (0, f"{event_id}  broken  is delivered again, out of order\n")
    assert "no delivery was given up" in titan("deliveries", "--dead", *address).stderr
    watch(service, path, "a", retries=1)
    (line,) = titan("deliveries", *address).stdout.splitlines()
    assert "1 attempt so far, the next one at" in line


def test_subscriptions(titan, serve, path):
    """Subscriptions are listed with what waits for them, and removed by name."""
    service = serve(STORY)
    watch(service, path, "a")
    address = ("--journal", f"sqlite:///{path}")
    (line,) = titan("subscriptions", *address).stdout.splitlines()
    assert line.startswith("broken  0 waiting, 0 to be tried again, 1 given up  last open ")
    assert json.loads(titan("subscriptions", "--json", *address).stdout)["dead"] == 1
    missing = titan("subscriptions", "remove", "nobody", *address)
    assert (missing.exit_code, "there are broken" in missing.stderr) == (6, True)
    assert titan("subscriptions", "remove", "broken", *address).stdout == "broken  was removed\n"
    assert "there are no subscriptions" in titan("subscriptions", *address).stderr


def test_keeping_it_in_order(titan, serve, path):
    """Old events are dropped on request, and verify says whether everything is in order."""
    service = serve(STORY)
    address = ("--journal", f"sqlite:///{path}")
    titan("wait", "a", *address, service=service)
    assert titan("journal", "verify", *address).stdout == f"{path} is in order\n"
    assert titan("journal", "prune", "--older-than", "1h", *address).stdout.startswith("0 events dropped")
    assert "events dropped" in titan("journal", "prune", "--older-than", "0s", *address).stdout
    assert titan("history", "a", *address).exit_code == 6
    refused = titan("journal", "prune", "--older-than", "soon", *address)
    assert (refused.exit_code, "'soon' is no age" in refused.stderr) == (2, True)


def test_a_journal_that_is_not_there(titan, path):
    """Looking into nothing makes nothing, and says where it would be."""
    result = titan("subscriptions", "--journal", f"sqlite:///{path}")
    assert (result.exit_code, "there is no journal at" in result.stderr) == (2, True)
    assert not path.exists()
    nowhere = titan("history", "a")
    assert (nowhere.exit_code, "TITAN_API_URL" in nowhere.stderr) == (2, True)


def test_a_running_watch_is_asked(titan, serve, start):
    """Check, list, pause and run go through the monitor that runs: its watchers see that the pause was ours."""
    service = serve(Scenario([Plan(id="a", steps=[Step("running")])]))
    watching = start("watch", "--all", "--json", service=service)
    event = json.loads(watching.stdout.readline())
    assert event["dest"] == "running"
    before = len(service.requests)
    assert titan("check", "a", "pause", service=service).exit_code == 0
    assert titan("pause", "a", service=service).exit_code == 0
    assert [json.loads(line)["id"] for line in titan("list", "--json", service=service).stdout.splitlines()] == ["a"]
    told = []
    while not told or told[-1].get("dest") != "paused":
        told.append(json.loads(watching.stdout.readline()))
    assert told[-1]["cause"] == "action"
    assert [one["type"] for one in told] == ["action_sent", "action_accepted", "transitioned"]
    assert titan("pause", "a", service=service).exit_code == 7
    assert titan("run", next(iter(service.tasks())), service=service).exit_code == 0
    assert len(service.requests) > before


def test_a_second_watch_goes_without(serve, start, titan):
    """The journal has one writer: another command that watches says that it writes nothing down, and works."""
    service = serve(Scenario([Plan(id="a", steps=[Step("running")]), Plan(id="b", steps=[Step("completed", 0.1)])]))
    watching = start("watch", "--all", "--json", service=service)
    watching.stdout.readline()
    result = titan("wait", "b", service=service)
    assert result.exit_code == 0
    assert "nothing is written down this time: the journal" in result.stderr


@pytest.mark.parametrize(
    ("text", "age"),
    [("30d", timedelta(days=30)), ("12h", timedelta(hours=12)), ("1.5 m", timedelta(seconds=90)), ("2", timedelta(2))],
)
def test_ages(text, age):
    """An age has a unit, or is a number of days."""
    assert age_of(text) == age


@pytest.mark.parametrize("text", ["", "d", "-1d", "1y", "9" * 400])
def test_what_is_no_age(text):
    """Anything else is refused with what to write."""
    with pytest.raises(ConfigurationError, match="write 30d, 12h or 90m"):
        age_of(text)
