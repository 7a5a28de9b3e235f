"""Sheets of the manual: commands about what executions do now, from the first try to the saved results."""

from __future__ import annotations

from typing import Final

from titan_state.cli.exits import Exit
from titan_state.cli.sheet import (
    CONTROL,
    DRAWS,
    ENVIRONMENT,
    FOUND,
    JOURNAL_FILE,
    LEAVING,
    RESULTS,
    SHOWN,
    STATE,
    TOKEN_FILE,
    TRY,
    WATCH,
    Sheet,
)

OUTCOMES: Final = (
    Exit.OK,
    Exit.ERROR,
    Exit.USAGE,
    Exit.FAILED,
    Exit.CANCELLED,
    Exit.WITH_ERRORS,
    Exit.NOT_FOUND,
    Exit.TIMEOUT,
    *LEAVING,
)
CHECKED: Final = (Exit.OK, Exit.ERROR, Exit.USAGE, Exit.NOT_FOUND, Exit.ILLEGAL, *LEAVING)
SENT: Final = (
    Exit.OK,
    Exit.ERROR,
    Exit.USAGE,
    Exit.NOT_FOUND,
    Exit.ILLEGAL,
    Exit.REJECTED,
    Exit.UNKNOWN,
    *LEAVING,
)


def _action(name: str, summary: str, why: str, see: tuple[str, ...]) -> Sheet:
    return Sheet(
        summary,
        CONTROL,
        SENT,
        (
            (f"titan-state {name} EXECUTION_ID", why),
            (f"titan-state {name} EXECUTION_ID --json", "The same for a program: what was accepted, and the execution"),
        ),
        STATE,
        (JOURNAL_FILE,),
        see,
    )


