"""The example of services: what can be run is run, and every file is held against the command that it names."""

from __future__ import annotations

import asyncio
import json
import os
import re
import shlex
import signal
import tomllib
from configparser import RawConfigParser
from pathlib import Path

import pytest
import yaml
from servers import free_ports
from typer.main import get_command

from titan_state.cli.app import app
from titan_state.emulator import Plan, Step, TaskServiceEmulator
from titan_state.service.accounts import KEYS

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "examples" / "10_service"


def unit(name):
    """Return a unit of systemd as a parser of it; a key that is repeated keeps its last value."""
    parser = RawConfigParser(strict=False, delimiters=("=",), comment_prefixes=("#", ";"))
    parser.optionxform = str
    parser.read(FOLDER / name, encoding="utf-8")
    return parser


def manifests():
    """Return the manifests by kind and name."""
    text = (FOLDER / "kubernetes.yaml").read_text(encoding="utf-8")
    return {(one["kind"], one["metadata"]["name"]): one for one in yaml.safe_load_all(text)}


def containers():
    """Return what is run by the deployments, by name."""
    pods = [one["spec"]["template"]["spec"] for (kind, _), one in manifests().items() if kind == "Deployment"]
    return {container["name"]: container for pod in pods for container in pod["containers"]}


def dockerfile():
    """Return the instructions of the Dockerfile, in their order."""
    lines = (FOLDER / "Dockerfile").read_text(encoding="utf-8").splitlines()
    return [tuple(line.split(" ", 1)) for line in lines if line and not line.startswith("#")]


def commands():
    """Return every command line in the folder, without the program itself, by where it is."""
    instructions = dict(dockerfile())
    return {
        "titan-monitor.service": shlex.split(unit("titan-monitor.service")["Service"]["ExecStart"])[1:],
        "titan-subscribe.service": shlex.split(unit("titan-subscribe.service")["Service"]["ExecStart"])[1:],
        "Dockerfile": [*json.loads(instructions["ENTRYPOINT"])[1:], *json.loads(instructions["CMD"])],
        **{f"kubernetes.yaml: {name}": container["args"] for name, container in containers().items()},
    }


@pytest.mark.parametrize("place", sorted(commands()))
def test_commands_in_files_are_known(place):
    """Each command line is one that the program takes, with all its options and values."""
    name, *arguments = commands()[place]
    command = get_command(app).commands[name]
    given = command.make_context(name, arguments)
    assert given.params[{"monitor": "listen", "subscribe": "name"}[name]]


async def test_the_units_do_their_work(nats, run, until, tmp_path):
    """With what the units run, at other places: both accounts are led, and each event of one becomes one file."""
    (port,) = free_ports(1)
    events = tmp_path / "events"
    async with TaskServiceEmulator(per_minute=None) as shop, TaskServiceEmulator(per_minute=None) as press:
        accounts = (FOLDER / "accounts.toml").read_text(encoding="utf-8")
        names = re.findall(r'token_file = "(.*/(\w+))"', accounts)
        for (file, name), service in zip(names, (shop, press), strict=True):
            (tmp_path / name).write_text(service.token, encoding="utf-8")
            accounts = accounts.replace(file, str(tmp_path / name))
            accounts = accounts.replace("https://api.webscraping.titannet.io", service.url, 1)
        (tmp_path / "accounts.toml").write_text(accounts, encoding="utf-8")
        changes = {
            "nats-1:4222,nats-2:4222": nats.address,
            "/etc/titan-state/accounts.toml": str(tmp_path / "accounts.toml"),
            "/etc/titan-state/on_event.sh": str(FOLDER / "on_event.sh"),
            "127.0.0.1:8289": f"127.0.0.1:{port}",
        }

        def at_home(arguments):
            for there, here in changes.items():
                arguments = [argument.replace(there, here) for argument in arguments]
            return arguments

        monitor = await run("titan-state", *at_home(commands()["titan-monitor.service"]))
        await until(lambda: all(any("/executions" in one.path for one in own.requests) for own in (shop, press)))
        subscriber = await run("titan-state", *at_home(commands()["titan-subscribe.service"]), EVENTS_DIR=str(events))
        await asyncio.sleep(1.1)  # dates of answers are whole seconds
        shop.add(Plan(id="prices/1", steps=(Step("running", 0.0), Step("completed", 0.5))))
        await until(lambda: events.is_dir() and list(events.glob("prices_1_*.json")))
        assert await is_ready(port)
        assert (await subscriber.end(by=signal.SIGTERM))[0] == 143
        code, complaints = await monitor.end(by=signal.SIGTERM)
    assert code == 143
    assert all(json.loads(line)["level"] for line in complaints.splitlines())
    (file,) = events.iterdir()
    event = json.loads(file.read_bytes())
    assert (event["execution_id"], event["dest"]) == ("prices/1", "completed")
    assert file.name == f"{re.sub(r'[^A-Za-z0-9._-]', '_', event['id'])}.json"


