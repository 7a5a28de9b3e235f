"""Timelines: what events tell of the life of one execution, in order whatever their times are."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from itertools import pairwise

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scene import Scene, date
from test_tracker_properties import anything, looks, orders
from world import LIFECYCLE, Reader, Step

from titan_state import Action, AnomalyKind, Execution, Lifecycle, Severity, Status, Thresholds, Tracker
from titan_state.core.events import (
    ActionSent,
    AnomalyCleared,
    AnomalyDetected,
    Event,
    ResultsReady,
    Transitioned,
)
from titan_state.core.timeline import Duration, Flag, Timeline

TERMINAL = Lifecycle.default().terminal


def timeline(events: list[Event], now: float) -> Timeline:
    return Timeline.of(events, now=date(now), terminal=TERMINAL)


def told(made: Timeline) -> list[tuple[str, float, float | None]]:
    """Return the stays as status, begin and end in seconds."""
    return [
        (stay.status, stay.begin.timestamp(), None if stay.end is None else stay.end.timestamp()) for stay in made.stays
    ]


def in_seconds(made: Timeline) -> dict[str, float]:
    return {one.status: one.seconds for one in made.durations}


def test_one_stay_for_each_status():
    """A watched run is a stay for each status; the last one of a finished execution has no end and no duration."""
    scene = Scene()
    for status, at in (("queued", 0), ("queued", 9), ("running", 10), ("running", 59), ("completed", 60)):
        scene.see(status, at)
    made = timeline(scene.events, now=1000)
    assert told(made) == [("queued", 0, 10), ("running", 10, 60), ("completed", 60, None)]
    assert (made.begin, made.end, made.is_finished, made.missing) == (date(0), date(60), True, 0)
    assert (made.status, made.is_vanished, made.execution_id) == ("completed", False, "e")
    assert [stay.earliest for stay in made.stays] == [None, date(9), date(59)]
    assert [stay.move for stay in made.stays] == [None, "start", "complete"]
    assert made.durations == (
        Duration(status="queued", seconds=10, is_exact=False, is_open=False, times=1),
        Duration(status="running", seconds=50, is_exact=True, is_open=False, times=1),
    )


def test_what_lives_goes_on_until_now():
    """The last stay of a live execution lasts until now, also where the clock says that now is earlier."""
    scene = Scene()
    scene.see("queued", 10)
    made = timeline(scene.events, now=25)
    assert (made.end, made.is_finished, told(made)) == (date(25), False, [("queued", 10, None)])
    assert made.durations == (Duration(status="queued", seconds=15, is_exact=False, is_open=True, times=1),)
    assert timeline(scene.events, now=5).end == date(10)


def test_what_happened_between_two_looks_is_spaced_evenly():
    """Inferred statuses share the time between the looks, and are never exact."""
    scene = Scene()
    scene.see("queued", 0)
    scene.see("queued", 60)
    scene.see("completed", 120)
    made = timeline(scene.events, now=500)
    assert told(made) == [("queued", 0, 90), ("running", 90, 120), ("completed", 120, None)]
    assert [stay.is_inferred for stay in made.stays] == [False, True, False]
    assert [stay.earliest for stay in made.stays] == [None, date(60), date(60)]
    assert [one.is_exact for one in made.durations] == [False, False]


def test_a_wide_interval_is_drawn_at_its_end():
    """A move that was noticed late begins when it was noticed, and may have happened earlier."""
    scene = Scene()
    scene.see("queued", 0)
    scene.see("running", 1)
    scene.act(Action.PAUSE, 600)
    scene.see("paused", 601)
    made = timeline(scene.events, now=700)
    assert (made.stays[2].begin, made.stays[2].earliest) == (date(601), date(1))
    assert made.stays[2].doubt == timedelta(seconds=600)
    assert not made.durations[1].is_exact


def test_actions_forced_moves_and_results_are_marked():
    """A move by our action, one that the model forbids, and what was done meanwhile can be told apart."""
    scene = Scene(results=True)
    scene.see("running", 0)
    scene.act(Action.PAUSE, 10)
    scene.see("paused", 11)
    scene.act(Action.RESUME, 20)
    scene.see("running", 21)
    scene.see("completed", 40)
    scene.look(41, finds=True, row_count=3)
    for at in (60, 66):
        scene.see("running", at)
    made = timeline(scene.events, now=100)
    assert [(stay.status, stay.cause, stay.is_forced) for stay in made.stays] == [
        ("running", "platform", False),
        ("paused", "action", False),
        ("running", "action", False),
        ("completed", "platform", False),
        ("running", "platform", True),
    ]
    assert [mark.event.type for mark in made.marks] == [*("action_sent", "action_accepted") * 2, "results_ready"]
    assert isinstance(made.marks[-1].event, ResultsReady)
    assert made.marks[-1].at == date(41)
    assert [(flag.kind, flag.is_open) for flag in made.flags] == [(AnomalyKind.LEFT_TERMINAL, True)]
    assert (made.is_finished, made.end) == (False, date(100))
    assert [(one.status, one.times) for one in made.durations] == [("running", 3), ("paused", 1), ("completed", 1)]
    assert in_seconds(made) == {"running": 11 + 19 + 34, "paused": 10, "completed": 26}


def test_flags_end_when_they_are_cleared():
    """An anomaly that lasts ends with its end; one that only happens ends at once; an open one has none."""
    scene = Scene()
    for status, at in (("queued", 0), ("queued", 301), ("queued", 310), ("running", 400), ("running", 410)):
        scene.see(status, at)
        scene.tick(at)
    for at in (420, 430):
        scene.see("paused", at)
    for at in (500, 506):
        scene.see("weird", at)
    made = timeline(scene.events, now=600)
    flags = {flag.kind: flag for flag in made.flags}
    assert flags[AnomalyKind.STUCK_QUEUED].until == date(400)
    assert flags[AnomalyKind.UNEXPECTED_FLIP].until == flags[AnomalyKind.UNEXPECTED_FLIP].at == date(430)
    assert flags[AnomalyKind.UNKNOWN_STATUS].is_open
    assert made.status == "weird"


def test_what_is_gone_does_not_live_on():
    """A vanished execution ends when that was noticed, and how long it lived is not exact."""
    scene = Scene()
    scene.see("queued", 0)
    scene.see("running", 1)
    scene.see("running", 100)
    for at in (110, 116):
        scene.gone(at)
    made = timeline(scene.events, now=5000)
    assert told(made) == [("queued", 0, 1), ("running", 1, 116)]
    assert (made.is_finished, made.is_vanished, made.end) == (True, True, date(116))
    assert made.durations[-1] == Duration(status="running", seconds=115, is_exact=False, is_open=False, times=1)
    scene.see("running", 130)
    made = timeline(scene.events, now=200)
    assert (made.is_finished, made.is_vanished, told(made)[-1]) == (False, False, ("running", 1, None))


def test_what_was_never_there_has_no_stays():
    """Of an id that the service never knew there is the anomaly alone."""
    scene = Scene()
    for at in (0, 20, 40):
        scene.gone(at)
        scene.tick(at)
    made = timeline(scene.events, now=100)
    assert (made.stays, made.durations, made.status) == ((), (), None)
    assert made.is_vanished
    assert made.is_finished


def test_nothing_tells_nothing():
    """No events make an empty timeline."""
    made = timeline([], now=7)
    assert (made.execution_id, made.stays, made.flags, made.marks) == ("", (), (), ())
    assert (made.begin, made.end, made.is_finished, made.durations) == (date(7), date(7), False, ())


def pruned() -> list[Event]:
    """Return the events of an execution whose first two moves are not in the log any more."""
    scene = Scene()
    scene.see("queued", 0)
    scene.see("running", 10)
    scene.send(Action.PAUSE, 20)
    scene.see("paused", 30)
    return scene.events


def test_the_log_may_begin_in_the_middle():
    """What the first move left counts from the first event on; how long before is not known."""
    made = timeline(pruned()[2:], now=50)
    assert told(made) == [("running", 10, 30), ("paused", 30, None)]
    assert (made.missing, made.begin, made.stays[0].earliest) == (2, date(10), None)
    made = timeline(pruned()[2:3], now=50)
    assert (told(made), made.missing) == ([("running", 20, None)], 2)


def test_an_end_without_a_beginning():
    """An anomaly whose detection is not in the log any more began at the log's beginning at the earliest."""
    event = AnomalyCleared(
        execution_id="e",
        seq=5,
        at=date(50),
        execution=Execution("e", "running"),
        kind=AnomalyKind.FLAPPING,
        message="it is quiet",
        since=date(10),
    )
    made = timeline([attrs.evolve(event, seq=4, at=date(40), kind=AnomalyKind.STUCK_RUNNING), event], now=60)
    flapping = Flag(
        kind=AnomalyKind.FLAPPING,
        severity=Severity.WARNING,
        message="until it is quiet",
        check_first="whether pause/resume logic is in use",
        at=date(40),
        until=date(50),
    )
    assert flapping in made.flags
    assert (made.missing, told(made)) == (3, [("running", 40, None)])


