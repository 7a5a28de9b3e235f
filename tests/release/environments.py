"""Environments of users: made anew, with the wheel, with what it needs, and with nothing else."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import packages

LIMIT_S = 60.0
"""How long a program may take on a machine that is busy."""


class Environment:
    """An environment that has the wheel and one extra, or none.

    Attributes:
        bin: The folder of its programs.
        home: The working folder and the home of what runs in it; empty at first.
    """

    def __init__(self, bin_folder, home):
        self.bin = bin_folder
        self.home = home

    @classmethod
    def made(cls, folder, wheel, extra):
        """Make one in a folder, offline.

        Raises:
            UvError: Something is not among the packages that were fetched.
        """
        assert packages.CACHE.is_dir(), "the packages for these tests have not been fetched: make packages"
        python = packages.new(folder / "environment")
        packages.install(python, f"titan-state{f'[{extra}]' if extra else ''} @ {wheel.as_uri()}", offline=True)
        home = folder / "home"
        home.mkdir()
        return cls(python.parent, home)

    def variables(self, **more):
        """Return what is in the environment of a program of it: no account, and no way to other packages."""
        foreign = ("TITAN_", "NATS_", "PYTHON", "COV", "VIRTUAL_ENV", "XDG_")
        kept = {name: value for name, value in os.environ.items() if not name.startswith(foreign)}
        path = f"{self.bin}{os.pathsep}{os.defpath}"
        return kept | {"PATH": path, "HOME": str(self.home)} | more

    def run(self, program, *arguments, **variables):
        """Run one of its programs to its end.

        Returns:
            Its exit code, what it printed, and what it complained of.
        """
        done = subprocess.run(
            [self.bin / program, *map(str, arguments)],
            cwd=self.home,
            env=self.variables(**variables),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=LIMIT_S,
            check=False,
        )
        return done.returncode, done.stdout, done.stderr

    def tell(self, program):
        """Run Python code that prints JSON.

        Returns:
            What it printed, decoded.
        """
        code, told, complaints = self.run("python", "-c", program)
        assert code == 0, complaints
        return json.loads(told)

    def packages(self):
        """Return the names of what is installed, and their versions."""
        listed = json.loads(packages.uv("pip", "list", "--format", "json", "--python", self.bin / "python"))
        return {one["name"]: one["version"] for one in listed}


def readme_program():
    """Return the first program of README.md."""
    text = (Path(packages.ROOT) / "README.md").read_text(encoding="utf-8")
    return text.split("```python\n", 1)[1].split("\n```", 1)[0]
