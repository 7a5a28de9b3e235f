"""Turns: what the tending of an account asks of a fleet, and the fleet of one. What a real one does: `presence.py`."""

from __future__ import annotations

import asyncio
from typing import Protocol


class Turns(Protocol):
    """Which member is to lead an account."""

    async def until_turn(self, account: str) -> None:
        """Return when we are to stand by for an account."""
        ...

    async def until_due(self, account: str) -> None:
        """Return when an account that we lead is to be handed over to another member."""
        ...


class Alone:
    """There are no other members, or it does not matter which one leads."""

    async def until_turn(self, account: str) -> None:
        """Return at once."""

    async def until_due(self, account: str) -> None:
        """Never return."""
        await asyncio.Event().wait()
