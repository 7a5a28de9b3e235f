"""Buckets: what programs tell one another for a while, as keys of NATS that expire unless they are renewed."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from nats.js import errors as js_errors
from nats.js.api import StorageType

from titan_state.errors import ConfigurationError
from titan_state.journal.nats.settings import LEASE_S

if TYPE_CHECKING:
    from nats.js.kv import KeyValue

    from titan_state.journal.nats.link import Link
    from titan_state.journal.nats.settings import Settings


logger = logging.getLogger("titan_state.journal")


async def bucket_of(
    link: Link, name: str, settings: Settings, ttl_s: float | None, *, warns: bool = True
) -> tuple[KeyValue, float]:
    """Return a bucket whose keys expire, and after how many seconds; it is made if it is missing.

    Args:
        link: The connection.
        name: Its name.
        settings: On how many servers it is kept.
        ttl_s: The time to live that is wanted, None for any.
        warns: Whether it is said that it is kept on fewer servers than is wanted.

    Raises:
        ConfigurationError: It has another time to live.
    """

    async def find() -> KeyValue | None:
        try:
            return await link.js.key_value(name)
        except js_errors.NotFoundError:
            return None

    async def make() -> None:
        try:
            await link.js.create_key_value(
                bucket=name,
                ttl=LEASE_S if ttl_s is None else ttl_s,
                replicas=settings.replicas,
                storage=StorageType.FILE,
                description="titan_state: who is there",
            )
        except js_errors.BadRequestError as error:
            if error.err_code != 10058:  # made by another one meanwhile
                raise

    found = await link.do(find(), f"open the bucket {name}")
    if found is None:
        await link.do(make(), f"make the bucket {name}")
        found = await link.do(link.js.key_value(name), f"open the bucket {name}")
    status = await link.do(found.status(), f"tell of the bucket {name}")
    has_s, replicas = status.ttl, status.stream_info.config.num_replicas or 1
    if warns and settings.replicas > replicas:
        logger.warning(
            "the bucket %s has %d replicas, not %d: it was made so, and is left as it is "
            "(nats stream edit KV_%s --replicas=%d changes it)",
            name,
            replicas,
            settings.replicas,
            name,
            settings.replicas,
        )
    if not has_s:
        raise ConfigurationError(
            f"keys of the bucket {name} at {link.name} never expire: remove it (nats kv del {name}); it is made anew"
        )
    if ttl_s is not None and abs(has_s - ttl_s) > 0.001:
        raise ConfigurationError(
            f"keys of the bucket {name} at {link.name} expire after {has_s:g} s, not {ttl_s:g} s: leave lease out, "
            f"give lease={has_s:g}, or end all monitors and remove the bucket (nats kv del {name})"
        )
    return found, has_s
