"""How the documentation is built: Sphinx, with pages in Markdown and the reference out of docstrings.

Nothing is fetched while it is built, and nothing from another host when it is read. What is made of the program itself
is in `extensions/`: docstrings, whose text is Markdown, the tables and drawings of the model and the command, and the
titles that links show.
"""

from __future__ import annotations

import sys
from importlib import metadata
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent / "extensions"))

project = "titan_state"
author = "titan_state contributors"
version = release = metadata.version("titan-state")

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx_copybutton",
    "docstrings",
    "generated",
    "titles",
]
exclude_patterns = ["_build"]
nitpicky = True

html_theme = "furo"
html_title = f"titan_state {version}"
html_favicon = "../titan_state/dashboard/static/icon.svg"
html_static_path = ["_static"]
html_css_files = ["pages.css"]
html_copy_source = False
html_show_sphinx = False
html_show_copyright = False

myst_enable_extensions = ["deflist"]
myst_heading_anchors = 3

autodoc_default_options = {"members": True}
autodoc_member_order = "bysource"
autoclass_content = "both"  # what a class is made with is documented by its `__init__`
autodoc_typehints_format = "short"
autodoc_class_signature = "mixed"
python_use_unqualified_type_names = True
python_display_short_literal_types = True
python_maximum_signature_line_length = 80
add_module_names = False
toc_object_entries_show_parents = "hide"

napoleon_numpy_docstring = False
napoleon_use_ivar = True
napoleon_use_rtype = False

copybutton_prompt_text = r"\$ "
copybutton_prompt_is_regexp = True
copybutton_only_copy_prompt_lines = True
copybutton_exclude = ".linenos, .gp, .go, .c1"
