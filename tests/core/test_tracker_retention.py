"""Retention: what is remembered of executions that are no longer kept in full, and what a live one costs."""

from __future__ import annotations

import gc
import subprocess
import sys

import pytest
from scene import Scene, cleared, date, moved, raised

from titan_state import AnomalyKind, Execution
from titan_state.core.tracking.record import Record
from titan_state.core.tracking.retention import Baseline, Retention

KEPT_S = 900.0


def ignore(execution_id: str, ended: float | None) -> None:
    """Be told of what changed, where nothing is to survive."""


def let_go() -> Scene:
    """Return a scene in which `e` ran, completed, and was let go of."""
    scene = Scene()
    scene.see("running", 0.0)
    scene.see("completed", 1.0)
    scene.tick(1.0 + KEPT_S)
    assert len(scene.tracker) == 0
    return scene


def test_a_finished_execution_is_kept_in_full_for_a_while():
    """Until the retention is over the snapshot is there; then only the end is remembered."""
    scene = Scene()
    scene.see("completed", 1.0)
    scene.tick(KEPT_S)
    assert scene.tracker.snapshot("e") is not None
    scene.tick(KEPT_S + 1.0)
    assert scene.tracker.snapshot("e") is None
    assert scene.tracker.is_finished("e")
    assert scene.tracker.knows("e")


def test_a_list_that_shows_it_again_stays_silent():
    """A finished execution that was let go is not told again, with or without a baseline."""
    scene = let_go()
    assert scene.see("completed", 2000.0) == []
    assert scene.see("completed", 2001.0, baseline=Baseline(complete=True)) == []
    assert len(scene.tracker) == 0


def test_one_that_runs_again_has_left_its_end():
    """Shown running again it is held, confirmed and told, and its numbers go on."""
    scene = let_go()
    assert scene.see("running", 2000.0, baseline=Baseline()) == []
    assert scene.tracker.needs_confirmation == {"e": 2005.0}
    events = scene.see("running", 2005.0)
    assert raised(events) == [AnomalyKind.LEFT_TERMINAL]
    assert moved(events) == [("completed", "running")]
    assert [event.seq for event in scene.events] == [1, 2, 3, 4]


def test_one_that_only_seemed_to_run_again_is_let_go_again():
    """A stale answer brings a remembered execution back for the retention at most."""
    scene = let_go()
    scene.see("running", 2000.0)
    scene.see("completed", 2001.0)
    scene.tick(2001.0 + KEPT_S)
    assert len(scene.tracker) == 0
    assert scene.see("completed", 4000.0) == []


def test_what_awaits_confirmation_is_not_let_go():
    """The end of the retention waits for a suspicion to be settled."""
    scene = Scene()
    scene.see("completed", 0.0)
    scene.see("running", KEPT_S - 1.0)
    scene.tick(KEPT_S + 1.0)
    assert scene.tracker.status("e") == "completed"
    assert raised(scene.see("running", KEPT_S + 4.0)) == [AnomalyKind.LEFT_TERMINAL]


def test_what_awaits_confirmation_is_not_let_go_without_a_lag_either():
    """With no lag and no retention at all a suspicion still gets its second read."""
    scene = Scene(replica_lag_s=0.0, retention_s=0.0)
    scene.see("completed", 0.0)
    scene.see("running", 1.0)
    scene.tick(2.0)
    assert list(scene.tracker.needs_confirmation) == ["e"]
    assert raised(scene.see("running", 3.0)) == [AnomalyKind.LEFT_TERMINAL]


def test_an_unknown_status_after_the_end_is_raised_once():
    """A finished execution that is shown in an unknown status for hours is raised once, not once per retention."""
    scene = Scene()
    scene.see("completed", 0.0)
    for second in range(60, 4000, 60):
        scene.see("archived", float(second))
        scene.tick(float(second))
    assert raised(scene.events) == [AnomalyKind.UNKNOWN_STATUS]
    scene.tick(5000.0)
    assert len(scene.tracker) == 0


def test_an_action_on_what_was_let_go_continues_its_numbers():
    """An action brings a remembered execution back, for the retention, and no number is used twice."""
    scene = let_go()
    scene.tracker.action_sent("e", "stop", at=2000.0)
    (event,) = scene.tracker.action_refused("e", "stop", at=2001.0)
    assert event.seq == 4
    scene.tick(2001.0 + KEPT_S)
    assert len(scene.tracker) == 0


