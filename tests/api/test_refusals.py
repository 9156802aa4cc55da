"""``memories.api.errors.REFUSALS`` is the one place that says what the API answers for an exception of the project."""

from __future__ import annotations

import ast
import importlib
import re
from pathlib import Path

import pytest

from memories.api.errors import REFUSALS, ApiError, exception_handler

ROOT = Path(__file__).resolve().parents[2]


class _Stub(ApiError):
    """A refusal of a class that the table does not name itself."""


def _promised() -> list[tuple[str, str, int]]:
    """Module, name and status of each exception whose docstring says what the API answers for it."""
    found = []
    for package in ("memories", "speakers"):
        for file in sorted((ROOT / package).rglob("*.py")):
            for node in ast.parse(file.read_text(encoding="utf-8")).body:
                if isinstance(node, ast.ClassDef) and (
                    told := re.search(r"\((4\d\d)\)", ast.get_docstring(node) or "")
                ):
                    module = ".".join(file.relative_to(ROOT).with_suffix("").parts)
                    found.append((module, node.name, int(told[1])))
    return found


@pytest.mark.parametrize(("module", "name", "status"), _promised())
def test_what_a_docstring_says_of_the_answer_is_what_the_table_says(module: str, name: str, status: int) -> None:
    kind = getattr(importlib.import_module(module), name)
    told = next(REFUSALS[base] for base in kind.__mro__ if base in REFUSALS)
    if isinstance(told, ApiError):
        assert told.status_code == status


def test_most_refusals_say_so_themselves() -> None:
    assert len(_promised()) > 20


def test_the_nearest_class_counts_and_an_unknown_error_is_no_refusal() -> None:
    answer = exception_handler(_Stub(418, "no coffee", code="teapot"), {})
    assert answer is not None
    assert (answer.status_code, answer.data) == (418, {"detail": "no coffee", "code": "teapot"})
    assert exception_handler(RuntimeError("ours"), {}) is None
