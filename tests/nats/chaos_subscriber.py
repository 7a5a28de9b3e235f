"""A subscriber of the chaos test: one of several programs that have the same subscriptions, killed or stopped at will.

Arguments: the journal, the file of what is told. Now and then a callback fails, and is tried again.
"""

from __future__ import annotations

import asyncio
import logging
import os
import random
import sys

from chaos_words import Words

from titan_state import Handlers, JournalUnavailableError, Subscriber, TemporaryError

JOURNAL, FILE = sys.argv[1:]
words = Words(FILE)
rng = random.Random(os.getpid())
handlers = Handlers()


@handlers.on_transition(name="recorder", since="beginning", retries=50)
async def record(event) -> None:
    """Tell of every move, and return a little later: kills come in between."""
    words.call("recorder", event)
    await asyncio.sleep(rng.random() * 0.3)
    if rng.random() < 0.04:
        raise TemporaryError("now and then", delay=rng.random() * 0.2)
    words.done("recorder", event)


@handlers.on_finished(name="ends", since="beginning")
def end(event) -> None:
    """Tell of every end, from a thread."""
    words.call("ends", event)
    words.done("ends", event)


async def main() -> None:
    while True:
        try:
            await Subscriber(JOURNAL, handlers).run()
        except JournalUnavailableError as error:
            logging.getLogger("chaos").warning("the journal is away: %s", error)
            await asyncio.sleep(0.2)


logging.basicConfig(level=logging.INFO, format="%(asctime)s %(process)d %(name)s %(levelname)s %(message)s")
logging.getLogger("transitions").setLevel(logging.WARNING)
asyncio.run(main())
