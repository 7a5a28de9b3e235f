"""What a document links to within the project is there: files, folders, headings."""

from __future__ import annotations

import pytest
from documents import DOCUMENTS, NAMED, ROOT, Document, read


@pytest.mark.parametrize("document", [pytest.param(one, id=one.name) for one in DOCUMENTS])
def test_links_lead_somewhere(document: Document):
    """The files of its links exist within the project, and the headings they name are in them."""
    for link in document.links():
        path, _, anchor = link.partition("#")
        target = (document.path.parent / path).resolve() if path else document.path
        assert target.exists(), link
        assert target.is_relative_to(ROOT), link
        if anchor and target.suffix == ".md":
            assert anchor in NAMED[target.relative_to(ROOT).as_posix()].anchors(), link


def test_links_are_found(tmp_path, monkeypatch):
    """Links in prose and pictures are seen, those in code are not; headings have the anchors that GitHub gives them."""
    monkeypatch.setattr("documents.ROOT", tmp_path)
    file = tmp_path / "page.md"
    file.write_text(
        "# A *page*: `of.mine`\n\nSee [one](one.md#part-two), [x](https://host/), ![two](two.png) and `[no](no.md)`.\n"
        "```text\n[no](no.md)\n```\n## Part two\n## Part two\n(named)=\n[three]: three.md\n",
        encoding="utf-8",
    )
    page = read(file)
    assert page.links() == ["one.md#part-two", "two.png", "three.md"]
    assert page.anchors() == {"a-page-ofmine", "part-two", "part-two-1", "named"}
