"""Settings: what an address, the environment and options mean together, and that no secret shows in any of them."""

from __future__ import annotations

import re
import ssl
from urllib.parse import quote

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from titan_state import ConfigurationError
from titan_state.journal.address import journal_of
from titan_state.journal.nats import NatsJournal
from titan_state.journal.nats.settings import AGE_S, ENVIRONMENT, MOST_EVENTS, Settings, settings_of

SECRET = "s3cr3t-4711"


@pytest.fixture(autouse=True)
def _no_credentials(monkeypatch):
    """Leave nothing in the environment that a developer may have set."""
    for variable in ENVIRONMENT.values():
        monkeypatch.delenv(variable, raising=False)


def told(error: BaseException | None) -> str:
    """Return everything that an error, and what it came from, would show beside where in our code that was."""
    shown = ""
    while error is not None:
        shown += f"{error!r} {error.args!r} {vars(error)!r} "
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    return shown


def refused(address: object, environment: dict | None = None, **options: object) -> str:
    """Return what is said of settings that cannot work."""
    with pytest.raises(ConfigurationError) as raised:
        settings_of(address, environment, **options)
    return told(raised.value)


@pytest.mark.parametrize(
    ("address", "servers"),
    [
        ("nats://host", ("nats://host:4222",)),
        ("nats://HOST:1/", ("nats://host:1",)),
        ("nats://a,b:5,10.0.0.1", ("nats://a:4222", "nats://b:5", "nats://10.0.0.1:4222")),
        ("tls://a:1,b", ("tls://a:1", "tls://b:4222")),
        ("nats://[::1]:7,[fe80::1]", ("nats://[::1]:7", "nats://[fe80::1]:4222")),
        (["nats://a", "nats://b,c", "nats://a:4222"], ("nats://a:4222", "nats://b:4222", "nats://c:4222")),
        ("nats://u:p@a,u:p@b", ("nats://a:4222", "nats://b:4222")),
    ],
)
def test_where_the_servers_are(address, servers):
    """Each server is named once, with its port, in the order that was given."""
    assert settings_of(address).servers == servers
    assert settings_of(address).name == ", ".join(servers)


def test_what_an_address_says():
    """Every option of an address is taken over; what it leaves open is what the module says."""
    address = "nats://h?account=my%20shop&replicas=3&partitions=8&age=12h&events=5000&bytes=2000000&lease=2.5"
    assert settings_of(address) == Settings(
        servers=("nats://h:4222",),
        account="my shop",
        replicas=3,
        partitions=8,
        age_s=43_200.0,
        max_events=5000,
        max_bytes=2_000_000,
        lease_s=2.5,
    )
    plain = settings_of("nats://h")
    assert (plain.account, plain.replicas, plain.partitions, plain.max_bytes, plain.lease_s) == (
        None,
        1,
        16,
        None,
        None,
    )
    assert (plain.age_s, plain.max_events) == (AGE_S, MOST_EVENTS)
    assert plain.options() == {}


@pytest.mark.parametrize(("age", "seconds"), [("90", 90), ("90s", 90), ("1.5m", 90), ("2h", 7200), ("30d", 2_592_000)])
def test_durations(age, seconds):
    """A duration has a unit, or is in seconds."""
    assert settings_of(f"nats://h?age={age}").age_s == seconds


def test_options_go_before_the_address():
    """What is said in code wins over what the address says; None leaves it to the address."""
    settings = settings_of("nats://h?account=a&replicas=3&lease=2", account="b", replicas=None, lease_s=3.0)
    assert (settings.account, settings.replicas, settings.lease_s) == ("b", 3, 3.0)


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("nats://u:p%40%2F%3A%2C%3F@h", {"user": "u", "password": "p@/:,?"}),
        ("nats://u:p/q#r@h", {"user": "u", "password": "p/q#r"}),
        ("nats://u:a@b@h", {"user": "u", "password": "a@b"}),
        ("nats://u:a:b@h", {"user": "u", "password": "a:b"}),
        ("nats://t%6Fken@h", {"token": "token"}),
    ],
)
def test_credentials_in_an_address(address, expected):
    """A user with a password, or alone for a token; what is escaped is taken as meant."""
    settings = settings_of(address)
    assert settings.options() == expected
    assert settings.servers == ("nats://h:4222",)


