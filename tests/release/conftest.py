"""What the tests of releases share: the files that are released, and environments with nothing but them."""

from __future__ import annotations

import pytest
from distributions import Distributions
from environments import Environment


@pytest.fixture(scope="session")
def distributions(tmp_path_factory):
    """The wheel and the sdist."""
    return Distributions.made(tmp_path_factory.mktemp("dist"))


@pytest.fixture(scope="session")
def environment_with(tmp_path_factory, distributions):
    """Return an environment with the wheel and one extra ("" for none), made at the first call."""
    made = {}

    def make(extra):
        if extra not in made:
            made[extra] = Environment.made(tmp_path_factory.mktemp(extra or "bare"), distributions.wheel, extra)
        return made[extra]

    return make
