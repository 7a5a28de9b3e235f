"""The commands that draw. What a command does is imported when it is called."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

from titan_state.cli import options
from titan_state.cli.manual import sheet_of


class Notation(StrEnum):
    """How a diagram is written."""

    MERMAID = "mermaid"
    SVG = "svg"
    DOT = "dot"


Replace = Annotated[bool, typer.Option("--force", help="Replace a file that is there already.")]


def add_to(app: typer.Typer) -> None:
    """Add the commands to the whole."""
    app.command(**sheet_of("report"))(report)
    app.command(**sheet_of("diagram"))(diagram)


def report(
    ids: options.SomeIds = None,
    task: options.Tasks = None,
    output: Annotated[
        str, typer.Option("--output", metavar="FILE", help="The page; - for standard output.")
    ] = "report.html",
    force: Replace = False,
    url: options.Url = None,
    account: options.Account = None,
    journal: options.Journal = None,
    debug: options.Debug = False,
) -> None:
    """Write a page about executions: timelines, time in each status, anomalies, events, as far as the journal has them.

    The page holds all that it needs: it loads nothing and runs no script. The service is asked nothing.
    """
    from titan_state.cli.journal import place
    from titan_state.cli.report import Wish
    from titan_state.cli.report import report as work
    from titan_state.cli.running import run

    wish = Wish(ids=ids or (), tasks=task or (), account=account or (None if journal else url))
    run(lambda: work(place(journal, url, account), wish, output=output, force=force), debug=debug)


def diagram(
    form: Annotated[
        Notation, typer.Option("--format", help="Mermaid for documents, SVG to look at, DOT for Graphviz.")
    ] = Notation.MERMAID,
    output: Annotated[str, typer.Option("--output", metavar="FILE", help="The file; - for standard output.")] = "-",
    force: Replace = False,
    debug: options.Debug = False,
) -> None:
    """Write the model of statuses and legal moves as a diagram."""
    from titan_state.cli.report import diagram as work
    from titan_state.cli.running import run

    run(lambda: work(form.value, output=output, force=force), debug=debug)
