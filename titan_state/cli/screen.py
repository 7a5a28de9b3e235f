"""Screens: where events are shown: a live board on a terminal, lines elsewhere, or JSON lines for programs."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING, Protocol, Self

from titan_state import wording
from titan_state.cli.output import check_reader, emit, emit_json

if TYPE_CHECKING:
    from titan_state.cli.board import Board
    from titan_state.core.events import Event

TICK_S = 0.25
"""How often a live board is drawn anew."""

READER_S = 1.0
"""How often it is looked whether anybody still reads the lines."""


class Screen(Protocol):
    """Where events are shown.

    Attributes:
        every_s: After how many seconds without an event `tick` wants to be called, None for never.
    """

    every_s: float | None

    def __enter__(self) -> Self: ...

    def __exit__(self, *_: object) -> None: ...

    def show(self, event: Event) -> None:
        """Show an event."""
        ...

    def say(self, text: str, *, style: str = "") -> None:
        """Show a line that is no event."""
        ...

    def tick(self) -> None:
        """Draw what changes with time."""
        ...


class Lines:
    """One line for each event."""

    every_s: float | None = READER_S

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        return None

    def show(self, event: Event) -> None:
        """Write the event as a line."""
        emit(wording.line(event))

    def say(self, text: str, *, style: str = "") -> None:
        """Write the line."""
        emit(text)

    def tick(self) -> None:
        """Lines stay; but where nobody reads them any more, a quiet watch must not go on unseen."""
        check_reader()


class JsonLines(Lines):
    """One JSON object on a line for each event, as `Event.to_dict` has it."""

    def show(self, event: Event) -> None:
        """Write the event as JSON."""
        emit_json(event.to_dict())

    def say(self, text: str, *, style: str = "") -> None:
        """Do nothing: only events are data."""


class LiveBoard:
    """A board that is drawn anew as things happen."""

    def __init__(self, board: Board) -> None:
        from rich.console import Console
        from rich.live import Live

        self.every_s: float | None = TICK_S
        self._board = board
        # drawn from the event loop only: rich's own thread would read the monitor beside it
        console = Console()
        self._live = Live(board, console=console, auto_refresh=False, redirect_stderr=sys.stderr.isatty())
        self._drawn_at = 0.0

    def __enter__(self) -> Self:
        self._live.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        self._live.__exit__(None, None, None)

    def show(self, event: Event) -> None:
        """Take the event into the board."""
        self._board.take(event)
        self.tick()

    def say(self, text: str, *, style: str = "") -> None:
        """Show the line among the last events."""
        self._board.say(text, style=style)

    def tick(self) -> None:
        """Draw the board, unless that was done just now: a large one may take its time."""
        begun = time.monotonic()
        if begun - self._drawn_at >= (self.every_s or 0.0):
            self._live.refresh()
            self._drawn_at = time.monotonic()
            self.every_s = max(TICK_S, 10 * (self._drawn_at - begun))


def is_live_terminal() -> bool:
    """Return whether stdout is a terminal that can be drawn on."""
    if not sys.stdout.isatty():
        return False
    from rich.console import Console

    return not Console().is_dumb_terminal
