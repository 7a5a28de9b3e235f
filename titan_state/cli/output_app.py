"""The command that saves outputs. What it does is imported when it is called."""

from __future__ import annotations

from typing import Annotated

import typer

from titan_state.cli import options
from titan_state.cli.manual import sheet_of


def add_to(app: typer.Typer) -> None:
    """Add the command to the whole."""
    app.command(**sheet_of("export"))(export)


def export(
    ids: options.ExecutionIds,
    form: Annotated[options.Format, typer.Option("--format", help="The format of the results.")] = options.Format.JSON,
    output: Annotated[
        str, typer.Option("--output", metavar="DIR", help="Where the files go; made if it is not there.")
    ] = ".",
    datasets: Annotated[bool, typer.Option("--datasets", help="Write the list of datasets, too.")] = False,
    media: Annotated[bool, typer.Option("--media", help="Load the media that the rows name, too.")] = False,
    if_exists: Annotated[
        options.IfExists,
        typer.Option(
            "--if-exists",
            help="What to do with a file that is there already.",
        ),
    ] = options.IfExists.ERROR,
    timeout: Annotated[
        float | None,
        typer.Option(
            "--timeout",
            min=0,
            metavar="SECONDS",
            help="For how long results that are not there yet are waited for; 60 s by default.",
            show_default=False,
        ),
    ] = None,
    as_json: options.Json = False,
    url: options.Url = None,
    token: options.Token = None,
    per_minute: options.PerMinute = None,
    account: options.Account = None,
    debug: options.Debug = False,
) -> None:
    """Save the results of executions that have succeeded, each in a file that is named after it.

    The list of datasets goes to ID.datasets.json, media go to the directory ID.media. A file is in its place once it
    is whole; of several executions one that fails does not stop the others.
    """
    from titan_state.cli.connection import Connection
    from titan_state.cli.export import Wish
    from titan_state.cli.export import export as work
    from titan_state.cli.running import run

    wish = Wish(
        directory=output,
        form=form.value,
        if_exists=if_exists.value,
        timeout_s=timeout,
        with_datasets=datasets,
        with_media=media,
    )
    run(lambda: work(Connection.of(url, token, per_minute, account=account), ids, wish, as_json=as_json), debug=debug)
