"""Setbacks: what an error that ended the tending of an account means: in words for probes, and when to try again.

The words name no execution and quote nothing: what an error says by itself is for the log.
"""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Final

import attrs

from titan_state.errors import (
    ConfigurationError,
    ForbiddenError,
    JournalDamagedError,
    JournalError,
    JournalInUseError,
    JournalUnavailableError,
    JournalVersionError,
    LeadershipLostError,
    ServiceError,
    UnauthorizedError,
)

if TYPE_CHECKING:
    import random


class State(StrEnum):
    """What is done for an account at present."""

    STARTING = "starting"
    DEFERRING = "deferring"  # another member is to have it first
    STANDING_BY = "standing_by"
    LEADING = "leading"
    WAITING = "waiting"  # the journal cannot be used, or the service: it is tried again
    REFUSED = "refused"  # the service refuses the token: it is tried again
    FAILED = "failed"  # only a person can help
    ENDED = "ended"


READY: Final = frozenset({State.DEFERRING, State.STANDING_BY, State.LEADING})
"""In these an account is in good hands, as far as this member is concerned."""


SEE_LOG: Final = ": see the log"


@attrs.frozen
class Setback:
    """What an error means.

    Attributes:
        state: What the account comes to.
        reason: The reason, in words for probes; empty where it is none to worry about.
        first_s: How many seconds later it is tried again the first time.
        longest_s: And after many failures one after the other at most; doubled in between.
    """

    state: State
    reason: str
    first_s: float = 0.0
    longest_s: float = 0.0

    @property
    def cause(self) -> str:
        """The reason, in words for the log itself."""
        return self.reason.removesuffix(SEE_LOG)

    def delay_s(self, count: int, rng: random.Random) -> float:
        """Return how many seconds to wait after so many failures; jitter keeps members from coming back together."""
        delay_s: float = min(self.first_s * 2 ** min(count - 1, 16), self.longest_s)
        return delay_s * (0.75 + rng.random() / 4)


_REFUSAL: Final = (5.0, 300.0)
_JOURNAL: Final = (0.5, 30.0)
_MISTAKE: Final = (2.0, 300.0)


def setback(error: BaseException) -> Setback:
    """Return what an error means that ended the tending of an account."""
    match error:
        case LeadershipLostError():
            return Setback(State.STARTING, "", 0.2, 0.2)
        case UnauthorizedError():
            return Setback(State.REFUSED, "the service refuses the token (401)", *_REFUSAL)
        case ForbiddenError():
            return Setback(State.REFUSED, "the service says that the token lacks a scope (403)", *_REFUSAL)
        case ServiceError():
            return Setback(State.WAITING, f"the service cannot be asked{SEE_LOG}", *_MISTAKE)
        case JournalUnavailableError():
            return Setback(State.WAITING, "the journal cannot be reached, or not be written", *_JOURNAL)
        case JournalInUseError():
            return Setback(State.WAITING, "another monitor has the journal open", *_JOURNAL)
        case JournalVersionError():
            return Setback(State.FAILED, "a newer version has written the journal")
        case JournalDamagedError():
            return Setback(State.FAILED, f"the journal is damaged{SEE_LOG}")
        case JournalError():
            return Setback(State.WAITING, f"the journal cannot be used{SEE_LOG}", *_REFUSAL)
        case ConfigurationError():
            return Setback(State.FAILED, f"a setting cannot work{SEE_LOG}")
        case OSError():
            return Setback(State.WAITING, f"this machine lacks something{SEE_LOG}", *_MISTAKE)
    return Setback(State.WAITING, f"a mistake in titan_state ({type(error).__name__}){SEE_LOG}", *_MISTAKE)
