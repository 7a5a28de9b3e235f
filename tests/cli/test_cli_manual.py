"""The manual: what help says, how it is laid out, and that nothing in it is only claimed."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
import typer

import titan_state
from titan_state.cli.app import app
from titan_state.cli.exits import MEANINGS, Exit
from titan_state.cli.manual import SHEETS, path_of, sections, variables_of
from titan_state.cli.sheet import ENVIRONMENT, PANELS

ROOT = typer.main.get_command(app)
WORDS = re.compile(r"NATS_[A-Z]+|TITAN_[A-Z_]+")


def walk(command=ROOT, parent=None, name="titan-state"):
    """Yield each command with its name, groups before what is in them."""
    context = command.make_context(name, [], parent=parent, resilient_parsing=True)
    yield path_of(context), command, context
    for one, inner in getattr(command, "commands", {}).items():
        yield from walk(inner, context, one)


COMMANDS = {path: (command, context) for path, command, context in walk()}
EXAMPLES = [
    (path, command) for path, sheet in SHEETS.items() for command, _ in sheet.examples if command.startswith("titan")
]


def page(path):
    """Return the help of a command as a terminal of the present width shows it."""
    command, context = COMMANDS[path]
    return command.get_help(context) + "\n"


def test_every_command_has_a_sheet_and_no_sheet_is_left_over():
    """A command that is added is described, and one that is taken away leaves nothing behind."""
    assert set(COMMANDS) == set(SHEETS)


@pytest.mark.parametrize("path", COMMANDS)
def test_help_has_all_sections_within_80_columns(monkeypatch, path):
    """Each page has what a manual has, reads well in a pipe, and shows examples in one piece."""
    monkeypatch.setenv("COLUMNS", "80")
    help_text = page(path)
    assert help_text.startswith("Usage: ")
    assert all(f"\n{heading}:\n" in help_text for heading in ("Options", "Exit status", "Examples"))
    assert "\x1b" not in help_text
    assert not re.search(r"[─│╭╮]", help_text)
    assert max(map(len, help_text.splitlines())) <= 80
    for command, told in SHEETS[path].examples:
        assert f"    $ {command}\n" in help_text
        assert f"  {told}:\n" in help_text


@pytest.mark.parametrize("path", COMMANDS)
def test_exit_codes_are_in_the_words_of_one_table(titan, path):
    """Help and table cannot differ, and every page says at least how it may go wrong."""
    shown = " ".join(titan(*path.split(), "--help").stdout.partition("Exit status:")[2].split())
    for code in SHEETS[path].exits:
        assert f"{code.value} {MEANINGS[code]}" in shown
    assert {Exit.ERROR, Exit.USAGE, Exit.INTERRUPTED, Exit.TERMINATED} <= set(SHEETS[path].exits)


@pytest.mark.parametrize(("path", "example"), EXAMPLES, ids=lambda value: value)
def test_examples_are_commands_that_are_understood(path, example):
    """Each example is parsed by the command itself, to the last option."""
    words = shlex.split(re.split(r" [|>&]+ ", example)[0])[1:]
    command, context = ROOT, COMMANDS[""][1]
    while hasattr(command, "commands") and words and words[0] in command.commands:
        name = words.pop(0)
        command = command.commands[name]
        if hasattr(command, "commands") and words and words[0] in command.commands:
            continue
        context = command.make_context(name, words[:], parent=context) if words != ["--help"] else context
    if command is ROOT:
        assert words in (["--install-completion"], ["--help"])
        return
    assert not context.args


def test_the_list_of_commands_is_by_what_they_are_for(titan):
    """A newcomer reads from the first try down to the model, each summary on one line."""
    help_text = titan("--help").stdout
    places = [help_text.index(f"\n{panel}:\n") for panel in PANELS]
    assert places == sorted(places)
    for path, (command, _) in COMMANDS.items():
        if path and " " not in path:
            assert re.search(rf"\n  {path} +{re.escape(SHEETS[path].summary)}\n", help_text)
            assert command.rich_help_panel == SHEETS[path].panel


def test_nothing_given_is_helped(titan):
    """Without arguments the command shows what there is."""
    result = titan()
    assert result.exit_code == 2
    assert "Try it, without an account:" in result.output
    assert titan("journal").exit_code == 2


@pytest.mark.parametrize("path", COMMANDS)
def test_environment_variables_of_options_are_listed(path):
    """What stands for an option is in the section of variables, with a meaning."""
    variables = variables_of(COMMANDS[path][0].get_params(COMMANDS[path][1]))
    listed = [name for name, _ in sections(path, variables).get("Environment", ())]
    assert set(variables) <= set(listed)


def test_every_variable_of_the_library_is_in_the_manual():
    """A variable that is read somewhere is described; those that are set for programs are named by subscribe."""
    told = set(WORDS.findall(" ".join(ENVIRONMENT) + (COMMANDS["subscribe"][0].help or "")))
    used = set()
    for path in Path(titan_state.__file__).parent.rglob("*.py"):
        used |= set(re.findall(r'"((?:NATS|TITAN)_[A-Z_]+)"', path.read_text(encoding="utf-8")))
    assert {name for name in used if not name.startswith("NATS_URL")} <= told


def test_see_also_names_commands_that_there_are():
    """No page leads to nothing, or to itself."""
    for path, sheet in SHEETS.items():
        assert set(sheet.see) <= set(COMMANDS) - {path, ""}


@pytest.mark.parametrize("columns", [40, 60, 120])
def test_help_fits_other_terminals(monkeypatch, columns):
    """A narrow terminal gets narrow text, down to what 50 columns hold; a wide one no endless lines."""
    monkeypatch.setenv("COLUMNS", str(columns))
    lines = page("list").splitlines()
    widest = max(len(line) for line in lines if not line.lstrip().startswith("$"))
    assert widest <= min(max(columns, 52), 100)


def test_common_options_are_in_the_same_words_everywhere(titan):
    """What several commands take is described once."""
    for option in ("--url", "--journal", "--account", "--debug", "--json"):
        told = {
            param.help
            for command, context in COMMANDS.values()
            for param in command.get_params(context)
            if option in param.opts
        }
        assert len(told) == 1
