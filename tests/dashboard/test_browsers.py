"""A browser is found, or got, or missed with advice; and its pages tell on what goes wrong in them."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import browsers
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from playwright.async_api import expect

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
STARTS = "echo Chromium 100.0"
POLICY = """default-src 'none'; script-src 'self'; connect-src 'self'; img-src *; \
require-trusted-types-for 'script'; trusted-types 'none'"""
STUB = "echo needs its snap >&2; exit 1"


class Machine:
    """A path with nothing on it but small shell scripts, which say in a log how they were called."""

    def __init__(self, folder):
        self.folder = folder
        self.log = folder / "log"
        self.log.touch()
        (folder / "env").symlink_to(shutil.which("env"))

    def has(self, name, script):
        path = self.folder / name
        path.write_text(f'#!/bin/sh\necho "{name} $*" >>"{self.log}"\n{script}\n', encoding="utf-8")
        path.chmod(0o755)
        return str(path)

    def installing(self, name):
        """Return the script of an installer that turns a stub into something that starts."""
        return f"""printf '#!/bin/sh\\nexit 0\\n' >"{self.folder / name}" """

    def calls(self, name):
        lines = self.log.read_text(encoding="utf-8").splitlines()
        return [line.removeprefix(f"{name} ") for line in lines if line.startswith(f"{name} ")]


@pytest.fixture
def machine(tmp_path, monkeypatch):
    """Return a machine of root without a browser, on which playwright can download nothing."""
    folder = tmp_path / "bin"
    folder.mkdir()
    made = Machine(folder)
    monkeypatch.setenv("PATH", str(folder))
    monkeypatch.delenv(browsers.VARIABLE, raising=False)
    monkeypatch.setattr(browsers, "PLACES", ())
    monkeypatch.setattr(browsers, "PLAYWRIGHT", (made.has("playwright", "echo no route to host; exit 1"),))
    monkeypatch.setattr(browsers, "own_place", lambda: str(folder / "own"))
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    return made


def test_first_that_starts_is_taken(machine):
    """What is on the path but does not start is passed over, in the order of the names."""
    machine.has("chromium-browser", STUB)
    assert browsers.find() is None
    own = machine.has("own", STARTS)
    assert browsers.find(own) == own
    chrome = machine.has("google-chrome", STARTS)
    assert browsers.find(own) == chrome
    chromium = machine.has("chromium", STARTS)
    assert browsers.find(own) == chromium


def test_what_hangs_does_not_start(machine, monkeypatch):
    """A program that never tells its version is ended with its children, and does not count."""
    monkeypatch.setattr(browsers, "START_S", 0.2)
    machine.has("chromium", f"{shutil.which('sleep', path=os.defpath)} 60")
    assert browsers.find() is None


def test_named_browser_and_no_other(machine, monkeypatch):
    """The variable names a path or a name on the path; if that does not start, nothing takes its place."""
    machine.has("chromium", STARTS)
    mine = machine.has("mine", STARTS)
    for name in ("mine", mine):
        monkeypatch.setenv(browsers.VARIABLE, name)
        assert browsers.find() == browsers.get() == mine
    machine.has("mine", STUB)
    machine.has("apt-get", machine.installing("mine"))
    assert browsers.find() is None
    with pytest.raises(browsers.MissingBrowserError, match=r"TITAN_BROWSER names .*mine, which does not start"):
        browsers.get()
    assert machine.calls("apt-get") == []


def test_nothing_is_fetched_where_one_is_there(machine):
    """Neither apt-get nor playwright is asked, and nothing is said, where a browser starts."""
    machine.has("apt-get", "exit 0")
    own = machine.has("own", STARTS)
    told = []
    assert browsers.get(told.append) == own
    assert told == machine.calls("apt-get") == machine.calls("playwright") == []


def test_package_is_installed_by_root(machine):
    """Root gets Debian's package: lists, then the download, then the installation, with no question and no extras."""
    chromium = machine.has("chromium", STUB)
    machine.has("apt-get", f'test "$DEBIAN_FRONTEND" = noninteractive || exit 9\n{machine.installing("chromium")}')
    told = []
    assert browsers.get(told.append) == chromium
    assert told == ["no browser on this machine: installing Debian's package chromium with apt-get\n"]
    update, download, install = machine.calls("apt-get")
    assert update.endswith(" update")
    assert download.endswith(" install --no-install-recommends --download-only chromium fonts-dejavu-core")
    assert install.endswith(" install --no-install-recommends chromium fonts-dejavu-core")
    assert machine.calls("playwright") == []


