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


class Source:
    """The numbers of one monitor or subscriber.

    What is counted begins at nought with each monitor; to whoever reads it goes on from what those before had counted.
    """

    def __init__(self, account: str, read: Callable[[], Sequence[Figure]], bases: dict[str, dict[Key, float]]) -> None:
        """Make a source that belongs to the loop that runs now.

        Args:
            account: Whose numbers these are.
            read: Returns them.
            bases: What was counted before, by account; who counts further takes it, and leaves what there is then.
        """
        self.account = account
        self.figures: dict[str, list[Figure]] = {}
        self._read = read
        self._all_bases = bases
        self._bases: dict[Key, float] | None = None
        self._loop = asyncio.get_running_loop()

    def refresh(self) -> None:
        """Read the numbers; in the thread of the loop only."""
        with harmless("a monitor"):
            figures: dict[str, list[Figure]] = {}
            for figure in self._read():
                figures.setdefault(figure.name, []).append(figure)
            self.figures = figures

    def ask(self) -> Future[None] | None:
        """Have the numbers read; return what to wait for, None if there is nothing to wait for."""
        try:
            if asyncio.get_running_loop() is self._loop:
                self.refresh()
                return None
        except RuntimeError:
            pass  # a thread without a loop
        done: Future[None] = Future()

        def answer() -> None:
            self.refresh()
            done.set_result(None)

        try:
            self._loop.call_soon_threadsafe(answer)
        except RuntimeError:  # the loop was closed, with the monitor in it
            return None
        return done

    def observations(self, metric: Metric) -> Iterable[Observation]:
        """Hand out the numbers of one metric."""
        name = metric.name.removeprefix(f"{SCOPE}.")
        for figure in self.figures.get(name, ()):
            value = figure.value
            if metric.instrument == "observable_counter":
                value += self._before().get((figure.name, figure.labels), 0)
            yield Observation(value, {ACCOUNT: self.account, **dict(zip(metric.labels, figure.labels, strict=True))})

    def _before(self) -> dict[Key, float]:
        if self._bases is None:
            self._bases = self._all_bases.pop(self.account, {})
        return self._bases

    def close(self) -> None:
        """Read the numbers once more, and keep what was counted."""
        self.refresh()
        kept = self._all_bases.setdefault(self.account, {})
        for key, value in (self._bases or {}).items():
            kept[key] = kept.get(key, 0) + value
        for metric in OBSERVED:
            if metric.instrument == "observable_counter":
                for figure in self.figures.get(metric.name.removeprefix(f"{SCOPE}."), ()):
                    key = (figure.name, figure.labels)
                    kept[key] = kept.get(key, 0) + figure.value
        self.figures = {}


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