def test_forgetting_a_live_execution():
    """A live execution that is watched again after `forget` is seen for the first time, with numbers going on."""
    scene = Scene()
    scene.see("running", 0.0)
    scene.see("paused", 1.0)
    scene.tracker.forget("e", at=2.0)
    assert not scene.tracker.needs_confirmation
    assert scene.tracker.status("e") is None
    assert not scene.tracker.is_finished("e")
    scene.see("running", 3.0)
    assert moved(scene.events) == [(None, "running"), (None, "running")]
    assert [event.seq for event in scene.events] == [1, 2]
    scene.tracker.forget("nobody", at=4.0)


def test_forgetting_a_finished_execution():
    """A finished one stays silent in lists after `forget`, and is told again when it is asked for by its id."""
    scene = Scene()
    scene.see("completed", 0.0)
    scene.tracker.forget("e", at=1.0)
    assert scene.see("completed", 2.0, baseline=Baseline()) == []
    scene.tracker.expect("e")
    assert moved(scene.see("completed", 3.0)) == [(None, "completed")]
    assert [event.seq for event in scene.events] == [1, 2]


def test_what_was_told_and_let_go_is_not_told_again():
    """`expect` concerns what nobody watched: an end that was told while it was watched is not told twice."""
    scene = let_go()
    scene.tracker.expect("e")
    assert scene.see("completed", 2000.0) == []
    assert scene.tracker.is_finished("e")


def test_forgetting_leaves_nothing_of_an_execution_that_had_no_event():
    """An id that was only asked for leaves no trace."""
    scene = Scene()
    scene.gone(0.0)
    scene.tracker.forget("e", at=1.0)
    assert not scene.tracker.knows("e")
    assert not scene.tracker.needs_confirmation


def test_a_timer_of_a_forgotten_execution_is_idle():
    """A review that comes due after `forget` finds nothing to do."""
    scene = Scene()
    scene.see("queued", 0.0)
    scene.tracker.forget("e", at=1.0)
    assert scene.tick(1000.0) == []


def test_event_ids_are_never_used_twice():
    """Through vanishing, forgetting, ends and retention every event has a number of its own."""
    scene = Scene()
    now = 0.0
    for _ in range(5):
        for status in ("running", "completed", "completed"):
            now += 10.0
            scene.see(status, now)
        now += KEPT_S
        scene.tick(now)
        for _ in range(2):
            now += 6.0
            scene.see("running", now)
        scene.tracker.forget("e", at=now)
    ids = [event.id for event in scene.events]
    assert ids == [f"e:{number}" for number in range(1, len(ids) + 1)]
    assert cleared(scene.events) == []


def test_memory_is_bounded_by_two_generations():
    """At least one generation is remembered, at most two; of older ones only the date of their end."""
    retention = Retention({}, ignore, generation=3)
    for number in range(7):
        retention.adopt(Execution(f"e{number}", "completed", finished_at=date(100 + number)), date(1000))
    assert [retention.remembers_end(f"e{number}") for number in range(7)] == [False] * 3 + [True] * 4
    late = Baseline(date(0), complete=True)
    assert retention.is_old_news(Execution("x", "completed", finished_at=date(102)), late)
    assert not retention.is_old_news(Execution("x", "completed", finished_at=date(103)), late)


def test_a_clock_that_runs_ahead_does_not_silence_what_is_still_to_come():
    """Ends dated in the future are taken for today."""
    retention = Retention({}, ignore, generation=1)
    for number in range(4):
        retention.adopt(Execution(f"e{number}", "completed", finished_at=date(1_000_000)), date(500))
    assert not retention.is_old_news(Execution("x", "completed", finished_at=date(501)), Baseline(complete=True))


def test_timers_do_not_keep_what_was_let_go():
    """A rule that is far off holds no record for longer than a quarter of an hour after it was let go."""
    scene = Scene(stuck_running_s=1e7, retention_s=60.0)
    for number in range(100):
        scene.see("running", 0.0, name=f"timed-{number}")
        scene.see("completed", 1.0, name=f"timed-{number}")
    for now in (100.0, 1100.0):
        scene.tick(now)
    assert len(scene.tracker) == 0
    gc.collect()
    assert [one for one in gc.get_objects() if isinstance(one, Record) and one.id.startswith("timed-")] == []


