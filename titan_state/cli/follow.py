"""Following a monitor: its events one after the other, with pauses in which a screen can be drawn anew."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator

    from titan_state.core.events import Event


async def follow(
    stream: AsyncIterator[Event], *, until: asyncio.Future[Any] | None = None, every_s: float | None = None
) -> AsyncGenerator[Event | None, None]:
    """Hand out the events of a stream.

    Args:
        stream: `Monitor.events()`.
        until: When this is done, and no event waits any more, the iteration ends.
        every_s: Hand out None when nothing happened for so many seconds.

    Yields:
        Events, and None in between.
    """
    pending: asyncio.Future[Event] | None = None
    try:
        while True:
            if pending is None:
                pending = asyncio.ensure_future(anext(stream))
            waiting: set[asyncio.Future[Any]] = {pending} if until is None else {pending, until}
            await asyncio.wait(waiting, timeout=every_s, return_when=asyncio.FIRST_COMPLETED)
            if pending.done():
                event, pending = pending.result(), None
                yield event
            elif until is not None and until.done():
                return
            else:
                yield None
    finally:
        if pending is not None:
            pending.cancel()
            await asyncio.gather(pending, return_exceptions=True)