def test_package_is_installed_by_sudo_without_password(machine, monkeypatch):
    """Others use sudo where it asks for nothing."""
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    chromium = machine.has("chromium", STUB)
    machine.has("sudo", 'test "$1" = -n || exit 9\nshift\ntest "$1" = true || "$@"')
    machine.has("apt-get", machine.installing("chromium"))
    assert browsers.get(lambda line: None) == chromium
    assert all(call.startswith("-n ") for call in machine.calls("sudo"))
    assert len(machine.calls("apt-get")) == 3


def test_playwright_downloads_where_apt_may_not_be_used(machine, monkeypatch):
    """Where sudo wants a password apt-get is left alone, and so are the libraries of the system."""
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    machine.has("sudo", "echo a password is required; exit 1")
    machine.has("apt-get", "exit 0")
    own = machine.has("own", STUB)
    machine.has("playwright", machine.installing("own"))
    told = []
    assert browsers.get(told.append) == own
    assert told == ["no browser on this machine: downloading playwright's Chromium\n"]
    assert machine.calls("apt-get") == []
    assert machine.calls("playwright") == ["install --no-shell chromium"]


def test_playwright_downloads_where_the_package_is_no_help(machine):
    """A package that cannot be had, or brings a stub as Ubuntu's, is followed by a download with its libraries."""
    machine.has("apt-get", "echo E: Unable to locate package chromium; exit 100")
    machine.has("chromium-browser", STUB)
    own = machine.has("own", STUB)
    machine.has("playwright", f"{machine.installing('own')}\nexit 0")
    told = []
    assert browsers.get(told.append) == own
    assert len(told) == 2
    assert machine.calls("playwright")[0] == "install --no-shell chromium --with-deps"


def test_without_any_the_message_says_what_to_do(machine):
    """Where nothing helps, the message has what was tried, what it said, and three ways out."""
    machine.has("apt-get", "echo E: Unable to locate package chromium; exit 100")
    with pytest.raises(browsers.MissingBrowserError) as caught:
        browsers.get(lambda line: None)
    message = str(caught.value)
    assert "E: Unable to locate package chromium" in message
    assert "no route to host" in message
    assert message.endswith(browsers.ADVICE)
    assert machine.calls("playwright") == ["install --no-shell chromium --with-deps", "install --no-shell chromium"]


def test_download_has_a_limit():
    """A command that takes too long is ended, and the message says so."""
    is_well, output = browsers.run(["sh", "-c", "echo begun; sleep 60; echo done"], 0.5)
    assert not is_well
    assert output == "begun\n\nnot done after 0.5 s"


def test_own_place_is_where_playwright_downloads_to(tmp_path, monkeypatch):
    """What playwright has downloaded before is looked for where it would start it from."""
    monkeypatch.setenv("PLAYWRIGHT_BROWSERS_PATH", str(tmp_path))
    assert Path(browsers.own_place()).is_relative_to(tmp_path)


def test_program_ends_with_the_advice(tmp_path):
    """`make browser` fails with the message alone where there is no browser."""
    environment = os.environ | {browsers.VARIABLE: str(tmp_path / "none")}
    ended = subprocess.run([sys.executable, HERE / "browsers.py"], env=environment, capture_output=True, text=True)
    assert ended.returncode == 1
    assert ended.stderr.endswith(f"which does not start.\n{browsers.ADVICE}\n")


def run_tests(tmp_path, source, **environment):
    """Run tests with the fixtures of this folder in a pytest of their own; return what it says."""
    path = tmp_path / "test_spoiled.py"
    path.write_text(source, encoding="utf-8")
    command = [sys.executable, "-m", "pytest", "-c", ROOT / "pyproject.toml", "--rootdir", tmp_path]
    options = ["-p", "no:titan_state", "-p", "no:cacheprovider", "-p", "no:randomly", "-p", "conftest", path]
    environment = os.environ | {"PYTHONPATH": str(HERE), "COLUMNS": "200"} | environment
    return subprocess.run([*command, *options], env=environment, capture_output=True, text=True).stdout


def test_without_a_browser_tests_fail(tmp_path):
    """A test that needs a browser is no less needed where none is there: it does not skip, and says what to do."""
    output = run_tests(tmp_path, "def test_page(page): pass", TITAN_BROWSER=str(tmp_path / "none"))
    assert "1 error in" in output
    assert browsers.ADVICE in output


