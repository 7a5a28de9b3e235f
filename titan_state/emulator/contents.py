"""Contents: the rows of an execution's results, and the files that hold them.

Contents follow from the execution alone, never from the time: two files of one execution are the same, byte for byte.
Whether they are readable, and how they are sent, is the routes' business.
"""

from __future__ import annotations

import csv
import io
import json
from typing import Any, Final, Literal, get_args

import attrs

from titan_state.emulator.backend import Backend
from titan_state.emulator.run import Run

ExportFormat = Literal["json", "csv"]

FORMATS: Final[tuple[str, ...]] = get_args(ExportFormat)
COLUMNS: Final = ("position", "title", "price", "image", "note")

NOTES: Final = (
    "plain",
    'two, or "more", of them',
    "first line\nsecond line\r\nthird line",
    "größer als 1 €, 日本語, \u2028🙂",  # U+2028 is a line break to str.splitlines, and to no file format
    "",
)
"""The cases of `note`, by turns: what is easy to get wrong between a row and its file."""


@attrs.frozen
class File:
    """One file of results.

    Attributes:
        body: What is in it.
        content_type: Its `Content-Type`.
        name: Its name.
    """

    body: bytes
    content_type: str
    name: str


def exported(backend: Backend, run: Run, wanted: str) -> File:
    """Return the file of an execution's results, whether or not they are readable now.

    Args:
        backend: The service.
        run: The execution.
        wanted: One of `FORMATS`.

    Raises:
        ValueError: There is no such format.
    """
    if wanted not in FORMATS:
        raise ValueError(f"format takes json or csv, not {wanted!r}")
    rows = _rows(backend, run)
    if wanted == "csv":
        return File(_csv(rows), "text/csv; charset=utf-8", f"results-{run.id}.csv")
    if backend.settings.export_shape == "lines":
        lines = "".join(f"{_json(row)}\n" for row in rows)
        return File(lines.encode(), "application/x-ndjson", f"results-{run.id}.jsonl")
    return File(_json(rows).encode(), "application/json", f"results-{run.id}.json")


def _rows(backend: Backend, run: Run) -> list[dict[str, Any]]:
    token = backend.media_token(run)
    return [
        {
            "position": position,
            "title": f"Item {position} of {run.id}",
            "price": round(9.99 + position, 2),
            "image": f"{backend.origin}/media/{run.id}/{position}.png?token={token}",
            "note": NOTES[(position - 1) % len(NOTES)] + _padding(position, run.plan.padding),
        }
        for position in range(1, run.plan.rows + 1)
    ]


def _padding(position: int, length: int) -> str:
    # each row has its own, so that a file put together from the wrong pieces is not equal by chance
    piece = f" {position:07}"
    return (piece * (length // len(piece) + 1))[:length]


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


def _csv(rows: list[dict[str, Any]]) -> bytes:
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, COLUMNS)
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue().encode()
