"""Chromium for the tests of the dashboard: one that the machine has, else Debian's package, else playwright's download.

As a program (`make browser`) it gets one where there is none. Tests look only: they install nothing.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
from contextlib import suppress

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
PLACES = (
    "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
    "/Applications/Chromium.app/Contents/MacOS/Chromium",
)
"""Where macOS has them, which puts no applications on the path."""

PACKAGES = ("chromium", "fonts-dejavu-core")
"""The font has all signs of the statuses; fontconfig would be content with others that lack some."""

PLAYWRIGHT = (sys.executable, "-m", "playwright")
VARIABLE = "TITAN_BROWSER"
REBOUND = "rebound.test"
"""A name that leads to this machine, as an attacker's name does after DNS rebinding."""

START_S = 20.0
"""How long a browser may take to tell its version: the first start of a snap takes seconds."""

LIMIT_S = 600.0
"""How long one download, or one installation of what is there, may take."""

ADVICE = f"""\
The tests of the dashboard drive a real browser, and none was found that starts. One of these helps:
  - install Chromium or Google Chrome (on Debian: apt-get install {" ".join(PACKAGES)});
  - name one that is elsewhere: {VARIABLE}=/path/to/chromium make test;
  - leave these tests out: make test BROWSER=no (pytest -m "not browser")."""


class MissingBrowserError(Exception):
    """There is no browser, and none could be got."""


def run(command, limit_s=LIMIT_S):
    """Run a command that asks nothing, and end it with its children at the limit.

    Returns:
        Whether it went well, and what it said.
    """
    with tempfile.TemporaryFile() as output:
        try:
            process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT, start_new_session=True
            )
        except OSError as error:
            return False, str(error)
        try:
            is_well = process.wait(limit_s) == 0
            remark = ""
        except subprocess.TimeoutExpired:
            is_well = False
            remark = f"\nnot done after {limit_s:g} s"
        finally:
            # What sudo started is not ours to kill: it is left to itself.
            with suppress(ProcessLookupError, PermissionError):
                if process.poll() is None:
                    os.killpg(process.pid, signal.SIGKILL)
                    process.wait()
        output.seek(0)
        return is_well, (output.read().decode(errors="replace") + remark).strip()


def find(own=None):
    """Return the browser to drive: the one that the variable names and no other, else the first that starts, or None.

    A program that is there may still be a stub, as `chromium-browser` is on Ubuntu without its snap.

    Args:
        own: Where playwright would have its own.
    """
    named = os.environ.get(VARIABLE)
    for candidate in [named] if named else [*NAMES, *PLACES, own]:
        path = shutil.which(candidate) if candidate else None
        if path and run([path, "--version"], START_S)[0]:
            return path
    return None


def own_place():
    """Return where playwright has, or would have, a browser of its own."""
    # Imported late: most machines have a browser, and `make test` need not wait for this.
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        return playwright.chromium.executable_path


def as_root():
    """Return what a command of root begins with, or None where apt-get is missing or may not be used unasked."""
    if shutil.which("apt-get") is None:
        return None
    command = ["env", "DEBIAN_FRONTEND=noninteractive"]
    if os.geteuid() == 0:
        return command
    return ["sudo", "-n", *command] if run(["sudo", "-n", "true"], START_S)[0] else None


def attempts():
    """Yield ways to get a browser: what to tell, and commands of which the last one counts."""
    root = as_root()
    if root is not None:
        # Apart, so that the time limit on the download never ends dpkg in the middle of its work.
        apt = [*root, "apt-get", "-q", "-y", "-o", "DPkg::Lock::Timeout=120"]
        install = [*apt, "install", "--no-install-recommends"]
        yield (
            "installing Debian's package chromium with apt-get",
            ([*apt, "update"], [*install, "--download-only", *PACKAGES], [*install, *PACKAGES]),
        )
    download = [*PLAYWRIGHT, "install", "--no-shell", "chromium"]
    with_libraries = [[*download, "--with-deps"]] if root is not None else []
    yield "downloading playwright's Chromium", (*with_libraries, download)


def get(tell=sys.stderr.write):
    """Return a browser that starts, got from elsewhere if need be.

    Args:
        tell: Is given a line when something has to be fetched.

    Raises:
        MissingBrowserError: There is none to be had; the message says what was tried and what to do.
    """
    if found := find():
        return found
    if named := os.environ.get(VARIABLE):
        raise MissingBrowserError(f"{VARIABLE} names {named}, which does not start.\n{ADVICE}")
    own = own_place()
    if found := find(own):
        return found
    failures = []
    for intention, commands in attempts():
        tell(f"no browser on this machine: {intention}\n")
        for command in commands:
            is_well, output = run(command)
            if not is_well:
                failures.append("\n".join([f"$ {' '.join(command)}", *output.splitlines()[-15:]]))
        if found := find(own):
            return found
    raise MissingBrowserError("\n".join([*failures, ADVICE]))


if __name__ == "__main__":
    try:
        get()
    except MissingBrowserError as missing:
        sys.exit(str(missing))
