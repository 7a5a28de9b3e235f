"""What users get: the wheel in an environment without anything else, or with one extra."""

from __future__ import annotations

import asyncio
import re
import signal

import packages
import pytest
from aiohttp import ClientSession
from environments import LIMIT_S, readme_program
from yarl import URL

from titan_state.emulator import Plan, Scenario, Step, TaskServiceEmulator

ALONE = ("", *packages.EXTRAS)

NEEDED = {
    "": {"aiohttp", "attrs", "titan-state", "transitions", "yarl"},
    "cli": {"platformdirs", "rich", "typer"},
    "dashboard": {"aiohttp-sse", "platformdirs", "rich", "typer"},
    "nats": {"nats-py", "nkeys"},
    "otel": {"opentelemetry-api", "opentelemetry-exporter-prometheus", "opentelemetry-sdk"},
}
"""What must be there with each extra, beside what is always there."""

MODULES = {
    "aiohttp_sse": "dashboard",
    "nats": "nats",
    "opentelemetry": "otel",
    "platformdirs": "cli",
    "rich": "cli",
    "typer": "cli",
}
"""Which extra brings what a module of titan_state may import."""

IMPORT_ALL = """
import importlib, json, pkgutil, titan_state
for name in titan_state.__all__:
    getattr(titan_state, name)
missing = {}
def walk(folder, prefix):
    for module in pkgutil.iter_modules(folder, prefix):
        if module.name == "titan_state.__main__":
            continue
        try:
            found = importlib.import_module(module.name)
        except ModuleNotFoundError as error:
            missing[module.name] = error.name or str(error)
        else:
            if module.ispkg:
                walk(found.__path__, module.name + ".")
walk(titan_state.__path__, "titan_state.")
print(json.dumps(missing))
"""


@pytest.fixture(params=ALONE, ids=[name or "none" for name in ALONE])
def environment(request, environment_with):
    """An environment with the wheel and one extra, for each of them."""
    return environment_with(request.param)


@pytest.fixture
def extra(request):
    """The extra that the environment has."""
    return request.node.callspec.params["environment"]


def has(extra, name):
    """Return whether an extra brings another one with it."""
    return name == extra or (extra == "dashboard" and name == "cli")


def test_it_installs_with_what_it_needs(environment, extra):
    """What it needs is there and fits together, and what only other extras need is not."""
    there = set(environment.packages())
    assert NEEDED[""] | NEEDED[extra] <= there
    foreign = set().union(*NEEDED.values()) - NEEDED[""] - NEEDED[extra]
    assert not foreign & there
    packages.uv("pip", "check", "--python", environment.bin / "python")


def test_the_first_program_runs(environment):
    """The first program of README.md runs with any of them."""
    program = environment.home / "first.py"
    program.write_text(readme_program(), encoding="utf-8")
    code, told, complaints = environment.run("python", program)
    assert (code, complaints) == (0, "")
    assert "nightly-prices is completed" in told.splitlines()


def test_modules_need_only_their_extra(environment, extra):
    """Every public name can be imported; a module that cannot wants something that another extra brings, or pytest."""
    missing = environment.tell(IMPORT_ALL)
    for module, wanted in missing.items():
        name = MODULES.get(wanted.partition(".")[0])
        assert name is not None, f"{module} needs {wanted}, which no extra brings"
        assert not has(extra, name), f"{module} needs {wanted}, which the extra {extra} should have brought"
    assert not any(
        module.startswith(("titan_state.core", "titan_state.client", "titan_state.monitor")) for module in missing
    )


def test_it_is_started_in_two_ways(environment, extra, distributions):
    """`titan-state` and `python -m titan_state` tell the version, or in one line what to install."""
    version = distributions.metadata()["Version"]
    for command in (["titan-state"], ["python", "-m", "titan_state"]):
        code, told, complaints = environment.run(*command, "--version")
        if has(extra, "cli"):
            assert (code, told, complaints) == (0, f"titan-state {version}\n", "")
        else:
            assert (code, told) == (2, "")
            (line,) = complaints.splitlines()
            assert line.endswith("pip install 'titan-state[cli]'")


def test_it_tells_its_version(environment, distributions):
    """The package says the version that it was released with."""
    told = environment.tell("import json, titan_state; print(json.dumps(titan_state.__version__))")
    assert told == distributions.metadata()["Version"]


def test_a_journal_in_nats_says_what_it_needs(environment, extra):
    """With the extra it can be made; without it, making it says what to install."""
    code, _, complaints = environment.run(
        "python", "-c", "import titan_state; titan_state.NatsJournal('nats://127.0.0.1:4222')"
    )
    if has(extra, "nats"):
        assert (code, complaints) == (0, "")
    else:
        assert code == 1
        assert complaints.splitlines()[-1].endswith("pip install 'titan-state[nats]'")


def test_commands_say_what_they_need(environment_with):
    """With the command line alone, what needs another extra says so in one line."""
    environment = environment_with("cli")
    account = {"TITAN_API_URL": "http://127.0.0.1:9", "TITAN_TOKEN": "unused"}
    for extra, command in {
        "dashboard": ["dashboard"],
        "nats": ["history", "e", "--journal", "nats://127.0.0.1:9"],
    }.items():
        code, told, complaints = environment.run("titan-state", *command, **account)
        assert (code, told) == (2, ""), complaints
        (line,) = complaints.splitlines()
        assert line.startswith("titan-state: error: ")
        assert line.endswith(f"pip install 'titan-state[{extra}]'")


async def test_the_command_line_works(environment_with):
    """With the command line alone, executions of a service are waited for and kept in the journal of the user."""
    environment = environment_with("cli")
    plan = Plan(id="e", steps=[Step("running", 0.2), Step("completed", 0.4)])
    async with TaskServiceEmulator(Scenario(plans=[plan])) as service:
        account = {"TITAN_API_URL": service.url, "TITAN_TOKEN": service.token}
        for command, expected in {("wait", "e"): "completed", ("history", "e"): "completed"}.items():
            code, told, complaints = await asyncio.to_thread(environment.run, "titan-state", *command, **account)
            assert code == 0, complaints
            assert expected in told


async def test_the_dashboard_serves(environment_with):
    """With its extra the dashboard serves its page, and each file that the page loads."""
    environment = await asyncio.to_thread(environment_with, "dashboard")
    async with TaskServiceEmulator(Scenario(plans=[Plan(id="e", steps=[Step("running", 600.0)])])) as service:
        process = await asyncio.create_subprocess_exec(
            environment.bin / "titan-state",
            *("dashboard", "--port", "0"),
            cwd=environment.home,
            env=environment.variables(TITAN_API_URL=service.url, TITAN_TOKEN=service.token),
            stdout=asyncio.subprocess.PIPE,
        )
        try:
            line = await asyncio.wait_for(process.stdout.readline(), LIMIT_S)
            link = URL(line.decode().removeprefix("dashboard: ").strip())
            async with ClientSession(raise_for_status=True) as session:
                page = await fetched(session, link)
                loaded = re.findall(r'(?:src|href)="(/static/[^"]+)"', page)
                assert any(name.endswith(".js") for name in loaded)
                assert any(name.endswith(".css") for name in loaded)
                for name in loaded:
                    assert await fetched(session, link.with_path(name))
        finally:
            process.send_signal(signal.SIGINT)
            await asyncio.wait_for(process.communicate(), LIMIT_S)


async def fetched(session, url):
    """Return the text of what is served at a URL."""
    async with session.get(url) as answer:
        return await answer.text()