def test_times_that_run_backwards_are_held():
    """What is dated before the event ahead of it counts as at the same time."""
    events = pruned()
    early = [attrs.evolve(event, at=date(-5), before=date(-5)) for event in events if isinstance(event, Transitioned)]
    made = timeline([events[0], *early], now=-100)
    assert [stay.begin for stay in made.stays] == [date(0)] * 4
    assert made.end == date(0)


times = st.datetimes(timezones=st.just(UTC)) | st.integers(0, 100).map(date)
statuses = st.sampled_from([*Status, "weird", "completed"])


@st.composite
def hostile(draw: st.DrawFn) -> Event:
    """Return an event with any times, and sources that need not fit the events before it."""
    executions = st.none() | st.builds(Execution, st.just("e"), statuses)
    about = {"execution_id": "e", "seq": draw(st.integers(-1, 9)), "at": draw(times)}
    kind = draw(st.sampled_from([Transitioned] * 5 + [AnomalyDetected, AnomalyCleared, ActionSent, ResultsReady]))
    after, before = draw(times), draw(times)
    if kind is Transitioned:
        dest = draw(statuses)
        return Transitioned(
            **about,
            execution=Execution("e", dest),
            source=draw(st.none() | statuses),
            dest=dest,
            inferred=draw(st.booleans()),
            forced=draw(st.booleans()),
            after=draw(st.sampled_from([None, after, date(1)])),
            before=draw(st.sampled_from([before, date(90)])),
        )
    about["execution"] = draw(executions)
    if kind is AnomalyDetected:
        anomaly = draw(st.sampled_from([AnomalyKind.VANISHED, AnomalyKind.FLAPPING, AnomalyKind.ILLEGAL_MOVE]))
        return AnomalyDetected(**about, kind=anomaly, severity=Severity.ERROR, message="m", check_first="c")
    if kind is AnomalyCleared:
        return AnomalyCleared(**about, kind=draw(st.sampled_from(AnomalyKind)), message="m", since=draw(times))
    if kind is ResultsReady:
        return ResultsReady(**about, status="completed", after=after, before=before)
    return ActionSent(**about, action=Action.STOP)


