"""The reference has everything public, and nothing that is not there; the documentation builds without the network."""

from __future__ import annotations

import re
from importlib import import_module

import pytest
from documents import DOCUMENTS, ROOT

import titan_state
from titan_state import dashboard, emulator, telemetry, testing

PAGES = {one.name: one.text for one in DOCUMENTS if one.name.startswith("docs/reference/")}
SHOWN = re.findall(r"^\.\. auto(?:class|function):: (\S+)$", "\n".join(PAGES.values()), re.MULTILINE)


def test_everything_public_is_in_the_reference():
    """Each name of the package, of its emulator, dashboard and telemetry, and of `titan_state.testing`, once."""
    public = {f"titan_state.{name}" for name in titan_state.__all__}
    for module in (dashboard, emulator, telemetry):
        named = {name for name in module.__all__ if isinstance(getattr(module, name), type)}
        public |= {f"{module.__name__}.{name}" for name in named}
    public |= {f"{testing.__name__}.{name}" for name in ("ManualClock", "titan_service")}
    assert public - set(SHOWN) == set()
    assert len(SHOWN) == len(set(SHOWN))


@pytest.mark.parametrize("name", SHOWN)
def test_what_the_reference_shows_is_there(name):
    """It can be imported under the name that is shown, and says what it is for."""
    module, _, attribute = name.rpartition(".")
    assert getattr(import_module(module), attribute).__doc__


def test_every_page_is_reached():
    """Each page is in a table of contents, so that nothing is written that nobody finds."""
    pages = {one.name.removeprefix("docs/").removesuffix(".md"): one for one in DOCUMENTS if one.name[:5] == "docs/"}
    listed = set()
    for name, page in pages.items():
        folder = name.rpartition("/")[0]
        for block in page.blocks_in("{toctree}"):
            entries = [line for line in block.text.splitlines() if line and not line.startswith(":")]
            listed |= {f"{folder}/{entry}".lstrip("/") for entry in entries}
    assert listed == pages.keys() - {"index"}


def test_nothing_comes_from_another_host():
    """The settings of the documentation and its styles name no other host: it is built, and read, without a network."""
    docs = ROOT / "docs"
    for path in (docs / "conf.py", *docs.glob("_static/*"), *docs.glob("extensions/*.py")):
        assert not re.search(r"https?://", path.read_text(encoding="utf-8")), path.name
