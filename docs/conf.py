"""How the documentation is built: Sphinx, with pages in Markdown and the reference out of docstrings."""

from __future__ import annotations

from importlib import metadata

project = "titan_state"
author = "titan_state contributors"
version = release = metadata.version("titan-state")

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx_click",
    "sphinx_copybutton",
]

html_theme = "furo"
html_title = f"titan_state {version}"

myst_enable_extensions = ["deflist"]
myst_heading_anchors = 3
