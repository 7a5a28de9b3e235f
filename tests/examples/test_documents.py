"""What the README and the documents say, held against the project: programs, diagrams, tables and commands."""

from __future__ import annotations

import inspect
import re
import signal
from configparser import ConfigParser
from pathlib import Path

import pytest
from aiohttp import ClientSession
from typer.main import get_command

from titan_state import Lifecycle, Outputs, ServiceProfile
from titan_state.cli.app import app
from titan_state.monitor.callbacks import Options
from titan_state.monitor.handlers import Handler, Registry

ROOT = Path(__file__).parents[2]
DOCUMENTS = ["README.md", "CHANGELOG.md", *(f"docs/{path.name}" for path in sorted((ROOT / "docs").glob("*.md")))]
README = (ROOT / "README.md").read_text(encoding="utf-8")
ARCHITECTURE = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
LIFECYCLE = (ROOT / "docs" / "how-to" / "statuses.md").read_text(encoding="utf-8")
JOURNAL = (ROOT / "docs" / "journal.md").read_text(encoding="utf-8")
OUTPUTS = (ROOT / "docs" / "outputs.md").read_text(encoding="utf-8")
DASHBOARD = (ROOT / "docs" / "dashboard.md").read_text(encoding="utf-8")
CALLBACKS = (ROOT / "docs" / "callbacks.md").read_text(encoding="utf-8")


def blocks(language, text=README):
    """Return the fenced blocks of a document, the README by default, in a language."""
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


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


async def test_the_program_about_callbacks_runs_as_it_stands(start, tmp_path):
    """Pasted into a file it runs, and shows what docs/callbacks.md says: retries, giving up, acting, both kinds."""
    (text,) = blocks("python", CALLBACKS)
    file = tmp_path / "callbacks.py"
    file.write_text(text, encoding="utf-8")
    program = await start(file)
    code, complaints = await program.end()
    assert code == 0
    assert re.search(r"failed for event prices:\d, next attempt in 0\.2 s", complaints)
    assert re.search(r"was given up for event reviews:\d after 1 attempts", complaints)
    assert sorted(program.lines) == [
        "2 delivered, 1 given up",
        "exported prices at attempt 2",
        "reviews was stopped by us",
        "stock running -> failed - check first: execution details and platform logs",
    ]
    assert program.lines[-1] == "2 delivered, 1 given up"


async def test_the_program_about_the_journal_runs_as_it_stands(start, tmp_path):
    """Pasted into a file it runs, and shows a restart: numbers go on, and what happened meanwhile is delivered."""
    (text,) = blocks("python", JOURNAL)
    file = tmp_path / "journal.py"
    file.write_text(text, encoding="utf-8")
    program = await start(file)
    assert await program.end() == (0, "")
    assert "prices is completed - state and numbers went on" in program.lines
    (exported,) = [line for line in program.lines if line.startswith("exporting prices:")]
    told = [line for line in program.lines if " -> " in line]
    assert told[-1] == f"{exported.removeprefix('exporting ')} running -> completed"
    assert [line.partition(" ")[0] for line in told] == [f"prices:{seq}" for seq in range(1, len(told) + 1)]


async def test_the_program_about_another_lifecycle_runs_as_it_stands(start, tmp_path):
    """Pasted into a file it runs, and shows that actions are judged by the extended model on both sides."""
    (text,) = blocks("python", LIFECYCLE)
    file = tmp_path / "lifecycle.py"
    file.write_text(text, encoding="utf-8")
    program = await start(file)
    assert await program.end() == (0, "")
    assert program.lines == [
        "pause - pause is not legal in assigned: only 'running' allows it",
        "resume - resume is not legal in assigned: only 'paused' allows it",
        "stop - stop leads from assigned to cancelled",
        "prices assigned -> cancelled by action",
    ]


