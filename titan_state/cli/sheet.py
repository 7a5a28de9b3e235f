"""A sheet of the manual: what the help of one command says beside its docstring and its options, and common words."""

from __future__ import annotations

from typing import Final, NamedTuple

from titan_state.cli.exits import Exit

TRY: Final = "Try it, without an account"
WATCH: Final = "Watch executions"
CONTROL: Final = "Control executions"
RESULTS: Final = "Save results"
PAST: Final = "Look back, in the journal"
SERVICES: Final = "Run as a service"
MODEL: Final = "Understand it"
PANELS: Final = (TRY, WATCH, CONTROL, RESULTS, PAST, SERVICES, MODEL)
"""What commands are for, in the order in which somebody new meets them."""

ENVIRONMENT: Final = {
    "TITAN_API_URL": "The origin of the Task Service, as --url.",
    "TITAN_TOKEN": "The bearer token, as --token, without showing it to other users of this machine.",
    "TITAN_TOKEN_FILE": "A file with the token, as --token-file.",
    "TITAN_ACCOUNT": "The name of the account, as --account.",
    "TITAN_ACCOUNTS": "The file that names several accounts, as --accounts.",
    "TITAN_JOURNAL": "The address of the journal, as --journal.",
    "TITAN_LISTEN": "Where probes are answered, as --listen.",
    "TITAN_METRICS": "Whether there are metrics for Prometheus, as --metrics.",
    "TITAN_LOG_FORMAT": "The format of the log, as --log-format.",
    "NATS_…": "How NATS lets in, where the address of the journal does not say so: titan-state --help names them.",
    "NATS_USER, NATS_PASSWORD": "How NATS lets in, where the address of the journal does not say so.",
    "NATS_TOKEN": "A token for NATS, in place of user and password.",
    "NATS_CREDS, NATS_NKEY": "A file with credentials, or with the seed of an nkey, for NATS.",
    "NATS_CA, NATS_CERT, NATS_KEY": "Files for TLS with NATS: whom to trust, and who this is.",
    "XDG_STATE_HOME": "Where the state directory is, ~/.local/state by default.",
    "NO_COLOR": "If it is set, nothing is coloured.",
    "COLUMNS": "The width in characters, where that of the terminal is not meant.",
}
"""Every environment variable that a command heeds, in the order in which they are shown."""

STATE: Final = ("NATS_…", "XDG_STATE_HOME")
DRAWS: Final = (*STATE, "NO_COLOR")

JOURNAL_FILE: Final = (
    "~/.local/state/titan-state/HOST-….db",
    "The usual journal: one for each account and URL, in the state directory of the platform.",
)
TOKEN_FILE: Final = (
    "~/.local/state/titan-state/dashboard-token",
    "The token in the dashboard's link: whoever can read it may control executions.",
)

LEAVING: Final = (Exit.INTERRUPTED, Exit.PIPE, Exit.TERMINATED)
"""How every command may end before its time."""

SHOWN: Final = (Exit.OK, Exit.ERROR, Exit.USAGE, *LEAVING)
FOUND: Final = (Exit.OK, Exit.ERROR, Exit.USAGE, Exit.NOT_FOUND, *LEAVING)


class Sheet(NamedTuple):
    """What the manual says of a command.

    Attributes:
        summary: What it does, in a line that fits into a list of commands at 80 columns.
        panel: What it is for, one of `PANELS`; empty for a command of a command.
        exits: The exit codes that it may end with.
        examples: Commands that can be typed as they are, each with what it is good for.
        environment: Names in `ENVIRONMENT` beyond those of its options.
        files: Files that it reads or writes, each with what is in it.
        see: Other commands, without the program.
        is_group: Whether it has commands of its own.
    """

    summary: str
    panel: str = ""
    exits: tuple[Exit, ...] = SHOWN
    examples: tuple[tuple[str, str], ...] = ()
    environment: tuple[str, ...] = ()
    files: tuple[tuple[str, str], ...] = ()
    see: tuple[str, ...] = ()
    is_group: bool = False
