"""Every target of the Makefile runs from a fresh clone: what calls the virtual environment has it made first."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
MAKEFILE = (ROOT / "Makefile").read_text()
DEVELOPMENT = re.compile(r"-m (pytest|bench|demo\.screenshots|tests)\b|\$\(BIN\)/(ruff|mypy|lint-imports)")
"""What needs more than requirements.txt."""


def targets() -> dict[str, tuple[str, str]]:
    """Prerequisites and recipe of each target, by its name; a target of several lines is one."""
    found: dict[str, tuple[str, str]] = {}
    for names, needs, recipe in re.findall(r"^([\w()$ -]+):(?!=)([^\n]*)\n((?:\t.*\n?)*)", MAKEFILE, re.MULTILINE):
        for name in names.split():
            before, said = found.get(name, ("", ""))
            found[name] = f"{before} {needs.partition('##')[0]}".strip(), said + recipe
    return found


def below(name: str, known: dict[str, tuple[str, str]]) -> set[str]:
    """Everything that is made before ``name``."""
    found: set[str] = set()
    for need in known[name][0].split():
        found |= {need} | (below(need, known) if need in known else set())
    return found


def test_what_calls_the_environment_has_it_made_first() -> None:
    known = targets()
    assert {"setup", "test-topology", "load", "screenshots", "unit", "$(DEV_STAMP)"} <= set(known)
    bare = {
        name
        for name, (_, recipe) in known.items()
        if "$(BIN)/" in recipe
        and name != "$(STAMP)"
        and ("$(DEV_STAMP)" if DEVELOPMENT.search(recipe) else "$(STAMP)") not in below(name, known)
    }
    assert bare == set()


@pytest.mark.parametrize(
    "program", ["redis-server", "nginx", "ip", "curl", "promtool", "amtool", "prometheus-blackbox-exporter"]
)
def test_a_program_that_tests_run_is_installed_where_it_may_be(program: str) -> None:
    """``ip`` makes the hosts of tests/topology, ``curl`` is in the runbooks."""
    packages = (ROOT / "tests" / "support" / "packages.sh").read_text()
    assert re.search(rf"^need {program} \S+$", packages, re.MULTILINE)
