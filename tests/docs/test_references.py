"""Nothing in the repository refers to a document that is not in it."""

from __future__ import annotations

import re

from tests.docs.test_docs import ROOT, tracked

OUTSIDE = re.compile(
    r"omi-protocol|(?<!reference/)\bvendors\.md|anchors(?:\.md| [A-Z]\.\d)|dependencies\.md|\bdesign\.md|house\.md"
    r"|\.\./shared|\b4\.3 no\. \d|\bC\.\d no\. \d"
)


def test_no_reference_leads_out_of_the_repository() -> None:
    found = [
        f"{path.relative_to(ROOT)}:{number} {line.strip()}"
        for path in tracked("*.py", "*.md", "*.toml", "*.txt", "*.html", "Makefile")
        if path.name not in ("test_references.py", "CHANGELOG.md")
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
        if OUTSIDE.search(line) and "](reference/vendors.md)" not in line
    ]
    assert found == []
