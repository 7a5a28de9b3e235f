"""The report: everything in one page, which loads nothing, runs nothing, and takes no text for markup."""

from __future__ import annotations

import re
from base64 import b64encode
from hashlib import sha256
from html.parser import HTMLParser

import attrs
import pytest
from lives import HOSTILE, Life, date, plain, troubled

from titan_state.drawing import report
from titan_state.drawing.report import Chapter, Imprint, report_page

IMPRINT = Imprint(made=date(5000), journal="journal.db", account="us", subject="2 executions")
VOID = {"meta", "br", "img"}


class Reader(HTMLParser):
    """Reads a page as a browser does: elements with their attributes, and the text in them."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.style = ""
        self.open: list[str] = []
        self.feed(page)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if "style" in self.open:
            self.style += data
        elif "title" not in self.open and "desc" not in self.open:
            self.text += data + "\n"

    def values(self, name):
        return [attributes[name] for _, attributes in self.elements if attributes.get(name) is not None]


def chapter(life: Life, now: float = 5000) -> Chapter:
    return Chapter(timeline=life.timeline(now), events=life.events)


def page_of(*lives: Life, **imprint) -> Reader:
    return Reader(report_page([chapter(one) for one in lives], attrs.evolve(IMPRINT, **imprint)))


def test_the_page_tells_all():
    """Counts, open anomalies, durations, an overview, and each execution with its events."""
    page = page_of(plain("plain one", task_id="t1"), troubled("troubled one"), unknown=2)
    assert not page.open
    for text in (
        "2026-11-27 13:23:20.000 UTC",
        "us",
        "journal.db",
        "the journal has nothing of 2 others asked for",
        "✓ completed",
        "Open anomalies (2)",
        "moved from completed to running: it had finished",
        "platform logs",
        "queued for 10s; running",
        "Task t1.",
        "pause was refused: CONFLICT",
        "paused -> running (by our action)",
    ):
        assert text in page.text
    assert page.text.index("troubled one") < page.text.index("plain one")
    assert len([tag for tag, _ in page.elements if tag == "svg"]) == 2 * 3
    assert len([tag for tag, _ in page.elements if tag == "details"]) == 2


def test_the_page_loads_and_runs_nothing():
    """There is no script, no address but places within the page, and the policy allows just the one style."""
    page = page_of(plain("first"), troubled("second"))
    assert not {"script", "img", "link", "iframe", "object"} & {tag for tag, _ in page.elements}
    assert not page.values("style")
    assert not [name for _, attributes in page.elements for name in attributes if name.startswith("on")]
    ids = page.values("id")
    assert len(ids) == len(set(ids))
    links = page.values("href")
    assert links
    assert {one for one in links if one} <= {f"#{place}" for place in ids}
    assert "url(" not in page.style
    assert "@import" not in page.style
    (policy,) = [attributes["content"] for _, attributes in page.elements if attributes.get("http-equiv") is not None]
    digest = b64encode(sha256(page.style.encode()).digest()).decode()
    assert policy == f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"


def test_text_of_the_service_stays_text():
    """Ids, errors, tasks and names that are markup are read as text, and can be written."""
    life = Life(HOSTILE).see(("queued", 0), ("running", 5), task_id=HOSTILE)
    life.see(("failed", 9), task_id=HOSTILE, error=f"</p><script>alert(1)</script>{HOSTILE}")
    page = page_of(life, account=HOSTILE, journal=HOSTILE, subject=HOSTILE)
    assert not page.open
    assert not {"script", "img"} & {tag for tag, _ in page.elements}
    assert "Error: </p><script>alert(1)</script>" in page.text
    assert page.text.count('<img src=x onerror="alert(1)">') > 5
    assert "\x1b" not in page.text
    report_page([chapter(life)], IMPRINT).encode()


def test_nothing_wrong_is_said_too():
    """Where no anomaly is open the page says so; a live execution is in its status still."""
    page = page_of(Life("a").see(("running", 0)))
    assert "None, as far as the journal says." in page.text
    assert "about 1h23, still" in page.text


def test_what_is_gone_and_what_was_never_there():
    """A vanished execution is counted as that; an anomaly of one that was never seen has no durations."""
    page = page_of(Life("a").see(("running", 0)).gone(9, 15), Life("b").gone(0, 20, 40))
    assert "∅ vanished" in page.text
    assert "Open anomalies (2)" in page.text
    assert "Time in each status" not in page_of(Life("b").gone(0, 20, 40)).text
    assert "Overview" not in page_of().text


def test_medians_and_longest():
    """Durations over all executions tell the median, and the longest with its execution."""
    lives = [Life(f"e{span}").see(("running", 0), ("running", span - 1), ("completed", span)) for span in (30, 60, 600)]
    page = page_of(*lives)
    row = page.text[page.text.index("Time in each status") :]
    assert re.search(r"▶ running\n3\n0\n1m00\nabout 10m00, \ne600", row)


def test_two_hundred_executions_are_told(monkeypatch):
    """Two hundred are told in full; of more than that the page says what it leaves out, and keeps what is odd."""
    monkeypatch.setattr(report, "MOST_IN_FULL", 20)
    lives = [Life(f"execution-{number:03}").see(("running", number), ("completed", number + 9)) for number in range(25)]
    page = page_of(troubled("odd"), *lives)
    assert "6 of 26 are only in the numbers above" in page.text
    assert sum((attributes.get("class") or "") == "panel execution" for _, attributes in page.elements) == 20
    assert "execution-024" in page.text
    assert "odd" in page.text
    assert "26" in page.text


def test_many_executions_make_a_page_that_can_be_opened():
    """Two hundred executions stay within a few megabytes."""
    chapters = [chapter(plain(f"execution-{number:03}")) for number in range(200)]
    page = report_page(chapters, IMPRINT)
    assert len(page) < 8_000_000
    assert "are only in the numbers" not in page


@pytest.mark.parametrize("missing", [0, 7])
def test_events_that_are_not_told(monkeypatch, missing):
    """Of too many events, and of those that the log does not have any more, the number is told."""
    monkeypatch.setattr(report, "MOST_EVENTS", 3)
    life = plain("a")
    made = attrs.evolve(life.timeline(), missing=missing)
    page = Reader(report_page([Chapter(timeline=made, events=life.events)], IMPRINT))
    assert f"{len(life.events) - 3 + missing} earlier events are not told here." in page.text


def test_a_hundred_anomalies_are_enough(monkeypatch):
    """Of one execution and of all there is a most; the page says how many more there are."""
    monkeypatch.setattr(report, "_MOST_OPEN", 1)
    page = page_of(troubled("a"), troubled("b"))
    assert "3 more are told with their executions only." in page.text
    assert "4 more are left out." in page.text


def test_an_execution_that_is_not_told_in_full_has_no_link(monkeypatch):
    """Where the page has no chapter of the longest one, there is its name alone."""
    monkeypatch.setattr(report, "MOST_IN_FULL", 1)
    long = Life("long-ago").see(("running", -9000), ("completed", -10))
    page = page_of(long, Life("now").see(("running", 0), ("completed", 9)))
    assert "long-ago" in page.text
    assert "1 of 2 are only" in page.text
