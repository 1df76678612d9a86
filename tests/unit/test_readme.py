"""README and documents say what the code does, and point at what is there."""

from __future__ import annotations

import re
from pathlib import Path

from devstack.readme import FILES, PAGES, README, with_tables

ROOT = README.parent
DOCUMENTS = [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), ROOT / "chaos/README.md", ROOT / "benchmarks/README.md"]
FOLDERS = {folder.name for folder in ROOT.iterdir() if folder.is_dir()} - {"build"}


def _links(document: Path) -> list[tuple[str, str]]:
    """The links of a document into the repository, each as its path ("" for the document itself) and its anchor."""
    links = re.findall(r"\]\((?!https?:|mailto:)([^)#\s]*)(?:#([^)\s]+))?\)", document.read_text())
    return [(target, anchor) for target, anchor in links]


def _anchors(document: Path) -> set[str]:
    """The anchors of its headings: lower case, without punctuation, dashes for blanks."""
    headings = re.findall(r"^#+ (.+)$", document.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_generated_tables_are_in_step_with_the_code() -> None:
    """Cancels, settings, tickets, events are those of the code (`python -m devstack.readme` writes the tables)."""
    for page in PAGES:
        assert with_tables(page.read_text(), page) == page.read_text()
    for file, contents in FILES.items():
        assert file.read_text() == contents()


def test_every_link_into_the_repository_leads_somewhere() -> None:
    """No README or document points at a file that is not there."""
    broken = [
        f"{document.relative_to(ROOT)}: {target}"
        for document in DOCUMENTS
        for target, _ in _links(document)
        if target and not (document.parent / target).exists()
    ]
    assert broken == []


def test_every_file_that_a_document_names_is_there() -> None:
    """A path in a document, e.g. `services/orders/book.py` or `workflows/saga/`, leads somewhere."""
    missing = [
        f"{document.relative_to(ROOT)}: {path}"
        for document in DOCUMENTS
        for path in re.findall(r"`((?:\w+/)+(?:[\w-]+\.\w+)?)`", document.read_text())
        if path.partition("/")[0] in FOLDERS and not (ROOT / path).exists()
    ]
    assert missing == []


def test_every_link_to_a_heading_finds_it() -> None:
    """A link with an anchor names a heading of that page, in the spelling that code hosts make of it."""
    broken = [
        f"{document.relative_to(ROOT)}: {target}#{anchor}"
        for document in DOCUMENTS
        for target, anchor in _links(document)
        if anchor and anchor not in _anchors(document.parent / target if target else document)
    ]
    assert broken == []


def test_the_contents_list_every_document() -> None:
    """What lies in docs/ is found from docs/README.md, and every decision from the list of decisions."""
    for folder in (ROOT / "docs", ROOT / "docs" / "decisions"):
        listed = {target for target, _ in _links(folder / "README.md")}
        assert {page.name for page in folder.glob("*.md")} - {"README.md"} <= listed


def test_the_readme_stays_short() -> None:
    """220 lines: what does not fit there is a document of docs/."""
    assert len(README.read_text().splitlines()) <= 220


def test_names_every_make_target_it_mentions() -> None:
    """A `make` command that a document names exists."""
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    named = {name for page in DOCUMENTS for name in re.findall(r"`make ([a-z-]+)`", page.read_text())}
    assert named <= targets
