"""Body: the body of an `async with`, which an error from beside it ends as `asyncio.timeout` does.

It knows tasks and cancellations, and nothing of what a monitor is.
"""

from __future__ import annotations

import asyncio
from typing import Any

from titan_state.monitor.groups import is_only


class Body:
    """What runs inside an `async with`.

    Attributes:
        fatal: The error that ended it, None as long as none did.
    """

    def __init__(self) -> None:
        self.fatal: Exception | None = None
        self._task: asyncio.Task[Any] | None = None
        self._cancelling = 0

    def begin(self) -> None:
        """Take the present task for the body from now on."""
        self._task = asyncio.current_task()
        self._cancelling = 0 if self._task is None else self._task.cancelling()

    def end(self, error: Exception) -> None:
        """End the body with an error."""
        self.fatal = error
        if self._task is not None:
            self._task.cancel()

    def is_ended_by_us(self) -> bool:
        """Take our cancellation back, if there was one; return whether there was no other."""
        if self.fatal is None or self._task is None:
            return False
        return self._task.uncancel() <= self._cancelling

    async def take_back(self) -> None:
        """Let our cancellation of the body come to nothing, if it is still on its way."""
        try:
            await asyncio.sleep(0)
        except asyncio.CancelledError:
            if self._task is not None and self._task.cancelling() > self._cancelling:
                raise  # it is somebody else's

    def tell(self, error: BaseException | None, fatal: Exception | None, *, is_ours: bool) -> None:
        """Raise the error that ended the body, if that is what is to be told; else note it on the one that is.

        Args:
            error: The error with which the body was left.
            fatal: The error that had ended it by then.
            is_ours: Whether nobody else cancelled it.
        """
        if fatal is None or error is fatal:
            return
        if is_only(error, fatal) or (is_ours and (error is None or isinstance(error, asyncio.CancelledError))):
            raise fatal from None
        if error is not None:
            error.add_note(f"the monitor had been ended by {fatal!r}")
