"""docs/how-to/telemetry.md says what the catalog says: every metric, every span, every argument."""

from __future__ import annotations

import inspect
import re
from pathlib import Path

import yaml

from titan_state.service.probes import LISTEN
from titan_state.telemetry import OpenTelemetry
from titan_state.telemetry.catalog import METRICS, SPANS, TASK

TEXT = (Path(__file__).parents[2] / "docs" / "how-to" / "telemetry.md").read_text(encoding="utf-8")
KINDS = {
    "counter": "counter",
    "histogram": "histogram",
    "observable_counter": "counter",
    "observable_gauge": "gauge",
    "observable_up_down_counter": "up-down counter",
}


def rows(heading):
    """Return the rows of the table that begins with a heading, each as its cells."""
    table = re.search(rf"^\| {heading} \|.*\n\|[-|]+\n((?:\|.*\n)+)", TEXT, re.MULTILINE)[1]
    return [[cell.strip() for cell in line.strip("|\n").split(" | ")] for line in table.splitlines()]


def names(cell):
    return tuple(re.findall(r"`([^`]+)`", cell))


def test_every_metric_is_told():
    """The table of metrics is the catalog: names, kinds, units, attributes and meanings, in its order."""
    told = [(names(row[0])[0], row[1], names(row[2])[0], names(row[3]), row[4].rstrip(" |")) for row in rows("metric")]
    assert told == [
        (
            metric.name,
            KINDS[metric.instrument],
            metric.unit,
            tuple(label for label in metric.labels if label != TASK),
            metric.description,
        )
        for metric in METRICS
    ]


def test_every_span_is_told():
    """The table of spans is the catalog."""
    told = [(names(row[0])[0], row[1], names(row[2]), row[3].rstrip(" |")) for row in rows("span")]
    assert told == [(span.name, span.kind, span.attributes, span.description) for span in SPANS]


def test_every_argument_is_told():
    """The table of arguments is what `OpenTelemetry` takes."""
    told = {name for row in rows("argument") for name in names(row[0])}
    assert told == set(inspect.signature(OpenTelemetry).parameters)


def test_prometheus_is_sent_to_the_right_place():
    """What Prometheus is told to scrape is where the command answers unless it is told otherwise."""
    (block,) = re.findall(r"```yaml\n(.*?)```", TEXT, re.DOTALL)
    (job,) = yaml.safe_load(block)["scrape_configs"]
    assert job["static_configs"] == [{"targets": [LISTEN]}]
