"""Load the rows of one execution's export into polars or pandas, whichever is installed, or count them with neither.

titan_state depends on neither library: rows are plain objects, and an exported file is what both read by themselves.
"""

import argparse
import asyncio
import contextlib
import sys
from collections.abc import AsyncIterator
from importlib import import_module
from importlib.util import find_spec
from typing import Any

from titan_state import Monitor, TitanStateError

BATCH = 10_000


async def batches(rows: AsyncIterator[Any]) -> AsyncIterator[list[Any]]:
    """Hand out rows in lists of a size that is worth a frame each, so that no export has to fit into memory twice."""
    batch: list[Any] = []
    async for row in rows:
        batch.append(row)
        if len(batch) == BATCH:
            yield batch
            batch = []
    if batch:
        yield batch


async def main(execution_id: str) -> None:
    """Make one frame of the rows and show it."""
    async with Monitor.from_env() as monitor:
        rows = monitor.outputs(execution_id).rows()
        if find_spec("polars"):
            polars: Any = import_module("polars")
            frames = [polars.DataFrame(batch) async for batch in batches(rows)]
            print(polars.concat(frames, how="diagonal_relaxed") if frames else "no rows")
        elif find_spec("pandas"):
            pandas: Any = import_module("pandas")
            frames = [pandas.DataFrame(batch) async for batch in batches(rows)]
            print(pandas.concat(frames, ignore_index=True) if frames else "no rows")
        else:
            print(sum([len(batch) async for batch in batches(rows)]), "rows; no frame library is installed")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("execution", help="the id of an execution that has succeeded")
    arguments = parser.parse_args()
    with contextlib.suppress(KeyboardInterrupt):
        try:
            asyncio.run(main(arguments.execution))
        except TitanStateError as error:
            sys.exit(str(error))