@pytest.mark.browser
def test_troubles_fail_a_test(tmp_path):
    """A test that else passes fails for what its page complained of; one that fails keeps a picture of its page."""
    source = """
async def test_passes(page):
    await page.goto("data:text/html,<p>ok")

async def test_complains(page):
    await page.goto("data:text/html,<script>console.error('a complaint')</script>")

async def test_fails(page):
    await page.goto("data:text/html,<p>seen")
    assert False
"""
    output = run_tests(tmp_path, source, PYTEST_ADDOPTS=f"--basetemp={tmp_path / 'kept'}")
    assert "1 failed, 2 passed, 1 error in" in output
    assert "console: a complaint" in output
    kept = next((tmp_path / "kept").glob("test_fails*"))
    assert f"kept in {kept}" in output
    assert "<p>seen</p>" in (kept / "page-1.html").read_text(encoding="utf-8")
    assert (kept / "page-1.png").read_bytes().startswith(b"\x89PNG")


@pytest.fixture
async def site():
    """Serve a small page under a strict policy, and scripts that bring it into trouble."""
    scripts = {
        "calm": "document.title = 'calm'",
        "console": "console.error('a complaint')",
        "uncaught": "setTimeout(() => { throw new Error('thrown') })",
        "rejected": "Promise.reject(new Error('rejected'))",
        "policy": "document.body.setAttribute('style', 'color: red')",
        "origin": "new Image().src = 'http://elsewhere.test/spy.png'",
        "refused": "fetch('/none')",
    }

    async def script(request):
        return web.Response(text=scripts[request.match_info["name"]], content_type="text/javascript")

    async def index(request):
        name = request.query.get("script", "calm")
        text = f"<!doctype html><title>-</title><h1>○ ▶ ‖ ✓ ✗ ■ ∅ ⚠</h1><script src='/{name}.js'></script>"
        return web.Response(text=text, content_type="text/html", headers={"Content-Security-Policy": POLICY})

    async def icon(_):
        return web.Response(status=204)

    application = web.Application()
    application.router.add_get("/", index)
    application.router.add_get("/{name}.js", script)
    application.router.add_get("/favicon.ico", icon)
    async with TestServer(application) as server:
        yield server


async def test_page_without_trouble(site, page, watch):
    """A page that does nothing wrong passes; a name that an attacker lets lead here is for the server to refuse."""
    await page.goto(str(site.make_url("/")))
    await expect(page).to_have_title("calm")
    await expect(page.get_by_role("heading")).to_have_text("○ ▶ ‖ ✓ ✗ ■ ∅ ⚠")
    await page.goto(f"http://{browsers.REBOUND}:{site.port}/")
    await expect(page).to_have_title("calm")
    assert [one.split(":")[0] for one in watch.troubles] == ["another origin", "another origin"]
    watch.tolerate(f"another origin: http://{browsers.REBOUND}")
    assert watch.troubles == []


@pytest.mark.parametrize(
    ("script", "trouble"),
    [
        ("console", "console: a complaint"),
        ("uncaught", "uncaught: .*thrown"),
        ("rejected", "uncaught: .*rejected"),
        ("policy", "console: .*Content Security Policy"),
        ("origin", "another origin: http://elsewhere.test/spy.png"),
        ("refused", "console: .* 404"),
    ],
)
async def test_trouble_is_seen_and_tolerated(site, page, watch, script, trouble):
    """Each kind of trouble is noticed, and passes where the test says that it must happen."""
    watch.tolerate("ERR_NAME_NOT_RESOLVED")
    await page.goto(f"{site.make_url('/')}?script={script}")
    for _ in range(100):
        if watch.troubles:
            break
        await page.evaluate("new Promise(resolve => setTimeout(resolve, 50))")
    (only,) = watch.troubles
    watch.tolerate(trouble)
    assert watch.troubles == [], only


async def test_pages_differ_in_context(site, open_page):
    """Pages of one test have sizes and themes of their own."""
    phone = await open_page(viewport={"width": 390, "height": 844}, color_scheme="dark")
    desk = await open_page()
    for page, is_dark in ((phone, True), (desk, False)):
        await page.goto(str(site.make_url("/")))
        assert await page.evaluate("matchMedia('(prefers-color-scheme: dark)').matches") is is_dark
    assert await phone.evaluate("innerWidth") == 390