async def test_the_program_about_outputs_runs_as_it_stands(start, tmp_path):
    """Pasted into a file it runs, and shows results that come later, files, rows, media, and what is refused."""
    (text,) = blocks("python", OUTPUTS)
    file = tmp_path / "outputs.py"
    file.write_text(text, encoding="utf-8")
    program = await start(file)
    assert await program.end() == (0, "")
    assert program.lines[:5] == [
        "prices has 3 rows",
        "saved prices.json",
        "1 Item 1 of prices",
        "2 Item 2 of prices",
        "3 Item 3 of prices",
    ]
    assert program.lines[5] == "loaded first.png"
    assert program.lines[6].startswith("not sent: execution stock is running, which has no outputs")


async def test_the_program_about_the_dashboard_runs_as_it_stands(start, tmp_path):
    """Pasted into a file it runs, and serves the page under the link that it prints."""
    (text,) = blocks("python", DASHBOARD)
    file = tmp_path / "board.py"
    file.write_text(text, encoding="utf-8")
    program = await start(file)
    await program.until("open http://127.0.0.1:")
    link = program.lines[0].removeprefix("open ")
    async with ClientSession() as session, session.get(link) as answer:
        assert answer.status == 200
        assert "titan-state" in await answer.text()
    code, complaints = await program.end(by=signal.SIGINT)
    assert code != 0
    assert complaints.strip().endswith("KeyboardInterrupt")


def test_outputs_are_told():
    """The table in docs/outputs.md has each method of `Outputs`, and no other."""
    told = set(re.findall(r"`(?:await )?(\w+)\(", "".join(row[0] for row in rows(OUTPUTS, "What there is"))))
    plumbing = {"read_metadata"}
    assert told == {name for name in vars(Outputs) if not name.startswith("_")} - plumbing


def test_defaults_of_outputs_are_told():
    """The table of defaults in docs/outputs.md says what `ServiceProfile` has."""
    profile = ServiceProfile()
    for name, told in ((row[0].strip("`"), row[1]) for row in rows(OUTPUTS, "What is a default")):
        value = getattr(profile, name)
        for one in value if isinstance(value, tuple) else (value,):
            assert value is True or str(one) in told


def test_arguments_of_extend_are_told():
    """The table in docs/how-to/statuses.md has each argument of `Lifecycle.extend`, and no other."""
    told = {row[0].strip("`") for row in rows(LIFECYCLE, "What `extend` takes")}
    assert told == set(inspect.signature(Lifecycle.extend).parameters) - {"self"}


@pytest.mark.parametrize("name", list(Options.__annotations__))
def test_options_are_told(name):
    """Each option of a handler is in the table of docs/callbacks.md, with its default."""
    told = {row[0].strip("`"): row[2] for row in rows(CALLBACKS, "When it fails")}
    default = {"retries": "3", "backoff": "1", "timeout": "None: no limit", "name": "the function's own"}
    default |= {"task": "None: all", "since": "None: now"}
    assert told[name] == default[name]
    if name not in ("name", "task"):
        assert str(getattr(Handler("x", print, []), name)).startswith(told[name].split(":")[0])


def test_registrars_are_told():
    """Each registrar is in the table of docs/callbacks.md, and no other."""
    told = set(re.findall(r"`(on_\w+)", "".join(row[0] for row in rows(CALLBACKS, "What it is called for"))))
    assert told == {name for name in vars(Registry) if name.startswith("on_")}


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
    lines = re.findall(r"^\$ titan-state ([^#\n]*)", README + DASHBOARD, re.MULTILINE)
    command = get_command(app)
    assert len(lines) >= 4
    for line in lines:
        name, *arguments = line.split()
        if name.startswith("-"):
            assert name == "--help"
            continue
        known = {option for parameter in command.commands[name].params for option in parameter.opts}
        assert {argument for argument in arguments if argument.startswith("-")} <= known


@pytest.mark.parametrize("name", DOCUMENTS)
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
