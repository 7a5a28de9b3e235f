"""The rules that every example keeps: a number, a README of five lines, a test that runs it, and `--help`."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from typer.main import get_command

from titan_state.cli.app import app

EXAMPLES = Path(__file__).parents[2] / "examples"
FOLDERS = sorted(path for path in EXAMPLES.iterdir() if path.name[0].isdecimal())
LEADS = ("# ", "- Try it: ", "- For real: ", "- It prints ", "- To change: ")


def names(folders):
    return [pytest.param(folder, id=folder.name) for folder in folders]


def program(folder):
    """Return the program that has the name of the folder."""
    return folder / f"{folder.name.partition('_')[2]}.py"


def test_numbers_have_no_gaps():
    """They are counted from 01, each once."""
    assert [folder.name[:3] for folder in FOLDERS] == [f"{number:02}_" for number in range(1, len(FOLDERS) + 1)]
    assert len(FOLDERS) >= 11


@pytest.mark.parametrize("folder", names(FOLDERS))
def test_readme_has_five_lines(folder):
    """What it does, how to try it, how to run it for real, what it prints, what to change: a line each."""
    lines = [line for line in (folder / "README.md").read_text(encoding="utf-8").splitlines() if line]
    assert len(lines) == len(LEADS)
    for line, lead in zip(lines, LEADS, strict=True):
        assert line.startswith(lead)
        assert len(line) <= 120
    assert all((folder / name).exists() for name in re.findall(r"`(?:python |\./)(\w+\.(?:py|sh))", "\n".join(lines)))


@pytest.mark.parametrize("folder", names(FOLDERS))
def test_example_is_run_by_a_test(folder):
    """A folder that is added is run by a test, too, and is in the index."""
    tests = "".join(path.read_text(encoding="utf-8") for path in Path(__file__).parent.glob("test_*.py"))
    assert f'"{folder.name}"' in tests
    assert f"[{folder.name}]({folder.name})" in (EXAMPLES / "README.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("file", names([EXAMPLES, *FOLDERS]))
def test_readme_names_what_is_there(file):
    """Its links lead somewhere, and its `titan-state` commands and their options exist."""
    text = (file / "README.md").read_text(encoding="utf-8")
    assert [link for link in re.findall(r"\]\((?!https?:)([^)#]+)\)", text) if not (file / link).exists()] == []
    command = get_command(app)
    for line in re.findall(r"titan-state ([a-z][^`#\n]*)", text):
        name, *arguments = line.split()
        known = {option for parameter in command.commands[name].params for option in parameter.opts}
        assert {argument for argument in arguments if argument.startswith("--")} <= known


async def test_programs_say_how_they_are_used(run):
    """Each program with the name of its folder has `--help`."""
    files = [file for file in map(program, FOLDERS) if file.is_file() and "argparse" in file.read_text("utf-8")]
    started = {file: await run(file.parent.name, "--help") for file in files}
    for file, one in started.items():
        assert await one.end() == (0, "")
        assert any(line.startswith(f"usage: {file.name} ") for line in one.lines)
    assert len(started) >= 9
