"""The planner against any world: pages that show anything in any order, failures, actions, watches that come and go.

Held: nothing that is watched is forgotten, and nothing is asked for twice at the same time.
"""

from __future__ import annotations

from math import inf

from desk import Desk
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from titan_state import Execution
from titan_state.core.planning.reads import ListPage
from titan_state.core.planning.window import Shown
from titan_state.monitor.watches import Watches

TASKS = {"a": "t", "b": "t", "c": "t", "d": "u", "e": "u", "f": None}
LISTS = st.sampled_from([None, "t", "u"])
NAMES = st.sampled_from(sorted(TASKS))
STATUSES = st.sampled_from(["queued", "running", "paused", "completed", "failed", "weird"])
LONGEST_DELAY_S = 5.0
SOON_S = 15.0
"""Long enough for a delay after a failure, a look at the next page and a read; too short for luck."""
PAGE_SIZE = 2


class AnyWorld(RuleBasedStateMachine):
    """A planner whose reads are answered in any order, by anything."""

    def __init__(self):
        super().__init__()
        self.desk = Desk(newest_first=True)
        self.planner, self.tracker = self.desk.planner, self.desk.tracker
        self.watches = Watches()
        self.now = 0.0
        self.under_way: dict[object, float] = {}

    def watched(self, name):
        return self.watches.covers(name, TASKS[name])

    def live(self):
        """Return what must not be forgotten: the live executions that are watched."""
        return {name for name in TASKS if self.tracker.is_live(name) and self.watched(name)}

    @rule(name=NAMES)
    def watch(self, name):
        self.watches.ids.add(name)
        self.tracker.expect(name)
        self.planner.watch(name, self.now)

    @rule(task_id=LISTS)
    def watch_list(self, task_id):
        if task_id not in self.watches.lists:
            self.watches.lists[task_id] = None
            self.planner.watch_list(task_id, self.now)

    @rule(name=NAMES)
    def unwatch(self, name):
        self.watches.ids.discard(name)
        self.planner.unwatch(name)
        self.forget()

    @rule(task_id=LISTS)
    def unwatch_list(self, task_id):
        self.watches.lists.pop(task_id, None)
        self.planner.unwatch_list(task_id)
        self.forget()

    def forget(self):
        for name in TASKS:
            if not self.watched(name):
                self.tracker.forget(name, at=self.now)

    @rule(seconds=st.sampled_from([0.1, 1.0, 2.0, 5.0, 30.0]))
    def wait(self, seconds):
        self.now += seconds
        self.desk.tick(self.now)

    @rule(name=NAMES, status=STATUSES)
    def read_by_somebody_else(self, name, status):
        """An action reads, too, and its answer is taken in past the planner."""
        if self.watched(name):
            self.see(name, status, self.now)
            self.planner.soon(name, self.now)

    @rule(task_id=LISTS)
    def order_is_odd(self, task_id):
        self.planner.sweep_again(task_id, self.now)

    @rule(most=st.integers(1, 4))
    def send(self, most):
        for _ in range(most):
            choice = self.planner.next(self.now)
            if choice is None:
                return
            assert choice.target not in self.under_way
            self.under_way[choice.target] = self.now

    @precondition(lambda self: self.under_way)
    @rule(data=st.data())
    def answer(self, data):
        target = data.draw(st.sampled_from(sorted(self.under_way, key=str)))
        sent_at = self.under_way.pop(target)
        fault = data.draw(st.sampled_from(["none", "none", "none", "failed", "refused"]))
        if fault == "failed":
            self.planner.failed(target, self.now, data.draw(st.floats(0.0, LONGEST_DELAY_S)))
        elif not isinstance(target, ListPage):
            self.read(target, sent_at, data.draw(st.none() | STATUSES))
        elif fault == "refused":
            if not self.planner.list_refused(target):
                self.planner.failed(target, self.now, LONGEST_DELAY_S)
        else:
            listed = [name for name in TASKS if target.task_id in (None, TASKS[name])]
            shows = data.draw(st.dictionaries(st.sampled_from(listed), STATUSES, max_size=4))
            self.show(target, sent_at, shows, last=data.draw(st.booleans()))

    def see(self, name, status, sent_at):
        execution = Execution(name, status, task_id=TASKS[name])
        self.tracker.observe(execution, sent_at=sent_at, received_at=self.now)

    def read(self, name, sent_at, status):
        if status is None:
            self.tracker.absent(name, sent_at=sent_at, received_at=self.now)
        elif self.watched(name):
            self.see(name, status, sent_at)
        else:
            self.planner.unwatch(name)
        self.planner.read(name, self.now)

    def show(self, target, sent_at, shows, *, last):
        shows = {name: status for name, status in shows.items() if self.watched(name)}
        known = any(self.tracker.knows(name) for name in shows)
        for name, status in shows.items():
            self.see(name, status, sent_at)
        ends_new = bool(shows) and not known
        self.planner.page_read(target, Shown(list(shows), last, ends_new), sent_at=sent_at, now=self.now)

    @invariant()
    def lateness_is_a_number(self):
        assert 0.0 <= self.planner.behind_s(self.now) < inf

    @invariant()
    def only_what_is_planned_or_under_way_has_a_part_in_the_price(self):
        agenda = self.planner._agenda
        assert set(agenda._demands) <= {*agenda, *self.under_way}
        assert agenda.alone == sum(isinstance(target, str) for target in agenda._demands)

    @rule()
    def settle(self):
        """Let the service be honest for a while: everything live that is watched is read or shown."""
        waiting = self.live()
        end = self.now + SOON_S
        requests = 0
        for target in list(self.under_way):
            del self.under_way[target]
            self.planner.failed(target, self.now, LONGEST_DELAY_S)
        while (at := max(self.now, self.planner.next_at())) <= end:
            self.now = at
            choice = self.planner.next(self.now)
            requests += 1
            assert requests < 500
            if choice is None:
                continue
            if isinstance(choice.target, ListPage):
                names = [name for name in sorted(TASKS) if choice.target.task_id in (None, TASKS[name])]
                start = choice.target.page * PAGE_SIZE
                here = names[start : start + PAGE_SIZE]
                waiting -= set(here)
                shows = {name: self.tracker.status(name) or "running" for name in here}
                self.show(choice.target, self.now, shows, last=start + PAGE_SIZE >= len(names))
            else:
                waiting.discard(choice.target)
                self.read(choice.target, self.now, self.tracker.status(choice.target) or "running")
            waiting &= self.live()
        self.now = end
        assert not waiting

    def teardown(self):
        self.settle()


TestAnyWorld = AnyWorld.TestCase
TestAnyWorld.settings = settings(max_examples=60, stateful_step_count=40)
