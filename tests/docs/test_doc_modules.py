"""Modules and folders of the package that documents name are there, and each name means one of them."""

from __future__ import annotations

import re

import pytest
from documents import DOCUMENTS, NAMED, ROOT, Document

PACKAGE = ROOT / "titan_state"
MODULES = {path.relative_to(PACKAGE).as_posix() for path in PACKAGE.rglob("*.py")}
NAME = re.compile(r"`([\w/]+\.py)`")
FOLDER = re.compile(r"`([\w/]+/)`")
ARCHITECTURE = NAMED["docs/architecture.md"]


def meant_by(document: Document, name: str) -> list[str]:
    """Return which files a name in a document may mean: beside the document, in the project, or in the package.

    In the package a name may leave out the folders before it.
    """
    beside = [path for path in (document.path.parent / name, ROOT / name) if path.exists()]
    if beside:
        return [path.as_posix() for path in beside[:1]]
    return sorted(module for module in MODULES if f"/{module}".endswith(f"/{name}"))


@pytest.mark.parametrize("document", [pytest.param(one, id=one.name) for one in DOCUMENTS])
def test_a_module_that_is_named_is_there(document: Document):
    """With its folders, or without where no other module is called so; what readers are to save is theirs."""
    for name in NAME.findall(document.prose):
        if "/" in name:
            assert (ROOT / name).exists() or name in MODULES, name
        elif f"Save this as `{name}`" not in document.prose:
            assert len(meant_by(document, name)) == 1, (name, meant_by(document, name))


def test_a_folder_that_is_named_is_there():
    """Folders in the page on the architecture are those of the package."""
    named = FOLDER.findall(ARCHITECTURE.prose)
    assert len(named) > 20
    for name in named:
        assert [path for path in PACKAGE.rglob(name) if path.is_dir()], name


def test_each_room_is_told():
    """Every folder of the package that holds modules is in the page on the architecture."""
    rooms = {path.parent.relative_to(PACKAGE).as_posix() for path in PACKAGE.rglob("*.py")} - {"."}
    assert rooms <= {name.rstrip("/") for name in FOLDER.findall(ARCHITECTURE.prose)}


def test_what_a_name_means():
    """A path means itself, a bare name every module that is called so."""
    assert meant_by(ARCHITECTURE, "core/tracker.py") == ["core/tracker.py"]
    assert meant_by(ARCHITECTURE, "layout.py") == ["drawing/layout.py", "journal/nats/layout.py"]
    assert meant_by(ARCHITECTURE, "nothing.py") == []
