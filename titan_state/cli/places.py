"""Places: where the command keeps its journals, one file for each account and origin, and the dashboard's token."""

from __future__ import annotations

import hashlib
import os
import re
import secrets
import stat
from glob import escape as glob_escape
from typing import TYPE_CHECKING, Final
from urllib.parse import parse_qsl, quote, urlsplit

from titan_state.errors import ConfigurationError

if TYPE_CHECKING:
    from pathlib import Path

TOKEN: Final = re.compile(rb"[A-Za-z0-9_-]{32,128}")
"""What a token of the dashboard looks like: nothing else is taken from the file in which it is kept."""

LARGEST: Final = 256
"""The largest file that may hold a token, in bytes."""


def origin_at(url: str) -> str:
    """Return the origin of the Task Service at a URL.

    Args:
        url: The URL, as the user gave it.

    Raises:
        ConfigurationError: It cannot work.
    """
    from titan_state.client.address import origin_of
    from titan_state.client.profile import ServiceProfile

    return origin_of(url, ServiceProfile().api_prefix)


def journal_path(url: str, account: str | None) -> Path:
    """Return the file of the journal that is used unless another one is named.

    Args:
        url: The origin of the Task Service, as the user gave it.
        account: The account, None where none is named.

    Raises:
        ConfigurationError: The URL cannot work.
    """
    from platformdirs import user_state_path

    origin = origin_at(url)
    mark = hashlib.sha256(f"{origin}\n{account or origin}".encode()).hexdigest()[:10]
    return user_state_path("titan-state") / f"{urlsplit(origin).hostname}-{mark}.db"


def kept_journals(url: str | None) -> list[Path]:
    """Return the files of journals that are in the usual place, those that were written last first.

    Args:
        url: The origin of the Task Service, as the user gave it: only those of its host are meant. None for all.
    """
    from platformdirs import user_state_path

    host = urlsplit(url).hostname if url else None
    found = user_state_path("titan-state").glob(f"{glob_escape(host)}-*.db" if host else "*.db")
    return sorted(found, key=lambda path: path.stat().st_mtime, reverse=True)


def of_account(address: str, account: str | None) -> str:
    """Return the address of a journal that may hold several accounts, with the one that is meant, unless it says so.

    Args:
        address: The address of a journal.
        account: The account, None where none is named.
    """
    from titan_state.journal.address import NATS

    if account is None or not address.startswith(NATS) or account_in(address) is not None:
        return address
    return f"{address}{'&' if '?' in address else '?'}account={quote(account, safe='')}"


def account_in(address: str | None) -> str | None:
    """Return the account that the address of a journal names, None if it names none."""
    from titan_state.journal.address import NATS

    if not address or not address.startswith(NATS):
        return None
    return dict(parse_qsl(address.partition("?")[2])).get("account")


def session_token(*, renews: bool = False) -> str:
    """Return the token of this user's dashboards: a page that is open stays good when its dashboard is started again.

    It is kept in a file that its owner alone can read. What else is in its place is replaced, a link itself and not
    what it leads to.

    Args:
        renews: Make another one; a dashboard that runs goes on with the one that it started with.

    Raises:
        ConfigurationError: It cannot be kept there.
    """
    from platformdirs import user_state_path

    path = user_state_path("titan-state") / "dashboard-token"
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        return (None if renews else _kept(path)) or _made(path)
    except OSError as error:
        raise ConfigurationError(
            f"the dashboard's token cannot be kept in {path}: {error.strerror or error}"
        ) from error


def _kept(path: Path) -> str | None:
    """Return the token in a file; None if it is none, or if others may know it."""
    flags = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
    try:
        file = os.open(path, flags)
    except OSError:  # it is missing, a link, or not ours: another one takes its place, if that can be
        return None
    try:
        if not _is_private(os.fstat(file)):
            return None
        content = os.read(file, LARGEST + 1)
    finally:
        os.close(file)
    if len(content) > LARGEST or not TOKEN.fullmatch(content.strip()):
        return None
    return content.strip().decode("ascii")


def _is_private(about: os.stat_result) -> bool:
    """Return whether it is a file that nobody but its owner, this user, can read or write, as far as that is told."""
    if not stat.S_ISREG(about.st_mode):
        return False
    return os.name != "posix" or (about.st_uid == os.geteuid() and not about.st_mode & 0o077)


def _made(path: Path) -> str:
    """Make a token, and put it into a file once it is whole."""
    token = secrets.token_urlsafe(32)
    beside = path.with_name(f"{path.name}-{secrets.token_hex(4)}")
    try:
        with os.fdopen(os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="ascii") as file:
            file.write(token)
        beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)
    return token
