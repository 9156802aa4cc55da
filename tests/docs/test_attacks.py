"""The page of attacks is true: its tests are there by file and name, and its bounds stand in the page of bounds."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "reference" / "attacks.md"
LINES = [[cell.strip() for cell in line.strip("|").split("|")] for line in PAGE.read_text().splitlines()
         if re.match(r"\| \d+ \|", line)]  # fmt: skip
NO_BOUND = {"OMI_GAP_SECONDS", "omi.core.pruning:PIECE"}
"""What divides and what is done in pieces: nobody is refused by it."""


@cache
def functions(file: str) -> frozenset[str]:
    tree = ast.parse((ROOT / "tests" / file).read_text())
    return frozenset(item.name for item in ast.walk(tree) if isinstance(item, ast.FunctionDef | ast.AsyncFunctionDef))


def test_each_line_has_its_number_and_its_tests() -> None:
    assert [int(line[0]) for line in LINES] == list(range(1, len(LINES) + 1))
    assert len(LINES) >= 54
    assert all(len(line) == 4 and line[1] and line[2] for line in LINES)


@pytest.mark.parametrize("line", LINES, ids=lambda line: line[0])
def test_the_tests_of_a_line_are_there(line: list[str]) -> None:
    for named in line[2].split("<br>"):
        file, _, name = named.strip("`").partition("::")
        assert name.startswith("test_")
        assert (ROOT / "tests" / file).is_file(), named
        assert name in functions(file), named


@pytest.mark.parametrize("line", LINES, ids=lambda line: line[0])
def test_the_bounds_of_a_line_are_explained(line: list[str]) -> None:
    page = (ROOT / "docs" / "security.md").read_text()
    for bound in re.findall(r"`([^`]+)`", line[3]):
        assert bound in NO_BOUND or f"| `{bound}` |" in page, bound
