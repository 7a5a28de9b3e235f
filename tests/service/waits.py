"""How tests of the service wait for what other tasks and processes bring about."""

from __future__ import annotations

import asyncio
import json
import urllib.error
import urllib.request
from collections.abc import Callable

import pytest


async def true(condition: Callable[[], object], *, seconds: float = 20.0) -> None:
    """Return when a condition holds that other tasks, threads or processes bring about."""
    for _ in range(int(seconds * 100)):
        if condition():
            return
        await asyncio.sleep(0.01)
    pytest.fail("it never came true")


def asked(url: str, method: str = "GET") -> tuple[int, object]:
    """Return the status and the JSON with which a URL is answered; 0 where nobody answers."""
    try:
        with urllib.request.urlopen(urllib.request.Request(url, method=method), timeout=10) as answer:
            return answer.status, json.loads(answer.read() or b"null")
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.loads(error.read() or b"null")
    except OSError:
        return 0, None
