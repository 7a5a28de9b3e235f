"""Every success is exported once, byte for byte, though results are late, downloads break, and programs are killed."""

from __future__ import annotations

import asyncio
import os
import random
import sys
from collections import Counter
from pathlib import Path

import pytest

from titan_state.emulator import Faults, Plan, Scenario, Step, TaskServiceEmulator
from titan_state.emulator.faults import When

COUNT = 500
FAILING = 50
KILLS = 8
EXPORTER = Path(__file__).with_name("exporter.py")
ENDS = ("completed", "completed_with_errors")


def plans(rng: random.Random) -> list[Plan]:
    return [
        Plan(
            id=f"e{number}",
            task_id="t",
            steps=[
                Step("running", rng.random()),
                Step(rng.choice(ENDS) if number < COUNT else "failed", 5 + 10 * rng.random()),
            ],
            results_after_s=rng.random() * 4,
            rows=rng.randrange(0, 40),
            padding=rng.choice([0, 0, 50, 5000]),
        )
        for number in range(COUNT + FAILING)
    ]


def faults() -> Faults:
    return Faults(
        broken_body=When(0.1, only="/results"),
        wrong_length=When(0.05, only="/export"),
        truncated=When(0.03, only="/results"),
        garbled=When(0.02, only="/results"),
        html=When(0.02, only="/results"),
        server_error=0.03,
        reset=0.02,
        spurious_429=0.005,
        spurious_reset_s=0.5,
        stale=0.2,
        stale_s=1.0,
        seed=11,
    )


@pytest.mark.timeout(300)
async def test_each_success_is_exported_once(tmp_path):
    """After kills at random times every export is there, whole and right, each was new once, and no part is left."""
    rng = random.Random(3)
    scenario = Scenario(plans(rng))
    place = tmp_path / "exports"
    place.mkdir()
    async with TaskServiceEmulator(scenario, per_minute=None, faults=faults()) as service:
        expected = {
            f"{plan.id}.{'csv' if plan.id.endswith('7') else 'json'}": plan.id
            for plan in scenario.plans
            if plan.final != "failed"
        }
        assert len(expected) == COUNT
        env = os.environ | {"TITAN_API_URL": service.url, "TITAN_TOKEN": service.token}
        arguments = (sys.executable, EXPORTER, tmp_path / "journal.db", place, tmp_path / "list")

        async def live(seconds: float | None) -> None:
            with (tmp_path / "errors").open("ab") as errors:
                process = await asyncio.create_subprocess_exec(*arguments, env=env, stdout=errors, stderr=errors)
            try:
                if seconds is not None:
                    await asyncio.sleep(seconds)
                while seconds is None and not all((place / name).exists() for name in expected):
                    assert process.returncode is None
                    await asyncio.sleep(0.1)
                assert process.returncode is None, (tmp_path / "errors").read_text()
            finally:
                if process.returncode is None:
                    process.kill()
                await process.wait()

        for _ in range(KILLS):
            await live(1.5 + 2.5 * rng.random())
            for path in place.iterdir():  # whatever has its name is whole, at any time
                if not path.name.startswith("."):
                    assert path.read_bytes() == service.export_bytes(expected[path.name], path.suffix[1:])
        await live(None)
        for name, execution_id in expected.items():
            assert (place / name).read_bytes() == service.export_bytes(execution_id, name.rpartition(".")[2])
    assert {path.name for path in place.iterdir()} == set(expected)
    new = Counter(line.split()[0] for line in (tmp_path / "list").read_text().splitlines() if line.endswith("new"))
    assert set(new.values()) == {1}
