"""What the README and the documents say, held against the project: programs, diagrams, tables and commands."""

from __future__ import annotations

import re
from configparser import ConfigParser
from pathlib import Path

import pytest
from typer.main import get_command

from titan_state import Lifecycle
from titan_state.cli.app import app

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
ARCHITECTURE = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")


def blocks(language):
    """Return the fenced blocks of the README in a language."""
    return re.findall(rf"^```{language}\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)


def rows(text, heading):
    """Return the cells of the first table under a heading."""
    table = text.split(f"## {heading}\n", 1)[1].split("\n## ", 1)[0]
    lines = [line for line in table.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]


async def test_the_first_program_runs_as_it_stands(start, tmp_path):
    """Pasted into a file it runs, with no account set, and does what the README says."""
    (text,) = blocks("python")
    file = tmp_path / "first.py"
    file.write_text(text, encoding="utf-8")
    program = await start(file)
    assert await program.end() == (0, "")
    told = "\n".join(program.lines)
    assert re.search(r"^nightly-prices completed, known since \d\d:\d\d:\d\d$", told, re.MULTILINE)
    assert "nightly-prices is completed" in program.lines
    (refusal,) = [line for line in program.lines if line.startswith("not sent: ")]
    assert "stop" in refusal
    assert len(program.lines) == 4


def test_the_diagram_is_the_model():
    """The drawing in the README is what the model draws of itself."""
    assert [text.strip() for text in blocks("mermaid")] == [Lifecycle.default().diagram().strip()]


def test_make_targets_exist():
    """What the README tells to make can be made."""
    named = set(re.findall(r"\bmake ([a-z]+)", README))
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    assert {"demo", "test"} <= named
    assert named <= set(re.findall(r"^([a-z]+):", makefile, re.MULTILINE))


def test_commands_exist():
    """Each command line in the README is one that the program knows, options included."""
    lines = re.findall(r"^\$ titan-state ([^#\n]*)", README, re.MULTILINE)
    command = get_command(app)
    assert len(lines) >= 4
    for line in lines:
        name, *arguments = line.split()
        if name.startswith("-"):
            assert name == "--help"
            continue
        known = {option for parameter in command.commands[name].params for option in parameter.opts}
        assert {argument for argument in arguments if argument.startswith("-")} <= known


@pytest.mark.parametrize("name", ["README.md", "docs/architecture.md", "docs/performance.md", "CHANGELOG.md"])
def test_links_lead_somewhere(name):
    """What a document links to within the project is there."""
    file = ROOT / name
    links = re.findall(r"\]\((?!https?:)([^)#]+)\)", file.read_text(encoding="utf-8"))
    assert [link for link in links if not (file.parent / link).exists()] == []


def test_the_table_of_moves_is_the_model():
    """The table in docs/architecture.md has every move of the model, from where, to where and by whom, and no other."""
    told = {
        (name, source, dest, who)
        for name, sources, dest, who in rows(ARCHITECTURE, "The formal model")
        for source in sources.split(", ")
    }
    moves = Lifecycle.default().moves
    assert told == {(m.name, m.source, m.dest, "platform" if m.action is None else "action") for m in moves}


def test_the_table_of_layers_is_the_contract():
    """The layers in docs/architecture.md are, in the same order, those that the linter enforces."""
    parser = ConfigParser()
    parser.read(ROOT / "setup.cfg", encoding="utf-8")
    enforced = parser["importlinter:contract:layers"]["layers"].strip().splitlines()
    told = [re.findall(r"`(\w+)", row[0]) for row in rows(ARCHITECTURE, "Layers")]
    assert [sorted(names) for names in told] == [
        sorted(re.findall(r"(?<!\()\b(\w+)\b(?!\))", line)) for line in enforced
    ]
