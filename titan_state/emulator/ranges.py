"""Ranges: a file as an answer, whole or from an offset on, in the way of RFC 9110.

What is in the file, and whether a deployment knows ranges at all, is the routes' business.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from hashlib import sha256
from typing import Final

from aiohttp import web

from titan_state.emulator.answers import RefusalError

FROM: Final = re.compile(r"bytes=(\d{1,18})-", re.ASCII | re.IGNORECASE)
"""The one range that is understood: from an offset to the end. A server may ignore any other, and this one does."""


def entity_tag(body: bytes) -> str:
    """Return a strong entity tag: the same for the same bytes, another for others."""
    return f'"{sha256(body).hexdigest()[:32]}"'


def ranged(request: web.Request, body: bytes, headers: Mapping[str, str]) -> web.Response:
    """Return a file, or the rest of it where the request asks for that.

    Args:
        request: The request; its `Range: bytes=N-` holds unless its `If-Range` names another file.
        body: The whole file.
        headers: What is sent with it in any case.

    Raises:
        RefusalError: The rest would begin where the file has ended.
    """
    tag = entity_tag(body)
    sent = {**headers, "Accept-Ranges": "bytes", "ETag": tag}
    wanted = FROM.fullmatch(request.headers.get("Range", ""))
    if wanted is None or request.headers.get("If-Range", tag) != tag:
        return web.Response(body=body, headers=sent)
    size, start = len(body), int(wanted[1])
    if start >= size:
        raise RefusalError(
            416, "RANGE_NOT_SATISFIABLE", "the range is beyond the end", headers={"Content-Range": f"bytes */{size}"}
        )
    sent["Content-Range"] = f"bytes {start}-{size - 1}/{size}"
    return web.Response(status=206, body=body[start:], headers=sent)
