"""Whatever the world does and however late it is shown: what callbacks see is a legal run, or an anomaly says why."""

from __future__ import annotations

from datetime import UTC, datetime

from account import FORCING, Account
from hypothesis import example, given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule
from reborn import Store
from world import EXTENDED, LAG_S, LIFECYCLE, NAME, Dates, Look, Order, Reader, Step

from titan_state import Action, AnomalyDetected, AnomalyKind, Execution, Lifecycle, Status, Thresholds, Tracker
from titan_state.core.events import Event, Transitioned
from titan_state.core.tracking.retention import Baseline

ODD = ("weird", "odd")
THRESHOLDS = Thresholds(stuck_queued_s=None, blind_s=None, retention_s=1e6)

short = st.sampled_from([0.0, 0.1, 0.5, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 8.0, 12.0])
gaps = st.sampled_from([0.1, 0.5, 1.0, 2.0, 3.0, 4.5, 5.0, 7.0, 11.0, 20.0])
shares = st.sampled_from([0.0, 0.0, 0.1, 0.3, 0.5, 0.7, 0.9, 1.0])
models = st.sampled_from([LIFECYCLE, EXTENDED])
dates = st.sampled_from(Dates)
forward = st.sampled_from([which for which in Dates if which is not Dates.BACKWARD])
looks = st.lists(
    st.builds(Look, st.sampled_from([0.1, 0.4, 1.0, 2.0, 3.0, 5.0]), short, shares), min_size=1, max_size=9
)
orders = st.builds(
    Order,
    gaps,
    st.sampled_from([Action.PAUSE, Action.RESUME, Action.PAUSE, Action.RESUME, Action.STOP]),
    st.sampled_from([None, 0.0, 0.1, 1.0, 3.0, 6.0, 12.0, 25.0, 40.0]),
    short,
    st.sampled_from(["accepted", "accepted", "accepted", "refused", "unknown"]),
)
platform = st.builds(
    Step, gaps, st.sampled_from(["paused", "running", "paused", "running", "completed", "failed", "cancelled"])
)
lawful = st.lists(st.one_of(orders, platform), min_size=1, max_size=10).map(
    lambda items: [Step(2.0, "running"), *items]
)
anything = st.builds(Step, gaps, st.sampled_from([*Status, *ODD, "pausing", None]))
deaths = st.one_of(st.just([]), st.lists(st.integers(0, 600).map(lambda tenths: tenths / 10), max_size=4).map(sorted))
slow = st.builds(Step, st.sampled_from([40.0, 55.0]), st.sampled_from(list(Status)))
quick_looks = st.lists(
    st.builds(Look, st.sampled_from([0.5, 1.0]), st.sampled_from([0.0, 0.4, 2.0]), shares), min_size=1
)


def moves(events: list[Event]) -> list[Transitioned]:
    return [event for event in events if isinstance(event, Transitioned)]


def anomalies(events: list[Event]) -> list[AnomalyKind]:
    return [event.kind for event in events if isinstance(event, AnomalyDetected)]


def settling(dated: Dates) -> float:
    """Return how long a world must stand still until it is known."""
    return (20 if dated is Dates.BACKWARD else 8) * LAG_S


def lawful_run(
    script: list[Step | Order], reads: list[Look], lifecycle: Lifecycle, dated: Dates, restarts: list[float]
) -> Reader:
    reader = Reader(Tracker(lifecycle, THRESHOLDS), script, reads, law=True, dates=dated, restarts=restarts)
    reader.run(settle_s=settling(dated))
    return reader


