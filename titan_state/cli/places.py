"""Places: where the command keeps its journals, one file for each account and origin, and the dashboard's token."""

from __future__ import annotations

import hashlib
import os
import secrets
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from pathlib import Path

SHORTEST: Final = 32
"""How many characters a token has at least."""


def journal_path(url: str, account: str | None) -> Path:
    """Return the file of the journal that is used unless another one is named.

    Args:
        url: The origin of the Task Service, as the user gave it.
        account: The account, None where none is named.

    Raises:
        ConfigurationError: The URL cannot work.
    """
    from platformdirs import user_state_path

    from titan_state.client.address import origin_of
    from titan_state.client.profile import ServiceProfile

    origin = origin_of(url, ServiceProfile().api_prefix)
    mark = hashlib.sha256(f"{origin}\n{account or origin}".encode()).hexdigest()[:10]
    return user_state_path("titan-state") / f"{urlsplit(origin).hostname}-{mark}.db"


def session_token(*, renews: bool = False) -> str:
    """Return the token of this user's dashboards: a page that is open stays good when its dashboard is started again.

    It is kept in a file that its owner alone can read.

    Args:
        renews: Make another one; links with the one before are good no longer.

    Raises:
        OSError: The file cannot be used.
    """
    from platformdirs import user_state_path

    path = user_state_path("titan-state") / "dashboard-token"
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    if not renews:
        try:
            kept = path.read_text(encoding="ascii").strip()
        except (FileNotFoundError, UnicodeDecodeError):
            kept = ""
        if len(kept) >= SHORTEST and not path.stat().st_mode & (0o077 if os.name == "posix" else 0):
            return kept
    token = secrets.token_urlsafe(32)
    beside = path.with_name(f"{path.name}-{secrets.token_hex(4)}")
    beside.touch(mode=0o600, exist_ok=False)
    beside.write_text(token, encoding="ascii")
    beside.replace(path)
    return token
