"""The embedded Task Service: a test double of the platform's HTTP API, on loopback. Only names are re-exported here."""

from titan_state.emulator.backend import SCOPES, RequestRecord, Settings
from titan_state.emulator.faults import Faults, When
from titan_state.emulator.plan import Plan, Step
from titan_state.emulator.run import HistoryEntry
from titan_state.emulator.scenario import Scenario, Task
from titan_state.emulator.server import DEFAULT_TOKEN, TaskServiceEmulator

__all__ = [
    "DEFAULT_TOKEN",
    "SCOPES",
    "Faults",
    "HistoryEntry",
    "Plan",
    "RequestRecord",
    "Scenario",
    "Settings",
    "Step",
    "Task",
    "TaskServiceEmulator",
    "When",
]
