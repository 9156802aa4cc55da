"""The walk of docs/architecture.md leads somewhere: functions that it names and files that it sends to exist."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
DOTTED = re.compile(r"`((?:omi|memories|transcription|speakers|emotions)(?:\.\w+)+)`")
BARE = re.compile(r"`(\w+\.py)`")
NAMES = re.compile(r"`([A-Za-z_]\w*(?:\.\w+)*)`")
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


def named_beside(line: str) -> list[Path]:
    """The folders that a line of the page speaks of: those that it names, and those of the files that it names."""
    found = [ROOT / name for name in FILES.findall(line)]
    found += [ROOT.joinpath(*name.split(".")) for name in DOTTED.findall(line)]
    return [path if path.is_dir() else path.parent for path in found]


def test_a_file_that_is_named_without_its_folder_lies_in_one_that_is_named_beside_it() -> None:
    lines = [line for line in PAGE.splitlines() if BARE.search(line)]
    assert len(lines) >= 3
    lost = [
        name
        for line in lines
        for name in BARE.findall(line)
        if not any((folder / name).is_file() for folder in named_beside(line))
    ]
    assert lost == []


def test_each_question_opens_few_files_and_names_functions_that_are_in_them() -> None:
    rows = [line for line in section("Eight questions").splitlines() if line.startswith("| ")][2:]
    assert len(rows) == 8
    for row in rows:
        question, answer = (cell.strip() for cell in row.strip("| ").split(" | ", 1))
        opened = [ROOT / name for name in FILES.findall(answer)]
        sources = [path for path in opened if path.is_file()]
        sources += [file for path in opened if path.is_dir() for file in sorted(path.glob("*.py"))]
        trees = [ast.parse(file.read_text(encoding="utf-8")) for file in sources if file.suffix == ".py"]
        assert len({path for path in opened if path.is_file()}) <= 3, question
        for name in NAMES.findall(answer):
            elsewhere = name.startswith("OMI_") or BARE.fullmatch(f"`{name}`") or DOTTED.fullmatch(f"`{name}`")
            known = elsewhere or any(_defines(tree, name.split(".")) for tree in trees)
            assert known, (question, name)


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
