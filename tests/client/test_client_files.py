"""Files are whole or not there, nothing that is there is overwritten unasked, and no name leads out of a directory."""

from __future__ import annotations

import asyncio
import errno
import os
import pickle
import signal
import subprocess
import sys
import textwrap
import threading
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from titan_state import ConfigurationError, OutputExistsError
from titan_state.client.loading import files, parts
from titan_state.client.loading.files import BATCH, SavedFile, Target, safe_name
from titan_state.client.loading.parts import WRITERS

HOSTILE = [
    "../../etc/passwd",
    "/etc/passwd",
    "..",
    ".",
    "",
    "a/b",
    "a\\b",
    "C:\\x",
    "con",
    "NUL.txt",
    ".hidden",
    "-rf",
    "x" * 300,
]
HOSTILE += ["a\0b", "a\nb", "ü", "\ud800", "a:b", "~root", "$(id)", "%2e%2e%2f"]


def names(place: Path) -> list[str]:
    return sorted(path.name for path in place.iterdir())


async def save(path: Path, *chunks: bytes, **options) -> SavedFile:
    async with Target(path, name="output", **options) as target:
        for chunk in chunks:
            await target.write(chunk)
        return await target.finish()


async def test_a_file_is_there_once_it_is_whole(tmp_path):
    """Until it is finished nothing has its name, and afterwards nothing else is left."""
    path = tmp_path / "out.json"
    async with Target(path, name="output") as target:
        await target.write(b"x" * BATCH)
        await target.write(b"yz")
        assert names(tmp_path) == [".out.json.0.titan-part"]
        saved = await target.finish()
        assert saved == SavedFile(path, BATCH + 2)
    assert names(tmp_path) == ["out.json"]
    assert path.read_bytes() == b"x" * BATCH + b"yz"


async def test_an_empty_file(tmp_path):
    """A file without bytes is a file."""
    assert (await save(tmp_path / "empty")).size == 0
    assert (tmp_path / "empty").read_bytes() == b""


async def test_a_directory_takes_a_name(tmp_path):
    """In a directory the file gets the name that was made for it."""
    saved = await save(tmp_path, b"1")
    assert saved.path == tmp_path / "output"


@pytest.mark.parametrize("failure", [RuntimeError, asyncio.CancelledError])
async def test_what_is_not_finished_leaves_nothing(tmp_path, failure):
    """An error or a cancellation in between leaves neither a file nor a part of one."""

    async def fail():
        async with Target(tmp_path / "out", name="output") as target:
            await target.write(b"x" * BATCH)
            raise failure

    with pytest.raises(failure):
        await fail()
    assert names(tmp_path) == []


async def test_a_cancellation_waits_for_the_thread(tmp_path, monkeypatch):
    """A write that is under way in a thread is over before the file is closed."""
    going, closed = asyncio.Event(), []
    loop = asyncio.get_running_loop()
    put = Target._put

    def slowly(self, batch):
        loop.call_soon_threadsafe(going.set)
        put(self, batch)
        closed.append(self._file.closed)

    monkeypatch.setattr(Target, "_put", slowly)

    async def work():
        async with Target(tmp_path / "out", name="output") as target:
            await target.write(b"x" * BATCH)
            await asyncio.Event().wait()

    task = asyncio.create_task(work())
    await going.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert closed == [False]
    assert names(tmp_path) == []


async def test_beginning_again(tmp_path):
    """What comes again from the beginning replaces what came before."""
    async with Target(tmp_path / "out", name="output") as target:
        await target.write(b"x" * (2 * BATCH))
        await target.write(b"left in the batch")
        await target.restart()
        assert target.size == 0
        await target.write(b"short")
        assert (await target.finish()).size == 5
    assert (tmp_path / "out").read_bytes() == b"short"


