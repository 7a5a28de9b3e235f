"""The file of accounts: what it may say, and that each mistake is told with its place, without a secret."""

from __future__ import annotations

import os

import pytest

from titan_state.errors import ConfigurationError
from titan_state.service.accounts import read_accounts
from titan_state.service.tokens import HIDDEN, TokenFile, Veil

SECRET = "s3cret-token-0123456789"
SHOP = '[[account]]\nname = "shop"\nurl = "https://api.example.com"\n'
WITH_TOKEN = SHOP + 'token_env = "SHOP_TOKEN"\n'
ENVIRON = {"SHOP_TOKEN": SECRET, "EMPTY": " ", "BROKEN": "two words"}


@pytest.fixture
def file(tmp_path):
    """Write a file of accounts."""

    def write(text):
        path = tmp_path / "accounts.toml"
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return path

    return write


def test_everything_that_it_may_say(file, tmp_path):
    """Each setting of each account arrives, in the order of the file, with secrets that are shown nowhere."""
    (tmp_path / "news.token").write_text(f"{SECRET}-2\n")
    path = file(
        WITH_TOKEN
        + 'tasks = ["a", "b"]\nper_minute = 60\n\n[[account]]\nname = "news"\nurl = "http://localhost:8080/api/v1"\n'
        'token_file = "news.token"\njournal = "sqlite:///news.db"\n'
    )
    veil = Veil()
    shop, news = read_accounts(path, environ=ENVIRON, veil=veil)
    assert (shop.name, shop.url, shop.token, shop.tasks, shop.per_minute) == (
        "shop",
        "https://api.example.com",
        SECRET,
        ("a", "b"),
        60,
    )
    assert (news.label, news.tasks, news.per_minute, news.journal) == ("news", (), None, "sqlite:///news.db")
    assert isinstance(news.token, TokenFile)
    assert news.token.read() == f"{SECRET}-2"
    assert SECRET not in repr((shop, news, veil))
    assert veil.clean(f"x {SECRET}-2 y {SECRET}") == f"x {HIDDEN}-2 y {HIDDEN}"


@pytest.mark.parametrize(
    ("text", "place", "told"),
    [
        ("", "", "there is no account"),
        ("account = []", "", "there is no account"),
        ("account = [1]", "account 1", "it is no table"),
        ('[account]\nname = "shop"', "", "there is no account"),
        ("[[accounts]]", "", "there is no 'accounts'"),
        (WITH_TOKEN + "[[", "", "is no TOML"),
        (b"\xff", "", "it is not UTF-8"),
        (WITH_TOKEN + 'taks = ["a"]', "account 1 (shop)", "did you mean tasks"),
        (WITH_TOKEN + "xyzzy = 1", "account 1 (shop)", "there are name, url, token_env"),
        (SHOP + f'token = "{SECRET}"', "account 1 (shop)", "a token is not written here"),
        (SHOP, "account 1 (shop)", "neither is there"),
        (WITH_TOKEN + 'token_file = "x"', "account 1 (shop)", "both are there"),
        (SHOP + 'token_env = "NOT_SET"', "account 1 (shop)", "NOT_SET that token_env names is not set"),
        (SHOP + 'token_env = "EMPTY"', "account 1 (shop)", "is not set"),
        (SHOP + 'token_env = "BROKEN"', "account 1 (shop)", "holds no token"),
        (SHOP + 'token_file = "missing"', "account 1 (shop)", "No such file"),
        (SHOP + "token_env = 3", "account 1 (shop)", "token_env must be a text"),
        (WITH_TOKEN + WITH_TOKEN, "account 2 (shop)", "account 1 has that name already"),
        ('[[account]]\nurl = "https://a.example"\ntoken_env = "SHOP_TOKEN"', "account 1", "its name is missing"),
        ('[[account]]\nname = "x"\ntoken_env = "SHOP_TOKEN"', "account 1 (x)", "its url is missing"),
        (WITH_TOKEN.replace("https:", "http:"), "account 1 (shop)", "unprotected"),
        (WITH_TOKEN.replace('"shop"', '""'), "account 1", "name must be a text"),
        (WITH_TOKEN.replace('"shop"', '"a\\nb"'), "account 1", "name must be a text"),
        (WITH_TOKEN + "tasks = []", "account 1 (shop)", "leave it out to watch everything"),
        (WITH_TOKEN + 'tasks = "a"', "account 1 (shop)", "must be a list"),
        (WITH_TOKEN + 'tasks = ["a", ""]', "account 1 (shop)", "a task is named by its id"),
        (WITH_TOKEN + "tasks = [1]", "account 1 (shop)", "a task is named by its id"),
        (WITH_TOKEN + 'tasks = ["a", "a"]', "account 1 (shop)", "leave one out"),
        (WITH_TOKEN + "per_minute = 0", "account 1 (shop)", "per_minute must be"),
        (WITH_TOKEN + "per_minute = true", "account 1 (shop)", "per_minute must be"),
        (WITH_TOKEN + "per_minute = 1.5", "account 1 (shop)", "per_minute must be"),
    ],
)
def test_each_mistake_names_its_place(file, text, place, told):
    """A mistake is told with the file, the account, and what to do; no value that may be a secret is shown."""
    path = file(text)
    with pytest.raises(ConfigurationError) as caught:
        read_accounts(path, environ=ENVIRON)
    assert told in str(caught.value)
    assert str(path) in str(caught.value)
    assert place in str(caught.value)
    assert SECRET not in str(caught.value)


def test_a_file_that_cannot_be_read(tmp_path):
    """A file that is missing, or far too long, is told as such."""
    with pytest.raises(ConfigurationError, match="No such file"):
        read_accounts(tmp_path / "missing.toml")
    long = tmp_path / "long.toml"
    long.write_text("#" * (1 << 20) + "\n")
    with pytest.raises(ConfigurationError, match="longer than"):
        read_accounts(long)


async def test_a_token_is_read_again(tmp_path):
    """What a file holds is read whenever it is asked for, without what is around it."""
    path = tmp_path / "token"
    path.write_text(f"  {SECRET}\n\n")
    veil = Veil()
    source = TokenFile(path, veil)
    assert await source() == SECRET
    path.write_text("another-token-0123")
    assert await source() == "another-token-0123"
    assert veil.clean(f"{SECRET} another-token-0123") == f"{HIDDEN} {HIDDEN}"
    assert SECRET not in repr(source)


@pytest.mark.parametrize(
    "content", [b"", b" \n", b"two words", b"line\nline", b"\xff\xfe", "tökén".encode(), b"x" * 70_000]
)
def test_a_file_that_holds_no_token(tmp_path, content):
    """What cannot be a token is refused, and not shown."""
    path = tmp_path / "token"
    path.write_bytes(content)
    with pytest.raises(ConfigurationError, match="holds no token") as caught:
        TokenFile(path).read()
    assert "words" not in str(caught.value)


def test_a_token_file_that_is_gone(tmp_path):
    """A file that is missing, or a directory, is told with the reason."""
    for path in (tmp_path / "missing", tmp_path):
        with pytest.raises(ConfigurationError, match=os.strerror(2) if path.name == "missing" else "Is a directory"):
            TokenFile(path).read()
