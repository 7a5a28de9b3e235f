"""ServiceProfile: what the documentation leaves open about the Task Service, as named defaults.

Everything here is a guess until a deployment confirms it, and can be changed. What is documented is in `service.py`.
"""

from __future__ import annotations

from typing import Literal

import attrs


@attrs.frozen(kw_only=True)
class ServiceProfile:
    """The shapes and habits of one deployment.

    Attributes:
        prefix: The path that all endpoints but media begin with.
        credential: How the token is sent: `Authorization: Bearer …`, or `X-API-Key: …`, which some deployments want.
        item_keys: Where the items of a list are, if `data` is an object and not a bare array; the first that is there.
        total_keys: Where such an object says how many items there are in all.
        page_limit: How many items are asked for at once; a service that sends fewer is noticed.
        newest_first: Whether lists show new executions first, until they are seen not to.
        run_id_keys: Where the answer to a run has the execution's id: in `data`, or in `data.execution`.
    """

    prefix: str = "/api/v1"
    credential: Literal["bearer", "x-api-key"] = "bearer"
    item_keys: tuple[str, ...] = ("items", "executions", "tasks", "results", "data", "rows")
    total_keys: tuple[str, ...] = ("total", "total_count", "totalCount", "count")
    page_limit: int = attrs.field(default=100, validator=attrs.validators.ge(1))
    newest_first: bool = True
    run_id_keys: tuple[str, ...] = ("execution_id", "executionId", "id")
