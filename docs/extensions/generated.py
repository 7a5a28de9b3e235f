"""A Sphinx extension: tables and drawings that are made of the program when the documentation is built.

A page says where with an empty fenced block: `model-diagram`, `model-verdicts`, `model-paths`, `commands`,
`environment`, `exit-codes`, `error-tree`, `examples` or `contributing` in braces.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from typer import Context
from typer.main import get_command

from titan_state import Action, Lifecycle, Status, errors
from titan_state.cli.app import app as application
from titan_state.cli.exits import MEANINGS
from titan_state.cli.manual import SHEETS, sections, variables_of
from titan_state.cli.sheet import ENVIRONMENT
from titan_state.drawing.model import model_svg
from titan_state.drawing.svg import styles

if TYPE_CHECKING:
    from sphinx.application import Sphinx

ROOT = Path(__file__).parents[2]

OUTSIDE = re.compile(r"\]\(((?:\.\./)+)(examples[\w/.-]*)\)")
PLACE = re.compile(r"^```\{([\w-]+)\}\n```$", re.MULTILINE)


def table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """Return a table in Markdown."""

    def line(cells: Iterable[str]) -> str:
        return "| " + " | ".join(cell.replace("|", r"\|") for cell in cells) + " |"

    head = list(head)
    return "\n".join([line(head), line("---" for _ in head), *(line(row) for row in rows)])


def diagram() -> str:
    """Return the model as a picture that follows the theme of the page."""
    looks = styles().replace(":root", ".titan-figure")
    drawn = model_svg(Lifecycle.default(), with_counts=False)
    return f"```{{raw}} html\n<style>{looks}</style><div class='titan-figure'>{drawn}</div>\n```"


def verdicts() -> str:
    """Return what is answered for every status and action."""
    lifecycle = Lifecycle.default()
    rows = []
    for status in Status:
        told = []
        for action in Action:
            one = lifecycle.verdict(status, action)
            general, _, particular = one.reason.partition(": ")
            reason = general if lifecycle.is_terminal(status) else particular
            told.append(f"**yes**, to `{one.leads_to}`" if one.allowed else "no, " + reason.replace("'", "`"))
        rows.append([f"`{status}`", *told])
    return table(["status", *(f"`{action}`" for action in Action)], rows)


def paths() -> str:
    """Return the shortest way from every status to every other one."""
    lifecycle = Lifecycle.default()

    def way(source: str, dest: str) -> str:
        found = lifecycle.path(source, dest)
        return "" if source == dest else "none" if found is None else ", ".join(move.name for move in found)

    live = [status for status in Status if not lifecycle.is_terminal(status)]
    told = table(
        ["to", *(f"from `{source}`" for source in live)],
        ([f"`{dest}`", *(way(source, dest) for source in live)] for dest in Status),
    )
    return f"{told}\n\nFrom a terminal status there is no way at all."


def commands() -> str:
    """Return every command with its arguments, options, exit codes and examples."""
    root: Any = get_command(application)
    parts = []
    for path, sheet in SHEETS.items():
        command, context = root, Context(root, info_name="titan-state")
        for name in path.split():
            command = command.commands[name]
            context = Context(command, parent=context, info_name=name)
        if path:
            parts.append(f"{'###' if ' ' in path else '##'} {path}")
        parts += [_text(paragraph) for paragraph in (command.help or sheet.summary).strip().split("\n\n")]
        parts.append("```text\n" + command.get_usage(context).removeprefix("Usage: ") + "\n```")
        parts += _options(command.get_params(context), context)
        for heading, rows in sections(path, variables_of(command.get_params(context))).items() if path else ():
            parts += _section(heading, rows)
    return "\n\n".join(parts)


def _options(params: Iterable[Any], context: Any) -> list[str]:
    rows = []
    for param in params:
        record = param.get_help_record(context)
        if param.param_type_name == "argument":
            rows.append((f"`{param.metavar or param.name.upper()}`", param.help or ""))
        elif record is not None:
            rows.append((f"`{record[0]}`", _text(record[1])))
    return [table(["option", "what it is"], rows)] if rows else []


def _section(heading: str, rows: list[tuple[str, str]]) -> list[str]:
    match heading:
        case "Examples":
            shown = "\n".join(f"{command}  # {told[:1].lower()}{told[1:]}" for command, told in rows)
            return ["**Examples**", f"```console\n{shown}\n```"]
        case "Environment":  # each is at its option, and all of them are on a page of their own
            return []
        case "Exit status":
            return ["**Exit status** " + "; ".join(f"`{code}` {told.replace(';', ',')}" for code, told in rows)]
        case "See also":
            return ["**See also** " + ", ".join(f"[`{name}`](#{_anchor(name)})" for name, _ in rows)]
        case _:
            return [f"**{heading}**", table(["name", "meaning"], ((f"`{name}`", _text(told)) for name, told in rows))]


def _anchor(name: str) -> str:
    return name.removeprefix("titan-state ").replace(" ", "-")


def _text(told: str) -> str:
    """Return a help text as Markdown: what it says is text, and options are code."""
    escaped = re.sub(r"([\\*_<>\[\]`])", r"\\\1", told.replace("\n", " "))
    return re.sub(r"(?<![\w-])(--[a-z][\w-]*)", r"`\1`", escaped)


def environment() -> str:
    """Return every variable that the command heeds."""
    rows = ((", ".join(f"`{one}`" for one in name.split(", ")), _text(told)) for name, told in ENVIRONMENT.items())
    return table(["variable", "what it is"], (row for row in rows if "…" not in row[0]))


def exit_codes() -> str:
    """Return every exit code of the command."""
    return table(["code", "meaning"], ((str(code.value), told) for code, told in MEANINGS.items()))


def error_tree() -> str:
    """Return the tree of all exceptions, as their module draws it."""
    _, drawn, _ = (errors.__doc__ or "").split("```")
    return f"```text{drawn}```"


def examples() -> str:
    """Return the page about the examples, its links being those of a page beside it."""
    text = (ROOT / "examples" / "README.md").read_text(encoding="utf-8")
    return re.sub(r"\]\((?!https?:|[./#])", "](../examples/", text)


def contributing() -> str:
    """Return how to contribute, its links being those of a page: files of the root have pages of the same names."""
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8").replace("](docs/", "](")
    return re.sub(r"\]\(([A-Z]+\.md)", lambda match: f"]({match[1].lower()}", text)


MAKERS: Final[dict[str, Callable[[], str]]] = {
    "model-diagram": diagram,
    "model-verdicts": verdicts,
    "model-paths": paths,
    "commands": commands,
    "environment": environment,
    "exit-codes": exit_codes,
    "error-tree": error_tree,
    "examples": examples,
    "contributing": contributing,
}


def program_of(match: re.Match[str]) -> str:
    """Return a link to examples as one to their page, or to the program in the folder, which can be had from a page."""
    up, path = match[1], match[2].removesuffix("README.md").rstrip("/")
    folder = ROOT / path
    if path == "examples" or not folder.is_dir():
        return f"]({up.removesuffix('../')}examples.md)" if path == "examples" else match[0]
    programs = sorted(folder.glob("*.py"), key=lambda file: (file.stem != folder.name.partition("_")[2], file.name))
    files = programs or [file for file in sorted(folder.iterdir()) if file.is_file() and file.suffix != ".md"]
    return f"]({up}{files[0].relative_to(ROOT).as_posix()})"


def fill(app: Sphinx, docname: str, source: list[str]) -> None:
    """Put what is made into a page, where it says so."""
    text = PLACE.sub(lambda match: MAKERS[match[1]]() if match[1] in MAKERS else match[0], source[0])
    source[0] = OUTSIDE.sub(program_of, text)


def setup(app: Sphinx) -> dict[str, Any]:
    """Register the extension."""
    app.connect("source-read", fill)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
