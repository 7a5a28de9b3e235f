"""A TCP proxy between a client and NATS that loses what a test wants to have lost: answers, a commit, a connection."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

COMMIT = b"Nats-Batch-Commit"
"""What only the last message of a batch has in it."""

BATCH = b"Nats-Batch-Id"
"""What each message of a batch has in it."""


class Proxy:
    """Hands bytes on in both directions until something is to be lost.

    Attributes:
        has_struck: Whether what was armed has happened.
        held: What clients have sent since it was held back, with the connection that it was to go to.
    """

    def __init__(self, port: int) -> None:
        """Make a proxy that does not listen yet.

        Args:
            port: The port of the server.
        """
        self.has_struck = asyncio.Event()
        self.held: list[tuple[asyncio.StreamWriter, bytes]] = []
        self._port = port
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._writers: set[asyncio.StreamWriter] = set()
        self._mark: bytes | None = None
        self._what = ""
        self._answers = True
        self._drops = False
        self._holds: set[asyncio.StreamWriter] = set()

    @property
    def url(self) -> str:
        """Its address for clients of NATS."""
        return f"nats://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    def arm(self, what: str, mark: bytes = COMMIT) -> None:
        """Have something happen when a client sends a mark.

        Args:
            what: `swallow` hands it on, and loses all answers from then on; `drop` hands it on, and breaks the
                connection when the answer comes; `cut` breaks the connection before it; `hold` keeps back what this
                connection sends from then on, and breaks the client's side of it.
            mark: The mark.
        """
        self._what, self._mark = what, mark
        self.has_struck.clear()

    def heal(self) -> None:
        """Lose nothing from now on: what is on its way in broken connections stays lost."""
        self._mark, self._answers, self._drops = None, True, False

    def mute(self) -> None:
        """Lose all answers from now on."""
        self._answers = False

    def cut(self) -> None:
        """Break all connections."""
        for writer in self._writers - self._holds:
            writer.transport.abort()

    async def release(self) -> None:
        """Send what was held back, late, over the connection that it was to go to."""
        held, self.held = self.held, []
        for writer, data in held:
            with suppress(OSError):  # the server may have closed it
                writer.write(data)
                await writer.drain()

    async def start(self) -> None:
        """Listen."""
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)

    async def stop(self) -> None:
        """Break everything, and listen no more."""
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for writer in self._writers:
            writer.transport.abort()
        await asyncio.sleep(0)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        try:
            to_server = await asyncio.open_connection("127.0.0.1", self._port)
        except OSError:
            writer.transport.abort()
            return
        self._writers.add(to_server[1])
        for work in (self._forth(reader, writer, to_server[1]), self._back(to_server[0], writer, to_server[1])):
            task = asyncio.create_task(work)
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _forth(
        self, reader: asyncio.StreamReader, client: asyncio.StreamWriter, server: asyncio.StreamWriter
    ) -> None:
        with suppress(OSError):
            while data := await reader.read(65536):
                if self._mark is not None and self._mark in data:
                    self._mark = None
                    if self._what in ("cut", "hold"):
                        if self._what == "hold":
                            self.held.append((server, data))
                            self._holds.add(server)
                        client.transport.abort()
                        self.has_struck.set()
                        break
                    self._answers, self._drops = False, self._what == "drop"
                    if self._what == "swallow":
                        self.has_struck.set()
                server.write(data)
                await server.drain()
        if server not in self._holds:
            server.close()

    async def _back(
        self, reader: asyncio.StreamReader, client: asyncio.StreamWriter, server: asyncio.StreamWriter
    ) -> None:
        with suppress(OSError):
            while data := await reader.read(65536):
                if self._drops and b'"stream"' in data:  # the server has written it
                    self.heal()
                    client.transport.abort()
                    server.transport.abort()
                    self.has_struck.set()
                    return
                if self._answers and server not in self._holds:
                    client.write(data)
                    await client.drain()
        client.close()


@asynccontextmanager
async def between(port: int) -> AsyncIterator[Proxy]:
    """Have a proxy to a server for the body."""
    proxy = Proxy(port)
    await proxy.start()
    try:
        yield proxy
    finally:
        await proxy.stop()
