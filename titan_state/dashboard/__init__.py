"""The dashboard: a web page on this machine that shows what a monitor knows, live.

It needs the extra `dashboard`. `Dashboard` serves the page of a monitor of this program, or of a journal.
"""

from __future__ import annotations

from titan_state.dashboard.server import Dashboard as Dashboard
from titan_state.dashboard.sources import JournalSource as JournalSource
from titan_state.dashboard.sources import MonitorSource as MonitorSource

__all__ = ["Dashboard", "JournalSource", "MonitorSource"]
