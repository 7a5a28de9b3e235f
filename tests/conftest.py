"""What all tests share: settings of hypothesis, an environment without an account in it, and the package's plugin."""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable

import pytest
from hypothesis import HealthCheck, settings

FOREIGN = ("TITAN_API_URL", "TITAN_TOKEN", "FORCE_COLOR", "NO_COLOR", "COLUMNS", "LINES")
"""What a developer may have set: an account that tests must not touch, and a terminal that they must not depend on."""

for _name in FOREIGN:
    os.environ.pop(_name, None)

# A busy machine is no fault of the code: no deadline for a single example.
settings.register_profile("titan_state", deadline=None, print_blob=True, suppress_health_check=[HealthCheck.too_slow])
# The same with fewer examples, for what is run once more with other versions (make compat).
settings.register_profile("compat", settings.get_profile("titan_state"), max_examples=10)
settings.load_profile("titan_state")


def pytest_configure(config):
    """Load the package's plugin where `-p no:titan_state` kept it out so that coverage could start before it."""
    if not config.pluginmanager.has_plugin("titan_state"):
        config.pluginmanager.import_plugin("titan_state.testing")


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items):
    """Let the long tests begin first, so that no worker is left with one of them at the end."""
    items.sort(key=lambda item: item.get_closest_marker("timeout") is None)


@pytest.fixture
def until(clock) -> Callable[..., Awaitable[None]]:
    """Move the clock in small steps until a condition holds; fail after so many of its seconds."""

    async def run(condition: Callable[[], object], *, seconds: float = 120.0, step: float = 0.25) -> None:
        deadline = clock.time() + seconds
        await clock.settle()
        while not condition():
            if clock.time() >= deadline:
                pytest.fail(f"not within {seconds:g} s of the clock")
            await clock.advance(step)

    return run
