"""Media: which media the rows of a saved export name. It loads none of them."""

from __future__ import annotations

import asyncio
from typing import IO, TYPE_CHECKING, Final

from titan_state.client.loading.media import medium_of
from titan_state.client.loading.rows import parser_for

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from titan_state.client.loading.rows import RowParser
    from titan_state.client.outputs import Outputs
    from titan_state.client.service import TaskService

CHUNK: Final = 1024 * 1024
"""How many bytes of an export are parsed at once, in a thread: leaving need not wait for all of it."""


async def media_in(path: Path, form: str, outputs: Outputs, service: TaskService) -> tuple[str, ...]:
    """Return the media URLs that the rows of a saved export name, each once, in their order.

    Raises:
        PayloadError: The file is no such export.
        OSError: It cannot be read.
    """
    found: dict[str, None] = {}
    parser = parser_for(form, item_keys=service.profile.item_keys)
    file = await asyncio.to_thread(path.open, "rb")
    try:
        while await asyncio.to_thread(_read_on, file, parser, outputs, found):
            pass
    finally:
        file.close()
    return tuple(found)


def _read_on(file: IO[bytes], parser: RowParser, outputs: Outputs, found: dict[str, None]) -> bool:
    """Take further rows of a file; return whether there may be more."""
    chunk = file.read(CHUNK)
    for row in parser.feed(chunk) if chunk else parser.close():
        found.update(dict.fromkeys(outputs.media_urls(row)))
    return bool(chunk)


def named(urls: Iterable[str], service: TaskService) -> dict[str, str]:
    """Return the file name of each medium, by a URL of it: two that differ in their token alone are one."""
    names: dict[str, str] = {}
    for url in urls:
        names.setdefault(medium_of(url, service.origin, service.profile).file_name, url)
    return {url: name for name, url in names.items()}
