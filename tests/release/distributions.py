"""What is released, a wheel and an sdist: built here, or made before and named by TITAN_STATE_DIST (`make release`)."""

from __future__ import annotations

import os
import subprocess
import sys
import tarfile
from email import message_from_bytes
from pathlib import Path
from zipfile import ZipFile

ROOT = Path(__file__).parents[2]
MADE_BEFORE = "TITAN_STATE_DIST"


def build(source, target, *kinds):
    """Build from a source tree, with the hatchling that is installed.

    Args:
        source: The folder of pyproject.toml.
        target: The folder for what is built.
        kinds: "wheel", "sdist", or both.
    """
    wanted = [word for kind in kinds for word in ("--target", kind)]
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", *wanted, "--directory", str(target)],
        cwd=source,
        capture_output=True,
        check=True,
    )


class Distributions:
    """A wheel and an sdist in a folder.

    Attributes:
        wheel: The path of the wheel.
        sdist: The path of the sdist.
    """

    def __init__(self, folder):
        (self.wheel,) = folder.glob("*.whl")
        (self.sdist,) = folder.glob("*.tar.gz")

    @classmethod
    def made(cls, folder):
        """Return those that were made before if there are such, else build them in a folder."""
        before = os.environ.get(MADE_BEFORE)
        if before is not None:
            return cls(ROOT / before)
        build(ROOT, folder, "wheel", "sdist")
        return cls(folder)

    def wheel_names(self):
        """Return the names of the files in the wheel, those about the distribution left out."""
        with ZipFile(self.wheel) as file:
            return {name for name in file.namelist() if not name.split("/", 1)[0].endswith(".dist-info")}

    def about(self, name):
        """Return one of the files about the distribution that are in the wheel."""
        (folder,) = {name.split("/", 1)[0] for name in ZipFile(self.wheel).namelist() if ".dist-info/" in name}
        with ZipFile(self.wheel) as file:
            return file.read(f"{folder}/{name}")

    def metadata(self):
        """Return the METADATA of the wheel, as fields."""
        return message_from_bytes(self.about("METADATA"))

    def sdist_names(self):
        """Return the names of the files in the sdist, without the folder that they are all in."""
        with tarfile.open(self.sdist) as file:
            return {one.name.split("/", 1)[1] for one in file.getmembers() if one.isfile()}

    def unpack_sdist(self, folder):
        """Unpack the sdist.

        Returns:
            The folder with pyproject.toml in it.
        """
        with tarfile.open(self.sdist) as file:
            file.extractall(folder, filter="data")
        (unpacked,) = folder.iterdir()
        return unpacked
