"""Statistics: what a client counts, for display. Nothing is decided by it."""

from __future__ import annotations

from collections import Counter

import attrs


@attrs.define
class Statistics:
    """What a client has sent and got since it was made.

    Attributes:
        requests: Requests that were sent; each repetition is one.
        answers: How many answers by class: `2xx`, `3xx`, `4xx`, `5xx`, and `none` for requests without one,
            or with a success that was not whole.
        throttled: Answers that said that there were too many requests.
        rejected: Items of lists that were left out because they could not be read.
        dropped: Fields of executions that were left out because their value could not be read, by name.
    """

    requests: int = 0
    answers: Counter[str] = attrs.field(factory=Counter)
    throttled: int = 0
    rejected: int = 0
    dropped: Counter[str] = attrs.field(factory=Counter)
