"""Check a control action first: an illegal one is refused before any request for it is sent."""

import argparse
import asyncio
import contextlib
import sys

from titan_state import Action, ActionRejectedError, IllegalActionError, Monitor, TitanStateError


async def main(execution_id: str, action: Action) -> int:
    """Send the action to one execution, if that is legal; return the exit code."""
    async with Monitor.from_env() as monitor:
        try:
            verdict = await monitor.verdict(execution_id, action)  # reads the status if it was not read just now
            print(f"{action} is {'legal' if verdict else 'not legal'}: {verdict.reason}")
            await monitor.act(execution_id, action)  # checks by itself, too: a program that only acts needs no verdict
        except IllegalActionError as error:  # nothing was sent
            print(f"refused here: {error.verdict.reason}")
            return 1
        except ActionRejectedError as error:  # the service has its own mind
            print(f"refused by the service: {error.code}, the status is {error.status}")
            return 1
        print("the service accepted it")
        return 0


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("execution", help="the id of an execution")
    parser.add_argument("action", nargs="?", choices=[*Action], default=Action.PAUSE, help="pause, if left out")
    arguments = parser.parse_args()
    with contextlib.suppress(KeyboardInterrupt):
        try:
            sys.exit(asyncio.run(main(arguments.execution, Action(arguments.action))))
        except TitanStateError as error:  # no such execution, no useful answer, or an outcome that is not known
            sys.exit(str(error))
