"""Options: the arguments that several commands share, each described once."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Final

import typer

from titan_state.cli import completion

SERVICE: Final = "Service and journal"
"""The heading under which help shows what nearly every command takes."""

Url = Annotated[
    str | None,
    typer.Option(
        "--url",
        envvar="TITAN_API_URL",
        metavar="URL",
        help="The origin of the Task Service, without /api/v1.",
        rich_help_panel=SERVICE,
    ),
]
Token = Annotated[
    str | None,
    typer.Option(
        "--token",
        envvar="TITAN_TOKEN",
        metavar="TOKEN",
        help="The bearer token. Other users of this machine can see it on the command line: better set TITAN_TOKEN.",
        rich_help_panel=SERVICE,
    ),
]
PerMinute = Annotated[
    int | None,
    typer.Option(
        "--per-minute",
        min=1,
        metavar="N",
        help="The most requests to send in a minute, 120 by default. The account's limit is shared by all its "
        "programs.",
        rich_help_panel=SERVICE,
    ),
]
Account = Annotated[
    str | None,
    typer.Option(
        "--account",
        envvar="TITAN_ACCOUNT",
        metavar="NAME",
        help="Whose executions these are, if the URL has more than one account: each has a journal of its own.",
        rich_help_panel=SERVICE,
    ),
]
Journal = Annotated[
    str | None,
    typer.Option(
        "--journal",
        envvar="TITAN_JOURNAL",
        metavar="ADDRESS",
        help="Where it is written down: sqlite:///path, or nats://host:4222. By default a file for each account and "
        "URL in the state directory.",
        rich_help_panel=SERVICE,
    ),
]
NoJournal = Annotated[
    bool,
    typer.Option("--no-journal", help="Write nothing down, whatever --journal says.", rich_help_panel=SERVICE),
]
Json = Annotated[bool, typer.Option("--json", help="Write JSON, one object on a line.")]
Debug = Annotated[bool, typer.Option("--debug", help="Show tracebacks and the whole log.")]
Timeout = Annotated[
    float | None,
    typer.Option("--timeout", min=0, metavar="SECONDS", help="Give up waiting after this time; never by default."),
]
Force = Annotated[bool, typer.Option("--force", help="Send it even if the status does not allow it.")]
ExecutionId = Annotated[
    str,
    typer.Argument(metavar="ID", help="The execution.", show_default=False, autocompletion=completion.executions),
]
ExecutionIds = Annotated[
    list[str],
    typer.Argument(metavar="ID", help="The executions.", show_default=False, autocompletion=completion.executions),
]
SomeIds = Annotated[
    list[str] | None,
    typer.Argument(metavar="ID", help="Executions.", show_default=False, autocompletion=completion.executions),
]
TaskId = Annotated[
    str, typer.Argument(metavar="TASK", help="The task.", show_default=False, autocompletion=completion.tasks)
]
Tasks = Annotated[
    list[str] | None,
    typer.Option(
        "--task",
        metavar="TASK",
        help="All executions of a task. May be given several times.",
        autocompletion=completion.tasks,
    ),
]


class Format(StrEnum):
    """The formats of exports, as the library has them: its own would be imported only to show a help text."""

    JSON = "json"
    CSV = "csv"


class IfExists(StrEnum):
    """What to do with files that are there already, as the library has it."""

    ERROR = "error"
    SKIP = "skip"
    OVERWRITE = "overwrite"
