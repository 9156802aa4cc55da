"""Import rules beyond import-linter's contracts: ``python -m tests.support.import_rules``, part of ``make imports``.

1. No module imports a module of the project inside a function: such an import hides a dependency, and a circle with it.
   Free are ``AppConfig.ready`` (apps must be loaded first) and the modules of ``HEAVY``.
2. No modules import each other in a circle, by whatever path; imports under ``TYPE_CHECKING`` count too.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import grimp

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("omi", "memories", "transcription", "speakers", "emotions", "demo")

HEAVY: frozenset[str] = frozenset()
"""Modules of the project that load a heavy library at their top; none does: libraries are imported where they work."""


def inside_functions(source: str, name: str) -> Iterator[str]:
    """Each import of a project module inside a function of ``source``, as ``file:line function imports module``."""
    for function in ast.walk(ast.parse(source)):
        if not isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        if function.name == "ready" and name.endswith("apps.py"):
            continue
        for node in ast.walk(function):
            for module in _modules(node):
                if module.split(".")[0] in PACKAGES and module not in HEAVY:
                    yield f"{name}:{node.lineno} {function.name}() imports {module}"  # type: ignore[attr-defined]


def circle(imports: dict[str, set[str]]) -> list[str]:
    """Modules that import each other in a circle, in order; empty where there is none."""
    try:
        TopologicalSorter(imports).prepare()
    except CycleError as error:
        return list(reversed(error.args[1]))
    return []


def project_imports() -> dict[str, set[str]]:
    """What each module of the project imports of the project, at its top, in functions and under ``TYPE_CHECKING``."""
    graph = grimp.build_graph(*PACKAGES, cache_dir=None)
    return {module: graph.find_modules_directly_imported_by(module) for module in graph.modules}


def main() -> int:
    """Print what breaks the rules; the exit code says whether anything does."""
    found = [
        line
        for package in PACKAGES
        for file in sorted((ROOT / package).rglob("*.py"))
        for line in inside_functions(file.read_text(encoding="utf-8"), file.relative_to(ROOT).as_posix())
    ]
    if modules := circle(project_imports()):
        found.append(f"modules import each other in a circle: {' -> '.join(modules)}")
    for line in found:
        print(line)
    return int(bool(found))


def _modules(node: ast.AST) -> list[str]:
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if isinstance(node, ast.ImportFrom):
        if node.level:
            return [PACKAGES[0]]  # a relative import is one of the project's own
        return [node.module or ""]
    return []


if __name__ == "__main__":
    sys.exit(main())