def test_credentials_of_the_environment(tmp_path):
    """What the address leaves open is looked for under the names of the `nats` command, and a way given goes first."""
    file = tmp_path / "file"
    file.write_text("x")
    assert settings_of("nats://h", {"NATS_USER": "u", "NATS_PASSWORD": "p"}).options() == {"user": "u", "password": "p"}
    assert settings_of("nats://h", {"NATS_TOKEN": "t"}).options() == {"token": "t"}
    assert settings_of("nats://h", {"NATS_CREDS": str(file)}).options() == {"user_credentials": str(file)}
    assert settings_of("nats://h", {"NATS_NKEY": str(file)}).options() == {"nkeys_seed": str(file)}
    assert settings_of("nats://t@h", {"NATS_USER": "u", "NATS_PASSWORD": "p"}).options() == {"token": "t"}
    assert settings_of("nats://h", {"NATS_CREDS": str(file)}, token="t").options() == {"token": "t"}
    assert settings_of(f"nats://h?creds={file}", {"NATS_TOKEN": "t"}).options() == {"user_credentials": str(file)}
    assert settings_of("nats://h", {"NATS_TOKEN": "", "OTHER": "x"}).options() == {}
    for variables in ({"NATS_USER": "u"}, {"NATS_PASSWORD": SECRET}):
        assert SECRET not in refused("nats://h", variables)
    shown = refused("nats://h", {"NATS_USER": "u", "NATS_PASSWORD": SECRET, "NATS_TOKEN": SECRET})
    assert "user and token are given" in shown
    assert SECRET not in shown


def test_a_user_in_code_and_its_password_in_the_environment():
    """Each of the two may come from where it is kept."""
    environment = {"NATS_PASSWORD": "p"}
    assert settings_of("nats://h", environment, user="u").options() == {"user": "u", "password": "p"}
    assert settings_of("nats://h", {"NATS_USER": "u"}, password="p").options() == {"user": "u", "password": "p"}


def test_tls():
    """`tls://` checks the server by what the machine trusts; a context or files say otherwise."""
    context = settings_of("tls://h").options()["tls"]
    assert context.verify_mode is ssl.CERT_REQUIRED
    assert context.check_hostname
    own = ssl.create_default_context()
    assert settings_of("nats://h", tls=own).options() == {"tls": own}
    shown = refused("nats://h?ca=nowhere.pem")
    assert "nowhere.pem" in shown or "No such file" in shown
    refused("nats://h?ca=a.pem", tls=own)
    refused("nats://h", {"NATS_KEY": "key.pem"})


def test_a_context_in_code_goes_before_files_of_the_environment():
    """What is said in code leaves nothing open that the environment could say."""
    own = ssl.create_default_context()
    assert settings_of("nats://h", {"NATS_CA": "somewhere.pem"}, tls=own).options() == {"tls": own}


def test_a_file_that_is_not_there_is_named(tmp_path):
    """It is said which one, before a connection is tried."""
    for name in ("creds", "nkey"):
        with pytest.raises(ConfigurationError, match=f"the file of {name} .*nowhere"):
            settings_of("nats://h", **{name: str(tmp_path / "nowhere")}).options()


@pytest.mark.parametrize(
    ("address", "says"),
    [
        ("", "an address of NATS is nats://"),
        ("nats:", "an address of NATS is nats://"),
        ("http://h", "an address of NATS is nats://"),
        ("NATS//h", "an address of NATS is nats://"),
        ("nats://", "no host"),
        ("nats://?account=a", "no host"),
        ("nats://a,,b", "no host"),
        ("nats://h:99999", "no host"),
        ("nats://h:port", "no host"),
        ("nats://h/path", "no host"),
        ("nats://[::1", "no host"),
        ("nats://u:p@", "no host"),
        ("nats://h?acount=a", "no option 'acount': there are account, replicas"),
        ("nats://h?account=", "the option account of an address of NATS is empty"),
        ("nats://h?replicas=three", "replicas must be a whole number, not 'three'"),
        ("nats://h?replicas=0", "replicas must be a whole number from 1 to 5"),
        ("nats://h?replicas=6", "replicas must be a whole number from 1 to 5"),
        ("nats://h?partitions=1025", "partitions must be a whole number from 1 to 1024"),
        ("nats://h?partitions=1e3", "partitions must be a whole number"),
        ("nats://h?events=99999999999999999", "max_events|events must be a whole number"),
        ("nats://h?bytes=1000", "max_bytes must be a whole number from 1048576"),
        ("nats://h?age=1w", "age must be a duration such as 10s"),
        ("nats://h?age=59", "age must be a minute or more"),
        ("nats://h?age=", "age must be a duration"),
        ("nats://h?lease=0.5", "lease must be from 1 to 600 seconds"),
        ("nats://h?lease=601", "lease must be from 1 to 600 seconds"),
    ],
)
def test_what_cannot_work_is_said(address, says):
    """The message names what is wrong, and what would be right."""
    assert re.search(says, refused(address))