async def is_ready(port):
    """Return whether the probe says so."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"GET /readyz HTTP/1.0\r\nHost: localhost\r\n\r\n")
    status = await reader.readline()
    writer.close()
    return b" 200 " in status


def test_accounts_have_tokens_where_the_units_and_manifests_put_them():
    """Each account of both files has the keys that there are, and a token that systemd, or Kubernetes, puts there."""
    here = tomllib.loads((FOLDER / "accounts.toml").read_text(encoding="utf-8"))["account"]
    there = tomllib.loads(manifests()["ConfigMap", "titan-accounts"]["data"]["accounts.toml"])["account"]
    assert [one["name"] for one in here] == [one["name"] for one in there] == ["shop", "press"]
    assert all(one.keys() <= set(KEYS) for one in (*here, *there))
    text = (FOLDER / "titan-monitor.service").read_text(encoding="utf-8")
    loaded = re.findall(r"^LoadCredential=(\w+):", text, re.MULTILINE)
    assert [one["token_file"] for one in here] == [f"/run/credentials/titan-monitor.service/{name}" for name in loaded]
    mounts = {mount["name"]: mount["mountPath"] for mount in containers()["monitor"]["volumeMounts"]}
    assert [one["token_file"] for one in there] == [f"{mounts['tokens']}/{one['name']}" for one in there]


@pytest.mark.parametrize("name", ["titan-monitor.service", "titan-subscribe.service"])
def test_units_end_well(name):
    """A unit has a command, is started again when it ends, takes 143 for a good end, and waits longer than a drain."""
    service = unit(name)["Service"]
    assert service["ExecStart"].startswith("/usr/local/bin/titan-state ")
    assert (service["Restart"], service["SuccessExitStatus"]) == ("always", "143")
    assert int(service["TimeoutStopSec"]) > 10
    assert unit(name)["Install"]["WantedBy"] == "multi-user.target"


def test_manifests_hold_together():
    """What a deployment selects, mounts and probes is there; nothing runs as root, or may write where it need not."""
    for (kind, name), one in manifests().items():
        if kind != "Deployment":
            continue
        spec, pod = one["spec"], one["spec"]["template"]["spec"]
        assert spec["selector"]["matchLabels"] == spec["template"]["metadata"]["labels"] == {"app": name}
        assert pod["securityContext"]["runAsNonRoot"]
        assert pod["terminationGracePeriodSeconds"] > 10
        (container,) = pod["containers"]
        assert container["securityContext"]["readOnlyRootFilesystem"]
        assert {mount["name"] for mount in container["volumeMounts"]} == {volume["name"] for volume in pod["volumes"]}
    monitor = containers()["monitor"]
    (port,) = monitor["ports"]
    assert f"--listen=0.0.0.0:{port['containerPort']}" in monitor["args"]
    probes = [monitor[probe]["httpGet"] for probe in ("livenessProbe", "readinessProbe")]
    assert probes == [{"path": path, "port": port["name"]} for path in ("/livez", "/readyz")]


def test_the_image_is_made_of_what_is_there():
    """What is copied is in the project, the extras that are installed exist, and the user is not root."""
    instructions = dockerfile()
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["optional-dependencies"]
    copied = [text.split()[0] for name, text in instructions if name == "COPY" and not text.startswith("--from")]
    assert all((ROOT / source).exists() for source in copied)
    (wanted,) = [found for name, text in instructions for found in re.findall(r"/source\[(.*?)\]", text)]
    assert set(wanted.split(",")) <= extras.keys()
    assert dict(instructions)["USER"] not in ("0", "root")
    assert os.access(FOLDER / "on_event.sh", os.X_OK)