def assert_in_order(made: Timeline) -> None:
    """Assert what holds of every timeline."""
    assert made.begin <= made.end
    assert all(first.end == second.begin for first, second in pairwise(made.stays))
    for stay in made.stays:
        assert made.begin <= stay.begin <= (stay.end or made.end) <= made.end
        assert stay.earliest is None or stay.earliest <= stay.begin
        assert stay.doubt >= timedelta(0)
    for flag in made.flags:
        assert made.begin <= flag.at <= (flag.until or made.end) <= made.end
    assert all(made.begin <= mark.at <= made.end for mark in made.marks)
    assert made.missing >= 0
    for one in made.durations:
        assert one.seconds >= 0
        assert one.times > 0
    if made.stays:
        last = made.stays[-1]
        end = last.end or (last.begin if made.is_finished else made.end)
        total = sum(one.seconds for one in made.durations)
        assert total == pytest.approx((end - made.stays[0].begin).total_seconds(), abs=1e-3)


@given(events=st.lists(hostile(), max_size=12), now=times)
def test_whatever_the_events_are_a_timeline_is_in_order(events: list[Event], now: datetime):
    """Stays follow each other without a gap, nothing lasts less than no time, and nothing raises."""
    assert_in_order(Timeline.of(events, now=now, terminal=TERMINAL))


