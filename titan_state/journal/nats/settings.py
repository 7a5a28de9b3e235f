"""Settings: where NATS is, how to be let in, and how a stream is made. Secrets are shown nowhere."""

from __future__ import annotations

import os
import re
import ssl
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final
from urllib.parse import parse_qsl, unquote, urlsplit

import attrs

from titan_state.errors import ConfigurationError, shorten
from titan_state.journal.nats.layout import MOST_PARTITIONS, PARTITIONS

AGE_S: Final = 30 * 86_400.0
"""For how long the log is kept by itself, and a subscription that nobody has opened since, in seconds."""

MOST_EVENTS: Final = 1_000_000
"""How many events of an account are kept by themselves."""

LEASE_S: Final = 10.0
"""How long a leader that is not heard of any more keeps its place."""

SHORTEST_LEASE_S: Final = 1.0
LONGEST_LEASE_S: Final = 600.0

MOST_REPLICAS: Final = 5

PORT: Final = 4222

ENVIRONMENT: Final = {
    "user": "NATS_USER",
    "password": "NATS_PASSWORD",
    "token": "NATS_TOKEN",
    "creds": "NATS_CREDS",
    "nkey": "NATS_NKEY",
    "ca": "NATS_CA",
    "cert": "NATS_CERT",
    "key": "NATS_KEY",
}
"""Where what an address leaves open is looked for; the names are those of the `nats` command."""

_UNITS: Final = {"s": 1, "m": 60, "h": 3600, "d": 86_400}
_DURATION: Final = re.compile(r"(\d+(?:\.\d+)?)([smhd]?)")
_FORM: Final = "nats://host:4222?account=NAME, nats://host1:4222,host2:4222, or tls://host:4222"


@attrs.frozen(kw_only=True)
class Settings:
    """What a connection and a stream are made with. A stream that exists stays as it is.

    Attributes:
        servers: The addresses of servers of one cluster, without credentials.
        account: Whose executions these are, None if that is said later.
        replicas: On how many servers of the cluster a new stream is kept.
        partitions: Into how many partitions the executions of a new stream are divided.
        age_s: For how long the log is kept, in seconds.
        max_events: How many events are kept.
        max_bytes: How large a new stream may become, in bytes; None for as large as the server lets it.
        lease_s: How long a leader that is not heard of keeps its place; None for what the leases of this NATS have.
        user: The user, with a password, or alone for a token.
        password: The password.
        token: A token.
        creds: A file with credentials (a JWT and its seed).
        nkey: A file with the seed of an nkey.
        tls: How the server is to be recognised; None for as the address says.
    """

    servers: tuple[str, ...]
    account: str | None = None
    replicas: int = 1
    partitions: int = PARTITIONS
    age_s: float = AGE_S
    max_events: int = MOST_EVENTS
    max_bytes: int | None = None
    lease_s: float | None = None
    user: str | None = attrs.field(default=None, repr=False)
    password: str | None = attrs.field(default=None, repr=False)
    token: str | None = attrs.field(default=None, repr=False)
    creds: str | None = attrs.field(default=None, repr=False)
    nkey: str | None = attrs.field(default=None, repr=False)
    tls: ssl.SSLContext | None = attrs.field(default=None, repr=False)

    def __attrs_post_init__(self) -> None:
        _whole("replicas", self.replicas, 1, MOST_REPLICAS)
        _whole("partitions", self.partitions, 1, MOST_PARTITIONS)
        _whole("max_events", self.max_events, 1, 1 << 53)
        if self.max_bytes is not None:
            _whole("max_bytes", self.max_bytes, 1 << 20, 1 << 53)
        if not 60 <= self.age_s < 1e10:
            raise ConfigurationError(f"age must be a minute or more, not {self.age_s!r} seconds")
        if self.lease_s is not None and not SHORTEST_LEASE_S <= self.lease_s <= LONGEST_LEASE_S:
            raise ConfigurationError(
                f"lease must be from {SHORTEST_LEASE_S:g} to {LONGEST_LEASE_S:g} seconds, not {self.lease_s!r}"
            )
        ways = [name for name in ("user", "token", "creds", "nkey") if getattr(self, name) is not None]
        if len(ways) > 1:
            raise ConfigurationError(f"NATS lets in by one way: {' and '.join(ways)} are given; leave out all but one")
        if (self.user is None) != (self.password is None):
            raise ConfigurationError("a NATS user needs a password, and a password a user; one alone is a token")

    @property
    def name(self) -> str:
        """What is connected to, for messages."""
        return ", ".join(self.servers)

    @property
    def hint(self) -> str:
        """What to do if credentials are refused."""
        return (
            "check user and password, token, creds or nkey (in the address, or NATS_USER, NATS_PASSWORD, NATS_TOKEN, "
            "NATS_CREDS, NATS_NKEY), and what they are permitted to"
        )

    def options(self) -> dict[str, Any]:
        """Return how nats-py is to be let in.

        Raises:
            ConfigurationError: A file cannot be read.
        """
        options: dict[str, Any] = {}
        if self.user is not None:
            options |= {"user": self.user, "password": self.password}
        if self.token is not None:
            options["token"] = self.token
        if self.creds is not None:
            options["user_credentials"] = _readable("creds", self.creds)
        if self.nkey is not None:
            options["nkeys_seed"] = _readable("nkey", self.nkey)
        tls = self.tls
        if tls is None and any(server.startswith("tls://") for server in self.servers):
            tls = ssl.create_default_context()
        if tls is not None:
            options["tls"] = tls
        return options


