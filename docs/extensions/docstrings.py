"""A Sphinx extension: docstrings of this project, whose text is Markdown, become reStructuredText.

Fenced blocks become code blocks, and what is between single backticks becomes a link where it names something public,
else a literal. References to what has no page here, as to the standard library, are text: looking them up would need
the network.
"""

from __future__ import annotations

import re
from functools import cache
from typing import TYPE_CHECKING, Any

from sphinx.domains.python import PyObject

import titan_state
from titan_state import dashboard, emulator, telemetry

if TYPE_CHECKING:
    from collections.abc import Iterator

    from docutils import nodes
    from sphinx.addnodes import pending_xref
    from sphinx.application import Sphinx
    from sphinx.environment import BuildEnvironment

FENCE = re.compile(r"^( *)```(\w*)$")
CODE = re.compile(r"(?<![`:\w])`([^`]+)`(?!`)")
LINK = re.compile(r"\[([^\]]+)\]\((https?:[^)]+)\)")
BEFORE_NAPOLEON, AFTER_NAPOLEON = 400, 600
SECTION = re.compile(r"^(?:Args|Raises|Returns|Example|Examples):$")

PROPERTIES: dict[str, list[str]] = {}
"""The docstrings of properties between the two steps, by full name."""


@cache
def homes() -> dict[str, str]:
    """Return the public names by where they are defined."""
    found = {}
    for module in (titan_state, dashboard, emulator, telemetry):
        for name in module.__all__:
            value = getattr(module, name)
            if hasattr(value, "__qualname__"):
                found[f"{value.__module__}.{value.__qualname__}"] = f"{module.__name__}.{name}"
    return found


def public(text: str, within: str) -> str | None:
    """Return the full name of what a text names, None if that is nothing public.

    Args:
        text: What is between backticks.
        within: The full name of what is documented there.
    """
    bare = re.sub(r"\(.*\)$", "", text.removeprefix("await ").removeprefix("@"), flags=re.DOTALL)
    if not re.fullmatch(r"[A-Za-z_][\w.]*", bare) or bare.rpartition(".")[2].startswith("_"):
        return None
    bare = homes().get(bare, bare).removeprefix("titan_state.")
    head, _, attribute = bare.partition(".")
    if head in titan_state.__all__ and (not attribute or hasattr(getattr(titan_state, head), attribute)):
        return f"titan_state.{bare}"
    owner = within.removeprefix("titan_state.").partition(".")[0]
    if attribute or owner not in titan_state.__all__ or not isinstance(getattr(titan_state, owner), type):
        return None
    named = vars(getattr(titan_state, owner)).get(head)
    return f"titan_state.{owner}.{head}" if callable(named) and within != f"titan_state.{owner}.{head}" else None


def converted(lines: list[str], within: str) -> Iterator[str]:
    """Return the lines of a docstring as reStructuredText."""
    fence: str | None = None
    prose: list[str] = []
    for line in lines:
        mark = FENCE.match(line)
        if fence is not None:
            yield "" if mark else f"   {line}".rstrip()
            fence = None if mark else fence
        elif mark:
            yield from _prose(prose, within)
            prose = []
            fence = mark[1]
            yield from ("", f"{fence}.. code-block:: {mark[2] or 'text'}", "")
        else:
            prose.append(line)
    yield from _prose(prose, within)


def _prose(lines: list[str], within: str) -> list[str]:
    def role(match: re.Match[str]) -> str:
        text = match[1]
        target = public(re.sub(r"\s+", " ", text), within)
        if target is None:
            return f"``{text}``"
        return f":py:obj:`{text} <{target}>`"

    text = CODE.sub(role, "\n".join(lines))
    return LINK.sub(r"`\1 <\2>`__", text).split("\n")


def process(app: Sphinx, what: str, name: str, obj: Any, options: Any, lines: list[str]) -> None:
    """Convert a docstring in place."""
    lines[:] = converted(lines, name)
    PROPERTIES.pop(name, None)
    if what == "property" and not any(SECTION.match(line) for line in lines):
        PROPERTIES[name] = list(lines)


def restore(app: Sphinx, what: str, name: str, obj: Any, options: Any, lines: list[str]) -> None:
    """Undo what napoleon does to a sentence of a property: it takes what is before a colon for a type."""
    lines[:] = PROPERTIES.pop(name, lines)


def resolve(app: Sphinx, env: BuildEnvironment, node: pending_xref, contnode: nodes.Element) -> nodes.Element | None:
    """Link what annotations name by where it is defined to where it is public; leave other packages' names as text."""
    if node.get("refdomain") != "py":
        return None
    target = node["reftarget"]
    known = homes().get(target)
    if known is not None:
        domain = env.domains.python_domain
        return domain.resolve_xref(env, node["refdoc"], app.builder, "obj", known, node, contnode)
    return None if target.removeprefix("titan_state.") in titan_state.__all__ else contnode


def setup(app: Sphinx) -> dict[str, Any]:
    """Register the extension."""
    for field in PyObject.doc_field_types:
        if field.name == "variable":
            field.label = "Attributes"  # as docstrings call them
    app.connect("autodoc-process-docstring", process, priority=BEFORE_NAPOLEON)
    app.connect("autodoc-process-docstring", restore, priority=AFTER_NAPOLEON)
    app.connect("missing-reference", resolve)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
