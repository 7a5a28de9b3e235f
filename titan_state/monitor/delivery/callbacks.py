"""Callbacks: what may be registered, under which name, with which options; refused here is what could not work later.

It knows neither events nor filters, and calls nothing.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable
from datetime import datetime, timedelta
from math import isfinite
from typing import Any, Literal, TypedDict

from titan_state.errors import ConfigurationError, shorten


class Options(TypedDict, total=False):
    """How events are delivered to one handler.

    Attributes:
        name: The handler's name, by default the qualified name of the callback.
        retries: How often a failed delivery is tried again, 3 by default.
        backoff: Seconds, or a `timedelta`, before the first further attempt, 1 by default; doubled for each one after
            it, up to 300 s.
        timeout: Seconds, or a `timedelta`, that one attempt may take; None (the default) for as long as it takes.
        task: Only executions of this task, or of these; all by default.
        since: Where it begins when its name is new to the journal: "now" (the default), "beginning" for everything
            that is in the log, or an aware datetime.
    """

    name: str
    retries: int
    backoff: float | timedelta
    timeout: float | timedelta | None
    task: str | Iterable[str]
    since: Literal["now", "beginning"] | datetime


def check_callback(callback: object) -> None:
    """Refuse what cannot be called with an event, or would do nothing when it is.

    Args:
        callback: What is to be registered. The signature that counts is that of what is called itself, not of what
            it wraps; a builtin without one passes.

    Raises:
        ConfigurationError: It cannot work; the message says what to do.
    """
    if not callable(callback):
        raise ConfigurationError(
            f"a callback must be a function of one argument, the event, not {shorten(repr(callback))}"
        )
    name = shorten(name_of(callback))
    for one in (callback, type(callback).__call__):
        if inspect.isgeneratorfunction(one) or inspect.isasyncgenfunction(one):
            raise ConfigurationError(
                f"{name} is a generator function: called, it would run nothing of its body. "
                "Make it a def or async def without yield"
            )
    try:
        signature = inspect.signature(callback, follow_wrapped=False)
    except (ValueError, TypeError):
        return
    try:
        signature.bind(object())
    except TypeError as error:
        raise ConfigurationError(
            f"{name}{signature} cannot be called with one argument, the event ({error}): register a function of one "
            "argument, a bound method, or a functools.partial that fills in the others"
        ) from None


def name_of(callback: Callable[[Any], Any]) -> str:
    """Return the name that a callback has by itself: its module and qualified name, or those of its type."""
    target = callback if hasattr(callback, "__qualname__") else type(callback)
    return f"{target.__module__}.{target.__qualname__}"


def checked(options: Options) -> dict[str, Any]:
    """Return the options that were given, durations in seconds.

    Raises:
        ConfigurationError: An option that does not exist, or a value that cannot work.
    """
    unknown = options.keys() - Options.__annotations__.keys()
    if unknown:
        raise ConfigurationError(
            f"a handler has no option {', '.join(sorted(unknown))}; it has {', '.join(Options.__annotations__)}"
        )
    found: dict[str, Any] = {}
    name = options.get("name")
    if name is not None:
        if not isinstance(name, str) or not name:
            raise ConfigurationError(f"name of a handler must be a text that is not empty, not {shorten(repr(name))}")
        found["name"] = name
    retries = options.get("retries")
    if retries is not None:
        if isinstance(retries, bool) or not isinstance(retries, int) or retries < 0:
            raise ConfigurationError(
                f"retries of a handler must be a whole number of 0 or more, not {shorten(repr(retries))}"
            )
        found["retries"] = retries
    for option in ("backoff", "timeout"):
        value = options.get(option)
        if value is not None:
            found[option] = _seconds(option, value)
    if "task" in options:
        found["tasks"] = _tasks(options["task"])
    if "since" in options:
        found["since"] = _since(options["since"])
    return found


def needs_name(name: str) -> bool:
    """Return whether a callback's own name may be another one, or another's, after a restart."""
    return name.startswith("__main__.") or "<" in name


def _tasks(value: object) -> frozenset[str]:
    tasks = (value,) if isinstance(value, str) else tuple(value) if isinstance(value, Iterable) else ()
    if not tasks or not all(isinstance(task, str) and task for task in tasks):
        raise ConfigurationError(f"task of a handler must be a task's id, or several, not {shorten(repr(value))}")
    return frozenset(tasks)


def _since(value: object) -> object:
    if value in ("now", "beginning") or (isinstance(value, datetime) and value.tzinfo is not None):
        return value
    raise ConfigurationError(
        f'since of a handler must be "now", "beginning" or an aware datetime, not {shorten(repr(value))}'
    )


def _seconds(option: str, value: object) -> float:
    seconds = value.total_seconds() if isinstance(value, timedelta) else value
    if isinstance(seconds, bool) or not isinstance(seconds, int | float) or not isfinite(seconds) or seconds < 0:
        raise ConfigurationError(
            f"{option} of a handler must be a number of seconds of 0 or more, not {shorten(repr(value))}"
        )
    return seconds