class AnyAnswers(RuleBasedStateMachine):
    """Answers and actions without any sense: the account of events must stay in order."""

    @initialize(retention_s=st.sampled_from([0.0, 20.0, 900.0]), lag_s=st.sampled_from([0.0, 5.0]))
    def begin(self, retention_s: float, lag_s: float) -> None:
        self.tracker = Tracker(
            thresholds=Thresholds(retention_s=retention_s, replica_lag_s=lag_s, stuck_running_s=30.0)
        )
        self.tracker.remember_changes()
        self.store = Store()
        self.account = Account(NAME)
        self.now = 0.0
        self.may_begin_anew = False

    def _take(self, events: list[Event], *, known: str | None, finished: bool) -> None:
        self.store.save(self.tracker)
        own = [event for event in events if event.execution_id == NAME]
        self.account.take(own, new_life=self.may_begin_anew and known is None and not finished)
        assert set(self.tracker.open_anomalies(NAME)) == self.account.open
        if self.tracker.status(NAME) is not None:
            assert self.tracker.status(NAME) == self.account.status
            assert self.tracker.snapshot(NAME) is not None
        assert set(self.tracker.needs_confirmation) <= {NAME}
        if len(self.tracker) == 0:
            assert not self.tracker.needs_confirmation

    @rule(
        wait=gaps,
        ago=short,
        status=st.sampled_from([*Status, *ODD]),
        changed=st.one_of(st.none(), st.integers(-5, 5)),
    )
    def see(self, wait: float, ago: float, status: str, changed: int | None) -> None:
        self.now += wait
        known, finished = self.tracker.status(NAME), self.tracker.is_finished(NAME)
        updated_at = None if changed is None else datetime.fromtimestamp(1e6 + self.now + changed, UTC)
        execution = Execution(NAME, status, updated_at=updated_at)
        events = self.tracker.observe(execution, sent_at=self.now - ago, received_at=self.now)
        self._take(events, known=known, finished=finished)

    @rule(status=st.sampled_from(["completed", "failed"]), complete=st.booleans())
    def see_in_a_list(self, status: str, complete: bool) -> None:
        known, finished = self.tracker.status(NAME), self.tracker.is_finished(NAME)
        baseline = Baseline(complete=complete)
        events = self.tracker.observe(
            Execution(NAME, status), sent_at=self.now, received_at=self.now, baseline=baseline
        )
        if not events and known is None and not finished and self.tracker.is_finished(NAME):
            self.account.status, self.may_begin_anew = status, True  # adopted
        self._take(events, known=known, finished=finished)

    @rule(wait=gaps, ago=short)
    def miss(self, wait: float, ago: float) -> None:
        self.now += wait
        events = self.tracker.absent(NAME, sent_at=self.now - ago, received_at=self.now)
        self._take(events, known=None, finished=False)

    @rule(action=st.sampled_from(list(Action)), what=st.sampled_from(["sent", "accepted", "refused", "unknown"]))
    def act(self, action: Action, what: str) -> None:
        known, finished = self.tracker.status(NAME), self.tracker.is_finished(NAME)
        events = getattr(self.tracker, f"action_{what}")(NAME, action, at=self.now)
        assert events
        self._take(events, known=known, finished=finished)

    @rule(wait=st.sampled_from([0.25, 5.0, 61.0, 300.0, 1000.0]))
    def tick(self, wait: float) -> None:
        self.now += wait
        self._take(self.tracker.tick(self.now), known=None, finished=False)

    @rule()
    def forget(self) -> None:
        if len(self.tracker):
            self.account.open = set()  # nobody's concern any more
            self.may_begin_anew = True
        self.tracker.forget(NAME, at=self.now)
        assert NAME not in self.tracker.needs_confirmation
        self._take([], known=None, finished=False)

    @rule()
    def expect(self) -> None:
        self.tracker.expect(NAME)

    @rule(wait=gaps)
    def restart(self, wait: float) -> None:
        self.store.save(self.tracker)
        self.now += wait
        was_finished = self.tracker.is_finished(NAME)
        self.tracker, events = self.store.restart(self.tracker, self.now)
        assert self.tracker.is_finished(NAME) == was_finished
        self._take(events, known=None, finished=False)


TestAnyAnswers = AnyAnswers.TestCase
TestAnyAnswers.settings = settings(deadline=None, max_examples=150, stateful_step_count=40)


@example(  # a stale read of `paused` is taken for the second pause; then the end is seen, and no resume was missed
    [
        Step(2.0, "running"),
        Order(0.1, Action.PAUSE, 0.0, 0.0, "accepted"),
        Order(5.1, Action.PAUSE, None, 0.0, "accepted"),
        Order(0.1, Action.RESUME, 0.0, 0.0, "accepted"),
        Step(0.5, "completed"),
        Order(0.1, Action.PAUSE, None, 0.0, "accepted"),
    ],
    [Look(0.1, 0.0, 0.0), Look(0.1, 0.0, 0.3)],
    LIFECYCLE,
    Dates.TRUE,
    [],
)
@example(  # a resume is accepted after the pause that follows it: that one still supersedes it when it is old itself
    [
        Step(2.0, "running"),
        Order(0.1, Action.PAUSE, 0.0, 0.0, "accepted"),
        Order(0.1, Action.RESUME, 25.0, 2.0, "accepted"),
        Order(0.1, Action.PAUSE, 0.0, 0.0, "accepted"),
    ],
    [Look(0.1, 0.0, 0.0)],
    LIFECYCLE,
    Dates.TRUE,
    [],
)
@example(  # the refusal of the first resume arrives when the second one was accepted already
    [
        Step(2.0, "running"),
        Order(0.1, Action.RESUME, None, 0.5, "refused"),
        Order(0.1, Action.PAUSE, 0.0, 0.0, "accepted"),
        Order(0.1, Action.RESUME, 1.0, 0.0, "accepted"),
    ],
    [Look(0.1, 0.0, 0.0)],
    LIFECYCLE,
    Dates.TRUE,
    [],
)
@example(  # a resume that never has an effect seems to: the platform resumes; the pause before it is still to come
    [
        Step(2.0, "running"),
        Step(0.1, "paused"),
        Order(0.1, Action.PAUSE, 6.0, 0.0, "accepted"),
        Order(0.1, Action.RESUME, None, 0.0, "accepted"),
        Step(0.1, "running"),
    ],
    [Look(0.1, 0.0, 0.0), Look(0.1, 0.0, 0.1)],
    EXTENDED,
    Dates.TRUE,
    [],
)
@settings(deadline=None, max_examples=400)
@given(lawful, looks, models, dates, deaths)
def test_a_lawful_world_raises_no_false_alarm(
    script: list[Step | Order], reads: list[Look], lifecycle: Lifecycle, dated: Dates, restarts: list[float]
):
    """Legal moves, own actions late or refused, lagging replicas, answers in any order, restarts: no false alarm."""
    reader = lawful_run(script, reads, lifecycle, dated, restarts)
    allowed = {AnomalyKind.ACTION_NOT_APPLIED} if reader.truth.idle else set()
    assert set(anomalies(reader.events)) <= allowed
    Account(NAME, lifecycle).take(reader.events)


