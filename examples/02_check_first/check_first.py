"""Check a control action first: an illegal one is refused before any request is sent.

Run it with TITAN_API_URL and TITAN_TOKEN set, and with an execution's id as argument. It pauses the execution if it
is running, and says why not otherwise.
"""

import asyncio
import sys

from titan_state import (
    Action,
    ActionRejectedError,
    ExecutionNotFoundError,
    IllegalActionError,
    Monitor,
    ServiceError,
)


async def main(execution_id: str) -> int:
    """Pause one execution, if that is legal; return the exit code."""
    async with Monitor.from_env() as monitor:
        try:
            verdict = await monitor.verdict(execution_id, Action.PAUSE)  # reads the status if it was not read just now
            print(f"pause is {'legal' if verdict else 'not legal'}: {verdict.reason}")
            await monitor.pause(execution_id)  # checks by itself, too: a program that only acts needs no verdict
        except IllegalActionError as error:  # nothing was sent
            print(f"refused here: {error.verdict.reason}")
            return 1
        except ActionRejectedError as error:  # the service has its own mind
            print(f"refused by the service: {error.code}, the status is {error.status}")
            return 1
        except (ExecutionNotFoundError, ServiceError) as error:  # no such execution, or no useful answer
            print(f"it could not be asked: {error}")
            return 2
        print("the service accepted it")
        return 0


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: python check_first.py EXECUTION_ID")
    sys.exit(asyncio.run(main(sys.argv[1])))
