"""Arguments: what users hand to a monitor, checked and brought into one form."""

from __future__ import annotations

from titan_state.errors import ConfigurationError, shorten


def require_id(value: str, what: str) -> None:
    """Refuse what cannot be an id: neither the service nor a journal could be asked about it.

    Raises:
        ConfigurationError: It is no text, an empty one, or one that cannot be encoded: a lone surrogate stands for what
            was not typed in the encoding of this machine.
    """
    if not isinstance(value, str) or not value:
        raise ConfigurationError(f"{what} is named by its id, a text that is not empty, not {value!r}")
    try:
        value.encode()
    except UnicodeEncodeError:
        raise ConfigurationError(f"{shorten(value)!r} cannot be the id of {what}: it is no valid text") from None
