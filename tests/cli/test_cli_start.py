"""Starting: help, version, and settings that are missing, before anything is sent."""

from __future__ import annotations

import subprocess
import sys

import pytest

COMMANDS = [
    "dashboard",
    "demo",
    "report",
    "watch",
    "wait",
    "run",
    "list",
    "check",
    "pause",
    "resume",
    "stop",
    "history",
    "deliveries",
    "subscriptions",
    "journal",
    "diagram",
    "plan",
    "emulate",
]


def test_help_names_every_command_and_exit_code(titan):
    """The help of the whole shows what there is to call, and what the exit codes mean."""
    result = titan("--help")
    assert result.exit_code == 0
    assert all(f"  {name} " in result.output for name in COMMANDS)
    assert all(f" {code}  " in result.output for code in (0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 124, 130, 141, 143))


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_help(titan, name):
    """Each command explains itself."""
    result = titan(name, "--help")
    assert result.exit_code == 0
    assert f" {name} [OPTIONS]" in result.output


def test_help_warns_of_a_token_on_the_command_line(titan):
    """Whoever reads about --token learns that TITAN_TOKEN is the better way."""
    help_text = " ".join(titan("watch", "--help").output.split())
    assert "Other users of this machine can see it" in help_text


def test_help_imports_nothing_heavy(environment):
    """Help must answer at once, so neither HTTP nor the model nor the event loop is loaded for it."""
    heavy = ["aiohttp", "transitions", "asyncio", "attrs", "rich", "ssl", "titan_state.monitor", "titan_state.core"]
    program = (
        "import sys\n"
        "sys.argv = ['titan-state', '--help']\n"
        "from titan_state.cli import main\n"
        "try:\n"
        "    main()\n"
        "finally:\n"
        f"    print('LOADED', [name for name in {heavy!r} if name in sys.modules])\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], env=environment(), capture_output=True, text=True, timeout=60
    )
    assert "LOADED []" in done.stdout, done.stdout[-300:] + done.stderr


def test_missing_extra_is_said_in_one_line(environment):
    """Without typer the command says how to install it, instead of showing a traceback."""
    program = (
        "import titan_state.cli as cli\n"
        "cli.find_spec = lambda name: None if name == 'typer' else object()\n"
        "cli.main()\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], env=environment(), capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert "pip install 'titan-state[cli]'" in done.stderr


def test_version_is_that_of_the_package(titan):
    """The version comes from the package's metadata."""
    result = titan("--version")
    assert result.exit_code == 0
    assert result.output.startswith("titan-state ")


@pytest.mark.parametrize(
    "arguments",
    [("watch", "--all"), ("wait", "x"), ("run", "x"), ("list",), ("check", "x", "pause"), ("stop", "x")],
    ids=lambda arguments: arguments[0],
)
def test_missing_address_is_a_usage_error_that_says_what_to_set(titan, arguments):
    """Without an address nothing is tried; one line says how to give it."""
    result = titan(*arguments)
    assert result.exit_code == 2
    assert result.stdout == ""
    assert result.stderr.count("\n") == 1
    assert "TITAN_API_URL" in result.stderr
    assert "--url" in result.stderr


def test_missing_token_is_a_usage_error_that_says_what_to_set(titan):
    """With an address but no token the other variable is named."""
    result = titan("list", "--url", "http://127.0.0.1:1")
    assert result.exit_code == 2
    assert result.stderr.count("\n") == 1
    assert "TITAN_TOKEN" in result.stderr


def test_an_address_that_cannot_work_is_a_usage_error(titan):
    """Plain http to another machine would show the token to the network."""
    result = titan("list", "--url", "http://example.com", "--token", "abc")
    assert result.exit_code == 2
    assert result.stderr.count("\n") == 1


def test_watching_nothing_is_a_usage_error(titan):
    """A watch needs to be told of what."""
    result = titan("watch", "--url", "http://127.0.0.1:1", "--token", "abc")
    assert result.exit_code == 2
    assert "--all" in result.stderr


@pytest.mark.parametrize(
    "arguments", [("bogus",), ("check", "x", "explode"), ("wait",), ("wait", "x", "--timeout", "y")]
)
def test_wrong_usage_exits_with_2(titan, arguments):
    """Commands, actions and numbers that there are not are mistakes of usage."""
    assert titan(*arguments).exit_code == 2


def test_diagram_is_the_models_own(titan):
    """The diagram is Mermaid, and knows every status."""
    result = titan("diagram")
    assert result.exit_code == 0
    assert result.output.startswith("stateDiagram-v2\n")
    assert "running --> completed_with_errors: complete_with_errors" in result.output
