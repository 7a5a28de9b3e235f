"""A journal in NATS JetStream: one monitor leads each account, others stand by, any number of programs subscribe.

The class can be imported also without the extra `nats`; making a journal then says what to install.
"""

from __future__ import annotations

from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from titan_state.errors import ConfigurationError

if TYPE_CHECKING or find_spec("nats") is not None:
    from titan_state.journal.nats.journal import NatsJournal
else:

    class NatsJournal:
        """Stands for the journal where nats-py is not installed."""

        def __new__(cls, *_: Any, **__: Any) -> Any:
            """Say what is missing.

            Raises:
                ConfigurationError: Always.
            """
            raise ConfigurationError("a journal in NATS needs the extra nats: pip install 'titan-state[nats]'")


__all__ = ["NatsJournal"]
