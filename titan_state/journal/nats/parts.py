"""Parts: what works on the stream of one account, put together."""

from __future__ import annotations

from typing import TYPE_CHECKING

from titan_state.journal.nats.reading import Reader
from titan_state.journal.nats.roster import Roster
from titan_state.journal.nats.talk import Talk
from titan_state.journal.nats.upkeep import Upkeep

if TYPE_CHECKING:
    from titan_state.journal.nats.layout import Layout
    from titan_state.journal.nats.link import Link


class Parts:
    """What works on the stream of one account.

    Attributes:
        link: The connection.
        layout: Where things are in the stream.
        reader: Reads it.
        roster: Knows its subscriptions.
        letters: Knows which deliveries failed.
        upkeep: Keeps it in order.
        talk: Asks the monitor that leads, or answers.
    """

    def __init__(self, link: Link, layout: Layout) -> None:
        self.link = link
        self.layout = layout
        self.reader = Reader(link, layout)
        self.roster = Roster(link, layout, self.reader, link.clock)
        self.letters = self.roster.letters
        self.upkeep = Upkeep(link, layout, self.reader, self.roster)
        self.talk = Talk(link, layout)
