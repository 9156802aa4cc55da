"""Nothing in the repository refers to a document that is not in it, nor to a page of its own that is not there."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.docs.test_docs import ROOT, tracked

OUTSIDE = re.compile(
    r"omi-protocol|(?<!reference/)\bvendors\.md|anchors(?:\.md| [A-Z]\.\d)|dependencies\.md|\bdesign\.md|house\.md"
    r"|\.\./shared|\b4\.3 no\. \d|\bC\.\d no\. \d|\bIssue \d+:"
)
ADDRESS = re.compile(r"\bhttps?://\S+")
INSTALLED = re.compile(r"(?<=[\s:])/opt/omi/")
PAGE = re.compile(r"(?<![\w{}*<./-])((?:\.\.?/)*(?:[\w-]+/)*[\w-]+\.md)\b")
DECISION = re.compile(r"\bdecisions?[/ ](\d{1,4})\b(?!-)")


def test_no_reference_leads_out_of_the_repository() -> None:
    found = [
        f"{path.relative_to(ROOT)}:{number} {line.strip()}"
        for path in tracked("*.py", "*.md", "*.toml", "*.txt", "*.html", "Makefile")
        if path.name not in ("test_references.py", "CHANGELOG.md")
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
        if OUTSIDE.search(line) and "](reference/vendors.md)" not in line
    ]
    assert found == []


def named_pages(path: Path, text: str) -> Iterator[tuple[int, str]]:
    """The pages that a file names, with their lines. Those of other sites are none of ours."""
    for number, line in enumerate(text.splitlines(), 1):
        line = INSTALLED.sub("", ADDRESS.sub("", line))
        for name in PAGE.findall(line):
            # A test may call a file that it makes as it likes.
            if "/" in name or not path.is_relative_to(ROOT / "tests"):
                yield number, name


def there(path: Path, name: str, known: set[str]) -> bool:
    """Whether a page is in the repository: by its path from the root, from ``docs``, or from the file that names it;
    one that is named without its folder may lie in any."""
    return ("/" not in name and name in known) or any(
        (folder / name).resolve().is_file() for folder in (ROOT, ROOT / "docs", path.parent)
    )


def read() -> Iterator[tuple[Path, str]]:
    kinds = ("*.py", "*.md", "*.toml", "*.txt", "*.html", "*.yml", "*.yaml", "*.sh", "Makefile", "ops/*")
    for path in sorted(set(tracked(*kinds))):
        if path.name != "test_references.py":
            yield path, path.read_text(encoding="utf-8")


def test_every_page_that_is_named_is_there() -> None:
    known = {path.name for path in tracked("*.md")}
    named = [(path, number, name) for path, text in read() for number, name in named_pages(path, text)]
    assert len(named) > 300
    lost = [f"{path.relative_to(ROOT)}:{number} {name}" for path, number, name in named if not there(path, name, known)]
    assert lost == []


def test_every_decision_that_is_cited_is_recorded() -> None:
    recorded = {int(path.name[:4]) for path in (ROOT / "docs" / "decisions").glob("*.md")}
    cited = [(path, int(number)) for path, text in read() for number in DECISION.findall(text)]
    assert len(cited) > 5
    assert [f"{path.relative_to(ROOT)} {number}" for path, number in cited if number not in recorded] == []


@pytest.mark.parametrize(
    ("line", "names"),
    [
        ("see docs/no-such-page.md", ["docs/no-such-page.md"]),
        ("[there](reference/vendors.md#soniox)", ["reference/vendors.md"]),
        ("Documentation=file:/opt/omi/docs/architecture.md", ["docs/architecture.md"]),
        ("https://example.org/a/page.md", []),
        ("`docs/*.md` and `<name>.md`", []),
    ],
)
def test_names_of_pages_are_told_from_addresses_and_patterns(line: str, names: list[str]) -> None:
    assert [name for _, name in named_pages(ROOT / "docs" / "api.md", line)] == names
