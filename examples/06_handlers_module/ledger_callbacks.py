"""The callbacks of a ledger, in a module of their own: they know no monitor, and a test can call them as they are.

Errors are told apart here: what may pass is a TemporaryError, what never will is a PermanentError, anything else is
tried again as the options say, and then given up.
"""

import os
import sqlite3
from contextlib import closing

from titan_state import Handlers, PermanentError, TemporaryError, Transitioned

handlers = Handlers()
CREATE = "CREATE TABLE IF NOT EXISTS ends (event TEXT PRIMARY KEY, task TEXT, execution TEXT, status TEXT, at TEXT)"


@handlers.on_finished(name="ledger", retries=100, timeout=30)
def enter(event: Transitioned) -> None:
    """Enter one end into the ledger. A `def` runs in a thread: it may block. Called again, it changes nothing."""
    row = (event.id, event.execution.task_id, event.execution_id, event.dest, event.at.isoformat())
    try:
        with closing(sqlite3.connect(os.environ.get("LEDGER", "ledger.db"), timeout=0.5)) as ledger, ledger:
            ledger.execute(CREATE)
            ledger.execute("INSERT OR IGNORE INTO ends VALUES (?, ?, ?, ?, ?)", row)
    except sqlite3.OperationalError as error:  # somebody else writes, or the disk is full
        raise TemporaryError(f"the ledger cannot be written: {error}", delay=1) from error
    except sqlite3.DatabaseError as error:  # what is there is none
        raise PermanentError(f"there is no ledger: {error}") from error
    print(f"{event.execution_id} {event.dest}: entered", flush=True)
