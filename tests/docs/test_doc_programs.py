"""Every program that a document shows is run as it stands, and says what the document says it does."""

from __future__ import annotations

import re
import signal
import sys

import pytest
from aiohttp import ClientSession
from documents import DOCUMENTS, Block, Document, each, fits
from programs import environment, running

PATIENCE_S = 60
"""How long a program may take on a machine that is busy."""

TESTS = re.compile(r"^(?:async )?def test_", re.MULTILINE)


async def load(lines):
    """Load the pages whose links a program has printed."""
    async with ClientSession() as session:
        for link in re.findall(r"http://127\.0\.0\.1:\S+", "\n".join(lines)):
            async with session.get(link) as answer:
                assert answer.status == 200
                assert "<title>" in await answer.text()


@pytest.mark.timeout(120)
@pytest.mark.parametrize(("document", "block"), each("python"))
async def test_it_runs_as_it_stands(document: Document, block: Block, tmp_path, nats_url):
    """Pasted into a file it runs to its end without complaint; one that goes on until Ctrl-C says so, and is quiet."""
    told = document.outputs_of(block)
    file = tmp_path / ("test_program.py" if TESTS.search(block.text) else "program.py")
    file.write_text(block.text, encoding="utf-8")
    env = environment(NATS_URL=nats_url()) if "NATS_URL" in block.text else environment()
    command = [file]
    if TESTS.search(block.text):
        quietly = ("-q", "--no-header", "-p", "no:cacheprovider", "-p", "no:randomly", "-o", "asyncio_mode=auto")
        quietly += ("-o", "asyncio_default_fixture_loop_scope=function")
        command = ["-m", "pytest", *quietly, "--rootdir", tmp_path, file]
    async with running(sys.executable, *command, env=env, cwd=tmp_path) as program:
        if "KeyboardInterrupt" in block.text:
            shown = told[0].text if told else "…\n…"
            assert await program.reach(lambda lines: bool(lines) and fits(shown, lines, to_the_end=False))
            await load(program.lines)
            code, complaints = await program.end(by=signal.SIGINT, seconds=PATIENCE_S)
        else:
            code, complaints = await program.end(seconds=PATIENCE_S)
    assert (code, complaints if len(told) < 2 else "") == (0, ""), complaints
    if told:
        assert fits(told[0].text, program.lines), "\n".join(program.lines)
    if len(told) > 1:
        assert fits(told[1].text, complaints.splitlines()), complaints


def test_programs_are_whole():
    """No document shows a part of a program, which nothing could run, and each output belongs to a program."""
    for document in DOCUMENTS:
        assert document.blocks_in("py") == []
        outputs = [output for block in document.blocks_in("python") for output in document.outputs_of(block)]
        assert outputs == document.blocks_in("output")
