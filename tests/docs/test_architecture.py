"""The walk of docs/architecture.md leads somewhere: functions that it names and files that it sends to exist."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
DOTTED = re.compile(r"`((?:omi|memories|transcription|speakers|emotions)(?:\.\w+)+)`")
FILES = re.compile(r"`((?:omi|memories|transcription|speakers|emotions|demo|tests|bench|docs)/[\w./-]*)`")
SECTION = re.compile(r"^## (.+)$", re.MULTILINE)


def section(title: str) -> str:
    """The text of one chapter of the page."""
    _, _, rest = PAGE.partition(f"## {title}\n")
    assert rest, f"docs/architecture.md has no chapter {title!r}"
    return SECTION.split(rest)[0]


def resolve(dotted: str) -> bool:
    """Whether ``package.module.Class.method`` is there, read from the source: nothing is imported for it."""
    parts = dotted.split(".")
    for cut in range(len(parts), 0, -1):
        folder = ROOT.joinpath(*parts[:cut])
        for file in (folder.with_suffix(".py"), folder / "__init__.py"):
            if file.is_file():
                return _defines(ast.parse(file.read_text(encoding="utf-8")), parts[cut:])
        if folder.is_dir() and cut == len(parts):
            return True
    return False


def _defines(tree: ast.AST, names: list[str]) -> bool:
    if not names:
        return True
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) and node.name == names[0]:
            return _defines(node, names[1:])
        targets = (
            node.targets if isinstance(node, ast.Assign) else [node.target] if isinstance(node, ast.AnnAssign) else []
        )
        if any(isinstance(target, ast.Name) and target.id == names[0] for target in targets):
            return len(names) == 1
    return False


def test_every_function_that_the_walk_names_exists() -> None:
    named = DOTTED.findall(PAGE)
    assert len(set(DOTTED.findall(section("One conversation, from the first frame to the push")))) >= 20
    assert [name for name in sorted(set(named)) if not resolve(name)] == []


def test_every_file_that_a_change_is_sent_to_exists() -> None:
    rows = [line for line in section("Where do I change …").splitlines() if line.startswith("| ")][2:]
    assert len(rows) >= 20
    assert [row for row in rows if not FILES.search(row)] == []
    assert [name for name in sorted(set(FILES.findall(PAGE))) if not (ROOT / name).exists()] == []


@pytest.mark.parametrize(
    ("dotted", "there"),
    [
        ("memories.pipeline.runner.work", True),
        ("transcription.session.session.Session.feed", True),
        ("memories.pipeline.runner.no_such_function", False),
        ("memories.no_such_module.work", False),
    ],
)
def test_names_are_told_apart(dotted: str, there: bool) -> None:
    assert resolve(dotted) is there


def test_what_a_memory_says_of_its_post_processing_is_made_in_one_place() -> None:
    """As ``memories.pipeline.engine.notifications`` says of itself."""
    makers = {
        str(path.relative_to(ROOT))
        for path in sorted((ROOT / "memories").rglob("*.py"))
        if re.search(r"(?<!class )\bPostProcessing\(", path.read_text(encoding="utf-8"))
    }
    assert makers == {"memories/pipeline/engine/notifications.py"}


def test_only_the_table_of_refusals_answers_409() -> None:
    answering = {
        str(path.relative_to(ROOT))
        for package in ("memories", "speakers", "transcription", "omi")
        for path in sorted((ROOT / package).rglob("*.py"))
        if re.search(r"(?:ApiError|Refused)\(\s*409|HTTP_409", path.read_text(encoding="utf-8"))
    }
    assert answering == {"memories/api/errors.py"}