def settings_of(servers: str | Sequence[str], environment: Mapping[str, str] | None = None, **options: Any) -> Settings:
    """Return what an address, an environment and options mean.

    Args:
        servers: `nats://[user:password@]host:port[,host:port]?option=value`, or several of them for one cluster.
        environment: Where what is left open is looked for.
        options: Attributes of `Settings`; None for what is left open.

    Raises:
        ConfigurationError: It cannot work; the message says what to do, and shows no secret.
    """
    given = [servers] if isinstance(servers, str) else list(servers)
    if not given:
        raise ConfigurationError(f"no server of NATS is named: an address is {_FORM}")
    told: dict[str, Any] = {}
    places: list[str] = []
    for address in given:
        found, asked = _parsed(address)
        places += found
        told |= asked
    told |= {name: value for name, value in options.items() if value is not None}
    lets_in = any(told.get(name) is not None for name in ("user", "token", "creds", "nkey"))
    for name, variable in ENVIRONMENT.items():
        value = (environment or {}).get(variable)
        if name in ("ca", "cert", "key"):
            is_open = told.get("tls") is None
        else:
            is_open = not lets_in or (name == "password" and told.get("user") is not None)
        if value and is_open and not told.get(name):
            told[name] = value
    files = {name: told.pop(name, None) for name in ("ca", "cert", "key")}
    if any(files.values()):
        if told.get("tls") is not None:
            raise ConfigurationError("give either tls= or the files ca, cert and key, not both")
        told["tls"] = _context(**files)
    return Settings(servers=tuple(dict.fromkeys(places)), **told)


def _parsed(address: str) -> tuple[list[str], dict[str, Any]]:
    """Return the servers of an address, and what else it says."""
    scheme, mark, rest = str(address).partition("://")
    if mark != "://" or scheme not in ("nats", "tls"):
        raise ConfigurationError(f"an address of NATS is {_FORM}")
    where, _, query = rest.partition("?")
    told: dict[str, Any] = {}
    places = []
    parts = where.rstrip("/").split(",")
    if "@" in query or any("@" in part for part in parts[1:]) > ("@" in parts[0]):
        raise ConfigurationError(
            "an address of NATS has an @ where none belongs: in a password write , as %2C, ? as %3F and @ as %40"
        )
    for part in parts:
        user_info, at, place = part.rpartition("@")
        if at:
            told |= _user(user_info)
        try:
            parsed = urlsplit(f"{scheme}://{place}")
            host, port = parsed.hostname, parsed.port or PORT
        except ValueError:
            host, port, parsed = None, 0, urlsplit("")
        if not host or parsed.path or parsed.fragment:
            raise ConfigurationError(f"there is no host of NATS in {shorten(repr(place))}: write {_FORM}")
        places.append(f"{scheme}://{f'[{host}]' if ':' in host else host}:{port}")
    for name, value in parse_qsl(query, keep_blank_values=True):
        reader = _OPTIONS.get(name)
        if reader is None:
            raise ConfigurationError(
                f"an address of NATS has no option {shorten(repr(name))}: there are {', '.join(_OPTIONS)}"
            )
        told[_FIELDS.get(name, name)] = reader(name, value)
    return places, told


def _user(text: str) -> dict[str, str]:
    user, colon, password = text.partition(":")
    if not colon:
        return {"token": unquote(user)}
    return {"user": unquote(user), "password": unquote(password)}


def _number(name: str, value: str) -> int:
    if not value.isdecimal() or len(value) > 16:
        raise ConfigurationError(f"{name} must be a whole number, not {shorten(repr(value))}")
    return int(value)


def _duration(name: str, value: str) -> float:
    found = _DURATION.fullmatch(value)
    if found is None:
        raise ConfigurationError(f"{name} must be a duration such as 10s, 90m, 12h or 30d, not {shorten(repr(value))}")
    return float(found[1]) * _UNITS[found[2] or "s"]


def _text(name: str, value: str) -> str:
    if not value:
        raise ConfigurationError(f"the option {name} of an address of NATS is empty")
    return value


_OPTIONS: Final[Mapping[str, Callable[[str, str], Any]]] = {
    "account": _text,
    "replicas": _number,
    "partitions": _number,
    "age": _duration,
    "events": _number,
    "bytes": _number,
    "lease": _duration,
    "creds": _text,
    "nkey": _text,
    "ca": _text,
    "cert": _text,
    "key": _text,
}
_FIELDS: Final = {"age": "age_s", "events": "max_events", "bytes": "max_bytes", "lease": "lease_s"}


def environment() -> Mapping[str, str]:
    """Return where what an address leaves open is looked for."""
    return os.environ


def _context(ca: str | None, cert: str | None, key: str | None) -> ssl.SSLContext:
    try:
        context = ssl.create_default_context(cafile=ca)
        if cert is not None:
            context.load_cert_chain(cert, key)
    except (OSError, ValueError) as error:  # of OpenSSL too
        raise ConfigurationError(f"the files ca, cert or key for NATS cannot be used: {shorten(str(error))}") from error
    if cert is None and key is not None:
        raise ConfigurationError("a key for NATS needs its certificate: give cert, too")
    return context


def _readable(name: str, place: str) -> str:
    path = Path(place).expanduser()
    try:
        with path.open("rb"):
            return str(path)
    except OSError as error:
        raise ConfigurationError(
            f"the file of {name} for NATS cannot be read: {path}: {error.strerror or error}"
        ) from error


def _whole(name: str, value: object, least: int, most: int) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
        raise ConfigurationError(f"{name} must be a whole number from {least} to {most}, not {shorten(repr(value))}")
