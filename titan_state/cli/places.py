"""Places: where the command keeps its journals, one file for each account and origin."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from pathlib import Path


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
