"""Sources: where the numbers come from that are read when somebody asks, and how they get to whoever asks.

Exporters ask in threads of their own, and what is asked for belongs to an event loop: there the numbers are read, all
of one moment, and the exporter's thread waits for them. Where the loop is busy for too long, the last ones are told.
"""

from __future__ import annotations

import asyncio
import threading
import weakref
from concurrent.futures import Future, wait
from typing import TYPE_CHECKING, Final

from opentelemetry.metrics import Observation

from titan_state.telemetry.catalog import ACCOUNT, OBSERVED, SCOPE, Metric
from titan_state.telemetry.safety import harmless

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from opentelemetry.metrics import CallbackOptions, Meter

    from titan_state.instrumentation import Figure

PATIENCE_S: Final = 1.0
"""How long an exporter's thread waits for the loop, for all numbers of all monitors together."""

Key = tuple[str, tuple[str, ...]]


class Counted:
    """What was counted by monitors and subscribers that are gone: whoever counts further goes on from there.

    It is asked in the threads of exporters and told in those of event loops.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counts: dict[tuple[str, Key], float] = {}

    def take(self, account: str, key: Key) -> float:
        """Return how far a count of an account had come; nobody else goes on from there."""
        with self._lock:
            return self._counts.pop((account, key), 0)

    def leave(self, account: str, key: Key, value: float) -> None:
        """Take in how far a count of an account has come."""
        with self._lock:
            self._counts[account, key] = self._counts.get((account, key), 0) + value


class Source:
    """The numbers of one monitor or subscriber.

    What is counted begins at nought with each monitor; to whoever reads it goes on from what those before had counted.
    """

    def __init__(self, account: str, read: Callable[[], Sequence[Figure]], counted: Counted) -> None:
        """Make a source that belongs to the loop that runs now.

        Args:
            account: Whose numbers these are.
            read: Returns them.
            counted: What was counted before, to go on from.
        """
        self.account = account
        self._figures: dict[str, list[Figure]] = {}
        self._read = read
        self._counted = counted
        self._bases: dict[Key, float] = {}
        self._asked: Future[None] | None = None
        self._lock = threading.Lock()
        self._is_closed = False
        self._loop = asyncio.get_running_loop()

    def refresh(self) -> None:
        """Read the numbers; in the thread of the loop only."""
        if self._is_closed:
            return
        with harmless("a monitor"):
            figures: dict[str, list[Figure]] = {}
            for figure in self._read():
                figures.setdefault(figure.name, []).append(figure)
            self._figures = figures

    def ask(self) -> Future[None] | None:
        """Have the numbers read; return what to wait for, None if there is nothing to wait for."""
        try:
            if asyncio.get_running_loop() is self._loop:
                self.refresh()
                return None
        except RuntimeError:
            pass  # a thread without a loop
        if self._loop.is_closed():  # with the monitor in it
            return None
        with self._lock:
            if self._asked is not None:
                return self._asked  # a loop that answers nobody is not asked again and again
            done = self._asked = Future()

        def answer() -> None:
            with self._lock:
                self._asked = None
            self.refresh()
            done.set_result(None)

        try:
            self._loop.call_soon_threadsafe(answer)
        except RuntimeError:  # it was closed just now
            return None
        return done

    def observations(self, metric: Metric) -> list[Observation]:
        """Hand out the numbers of one metric, none once it is closed."""
        found = []
        with self._lock:
            for figure in self._figures.get(metric.name.removeprefix(f"{SCOPE}."), ()):
                value = figure.value + (self._base(figure) if metric.instrument == "observable_counter" else 0)
                told = dict(zip(metric.labels, figure.labels, strict=True))
                found.append(Observation(value, {ACCOUNT: self.account, **told}))
        return found

    def _base(self, figure: Figure) -> float:
        key = (figure.name, figure.labels)
        if key not in self._bases:
            self._bases[key] = self._counted.take(self.account, key)
        return self._bases[key]

    def close(self) -> None:
        """Read the numbers once more, and keep what was counted."""
        self.refresh()
        with self._lock:
            self._is_closed = True
            for metric in OBSERVED:
                if metric.instrument == "observable_counter":
                    for figure in self._figures.get(metric.name.removeprefix(f"{SCOPE}."), ()):
                        key = (figure.name, figure.labels)
                        self._bases[key] = self._bases.get(key, 0) + figure.value
            self._figures = {}
            for key, value in self._bases.items():
                self._counted.leave(self.account, key, value)


class Sources:
    """The sources of one meter, and the instruments that read them."""

    def __init__(self, meter: Meter) -> None:
        """Make the instruments; each meter has them once, whatever the number of monitors.

        Args:
            meter: Makes instruments.
        """
        self._lock = threading.Lock()
        self._sources: list[weakref.ref[Source]] = []
        for metric in OBSERVED:
            create = getattr(meter, f"create_{metric.instrument}")
            create(metric.name, callbacks=[self._callback(metric)], unit=metric.unit, description=metric.description)

    def add(self, source: Source) -> None:
        """Show the numbers of a source, for as long as somebody has it."""
        with self._lock:
            self._sources = [ref for ref in self._sources if ref() is not None]
            self._sources.append(weakref.ref(source))

    def remove(self, source: Source) -> None:
        """Show the numbers of a source no longer."""
        with self._lock:
            self._sources = [ref for ref in self._sources if ref() not in (None, source)]

    def _all(self) -> list[Source]:
        with self._lock:
            return [source for ref in self._sources if (source := ref()) is not None]

    def _callback(self, metric: Metric) -> Callable[[CallbackOptions], Iterable[Observation]]:
        is_first = metric is OBSERVED[0]

        def observe(options: CallbackOptions) -> Iterable[Observation]:
            sources = self._all()
            if is_first:  # instruments are read in the order in which they were made
                self._ask(sources, min(PATIENCE_S, options.timeout_millis / 1000))
            return [one for source in sources for one in source.observations(metric)]

        return observe

    def _ask(self, sources: list[Source], seconds: float) -> None:
        wait([done for source in sources if (done := source.ask()) is not None], seconds)
