"""Thresholds and the table of anomalies: what is refused, what holds for single tasks, and that no row is missing."""

from __future__ import annotations

import attrs
import pytest

from titan_state.core.anomalies import RULES, STUCK, AnomalyKind, Severity, Thresholds
from titan_state.errors import ConfigurationError

DURATIONS = [field.name for field in attrs.fields(Thresholds) if field.name.endswith("_s")]
NEEDED = {"replica_lag_s", "flap_window_s", "not_found_s", "retention_s"}


def test_defaults_are_those_of_the_documentation():
    """Without arguments the thresholds are the documented ones."""
    assert Thresholds() == Thresholds(
        replica_lag_s=5,
        stuck_queued_s=300,
        stuck_running_s=None,
        stuck_paused_s=None,
        flap_count=4,
        flap_window_s=600,
        action_s=60,
        blind_s=300,
        results_s=300,
    )


@pytest.mark.parametrize("name", DURATIONS)
@pytest.mark.parametrize("value", [-1, float("nan"), float("inf"), True, "5", 10**400, [5]])
def test_duration_that_cannot_be_is_refused(name, value):
    """A duration is a finite number of seconds, 0 or more; the message names the threshold."""
    with pytest.raises(ConfigurationError, match=rf"^{name} must be a number of seconds from 0 to 1e\+09"):
        Thresholds(**{name: value})


@pytest.mark.parametrize("name", DURATIONS)
def test_none_switches_off_what_can_be_switched_off(name):
    """None is no duration where the library cannot do without one, and switches the rule off elsewhere."""
    if name in NEEDED:
        with pytest.raises(ConfigurationError, match="not None") as caught:
            Thresholds(**{name: None})
        assert "switch" not in str(caught.value)
    else:
        assert getattr(Thresholds(**{name: None}), name) is None
        with pytest.raises(ConfigurationError, match="or None to switch it off, not -1"):
            Thresholds(**{name: -1})
    assert getattr(Thresholds(**{name: 0}), name) == 0


@pytest.mark.parametrize("value", [0, -1, 2.0, True, "4"])
def test_count_that_cannot_be_is_refused(value):
    """The number of flips is a whole number of at least 1, or None."""
    with pytest.raises(ConfigurationError, match="flap_count must be a whole number of at least 1, or None"):
        Thresholds(flap_count=value)
    assert Thresholds(flap_count=None).flap_count is None


@pytest.mark.parametrize("value", [None, 5, ["t"], {"t": 5}, {"t": {"stuck_running_s": 5}}, {7: Thresholds()}])
def test_thresholds_of_tasks_that_cannot_be_are_refused(value):
    """Values for single tasks are thresholds by task id, said at once and not when a task is first seen."""
    with pytest.raises(ConfigurationError, match="tasks must map task ids to Thresholds"):
        Thresholds(tasks=value)


def test_thresholds_are_frozen_and_apart_from_their_argument():
    """Neither setting an attribute nor changing the mapping that was given changes them."""
    tasks = {"slow": Thresholds(stuck_queued_s=900)}
    thresholds = Thresholds(tasks=tasks)
    tasks.clear()
    assert thresholds.stuck_after("queued", "slow") == 900
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        thresholds.action_s = 1


def test_single_tasks_have_their_own_times():
    """A task with thresholds of its own is held to those, every other execution to the general ones."""
    thresholds = Thresholds(
        stuck_running_s=50, tasks={"slow": Thresholds(stuck_queued_s=None, stuck_running_s=900, stuck_paused_s=7)}
    )
    assert thresholds.stuck_after("queued", None) == 300
    assert thresholds.stuck_after("queued", "other") == 300
    assert thresholds.stuck_after("queued", "slow") is None
    assert thresholds.stuck_after("running", "other") == 50
    assert thresholds.stuck_after("running", "slow") == 900
    assert thresholds.stuck_after("paused", "slow") == 7
    assert thresholds.stuck_after("completed", "slow") is None
    assert thresholds.stuck_after("assigned", None) is None


def test_every_kind_of_anomaly_has_a_rule():
    """Each kind has a severity and something to check first; what never ends is an event of one moment."""
    assert set(RULES) == set(AnomalyKind)
    assert all(isinstance(rule.severity, Severity) and rule.check_first for rule in RULES.values())
    assert {kind for kind, rule in RULES.items() if not rule.ends} == {
        AnomalyKind.ILLEGAL_MOVE,
        AnomalyKind.UNEXPECTED_FLIP,
    }
    assert all(kind.value == f"stuck_{status}" for status, kind in STUCK.items())
