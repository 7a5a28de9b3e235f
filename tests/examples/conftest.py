"""What the tests of examples share: programs that are run as a user runs them."""

from __future__ import annotations

from programs import start

__all__ = ["start"]
