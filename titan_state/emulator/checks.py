"""Checks: an argument of the wrong kind is refused where it is written, with what to write instead.

What the arguments mean is not known here.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, TypeVar

from titan_state.errors import ConfigurationError, shorten

T = TypeVar("T")


def one(name: str, value: object, kind: type[T], how: str) -> T:
    """Return a value that must be of a kind.

    Args:
        name: The argument's name.
        value: What was given.
        kind: What it must be.
        how: What to write instead of something else.

    Raises:
        ConfigurationError: It is something else.
    """
    if not isinstance(value, kind):
        raise ConfigurationError(f"{name} takes {how}, not {shorten(repr(value))}")
    return value


def text(name: str, value: object, how: str) -> str:
    """Return a value that must be a text, also where it is a member of an enumeration, as plain text; see `one`."""
    return str.__str__(one(name, value, str, how))


def several(name: str, values: object, kind: type[T], how: str) -> tuple[T, ...]:
    """Return values that must all be of a kind; see `one`. A single one, outside of a list, is refused too."""
    if isinstance(values, str | bytes | kind) or not isinstance(values, Iterable):
        raise ConfigurationError(f"{name} takes a list of {how}, not {shorten(repr(values))}")
    return tuple(one(name, value, kind, how) for value in values)


def seconds(_instance: Any, attribute: Any, value: Any) -> None:
    """Validate an attribute that is a number of seconds, 0 or more.

    Raises:
        ConfigurationError: It is none.
    """
    if not isinstance(value, int | float) or not value >= 0:
        raise ConfigurationError(f"{attribute.name} takes seconds, 0 or more, not {shorten(repr(value))}")


def seconds_or_none(instance: Any, attribute: Any, value: Any) -> None:
    """Validate an attribute that is a number of seconds or None; see `seconds`."""
    if value is not None:
        seconds(instance, attribute, value)
