"""Every file that a document shows, whole or in part, is taken by what it is for."""

from __future__ import annotations

import json
import re
import tomllib
from configparser import ConfigParser

import pytest
import yaml
from documents import DOCUMENTS, Block, each

from titan_state.core import events
from titan_state.service.accounts import read_accounts

LANGUAGES = {
    "console", "ini", "json", "mermaid", "output", "promql", "python", "text", "toml", "yaml",
    "dockerfile", "sh",
}  # fmt: skip
"""What blocks may be written in: each is held against the project by a test of its own, or is no program (`text`)."""


def blocks(language):
    """Return every block in a language, whatever the document."""
    return [block for document in DOCUMENTS for block in document.blocks_in(language)]


@pytest.mark.parametrize(("document", "block"), each("toml"))
def test_toml_is_taken(document, block: Block, tmp_path):
    """A file of accounts is one that the service reads; else it is a part of a pyproject.toml."""
    found = tomllib.loads(block.text)
    if "account" not in found:
        assert set(found) <= {"tool", "project", "build-system"}
        return
    file = tmp_path / "accounts.toml"
    text = block.text
    for number, path in enumerate(re.findall(r'^token_file = "(.*?)"', text, re.MULTILINE)):
        (tmp_path / f"token-{number}").write_text("a-token", encoding="utf-8")
        text = text.replace(f'"{path}"', f'"token-{number}"')
    file.write_text(text, encoding="utf-8")
    environ = dict.fromkeys(re.findall(r'token_env = "(\w+)"', text), "a-token")
    assert len(read_accounts(file, environ=environ)) == len(found["account"])


def test_json_is_taken():
    """It is JSON; where it is an event, it has the schema, and nothing but the attributes, that events have now."""
    for block in blocks("json"):
        found = json.loads(block.text)
        kinds = {
            kind.type: kind for kind in vars(events).values() if isinstance(kind, type) and hasattr(kind, "to_dict")
        }
        for one in found if isinstance(found, list) else [found]:
            if "schema" in one:
                assert one["schema"] == events.SCHEMA
                assert all(hasattr(kinds[one["type"]], name) for name in one.keys() - {"schema"})


def test_yaml_is_taken():
    """It is YAML, of one or several documents that are not empty."""
    for block in blocks("yaml"):
        assert all(isinstance(part, dict | list) for part in yaml.safe_load_all(block.text))


def test_ini_is_taken():
    """It has sections with settings, as systemd's units and setup.cfg do."""
    for block in blocks("ini"):
        parser = ConfigParser(strict=False, allow_no_value=False, interpolation=None)
        parser.read_string(block.text)
        assert all(parser[section] for section in parser.sections())


def test_every_block_is_looked_at():
    """No document shows something in a language that no test knows, or in none."""
    found = {block.language: block.id for document in DOCUMENTS for block in document.blocks}
    assert {language: where for language, where in found.items() if not language.startswith("{")}.keys() <= LANGUAGES
