"""The report: what became of some executions, as one page to keep, to send and to print."""

from __future__ import annotations

from statistics import median
from typing import TYPE_CHECKING, Final

import attrs

from titan_state import wording
from titan_state.drawing.bars import sign
from titan_state.drawing.pages import link, page, table, written_page
from titan_state.drawing.svg import add, element, status_class, styles
from titan_state.drawing.timeline import overview_figure, summary, timeline_figure
from titan_state.drawing.timescale import exact_time
from titan_state.errors import shorten

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime
    from xml.etree.ElementTree import Element

    from titan_state.core.events import Event
    from titan_state.core.timeline import Duration, Flag, Timeline

MOST_IN_FULL: Final = 200
"""So many executions are told in full; of further ones only the numbers are in the report."""
MOST_EVENTS: Final = 200
"""So many events of an execution are told, the latest ones."""

_WIDE: Final = 920
_NARROW: Final = 328
_MOST_OPEN: Final = 100
_TEXT: Final = 600


@attrs.frozen(kw_only=True)
class Chapter:
    """What is told of one execution.

    Attributes:
        timeline: Its timeline.
        events: Its events, in order.
    """

    timeline: Timeline
    events: Sequence[Event]

    @property
    def opened(self) -> list[Flag]:
        """The anomalies that have not ended."""
        return [flag for flag in self.timeline.flags if flag.is_open]

    @property
    def status(self) -> str:
        """What to say of where it stands."""
        return "vanished" if self.timeline.is_vanished else self.timeline.status or "never seen"


@attrs.frozen(kw_only=True)
class Imprint:
    """What a report is about, and where it comes from.

    Attributes:
        made: When it was made.
        journal: The journal that it was made of.
        account: Whose executions these are, None if nobody said.
        subject: Which executions were asked for, in words.
        unknown: How many of them the journal knows nothing of.
    """

    made: datetime
    journal: str
    account: str | None = None
    subject: str = ""
    unknown: int = 0


def report_page(chapters: Sequence[Chapter], imprint: Imprint) -> str:
    """Return a report as one page of HTML.

    Args:
        chapters: The executions.
        imprint: What it is about.
    """
    root, body = page(f"titan-state report, {exact_time(imprint.made)}", styles("figures.css") + styles("report.css"))
    ranked = sorted(chapters, key=lambda one: one.timeline.begin, reverse=True)
    ranked.sort(key=lambda one: not one.opened)
    told = ranked[:MOST_IN_FULL]
    places = {id(one): f"execution-{number}" for number, one in enumerate(told, 1)}
    main = add(body, "main", id="top")
    _head(main, chapters, imprint)
    _open_anomalies(main, ranked, places)
    _durations(main, chapters, places)
    _overview(main, told, len(chapters), places)
    for one in told:
        _execution(main, one, places[id(one)])
    add(body, "footer", "Made by titan-state. All times are UTC. This page loads nothing and runs no script.")
    return written_page(root)


def _head(main: Element, chapters: Sequence[Chapter], imprint: Imprint) -> None:
    head = add(main, "header")
    add(head, "h1", "Report of executions")
    lines = [("Made", exact_time(imprint.made)), ("Executions", imprint.subject or str(len(chapters)))]
    if imprint.account:
        lines.append(("Account", imprint.account))
    lines.append(("Journal", imprint.journal))
    if imprint.unknown:
        lines.append(
            ("Unknown", f"the journal has nothing of {imprint.unknown} other{'s' * (imprint.unknown != 1)} asked for")
        )
    facts = add(head, "dl", class_="facts")
    for name, value in lines:
        add(facts, "dt", name)
        add(facts, "dd", shorten(value, _TEXT))
    counts: dict[str, int] = {}
    for one in chapters:
        counts[one.status] = counts.get(one.status, 0) + 1
    tiles = add(head, "ul", class_="tiles")
    for status, count in sorted(counts.items(), key=lambda item: (-item[1], item[0])):
        tile = add(tiles, "li", class_=status_class(status))
        add(tile, "span", str(count), class_="number")
        add(tile, "span", f"{sign(status)} {shorten(status, 40)}", class_="what")


def _open_anomalies(main: Element, ranked: Sequence[Chapter], places: dict[int, str]) -> None:
    opened = [(one, flag) for one in ranked for flag in one.opened]
    section = add(main, "section", class_="panel")
    add(section, "h2", f"Open anomalies ({len(opened)})")
    if not opened:
        add(section, "p", "None, as far as the journal says.", class_="quiet")
        return
    rows = [(_reference(one, places), *_anomaly_cells(flag, one.timeline)) for one, flag in opened[:_MOST_OPEN]]
    table(section, "anomalies", ("Execution", "Anomaly", "What is wrong", "Since", "Check first"), rows)
    if len(opened) > _MOST_OPEN:
        add(section, "p", f"{len(opened) - _MOST_OPEN} more are told with their executions only.", class_="quiet")


def _anomaly_cells(flag: Flag, timeline: Timeline) -> tuple[str | Element, ...]:
    kind = element("span", f"⚑ {flag.kind} ({flag.severity})", class_=f"kind severity-{flag.severity}")
    if flag.until is None:
        lasted = "" if timeline.is_finished else f" for {wording.duration((timeline.end - flag.at).total_seconds())}"
        since = f"{_moment(flag.at)}, open{lasted}"
    elif flag.until > flag.at:
        since = f"{_moment(flag.at)}, for {wording.duration((flag.until - flag.at).total_seconds())}"
    else:
        since = _moment(flag.at)
    return kind, shorten(flag.message, _TEXT), since, flag.check_first


