"""Answers of the dashboard, and questions to it, in the words of HTTP. What they are about is said in `server.py`."""

from __future__ import annotations

import json
import logging
import re
from importlib.resources import files
from typing import TYPE_CHECKING, Any, Final

from aiohttp import web

from titan_state.dashboard import messages
from titan_state.dashboard.guard import HEADERS
from titan_state.errors import (
    ActionRejectedError,
    ConfigurationError,
    ExecutionNotFoundError,
    IllegalActionError,
    NotFoundError,
    OutputsUnavailableError,
    ResultsNotReadyError,
    TitanStateError,
    UnknownActionError,
    shorten,
)

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

logger = logging.getLogger("titan_state.dashboard")

KINDS: Final = {
    ".html": "text/html",
    ".css": "text/css",
    ".js": "text/javascript",
    ".svg": "image/svg+xml",
}

CONFLICTS: Final = (IllegalActionError, ActionRejectedError, OutputsUnavailableError, ResultsNotReadyError)
"""Errors that say that a thing cannot be done with this execution now."""


@web.middleware
async def errors(
    request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
) -> web.StreamResponse:
    """Answer errors as JSON, in the words of this library."""
    try:
        return await handler(request)
    except web.HTTPException as error:
        return refused(error.status, shorten(error.reason))
    except CONFLICTS as error:
        return refused(409, str(error))
    except (NotFoundError, ExecutionNotFoundError) as error:
        return refused(404, str(error))
    except (ConfigurationError, UnknownActionError) as error:
        return refused(400, str(error))
    except (TitanStateError, OSError) as error:
        return refused(502, str(error))
    except Exception:
        logger.exception("%s %s could not be answered", request.method, shorten(request.path))
        return refused(500, "the dashboard made a mistake; its log says which")


def refused(status: int, reason: str) -> web.Response:
    """Return an answer that says what is wrong."""
    return web.json_response({"error": shorten(reason, messages.LONGEST_TEXT)}, status=status, dumps=messages.text)


async def add_headers(request: web.Request, response: web.StreamResponse) -> None:
    """Add what every answer says to browsers; a signal of aiohttp's."""
    response.headers.update(HEADERS)
    response.headers["Cache-Control"] = "no-store"
    response.headers.pop("Server", None)


def asked(request: web.Request) -> str:
    """Return the id of the execution that is asked for.

    Raises:
        ConfigurationError: None is named.
    """
    execution_id = request.query.get("id")
    if not execution_id:
        raise ConfigurationError("no execution is named: add ?id= and its id")
    return execution_id


async def question_of(request: web.Request) -> dict[str, Any]:
    """Return what was asked, an object of JSON.

    Raises:
        ConfigurationError: It is none.
    """
    try:
        question = json.loads(await request.text())
    except (ValueError, RecursionError, LookupError, web.RequestPayloadError) as error:
        raise ConfigurationError('the body is no JSON: send an object such as {"id": "…"}') from error
    if not isinstance(question, dict):
        raise ConfigurationError('the body is no JSON object: send one such as {"id": "…"}')
    return question


def text_of(question: dict[str, Any], name: str) -> str:
    """Return a text of a question.

    Raises:
        ConfigurationError: There is none.
    """
    value = question.get(name)
    if not isinstance(value, str) or not value:
        raise ConfigurationError(f"{name} must be a text")
    return value


def number_of(request: web.Request, name: str, usual: int) -> int:
    """Return a number of the query, or what is usual where there is none."""
    value = request.query.get(name, "")
    return int(value) if re.fullmatch(r"-?[0-9]{1,6}", value) else usual


def picture(svg: str) -> web.Response:
    """Return a picture."""
    return web.Response(text=svg, content_type="image/svg+xml", charset="utf-8")


def static_files() -> dict[str, tuple[bytes, str]]:
    """Return the files of the page, with their kinds."""
    found = [*files("titan_state.dashboard").joinpath("static").iterdir()]
    found.append(files("titan_state.drawing").joinpath("figures.css"))
    return {
        one.name: (one.read_bytes(), KINDS[suffix])
        for one in found
        if (suffix := f".{one.name.rpartition('.')[2]}") in KINDS
    }