LIVE: Final = {
    "": Sheet(
        "Watch the executions of the Titan platform, and control them safely.",
        exits=tuple(Exit),
        examples=(
            ("titan-state demo", "See it at work, without an account"),
            ("titan-state watch --all", "Watch everything, live"),
            ("titan-state wait EXECUTION_ID && echo done", "Wait for an execution; the exit status tells its outcome"),
            ("titan-state run TASK_ID --wait", "Start a task's execution, and wait for its end"),
            ("titan-state export EXECUTION_ID", "Save results as a file"),
            ("titan-state watch --help", "Read the page of a command"),
            ("titan-state --install-completion", "Have the shell complete commands, options and ids"),
        ),
        environment=tuple(name for name in ENVIRONMENT if name != "NATS_…"),
        files=(JOURNAL_FILE, TOKEN_FILE),
    ),
    "demo": Sheet(
        "See everything at work, with a service of its own.",
        TRY,
        SHOWN,
        (
            ("titan-state demo", "See the story, in half a minute"),
            ("titan-state demo --speed 4", "The same in a hurry"),
            ("titan-state demo | less", "A line for each event, to read at leisure"),
        ),
        ("NO_COLOR",),
        (),
        ("emulate", "watch"),
    ),
    "emulate": Sheet(
        "Run a Task Service on this machine, to try things out.",
        TRY,
        SHOWN,
        (
            ("titan-state emulate", "Play the demonstration's story"),
            (
                "titan-state emulate --port 8080 --executions 500",
                "500 random executions, on a port of your choice",
            ),
            ("titan-state emulate --faults --speed 10", "Errors and broken connections, ten times as fast"),
        ),
        (),
        (),
        ("demo", "watch", "run"),
    ),
    "watch": Sheet(
        "Show what executions do, live.",
        WATCH,
        FOUND,
        (
            ("titan-state watch --all", "Everything, until Ctrl-C"),
            ("titan-state watch EXECUTION_ID", "One execution, until it has finished"),
            ("titan-state watch --task TASK_ID --export results", "Have the results of what succeeds as files"),
            ("titan-state watch --all --json | jq -c .type", "Each event as JSON, for a program"),
            ("titan-state watch --all --explain", "See why each request is sent"),
        ),
        DRAWS,
        (JOURNAL_FILE,),
        ("wait", "list", "dashboard", "export", "history"),
    ),
    "wait": Sheet(
        "Wait until executions have finished.",
        WATCH,
        OUTCOMES,
        (
            ("titan-state wait EXECUTION_ID && echo done", "Go on in a script only after success"),
            ("titan-state wait EXECUTION_ID --timeout 600", "Give up after ten minutes; the execution goes on"),
            ("titan-state wait EXECUTION_ID EXECUTION_ID --json", "Several at once, the outcomes as JSON"),
        ),
        STATE,
        (JOURNAL_FILE,),
        ("watch", "run", "export"),
    ),
    "list": Sheet(
        "List executions, as the service has them now.",
        WATCH,
        FOUND,
        (
            ("titan-state list", "The newest 50"),
            ("titan-state list --task TASK_ID --status failed", "Those of a task that have failed"),
            ("titan-state list --limit 500 --json | jq -r .id", "The ids of 500, for a program"),
        ),
        STATE,
        (JOURNAL_FILE,),
        ("watch", "history"),
    ),
    "dashboard": Sheet(
        "Show executions on a web page of this machine.",
        WATCH,
        (Exit.ERROR, Exit.USAGE, Exit.NOT_FOUND, *LEAVING),
        (
            ("titan-state dashboard --open", "Watch everything, and open the page in a browser"),
            ("titan-state dashboard --follow", "Show what another monitor writes, and send nothing"),
            ("titan-state dashboard --task TASK_ID --port 8300", "One task, on a port of your choice"),
        ),
        STATE,
        (JOURNAL_FILE, TOKEN_FILE),
        ("watch", "report"),
    ),
    "run": Sheet(
        "Start an execution of a task, once.",
        CONTROL,
        (*OUTCOMES[:7], Exit.UNKNOWN, Exit.TIMEOUT, *LEAVING),
        (
            ("titan-state run TASK_ID", "Start an execution, and have its id"),
            ("titan-state run TASK_ID --wait --timeout 3600", "Wait an hour for its end; the exit status tells it"),
            ("titan-state run TASK_ID --json | jq -r .id", "The new id, for a program"),
        ),
        STATE,
        (JOURNAL_FILE,),
        ("wait", "list", "export"),
    ),
    "check": Sheet(
        "Say whether an action is legal now, and send nothing.",
        CONTROL,
        CHECKED,
        (
            ("titan-state check EXECUTION_ID stop", "Whether it could be stopped now, and why not"),
            ("titan-state check EXECUTION_ID pause --json", "The verdict for a program"),
        ),
        STATE,
        (JOURNAL_FILE,),
        ("pause", "resume", "stop", "diagram"),
    ),
    "pause": _action(
        "pause",
        "Pause an execution, if its status allows it.",
        "Pause an execution that runs",
        ("resume", "check"),
    ),
    "resume": _action(
        "resume",
        "Resume a paused execution, if its status allows it.",
        "Let a paused execution go on",
        ("pause", "check"),
    ),
    "stop": _action(
        "stop",
        "Stop an execution for good, if its status allows it.",
        "Stop an execution before it is complete; it ends as cancelled",
        ("check", "pause"),
    ),
    "export": Sheet(
        "Save results, datasets and media as files.",
        RESULTS,
        (Exit.OK, Exit.ERROR, Exit.USAGE, Exit.NOT_FOUND, Exit.ILLEGAL, Exit.TIMEOUT, *LEAVING),
        (
            ("titan-state export EXECUTION_ID", "The results, in EXECUTION_ID.json"),
            ("titan-state export EXECUTION_ID --format csv --output results", "As CSV, in a directory"),
            ("titan-state export EXECUTION_ID --media --if-exists skip", "With media; what is there already is kept"),
        ),
        (),
        (),
        ("wait", "watch"),
    ),
}
"""What the manual says of each command, by its name without the program; the program itself is the empty one."""
