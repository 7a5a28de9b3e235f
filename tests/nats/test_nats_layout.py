"""The layout: any id, name and account has plain subjects of its own, and the filters find what they are to find."""

from __future__ import annotations

import re

import attrs
import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from titan_state.journal.nats.layout import MOST_PARTITIONS, Layout, account_token, mark_of, name_token, stream_of

PLAIN = re.compile(r"[a-z0-9-]+")
SUBJECT = re.compile(r"[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*")
ODD = ["a.b.*", ">", "all", " ", "", "\n", "\0", "ä" * 5000, "A", "a", "\ud800", "a-", "-a", "TITAN"]

texts = st.sampled_from(ODD) | st.text(max_size=60) | st.text(st.characters(), max_size=5)
layouts = st.builds(Layout, texts, st.integers(1, MOST_PARTITIONS))


def matches(subject: str, wanted: str) -> bool:
    """Return whether a subject is among those that are meant, as NATS understands it."""
    own, asked = subject.split("."), wanted.split(".")
    if asked[-1] == ">":
        return len(own) >= len(asked) and all(one in ("*", two) for one, two in zip(asked[:-1], own, strict=False))
    return len(own) == len(asked) and all(one in ("*", two) for one, two in zip(asked, own, strict=True))


@given(layouts, texts, texts, st.integers(1, 2**63))
def test_whatever_an_id_is_its_subjects_are_plain(layout, execution_id, name, position):
    """No text can break out of its subject: there are no wildcards, spaces or dots in what is made of it."""
    subjects = [
        layout.event(execution_id),
        layout.head,
        layout.record(execution_id),
        layout.list(execution_id),
        layout.list(None),
        layout.subscription(name),
        layout.letter(name, position),
        layout.again(name),
    ]
    for subject in subjects:
        assert SUBJECT.fullmatch(subject)
        assert len(subject) < 160
        assert matches(subject, layout.everything)
    assert SUBJECT.fullmatch(layout.stream)
    assert "." not in layout.stream
    for partition in (None, 0, layout.partitions - 1):
        assert PLAIN.fullmatch(layout.consumer(name, partition))


@given(layouts, texts, texts, st.integers(1, 2**63))
def test_filters_find_what_they_are_for_and_nothing_else(layout, execution_id, name, position):
    """Each kind of message is found by the filter of its kind only, and an event by that of its own partition only."""
    found = {
        layout.event(execution_id): layout.events(),
        layout.record(execution_id): layout.records,
        layout.subscription(name): layout.subscriptions,
        layout.letter(name, position): layout.letters(),
    }
    for subject in [*found, layout.head, layout.list(None), layout.list(execution_id), layout.again(name)]:
        for wanted in found.values():
            assert matches(subject, wanted) == (found.get(subject) == wanted)
        is_state = subject in (layout.head, layout.list(None), layout.list(execution_id), layout.record(execution_id))
        assert matches(subject, layout.state) == is_state
    assert matches(layout.letter(name, position), layout.letters(name))
    own = layout.partition(execution_id)
    assert 0 <= own < layout.partitions
    for partition in {0, own, layout.partitions - 1}:
        assert matches(layout.event(execution_id), layout.events(partition)) == (partition == own)


@given(layouts, texts, texts)
@example(Layout("a"), "all", "\n")
def test_two_ids_never_share_a_subject(layout, one, other):
    """What differs, if only in case, space or what a slug leaves out, has other subjects."""
    assume(one != other)
    for made in (layout.event, layout.record, layout.list, layout.subscription, layout.again, name_token):
        assert made(one) != made(other)
    assert layout.consumer(one, 0) != layout.consumer(other, 0)
    assert layout.letter(one, 1) != layout.letter(other, 1)
    assert not matches(layout.letter(one, 1), layout.letters(other))
    assert layout.list(one) != layout.list(None)
    assert stream_of(account_token(one)) != stream_of(account_token(other))
    assert not matches(Layout(one).head, Layout(other).everything)


@given(texts)
def test_tokens_are_bounded_and_the_same_again(text):
    """A token is short enough for a stream's or a consumer's name, and the same in every program."""
    for token, longest in ((account_token(text), 32), (name_token(text), 24)):
        assert PLAIN.fullmatch(token)
        assert not token.startswith("-")
        assert 1 + 1 + 12 <= len(token) <= longest + 1 + 12
        assert token.endswith(f"-{mark_of(text)[:12]}")
    assert re.fullmatch(r"[0-9a-f]{32}", mark_of(text))


def test_names_that_other_programs_rely_on():
    """What is in streams already is found again: these never change."""
    layout = Layout("My Shop / EU")
    assert layout.partitions == 16
    assert layout.token == "my-shop-eu-87dc558f0333"
    assert layout.stream == "TITAN_my-shop-eu-87dc558f0333"
    assert layout.everything == "titan.my-shop-eu-87dc558f0333.>"
    assert layout.event("e1") == "titan.my-shop-eu-87dc558f0333.event.14.8b5cc4df7eec7d32a7814eca4af047ae"
    assert layout.events(3) == "titan.my-shop-eu-87dc558f0333.event.3.>"
    assert layout.consumer("export", 3) == "export-d46aee08cc49-0003"
    assert layout.consumer("export", None) == "export-d46aee08cc49-again"
    assert account_token("…") == "x-b4935894c8ce"


@pytest.mark.parametrize("partitions", [1, 2, 16, MOST_PARTITIONS])
def test_executions_are_spread_evenly(partitions):
    """No partition gets much more than its share, so that programs which compete have work each."""
    layout = Layout("a", partitions)
    count = 100 * partitions
    shares = [0] * partitions
    for number in range(count):
        shares[layout.partition(f"e{number}")] += 1
    assert sum(shares) == count
    assert max(shares) < 200


def test_a_layout_is_plain_data():
    """It equals another of the same account, and cannot be changed."""
    assert Layout("a", 4) == Layout("a", 4) != Layout("b", 4)
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        Layout("a").account = "b"
