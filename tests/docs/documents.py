"""The project's documents, taken apart: fenced blocks, what belongs to them, headings, links and tables.

Nothing is judged here. A block may be preceded by comments that say what the world is like in which it is run, one on
a line; readers do not see them:

- `<!-- EXECUTION_ID: running 0.5, failed 1 -->`: what that execution does, with seconds after the step before;
- `<!-- scenario: demo -->`: the embedded service plays the demonstration's story besides.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import attrs
import pytest

ROOT = Path(__file__).parents[2]

FENCE = re.compile(r"^( *)(`{3,})([^\n`]*)\n(.*?)^\1\2`*[ ]*$", re.MULTILINE | re.DOTALL)
COMMENT = re.compile(r"<!-- ([\w-]+): (.*) -->")
LINK = re.compile(r"(?<!!)\[(?:[^\]\\]|\\.)*\]\(([^)\s]+)\)|^\[[^\]]+\]: (\S+)$|!\[[^\]]*\]\(([^)\s]+)\)", re.MULTILINE)


@attrs.frozen
class Block:
    """A fenced block.

    Attributes:
        document: The path of its document within the project.
        line: The number of its first line, that of the fence.
        language: What the fence says.
        text: What is in it.
        comments: The comments right before it, by their names.
    """

    document: str
    line: int
    language: str
    text: str = attrs.field(repr=False)
    comments: dict[str, str]

    @property
    def id(self) -> str:
        """Where it is, for people."""
        return f"{self.document}:{self.line}"


@attrs.frozen
class Document:
    """A document in Markdown.

    Attributes:
        path: The file.
        text: What is in it.
        blocks: Its fenced blocks, in order.
    """

    path: Path
    text: str = attrs.field(repr=False)
    blocks: tuple[Block, ...]

    @property
    def name(self) -> str:
        """Its path within the project."""
        return self.path.relative_to(ROOT).as_posix()

    @property
    def prose(self) -> str:
        """Its text without the fenced blocks."""
        return FENCE.sub("", self.text)

    def blocks_in(self, language: str) -> list[Block]:
        """Return the blocks in a language."""
        return [block for block in self.blocks if block.language == language]

    def outputs_of(self, block: Block) -> list[Block]:
        """Return the `output` blocks that follow a block with no other block between."""
        found = []
        for follower in self.blocks[self.blocks.index(block) + 1 :]:
            if follower.language != "output":
                break
            found.append(follower)
        return found

    def links(self) -> list[str]:
        """Return where its links and pictures lead, those to other hosts left out."""
        prose = re.sub(r"``[^`\n]*``|`[^`]*`", "", self.prose)
        found = [target for match in LINK.finditer(prose) for target in match.groups() if target]
        return [target for target in found if not re.match(r"[a-z]+:", target)]

    def anchors(self) -> set[str]:
        """Return the anchors of its headings, as GitHub and MyST make them, and those that it names itself."""
        found: dict[str, int] = {}
        for heading in re.findall(r"^#{1,6} +(.+?)\s*#*$", self.prose, re.MULTILINE):
            bare = re.sub(r"\[([^\]]*)\]\([^)]*\)|[`*]", r"\1", heading).lower()
            slug = re.sub(r"[^\w\- ]", "", bare).replace(" ", "-")
            found[slug] = found.get(slug, -1) + 1
            if found[slug]:
                found[f"{slug}-{found[slug]}"] = 0
        return {*found, *re.findall(r"^\(([\w-]+)\)=$", self.text, re.MULTILINE)}

    def rows(self, heading: str) -> list[list[str]]:
        """Return the cells of the first table under a heading."""
        table = self.text.split(f"## {heading}\n", 1)[1].split("\n## ", 1)[0]
        lines = [line for line in table.splitlines() if line.startswith("|")]
        return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]


def read(path: Path) -> Document:
    """Return a document."""
    text = path.read_text(encoding="utf-8")
    name = path.relative_to(ROOT).as_posix()
    blocks = []
    for match in FENCE.finditer(text):
        indent, _, language, inside = match.groups()
        before = text[: match.start()].rstrip("\n").splitlines()
        comments = {}
        while before and (told := COMMENT.fullmatch(before[-1].strip())):
            comments[told[1]] = told[2]
            before.pop()
        line = text.count("\n", 0, match.start()) + 1
        inside = "".join(one.removeprefix(indent) for one in inside.splitlines(keepends=True))
        blocks.append(Block(name, line, language.strip(), inside, comments))
    return Document(path, text, tuple(blocks))


def _paths() -> Iterator[Path]:
    yield from (path for path in sorted(ROOT.glob("*.md")))
    yield from (path for path in sorted((ROOT / "docs").rglob("*.md")) if "_build" not in path.parts)
    yield from (path for path in sorted((ROOT / "examples").rglob("*.md")) if ".pytest_cache" not in path.parts)


DOCUMENTS = tuple(read(path) for path in _paths())
"""Every document there is."""

NAMED = {document.name: document for document in DOCUMENTS}
"""The documents by their paths within the project."""


def each(language: str) -> list[pytest.param]:
    """Return every block in a language as a parameter, with its document."""
    return [
        pytest.param(document, block, id=block.id) for document in DOCUMENTS for block in document.blocks_in(language)
    ]


def fits(told: str, lines: list[str], *, to_the_end: bool = True) -> bool:
    """Return whether lines are what a document shows.

    Args:
        told: What it shows. `…` stands for any text within a line, and a line that is only `…` for any lines.
        lines: The lines of a program.
        to_the_end: Whether nothing may follow.
    """
    pattern = ""
    for line in told.rstrip("\n").splitlines():
        if line.strip() == "…":
            pattern += r"(?:[^\n]*\n)*?"
        else:
            pattern += r"[^\n]*?".join(re.escape(part) for part in line.rstrip().split("…")) + r"[ ]*\n"
    text = "".join(f"{line}\n" for line in lines)
    return (re.fullmatch if to_the_end else re.match)(pattern, text) is not None
