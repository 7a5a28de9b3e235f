"""Views: what is known of executions, and how the monitor fares, looked for again and again. They keep the board."""

from __future__ import annotations

from datetime import UTC, datetime
from math import inf
from typing import TYPE_CHECKING, Final

from titan_state.client.silence import DARK_S
from titan_state.dashboard.board import Board
from titan_state.errors import MonitorClosedError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from titan_state.clock import Clock
    from titan_state.core.events import Event
    from titan_state.dashboard.board import Change
    from titan_state.dashboard.sources import Source
    from titan_state.monitor.survey import Survey, Watched

SURVEY_S: Final = 1.0
"""How often it is asked what was seen since: progress, and when an execution was seen last, are no events."""

REST_S: Final = 3.0
"""How long a monitor that did not answer is left alone."""

WHOLE_S: Final = 300.0
"""How often everything is compared, in case something was missed."""

RELOAD_S: Final = 2.0
"""How often the rows of a journal are read again, where no monitor can be asked and something was written."""


class Views:
    """What is known.

    Attributes:
        board: The rows.
        survey: What the monitor said last; None where none answers.
        why: Why none does.
        is_urgent: Whether something changed that pages should be told of at once.
    """

    def __init__(self, source: Source, clock: Clock) -> None:
        self.board = Board()
        self.survey: Survey | None = None
        self.why = ""
        self.is_urgent = False
        self._source = source
        self._clock = clock
        self._concerned: set[str] = set()
        self._is_stale = True  # the rows of the journal are not what was written last
        self._left_out = 0
        self._asked_at = self._whole_at = self._read_at = -inf

    @property
    def watched(self) -> Watched | None:
        """What the monitor watches; None where none answers."""
        return None if self.survey is None else self.survey.watched

    @property
    def seen(self) -> float | None:
        """When the service last answered, as far as is known, in seconds since 1970."""
        if self.survey is not None:
            return self.survey.answered
        return max((row.seen for row in self.board.rows.values() if row.seen is not None), default=None)

    def as_of(self, now: datetime) -> datetime:
        """Return until when what is shown is true: now, or when the service last answered."""
        survey = self.survey
        if survey is not None and survey.blind_since is None and survey.dark_s < DARK_S:
            return now
        seen = self.seen
        return now if seen is None else min(now, datetime.fromtimestamp(seen, UTC))

    @property
    def hidden(self) -> int:
        """How many executions are known that are not on the board."""
        return len(self.board.hidden) + self._left_out

    def concern(self, events: Iterable[Event]) -> None:
        """Take in what happened: these executions are looked at again."""
        self._concerned.update(event.execution_id for event in events)
        self._is_stale = True

    def compare(self) -> None:
        """Compare everything at the next look: something may have been missed."""
        self._whole_at = -inf
        self._is_stale = True

    async def look(self) -> Change:
        """Return what changed on the board since the last look.

        Raises:
            JournalError: The journal cannot be read, and no monitor answers.
        """
        now = self._clock.time()
        pause_s = REST_S if self.survey is None and self._asked_at > -inf else SURVEY_S
        if now - self._asked_at < pause_s and (self.survey is None or not self._concerned):
            return await self._reloaded(now)
        before, self._asked_at = self.survey, now
        is_whole = before is None or now - self._whole_at >= WHOLE_S
        try:
            self.survey = await self._source.survey(
                None if before is None or is_whole else before.mark, self._concerned
            )
        except MonitorClosedError as error:
            self.is_urgent |= before is not None or str(error) != self.why
            self._is_stale |= before is not None
            self.survey, self.why = None, str(error)
            return await self._reloaded(now)
        self.why = ""
        self._concerned = set()
        if self.survey.is_whole:
            self._whole_at, self._left_out = now, self.survey.left_out
        if before is None or (before.watched, before.blind_since) != (self.survey.watched, self.survey.blind_since):
            self.is_urgent = True
        if before is not None and before.watched != self.survey.watched:
            self._whole_at = -inf  # what is watched no longer shows only in a comparison of everything
        return self.board.merge(self.survey.sights, is_whole=self.survey.is_whole)

    async def _reloaded(self, now: float) -> Change:
        """Return what changed in the rows of the journal, where no monitor can be asked."""
        if self.survey is not None or not self._is_stale or now - self._read_at < RELOAD_S:
            return self.board.merge(())
        self._read_at = now
        sights = await self._source.written()
        self._is_stale, self._left_out = False, 0
        self._concerned = set()
        return self.board.merge(sights, is_whole=True)
