"""Sheets of the manual: commands about what is written down, what runs as a service, and the model."""

from __future__ import annotations

from typing import Final

from titan_state.cli.exits import Exit
from titan_state.cli.sheet import (
    FOUND,
    JOURNAL_FILE,
    LEAVING,
    MODEL,
    PAST,
    SERVICES,
    SHOWN,
    STATE,
    Sheet,
)

SERVED: Final = (Exit.ERROR, Exit.USAGE, *LEAVING)

KEPT: Final = {
    "history": Sheet(
        "Show what happened to an execution.",
        PAST,
        FOUND,
        (
            ("titan-state history EXECUTION_ID", "Its timeline, with how long it was in each status"),
            ("titan-state history EXECUTION_ID --json", "Each event as JSON"),
        ),
        STATE,
        (JOURNAL_FILE,),
        ("report", "watch"),
    ),
    "report": Sheet(
        "Write a page about executions, with timelines.",
        PAST,
        FOUND,
        (
            ("titan-state report --task TASK_ID", "All executions of a task, in report.html"),
            ("titan-state report EXECUTION_ID --output - > one.html", "One execution, on standard output"),
        ),
        STATE,
        (JOURNAL_FILE,),
        ("history", "dashboard"),
    ),
    "deliveries": Sheet(
        "Show deliveries to callbacks that failed, and retry them.",
        PAST,
        SHOWN,
        (
            ("titan-state deliveries", "What was given up, and what is to be tried again"),
            ("titan-state deliveries --dead --json", "What was given up, for a program"),
            ("titan-state deliveries retry EVENT_ID", "Have it delivered once more"),
        ),
        STATE,
        (JOURNAL_FILE,),
        ("deliveries retry", "subscriptions", "subscribe"),
        is_group=True,
    ),
    "deliveries retry": Sheet(
        "Make deliveries once more that were given up.",
        exits=FOUND,
        examples=(
            ("titan-state deliveries retry EVENT_ID", "To every subscription that has given it up"),
            ("titan-state deliveries retry EVENT_ID --subscription mail", "To one of them"),
        ),
        environment=STATE,
        files=(JOURNAL_FILE,),
        see=("deliveries", "subscriptions"),
    ),
    "subscriptions": Sheet(
        "Show who is told of events, how far each is, and remove some.",
        PAST,
        SHOWN,
        (
            ("titan-state subscriptions", "How far each has come, and which program has it open"),
            ("titan-state subscriptions remove mail", "Remove one that is needed no longer"),
        ),
        STATE,
        (JOURNAL_FILE,),
        ("subscriptions remove", "deliveries", "subscribe"),
        is_group=True,
    ),
    "subscriptions remove": Sheet(
        "Remove a subscription, with everything that it has not had.",
        exits=FOUND,
        examples=(("titan-state subscriptions remove mail", "Remove the subscription mail"),),
        environment=STATE,
        files=(JOURNAL_FILE,),
        see=("subscriptions",),
    ),
    "journal": Sheet(
        "Keep the journal in order.",
        PAST,
        SHOWN,
        (
            ("titan-state journal verify", "See whether everything in it is in order"),
            ("titan-state journal prune --older-than 30d", "Drop events that are older than 30 days"),
        ),
        STATE,
        (JOURNAL_FILE,),
        ("journal prune", "journal verify", "history"),
        is_group=True,
    ),
    "journal prune": Sheet(
        "Drop events that are older than an age.",
        examples=(
            ("titan-state journal prune --older-than 30d", "Keep the last 30 days"),
            ("titan-state journal prune --older-than 12h --journal sqlite:///titan.db", "In a journal of your own"),
        ),
        environment=STATE,
        files=(JOURNAL_FILE,),
        see=("journal verify",),
    ),
    "journal verify": Sheet(
        "Say whether everything in the journal is in order.",
        examples=(("titan-state journal verify", "Look at the usual journal"),),
        environment=STATE,
        files=(JOURNAL_FILE,),
        see=("journal prune",),
    ),
    "monitor": Sheet(
        "Watch and write down, without a screen, for weeks.",
        SERVICES,
        SERVED,
        (
            ("titan-state monitor", "Watch everything; the log goes to standard error, a JSON object a line"),
            ("titan-state monitor --task TASK_ID --log-format text", "One task, with a log for people"),
            ("titan-state monitor --accounts accounts.toml", "Several accounts, each with a token of its own"),
            ("titan-state monitor --journal nats://localhost:4222", "On several machines: one leads, others stand by"),
            ("curl http://127.0.0.1:8289/readyz", "Ask a monitor that runs whether it is ready"),
        ),
        STATE,
        (
            JOURNAL_FILE,
            (
                "accounts.toml",
                "For --accounts: a table [[account]] for each, with name, url, token_file or token_env.",
            ),
        ),
        ("subscribe", "dashboard", "subscriptions"),
    ),
    "subscribe": Sheet(
        "Run a program for each event that a monitor writes down.",
        SERVICES,
        SERVED,
        (
            ("titan-state subscribe --name log --on finished --exec cat", "Show what has finished, as JSON"),
            ("titan-state subscribe --name mail --on failed --exec ./mail.sh", "Have a script told of each failure"),
            (
                "titan-state subscribe --name flap --on anomaly:flapping --exec ./flap.sh",
                "Only for one kind of anomaly",
            ),
            (
                "titan-state subscribe --name all --on finished --since 7d --exec ./all.sh",
                "From what happened 7 days ago on",
            ),
        ),
        STATE,
        (JOURNAL_FILE,),
        ("monitor", "subscriptions", "deliveries"),
    ),
    "plan": Sheet(
        "Say how soon changes are noticed at a load.",
        MODEL,
        SHOWN,
        (
            ("titan-state plan --executions 1000", "1000 live executions, 120 requests a minute"),
            ("titan-state plan --executions 50 --rpm 30 --json", "A smaller share of the limit, for a program"),
        ),
        (),
        (),
        ("watch",),
    ),
    "diagram": Sheet(
        "Write the model of statuses and legal moves as a diagram.",
        MODEL,
        SHOWN,
        (
            ("titan-state diagram", "Mermaid, for a document"),
            ("titan-state diagram --format svg --output model.svg", "A picture"),
            ("titan-state diagram --format dot", "Input for Graphviz"),
        ),
        (),
        (),
        ("check",),
    ),
}
"""What the manual says of each command, by its name without the program."""