async def test_a_file_that_is_there(tmp_path):
    """It is left alone unless asked, kept where that is asked for, and replaced in one step where that is."""
    path = tmp_path / "out"
    path.write_bytes(b"old")
    with pytest.raises(OutputExistsError, match="out is there already") as caught:
        Target(path, name="output")
    assert isinstance(caught.value, FileExistsError)
    assert pickle.loads(pickle.dumps(caught.value)).path == str(path)
    target = Target(path, name="output", if_exists="skip")
    assert target.kept() == SavedFile(path, 3, is_new=False)
    assert Target(tmp_path / "none", name="output", if_exists="skip").kept() is None
    assert Target(path, name="output", if_exists="overwrite").kept() is None
    await save(path, b"newer", if_exists="overwrite")
    assert path.read_bytes() == b"newer"
    assert names(tmp_path) == ["out"]


async def test_a_file_that_comes_meanwhile(tmp_path):
    """Whoever comes first keeps its place: the other is told, or content with it."""
    path = tmp_path / "out"
    async with Target(path, name="output") as target:
        path.write_bytes(b"another's")
        await target.write(b"mine")
        with pytest.raises(OutputExistsError):
            await target.finish()
    path.unlink()
    async with Target(path, name="output", if_exists="skip") as target:
        path.write_bytes(b"another's")
        assert await target.finish() == SavedFile(path, 9, is_new=False)
    assert path.read_bytes() == b"another's"
    assert names(tmp_path) == ["out"]


async def test_a_link_that_leads_nowhere_is_there(tmp_path):
    """A dangling link has the name already: nothing is written through it."""
    (tmp_path / "out").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(OutputExistsError):
        Target(tmp_path / "out", name="output")
    assert names(tmp_path) == ["out"]


async def test_two_at_once(tmp_path):
    """Two that write the same file do not mix: one of them gets the name, the other an error."""
    path = tmp_path / "out"
    async with Target(path, name="output") as one, Target(path, name="output") as other:
        await one.write(b"one")
        await other.write(b"other")
        assert len(names(tmp_path)) == 2
        await one.finish()
        with pytest.raises(OutputExistsError):
            await other.finish()
    assert path.read_bytes() == b"one"
    assert names(tmp_path) == ["out"]


def test_a_killed_process_leaves_no_half_file(tmp_path):
    """After SIGKILL nothing has the name; the part that is left is taken over by whoever writes the file next."""
    program = """
        import asyncio, pathlib, sys
        from titan_state.client.loading.files import BATCH, Target

        async def main():
            async with Target(pathlib.Path(sys.argv[1]), name="output") as target:
                await target.write(b"x" * BATCH)
                print("half", flush=True)
                await asyncio.Event().wait()

        asyncio.run(main())
    """
    path = tmp_path / "out"
    process = subprocess.Popen([sys.executable, "-c", textwrap.dedent(program), path], stdout=subprocess.PIPE)
    assert process.stdout.readline() == b"half\n"
    process.send_signal(signal.SIGKILL)
    process.wait()
    process.stdout.close()
    assert names(tmp_path) == [".out.0.titan-part"]
    asyncio.run(save(path, b"whole"))
    assert names(tmp_path) == ["out"]
    assert path.read_bytes() == b"whole"


async def test_what_was_left_after_the_end_is_removed(tmp_path):
    """A process that was killed between the name and the tidying up leaves a part that the next one removes."""
    path = tmp_path / "out"
    await save(path, b"whole")
    os.link(path, tmp_path / ".out.0.titan-part")
    assert Target(path, name="output", if_exists="skip").kept().size == 5
    assert names(tmp_path) == ["out"]
    async with Target(path, name="output", if_exists="overwrite"):
        assert Target(path, name="output", if_exists="skip").kept().size == 5
        assert names(tmp_path) == [".out.0.titan-part", "out"]  # this one is at work


async def test_a_part_that_is_a_link_is_not_followed(tmp_path):
    """Nobody gets another file overwritten by leaving a link where the part would be."""
    victim = tmp_path / "victim"
    victim.write_bytes(b"precious")
    (tmp_path / ".out.0.titan-part").symlink_to(victim)
    await save(tmp_path / "out", b"new")
    assert victim.read_bytes() == b"precious"
    assert (tmp_path / "out").read_bytes() == b"new"


