"""Media: which media the rows of a saved export name, and what their files are called. It loads none of them."""

from __future__ import annotations

import asyncio
import hashlib
from collections import Counter
from pathlib import PurePath
from typing import IO, TYPE_CHECKING, Final

from titan_state.client.files import safe_name
from titan_state.client.media import medium_of
from titan_state.client.rows import parser_for

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from titan_state.client.outputs import Outputs
    from titan_state.client.rows import RowParser
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
    """Return a file name for each media URL, all different, also where a disk takes `A` and `a` for the same.

    A name that several URLs would have gets a mark of their paths, so that it does not depend on their order. The
    query, which holds a credential, is in no name.
    """
    media = {url: medium_of(url, service.origin, service.profile) for url in urls}
    plain = {url: safe_name(medium.file_name) for url, medium in media.items()}
    counts = Counter(name.casefold() for name in plain.values())
    names: dict[str, str] = {}
    taken: set[str] = set()
    for url, name in plain.items():
        if counts[name.casefold()] > 1:
            place = str(media[url].url.with_query(None))
            name = _marked(name, hashlib.sha256(place.encode()).hexdigest()[:12])
        number, wanted = 1, name
        while wanted.casefold() in taken:  # the same path, with another query
            number += 1
            wanted = _marked(name, str(number))
        taken.add(wanted.casefold())
        names[url] = wanted
    return names


def _marked(name: str, mark: str) -> str:
    parts = PurePath(name)
    return f"{parts.stem}-{mark}{parts.suffix}"
