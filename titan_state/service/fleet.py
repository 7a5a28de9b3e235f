"""Fleet: which member of several tends which account first, and for how long each has been seen. Pure.

Every member comes to the same order by itself (rendezvous hashing): each account has its own order of all members, so
that one member that comes or goes moves no accounts but its own.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from typing import Final

HARDEST: Final = 6
"""How often the time after which an account is handed over is doubled at most."""


def ranking(account: str, members: Iterable[str]) -> list[str]:
    """Return members in the order in which they are to tend an account."""
    return sorted(set(members), key=lambda member: (_weight(account, member), member))


def _weight(account: str, member: str) -> bytes:
    lengths = f"{len(account)}\n{account}\n{member}"  # two names must not run into each other
    return hashlib.sha256(lengths.encode("utf-8", "surrogatepass")).digest()


class Fleet:
    """What one member knows of the others: which accounts each is able to tend, and since when that was seen."""

    def __init__(self, member: str) -> None:
        """Make a fleet of one.

        Args:
            member: Who we are.
        """
        self.member = member
        self._since: dict[tuple[str, str], float] = {}  # by account and member
        self._handed_over: dict[str, int] = {}

    def saw(self, members: Mapping[str, Iterable[str]], now: float) -> None:
        """Take in who is present, with the accounts that each is able to tend."""
        seen = {(account, member) for member, accounts in members.items() for account in accounts}
        self._since = {one: self._since.get(one, now) for one in seen if one[1] != self.member}

    def lost_sight(self) -> None:
        """Take in that nobody knows who is present: each member acts as if it were alone."""
        self._since.clear()

    def members(self, account: str) -> list[str]:
        """Return who is able to tend an account, in order; ourselves included."""
        return ranking(account, [self.member, *(member for named, member in self._since if named == account)])

    def rank(self, account: str) -> int:
        """Return how many members are to tend an account before us."""
        return self.members(account).index(self.member)

    def is_due(self, account: str, now: float, patience_s: float) -> bool:
        """Return whether an account that we lead is to be handed over.

        That is so when another member ranks first, and has been there for some time. Where it did not take the account
        the last time, that time is longer.

        Args:
            account: The account.
            now: The time.
            patience_s: For how long the other one must have been there.
        """
        first = self.members(account)[0]
        if first == self.member:
            self._handed_over.pop(account, None)
            return False
        patience_s *= 2 ** min(self._handed_over.get(account, 0), HARDEST)
        return now - self._since[account, first] >= patience_s

    def handed_over(self, account: str, now: float) -> None:
        """Take in that an account was let go so that another member may have it."""
        self._handed_over[account] = self._handed_over.get(account, 0) + 1
        first = self.members(account)[0]
        if first != self.member:
            self._since[account, first] = now
