"""Running: a command's coroutines, from signals to the exit code. Errors of the library become one line on stderr."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
import traceback
from collections.abc import Callable, Coroutine, Iterable
from typing import Any, NoReturn, TypeVar

from titan_state.cli.exits import Exit, hint, of_error
from titan_state.cli.output import RemarkHandler, remark, swallow_the_rest, trace
from titan_state.errors import TitanStateError

T = TypeVar("T")

Work = Callable[[], Coroutine[Any, Any, int]]


def run(work: Work, *, debug: bool = False) -> NoReturn:
    """Run a command to its end and exit with its code.

    Args:
        work: Makes the coroutine that does the work and returns the exit code.
        debug: Show tracebacks and the library's whole log.
    """
    logger = logging.getLogger("titan_state")
    handler = RemarkHandler(debug=debug)
    logger.addHandler(handler)
    logger.propagate = False
    level = logger.level
    if debug:
        logger.setLevel(logging.DEBUG)
    try:
        code = asyncio.run(_until_signalled(work))
    except KeyboardInterrupt:  # before the loop could listen, or after
        code = Exit.INTERRUPTED
    except BrokenPipeError:
        swallow_the_rest()
        code = Exit.PIPE
    except (TitanStateError, OSError) as error:
        if debug:
            trace(traceback.format_exc())
        advice = hint(error)
        remark(f"error: {error}" + (f" ({advice})" if advice else ""))
        code = of_error(error)
    finally:
        logger.removeHandler(handler)
        logger.setLevel(level)
    raise SystemExit(int(code))


async def side_by_side(work: Iterable[Coroutine[Any, Any, T]]) -> list[T]:
    """Do several things at once; the first error ends them all, and so does leaving."""
    tasks = [asyncio.ensure_future(one) for one in work]
    try:
        return await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _until_signalled(work: Work) -> int:
    """Do the work; on SIGINT or SIGTERM cancel it, so that everything is closed in order."""
    loop = asyncio.get_running_loop()
    body = asyncio.ensure_future(work())
    caught: list[int] = []

    def leave(number: int) -> None:
        caught.append(number)
        body.cancel()  # a second signal cancels the tidying up as well

    for number in (signal.SIGINT, signal.SIGTERM):
        if signal.getsignal(number) is signal.SIG_IGN:
            continue  # whoever started this in the background wants it so
        # not in every thread, and not on every platform: there Python's own handling has to do
        with contextlib.suppress(ValueError, RuntimeError, NotImplementedError):
            loop.add_signal_handler(number, leave, number)
    try:
        code = await body
    except asyncio.CancelledError:
        if not caught:
            raise
        code = 0
    return 128 + caught[0] if caught else code
