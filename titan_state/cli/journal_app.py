"""The commands that look into a journal. What a command does is imported when it is called."""

from __future__ import annotations

from typing import Annotated

import typer

from titan_state.cli import completion, options
from titan_state.cli.manual import sheet_of

deliveries = typer.Typer()
subscriptions = typer.Typer()
journal = typer.Typer(help="Keep the journal in order: look whether it is, and drop what is old.", no_args_is_help=True)

Dead = Annotated[bool, typer.Option("--dead", help="Only those that were given up.")]
Named = Annotated[
    str | None,
    typer.Option(
        "--subscription",
        metavar="NAME",
        help="Only those of this subscription.",
        autocompletion=completion.subscriptions,
    ),
]


def add_to(app: typer.Typer) -> None:
    """Add the commands to the whole."""
    app.command(**sheet_of("history"))(history)
    app.add_typer(deliveries, name="deliveries", **sheet_of("deliveries"))
    app.add_typer(subscriptions, name="subscriptions", **sheet_of("subscriptions"))
    app.add_typer(journal, name="journal", **sheet_of("journal"))


def history(
    execution_id: options.ExecutionId,
    as_json: options.Json = False,
    url: options.Url = None,
    account: options.Account = None,
    journal: options.Journal = None,
    debug: options.Debug = False,
) -> None:
    """Show what happened to an execution, with how long it was in each status, as far as the journal has it."""
    from titan_state.cli.journal import history as work
    from titan_state.cli.journal import place
    from titan_state.cli.running import run

    run(lambda: work(place(journal, url, account), execution_id, as_json=as_json), debug=debug)


@deliveries.callback(invoke_without_command=True)
def show_deliveries(
    context: typer.Context,
    dead: Dead = False,
    as_json: options.Json = False,
    url: options.Url = None,
    account: options.Account = None,
    journal: options.Journal = None,
    debug: options.Debug = False,
) -> None:
    """Show deliveries to callbacks that failed: those that were given up, and those that are to be tried again."""
    if context.invoked_subcommand is not None:
        return
    from titan_state.cli.journal import deliveries as work
    from titan_state.cli.journal import place
    from titan_state.cli.running import run

    run(lambda: work(place(journal, url, account), dead_only=dead, as_json=as_json), debug=debug)


@deliveries.command(**sheet_of("deliveries retry"))
def retry(
    event_ids: Annotated[
        list[str],
        typer.Argument(
            metavar="EVENT", help="The ids of the events.", show_default=False, autocompletion=completion.dead_letters
        ),
    ],
    subscription: Named = None,
    url: options.Url = None,
    account: options.Account = None,
    journal: options.Journal = None,
    debug: options.Debug = False,
) -> None:
    """Have deliveries that were given up made once more, out of order, by the program that subscribes."""
    from titan_state.cli.journal import place
    from titan_state.cli.journal import retry as work
    from titan_state.cli.running import run

    run(lambda: work(place(journal, url, account), event_ids, subscription=subscription), debug=debug)


@subscriptions.callback(invoke_without_command=True)
def show_subscriptions(
    context: typer.Context,
    as_json: options.Json = False,
    url: options.Url = None,
    account: options.Account = None,
    journal: options.Journal = None,
    debug: options.Debug = False,
) -> None:
    """Show which subscriptions there are, how far each has come, and which program has it open."""
    if context.invoked_subcommand is not None:
        return
    from titan_state.cli.journal import place
    from titan_state.cli.journal import subscriptions as work
    from titan_state.cli.running import run

    run(lambda: work(place(journal, url, account), as_json=as_json), debug=debug)


@subscriptions.command(**sheet_of("subscriptions remove"))
def remove(
    name: Annotated[
        str,
        typer.Argument(
            metavar="NAME", help="The subscription.", show_default=False, autocompletion=completion.subscriptions
        ),
    ],
    url: options.Url = None,
    account: options.Account = None,
    journal: options.Journal = None,
    debug: options.Debug = False,
) -> None:
    """Remove a subscription that no program has open, with everything that it has not had."""
    from titan_state.cli.journal import place
    from titan_state.cli.journal import unsubscribe as work
    from titan_state.cli.running import run

    run(lambda: work(place(journal, url, account), name), debug=debug)


@journal.command(**sheet_of("journal prune"))
def prune(
    older_than: Annotated[str, typer.Option("--older-than", metavar="AGE", help="The age: 30d, 12h, 90m.")],
    url: options.Url = None,
    account: options.Account = None,
    journal: options.Journal = None,
    debug: options.Debug = False,
) -> None:
    """Drop events that are older. What a subscription has not had, or what failed, stays; so does the state."""
    from titan_state.cli.journal import place
    from titan_state.cli.journal import prune as work
    from titan_state.cli.running import run

    run(lambda: work(place(journal, url, account), older_than), debug=debug)


@journal.command(**sheet_of("journal verify"))
def verify(
    url: options.Url = None,
    account: options.Account = None,
    journal: options.Journal = None,
    debug: options.Debug = False,
) -> None:
    """Say whether everything in it is in order; exit code 1 if not."""
    from titan_state.cli.journal import place
    from titan_state.cli.journal import verify as work
    from titan_state.cli.running import run

    run(lambda: work(place(journal, url, account)), debug=debug)