@given(script=st.lists(st.one_of(orders, anything), max_size=10), reads=looks, dropped=st.integers(0, 5))
def test_timelines_of_a_tracker_are_in_order(script: list, reads: list, dropped: int):
    """Of what a tracker says, a timeline ends in the tracker's status, or outside the model if that is said."""
    tracker = Tracker(LIFECYCLE, Thresholds(stuck_queued_s=20.0, blind_s=None))
    reader = Reader(tracker, [Step(1.0, "running"), *script], reads, law=False)
    reader.run()
    made = Timeline.of(reader.events[dropped:], now=date(10_000), terminal=TERMINAL)
    assert_in_order(made)
    if dropped == 0 and AnomalyKind.UNKNOWN_STATUS in reader.tracker.open_anomalies("e"):
        assert not LIFECYCLE.knows(made.status)
    elif dropped == 0 and reader.tracker.status("e") is not None:
        assert made.status == reader.tracker.status("e")


def test_what_comes_and_goes_often():
    """Each time that an anomaly is raised is a flag of its own, which ends when that time is over."""
    events = []
    for number in range(3000):
        at = 10.0 * number
        values = {"execution_id": "e", "at": date(at), "kind": AnomalyKind.FLAPPING, "message": "m"}
        events.append(AnomalyDetected(seq=2 * number + 1, severity=Severity.WARNING, check_first="c", **values))
        cleared = values | {"at": date(at + 4), "since": date(at)}
        events.append(AnomalyCleared(seq=2 * number + 2, **cleared))
    made = timeline(events, now=40_000)
    assert [(flag.at, flag.until) for flag in made.flags] == [
        (date(10.0 * number), date(10.0 * number + 4)) for number in range(3000)
    ]


def test_a_status_outside_the_model_is_a_stay():
    """What the service called it meanwhile is told, and the known status goes on when it says that again."""
    scene = Scene()
    for status, at in (("running", 0), ("throttled", 10), ("throttled", 20), ("running", 30), ("running", 40)):
        scene.see(status, at)
    made = timeline(scene.events, now=100)
    assert told(made) == [("running", 0, 10), ("throttled", 10, 30), ("running", 30, None)]
    assert in_seconds(made) == {"running": 80, "throttled": 20}


def test_it_moves_on_from_outside_the_model():
    """A status that the model orders after the known one ends the other, and nothing comes in between."""
    scene = Scene()
    for status, at in (("running", 0), ("throttled", 10), ("completed", 30)):
        scene.see(status, at)
    made = timeline(scene.events, now=100)
    assert told(made) == [("running", 0, 10), ("throttled", 10, 30), ("completed", 30, None)]


def test_what_was_only_seen_outside_the_model():
    """An execution that was first seen in another status is told from there on."""
    scene = Scene()
    scene.see("throttled", 10)
    assert told(timeline(scene.events, now=20)) == [("throttled", 10, None)]
    scene.see("running", 30)
    assert told(timeline(scene.events, now=40)) == [("throttled", 10, 30), ("running", 30, None)]


def test_it_can_be_told_by_other_clocks():
    """In another time zone it is the same timeline, each time told by the clocks there."""
    scene = Scene()
    for status, at in (("queued", 0), ("running", 10), ("paused", 20), ("paused", 60), ("running", 80)):
        scene.see(status, at)
    made = timeline(scene.events, now=90)
    there = made.in_zone(timezone(timedelta(hours=5, minutes=30)))
    assert there == made
    assert made.flags
    times = [there.begin, there.end, *(stay.begin for stay in there.stays), *(flag.at for flag in there.flags)]
    assert {time.utcoffset() for time in times} == {timedelta(hours=5, minutes=30)}
