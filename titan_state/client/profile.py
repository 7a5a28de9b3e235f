"""ServiceProfile: what the documentation leaves open about the Task Service, as named defaults.

Everything here is a guess until a deployment confirms it, and can be changed. What is documented is in `service.py`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any, Literal

import attrs

from titan_state.client.address import origin_of
from titan_state.core.tracking.results import RESULT_STATUSES
from titan_state.errors import ConfigurationError, shorten


def _prefix(instance: Any, attribute: attrs.Attribute[Any], value: Any) -> None:
    if not isinstance(value, str) or not re.fullmatch(r"(/[A-Za-z0-9_~-][A-Za-z0-9._~-]*)*", value):
        raise ConfigurationError(f"{attribute.name} must be a path such as /api/v1, not {shorten(repr(value))}")


def _parameter(instance: Any, attribute: attrs.Attribute[Any], value: Any) -> None:
    if not isinstance(value, str) or not re.fullmatch(r"(?!(limit|offset)$)[A-Za-z0-9_.-]*", value):
        raise ConfigurationError(f"{attribute.name} must be a name such as status, not {shorten(repr(value))}")


def _scheme(instance: Any, attribute: attrs.Attribute[Any], value: Any) -> None:
    if value not in ("bearer", "x-api-key"):
        raise ConfigurationError(f"{attribute.name} must be 'bearer' or 'x-api-key', not {shorten(repr(value))}")


def _statuses(instance: Any, attribute: attrs.Attribute[Any], value: Any) -> None:
    if not all(isinstance(one, int) and not isinstance(one, bool) and 200 <= one <= 599 for one in value):
        raise ConfigurationError(f"{attribute.name} must be HTTP statuses such as 404, not {shorten(repr(value))}")


def _texts(value: Any) -> tuple[str, ...]:
    """Return names as a tuple; a single text would fall apart into its letters."""
    if isinstance(value, str) or not isinstance(value, Iterable):
        raise ConfigurationError(f"several names are wanted, such as ({value!r},), not {shorten(repr(value))}")
    return tuple(value)


def _folded(value: Any) -> tuple[str, ...]:
    return tuple(one.casefold() for one in _texts(value))


def _origins(value: Any) -> tuple[str, ...]:
    return tuple(origin_of(one if "://" in one else f"https://{one}", "") for one in _texts(value))


def _count(instance: Any, attribute: attrs.Attribute[Any], value: Any) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise ConfigurationError(f"{attribute.name} must be a whole number of at least 1, not {shorten(repr(value))}")


@attrs.frozen(kw_only=True)
class ServiceProfile:
    """The shapes and habits of one deployment.

    Attributes:
        api_prefix: The path that all endpoints but media begin with.
        auth_scheme: How the token is sent: `Authorization: Bearer …`, or `X-API-Key: …`, which some deployments want.
        item_keys: Where the items of a list are, if `data` is an object and not a bare array; the first that is there.
        total_keys: Where such an object says how many items there are in all. `count` is not among them: many services
            count the page with it.
        page_limit: How many items are asked for at once; a service that sends fewer is noticed.
        largest_page: How many are asked for with one request, to find out whether the service sends more at once. If
            it does, so many are asked for from then on, until it sends less or refuses; no more than `page_limit` to
            leave that alone.
        status_parameter: By which parameter lists of executions are asked for a single status, if they take one; that
            is tried with one request where it would be worth it. Empty to leave it alone.
        newest_first: Whether lists show new executions first, until they are seen not to.
        run_id_keys: Where the answer to a run has the execution's id: in `data`, or in `data.execution`.
        output_statuses: The statuses of executions that have outputs; `completed_with_errors` is taken to be one.
        results_pending: The HTTP statuses that results answer with before they can be read. 404 is among them, as an
            execution that exists is asked about; where results are switched off, they answer it for ever.
        pending_values: Values of `data.status` or `data.state` that say the same in an answer that is a success. No
            data at all (`null`) says so, too, and so does a `data.ready` or `data.available` that is false.
        row_count_keys: Where result metadata and datasets say how many rows there are; the first that is there.
        format_parameter: By which parameter an export is asked for a format; its values are `json` and `csv`.
        media_origins: Origins, or hosts (of https), beside the service's own that media are loaded from. The
            credential in a media URL goes to them, and the service's token does not.
        media_is_limited: Whether requests for media count against the account's limit.
    """

    api_prefix: str = attrs.field(default="/api/v1", validator=_prefix)
    auth_scheme: Literal["bearer", "x-api-key"] = attrs.field(default="bearer", validator=_scheme)
    item_keys: tuple[str, ...] = attrs.field(
        default=("items", "executions", "tasks", "results", "data", "rows"), converter=tuple
    )
    total_keys: tuple[str, ...] = attrs.field(default=("total", "total_count", "totalCount"), converter=tuple)
    page_limit: int = attrs.field(default=100, validator=_count)
    largest_page: int = attrs.field(default=1000, validator=_count)
    status_parameter: str = attrs.field(default="status", validator=_parameter)
    newest_first: bool = True
    run_id_keys: tuple[str, ...] = attrs.field(default=("execution_id", "executionId", "id"), converter=tuple)
    output_statuses: tuple[str, ...] = attrs.field(default=RESULT_STATUSES, converter=_texts)
    results_pending: tuple[int, ...] = attrs.field(default=(202, 404, 409, 425), converter=tuple, validator=_statuses)
    pending_values: tuple[str, ...] = attrs.field(
        default=("pending", "processing", "queued", "running", "ingesting", "in_progress", "not_ready"),
        converter=_folded,
    )
    row_count_keys: tuple[str, ...] = attrs.field(
        default=("row_count", "rowCount", "total_rows", "totalRows", "rows", "total", "count"), converter=_texts
    )
    format_parameter: str = attrs.field(default="format", validator=_parameter)
    media_origins: tuple[str, ...] = attrs.field(default=(), converter=_origins)
    media_is_limited: bool = True
