"""Timelines as pictures: to scale, told apart without colour, nothing over anything else, and text stays text."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta, timezone
from itertools import combinations
from xml.etree.ElementTree import fromstring, tostring

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st
from lives import HOSTILE, Life, date, of_class, parsed, plain, texts, title, troubled

from titan_state import Action
from titan_state.core.anomalies import AnomalyKind, Severity
from titan_state.core.timeline import Flag, Stay, Timeline
from titan_state.drawing.bars import hatching
from titan_state.drawing.lettering import fitted, width_of
from titan_state.drawing.svg import clean, element, number
from titan_state.drawing.timeline import overview_figure, summary, timeline_svg
from titan_state.drawing.timescale import Timescale

WIDTHS = (320, 720, 1400)


def drawn(timeline: Timeline, width: float = 720):
    return parsed(timeline_svg(timeline, width=width))


def bars(root):
    return [one for group in of_class(root, "stay") for one in of_class(group, "bar")]


def spans(root, name, size):
    """Return where the letters of a class stand, from left to right."""
    found = []
    for one in of_class(root, name):
        wide = width_of(one.text or "", size)
        x = float(one.get("x", 0))
        left = {"end": x - wide, "middle": x - wide / 2}.get(one.get("text-anchor", "start"), x)
        found.append((left, left + wide, float(one.get("y", 0))))
    return found


def test_bars_are_to_scale():
    """The width of a bar is how long the stay was, on the axis of the ticks."""
    root = drawn(
        Timeline(
            execution_id="e",
            stays=(
                Stay(status="queued", begin=date(0), end=date(100)),
                Stay(status="running", begin=date(100), end=date(400)),
                Stay(status="weird", begin=date(400), end=None),
            ),
            flags=(),
            marks=(),
            begin=date(0),
            end=date(800),
            is_finished=False,
        )
    )
    widths = [float(one.get("width", 0)) for one in bars(root)]
    assert widths[1] / widths[0] == pytest.approx(3, rel=0.05)
    assert widths[2] / widths[0] == pytest.approx(4, rel=0.05)
    assert texts(root, "label") == ["○ queued", "▶ running", "? weird"]
    assert len(of_class(root, "onward")) == 1


def test_statuses_are_told_apart_without_colour():
    """What waits is hollow, what is paused is low, what is outside the model is dashed, what is inferred is hatched."""
    root = drawn(plain().timeline())
    groups = {one.get("class", "").split()[1]: one for one in of_class(root, "stay")}
    assert of_class(groups["status-queued"], "is-hollow")
    (low,), (high,) = of_class(groups["status-paused"], "bar"), of_class(groups["status-running"], "bar")
    assert float(low.get("height", 0)) < 0.7 * float(high.get("height", 0))
    assert "is-end" in groups["status-completed"].get("class", "")
    assert "✓ completed" in texts(root, "label")
    inferred = drawn(Life().see(("queued", 0), ("queued", 60), ("completed", 120)).timeline())
    (group,) = of_class(inferred, "is-inferred")
    assert "status-running" in group.get("class", "")
    assert of_class(group, "hatch")
    assert "nobody saw it" in title(group)


def test_tooltips_say_everything():
    """A bar tells its status, from when to when, for how long, and how it was entered."""
    root = drawn(plain().timeline())
    told = {title(one).splitlines()[0]: title(one) for one in of_class(root, "stay")}
    assert told["paused"].splitlines() == [
        "paused",
        "from 2026-11-27 12:01:02.000 UTC",
        "to 2026-11-27 12:01:42.000 UTC, 40s",
        "entered by pause, our action",
        "it may have begun 3s earlier",
    ]
    assert "how it was entered was not seen" in told["queued"]
    live = drawn(Life().see(("running", 0)).timeline(now=65))
    assert "still, for 1m05" in title(of_class(live, "stay")[0])


def test_actions_and_results_are_marks_below():
    """Moves by our action have a sign and the name; results and refusals have signs of their own."""
    root = drawn(plain().timeline())
    kinds = [one.get("class", "").split()[1] for one in of_class(root, "mark")]
    assert kinds == ["is-moved", "is-moved", "is-results-ready"]
    assert texts(root, "mark-label") == ["pause", "resume", "results"]
    assert "pause was sent" in title(of_class(root, "mark")[0])
    assert "12:01:02.000 UTC: paused, by our action" in title(of_class(root, "mark")[0])
    root = drawn(troubled().timeline())
    assert texts(root, "mark-label") == ["pause refused"]
    unknown = Life().see(("running", 0)).act(Action.STOP, 50, "unknown").see(("running", 100)).timeline()
    assert texts(drawn(unknown), "mark-label") == ["stop: no answer"]


def test_anomalies_are_flags_above():
    """Each has a flag, a line to its moment and one until it ended; open ones reach to the end, and are stronger."""
    timeline = troubled().timeline()
    root = drawn(timeline)
    flags = of_class(root, "flag")
    assert len(flags) == len(timeline.flags)
    assert sorted(texts(root, "flag-label")) == sorted(flag.kind for flag in timeline.flags)
    opened = [one for one in flags if "is-open" in one.get("class", "")]
    assert [title(one).splitlines()[0] for one in opened] == ["left_terminal (error)", "unknown_status (warning)"]
    assert all(of_class(one, "span") for one in opened)
    stuck = next(one for one in flags if "stuck_queued" in title(one))
    assert "check first: worker capacity and scheduler health" in title(stuck)
    assert len(of_class(root, "stem")) == len(flags)


def test_a_move_that_the_model_forbids_is_a_bolt():
    """It has a sign that nothing else has, and says so."""
    root = drawn(troubled().timeline())
    (forced,) = of_class(root, "forced")
    assert "the model does not allow this move" in title(forced)


def test_what_is_not_known_exactly_is_shown():
    """Between the last look at the status before and the first at this one, the bar has a dotted foot."""
    root = drawn(Life().see(("queued", 0), ("queued", 100), ("running", 200), ("running", 300)).timeline(now=400))
    (doubt,) = of_class(root, "doubt")
    assert "it may have begun 1m40 earlier" in title(doubt)


def test_what_is_gone_ends_so():
    """A vanished execution ends in a bar that says so."""
    timeline = Life().see(("queued", 0), ("running", 1), ("running", 100)).gone(110, 116).timeline(now=9000)
    root = drawn(timeline)
    assert texts(root, "label")[-1] == "∅ vanished"
    assert summary(timeline) == "queued for 1s; running for 1m55; then vanished; 1 anomaly, 1 open."


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("life", [plain, troubled], ids=["plain", "troubled"])
def test_letters_stay_within_and_apart(life, width):
    """No letters leave the picture or stand on others, on a phone as on a wide screen."""
    root = drawn(life().timeline(), width)
    assert float(root.get("width", 0)) == width
    for name, size in (("flag-label", 11), ("mark-label", 11), ("tick", 11), ("caption", 11)):
        found = spans(root, name, size)
        assert all(left >= -0.1 and right <= width + 0.1 for left, right, _ in found), name
        for first, second in combinations(found, 2):
            assert first[2] != second[2] or first[1] <= second[0] or second[1] <= first[0], name
    for group in of_class(root, "stay"):
        for bar, letters in zip(of_class(group, "bar"), spans(group, "label", 12), strict=False):
            left = float(bar.get("x", 0))
            assert letters[0] >= left - 1
            assert letters[1] <= left + float(bar.get("width", 0)) + 1


def test_thousands_of_stays_stay_small():
    """What has no width of its own is drawn together; flags at one place are one."""
    moments = [date(second) for second in range(5000)]
    stays = [
        Stay(status=("running", "paused")[place % 2], begin=moment, end=moments[place + 1], earliest=moment)
        for place, moment in enumerate(moments[:-1])
    ]
    flag = Flag(kind=AnomalyKind.UNEXPECTED_FLIP, severity=Severity.WARNING, message="m", check_first="c", at=date(0))
    timeline = Timeline(
        execution_id="e",
        stays=tuple(stays),
        flags=tuple(attrs.evolve(flag, at=moment, until=moment) for moment in moments),
        marks=(),
        begin=moments[0],
        end=moments[-1],
        is_finished=False,
    )
    svg = timeline_svg(timeline, width=700)
    root = parsed(svg)
    assert len(svg) < 150_000
    assert len(of_class(root, "is-many")) > 20
    assert "running" in title(of_class(root, "is-many")[0])
    assert len(of_class(root, "flag")) <= 101
    assert any("more" in title(one) for one in of_class(root, "flag"))


def test_short_stays_can_be_seen():
    """A stay of no time has a width."""
    root = drawn(Life().see(("queued", 0), ("running", 0), ("completed", 9000)).timeline(now=9000))
    assert all(float(one.get("width", 0)) >= 1 for one in bars(root))


def test_many_marks_at_one_place_are_one():
    """Actions one after the other have one sign with all their stories, and a label that has no room is left out."""
    life = Life().see(("running", 0))
    for second in range(10, 20, 2):
        life.act(Action.STOP, second, "refused")
    for second in (600, 640):
        life.act(Action.PAUSE, second, "unknown")
    root = drawn(life.timeline(now=9000), 320)
    first, *others = of_class(root, "mark")
    assert title(first).endswith("and 4 more")
    assert 1 <= len(others) <= 2
    assert len(texts(root, "mark-label")) < len(of_class(root, "mark"))


def test_text_of_the_service_stays_text():
    """Ids and statuses that are markup, or that XML cannot hold, are shown as text."""
    timeline = attrs.evolve(
        plain().timeline(),
        execution_id=HOSTILE,
        stays=(Stay(status=HOSTILE, begin=date(0), end=date(10)), Stay(status="x" * 100_000, begin=date(10))),
    )
    svg = timeline_svg(timeline)
    assert "<img" not in svg
    assert len(svg) < 20_000
    root = parsed(svg)
    assert "<img src=x" in title(root)
    assert all("status-other" in one.get("class", "") for one in of_class(root, "stay"))


def test_a_file_of_its_own_has_its_styles():
    """A picture that is saved has the palette in it, for both themes; within a page it has none."""
    alone = parsed(timeline_svg(plain().timeline(), standalone=True))
    assert "light-dark(" in (alone.findtext("style") or "")
    inline = drawn(plain().timeline())
    assert inline.find("style") is None
    assert not [one for one in inline.iter() if one.get("style") or one.get("id")]
    assert inline.get("role") == "img"
    assert inline.findtext("desc") == summary(plain().timeline())


def test_nothing_and_no_time():
    """Of an execution that was never seen, or that lived for no time, there is a picture, too."""
    empty = Timeline.of([], now=date(0), terminal=())
    assert "Nothing was seen of it." in timeline_svg(empty)
    assert "<svg" in timeline_svg(Life().see(("completed", 0)).timeline(now=0), width=1)


def test_one_axis_for_many():
    """The overview has a row for each execution, with its link, its last status and its open anomalies."""
    lives = [plain("a").timeline(), troubled("b").timeline(), Life("c").see(("running", 0)).gone(9, 15).timeline()]
    root = overview_figure(lives, width=600, links={"a": "#one"})
    assert texts(root, "row-name") == ["a", "b", "c"]
    assert texts(root, "row-status") == ["✓", "?", "∅"]
    assert [one.get("href") for one in root.iter("a")] == ["#one"]
    assert len([one for one in of_class(root, "pennant") if "is-open" in one.get("class", "")]) == 3
    assert root.findtext("title") == "Timelines of 3 executions"


@pytest.mark.parametrize(
    ("seconds", "labels", "caption"),
    [
        (4, ["0 s", "1 s", "2 s", "3 s", "4 s"], "seconds after 2026-11-27 12:00:00.000 UTC"),
        (1, ["0.0 s", "0.2 s", "0.4 s", "0.6 s", "0.8 s", "1.0 s"], "seconds after 2026-11-27 12:00:00.000 UTC"),
        (20, ["12:00:00", "12:00:05", "12:00:10", "12:00:15", "12:00:20"], "27 Nov 2026, UTC"),
        (3600, ["12:00", "12:15", "12:30", "12:45", "13:00"], "27 Nov 2026, UTC"),
        (86_400, ["12:00", "18:00", "28 Nov", "06:00", "12:00"], "27 Nov 2026 to 28 Nov 2026, UTC"),
        (0, ["0 s"], "seconds after 2026-11-27 12:00:00.000 UTC"),
    ],
)
def test_ticks_are_round_times(seconds, labels, caption):
    """Ticks stand at round times, in UTC; spans of seconds count from their beginning."""
    scale = Timescale(date(0), date(seconds), 0, 500)
    assert ([tick.label for tick in scale.ticks()], scale.caption) == (labels, caption)


def test_ticks_over_years():
    """Where months and years pass, days and years are told."""
    begin = datetime(2020, 1, 1, tzinfo=UTC)
    assert "5 Mar" in " ".join(tick.label for tick in Timescale(begin, begin + timedelta(90), 0, 900).ticks())
    labels = [tick.label for tick in Timescale(begin, begin + timedelta(4000), 0, 500).ticks()]
    assert all(re.fullmatch(r"20\d\d", label) for label in labels)


moments = st.datetimes(timezones=st.just(UTC))


@given(first=moments, second=moments, width=st.integers(1, 2000))
def test_any_axis_has_few_ticks_in_order(first, second, width):
    """Whatever the times are, ticks stand on the axis, in order, and not too many."""
    begin, end = sorted((first, second))
    scale = Timescale(begin, end, 10, 10 + width)
    places = [tick.x for tick in scale.ticks()]
    assert places == sorted(places)
    assert all(9.9 <= x <= 10.1 + width for x in places)
    assert len(places) <= width / 84 + 2


@given(text=st.text(max_size=60), room=st.floats(0, 400))
def test_fitted_text_fits(text, room):
    """Text is cut to its room, and stays whole where it has room."""
    told = fitted(text, room, 12)
    assert width_of(told, 12) <= room
    assert "\n" not in told
    if text.isprintable() and width_of(text, 12) <= room:
        assert told == text


def test_letters_have_their_widths():
    """Wide letters take more room, and marks on letters take none."""
    assert width_of("i", 12) < width_of("a", 12) < width_of("A", 12) < width_of("完", 12)
    assert width_of("e\u0301", 12) == width_of("e", 12)


@given(text=st.text())
def test_cleaned_text_can_be_written(text):
    """What was cleaned is text that every reader of XML takes."""
    written = tostring(element("t", text, a=text), encoding="unicode")
    assert fromstring(written.encode()).get("a") is not None
    assert clean("a\x00\ud800b\n") == "a��b\n"


def test_numbers_are_short():
    """Two decimals do, and there is no negative nothing."""
    assert [number(value) for value in (1, 1.5, 1.005, -0.001, 100, 12.999)] == ["1", "1.5", "1", "0", "100", "13"]


@given(st.floats(0, 300), st.floats(1, 60))
def test_hatching_does_not_leave_its_rectangle(width, height):
    """Every slanted line begins and ends within."""
    path = hatching(10, 20, width, height)
    for x, y in re.findall(r"[ML](-?[\d.]+) (-?[\d.]+)", path):
        assert 9.99 <= float(x) <= 10.01 + width
        assert 19.99 <= float(y) <= 20.01 + height


@pytest.mark.parametrize(("minutes", "name"), [(330, "UTC+05:30"), (-210, "UTC-03:30"), (0, "UTC")])
def test_times_are_those_of_the_zone(minutes, name):
    """Axis and tooltips are told by the clocks of the timeline's zone: full hours there have ticks, and it is named."""
    zone = timezone(timedelta(minutes=minutes))
    timeline = Life().see(("queued", 0), ("running", 600)).timeline(now=6 * 3600)
    root = parsed(timeline_svg(timeline.in_zone(zone)))
    begin = timeline.begin.astimezone(zone)
    ticks = texts(root, "tick")
    assert len(ticks) > 3
    assert all(re.fullmatch(r"\d\d:00", text) for text in ticks)
    assert ticks[1] == f"{begin.hour + 2 - (begin.minute == 0):02}:00"
    assert texts(root, "caption") == [f"27 Nov 2026, {name}"]
    assert f"{begin:%H:%M:%S}.000 {name}" in title(of_class(root, "stay")[0])
