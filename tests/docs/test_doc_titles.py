"""On the site a link that is written as the name of a file shows the title of its page."""

from __future__ import annotations

import re
import subprocess
import sys

from documents import ROOT

PAGES = {
    "conf.py": f"import sys\n\nsys.path.insert(0, {str(ROOT / 'docs' / 'extensions')!r})\n"
    'extensions = ["myst_parser", "titles"]\nmyst_heading_anchors = 2\n',
    "index.md": "# Begin\n\n[how-to/act.md](how-to/act.md) and [as it is](how-to/act.md).\n\n"
    "```{toctree}\nhow-to/act\n```\n",
    "how-to/act.md": "# Act in time\n\n## Late\n\n[index.md](../index.md), [act.md](act.md#late), `index.md`.\n",
}


def shown(path):
    """Return a page without its elements, but for paragraphs."""
    return re.sub(r"<(?!/?p>)[^>]*>", "", path.read_text(encoding="utf-8"))


def test_names_of_files_become_titles(tmp_path):
    """Own texts of links, and what is no link, stay as they are; a link into a page shows the title of the page."""
    (tmp_path / "how-to").mkdir()
    for name, text in PAGES.items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    command = (sys.executable, "-m", "sphinx", "-q", "-W", "-b", "html", ".", "out")
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")
    assert "<p>Act in time and as it is.</p>" in shown(tmp_path / "out" / "index.html")
    assert "<p>Begin, Act in time, index.md.</p>" in shown(tmp_path / "out" / "how-to" / "act.html")
