"""The demonstration's play: what the user of the monitor does while the executions live their story.

It acts through the monitor and looks at the service only to prove what was sent.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

import attrs

from titan_state.cli.demo_truth import Account, compare, truth
from titan_state.core.anomalies import AnomalyKind
from titan_state.core.lifecycle import Action, Status
from titan_state.errors import IllegalActionError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from titan_state.core.anomalies import Thresholds
    from titan_state.emulator import TaskServiceEmulator
    from titan_state.monitor.monitor import Monitor

STORY_S: Final = 25.0
"""When the scenario has told its story, in scenario seconds."""

LATEST_S: Final = 48.0
"""When the demonstration gives up and compares what there is."""

SETTLE_S: Final = 1.5
"""How long nothing more may happen at the end, so that an event too many is noticed too."""


@attrs.define
class Stage:
    """Everything that plays a part.

    Attributes:
        service: The embedded Task Service.
        monitor: The monitor that watches it.
        ids: The ids of the story's executions, by what they do.
        speed: Scenario seconds per second.
        say: Shows a line.
        thresholds: The monitor's thresholds.
        seen: What the callbacks saw.
        faults: What went otherwise than promised.
        refused: How many actions were refused before anything was sent.
    """

    service: TaskServiceEmulator
    monitor: Monitor
    ids: Mapping[str, str]
    speed: float
    say: Callable[[str], None]
    thresholds: Thresholds
    seen: Account = attrs.field(factory=Account)
    faults: list[str] = attrs.field(factory=list)
    refused: int = 0

    def status(self, name: str) -> str | None:
        """Return the status in which the monitor knows an execution of the story."""
        wanted = self.ids[name]
        return next((one.status for one in self.monitor.executions() if one.id == wanted), None)

    def posts(self) -> int:
        """Return how many control requests the service has counted."""
        return sum(request.method == "POST" for request in self.service.requests)

    async def until(self, is_so: Callable[[], bool], what: str) -> bool:
        """Wait for something; return False, and take it down as a fault, if it does not come in time."""
        while not is_so():
            if self.service.time() > LATEST_S:
                self.faults.append(f"not seen in time: {what}")
                return False
            await asyncio.sleep(0.05)
        return True

    async def until_time(self, at: float) -> None:
        """Wait for a scenario time."""
        await asyncio.sleep(max(0.0, at - self.service.time()) / self.speed)


async def play(stage: Stage) -> None:
    """Do what a user does: pause and resume, try what is illegal, stop what hangs; then wait for the end."""
    await _pause_a_while(stage, "long runner")
    await _try_illegal(stage, "completes")
    await _resume(stage, "long runner")
    stuck = stage.ids["stuck in queued"]
    if await stage.until(lambda: AnomalyKind.STUCK_QUEUED in stage.monitor.anomalies(stuck), "stuck_queued"):
        await stage.until_time(stage.service.time() + 2)
        await _act(stage, "stuck in queued", Action.STOP)
    flipping = stage.ids["flips by itself"]
    await stage.until(lambda: AnomalyKind.FLAPPING in stage.monitor.anomalies(flipping), "flapping")
    await stage.until_time(STORY_S)
    await _act(stage, "flips by itself", Action.STOP)
    await _act(stage, "long runner", Action.STOP)
    await stage.until(lambda: _agrees(stage), "everything that truly happened")
    await asyncio.sleep(SETTLE_S / stage.speed)


async def _pause_a_while(stage: Stage, name: str) -> None:
    await stage.until(lambda: stage.status(name) == Status.RUNNING, f"{name} running")
    await stage.until_time(3)
    await _act(stage, name, Action.PAUSE)


async def _resume(stage: Stage, name: str) -> None:
    await stage.until(lambda: stage.status(name) == Status.PAUSED, f"{name} paused")
    await stage.until_time(7)
    await _act(stage, name, Action.RESUME)


async def _try_illegal(stage: Stage, name: str) -> None:
    await stage.until(lambda: stage.status(name) == Status.COMPLETED, f"{name} completed")
    before = stage.posts()
    try:
        await stage.monitor.pause(stage.ids[name])
    except IllegalActionError as error:
        after = stage.posts()
        stage.refused += 1
        stage.say(f"> pause '{name}': refused here, {error.verdict.reason}")
        stage.say(f"  the service has counted {before} control requests before, {after} after")
        if after != before:
            stage.faults.append("an illegal action was sent all the same")
    else:
        stage.faults.append("an illegal action was not refused")


async def _act(stage: Stage, name: str, action: Action) -> None:
    stage.say(f"> {action} '{name}'")
    await stage.monitor.act(stage.ids[name], action)


def _agrees(stage: Stage) -> bool:
    true = truth(stage.service, stage.ids.values(), stage.thresholds, stage.speed)
    return not compare(stage.seen, true, {}).faults
