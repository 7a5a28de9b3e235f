"""What is in the wheel and in the sdist, and what the metadata says."""

from __future__ import annotations

import csv
import os
import subprocess
import sys
import tarfile
import tomllib
from pathlib import Path

import pytest
from distributions import ROOT, build
from markdown_it import MarkdownIt
from packaging.metadata import Metadata
from packaging.requirements import Requirement

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def kept():
    """Return the names of all files of the project: what git keeps, and what it would if it were told."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"], cwd=ROOT, capture_output=True
    )
    if listed.returncode:
        pytest.skip("not a clone: what belongs to the project is what is here")
    return {name for name in listed.stdout.decode().split("\0") if name and (ROOT / name).is_file()}


@pytest.fixture
def unpacked(distributions, tmp_path):
    """The sdist, unpacked."""
    return distributions.unpack_sdist(tmp_path / "unpacked")


def test_the_wheel_has_the_package_and_nothing_else(distributions):
    """Each file of the package is in the wheel: code, its types, pages and styles; no test is."""
    names = distributions.wheel_names()
    assert names == {name for name in kept() if name.startswith("titan_state/")}
    assert {
        "titan_state/py.typed",
        "titan_state/drawing/report.css",
        "titan_state/dashboard/static/index.html",
    } <= names


def test_the_wheel_lists_what_is_in_it(distributions):
    """RECORD, which installers go by, names each file once, with a hash."""
    rows = list(csv.reader(distributions.about("RECORD").decode().splitlines()))
    names = [row[0] for row in rows]
    assert len(names) == len(set(names))
    assert {name for name in names if ".dist-info/" not in name} == distributions.wheel_names()
    assert all(row[1] or row[0].endswith("/RECORD") for row in rows)


def test_the_wheel_has_the_licence(distributions):
    """The licence goes with the package."""
    assert distributions.about("licenses/LICENSE") == (ROOT / "LICENSE").read_bytes()
    assert distributions.metadata()["License-Expression"] == PROJECT["license"] == "MIT"


def test_the_wheel_is_for_every_system(distributions):
    """It is pure Python: one wheel for all versions and machines."""
    assert distributions.wheel.name == f"titan_state-{PROJECT['version']}-py3-none-any.whl"


def test_the_sdist_has_all_of_the_project(distributions):
    """Whoever unpacks it can do what is done in a clone: lint, test, build the documentation, measure."""
    added = {"PKG-INFO"}
    assert distributions.sdist_names() - added == kept()
    assert {"Makefile", "setup.cfg", ".ci/run", "README.md", "LICENSE", "CHANGELOG.md"} <= distributions.sdist_names()


def test_programs_stay_programs_in_the_sdist(distributions):
    """What can be run in a clone can be run after unpacking."""
    with tarfile.open(distributions.sdist) as file:
        (run,) = [one for one in file.getmembers() if one.name.endswith("/.ci/run")]
    assert run.mode & 0o111


def test_tests_pass_in_the_sdist(unpacked):
    """A selection of the tests passes where the sdist is unpacked, against the code that is there."""
    where = "import titan_state; print(titan_state.__file__)"
    told = subprocess.run([sys.executable, "-c", where], cwd=unpacked, capture_output=True, text=True, check=True)
    assert Path(told.stdout.strip()).is_relative_to(unpacked)
    chosen = ["tests/test_errors.py", "tests/core/test_codec.py", "tests/drawing/test_drawing_model.py"]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:titan_state", "-p", "no:cacheprovider", *chosen],
        cwd=unpacked,
        env={name: value for name, value in os.environ.items() if not name.startswith(("COV", "PYTEST"))},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    assert " passed" in done.stdout


def test_builds_elsewhere_and_later_are_equal(distributions, unpacked, tmp_path):
    """What is built depends on the files alone: not on the time, the folder, git or who builds."""
    build(unpacked, tmp_path / "again", "wheel", "sdist")
    assert (tmp_path / "again" / distributions.wheel.name).read_bytes() == distributions.wheel.read_bytes()
    assert (tmp_path / "again" / distributions.sdist.name).read_bytes() == distributions.sdist.read_bytes()


def test_the_metadata_is_valid(distributions):
    """An index would take it: each field is checked by the rules for it."""
    metadata = Metadata.from_email(distributions.about("METADATA"), validate=True)
    assert metadata.name == "titan-state"
    assert str(metadata.version) == PROJECT["version"]
    assert metadata.summary == PROJECT["description"]
    assert str(metadata.requires_python) == PROJECT["requires-python"]
    assert set(metadata.provides_extra or ()) == set(PROJECT["optional-dependencies"])
    needed = {str(one) for one in metadata.requires_dist or () if one.marker is None}
    assert needed == {str(Requirement(one)) for one in PROJECT["dependencies"]}


def test_the_metadata_shows_the_readme(distributions):
    """The description is README.md as it is, which is Markdown with a heading and programs."""
    metadata = Metadata.from_email(distributions.about("METADATA"), validate=True)
    assert metadata.description_content_type == "text/markdown"
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert (metadata.description or "").strip() == text.strip()
    tokens = MarkdownIt().parse(text)
    assert tokens[0].tag == "h1"
    assert any(token.type == "fence" and token.info == "python" for token in tokens)


def test_the_classifiers_fit_the_project(distributions):
    """They name the Python versions from the oldest allowed one on, without a gap, and that types are shipped."""
    told = set(distributions.metadata().get_all("Classifier"))
    minors = sorted(int(one.rpartition(".")[2]) for one in told if "Python :: 3." in one)
    assert minors == list(range(minors[0], minors[-1] + 1))
    assert PROJECT["requires-python"] == f">=3.{minors[0]}"
    assert "Typing :: Typed" in told
    assert not any(one.startswith("License ::") for one in told), "License-Expression tells the licence"
