"""A Sphinx extension: a link whose text is the name of a page's file shows the title of that page.

Among the files a page is known by its name, and on the site, where nobody sees files, by its title. Nothing else of a
link is changed here.
"""

from __future__ import annotations

import posixpath
import re
from typing import TYPE_CHECKING, Any

from docutils import nodes

if TYPE_CHECKING:
    from sphinx.application import Sphinx

FILE = re.compile(r"[\w./-]+\.md")


def entitle(app: Sphinx, doctree: nodes.document, docname: str) -> None:
    """Replace names of files by titles, in links to other pages."""
    here = app.builder.get_target_uri(docname)
    pages = {app.builder.get_target_uri(page): title for page, title in app.env.titles.items()}
    for link in doctree.findall(nodes.reference):
        file = link.get("refuri", "").partition("#")[0]
        path = posixpath.normpath(posixpath.join(posixpath.dirname(here), file)) if file else here
        if link.get("internal") and path in pages and FILE.fullmatch(link.astext()):
            link.children[:] = [nodes.Text(pages[path].astext())]
            link.children[0].parent = link


def setup(app: Sphinx) -> dict[str, Any]:
    """Have links looked at once they are resolved."""
    app.connect("doctree-resolved", entitle)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