async def test_a_file_system_without_links(tmp_path, monkeypatch):
    """Where there are no hard links the file is moved, and still overwrites nothing."""

    def refuse(*_):
        raise OSError(errno.EPERM, "no links here")

    monkeypatch.setattr(os, "link", refuse)
    path = tmp_path / "out"
    await save(path, b"1")
    assert names(tmp_path) == ["out"]
    async with Target(tmp_path / "other", name="output") as target:
        (tmp_path / "other").write_bytes(b"another's")
        with pytest.raises(OutputExistsError):
            await target.finish()
    assert (tmp_path / "other").read_bytes() == b"another's"


async def test_a_full_disk(tmp_path, monkeypatch):
    """What cannot be written is the system's own error, and leaves nothing."""

    def full(*_):
        raise OSError(errno.ENOSPC, "no space left on device")

    monkeypatch.setattr(Target, "_put", full)
    with pytest.raises(OSError, match="no space left"):
        await save(tmp_path / "out", b"x" * BATCH)
    assert names(tmp_path) == []


async def test_places_that_cannot_be(tmp_path):
    """What cannot be a file is refused before anything is asked for, with a word on what to do."""
    with pytest.raises(ConfigurationError, match="there is no directory"):
        Target(tmp_path / "none" / "out", name="output")
    (tmp_path / "output").mkdir()
    with pytest.raises(ConfigurationError, match="is a directory: name a file in it"):
        Target(tmp_path, name="output")
    with pytest.raises(ConfigurationError, match="error, skip, overwrite"):
        Target(tmp_path / "out", name="output", if_exists="maybe")


@pytest.mark.parametrize("text", HOSTILE)
def test_names_are_safe(text, tmp_path):
    """Whatever a service calls something, its file is in the directory, visible, and has a plain name."""
    name = safe_name(text)
    assert (tmp_path / name).resolve().parent == tmp_path.resolve()
    assert name.isascii()
    assert name[0].isalnum() or name[0] in "-_"
    assert len(name) <= files.LONGEST_NAME + 13
    assert not name.lower().startswith(("con.", "nul."))
    (tmp_path / name).touch()


def test_what_tells_the_kind_stays():
    """A name that is changed still ends in what it ended in."""
    assert safe_name("photo 1.jpg").startswith("photo_1-")
    assert safe_name("photo 1.jpg").endswith(".jpg")
    assert safe_name(".. .jpg").startswith("output-")


def test_plain_names_stay():
    """An id that is a plain name is the name."""
    for text in ("3f2a", "3F2A-77_b.c", "results.csv"):
        assert safe_name(text) == text


@given(st.text(), st.text())
def test_different_texts_have_different_names(one, other):
    """No two executions share a file."""
    assert (safe_name(one) == safe_name(other)) == (one == other)
    assert "/" not in safe_name(one)


# What killed processes, links and other writers leave.


async def test_a_part_that_is_the_file_itself_is_not_written(tmp_path):
    """Killed between the name and the tidying up, a process leaves a second name of the whole file: it stays whole."""
    path = tmp_path / "out"
    await save(path, b"whole")
    os.link(path, tmp_path / ".out.0.titan-part")
    async with Target(path, name="output", if_exists="overwrite") as target:
        await target.write(b"x" * BATCH)
        await target.write(b"x" * BATCH)
        assert path.read_bytes() == b"whole"
    assert path.read_bytes() == b"whole"
    assert names(tmp_path) == ["out"]


async def test_parts_of_several_killed_writers_are_removed(tmp_path):
    """However many were killed, whoever finds or writes the file removes what they left."""
    path = tmp_path / "out"
    left = [tmp_path / f".out.{number}.titan-part" for number in range(4)]
    for part in left:
        part.write_bytes(b"half")
    await save(path, b"whole")
    assert names(tmp_path) == ["out"]
    for if_exists in ("error", "skip"):
        left[2].write_bytes(b"half")
        if if_exists == "skip":
            assert Target(path, name="output", if_exists="skip").kept().size == 5
        else:
            with pytest.raises(OutputExistsError):
                Target(path, name="output")
        assert names(tmp_path) == ["out"]


