"""Tables and drawings in documents are what the code says they are."""

from __future__ import annotations

import inspect
import re
from configparser import ConfigParser

import pytest
from documents import NAMED, ROOT

from titan_state import Lifecycle, Outputs, ServiceProfile
from titan_state.core.anomalies import RULES
from titan_state.monitor.delivery.callbacks import Options
from titan_state.monitor.handlers import Handler, Registry

OUTPUTS = NAMED["docs/outputs.md"]
CALLBACKS = NAMED["docs/callbacks.md"]
STATUSES = NAMED["docs/how-to/statuses.md"]
MODEL = NAMED["docs/model.md"]


def test_outputs_are_told():
    """The table in docs/outputs.md has each method of `Outputs`, and no other."""
    told = set(re.findall(r"`(?:await )?(\w+)\(", "".join(row[0] for row in OUTPUTS.rows("What there is"))))
    plumbing = {"read_metadata"}
    assert told == {name for name in vars(Outputs) if not name.startswith("_")} - plumbing


def test_defaults_of_outputs_are_told():
    """The table of defaults in docs/outputs.md says what `ServiceProfile` has."""
    profile = ServiceProfile()
    for name, told in ((row[0].strip("`"), row[1]) for row in OUTPUTS.rows("What is a default")):
        value = getattr(profile, name)
        for one in value if isinstance(value, tuple) else (value,):
            assert value is True or str(one) in told


def test_arguments_of_extend_are_told():
    """The table in docs/how-to/statuses.md has each argument of `Lifecycle.extend`, and no other."""
    told = {row[0].strip("`") for row in STATUSES.rows("What `extend` takes")}
    assert told == set(inspect.signature(Lifecycle.extend).parameters) - {"self"}


@pytest.mark.parametrize("name", list(Options.__annotations__))
def test_options_are_told(name):
    """Each option of a handler is in the table of docs/callbacks.md, with its default."""
    told = {row[0].strip("`"): row[2] for row in CALLBACKS.rows("When it fails")}
    default = {"retries": "3", "backoff": "1", "timeout": "None: no limit", "name": "the function's own"}
    default |= {"task": "None: all", "since": "None: now"}
    assert told[name] == default[name]
    if name not in ("name", "task"):
        assert str(getattr(Handler("x", print, []), name)).startswith(told[name].split(":")[0])


def test_registrars_are_told():
    """Each registrar is in the table of docs/callbacks.md, and no other."""
    told = set(re.findall(r"`(on_\w+)", "".join(row[0] for row in CALLBACKS.rows("What it is called for"))))
    assert told == {name for name in vars(Registry) if name.startswith("on_")}


def test_drawings_are_the_model():
    """A drawing of the whole model in a document is what the model draws of itself."""
    drawings = [block.text for document in NAMED.values() for block in document.blocks_in("mermaid")]
    drawn = [text.strip() for text in drawings if text.startswith("stateDiagram")]
    assert drawn
    assert set(drawn) == {Lifecycle.default().diagram().strip()}


def test_the_table_of_moves_is_the_model():
    """The table in docs/model.md has every move of the model, from where, to where and by whom, and no other."""
    told = {
        (name.strip("`"), source.strip("`"), dest.strip("`"), who)
        for name, sources, dest, who in MODEL.rows("Statuses and moves")
        for source in sources.split(", ")
    }
    moves = Lifecycle.default().moves
    assert told == {(m.name, m.source, m.dest, "platform" if m.action is None else "action") for m in moves}


def test_the_table_of_anomalies_is_the_rules():
    """The table in docs/model.md has every kind of anomaly: how grave, whether it ends, and what to check first."""
    told = {kind.strip("`"): tuple(rest) for kind, _, *rest in MODEL.rows("Anomalies")}
    rules = {
        kind: (rule.severity, "yes" if rule.ends else "no", rule.check_first.partition(":")[0])
        for kind, rule in RULES.items()
    }
    assert told == rules


def test_the_table_of_layers_is_the_contract():
    """The layers in docs/architecture.md are, in the same order, those that the linter enforces."""
    parser = ConfigParser()
    parser.read(ROOT / "setup.cfg", encoding="utf-8")
    enforced = parser["importlinter:contract:layers"]["layers"].strip().splitlines()
    told = [re.findall(r"`(\w+)", row[0]) for row in NAMED["docs/architecture.md"].rows("Layers")]
    assert [sorted(names) for names in told] == [
        sorted(re.findall(r"(?<!\()\b(\w+)\b(?!\))", line)) for line in enforced
    ]
