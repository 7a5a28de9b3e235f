"""A journal in NATS JetStream: one monitor leads each account, others stand by, any number of programs subscribe."""

try:
    import nats as _nats  # noqa: F401 - only whether it is there
except ModuleNotFoundError as error:
    raise ModuleNotFoundError("a journal in NATS needs the extra nats: pip install 'titan-state[nats]'") from error

from titan_state.journal.nats.journal import NatsJournal

__all__ = ["NatsJournal"]
