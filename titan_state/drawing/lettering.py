"""Lettering: how much room text takes, so that it is cut or left out where there is none.

No font is asked: which one the reader has is not known. The widths are those of wide fonts, so text rather ends early.
"""

from __future__ import annotations

from typing import Final
from unicodedata import category, east_asian_width

from titan_state.errors import shorten

_NARROW: Final = frozenset("iljtfrI.,:;'|!()[] ")
_WIDE: Final = frozenset("mwMW@%—…")
_LEAST: Final = 2  # a letter and an ellipsis


def width_of(text: str, size: float) -> float:
    """Return how wide text is, in pixels, at a font size in pixels."""
    return size * sum(_share(character) for character in text)


def fitted(text: str, room: float, size: float) -> str:
    """Return text on one line, cut to what has room; empty where not even two characters have."""
    told = shorten(text, max(_LEAST, int(room / (0.3 * size)) + 1) if room > 0 else _LEAST)
    while told and width_of(told, size) > room:
        told = told[:-2] + "…" if len(told) > _LEAST else ""
    return told


def _share(character: str) -> float:
    if category(character) in {"Mn", "Me"}:
        return 0.0
    if east_asian_width(character) in {"W", "F"}:
        return 1.05
    if character in _NARROW:
        return 0.36
    if character in _WIDE or not character.isascii():
        return 0.95
    return 0.7 if character.isupper() else 0.6