def test_no_servers_at_all():
    """A list of addresses without an address in it is refused at once, not when it is connected to."""
    refused([])


def test_numbers_in_code_are_checked_too():
    """What is no number in a range is refused, whoever says it."""
    for options in ({"replicas": True}, {"replicas": "3"}, {"partitions": 0}, {"max_events": 1.5}, {"max_bytes": 1}):
        refused("nats://h", **options)
    for value in (float("nan"), float("inf"), -1.0):
        refused("nats://h", age_s=value)
        refused("nats://h", lease_s=value)


secrets = st.text(st.characters(codec="ascii", categories=["L", "N", "P", "S"]), min_size=6, max_size=20)


@given(secrets, st.sampled_from(["password", "token"]), st.sampled_from(["", "?acount=a", "?replicas=x", ",,b", ":x"]))
def test_an_escaped_secret_is_never_shown(secret, kind, wrong):
    """Whatever is wrong with an address, its secret is in no name, no repr and no error."""
    secret = f"s3{secret}"
    user_info = quote(secret, safe="") if kind == "token" else f"user:{quote(secret, safe='')}"
    address = f"nats://{user_info}@h{wrong}"
    if wrong:
        shown = refused(address)
    else:
        settings = settings_of(address)
        assert settings.options()[kind] == secret
        journal = NatsJournal(address)
        shown = f"{settings!r} {settings} {settings.name} {settings.hint} {journal!r} {journal.name} {vars(journal)!r}"
        shown += f"{journal_of(address)!r}"
    assert secret not in shown
    assert quote(secret, safe="") not in shown


@pytest.mark.parametrize("sign", [",", "?", "/", "#", "@", ":", "%", "&", "=", "[", "]", "%2", "\\", " "])
@pytest.mark.parametrize("left", ["", "12", "pa"])
def test_a_secret_that_was_not_escaped_is_not_shown(sign, left):
    """Where a sign ends the user's part of an address too early, what was meant as a secret is not shown either."""
    address = f"nats://user:{left}{sign}{SECRET}@host"
    try:
        settings = settings_of(address)
    except ConfigurationError as error:
        shown = told(error)
    else:
        shown = f"{settings!r} {settings.name}"
        assert settings.servers == ("nats://host:4222",)
        assert settings.password == f"{left}{sign}{SECRET}"
    assert SECRET not in shown
    assert not left or f"user:{left}" not in shown


@given(st.text(max_size=30))
def test_any_text_is_an_address_or_is_refused(text):
    """Nothing but what the docstring says comes out, whatever is handed in."""
    assume("\0" not in text)
    for address in (text, f"nats://{text}", f"nats://h?{text}"):
        try:
            settings = settings_of(address)
        except ConfigurationError:
            continue
        assert settings.servers
        assert all(re.fullmatch(r"(nats|tls)://.+:\d+", server, re.DOTALL) for server in settings.servers)


def test_the_journal_of_an_address():
    """`nats://` and `tls://` make a journal in NATS with what the address says, shown without credentials."""
    journal = journal_of("nats://user:pass@h:1?account=shop")
    assert isinstance(journal, NatsJournal)
    assert (journal.account, journal.is_shared, journal.is_durable) == ("shop", True, True)
    assert journal.name.startswith("nats://h:1")
    assert "nats://h:1" in repr(journal)
    assert "user" not in f"{journal.name} {journal!r}"
    assert (journal.lease, journal.head, journal.trouble) == (None, 0, None)
    assert isinstance(journal_of("tls://h"), NatsJournal)
    with pytest.raises(ConfigurationError, match="no journal at"):
        journal_of(f"nots://user:{SECRET}@h")


def test_the_journal_looks_into_the_environment(monkeypatch):
    """Credentials of the environment are used where the address has none."""
    monkeypatch.setenv("NATS_TOKEN", SECRET)
    journal = NatsJournal("nats://h")
    assert journal._settings.options() == {"token": SECRET}
    assert SECRET not in f"{journal!r} {journal.name} {journal._settings!r}"