def _moment(moment: datetime) -> str:
    return exact_time(moment).partition(".")[0]


def _reference(one: Chapter, places: dict[int, str]) -> Element:
    name = one.timeline.execution_id
    place = places.get(id(one))
    shown = wording.short_id(shorten(name, 60))
    return element("span", shown, title=shorten(name)) if place is None else link(place, shown, shorten(name))


def _durations(main: Element, chapters: Sequence[Chapter], places: dict[int, str]) -> None:
    found: dict[str, list[tuple[Duration, Chapter]]] = {}
    for one in chapters:
        for lasted in one.timeline.durations:
            found.setdefault(lasted.status, []).append((lasted, one))
    if not found:
        return
    section = add(main, "section", class_="panel")
    add(section, "h2", "Time in each status")
    rows = []
    for status, all_ in sorted(found.items(), key=lambda item: -len(item[1])):
        longest, of = max(all_, key=lambda pair: pair[0].seconds)
        last = element("span", f"{_length(longest)}, ")
        last.append(_reference(of, places))
        middle = wording.duration(median(lasted.seconds for lasted, _ in all_))
        still = sum(lasted.is_open for lasted, _ in all_)
        rows.append((_named(status), str(len(all_)), str(still), middle, last))
    table(section, "durations", ("Status", "Executions", "In it still", "Median", "Longest"), rows)
    add(section, "p", "About means that more than a tenth of it was not seen.", class_="quiet")


def _named(status: str) -> Element:
    return element("span", f"{sign(status)} {shorten(status, 60)}", class_=f"named {status_class(status)}")


def _length(lasted: Duration) -> str:
    return f"{'' if lasted.is_exact else 'about '}{wording.duration(lasted.seconds)}"


def _overview(main: Element, told: Sequence[Chapter], count: int, places: dict[int, str]) -> None:
    if not told:
        return
    section = add(main, "section", class_="panel")
    add(section, "h2", "Overview")
    if len(told) < count:
        most = f"The {len(told)} executions from here on are those with open anomalies, then the latest ones"
        add(section, "p", f"{most}: {count - len(told)} of {count} are only in the numbers above.", class_="left-out")
    in_order = sorted(told, key=lambda one: one.timeline.begin)
    timelines = [one.timeline for one in in_order]
    links = {one.timeline.execution_id: f"#{places[id(one)]}" for one in told}
    for width, name in ((_WIDE, "wide"), (_NARROW, "narrow")):
        add(section, "div", class_=f"figure {name}").append(overview_figure(timelines, width=width, links=links))


def _execution(main: Element, one: Chapter, place: str) -> None:
    timeline = one.timeline
    section = add(main, "section", class_="panel execution", id=place)
    heading = add(section, "h2")
    add(heading, "span", f"{sign(one.status)} {shorten(one.status, 60)}", class_=f"named {status_class(one.status)}")
    add(heading, "span", shorten(timeline.execution_id) or "the monitor itself", class_="name")
    seen = next((event.execution for event in reversed(one.events) if event.execution is not None), None)
    facts = [summary(timeline)]
    if seen is not None and seen.task_id:
        facts.append(f"Task {shorten(seen.task_id)}.")
    add(section, "p", " ".join(facts), class_="quiet")
    if seen is not None and seen.error:
        add(section, "p", f"Error: {shorten(seen.error, _TEXT)}", class_="error")
    for width, name in ((_WIDE, "wide"), (_NARROW, "narrow")):
        add(section, "div", class_=f"figure {name}").append(timeline_figure(timeline, width=width))
    _anomalies(section, timeline)
    _times(section, timeline)
    _events(section, one)
    add(section, "p", class_="up").append(link("top", "To the top"))


def _anomalies(section: Element, timeline: Timeline) -> None:
    if not timeline.flags:
        return
    add(section, "h3", "Anomalies")
    flags = sorted(timeline.flags, key=lambda flag: not flag.is_open)
    rows = [_anomaly_cells(flag, timeline) for flag in flags[:_MOST_OPEN]]
    table(section, "anomalies", ("Anomaly", "What was wrong", "When", "Check first"), rows)
    if len(flags) > _MOST_OPEN:
        add(section, "p", f"{len(flags) - _MOST_OPEN} more are left out.", class_="quiet")


def _times(section: Element, timeline: Timeline) -> None:
    if not timeline.durations:
        return
    add(section, "h3", "Time in each status")
    rows = [
        (_named(one.status), _length(one) + (", still" if one.is_open else ""), str(one.times))
        for one in timeline.durations
    ]
    table(section, "durations", ("Status", "How long", "Times entered"), rows)


def _events(section: Element, one: Chapter) -> None:
    told = one.events[-MOST_EVENTS:]
    earlier = one.timeline.missing + len(one.events) - len(told)
    details = add(section, "details")
    count = len(one.events)
    add(details, "summary", f"{count} event{'s' * (count != 1)}")
    if earlier:
        add(details, "p", f"{earlier} earlier events are not told here.", class_="quiet")
    rows = [(exact_time(event.at), shorten(wording.story(event), _TEXT)) for event in told]
    table(details, "events", ("When", "What"), rows)
