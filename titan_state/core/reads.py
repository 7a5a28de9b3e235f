"""Reads: what a planner chooses between, and what it notes of a list. Data only; the choice is in `planner.py`."""

from __future__ import annotations

from math import inf
from typing import NamedTuple

import attrs

from titan_state.core.budget import Priority


class ListPage(NamedTuple):
    """A page of a list.

    Attributes:
        task_id: The task whose executions are listed, None for all.
        page: The page's number, from 0.
    """

    task_id: str | None
    page: int


class Choice(NamedTuple):
    """A request worth sending.

    Attributes:
        target: A page of a list, or the id of one execution.
        priority: With which priority it is sent.
    """

    target: ListPage | str
    priority: Priority


@attrs.define
class Listing:
    """What is known of one list.

    Attributes:
        watched: Whether all it shows is watched, and so whatever is new on it.
        members: For each page that is read, the executions that were on it and are kept.
        read_at: For each of these pages, when the last read was sent.
        sweep: The page that the sweep over the whole list has come to, None if there is none.
        sweeps_from: When the sweep may begin.
        newest_first: Whether new executions show on the first page.
    """

    watched: bool = False
    members: dict[int, tuple[str, ...]] = attrs.field(factory=dict)
    read_at: dict[int, float] = attrs.field(factory=dict)
    sweep: int | None = None
    sweeps_from: float = -inf
    newest_first: bool = True
