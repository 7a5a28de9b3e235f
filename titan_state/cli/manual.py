"""The manual: how help is laid out, as text that reads the same on a terminal, in a pipe and on a page.

What a command says of itself, beside its own docstring and options, is in `sheets_live.py` and `sheets_kept.py`. Rich
is not used: it would take longer to load than everything else together, and boxes are no help in a pipe.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from typer.core import TyperCommand, TyperGroup

from titan_state.cli.exits import MEANINGS
from titan_state.cli.sheet import ENVIRONMENT, PANELS, Sheet
from titan_state.cli.sheets_kept import KEPT
from titan_state.cli.sheets_live import LIVE

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

PROGRAM: Final = "titan-state"
SETTINGS: Final = {"help_option_names": ["-h", "--help"], "max_content_width": 100}
"""Click's settings of every command."""

SHEETS: Final = LIVE | KEPT
"""What the manual says of each command, by its name without the program; the program itself is the empty one."""

Rows = list[tuple[str, str]]


def sheet_of(path: str) -> dict[str, Any]:
    """Return what a command is registered with: its class, its summary, and where the list of commands shows it.

    Args:
        path: The command without the program, as `deliveries retry`.
    """
    sheet = SHEETS[path]
    return {
        "cls": ManualGroup if sheet.is_group else ManualCommand,
        "short_help": sheet.summary,
        "rich_help_panel": sheet.panel or None,
        "context_settings": SETTINGS,
    }


def sections(path: str, variables: Iterable[str] = ()) -> dict[str, Rows]:
    """Return what the manual says of a command below its options: rows of a name and its meaning, by heading.

    Args:
        path: The command without the program, empty for the program itself.
        variables: The environment variables that its options name.
    """
    sheet = SHEETS.get(path) or Sheet("")
    environment = dict.fromkeys((*variables, *sheet.environment))
    found: dict[str, Rows] = {
        "Environment": [(name, ENVIRONMENT[name]) for name in ENVIRONMENT if name in environment],
        "Files": [(name, meaning) for name, meaning in sheet.files],
        "Exit status": [(str(code.value), MEANINGS[code]) for code in sheet.exits],
        "Examples": [(f"$ {command}", told) for command, told in sheet.examples],
        "See also": [(f"{PROGRAM} {name}", SHEETS[name].summary) for name in sheet.see],
    }
    return {heading: rows for heading, rows in found.items() if rows}


def path_of(context: Any) -> str:
    """Return the command that a context belongs to, without the program."""
    names: list[str] = []
    while context.parent is not None:
        names.insert(0, context.info_name)
        context = context.parent
    return " ".join(names)


def variables_of(params: Iterable[Any]) -> list[str]:
    """Return the environment variables that stand for options."""
    return [param.envvar for param in params if isinstance(getattr(param, "envvar", None), str)]


class ManualCommand(TyperCommand):
    """A command whose help is a page of the manual."""

    def collect_usage_pieces(self, ctx: Any) -> list[str]:
        """Return what follows the command in its line of usage."""
        arguments = [_usage(param) for param in self.get_params(ctx) if param.param_type_name == "argument"]
        return [self.options_metavar or "", *arguments]

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """Write arguments, and options by what they are about."""
        _write_params(self.get_params(ctx), ctx, formatter)

    def format_epilog(self, ctx: Any, formatter: Any) -> None:
        """Write what follows the options."""
        _write_sections(self.get_params(ctx), ctx, formatter)


class ManualGroup(TyperGroup):
    """A command with commands of its own, by what they are for."""

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """Write the commands first: they are what somebody looks for."""
        self.format_commands(ctx, formatter)
        _write_params(self.get_params(ctx), ctx, formatter)

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """Write the commands, each with its summary, by what they are for."""
        panels: dict[str, Rows] = {}
        for name in self.list_commands(ctx):
            command: Any = self.get_command(ctx, name)
            if command is not None and not command.hidden:
                panel = getattr(command, "rich_help_panel", None) or "Commands"
                panels.setdefault(panel, []).append((name, command.short_help or ""))
        width = max((len(name) for rows in panels.values() for name, _ in rows), default=0)
        for panel in sorted(panels, key=lambda one: PANELS.index(one) if one in PANELS else len(PANELS)):
            _write_rows(panel, [(name.ljust(width), summary) for name, summary in panels[panel]], formatter)

    def format_epilog(self, ctx: Any, formatter: Any) -> None:
        """Write what follows the options."""
        _write_sections(self.get_params(ctx), ctx, formatter)


def _usage(argument: Any) -> str:
    named = argument.metavar or argument.name.upper()
    shown = named if argument.required else f"[{named}]"
    return f"{shown}..." if argument.nargs == -1 and not named.endswith("...") else shown


def _write_params(params: Sequence[Any], context: Any, formatter: Any) -> None:
    panels: dict[str, Rows] = {}
    for param in params:
        record = param.get_help_record(context)
        if record is None:
            continue
        if param.param_type_name == "argument":
            panels.setdefault("Arguments", []).append((param.metavar or record[0], param.help or ""))
        else:
            panels.setdefault(getattr(param, "rich_help_panel", None) or "Options", []).append(record)
    for heading, rows in panels.items():
        _write_rows(heading, rows, formatter)


def _write_sections(params: Sequence[Any], context: Any, formatter: Any) -> None:
    for heading, rows in sections(path_of(context), variables_of(params)).items():
        if heading == "Examples":
            with formatter.section(heading):
                for command, told in rows:
                    formatter.write_text(f"{told}:")
                    formatter.write(f"{'':{formatter.current_indent + 2}}{command}\n")  # a command is never wrapped
        elif heading == "See also":
            with formatter.section(heading):
                formatter.write_text(", ".join(name for name, _ in rows))
        else:
            _write_rows(heading, rows, formatter)


def _write_rows(heading: str, rows: Rows, formatter: Any) -> None:
    with formatter.section(heading):
        formatter.write_dl(rows, col_max=min(30, formatter.width // 3))
