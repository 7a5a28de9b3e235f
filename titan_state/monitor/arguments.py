"""Arguments: what users hand to a monitor, checked and brought into one form."""

from __future__ import annotations

from titan_state.errors import ConfigurationError


def require_id(value: str, what: str) -> None:
    """Refuse what cannot be an id.

    Raises:
        ConfigurationError: It is no text, or an empty one.
    """
    if not isinstance(value, str) or not value:
        raise ConfigurationError(f"{what} is named by its id, a text that is not empty, not {value!r}")
