"""Faults: what aiohttp and the network raise, as errors of this library. It sends nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import aiohttp

from titan_state.errors import ConnectionFailedError, RequestTimeoutError, TransportError, shorten

if TYPE_CHECKING:
    from titan_state.client.credential import Credential

NETWORK: Final = (aiohttp.ClientError, TimeoutError, OSError, ValueError)
"""What an exchange may raise; ValueError is what a URL or a header that cannot be read becomes in places."""

CHECK: Final = "check the URL (TITAN_API_URL)"

_NEVER_SENT: Final = (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError, aiohttp.InvalidURL)
"""Connection refused, no such host, no TLS, no connection in time: before the first byte of a request."""


def translated(error: Exception, name: str, origin: str, credential: Credential) -> TransportError:
    """Return a fault as an error of this library, with its cause where that does not show the token.

    Args:
        error: One of `NETWORK`.
        name: How the request is called in errors.
        origin: Where it went, which is what to check first.
        credential: What must not be shown.
    """
    origin = shorten(origin)
    if isinstance(error, aiohttp.ClientResponseError):  # its text quotes the service, its repr has our headers
        kind = type(error).__name__
        return ConnectionFailedError(f"{origin} answers, but no HTTP ({kind}): {CHECK}", request=name)
    # what aiohttp says of a connection that was not made names the address once more; its cause tells why
    shown = error.__cause__ if isinstance(error, aiohttp.ClientConnectorError) and error.__cause__ else error
    detail = shorten(credential.redact(f"{type(shown).__name__} {shown}".strip()))
    is_late, is_sent = isinstance(error, TimeoutError), not isinstance(error, _NEVER_SENT)
    failed = RequestTimeoutError if is_late else ConnectionFailedError
    if is_sent:
        told = f"no answer from {origin} in time" if is_late else f"the connection to {origin} broke"
        failure: TransportError = failed(f"{told} ({detail})", request=name)
    else:
        told = f"no connection to {origin}" + (" in time" if is_late else "")
        failure = failed(f"{told} ({detail}): {CHECK}", request=name, sent=False)
    if _is_harmless(error, credential):
        failure.__cause__ = error
    return failure


def _is_harmless(error: BaseException, credential: Credential) -> bool:
    """Return whether neither an error nor anything chained to it shows the token."""
    chain: list[BaseException] = []
    pending: list[BaseException | None] = [error]
    while pending:
        one = pending.pop()
        if one is None or one in chain:
            continue
        if credential.is_in(f"{one!r} {one}"):
            return False
        chain.append(one)
        pending += [one.__cause__, one.__context__]
    return True
