"""The commands and their options. What a command does is imported when it is called, so that `--help` stays quick."""

from __future__ import annotations

from typing import Annotated

import typer

from titan_state.cli import (
    completion,
    control_app,
    dashboard_app,
    journal_app,
    options,
    output_app,
    report_app,
    service_app,
)
from titan_state.cli.manual import SETTINGS, ManualGroup, sheet_of

app = typer.Typer(
    cls=ManualGroup,
    help="Watch the executions of the Titan platform, and control them safely.\n\n"
    "Set TITAN_API_URL and TITAN_TOKEN first; titan-state demo shows it without an account, and titan-state emulate "
    "runs a service to try everything with. titan-state COMMAND --help is the page of a command.",
    no_args_is_help=True,
    rich_markup_mode=None,  # rich would take longer to load than everything else together
    pretty_exceptions_enable=False,  # they show local variables, the token among them
    context_settings=SETTINGS,
)


def _show_version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        typer.echo(f"titan-state {version('titan-state')}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    pass


@app.command(**sheet_of("demo"))
def demo(
    speed: Annotated[
        float, typer.Option(min=0.5, max=4, metavar="FACTOR", help="How many times as fast the story is told.")
    ] = 1.0,
    seed: Annotated[int, typer.Option(metavar="N", help="The seed of all ids.")] = 0,
    debug: options.Debug = False,
) -> None:
    """Show everything at work: a service of its own, a monitor, callbacks, control, anomalies.

    It starts an embedded Task Service on this machine, watches it over HTTP, and ends by itself in half a minute. It
    exits with 0 only if what the callbacks saw is what truly happened.
    """
    from titan_state.cli.demo import demo as work
    from titan_state.cli.running import run

    run(lambda: work(speed=speed, seed=seed), debug=debug)


@app.command(**sheet_of("watch"))
def watch(
    ids: options.SomeIds = None,
    task: options.Tasks = None,
    everything: Annotated[bool, typer.Option("--all", help="All executions.")] = False,
    forever: Annotated[bool, typer.Option("--forever", help="Go on when all have finished.")] = False,
    explain: Annotated[
        bool, typer.Option("--explain", help="Say of each request why it is sent, and what delay to expect.")
    ] = False,
    export: Annotated[
        str | None,
        typer.Option("--export", metavar="DIR", help="Export what succeeds to DIR, as soon as its results are there."),
    ] = None,
    export_format: Annotated[
        options.Format, typer.Option("--export-format", help="The format of exports.")
    ] = options.Format.JSON,
    as_json: options.Json = False,
    url: options.Url = None,
    token: options.Token = None,
    per_minute: options.PerMinute = None,
    account: options.Account = None,
    journal: options.Journal = None,
    no_journal: options.NoJournal = False,
    debug: options.Debug = False,
) -> None:
    """Show what executions do: a live table on a terminal, else a line for each event.

    It ends by itself when all executions named by ID have finished, unless --forever is given. With --task or --all it
    goes on until Ctrl-C.

    With --export each execution is exported once, also if it is ended meanwhile and started anew. Before it ends by
    itself, it waits for the exports.
    """
    from titan_state.cli.connection import Connection
    from titan_state.cli.running import run
    from titan_state.cli.watch import watch as work

    run(
        lambda: work(
            Connection.of(url, token, per_minute, account=account, journal=journal, no_journal=no_journal),
            ids or (),
            tasks=task or (),
            everything=everything,
            forever=forever,
            as_json=as_json,
            explains=explain,
            export=None if export is None else (export, export_format.value),
        ),
        debug=debug,
    )


@app.command(**sheet_of("wait"))
def wait(
    ids: options.ExecutionIds,
    timeout: options.Timeout = None,
    as_json: options.Json = False,
    url: options.Url = None,
    token: options.Token = None,
    per_minute: options.PerMinute = None,
    account: options.Account = None,
    journal: options.Journal = None,
    no_journal: options.NoJournal = False,
    debug: options.Debug = False,
) -> None:
    """Wait until executions have finished; the exit code tells the outcome.

    Of several the worst counts: another error, not found, failed, cancelled, time-out, with errors, completed. Leaving
    it stops nothing on the platform.
    """
    from titan_state.cli.connection import Connection
    from titan_state.cli.running import run
    from titan_state.cli.wait import wait as work

    run(
        lambda: work(
            Connection.of(url, token, per_minute, account=account, journal=journal, no_journal=no_journal),
            ids,
            timeout_s=timeout,
            as_json=as_json,
        ),
        debug=debug,
    )


@app.command("run", **sheet_of("run"))
def run_task(
    task: options.TaskId,
    wait: Annotated[bool, typer.Option("--wait", help="Wait until the execution has finished.")] = False,
    timeout: options.Timeout = None,
    as_json: options.Json = False,
    url: options.Url = None,
    token: options.Token = None,
    account: options.Account = None,
    journal: options.Journal = None,
    no_journal: options.NoJournal = False,
    debug: options.Debug = False,
) -> None:
    """Start an execution of a task, once."""
    from titan_state.cli.connection import Connection
    from titan_state.cli.control import run as work
    from titan_state.cli.running import run

    run(
        lambda: work(
            Connection.of(url, token, account=account, journal=journal, no_journal=no_journal),
            task,
            wait=wait,
            timeout_s=timeout,
            as_json=as_json,
        ),
        debug=debug,
    )


@app.command("list", **sheet_of("list"))
def list_executions(
    task: Annotated[
        str | None,
        typer.Option("--task", metavar="TASK", help="Only those of a task.", autocompletion=completion.tasks),
    ] = None,
    status: Annotated[
        str | None,
        typer.Option("--status", metavar="STATUS", help="Only those in a status.", autocompletion=completion.statuses),
    ] = None,
    limit: Annotated[int, typer.Option("--limit", min=1, metavar="N", help="How many at most.")] = 50,
    as_json: options.Json = False,
    url: options.Url = None,
    token: options.Token = None,
    account: options.Account = None,
    journal: options.Journal = None,
    no_journal: options.NoJournal = False,
    debug: options.Debug = False,
) -> None:
    """List executions. A search by status looks at the first 20 pages."""
    from titan_state.cli.connection import Connection
    from titan_state.cli.listing import list_executions as work
    from titan_state.cli.running import run

    run(
        lambda: work(
            Connection.of(url, token, account=account, journal=journal, no_journal=no_journal),
            task=task,
            status=status,
            limit=limit,
            as_json=as_json,
        ),
        debug=debug,
    )


dashboard_app.add_to(app)
output_app.add_to(app)
control_app.add_to(app)
journal_app.add_to(app)
report_app.add_to(app)
service_app.add_to(app)


@app.command(**sheet_of("plan"))
def plan(
    executions: Annotated[int, typer.Option("--executions", min=1, metavar="N", help="How many executions live.")],
    rpm: Annotated[float, typer.Option("--rpm", min=0.1, metavar="R", help="How many requests a minute.")] = 120,
    finished: Annotated[
        int | None,
        typer.Option(
            "--finished", min=0, metavar="N", help="How many finished ones the list shows; by default 5 times as many."
        ),
    ] = None,
    page_size: Annotated[int, typer.Option("--page-size", min=1, metavar="N", help="How many a page shows.")] = 100,
    as_json: options.Json = False,
) -> None:
    """Say how soon changes are noticed on average, without asking a service."""
    from titan_state.cli.plan import plan as work

    work(executions, rpm, finished=finished, page_size=page_size, as_json=as_json)


@app.command(**sheet_of("emulate"))
def emulate(
    port: Annotated[int, typer.Option(min=0, max=65535, metavar="PORT", help="The port; 0 for any free one.")] = 0,
    executions: Annotated[
        int | None, typer.Option(min=0, metavar="N", help="Play N random executions, not the demo's story.")
    ] = None,
    illegal: Annotated[
        float, typer.Option(min=0, max=1, metavar="SHARE", help="The share of random executions that misbehave.")
    ] = 0.1,
    seed: Annotated[int, typer.Option(metavar="N", help="The seed of all choices.")] = 0,
    speed: Annotated[
        float, typer.Option(min=0.01, max=1000, metavar="FACTOR", help="How many times as fast it goes.")
    ] = 1.0,
    per_minute: Annotated[
        int, typer.Option("--per-minute", min=0, metavar="N", help="The request limit; 0 for none.")
    ] = 120,
    faults: Annotated[bool, typer.Option("--faults", help="Errors, broken connections and lagging answers.")] = False,
    debug: options.Debug = False,
) -> None:
    """Run an embedded Task Service on this machine, to try things out; Ctrl-C ends it.

    It writes the two lines that another terminal needs. What its executions do begins with the first request.
    """
    from titan_state.cli.emulate import emulate as work
    from titan_state.cli.running import run

    run(
        lambda: work(
            port=port,
            seed=seed,
            speed=speed,
            per_minute=per_minute or None,
            faults=faults,
            count=executions,
            illegal=illegal,
        ),
        debug=debug,
    )
