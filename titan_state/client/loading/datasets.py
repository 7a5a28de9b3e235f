"""Datasets: reads lists of them to their end. What one is, is decoded in `results.py`."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Final

from titan_state.client.loading.results import dataset_of
from titan_state.client.shapes import each, items_of
from titan_state.core.budget import Priority

if TYPE_CHECKING:
    from titan_state.client.exchange import Exchange
    from titan_state.client.readings import Dataset

MOST_PAGES: Final = 1000
"""A list of datasets with more pages is none."""


async def read_datasets(exchange: Exchange, path: str) -> tuple[Dataset, ...]:
    """Read a list of datasets to its end, whether or not the service heeds limit and offset.

    Args:
        exchange: Sends requests.
        path: The path of the list.

    Raises:
        PayloadError: There is no list, or nothing in it can be read.
        ServiceError: A request did not succeed.
    """
    profile, offset = exchange.profile, 0
    found: dict[str, Dataset] = {}
    decode = partial(dataset_of, profile=profile)
    for _ in range(MOST_PAGES):
        query = {"limit": profile.page_limit, "offset": offset}
        reading = await exchange.request(
            "GET", path, partial(items_of, profile=profile), query, priority=Priority.OUTPUT
        )
        items, total = reading.value
        good, rejected = each(decode, items)
        if rejected and not good:
            raise rejected[0]
        fresh = {one.id: one for one in good if one.id not in found}
        found |= fresh
        offset += len(items)
        if not fresh or (total is not None and len(found) >= total):
            break
    return tuple(found.values())
