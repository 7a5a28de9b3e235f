"""Spoiling: how the faults of a body show, on an answer that is otherwise as it should be.

Which requests are hit is decided by the dice in `faults.py`; what happens to a request before its answer is made is
the business of `gate.py`.
"""

from __future__ import annotations

import socket
import struct
from asyncio import Transport
from itertools import count
from typing import Final

from aiohttp import web

from titan_state.emulator.backend import Backend

FAULTS: Final = ("garbled", "truncated", "wrong_length", "broken_body")

EXCESS: Final = 10
"""How many bytes more than there are a `Content-Length` that is too large promises."""

RESET: Final = struct.pack("ii", 1, 0)
"""SO_LINGER for 0 seconds: the connection ends with a reset instead of an orderly end."""

WAITING: Final = 1 << 16
"""How much the system may keep until a client takes it, in bytes: a reset forgets that. Less makes it slow."""


class Spoiler:
    """Spoils the bodies of answers where a fault says so."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        self._lengths = count()

    async def spoil(self, request: web.Request, answer: web.Response) -> web.StreamResponse:
        """Return the answer that is sent instead, which may be the same; status and other headers are kept.

        Of the faults that end the connection or change the length, only the first one shows.
        """
        # all are asked, so that none changes another's count
        hit = {fault for fault in FAULTS if self._backend.hit(fault, f"{request.method} {request.path}")}
        transport = request.transport
        if transport is None or not isinstance(answer.body, bytes):
            return answer
        if "garbled" in hit:
            answer.body = answer.body[: len(answer.body) // 2]
        body = answer.body
        size = len(body)
        if "truncated" in hit:
            return await _close(transport, request, answer, body[: size // 2], length=size)
        if "wrong_length" in hit:
            is_too_large = next(self._lengths) % 2 == 0
            if is_too_large or not body:  # nothing is less than an empty body
                return await _close(transport, request, answer, body, length=size + EXCESS)
            answer.body = body[: inside(body)]
        elif "broken_body" in hit:
            source = self._backend.dice.source(self._backend.faults, "broken_body_at")
            return await _reset(transport, request, answer, body[: source.randrange(max(1, size))], length=size)
        return answer


def inside(body: bytes) -> int:
    """Return where to cut a body that is not empty: about its middle, and not at the end of a row."""
    at = len(body) // 2
    while at and (body[at - 1] in b"}\r\n" or body[at] in b"\r\n"):
        at -= 1
    return at


async def _close(
    transport: Transport, request: web.Request, answer: web.Response, part: bytes, *, length: int
) -> web.StreamResponse:
    spoiled = await _begin(request, answer, part, length=length)
    transport.close()
    return spoiled


async def _reset(
    transport: Transport, request: web.Request, answer: web.Response, part: bytes, *, length: int
) -> web.StreamResponse:
    sock = transport.get_extra_info("socket")  # set up before it is written to: a client may close it meanwhile
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, WAITING)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
    transport.set_write_buffer_limits(0)  # only when nothing waits here any more is the part written
    spoiled = await _begin(request, answer, part, length=length)
    transport.abort()
    return spoiled


async def _begin(request: web.Request, answer: web.Response, part: bytes, *, length: int) -> web.StreamResponse:
    # compression is never asked for, so the declared length is that of the body
    spoiled = web.StreamResponse(status=answer.status, headers=answer.headers)
    spoiled.content_length = length
    await spoiled.prepare(request)
    await spoiled.write(part)
    return spoiled
