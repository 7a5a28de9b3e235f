"""What the tests of the planner say, in few words: what is due is read, one execution or one page at a time."""

from __future__ import annotations

from scene import Scene

from titan_state.core.planner import Planner
from titan_state.core.planning.reads import ListPage
from titan_state.core.planning.window import Shown

ALL = ListPage(None, 0)
NEXT = ListPage(None, 1)


class Desk(Scene):
    """A planner and its tracker, and the reads that the planner asks for."""

    def __init__(self, *, newest_first: bool = True, **thresholds):
        super().__init__(**thresholds)
        self.planner = Planner(self.tracker, interval_s=2.0, newest_first=newest_first)

    def due(self, now):
        """Take everything that is due."""
        targets = []
        while (choice := self.planner.next(now)) is not None:
            targets.append(choice.target)
            assert len(targets) < 100
        return targets

    def read(self, name, now, status="running"):
        """Answer the read of one execution; None for a 404."""
        if status is None:
            self.gone(now, name=name)
        else:
            self.see(status, now, name=name)
        self.planner.read(name, now)

    def page(self, target, now, shows, *, last=True, ends_new=False, task_id=None):
        """Answer the read of a page, which shows executions in their statuses."""
        for name, status in shows.items():
            self.see(status, now, name=name, task_id=target.task_id or task_id)
        shown = Shown(list(shows), last, ends_new, offset=100 * max(0, target.page))
        return self.planner.page_read(target, shown, sent_at=now, now=now)

    def play(self, until, answer, now=0.0):
        """Let `answer` answer every read when it is due, and return what was read, with the times."""
        log = []
        while (at := max(now, self.planner.next_at())) <= until:
            now = at
            for target in self.due(now):
                log.append((now, target))
                answer(target, now)
            assert len(log) < 1000
        return log


def live(*names):
    return dict.fromkeys(names, "running")
