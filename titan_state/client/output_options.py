"""Options of outputs: how files are loaded and written, and the limits where none is given. It does neither."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from datetime import timedelta
from math import inf
from typing import Any, Final, Literal, TypedDict

from titan_state.client.loading.files import IfExists
from titan_state.client.readings import Reading, ResultMetadata
from titan_state.clock import seconds_of
from titan_state.errors import ConfigurationError, ResultsNotReadyError, shorten

Format = Literal["json", "csv"]

MAX_FILE: Final = 16 * 1024**3
"""The largest file that is loaded, in bytes, unless another limit is given: no body goes on for ever."""

RETRIES: Final = 5
"""How often a broken download is gone on with, or begun again, unless another number is given."""

WAIT_S: Final = 60.0
"""For how many seconds results that are not there yet are waited for, unless another time is given."""

IN_PARALLEL: Final = 8
"""How many files are loaded at the same time by one client."""


class LoadOptions(TypedDict, total=False):
    """How a file is loaded.

    Attributes:
        max_size: The most bytes that it may have, 16 GiB by default; a larger one is a `BodyTooLargeError`.
        retries: How often a download that breaks is gone on with, or begun again, 5 by default. One that may have been
            cut is loaded a second time beside that.
    """

    max_size: int
    retries: int


class SaveOptions(LoadOptions, total=False):
    """How a file is loaded and written.

    It has these attributes beside those of `LoadOptions`.

    Attributes:
        if_exists: What to do with a file that is there already: `error` (the default), `skip`, which leaves it alone
            and sends nothing, or `overwrite`, once the new one is whole.
        progress: Called with the bytes that have arrived and their number in all, None if that is not known. The
            first number falls where a download begins again.
    """

    if_exists: IfExists
    progress: Callable[[int, int | None], None] | None


class Hooks(TypedDict, total=False):
    """What a monitor does on the way.

    Attributes:
        prepare: Awaited before anything is asked for; it raises where there can be no outputs.
        looked: Called with what the service said of the results, or that they cannot be read yet.
    """

    prepare: Callable[[], Awaitable[None]] | None
    looked: Callable[[Reading[ResultMetadata] | ResultsNotReadyError], None] | None


def checked(options: Mapping[str, Any], kind: type[LoadOptions], what: str) -> None:
    """Refuse options that there are not, as a call does with arguments.

    Raises:
        TypeError: There is no such option.
    """
    for name in options:
        if name not in kind.__annotations__:
            known = ", ".join(kind.__annotations__)
            raise TypeError(f"{what}() got an unexpected keyword argument {name!r}; further ones are {known}")


def seconds_to_wait(wait: float | timedelta) -> float:
    """Return for how many seconds results are waited for.

    Raises:
        ConfigurationError: It is no number of seconds.
    """
    seconds = seconds_of(wait)
    if isinstance(seconds, bool) or not isinstance(seconds, int | float) or not 0 <= seconds < inf:
        raise ConfigurationError(f"wait must be a number of seconds of 0 or more, not {shorten(repr(wait))}")
    return seconds


def whole_number(options: Mapping[str, Any], name: str, default: int, *, least: int) -> int:
    """Return an option that is a whole number.

    Raises:
        ConfigurationError: It is none, or too small.
    """
    value = options.get(name, default)
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise ConfigurationError(f"{name} must be a whole number of at least {least}, not {shorten(repr(value))}")
    return value
