"""The README says what the code does."""

from __future__ import annotations

import re

from devstack.readme import PAGES, README, with_tables

ROOT = README.parent


def test_generated_tables_are_in_step_with_the_code() -> None:
    """Cancels, settings, tickets are those of the code (`python -m devstack.readme` writes the tables anew)."""
    for page in PAGES:
        assert with_tables(page.read_text(), page) == page.read_text()


def test_every_link_into_the_repository_leads_somewhere() -> None:
    """No README or document points at a file that is not there."""
    documents = [README, *ROOT.glob("docs/**/*.md"), *ROOT.glob("*.md")]
    broken = [
        f"{document.relative_to(ROOT)}: {target}"
        for document in documents
        for target in re.findall(r"\]\((?!https?:|#|mailto:)([^)#]+)", document.read_text())
        if not (document.parent / target).exists()
    ]
    assert broken == []


def test_names_every_make_target_it_mentions() -> None:
    """A `make` command that the README names exists."""
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert set(re.findall(r"`make ([a-z-]+)`", README.read_text())) <= targets
