"""Run a task many times, some executions at a time, and tell of each as it ends."""

import argparse
import asyncio
import contextlib
import sys
from collections import Counter
from collections.abc import AsyncGenerator

from titan_state import Execution, Monitor, TitanStateError


async def run_many(
    monitor: Monitor, task_id: str, times: int, at_once: int
) -> AsyncGenerator[Execution | TitanStateError]:
    """Hand out what became of each run, as it ends; what could not be started, or found again, is an error."""
    slots = asyncio.Semaphore(at_once)

    async def one() -> Execution:
        async with slots:
            execution = await monitor.run(task_id)
            return await monitor.wait(execution.id, check=False)

    runs = [asyncio.create_task(one()) for _ in range(times)]
    try:
        for run in asyncio.as_completed(runs):
            try:
                yield await run
            except TitanStateError as error:  # of this run alone: a RunOutcomeUnknownError is never run again blindly
                yield error
    finally:
        for task in runs:
            task.cancel()
        await asyncio.gather(*runs, return_exceptions=True)


async def main(task_id: str, times: int, at_once: int) -> int:
    """Run them all; return the exit code, 0 if each has succeeded."""
    ends: Counter[str] = Counter()
    async with (
        Monitor.from_env() as monitor,
        contextlib.aclosing(run_many(monitor, task_id, times, at_once)) as results,
    ):
        async for result in results:
            if isinstance(result, Execution):
                print(f"{result.id} {result.status}", flush=True)
                ends[result.status] += 1
            else:
                print(result, file=sys.stderr)
                ends["unknown"] += 1
    print(", ".join(f"{count} {status}" for status, count in ends.most_common()))
    return 0 if ends.keys() <= {"completed", "completed_with_errors"} else 1


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("task", help="the id of a task")
    parser.add_argument("times", type=int, help="how often it is run")
    parser.add_argument("--at-once", type=int, default=5, metavar="N", help="how many at the same time (%(default)s)")
    arguments = parser.parse_args()
    if arguments.times < 1 or arguments.at_once < 1:
        parser.error("times and --at-once must be 1 or more")
    try:
        sys.exit(asyncio.run(main(arguments.task, arguments.times, arguments.at_once)))
    except KeyboardInterrupt:
        sys.exit("what was started goes on: titan-state list")
    except TitanStateError as error:
        sys.exit(str(error))
