"""SVG: pictures as trees of elements, and the trees as text. What a picture shows is not decided here.

Attributes and text are values of the tree and are escaped when it is written; nothing is put together from markup. A
picture has no `style` attributes and no ids: a page with a strict policy takes several of them as they are.
"""

from __future__ import annotations

import re
from copy import copy
from functools import cache
from importlib.resources import files
from typing import Final
from xml.etree.ElementTree import Element, SubElement, tostring

NAMESPACE: Final = "http://www.w3.org/2000/svg"
STATUSES: Final = frozenset(
    {"queued", "running", "paused", "completed", "completed_with_errors", "failed", "cancelled", "vanished"}
)
"""The statuses that have a colour of their own in `figures.css`."""

_FORBIDDEN: Final = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def clean(text: str) -> str:
    """Return text that XML 1.0 can hold: control characters and lone surrogates are replaced."""
    return _FORBIDDEN.sub("\N{REPLACEMENT CHARACTER}", text)


def number(value: float) -> str:
    """Return a number in at most two decimals, so that pictures stay small and the same on every machine."""
    text = f"{value:.2f}".rstrip("0").rstrip(".")
    return "0" if text == "-0" else text


def element(tag: str, text: str = "", /, **attributes: str | float) -> Element:
    """Return an element.

    Args:
        tag: Its name.
        text: The text in it.
        attributes: Its attributes: `class_` is written `class`, and `text_anchor` is written `text-anchor`.
    """
    made = Element(tag, _written(attributes))
    made.text = clean(text) or None
    return made


def add(parent: Element, tag: str, text: str = "", /, **attributes: str | float) -> Element:
    """Put an element at the end of another one, and return it; see `element`."""
    made = SubElement(parent, tag, _written(attributes))
    made.text = clean(text) or None
    return made


def picture(width: float, height: float, *, title: str, description: str, class_: str) -> Element:
    """Return an empty picture.

    Args:
        width: Its width in pixels.
        height: Its height in pixels.
        title: What it is, for those who do not see it.
        description: What it shows, in words.
        class_: Its class.
    """
    root = element(
        "svg",
        xmlns=NAMESPACE,
        class_=class_,
        width=width,
        height=height,
        viewBox=f"0 0 {number(width)} {number(height)}",
        role="img",
        aria_label=title,
    )
    add(root, "title", title)
    add(root, "desc", description)
    return root


def written(root: Element, *, standalone: bool) -> str:
    """Return a picture as text.

    Args:
        root: The picture.
        standalone: Whether it is a file of its own: its styles are in it, and it has the colour of paper behind it.
    """
    if not standalone:
        return tostring(root, encoding="unicode")
    root = copy(root)
    root.insert(2, element("style", styles()))
    root.insert(3, element("rect", class_="backdrop", width="100%", height="100%"))
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + tostring(root, encoding="unicode") + "\n"


def status_class(status: str) -> str:
    """Return the class that gives a status its colour: `status-other` for one outside the palette."""
    return f"status-{status}" if status in STATUSES else "status-other"


@cache
def styles(name: str = "figures.css") -> str:
    """Return a style sheet of this package."""
    return files("titan_state.drawing").joinpath(name).read_text(encoding="utf-8")


def _written(attributes: dict[str, str | float]) -> dict[str, str]:
    return {
        name.rstrip("_").replace("_", "-"): clean(value) if isinstance(value, str) else number(value)
        for name, value in attributes.items()
    }
