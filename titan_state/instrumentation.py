"""Instrumentation: what a client, a monitor and a subscriber tell of their work to whoever measures it.

Protocols only, so that those who work need to know nobody who measures: each holds one of these, or None, which is
the one thing that is looked at where nothing is measured. What is made of it is in `titan_state.telemetry`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import attrs

if TYPE_CHECKING:
    from collections.abc import Callable, MutableMapping, Sequence
    from contextlib import AbstractContextManager

    from titan_state.core.events import Event
    from titan_state.core.lifecycle import Action


@attrs.frozen
class Figure:
    """One number that a monitor or a subscriber shows of itself.

    Attributes:
        name: What it is, as `titan_state.telemetry.catalog` lists it.
        value: How much, in the unit that is given there.
        labels: What tells it apart from others of the name: a status, a handler.
    """

    name: str
    value: float
    labels: tuple[str, ...] = ()


class Sending(Protocol):
    """A request that is on its way. Exactly one of its methods is called, once, when it is over."""

    def answered(self, status: int, *, is_throttled: bool) -> None:
        """Take in that an answer came, whole, or with a head that says why it is none.

        Args:
            status: Its HTTP status.
            is_throttled: Whether it says that there were too many requests.
        """
        ...

    def failed(self, error: BaseException | None, status: int | None) -> None:
        """Take in that no whole answer came.

        Args:
            error: Why; None where nobody waits for it any more.
            status: The HTTP status, where the head of an answer had come.
        """
        ...


class Instrumentation(Protocol):
    """What one monitor, or one subscriber, tells of its work. Nothing in here raises, or waits."""

    def sending(
        self,
        method: str,
        url: str,
        headers: MutableMapping[str, str],
        *,
        clean: Callable[[str], str],
        is_ours: bool,
        resends: int,
    ) -> Sending:
        """Take in that a request leaves now.

        Args:
            method: The HTTP method.
            url: The URL, encoded.
            headers: What is sent along, and may be added to.
            clean: Takes credentials out of a text.
            is_ours: Whether it goes to the origin of the Task Service.
            resends: How often it was sent before.
        """
        ...

    def delivering(self, handler: str, event: Event, attempts: int) -> AbstractContextManager[object]:
        """Go round one call of a callback.

        Args:
            handler: The handler's name.
            event: What it is called with.
            attempts: How often that was tried before, in vain.
        """
        ...

    def acting(self, execution_id: str, action: Action) -> AbstractContextManager[object]:
        """Go round a control action, from the check of its legality to its answer."""
        ...

    def reached(self, step: str, **facts: str | bool) -> None:
        """Take in how far the control action has come that is under way here."""
        ...

    def published(self, events: Sequence[Event]) -> None:
        """Take in events that were written down."""
        ...

    def stand_apart(self) -> None:
        """Take in that what this task does from now on is nobody's part: not of whoever happened to start it."""
        ...

    def show(self, figures: Callable[[], Sequence[Figure]]) -> None:
        """Have numbers read whenever somebody asks for them, until `leave`.

        Args:
            figures: Returns them; it is called on the event loop that runs now.
        """
        ...

    def leave(self) -> None:
        """Show nothing any more."""
        ...


class Telemetry(Protocol):
    """What measures: `titan_state.telemetry.OpenTelemetry`."""

    def instrument(self, account: str, clean: Callable[[str], str]) -> Instrumentation:
        """Return what one monitor, or one subscriber, tells of its work.

        Args:
            account: Whose executions these are.
            clean: Takes credentials out of a text.
        """
        ...