async def test_a_file_system_without_locks(tmp_path, monkeypatch):
    """Where nothing can be locked, files are written all the same, and nothing is left."""

    def refuse(*_):
        raise OSError(errno.ENOLCK, "no locks here")

    monkeypatch.setattr(parts.fcntl, "flock", refuse)
    (tmp_path / ".out.1.titan-part").write_bytes(b"of whom it may be")
    await save(tmp_path / "out", b"1")
    assert names(tmp_path) == [".out.1.titan-part", "out"]


async def test_the_path_stays_what_it_was(tmp_path, monkeypatch):
    """What was saved is told by the path that was given, whether or not it was there before."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "link").symlink_to(tmp_path / "out")
    for _ in range(2):
        assert (await save(Path("out"), b"1", if_exists="overwrite")).path == Path("out")
    assert (await save(Path("link"), b"22", if_exists="overwrite")).path == Path("link")
    assert (tmp_path / "out").read_bytes() == b"22"


async def test_too_many_writers_of_one_file(tmp_path):
    """A ninth that writes the same file at the same time is told to wait."""
    async with AsyncExitStack() as stack:
        for _ in range(WRITERS):
            await stack.enter_async_context(Target(tmp_path / "out", name="output"))
        with pytest.raises(ConfigurationError, match="8 others write"):
            await stack.enter_async_context(Target(tmp_path / "out", name="output"))
    assert names(tmp_path) == []


async def test_what_is_no_plain_file_is_left_alone(tmp_path):
    """A pipe, a device or a dangling link is neither replaced nor taken for a file; a link to a file is followed."""
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "dangling").symlink_to(tmp_path / "nowhere")
    for name in ("pipe", "dangling"):
        for if_exists in ("skip", "overwrite"):
            with pytest.raises(ConfigurationError, match="is no file: name another"):
                Target(tmp_path / name, name="output", if_exists=if_exists)
        with pytest.raises(OutputExistsError):
            Target(tmp_path / name, name="output")
    (tmp_path / "real").write_bytes(b"old")
    (tmp_path / "link").symlink_to(tmp_path / "real")
    await save(tmp_path / "link", b"new", if_exists="overwrite")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "real").read_bytes() == b"new"
    os.mkfifo(tmp_path / ".other.0.titan-part")
    await save(tmp_path / "other", b"new")
    assert (tmp_path / "other").read_bytes() == b"new"


@pytest.mark.parametrize("path", ["", "a\0b", "new/"])
def test_paths_that_are_none(tmp_path, monkeypatch, path):
    """What cannot be the path of a file is refused with a word on what to do."""
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigurationError, match=r"is no path|there is no directory"):
        Target(path, name="output")


async def test_very_long_names(tmp_path):
    """A name as long as the file system takes it has a part, too."""
    for name in ("x" * 255, "表" * 84):
        await save(tmp_path / name, b"1")
        assert (tmp_path / name).read_bytes() == b"1"
    assert len(names(tmp_path)) == 2


async def test_two_cancellations(tmp_path, monkeypatch):
    """A second cancellation while the file is being closed leaves nothing behind either."""
    going, go_on = asyncio.Event(), threading.Event()
    loop = asyncio.get_running_loop()

    def slowly(self, batch):
        loop.call_soon_threadsafe(going.set)
        go_on.wait(10)

    monkeypatch.setattr(Target, "_put", slowly)

    async def work():
        async with Target(tmp_path / "out", name="output") as target:
            await target.write(b"x" * BATCH)
            await asyncio.Event().wait()

    task = asyncio.create_task(work())
    await going.wait()
    for _ in range(3):
        task.cancel()
        await asyncio.sleep(0)
    go_on.set()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert names(tmp_path) == []
