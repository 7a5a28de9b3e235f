"""Stream: the one of an account, made if it is missing, and otherwise left as it is. What cannot work is refused."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final

import nats.errors
from nats.js import errors as js_errors
from nats.js.api import DiscardPolicy, RetentionPolicy, StorageType, StreamConfig

from titan_state.errors import (
    JournalDamagedError,
    JournalError,
    JournalUnavailableError,
    JournalVersionError,
    shorten,
)
from titan_state.journal.nats.layout import Layout, account_token, stream_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from nats.js.api import StreamInfo

    from titan_state.journal.nats.link import Link
    from titan_state.journal.nats.settings import Settings

logger = logging.getLogger("titan_state.journal")

OLDEST: Final = (2, 12)
"""The oldest server that writes several messages at once or not at all (ADR-50)."""

LEAST_PAYLOAD: Final = 524_288
"""How long messages must be able to be, in bytes: an event or a record without what is optional is always shorter."""

VERSION: Final = 1
"""The version of what is in the stream; a newer one is left alone."""

NO_LEADER: Final = 10008
"""The error code of a cluster that has no leader at present."""

_ACCOUNT: Final = "titan_state.account"
_PARTITIONS: Final = "titan_state.partitions"
_VERSION: Final = "titan_state.version"


def ensure_supported(link: Link) -> None:
    """Return if the server can do what is needed.

    Raises:
        JournalError: It is too old, or its messages are too short.
    """
    version = link.nc.connected_server_version
    if (version.major, version.minor) < OLDEST:
        raise JournalError(
            f"the server at {link.name} is nats-server {version.major}.{version.minor}.{version.patch}: titan_state "
            f"needs {OLDEST[0]}.{OLDEST[1]} or newer, which writes several messages at once or not at all"
        )
    if link.nc.max_payload < LEAST_PAYLOAD:
        raise JournalError(
            f"{link.name} takes messages of {link.nc.max_payload} bytes at most: set its max_payload to "
            f"{LEAST_PAYLOAD} or more (1048576 is the default)"
        )


async def ensure_enabled(link: Link) -> None:
    """Return if the server has JetStream.

    Raises:
        JournalError: It has not, or not for this user.
    """
    try:
        await link.do(link.js.account_info(), "tell of JetStream")
    except JournalUnavailableError as error:
        cause = error.__cause__
        is_passing = isinstance(cause, js_errors.APIError) and cause.err_code == NO_LEADER
        if isinstance(cause, js_errors.ServiceUnavailableError | nats.errors.NoRespondersError) and not is_passing:
            raise JournalError(
                f"{link.name} has no JetStream, or none at present: start nats-server with -js, or enable it for users"
            ) from error
        raise


async def ensured(link: Link, account: str, settings: Settings) -> Layout:
    """Return the layout of an account's stream; it is made if it is missing.

    Raises:
        JournalVersionError: A newer version of titan_state has made it.
        JournalError: It cannot be used as it is, or not be made; the message says what to do.
    """
    found = await existing(link, account)
    if found is None:
        await _make(link, Layout(account, settings.partitions), settings)
        found = await existing(link, account)
        if found is None:
            raise JournalError(
                f"the stream of {shorten(account)} was removed from {link.name} as soon as it was made: look who "
                "removes it, then start the monitor again"
            )
    layout, info = found
    asked, kept = settings.replicas, info.config.num_replicas or 1
    if asked > kept:
        logger.warning(
            "the stream %s has %d replicas, not %d: it was made so, and is left as it is "
            "(nats stream edit --replicas=%d changes it)",
            layout.stream,
            kept,
            asked,
            asked,
        )
    return layout


async def existing(link: Link, account: str) -> tuple[Layout, StreamInfo] | None:
    """Return the layout of an account's stream, and what the server says of it; None if there is none.

    Raises:
        JournalError: See `ensured`.
    """
    info = await _info(link, stream_of(account_token(account)))
    if info is None:
        return None
    return _checked(link, account, info), info


async def accounts(link: Link) -> list[str]:
    """Return the accounts that have a stream."""
    found = []
    offset = 0
    while True:
        part = await link.do(link.js.streams_info(offset=offset), "list streams")
        for info in part:
            account = (info.config.metadata or {}).get(_ACCOUNT)
            if account is not None and info.config.name == stream_of(account_token(account)):
                found.append(account)
        if not part:
            return sorted(set(found))
        offset += len(part)


async def fullness(link: Link, layout: Layout) -> float:
    """Return which part of the bytes that a stream may have it has; 0 where it may have any number."""
    info = await _info(link, layout.stream)
    most = 0 if info is None else info.config.max_bytes or 0
    return 0.0 if info is None or most <= 0 else info.state.bytes / most


async def _info(link: Link, name: str) -> StreamInfo | None:
    async def ask() -> StreamInfo | None:
        try:
            return await link.js.stream_info(name)
        except js_errors.NotFoundError:
            return None

    return await link.do(ask(), "tell of its streams")


async def _make(link: Link, layout: Layout, settings: Settings) -> None:
    config = StreamConfig(
        name=layout.stream,
        description=f"titan_state: executions of {shorten(layout.account)}",
        subjects=[layout.everything],
        retention=RetentionPolicy.LIMITS,
        discard=DiscardPolicy.NEW,  # a stream that is full refuses what is new: nothing is dropped silently
        storage=StorageType.FILE,
        num_replicas=settings.replicas,
        max_bytes=-1 if settings.max_bytes is None else settings.max_bytes,
        allow_atomic=True,
        allow_rollup_hdrs=True,
        allow_direct=True,
        metadata={
            _ACCOUNT: layout.account,
            _PARTITIONS: str(layout.partitions),
            _VERSION: str(VERSION),
        },
    )

    async def make() -> None:
        try:
            await link.js.add_stream(config)
        except js_errors.BadRequestError as error:
            if error.err_code != 10058:  # made by another one meanwhile, with other settings: those are kept
                raise

    await link.do(make(), f"make the stream {layout.stream}")
    logger.info("the stream %s is made at %s, with %d replicas", layout.stream, link.name, settings.replicas)


def _checked(link: Link, account: str, info: StreamInfo) -> Layout:
    config = info.config
    told: Mapping[str, str] = config.metadata or {}
    version, partitions = told.get(_VERSION, ""), told.get(_PARTITIONS, "")
    if version.isdecimal() and int(version) > VERSION:
        raise JournalVersionError(
            f"the stream {config.name} at {link.name} was made by a newer version of titan_state: update this one"
        )
    if told.get(_ACCOUNT) != account or not partitions.isdecimal() or not version.isdecimal():
        raise JournalDamagedError(
            f"the stream {config.name} at {link.name} is not one of titan_state, or its metadata was removed: "
            "restore it, or rename the stream"
        )
    missing = [name for name in ("allow_atomic", "allow_rollup_hdrs", "allow_direct") if not getattr(config, name)]
    if missing:
        raise JournalError(
            f"the stream {config.name} at {link.name} was changed: set {', '.join(missing)} again (nats stream edit)"
        )
    layout = Layout(account, int(partitions))
    if config.subjects != [layout.everything]:
        raise JournalError(
            f"the stream {config.name} at {link.name} was changed: its subjects must be {layout.everything} "
            "(nats stream edit --subjects)"
        )
    return layout
