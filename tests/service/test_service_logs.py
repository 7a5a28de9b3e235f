"""The log of the service: lines that machines read, that name the account, and that hold no secret."""

from __future__ import annotations

import asyncio
import io
import json
import logging
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from titan_state.service.logs import current_account, logging_to
from titan_state.service.tokens import HIDDEN, Veil

SECRET = "s3cret/token+0123456789"
log = logging.getLogger("titan_state.service")


@pytest.fixture
def veil():
    veil = Veil()
    veil.add(SECRET)
    return veil


def lines(form, veil, work, level=logging.INFO):
    stream = io.StringIO()
    with logging_to(form, veil, stream=stream, level=level):
        work()
    return stream.getvalue().splitlines()


def objects(veil, work, **options):
    return [json.loads(line) for line in lines("json", veil, work, **options)]


def failing():
    try:
        raise ValueError(f"no {SECRET}\nsecond line")
    except ValueError:
        log.exception("it failed with %s", SECRET)


def test_a_line_has_its_parts(veil):
    """Time, level, logger and message are there; account and exception are where there are some."""
    (told,) = objects(veil, lambda: log.warning("a %s", "word"))
    assert told.pop("time").endswith("Z")
    assert told == {"level": "warning", "logger": "titan_state.service", "message": "a word"}


def test_no_secret_is_in_a_line(veil):
    """Secrets are taken out of messages and tracebacks, in either form, also as they are in a URL."""

    def work():
        failing()
        log.info("at https://x.example/?token=abcdef and s3cret%2Ftoken%2B0123456789")

    for form in ("json", "text"):
        text = "\n".join(lines(form, veil, work))
        assert SECRET not in text
        assert "abcdef" not in text
        assert "0123456789" not in text
        assert text.count(HIDDEN) >= 3
        assert "ValueError" in text


def test_a_traceback_is_in_its_line(veil):
    """One record is one object, whatever its exception says."""
    (told,) = objects(veil, failing)
    assert "Traceback" in told["exception"]
    assert "second line" in told["exception"]


async def test_each_line_names_the_account_it_is_about(veil):
    """What is done for an account is told as its own, also side by side, and elsewhere no account is named."""
    stream = io.StringIO()

    async def tend(name):
        current_account.set(name)
        await asyncio.sleep(0)
        logging.getLogger("titan_state.monitor").info("of %s", name)
        await asyncio.to_thread(log.info, "in a thread of %s", name)

    with logging_to("json", veil, stream=stream):
        await asyncio.gather(tend("shop"), tend("news"))
        log.info("of nobody")
    told = [json.loads(line) for line in stream.getvalue().splitlines()]
    assert all(one.get("account", "nobody") == one["message"].split()[-1] for one in told)
    assert len(told) == 5


def test_the_level_and_other_loggers(veil):
    """What is below the level is left out; warnings of other libraries come as lines, too."""

    def work():
        log.debug("too much")
        logging.getLogger("asyncio").info("too much")
        logging.getLogger("asyncio").warning("of another one: %s", SECRET)

    told = objects(veil, work)
    assert [(one["logger"], one["message"]) for one in told] == [("asyncio", f"of another one: {HIDDEN}")]
    assert "too much" in lines("text", veil, work, level=logging.DEBUG)[0]


def test_the_log_is_left_as_it_was(veil):
    """Handlers, level and propagation come back."""
    logger = logging.getLogger("titan_state")
    before = logger.handlers[:], logger.level, logger.propagate, logging.getLogger().handlers[:]
    lines("json", veil, lambda: None)
    assert (logger.handlers[:], logger.level, logger.propagate, logging.getLogger().handlers[:]) == before


def test_a_reader_that_has_gone_ends_nothing(veil, capsys):
    """A log that cannot be written is no error."""

    class Gone(io.StringIO):
        def write(self, text):
            raise BrokenPipeError

    with logging_to("json", veil, stream=Gone()):
        log.error("nobody reads this")
    assert capsys.readouterr().err == ""


@given(st.text(max_size=300))
def test_any_text_is_one_line(text):
    """A message is one line of ASCII, and the same text again when it is read; for people nothing in it steers."""
    (told,) = (
        objects(Veil(), lambda: log.error("%s!", text)) if "token" not in text.lower() else ({"message": text + "!"},)
    )
    assert told["message"] == text + "!" or "redacted" in told["message"]
    (shown,) = lines("text", Veil(), lambda: log.error("%s", text))
    assert "\x1b" not in shown


def test_it_goes_to_stderr_as_usual(veil, capsys):
    """Without a stream the log goes to stderr, and stdout stays empty."""
    with logging_to("text", veil):
        log.error("a word")
    shown = capsys.readouterr()
    assert (shown.out, "error   a word" in shown.err) == ("", True)
    assert sys.stderr is not None


def test_a_veil_forgets_the_oldest():
    """A service that renews its token for years remembers a bounded number; very short ones are no secrets."""
    veil = Veil()
    veil.add("short")
    for number in range(2000):
        veil.add(f"token-number-{number:05}")
    assert veil.clean("short token-number-01999 token-number-00000") == f"short {HIDDEN} token-number-00000"
