"""Outputs: what an execution leaves behind: result metadata, exports, datasets and media.

Files are put in their place by `files.py`, broken downloads are mended by `downloads.py`, rows are read by `rows.py`.
Whether there can be outputs at all, and when it is worth looking for them, is decided elsewhere.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Mapping
from contextlib import AsyncExitStack, aclosing
from datetime import timedelta
from functools import partial
from math import inf
from typing import TYPE_CHECKING, Any, Unpack, get_args

import attrs

from titan_state.client.address import segment
from titan_state.client.loading.datasets import read_datasets
from titan_state.client.loading.downloads import Download
from titan_state.client.loading.files import SavedFile, Target, safe_name
from titan_state.client.loading.media import media_urls, medium_of
from titan_state.client.loading.replay import Replay
from titan_state.client.loading.results import metadata_of, pending_story
from titan_state.client.loading.rows import parser_for
from titan_state.client.output_options import (
    MAX_FILE,
    RETRIES,
    WAIT_S,
    Format,
    Hooks,
    LoadOptions,
    SaveOptions,
    checked,
    seconds_to_wait,
    whole_number,
)
from titan_state.client.readings import Dataset, Reading, ResultMetadata
from titan_state.clock import seconds_of
from titan_state.core.budget import Priority
from titan_state.core.tracking.intervals import look_within
from titan_state.errors import (
    ConfigurationError,
    ResponseError,
    ResultsNotReadyError,
    ServiceError,
    shorten,
)

if TYPE_CHECKING:
    import os
    import random

    from titan_state.client.exchange import Exchange


class Outputs:
    """The outputs of one execution. `Monitor.outputs` returns it.

    ```python
    outputs = monitor.outputs(execution.id)
    saved = await outputs.export("results.csv", format="csv")
    async for row in outputs.rows():
        print(row)
    ```

    Cancelling any of its methods leaves no unfinished file behind.

    Attributes:
        execution_id: The execution.
    """

    def __init__(
        self,
        exchange: Exchange,
        execution_id: str,
        *,
        rng: random.Random,
        slots: asyncio.Semaphore,
        **hooks: Unpack[Hooks],
    ) -> None:
        """Make the outputs of an execution available; nothing is sent yet.

        Args:
            exchange: Sends requests.
            execution_id: The execution.
            rng: Jitter comes from it.
            slots: How many files may be loaded at the same time.
            hooks: What is done on the way.
        """
        self.execution_id = execution_id
        self._exchange = exchange
        self._path = f"/executions/{segment(execution_id)}"
        self._rng = rng
        self._slots = slots
        self._hooks = hooks

    def __repr__(self) -> str:
        return f"<Outputs of {shorten(self.execution_id)}>"

    async def metadata(self) -> ResultMetadata:
        """Read what the service says of the results.

        Raises:
            ResultsNotReadyError: They cannot be read yet.
            OutputsUnavailableError: The execution is in a status that has none; nothing was sent.
            ServiceError: The request did not succeed.
        """
        await self._prepare()
        looked = self._hooks.get("looked") or (lambda _: None)
        try:
            reading = await self.read_metadata()
        except ResultsNotReadyError as error:
            looked(error)
            raise
        looked(reading)
        return reading.value

    async def ready(self, timeout: float | timedelta | None = None) -> ResultMetadata:
        """Wait until the results can be read, looking for them further and further apart.

        Args:
            timeout: Seconds, or a `timedelta`, to wait at most; None for as long as it takes.

        Raises:
            ResultsNotReadyError: They could not be read in time.
            OutputsUnavailableError: The execution is in a status that has none; nothing was sent.
            ServiceError: A request did not succeed.
        """
        clock, seconds = self._exchange.clock, seconds_of(timeout)
        began = clock.time()
        while True:
            try:
                return await self.metadata()
            except ResultsNotReadyError:
                wait_s = look_within(clock.time() - began, inf if seconds is None else seconds)
                if wait_s is None:
                    raise
            await clock.sleep(wait_s)

    async def export(
        self,
        path: str | os.PathLike[str],
        *,
        format: Format = "json",  # noqa: A002 - the pinned name, and the service's
        wait: float | timedelta = WAIT_S,
        **options: Unpack[SaveOptions],
    ) -> SavedFile:
        """Export the results into a file.

        It is written beside its place and put there once it is whole. A download that breaks goes on where it
        stopped, where the service can do that, and begins again otherwise. Cancelling leaves nothing behind.

        Args:
            path: The file; or a directory, for a file in it that is named after the execution.
            format: `json` or `csv`.
            wait: For how many seconds, or which `timedelta`, results that are not there yet are waited for.
            options: See `SaveOptions`.

        Returns:
            The file.

        Raises:
            OutputsUnavailableError: The execution is in a status that has none; nothing was sent.
            OutputExistsError: The file is there already; nothing was sent.
            ResultsNotReadyError: The results could not be read in time.
            BodyTooLargeError: The export is larger than `max_size`.
            ConfigurationError: An argument cannot work; nothing was sent.
            ServiceError: The export could not be loaded, with all retries.
            OSError: The file cannot be written.
        """
        checked(options, SaveOptions, "export")
        load = self._export(format, wait, options)
        return await self._save(load, path, f"{safe_name(self.execution_id)}.{format}", options)

    async def download(
        self, path: str | os.PathLike[str], *, wait: float | timedelta = WAIT_S, **options: Unpack[SaveOptions]
    ) -> SavedFile:
        """Load the results as the service offers them for download, which is CSV.

        Args:
            path: The file; or a directory, for a file in it that is named after the execution.
            wait: For how many seconds, or which `timedelta`, results that are not there yet are waited for.
            options: See `SaveOptions`.

        Returns:
            The file.

        Raises:
            OutputsUnavailableError: The execution is in a status that has none; nothing was sent.
            ResultsNotReadyError: The results could not be read in time.
            ServiceError: They could not be loaded, with all retries; for further errors see `export`.
        """
        checked(options, SaveOptions, "download")
        load = self._results("/results/download", {}, "csv", wait, options)
        return await self._save(load, path, f"{safe_name(self.execution_id)}.csv", options)

    async def rows(
        self,
        *,
        format: Format = "json",  # noqa: A002 - the pinned name, and the service's
        wait: float | timedelta = WAIT_S,
        **options: Unpack[LoadOptions],
    ) -> AsyncGenerator[Any, None]:
        """Hand out the rows of the export one by one, as they arrive; the whole of it is never in memory.

        ```python
        async for row in outputs.rows():
            ...
        ```

        Rows of JSON are what they are, objects as a rule; those of CSV are dicts of texts by the names in the first
        line. Leave it by `async with contextlib.aclosing(outputs.rows()) as rows` to close the connection at once.

        Args:
            format: `json` or `csv`.
            wait: For how many seconds, or which `timedelta`, results that are not there yet are waited for.
            options: See `LoadOptions`.

        Raises:
            PayloadError: The export is no such format, was cut, or is another one after a connection was lost; the
                rows before were right.
            OutputsUnavailableError: The execution is in a status that has none; nothing was sent.
            ResultsNotReadyError: The results could not be read in time.
            ServiceError: The export could not be loaded, with all retries.
        """
        checked(options, LoadOptions, "rows")
        load = self._export(format, wait, options)
        await self._prepare()
        parser = parser_for(format, item_keys=self._exchange.profile.item_keys)
        replay = Replay(load.name)
        async with aclosing(load.parts()) as parts:
            async for part in parts:
                for row in parser.feed(replay.fresh(part)):
                    yield row
        replay.end()
        for row in parser.close():
            yield row

    async def datasets(self) -> tuple[Dataset, ...]:
        """Read the datasets of the execution.

        Raises:
            OutputsUnavailableError: The execution is in a status that has none; nothing was sent.
            ServiceError: A request did not succeed.
        """
        await self._prepare()
        return await read_datasets(self._exchange, f"{self._path}/datasets")

    async def task_datasets(self, task_id: str) -> tuple[Dataset, ...]:
        """Read the datasets of all executions of a task.

        Args:
            task_id: The task; of which execution these outputs are does not matter.

        Raises:
            NotFoundError: There is no such task.
            ServiceError: A request did not succeed.
        """
        return await read_datasets(self._exchange, f"/tasks/{segment(task_id)}/datasets")

    async def media(self, url: str, path: str | os.PathLike[str], **options: Unpack[SaveOptions]) -> SavedFile:
        """Load what a media URL of a row names.

        The credential in the URL is shown nowhere. It is sent to the service's origin, and to those of
        `ServiceProfile.media_origins`; no redirect is followed.

        Args:
            url: The URL, or a path of the service's origin, as rows hold them.
            path: The file; or a directory, for a file in it that is named after the URL.
            options: See `SaveOptions`.

        Returns:
            The file.

        Raises:
            ForeignOriginError: It points to another origin; nothing was sent.
            OutputsUnavailableError: The execution is in a status that has no outputs; nothing was sent.
            NotFoundError: There is no such thing.
            OutputExistsError: The file is there already; nothing was sent.
            ConfigurationError: An argument cannot work; nothing was sent.
            ServiceError: It could not be loaded, with all retries.
            OSError: The file cannot be written.
        """
        checked(options, SaveOptions, "media")
        medium = medium_of(url, self._exchange.origin, self._exchange.profile)
        load = Download(
            exchange=self._exchange,
            rng=self._rng,
            url=medium.url,
            name=medium.name,
            limit=whole_number(options, "max_size", MAX_FILE, least=1),
            retries=whole_number(options, "retries", RETRIES, least=0),
            is_ours=medium.needs_token,
            is_limited=medium.is_ours and self._exchange.profile.media_is_limited,
            secrets=medium.secrets,
        )
        return await self._save(load, path, medium.file_name, options)

    def media_urls(self, row: Any) -> tuple[str, ...]:
        """Return the media URLs in a row that may be loaded, in their order.

        Args:
            row: A row of the results, of any shape; URLs are looked for in all of its values.
        """
        return tuple(dict.fromkeys(media_urls(row, self._exchange.origin, self._exchange.profile)))

    async def read_metadata(self) -> Reading[ResultMetadata]:
        """Read what the service says of the results, whatever the status is; see `metadata`."""
        profile = self._exchange.profile
        try:
            return await self._exchange.request(
                "GET",
                f"{self._path}/results",
                partial(metadata_of, profile=profile, execution_id=self.execution_id),
                priority=Priority.OUTPUT,
                unlike=profile.results_pending,
            )
        except ResponseError as error:
            if error.http_status not in profile.results_pending:
                raise
            failure = self._not_ready(f"{error.http_status} {error.code}", error.request)
            failure.sent_at, failure.received_at = error.sent_at, error.received_at
            raise failure from None

    async def _prepare(self) -> None:
        """Make sure that there can be outputs: who knows that has left a hook."""
        prepare = self._hooks.get("prepare")
        if prepare is not None:
            await prepare()

    async def _row_count(self) -> int | None:
        """Return how many rows the results have, by the service's own word; None if it does not say."""
        try:
            return (await self.read_metadata()).value.row_count
        except ServiceError:
            return None

    def _not_ready(self, answer: str, request: str) -> ResultsNotReadyError:
        return ResultsNotReadyError(self.execution_id, answer, request=request)

    def _export(self, form: str, wait: float | timedelta, options: LoadOptions) -> Download:
        if form not in get_args(Format):
            raise ConfigurationError(f"format must be json or csv, not {shorten(repr(form))}")
        parameter = self._exchange.profile.format_parameter
        return self._results("/results/export", {parameter: form} if parameter else {}, form, wait, options)

    def _results(
        self, tail: str, query: Mapping[str, str], form: str, wait: float | timedelta, options: LoadOptions
    ) -> Download:
        path = self._path + tail
        name = f"GET {shorten(path)}"
        return Download(
            exchange=self._exchange,
            rng=self._rng,
            url=self._exchange.url(path, query),
            name=name,
            form=form,
            limit=whole_number(options, "max_size", MAX_FILE, least=1),
            retries=whole_number(options, "retries", RETRIES, least=0),
            patience_s=seconds_to_wait(wait),
            not_ready=lambda answer: self._not_ready(answer, name),
            is_pending=partial(pending_story, profile=self._exchange.profile),
            expected_rows=self._row_count,
        )

    async def _save(self, load: Download, path: str | os.PathLike[str], name: str, options: SaveOptions) -> SavedFile:
        target = Target(path, name=name, if_exists=options.get("if_exists", "error"))
        kept = target.kept()
        if kept is not None:
            return kept
        await self._prepare()
        progress = options.get("progress")
        async with AsyncExitStack() as stack:
            parts = await stack.enter_async_context(aclosing(attrs.evolve(load, slots=self._slots).parts()))
            async for part in parts:
                if not target.is_open:  # not before: those that wait for their turn need no file
                    await stack.enter_async_context(target)
                if not part.data:
                    await target.restart()
                await target.write(part.data)
                if progress is not None:
                    progress(target.size, part.total)
            return await target.finish()
