"""The commands that run under a supervisor, for weeks. What a command does is imported when it is called."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from titan_state.cli import completion, options
from titan_state.cli.manual import SETTINGS, sheet_of


class LogForm(StrEnum):
    """What the lines of the log are for."""

    JSON = "json"
    TEXT = "text"


LogFormat = Annotated[
    LogForm | None,
    typer.Option(
        "--log-format",
        envvar="TITAN_LOG_FORMAT",
        help="One JSON object a line, or text. By default text on a terminal, else JSON. The log goes to stderr.",
        show_default=False,
    ),
]
Drain = Annotated[
    float,
    typer.Option("--drain", min=0, metavar="SECONDS", help="How long open deliveries have when a signal ends it."),
]


def add_to(app: typer.Typer) -> None:
    """Add the commands to the whole."""
    app.command(**sheet_of("monitor"))(monitor)
    about = sheet_of("subscribe")
    about["context_settings"] = SETTINGS | {"allow_interspersed_args": False}  # what follows the program is its own
    app.command(**about, no_args_is_help=True)(subscribe)


def monitor(
    ids: options.SomeIds = None,
    task: options.Tasks = None,
    everything: Annotated[
        bool, typer.Option("--all", help="All executions. So it is unless something is named.")
    ] = False,
    accounts: Annotated[
        Path | None,
        typer.Option(
            "--accounts",
            envvar="TITAN_ACCOUNTS",
            metavar="FILE",
            help="A TOML file with a table [[account]] for each of several accounts: name, url, token_file or "
            "token_env, tasks, per_minute, journal.",
        ),
    ] = None,
    url: options.Url = None,
    token: options.Token = None,
    token_file: Annotated[
        Path | None,
        typer.Option(
            "--token-file",
            envvar="TITAN_TOKEN_FILE",
            metavar="FILE",
            help="A file with the token. It is read again when the service refuses the token.",
        ),
    ] = None,
    account: options.Account = None,
    journal: options.Journal = None,
    per_minute: Annotated[
        int | None,
        typer.Option(
            "--requests-per-minute",
            "--per-minute",
            min=1,
            metavar="N",
            help="The most requests to send in a minute, for each account.",
        ),
    ] = None,
    listen: Annotated[
        str,
        typer.Option(
            "--listen",
            envvar="TITAN_LISTEN",
            metavar="HOST:PORT",
            help="Where /livez, /readyz and /status are answered; off for nowhere.",
        ),
    ] = "127.0.0.1:8289",
    metrics: Annotated[
        bool | None,
        typer.Option(
            "--metrics/--no-metrics",
            envvar="TITAN_METRICS",
            help="Answer /metrics for Prometheus there, too. So it is where the extra otel is installed.",
            show_default=False,
        ),
    ] = None,
    spread: Annotated[
        bool | None,
        typer.Option(
            "--spread/--no-spread",
            help="Spread accounts over all members that are there. So it is with several accounts in NATS.",
            show_default=False,
        ),
    ] = None,
    member: Annotated[
        str | None,
        typer.Option("--member", metavar="NAME", help="The name of this member; by default machine and process."),
    ] = None,
    log_format: LogFormat = None,
    drain: Drain = 10.0,
    debug: options.Debug = False,
) -> None:
    """Watch executions and write down what they do, without a screen, until a signal ends it.

    With a journal in NATS several may run, on several machines: one leads each account, the others stand by, and take
    over when it is gone. It goes on by itself after every setback that may pass: a service that cannot be asked, a
    token that is refused (tried again, at most every 5 minutes), a journal that is away.

    Programs with a Subscriber of the journal, or titan-state subscribe, do something about what it writes down.
    """
    from titan_state.cli.running import run
    from titan_state.cli.service import Logging, Tended
    from titan_state.cli.service import monitor as work

    wish = Tended(
        ids=tuple(ids or ()),
        tasks=tuple(task or ()),
        everything=everything,
        accounts=accounts,
        url=url,
        token=token,
        token_file=token_file,
        account=account,
        per_minute=per_minute,
        journal=journal,
        listen=listen,
        metrics=metrics,
        drain_s=drain,
        spreads=spread,
        member=member,
    )
    log = Logging(form=None if log_format is None else log_format.value, debug=debug)
    run(lambda: work(wish, log), debug=debug)


def subscribe(
    command: Annotated[
        list[str] | None,
        typer.Argument(metavar="CMD [ARG]...", help="The program and its arguments, after --exec.", show_default=False),
    ] = None,
    execute: Annotated[bool, typer.Option("--exec", help="Run the program that follows; the last option.")] = False,
    name: Annotated[
        str | None,
        typer.Option(
            "--name",
            metavar="NAME",
            help="The name of the subscription; it goes on where it was left off.",
            autocompletion=completion.subscriptions,
        ),
    ] = None,
    on: Annotated[
        list[str] | None,
        typer.Option(
            "--on",
            metavar="EVENT",
            help="For which events: a status that is entered (failed), finished, transition, anomaly, anomaly:KIND, "
            "anomaly-cleared or results-ready. May be given several times.",
            show_default=False,
            autocompletion=completion.events,
        ),
    ] = None,
    task: Annotated[
        list[str] | None,
        typer.Option(
            "--task",
            metavar="TASK",
            help="Only executions of this task. May be given several times.",
            autocompletion=completion.tasks,
        ),
    ] = None,
    since: Annotated[
        str | None,
        typer.Option(
            "--since",
            metavar="WHEN",
            help="Where it begins if it is new: now (by default), beginning, an age (2h, 30d), or a time.",
        ),
    ] = None,
    retries: Annotated[
        int | None,
        typer.Option("--retries", min=0, metavar="N", help="How often a run that failed is tried again; 3 by default."),
    ] = None,
    backoff: Annotated[
        float | None,
        typer.Option(
            "--backoff",
            min=0,
            metavar="SECONDS",
            help="How long after the first failure; doubled each time, 1 by default.",
        ),
    ] = None,
    timeout: Annotated[
        float | None,
        typer.Option("--timeout", min=0.001, metavar="SECONDS", help="Kill a run that takes longer."),
    ] = None,
    at_once: Annotated[
        int, typer.Option("--at-once", min=1, max=16, metavar="N", help="How many run at the same time.")
    ] = 4,
    url: options.Url = None,
    account: options.Account = None,
    journal: options.Journal = None,
    log_format: LogFormat = None,
    drain: Drain = 10.0,
    debug: options.Debug = False,
) -> None:
    """Run a program for each event that a monitor writes into the journal, until a signal ends it.

    The event is JSON on the program's standard input; TITAN_EVENT_ID, TITAN_EVENT_TYPE and TITAN_EXECUTION_ID are in
    its environment. Exit code 0 says that the event is handled. Any other, 75 (try again later) included, has it tried
    again, and after the last attempt given up: titan-state deliveries shows it then. An event may come more than once,
    with the same id; those of one execution come in order.
    """
    from titan_state.cli.running import run
    from titan_state.cli.service import Logging
    from titan_state.cli.subscribe import Subscribed
    from titan_state.cli.subscribe import subscribe as work

    if not execute or not command:
        raise typer.BadParameter("give the program that is run, as the last option: --exec CMD [ARG]...")
    if not name:
        raise typer.BadParameter("give the subscription a name: --name NAME")
    if not on:
        raise typer.BadParameter("say for which events: --on failed, --on finished, --on anomaly")
    wish = Subscribed(
        command=tuple(command),
        events=tuple(on),
        name=name,
        since=since,
        tasks=tuple(task or ()),
        retries=retries,
        backoff_s=backoff,
        timeout_s=timeout,
        at_once=at_once,
        url=url,
        account=account,
        journal=journal,
        drain_s=drain,
    )
    log = Logging(form=None if log_format is None else log_format.value, debug=debug)
    run(lambda: work(wish, log), debug=debug)
