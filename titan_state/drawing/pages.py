"""Pages: documents that hold everything they need: no script, nothing that is loaded, and a policy that says so.

A page is a tree of elements; what is text stays text when it is written.
"""

from __future__ import annotations

from base64 import b64encode
from hashlib import sha256
from typing import TYPE_CHECKING
from xml.etree.ElementTree import Element, tostring

from titan_state.drawing.svg import add, element

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

Cell = str | Element


def page(title: str, style: str) -> tuple[Element, Element]:
    """Return an empty document, and its body.

    Args:
        title: Its title.
        style: Its style sheet, the only one that its policy allows.
    """
    digest = b64encode(sha256(style.encode()).digest()).decode()
    policy = f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"
    root = element("html", lang="en")
    head = add(root, "head")
    add(head, "meta", charset="utf-8")
    head.append(Element("meta", {"http-equiv": "Content-Security-Policy", "content": policy}))
    add(head, "meta", name="viewport", content="width=device-width, initial-scale=1")
    add(head, "meta", name="referrer", content="no-referrer")
    add(head, "meta", name="color-scheme", content="light dark")
    add(head, "title", title)
    add(head, "style", style)
    return root, add(root, "body")


def written_page(root: Element) -> str:
    """Return a document as text."""
    return "<!DOCTYPE html>\n" + tostring(root, encoding="unicode", method="html") + "\n"


def link(place: str, text: str, hint: str = "") -> Element:
    """Return a link within the page."""
    more = {"title": hint} if hint else {}
    return element("a", text, href=f"#{place}", **more)


def table(parent: Element, class_: str, heads: Sequence[str], rows: Iterable[Sequence[Cell]]) -> Element:
    """Add a table. On a narrow screen each row is read as a list, so every cell says what it is.

    Args:
        parent: Where.
        class_: Its class.
        heads: The heads of its columns.
        rows: What is in its cells.
    """
    made = add(parent, "table", class_=class_)
    first = add(add(made, "thead"), "tr")
    for head in heads:
        add(first, "th", head, scope="col")
    body = add(made, "tbody")
    for row in rows:
        line = add(body, "tr")
        for head, cell in zip(heads, row, strict=True):
            place = add(line, "td", cell if isinstance(cell, str) else "", data_head=head)
            if isinstance(cell, Element):
                place.append(cell)
    return made
