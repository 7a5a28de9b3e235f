"""The command that serves the dashboard. What it does is imported when it is called."""

from __future__ import annotations

from typing import Annotated

import typer

from titan_state.cli import options
from titan_state.cli.manual import sheet_of


def add_to(app: typer.Typer) -> None:
    """Add the command to the whole."""
    app.command(**sheet_of("dashboard"))(dashboard)


def dashboard(
    ids: options.SomeIds = None,
    task: options.Tasks = None,
    follow: Annotated[
        bool, typer.Option("--follow", help="Show what another monitor writes into the journal; watch nothing.")
    ] = False,
    port: Annotated[
        int | None,
        typer.Option(
            "--port", min=0, max=65535, metavar="PORT", help="The port; 0 for any free one. By default 8288, if free."
        ),
    ] = None,
    host: Annotated[
        str, typer.Option("--host", metavar="ADDRESS", help="The address to listen on; leave it on this machine.")
    ] = "127.0.0.1",
    name: Annotated[
        list[str] | None,
        typer.Option("--name", metavar="HOST", help="A further host name under which the page may be reached."),
    ] = None,
    open_page: Annotated[bool, typer.Option("--open", help="Open the page in a browser.")] = False,
    new_link: Annotated[
        bool,
        typer.Option(
            "--new-link",
            help="Make another token. Links printed before are good no longer once the dashboards that run now are "
            "started again: each keeps the token it started with.",
        ),
    ] = False,
    url: options.Url = None,
    token: options.Token = None,
    per_minute: options.PerMinute = None,
    account: options.Account = None,
    journal: options.Journal = None,
    no_journal: options.NoJournal = False,
    debug: options.Debug = False,
) -> None:
    """Show executions live on a web page: a board, timelines, anomalies, the model; with buttons that control them.

    It watches what is named, or everything, and writes it down, as titan-state watch does. If a monitor of this machine
    writes the journal already, or with --follow, it shows what that one does, and sends nothing itself. So it does with
    the journal of --journal where the URL or the token is missing.

    It prints a link. Whoever has it may control executions: do not pass it on.
    """
    from titan_state.cli.dashboard import Place, Wish
    from titan_state.cli.dashboard import dashboard as work
    from titan_state.cli.running import run

    wish = Wish(
        ids=tuple(ids or ()),
        tasks=tuple(task or ()),
        follows=follow,
        host=host,
        port=port,
        names=tuple(name or ()),
        opens=open_page,
        renews=new_link,
    )
    where = Place(
        url=url,
        token=token,
        per_minute=per_minute,
        account=account,
        journal=journal,
        has_journal=not no_journal,
    )
    run(lambda: work(wish, where), debug=debug)
