"""Downloads: results that were saved for a page, each of which is handed out once, by a key that nobody can guess.

A browser cannot send the token when it follows a link; the key stands in for it.
"""

from __future__ import annotations

import asyncio
import secrets
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Final
from urllib.parse import quote

from aiohttp import web
from aiohttp.abc import AbstractStreamWriter

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from titan_state.clock import Clock

GOOD_S: Final = 60.0
"""For how long a link is good."""


class Downloads:
    """Keeps files until they are fetched, or their time is up. Leaving removes them all."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._root: Path | None = None
        self._turn = asyncio.Lock()
        self._ready: dict[str, tuple[Path, asyncio.Task[None]]] = {}

    async def add(self, save: Callable[[Path], Awaitable[Path]]) -> str:
        """Save a file and return the link to it.

        Args:
            save: Saves it in the directory that it is given, and returns where it is.
        """
        async with self._turn:
            if self._root is None:
                self._root = Path(await asyncio.to_thread(tempfile.mkdtemp, prefix="titan-state-"))
        key = secrets.token_urlsafe(24)
        directory = self._root / key
        await asyncio.to_thread(directory.mkdir)
        try:
            path = await save(directory)
        except BaseException:
            await asyncio.to_thread(shutil.rmtree, directory, True)
            raise
        self._ready[key] = path, asyncio.create_task(self._expire(key), name="titan_state download")
        return f"/download/{key}/{quote(path.name)}"

    async def serve(self, request: web.Request) -> web.StreamResponse:
        """Hand out a file, once."""
        found = self._ready.pop(request.match_info["key"], None)
        if found is None:
            return web.json_response({"error": "this link was good once, for a minute: ask again"}, status=404)
        path, task = found
        task.cancel()
        name = quote(path.name)
        return _Once(path, headers={"Content-Disposition": f"attachment; filename*=UTF-8''{name}"})

    async def close(self) -> None:
        """Remove what was not fetched."""
        tasks = [task for _, task in self._ready.values()]
        self._ready.clear()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if self._root is not None:
            await asyncio.to_thread(shutil.rmtree, self._root, True)

    async def _expire(self, key: str) -> None:
        await self._clock.sleep(GOOD_S)
        path, _ = self._ready.pop(key)
        await asyncio.to_thread(shutil.rmtree, path.parent, True)


class _Once(web.FileResponse):
    """A file that is removed, with its directory, once it was sent, or could not be."""

    async def prepare(self, request: web.BaseRequest) -> AbstractStreamWriter | None:
        try:
            return await super().prepare(request)
        finally:
            await asyncio.to_thread(shutil.rmtree, self._path.parent, True)
