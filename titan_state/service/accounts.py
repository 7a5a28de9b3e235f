"""Accounts: which ones a service tends, and the TOML file that names several. It opens no journal and sends nothing.

```toml
[[account]]
name = "shop"
url = "https://api.example.com"
token_file = "shop.token"      # or token_env = "SHOP_TOKEN"
tasks = ["nightly", "prices"]  # everything, if left out
per_minute = 120
```
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Awaitable, Callable, Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Final

import attrs

from titan_state.client.address import origin_of
from titan_state.client.profile import ServiceProfile
from titan_state.errors import ConfigurationError, shorten
from titan_state.journal.address import journal_of
from titan_state.monitor.arguments import require_id
from titan_state.service.tokens import TokenFile, Veil

KEYS: Final = ("name", "url", "token_env", "token_file", "tasks", "per_minute", "journal")
"""What an account of the file may have."""

LARGEST: Final = 1024 * 1024
"""The largest file that is read, in bytes."""

MOST_PER_MINUTE: Final = 1_000_000


@attrs.frozen(kw_only=True)
class Account:
    """An account that is tended.

    Attributes:
        url: The origin of its Task Service.
        token: The bearer token, or a function that returns a valid one.
        name: What the account is called; None for the origin.
        tasks: The tasks that are watched.
        ids: The executions that are watched by their ids; everything is watched where neither is named.
        per_minute: The most requests to send in a minute, None for the library's default.
        journal: Its own journal, None for the one of the service.
    """

    url: str
    token: str | Callable[[], str | Awaitable[str]] = attrs.field(repr=False)
    name: str | None = None
    tasks: tuple[str, ...] = ()
    ids: tuple[str, ...] = ()
    per_minute: int | None = None
    journal: str | Path | None = attrs.field(default=None, repr=False)

    @property
    def label(self) -> str:
        """What it is called in logs and answers."""
        return self.name or self.url


def account_of(account: Account, journal: str | os.PathLike[str]) -> str:
    """Return whose executions a monitor of an account takes them for.

    Args:
        account: The account.
        journal: The address of the journal that it writes; one in NATS may name an account itself.
    """
    named = account.name or getattr(journal_of(journal), "account", None)
    return named or origin_of(account.url, ServiceProfile().api_prefix)


def read_accounts(path: Path, *, environ: Mapping[str, str] | None = None, veil: Veil | None = None) -> list[Account]:
    """Return the accounts that a TOML file names, in its order.

    Args:
        path: The file.
        environ: Where variables are looked up, by default the environment.
        veil: Is told the tokens, so that they are shown nowhere.

    Raises:
        ConfigurationError: It cannot be read, or something in it cannot work; the message names the place, and shows
            no value that may be a secret.
    """
    environ = os.environ if environ is None else environ
    veil = Veil() if veil is None else veil
    tables = _tables(path)
    accounts: list[Account] = []
    for number, table in enumerate(tables, 1):
        place = f"{path}, account {number}"
        if isinstance(table, dict) and isinstance(table.get("name"), str):
            place += f" ({shorten(table['name'])})"
        try:
            accounts.append(_account(table, path.parent, environ, veil))
        except ConfigurationError as error:
            raise ConfigurationError(f"{place}: {error}") from error
        names = [one.name for one in accounts[:-1]]
        if accounts[-1].name in names:
            raise ConfigurationError(f"{place}: account {names.index(accounts[-1].name) + 1} has that name already")
    return accounts


def _tables(path: Path) -> list[Any]:
    try:
        with path.open("rb") as file:
            content = file.read(LARGEST + 1)
        if len(content) > LARGEST:
            raise ConfigurationError(f"{path} is longer than {LARGEST} bytes: that is no list of accounts")
        found = tomllib.loads(content.decode())
    except OSError as error:
        raise ConfigurationError(f"the accounts cannot be read from {path}: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        raise ConfigurationError(f"{path} is no TOML: it is not UTF-8") from error
    except tomllib.TOMLDecodeError as error:
        raise ConfigurationError(f"{path} is no TOML: {shorten(str(error))}") from None
    unknown = [key for key in found if key != "account"]
    if unknown:
        raise ConfigurationError(f"{path}: there is no {shorten(repr(unknown[0]))}: write tables [[account]], only")
    tables = found.get("account")
    if not isinstance(tables, list) or not tables:
        raise ConfigurationError(f"{path}: there is no account: write a table [[account]] for each")
    return tables


def _account(table: Any, folder: Path, environ: Mapping[str, str], veil: Veil) -> Account:
    if not isinstance(table, dict):
        raise ConfigurationError("it is no table: write [[account]] above its settings")
    _check_keys(table)
    url = _text(table, "url")
    origin_of(url, ServiceProfile().api_prefix)
    journal = _text(table, "journal") if "journal" in table else None
    return Account(
        name=_text(table, "name"),
        url=url,
        token=_token(table, folder, environ, veil),
        tasks=_tasks(table["tasks"]) if "tasks" in table else (),
        per_minute=_per_minute(table.get("per_minute")),
        journal=journal,
    )


def _check_keys(table: dict[str, Any]) -> None:
    for key in table:
        if key == "token":
            raise ConfigurationError("a token is not written here: name a token_file, or a variable as token_env")
        if key not in KEYS:
            near = get_close_matches(key, KEYS, 1)
            meant = f"did you mean {near[0]}?" if near else f"there are {', '.join(KEYS)}"
            raise ConfigurationError(f"there is no {shorten(repr(key))}: {meant}")
    for key in ("name", "url"):
        if key not in table:
            raise ConfigurationError(f'its {key} is missing: write {key} = "…" below [[account]]')


def _text(table: dict[str, Any], key: str) -> str:
    value = table[key]
    if not isinstance(value, str) or not value.strip() or not value.isprintable():
        raise ConfigurationError(f"{key} must be a text that is not empty, on one line")
    return value


def _token(
    table: dict[str, Any], folder: Path, environ: Mapping[str, str], veil: Veil
) -> str | Callable[[], str | Awaitable[str]]:
    if ("token_env" in table) == ("token_file" in table):
        told = "both are there" if "token_env" in table else "neither is there"
        raise ConfigurationError(f"name either a token_file or a variable as token_env: {told}")
    if "token_file" in table:
        source = TokenFile(folder / _text(table, "token_file"), veil)
        source.read()  # what is missing now would be missed when nobody looks
        return source
    variable = _text(table, "token_env")
    token = environ.get(variable, "").strip()
    if not token:
        raise ConfigurationError(
            f"the variable {shorten(variable)} that token_env names is not set: set it to the token"
        )
    if not token.isascii() or not token.isprintable() or " " in token:
        raise ConfigurationError(
            f"the variable {shorten(variable)} that token_env names holds no token: set it to that alone"
        )
    veil.add(token)
    return token


def _tasks(value: Any) -> tuple[str, ...]:
    if not isinstance(value, list) or not value:
        raise ConfigurationError('tasks must be a list of ids, ["nightly"] say; leave it out to watch everything')
    for task in value:
        require_id(task, "a task")
    if len(set(value)) < len(value):
        raise ConfigurationError(
            f"tasks names {shorten(next(one for one in value if value.count(one) > 1))} twice: leave one out"
        )
    return tuple(value)


def _per_minute(value: Any) -> int | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= MOST_PER_MINUTE:
        raise ConfigurationError(
            f"per_minute must be a whole number from 1 to {MOST_PER_MINUTE}, not {shorten(repr(value))}"
        )
    return value