@settings(deadline=None, max_examples=400)
@given(lawful, looks, models, dates, deaths)
def test_a_lawful_world_is_known_in_the_end(
    script: list[Step | Order], reads: list[Look], lifecycle: Lifecycle, dated: Dates, restarts: list[float]
):
    """Once the world stands still the tracker knows its status, and has told a true end exactly once."""
    reader = lawful_run(script, reads, lifecycle, dated, restarts)
    last = reader.truth.statuses()[-1]
    assert reader.tracker.status(NAME) == last
    assert not reader.tracker.needs_confirmation
    ends = [event.dest for event in moves(reader.events) if LIFECYCLE.is_terminal(event.dest)]
    assert ends == ([last] if LIFECYCLE.is_terminal(last) else [])


@example(
    [Step(0.1, None), Step(1.0, "completed")], [Look(0.1, 0.0, 0.0), Look(0.1, 0.0, 0.5)], LIFECYCLE, Dates.TRUE, []
)
@example(
    [Step(0.1, "completed"), Step(0.1, "weird"), Step(7.0, None)], [Look(0.1, 6.0, 0.0)], LIFECYCLE, Dates.TRUE, []
)
@settings(deadline=None, max_examples=300)
@given(st.lists(st.one_of(anything, orders), max_size=12), looks, models, dates, deaths)
def test_a_lawless_world_is_known_in_the_end(
    script: list[Step | Order], reads: list[Look], lifecycle: Lifecycle, dated: Dates, restarts: list[float]
):
    """Illegal changes, others' actions, unknown statuses, deletions: the account is in order and ends in the truth."""
    reader = Reader(Tracker(lifecycle, THRESHOLDS), script, reads, law=False, dates=dated, restarts=restarts)
    reader.run(settle_s=settling(dated))
    Account(NAME, lifecycle).take(reader.events)
    last = reader.truth.changes[-1][1]
    opened = reader.tracker.open_anomalies(NAME)
    if last is None:
        assert reader.tracker.has_vanished(NAME) or reader.tracker.is_finished(NAME)
    else:
        assert AnomalyKind.VANISHED not in opened
        assert (AnomalyKind.UNKNOWN_STATUS in opened) == (not lifecycle.knows(last))
        assert not lifecycle.knows(last) or reader.tracker.status(NAME) == last
    assert not reader.tracker.needs_confirmation


@settings(deadline=None, max_examples=300)
@given(st.sampled_from([5.0, 19.0, 19.9, 21.0, 26.0, 40.0, 60.0]), looks)
def test_stuck_is_what_was_so_for_long_enough(queued_s: float, reads: list[Look]):
    """Whatever replicas show and however late: an execution that was not queued that long is never called stuck."""
    thresholds = Thresholds(stuck_queued_s=20.0, blind_s=None)
    reader = Reader(Tracker(LIFECYCLE, thresholds), [Step(queued_s, "running")], reads, law=True)
    reader.run()
    raised = anomalies(reader.events)
    if queued_s < 20.0:
        assert raised == []
    elif queued_s == 60.0:
        assert raised == [AnomalyKind.STUCK_QUEUED]
    assert reader.tracker.open_anomalies(NAME) == ()


@settings(deadline=None, max_examples=300)
@given(st.lists(slow, max_size=8), quick_looks, models, forward)
def test_nothing_that_stays_visible_is_missed(
    script: list[Step], reads: list[Look], lifecycle: Lifecycle, dated: Dates
):
    """Where each status stays visible longer than a confirmation takes, each is told once, illegal ones as forced."""
    reader = Reader(Tracker(lifecycle, THRESHOLDS), script, reads, law=False, dates=dated)
    reader.run()
    told = [event.dest for event in moves(reader.events) if not event.inferred]
    assert told == reader.truth.statuses()
    assert sum(event.forced for event in moves(reader.events)) == reader.truth.illegal()
    assert sum(kind in FORCING for kind in anomalies(reader.events)) == reader.truth.illegal()
