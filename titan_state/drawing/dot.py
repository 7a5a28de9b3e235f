"""The model as text for Graphviz. Names are quoted and escaped: none of them can become an attribute or an edge."""

from __future__ import annotations

from typing import TYPE_CHECKING

from titan_state.errors import shorten

if TYPE_CHECKING:
    from titan_state.core.lifecycle import Lifecycle


def model_dot(lifecycle: Lifecycle) -> str:
    """Return a model in the DOT language: terminal statuses have a double border, control actions dashed edges."""
    lines = [
        "digraph lifecycle {",
        "    rankdir=LR;",
        '    node [shape=box, style=rounded, fontname="sans-serif"];',
        '    edge [fontname="sans-serif", fontsize=11];',
        '    "" [shape=point, width=0.15];',
    ]
    lines += [
        f"    {quoted(status)}{' [peripheries=2]' if lifecycle.is_terminal(status) else ''};"
        for status in lifecycle.statuses
    ]
    lines.append(f'    "" -> {quoted(lifecycle.initial)};')
    lines += [
        f"    {quoted(move.source)} -> {quoted(move.dest)} "
        f"[label={quoted(move.name)}{', style=dashed' if move.action is not None else ''}];"
        for move in lifecycle.moves
    ]
    return "\n".join([*lines, "}"]) + "\n"


def quoted(text: str) -> str:
    """Return text as a quoted string of DOT, on one line."""
    shown = shorten(text, len(text) + 1)
    return '"' + shown.replace("\\", "\\\\").replace('"', '\\"') + '"'
