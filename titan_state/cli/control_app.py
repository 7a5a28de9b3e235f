"""The commands that control executions. What a command does is imported when it is called."""

from __future__ import annotations

from typing import Annotated

import typer

from titan_state.cli import completion, options
from titan_state.cli.manual import sheet_of


def add_to(app: typer.Typer) -> None:
    """Add the commands to the whole."""
    for command in (check, pause, resume, stop):
        app.command(**sheet_of(command.__name__))(command)


def check(
    execution_id: options.ExecutionId,
    action: Annotated[
        str,
        typer.Argument(
            metavar="ACTION",
            help="The action: pause, resume or stop.",
            show_default=False,
            autocompletion=completion.actions,
        ),
    ],
    as_json: options.Json = False,
    url: options.Url = None,
    token: options.Token = None,
    account: options.Account = None,
    journal: options.Journal = None,
    no_journal: options.NoJournal = False,
    debug: options.Debug = False,
) -> None:
    """Say whether an action is legal now; only the status is read."""
    from titan_state.cli.connection import Connection
    from titan_state.cli.control import check as work
    from titan_state.cli.running import run

    run(
        lambda: work(
            Connection.of(url, token, account=account, journal=journal, no_journal=no_journal),
            execution_id,
            action,
            as_json=as_json,
        ),
        debug=debug,
    )


def pause(
    execution_id: options.ExecutionId,
    force: options.Force = False,
    as_json: options.Json = False,
    url: options.Url = None,
    token: options.Token = None,
    account: options.Account = None,
    journal: options.Journal = None,
    no_journal: options.NoJournal = False,
    debug: options.Debug = False,
) -> None:
    """Pause an execution, if its status allows it."""
    connection = (url, token, account, journal, no_journal)
    _act("pause", execution_id, *connection, force=force, as_json=as_json, debug=debug)


def resume(
    execution_id: options.ExecutionId,
    force: options.Force = False,
    as_json: options.Json = False,
    url: options.Url = None,
    token: options.Token = None,
    account: options.Account = None,
    journal: options.Journal = None,
    no_journal: options.NoJournal = False,
    debug: options.Debug = False,
) -> None:
    """Resume a paused execution, if its status allows it."""
    connection = (url, token, account, journal, no_journal)
    _act("resume", execution_id, *connection, force=force, as_json=as_json, debug=debug)


def stop(
    execution_id: options.ExecutionId,
    force: options.Force = False,
    as_json: options.Json = False,
    url: options.Url = None,
    token: options.Token = None,
    account: options.Account = None,
    journal: options.Journal = None,
    no_journal: options.NoJournal = False,
    debug: options.Debug = False,
) -> None:
    """Stop an execution before completion, if its status allows it."""
    connection = (url, token, account, journal, no_journal)
    _act("stop", execution_id, *connection, force=force, as_json=as_json, debug=debug)


def _act(
    action: str,
    execution_id: str,
    url: str | None,
    token: str | None,
    account: str | None,
    journal: str | None,
    no_journal: bool,
    *,
    force: bool,
    as_json: bool,
    debug: bool,
) -> None:
    from titan_state.cli.connection import Connection
    from titan_state.cli.control import act as work
    from titan_state.cli.running import run

    run(
        lambda: work(
            Connection.of(url, token, account=account, journal=journal, no_journal=no_journal),
            execution_id,
            action,
            force=force,
            as_json=as_json,
        ),
        debug=debug,
    )