def test_expect_reaches_both_generations():
    """An adopted execution is told on request, whichever generation it is in."""
    records: dict[str, Record] = {}
    retention = Retention(records, ignore, generation=1)
    retention.adopt(Execution("old", "completed"), date(0))
    retention.adopt(Execution("young", "completed"), date(0))
    for name in ("old", "young", "nobody"):
        retention.unadopt(name)
        assert not retention.remembers_end(name)
    assert retention.revive("nobody", 0.0) is None
    revived = retention.revive("old", 0.0)
    assert revived is not None
    assert retention.keeps(revived)
    assert retention.find("old") is None


MEASURE = """
import gc, json, os, uuid
from titan_state import Execution, Tracker

def resident():
    with open("/proc/self/statm") as statm:
        return int(statm.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")

def page(number):
    return json.dumps([{
        "id": str(uuid.UUID(int=(number * 100 + item) * 2**64 + 12345678901)),
        "task_id": str(uuid.UUID(int=(number * 100 + item) % 50)),
        "status": ("queued", "running", "running", "paused")[item % 4],
        "created_at": f"2026-11-24T10:{item % 60:02}:{number % 60:02}.123456Z",
        "updated_at": f"2026-11-24T11:{item % 60:02}:{number % 60:02}.654321Z",
        "started_at": f"2026-11-24T10:{item % 60:02}:{number % 60:02}.5Z",
        "progress": (number * 100 + item) / 100_000,
        "phase": ("fetching", "parsing", "writing")[item % 3],
    } for item in range(100)])

def sweep(tracker, pages, start):
    for number in range(pages):
        sent_at, received_at = start + number * 0.5, start + number * 0.5 + 0.2
        for payload in json.loads(page(number)):
            tracker.observe(Execution.from_payload(payload), sent_at=sent_at, received_at=received_at)

sweep(Tracker(), 20, 0.0)  # whatever is loaded or cached at first use
gc.collect()
before = resident()
tracker = Tracker()
sweep(tracker, 1000, 0.0)
gc.collect()
first = resident() - before
sweep(tracker, 1000, 1000.0)
gc.collect()
second = resident() - before
assert len(tracker) == 100_000
print(first / 100_000, second / 100_000)
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc/self/statm")
def test_a_live_execution_costs_at_most_five_hundred_bytes():
    """A hundred thousand live executions, read from lists twice, stay within 500 bytes of resident memory each."""
    found = subprocess.run([sys.executable, "-c", MEASURE], capture_output=True, text=True, check=True, timeout=110)
    first, second = map(float, found.stdout.split())
    assert 0 < first <= 500
    assert second <= 500


def test_what_was_raised_of_an_execution_ends_also_after_it_was_let_go():
    """A finished execution in an odd status, and one that flapped and vanished: the end of each is told once."""
    scene = Scene(flap_count=1)
    scene.see("completed", 0.0)
    scene.see("weird", 10.0)
    scene.see("running", 0.0, name="f")
    for sent in (10.0, 15.0):
        scene.see("paused", sent, name="f")
    for sent in (20.0, 25.0):
        scene.gone(sent, name="f")
    scene.tick(10.0 + 3 * KEPT_S)
    assert len(scene.tracker) == 0
    assert scene.tracker.open_anomalies("e") == (AnomalyKind.UNKNOWN_STATUS,)
    assert set(scene.tracker.open_anomalies("f")) == {AnomalyKind.FLAPPING, AnomalyKind.VANISHED}
    back = 20.0 + 3 * KEPT_S
    assert cleared(scene.see("completed", back)) == [AnomalyKind.UNKNOWN_STATUS]
    assert cleared(scene.see("paused", back, name="f")) == [AnomalyKind.VANISHED]
    assert cleared(scene.tick(back + 1.0)) == [AnomalyKind.FLAPPING]
    assert scene.see("completed", back + 2.0) == scene.see("paused", back + 2.0, name="f") == []
