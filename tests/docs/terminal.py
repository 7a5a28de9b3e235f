"""What documents show of a terminal: the commands, what they print, and a world in which `titan-state` can be run.

Each call of the command has a world of its own: an embedded Task Service that knows the executions and tasks that are
named on the line, in statuses that suit the command; a folder; a state directory; where it is needed a journal in which
something has happened already, and a NATS server. Placeholders such as EXECUTION_ID are the real ids there, so what is
printed can be shown as it is.
"""

from __future__ import annotations

import asyncio
import re
import shlex
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import attrs
import typer
from documents import Block, Document
from typer.main import get_command

from titan_state import Handlers, Monitor, PermanentError
from titan_state.cli.app import app
from titan_state.cli.journal import place
from titan_state.emulator import Plan, Scenario, Step, Task, TaskServiceEmulator

ROOT_COMMAND = get_command(app)
UsageError = typer.BadParameter.__base__
"""What the parser raises; typer brings it along and has no public name for it."""

CALLED = re.compile(r"(?:^|[|&;(!]\s*|\b[A-Z_]+=\S* +|\bif |\btimeout \S+ )titan-state\b")
CUT = re.compile(r"\||\|\||&&|&|[12]?>+|;|then")
"""Where the arguments of a call end, for a shell."""

NATS = re.compile(r"(?:nats|tls)://[^\s?\"']*")
ABSOLUTE = re.compile(r"(?<=[\s=/\"'])/(?:var|etc|run|srv)/[\w./-]+")

LIVES = "running 0"
LONG = "running 0.5, completed 60"
ENDS = "running 0.3, completed 0.4"
DONE = "running 0, completed 0"
LIVES_OF = {
    "check pause": LIVES,
    "check stop": LIVES,
    "check resume": "running 0, paused 0",
    "pause": LIVES,
    "resume": "running 0, paused 0",
    "stop": LIVES,
    "export": DONE,
    "history": DONE,
    "report": DONE,
    "deliveries": DONE,
    "subscriptions": DONE,
    "journal": DONE,
    "subscribe": DONE,
}
"""What executions do for a command unless the document says otherwise: they complete, later where it looks on."""

NEEDS_JOURNAL = ("history", "report", "deliveries", "subscriptions", "journal", "subscribe")
GOES_ON = ("dashboard", "demo", "emulate", "monitor", "subscribe")


@attrs.frozen
class Entry:
    """A command on a terminal.

    Attributes:
        document: The document that shows it.
        block: The block in which it does.
        command: The line, continuations joined.
        told: What the document shows that it prints, empty where it shows nothing.
        code: The exit code that an `echo $?` below it shows, None where there is none.
    """

    document: Document
    block: Block
    command: str
    told: str = attrs.field(repr=False)
    code: int | None

    @property
    def id(self) -> str:
        """Where it is and what it begins with, for people."""
        return f"{self.block.id} {self.command[:60]}"

    @property
    def calls(self) -> bool:
        """Whether it calls `titan-state`."""
        return CALLED.search(self.command) is not None


def entries(document: Document) -> Iterator[Entry]:
    """Return the commands that a document shows, in order."""
    for block in document.blocks_in("console"):
        assert block.text.startswith("$ "), f"{block.id} does not begin with a command"
        parts = re.split(r"^\$ ", block.text.replace("\\\n", ""), flags=re.MULTILINE)[1:]
        for part, following in zip(parts, [*parts[1:], ""], strict=True):
            command, _, told = part.partition("\n")
            asked = re.fullmatch(r"echo \$\?[^\n]*\n(\d+)\n*", following)
            yield Entry(document, block, command.strip(), told, int(asked[1]) if asked else None)


@attrs.frozen
class Call:
    """A call of `titan-state`, as its own parser understands it.

    Attributes:
        name: The command.
        params: Its arguments and options.
    """

    name: str
    params: dict[str, Any]

    @classmethod
    def of(cls, line: str) -> Call | None:
        """Return the call on a line, None if it is one of help or version.

        Raises:
            UsageError: There is no such command, argument or option.
        """
        words = shlex.split(line, comments=True)
        words = words[words.index("titan-state") + 1 :]
        end = next((n for n, word in enumerate(words) if CUT.fullmatch(word)), len(words))
        words = [word.rstrip(";)") for word in words[:end]]
        command, params, name = ROOT_COMMAND, {}, ""
        while words and hasattr(command, "commands") and words[0] in command.commands:
            word = words.pop(0)
            name = name or word
            command = command.commands[word]
            if hasattr(command, "commands"):
                head = next((n for n, one in enumerate(words) if one in command.commands), len(words))
                params |= _parsed(command, words[:head]) if head else {}
                words = words[head:]
        if {"--help", "-h", "--version"} & set(words):
            return None
        if not hasattr(command, "commands"):
            params |= _parsed(command, words)
        assert name, f"{line} calls no command"
        return cls(name, params)

    @property
    def goes_on(self) -> bool:
        """Whether it ends only when it is told to."""
        if self.name == "watch":
            return bool(self.params["everything"] or self.params["task"] or self.params["forever"])
        return self.name in GOES_ON

    @property
    def executions(self) -> list[str]:
        """The ids that are named."""
        named = self.params.get("ids") or self.params.get("execution_id") or ()
        return [named] if isinstance(named, str) else list(named)

    @property
    def tasks(self) -> list[str]:
        """The tasks that are named."""
        named = self.params.get("task") or ()
        return [named] if isinstance(named, str) else list(named)


