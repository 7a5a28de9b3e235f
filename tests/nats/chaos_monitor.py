"""A monitor of the chaos test: it stands by, leads, is killed or stopped, and enters anew when another one leads.

Arguments: the journal, the file of what is told, the page limit (by which the test knows its requests), the budget.
The address and the token of the service are in the environment.
"""

from __future__ import annotations

import asyncio
import logging
import sys

from chaos_words import Words

from titan_state import Handlers, JournalUnavailableError, Monitor, RequestBudget, ServiceProfile
from titan_state.errors import LeadershipLostError

JOURNAL, FILE, PAGE, PER_MINUTE, BURST = sys.argv[1:]
words = Words(FILE)
handlers = Handlers()


@handlers.on_finished(name="witness", since="beginning")
async def witness(event) -> None:
    """Be a handler that moves to another program with the leadership."""
    words.call("witness", event)
    words.done("witness", event)


async def lead() -> None:
    """Lead for as long as that goes well."""
    budget = RequestBudget(per_minute=int(PER_MINUTE), burst=int(BURST), min_interval_s=0.1)
    profile = ServiceProfile(page_limit=int(PAGE), largest_page=int(PAGE))
    options = {"account": "shop", "journal": JOURNAL, "handlers": handlers, "budget": budget, "profile": profile}
    async with Monitor.from_env(**options) as monitor:
        words.tell("lead", page=int(PAGE))
        monitor.watch_all()
        await asyncio.Event().wait()


async def main() -> None:
    while True:
        try:
            await lead()
        except LeadershipLostError:
            words.tell("lost", page=int(PAGE))
        except JournalUnavailableError as error:
            logging.getLogger("chaos").warning("the journal is away: %s", error)
            await asyncio.sleep(0.2)


logging.basicConfig(level=logging.INFO, format="%(asctime)s %(process)d %(name)s %(levelname)s %(message)s")
logging.getLogger("transitions").setLevel(logging.WARNING)
asyncio.run(main())
