"""Completion: what a word on the command line may become: statuses, kinds and events, and what the journal names.

The service is never asked. Whatever goes wrong, nothing is offered, and nothing is said: the shell is drawing a line.
Names come from the API, and a shell may evaluate what it completes: what would need quoting is not offered.
"""

from __future__ import annotations

import os
import re
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final, TypeVar

import typer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

Named = TypeVar("Named", bound=tuple[Any, ...])

MOST: Final = 200
"""How many names are offered at most."""

MOST_JOURNALS: Final = 5
"""How many journals are looked into where none is meant: those that were written last."""

HARMLESS: Final = re.compile(r"[A-Za-z0-9_.,:/@%+-]+(?: [A-Za-z0-9_.,:/@%+-]+)*")
"""What a shell takes for words, whatever it does with them. Each text can match in one way only, and fails as soon."""

EVENTS: Final = {
    "finished": "any terminal status",
    "transition": "every change of status",
    "anomaly": "any anomaly; anomaly:KIND for one kind",
    "anomaly-cleared": "an anomaly that is over",
    "results-ready": "the results can be read",
}
"""What `subscribe --on` takes beside statuses and `anomaly:KIND`."""

LEGAL: Final = {
    "pause": {"running"},
    "resume": {"paused"},
    "stop": {"queued", "running", "paused"},
    "export": {"completed", "completed_with_errors"},
    "wait": {"queued", "running", "paused"},
}
"""The statuses of the executions that a command is for; where there are none of these, all are offered."""


def executions(ctx: typer.Context, incomplete: str) -> list[tuple[str, str]]:
    """Return executions of the journal, with status and task."""
    from titan_state.journal import names

    found = _looked_up(ctx, incomplete, names.executions)
    wanted = LEGAL.get(ctx.info_name or "")
    fitting = [one for one in found if wanted is None or one[1] in wanted]
    told = [(name, f"{status}, task {task}" if task else status) for name, status, task in fitting or found]
    return _harmless(told, without=ctx.params.get("ids"))


def tasks(ctx: typer.Context, incomplete: str) -> list[tuple[str, str]]:
    """Return tasks of the journal, with how many executions it knows of each."""
    from titan_state.journal import names

    found = _looked_up(ctx, incomplete, names.tasks)
    return _harmless((name, f"{count} execution{'s' * (count != 1)}") for name, count in found)


def subscriptions(ctx: typer.Context, incomplete: str) -> list[tuple[str, str]]:
    """Return subscriptions of the journal, with what they have given up."""
    from titan_state.journal import names

    found = _looked_up(ctx, incomplete, names.subscriptions)
    return _harmless((name, f"{dead} given up") for name, dead in found)


def dead_letters(ctx: typer.Context, incomplete: str) -> list[tuple[str, str]]:
    """Return events of which a delivery was given up, with the subscription."""
    from titan_state.journal import names

    return _harmless(_looked_up(ctx, incomplete, names.dead_letters), without=ctx.params.get("event_ids"))


def statuses(incomplete: str) -> list[tuple[str, str]]:
    """Return the statuses of the model."""
    from titan_state.core.lifecycle import Lifecycle

    model = Lifecycle.default()
    return _beginning(
        ((str(one), "terminal" if one in model.terminal else "live") for one in model.statuses), incomplete
    )


def actions(incomplete: str) -> list[tuple[str, str]]:
    """Return the control actions, with where they are legal."""
    return _beginning(
        ((name, f"legal while {' or '.join(sorted(LEGAL[name]))}") for name in ("pause", "resume", "stop")), incomplete
    )


def events(incomplete: str) -> list[tuple[str, str]]:
    """Return what `subscribe --on` takes."""
    from titan_state.core.anomalies import RULES

    kinds = [(f"anomaly:{kind}", f"{rule.severity}, check first: {rule.check_first}") for kind, rule in RULES.items()]
    return _beginning([*EVENTS.items(), *statuses(""), *kinds], incomplete)


def _looked_up(context: typer.Context, incomplete: str, look: Callable[[Path, str, int], list[Named]]) -> list[Named]:
    """Return what journals of this machine name, each once; one that cannot be read hides no other."""
    found: dict[str, Named] = {}
    with suppress(Exception):  # nobody could read a message in the middle of a line
        for path in _journals(context):
            with suppress(Exception):
                for one in look(path, incomplete, MOST):
                    found.setdefault(one[0], one)
    return list(found.values())[:MOST]


def _journals(context: typer.Context) -> list[Path]:
    """Return the journals that may be meant, without loading what would tell the one for certain."""
    from pathlib import Path

    from titan_state.cli.places import kept_journals

    address = context.params.get("journal") or os.environ.get("TITAN_JOURNAL")
    if address:
        file = str(address).removeprefix("sqlite:///")
        return [Path(file).expanduser()] if "://" not in file else []
    return kept_journals(context.params.get("url") or os.environ.get("TITAN_API_URL"))[:MOST_JOURNALS]


def _harmless(offers: Iterable[tuple[str, str]], *, without: object = None) -> list[tuple[str, str]]:
    """Return what a shell cannot take for more than words; what is on the line already is left out."""
    given = without if isinstance(without, list | tuple) else ()
    return [
        (name, told if HARMLESS.fullmatch(told) else "")
        for name, told in offers
        if HARMLESS.fullmatch(name) and " " not in name and not name.startswith("-") and name not in given
    ]


def _beginning(offers: Iterable[tuple[str, str]], incomplete: str) -> list[tuple[str, str]]:
    return [(name, told) for name, told in offers if name.startswith(incomplete)]
