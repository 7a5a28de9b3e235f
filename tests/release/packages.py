"""Packages from the index, for environments that tests make: uv installs them, with the settings that pip has.

As a program (`make packages`) it fetches what the tests of this folder install; they themselves install offline. It
knows nothing of titan_state but where its pyproject.toml is.
"""

from __future__ import annotations

import ast
import functools
import os
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
CACHE = Path(sys.prefix) / "packages"
"""Where uv keeps what it fetched: beside the tools, so that `make clean` removes it."""

EXTRAS = ("cli", "dashboard", "nats", "otel")
"""What users install; the others are for whoever works on the project."""

WORDS = {
    "cert": "SSL_CERT_FILE",
    "constraint": "UV_CONSTRAINT",
    "default-timeout": "UV_HTTP_TIMEOUT",
    "extra-index-url": "UV_INDEX",
    "find-links": "UV_FIND_LINKS",
    "index-url": "UV_DEFAULT_INDEX",
    "no-index": "UV_NO_INDEX",
    "proxy": "ALL_PROXY",
    "timeout": "UV_HTTP_TIMEOUT",
    "trusted-host": "UV_INSECURE_HOST",
}
"""What uv calls a setting of pip. uv reads none of pip's, and a machine's index is known to pip."""

LIMIT_S = 300.0
"""How long one installation may take, downloads included."""


class UvError(Exception):
    """uv could not do what was asked."""


@functools.cache
def settings():
    """Return the environment for uv: pip's settings in its words, its own cache, and nothing else that is for uv."""
    listed = subprocess.run([sys.executable, "-m", "pip", "config", "list"], capture_output=True, text=True, check=True)
    found = re.findall(r"^(global|install|:env:)\.([\w-]+)=(.+)$", listed.stdout, re.MULTILINE)
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("UV_", "VIRTUAL_ENV"))}
    for _, name, value in sorted(found, key=lambda one: ("global", "install", ":env:").index(one[0])):
        if name in WORDS:
            separator = "," if name == "find-links" else " "
            environment[WORDS[name]] = separator.join(str(ast.literal_eval(value)).split())
    return environment | {
        "UV_CACHE_DIR": str(CACHE),
        "UV_INDEX_STRATEGY": "unsafe-best-match",  # all indexes count alike, as for pip
        "UV_NO_CONFIG": "1",
        "UV_NO_PROGRESS": "1",
        "UV_PYTHON_DOWNLOADS": "never",
    }


def uv(*arguments):
    """Run uv.

    Returns:
        What it printed on its standard output.

    Raises:
        UvError: It failed; the message is what it said.
    """
    done = subprocess.run(
        [sys.executable, "-m", "uv", *map(str, arguments)],
        cwd=ROOT,
        env=settings(),
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
        check=False,
    )
    if done.returncode:
        raise UvError(f"uv {' '.join(map(str, arguments))}:\n{done.stdout}{done.stderr}")
    return done.stdout


def new(folder, python=sys.executable):
    """Make an environment without any package in it.

    Returns:
        Its interpreter.
    """
    uv("venv", "--quiet", "--clear", "--no-project", "--python", python, folder)
    return Path(folder) / "bin" / "python"


def install(python, *what, offline=False):
    """Install requirements, or files, into the environment of an interpreter."""
    uv("pip", "install", "--quiet", *(["--offline"] if offline else []), "--python", python, *what)


def fetch():
    """Install each extra once, into an environment that is thrown away: what it needs is in the cache then."""
    python = new(CACHE / "everything")
    install(python, f"{ROOT}[{','.join(EXTRAS)}]")


if __name__ == "__main__":
    try:
        fetch()
    except UvError as error:
        sys.exit(str(error))
