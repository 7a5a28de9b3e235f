"""Lives of executions for pictures, told by a real tracker, and ways to look at what was drawn."""

from __future__ import annotations

from datetime import UTC, datetime
from xml.etree.ElementTree import Element, fromstring

from titan_state import Action, Execution, Lifecycle, Thresholds, Tracker
from titan_state.core.timeline import Timeline
from titan_state.core.tracking.results import RESULT_STATUSES

NOON = 1_795_780_800.0
"""2026-11-27 12:00:00 UTC."""

HOSTILE = '<img src=x onerror="alert(1)">&\x00\x1b[31m\ud800\u202e]]>'
"""Text that is markup, and that XML cannot hold."""


def date(seconds: float) -> datetime:
    return datetime.fromtimestamp(NOON + seconds, UTC)


class Life:
    """One execution that is seen; times are seconds after noon."""

    def __init__(self, name: str = "e", **thresholds):
        self.name = name
        self.tracker = Tracker(
            thresholds=Thresholds(**{"blind_s": None, **thresholds}), result_statuses=RESULT_STATUSES
        )
        self.events = []

    def see(self, *seen, **fields):
        """See it in statuses, each with its time."""
        for status, at in seen:
            execution = Execution(self.name, status, **fields)
            self.events += self.tracker.observe(execution, sent_at=NOON + at, received_at=NOON + at)
            self.events += self.tracker.tick(NOON + at)
        return self

    def gone(self, *times):
        for at in times:
            self.events += self.tracker.absent(self.name, sent_at=NOON + at, received_at=NOON + at)
        return self

    def act(self, action: Action, at: float, answer: str = "accepted"):
        """Send an action; the answer comes a second later."""
        self.events += self.tracker.action_sent(self.name, action, at=NOON + at)
        more = {"code": "CONFLICT"} if answer == "refused" else {}
        self.events += getattr(self.tracker, f"action_{answer}")(self.name, action, at=NOON + at + 1, **more)
        return self

    def results(self, at: float):
        self.events += self.tracker.results.readable(self.name, received_at=NOON + at, row_count=3)
        return self

    def timeline(self, now: float = 1000) -> Timeline:
        return Timeline.of(self.events, now=date(now), terminal=Lifecycle.default().terminal)


def plain(name: str = "e", **fields) -> Life:
    """Return a life without trouble, paused and resumed by us."""
    life = Life(name).see(("queued", 0), ("queued", 9), ("running", 10), ("running", 59), **fields)
    life.act(Action.PAUSE, 60).see(("paused", 62), ("paused", 99), **fields)
    life.act(Action.RESUME, 100).see(("running", 102), ("running", 300), ("completed", 303), **fields)
    return life.results(305)


def troubled(name: str = "e", **fields) -> Life:
    """Return a life that was stuck, paused by nobody, left its end, and is in a status outside the model."""
    life = Life(name).see(("queued", 0), ("queued", 301), ("queued", 310), ("running", 400), **fields)
    life.see(("paused", 500), ("paused", 505), ("completed", 700), ("running", 760), ("running", 766), **fields)
    return life.see(("weird", 800), ("weird", 806), **fields).act(Action.PAUSE, 850, "refused")


def parsed(svg: str) -> Element:
    """Return a picture as a tree, without namespaces."""
    root = fromstring(svg)
    for one in root.iter():
        one.tag = one.tag.rpartition("}")[2]
    return root


def of_class(root: Element, name: str) -> list[Element]:
    return [one for one in root.iter() if name in one.get("class", "").split()]


def texts(root: Element, name: str) -> list[str]:
    """Return the text of all elements of a class."""
    return ["".join(one.itertext()) for one in of_class(root, name)]


def title(element: Element) -> str:
    found = element.find("title")
    return "" if found is None else found.text or ""
