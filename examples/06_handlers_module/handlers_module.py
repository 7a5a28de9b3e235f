"""Run the callbacks of a module of their own; with a journal a restart goes on where this one was."""

import argparse
import asyncio
import contextlib
import logging
import sys
from pathlib import Path

from ledger_callbacks import handlers

from titan_state import Monitor, TitanStateError


async def main(journal: Path) -> None:
    """Tell what was given up before, then watch everything until interrupted."""
    async with Monitor.from_env(journal=journal, handlers=handlers) as monitor:
        for letter in await monitor.journal.letters(dead_only=True):
            print(f"given up: {letter.event.id} for {letter.subscription}: {letter.error}", flush=True)
        monitor.watch_all()
        await asyncio.Event().wait()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("journal", nargs="?", type=Path, default=Path("journal.db"), help="a file (%(default)s)")
    arguments = parser.parse_args()
    logging.basicConfig(format="%(asctime)s %(levelname)s %(message)s")
    with contextlib.suppress(KeyboardInterrupt):
        try:
            asyncio.run(main(arguments.journal))
        except TitanStateError as error:
            sys.exit(str(error))