def _parsed(command: Any, words: list[str]) -> dict[str, Any]:
    try:
        return dict(command.make_context(command.name, list(words)).params)
    except typer.Exit:
        return {}


@attrs.frozen
class World:
    """Where a call is run.

    Attributes:
        service: The Task Service.
        folder: The folder in which it is called, which is the current one.
        line: The line with what stands for something replaced by it.
        env: What its environment has on top of the usual.
    """

    service: TaskServiceEmulator
    folder: Path
    line: str
    env: dict[str, str]


def scenario(entry: Entry, call: Call) -> Scenario:
    """Return what the service plays for a call."""
    kind = f"check {call.params['action']}" if call.name == "check" else call.name
    lives = LIVES_OF.get(kind, LONG if call.goes_on else ENDS)
    told = {name: life for name, life in entry.block.comments.items() if name not in ("scenario", "exit")}
    tasks = call.tasks or ["TASK_ID"]
    plans = [
        Plan(id=name, task_id=tasks[0], steps=_steps(told.get(name, lives)), rows=3)
        for name in dict.fromkeys([*call.executions, *told] or ["EXECUTION_ID"])
    ]
    template = Plan(steps=_steps(ENDS))
    demo = Scenario.demo() if entry.block.comments.get("scenario") == "demo" else Scenario()
    return Scenario([*plans, *demo.plans], [*(Task(id=task, template=template) for task in tasks), *demo.tasks])


def _steps(life: str) -> list[Step]:
    return [Step(status, float(after)) for status, after in (step.split() for step in life.split(","))]


async def world(entry: Entry, call: Call, service: TaskServiceEmulator, folder: Path, nats: Callable[[], str]) -> World:
    """Return the world of a call, its files and its journal made; the current folder must be `folder`."""
    line = re.sub(r"--port[ =]\d+", "--port 0", entry.command).replace(":8289", ":0")
    if NATS.search(line):
        line = NATS.sub(nats(), line)
    line = ABSOLUTE.sub(lambda match: f"{folder}{match.group()}", line)
    for path in re.findall(rf"{re.escape(str(folder))}[\w./-]+", line):
        Path(path).parent.mkdir(parents=True, exist_ok=True)
    call = Call.of(line)
    env = {
        "TITAN_API_URL": service.url,
        "TITAN_TOKEN": service.token,
        "TITAN_LISTEN": "127.0.0.1:0",
        "XDG_STATE_HOME": str(folder.parent / "state"),
        "BROWSER": "true",
    }
    files(entry, call, service, folder, env)
    if call.name in NEEDS_JOURNAL or call.params.get("follow"):
        where = place(call.params.get("journal"), service.url, call.params.get("account"))
        line = line.replace("EVENT_ID", await happened(where, service, call.params.get("account")))
    return World(service, folder, re.sub(r"\bNAME\b", "mail", line), env)


def files(entry: Entry, call: Call, service: TaskServiceEmulator, folder: Path, env: dict[str, str]) -> None:
    """Make the files that are named on a line, and set the variables that these name."""
    if call.params.get("token_file"):
        Path(call.params["token_file"]).write_text(service.token, encoding="utf-8")
    if call.params.get("accounts"):
        told = next(block.text for block in entry.document.blocks_in("toml") if "[[account]]" in block.text)
        told = re.sub(r'^url = ".*"', f'url = "{service.url}"', told, flags=re.MULTILINE)
        told = re.sub(r'^(token_file = )"(.*?)"', r'\1"account-token"', told, flags=re.MULTILINE)
        Path(call.params["accounts"]).write_text(told, encoding="utf-8")
        (folder / "account-token").write_text(service.token, encoding="utf-8")
        env |= dict.fromkeys(re.findall(r'token_env = "(\w+)"', told), service.token)
    for word in call.params.get("command") or ():
        if word.startswith("./") or word.endswith((".sh", ".py")):
            program = folder / word
            program.parent.mkdir(parents=True, exist_ok=True)
            program.write_text("#!/bin/sh\ncat > /dev/null\n", encoding="utf-8")
            program.chmod(0o755)


async def happened(where: str | Path, service: TaskServiceEmulator, account: str | None) -> str:
    """Have something in a journal: executions that ended, and a subscription `mail` whose deliveries were given up.

    Returns:
        The id of an event whose delivery was given up.
    """
    handlers = Handlers()

    @handlers.on_finished(name="mail", retries=0)
    async def send(event: Any) -> None:
        raise PermanentError("the mail server refused it")

    async with Monitor(service.url, service.token, account=account, journal=where, handlers=handlers) as monitor:
        await monitor.wait(list(service.executions()), check=False, timeout=60)
        while not (letters := await monitor.journal.letters()):  # noqa: ASYNC110 - no event tells
            await asyncio.sleep(0.05)
        return letters[0].event.id


def missing_program(line: str) -> str | None:
    """Return a program that a line pipes into and that this machine does not have."""
    words = [part.split()[0] for part in re.split(r"\|\|?|&&", line)[1:] if part.split()]
    return next((word for word in words if word.isidentifier() and shutil.which(word) is None), None)
