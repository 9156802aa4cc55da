"""docs/security.md says what the code does: each bound in its tables is that of the setting or constant it names."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "security.md").read_text()
UNITS = {"": 1, "KiB": 1024, "MiB": 1024**2, "GiB": 1024**3, "s": 1, "min": 60, "h": 3600}
_BOUND = re.compile(r"([\d,]+(?:\.\d+)?)(?: (\w+))?\Z")


def rows() -> Iterator[tuple[str, float, str]]:
    """(what, bound, where) of every row that names where its bound stands."""
    for line in PAGE.splitlines():
        cells = [cell.strip() for cell in line.strip().strip("|").split("|")]
        if not line.startswith("|") or len(cells) != 4 or not (where := re.fullmatch(r"`([\w.:]+)`", cells[2])):
            continue
        found = _BOUND.match(cells[1])
        assert found, f"{cells[0]}: {cells[1]!r} is no number with one of {sorted(UNITS)}"
        yield cells[0], float(found[1].replace(",", "")) * UNITS[found[2] or ""], where[1]


ROWS = list(rows())


@pytest.fixture(scope="module")
def defaults(tmp_path_factory: pytest.TempPathFactory) -> dict[str, float]:
    """The settings of an installation that sets none: the tests' own are others."""
    own = {name: value for name, value in os.environ.items() if not name.startswith(("OMI_", "DJANGO_", "SECRET_"))}
    folder = str(tmp_path_factory.mktemp("defaults"))
    code = (
        "import json, omi.settings as s\n"
        "names = [name for name in dir(s) if isinstance(getattr(s, name), (int, float))]\n"
        "print(json.dumps({name: getattr(s, name) for name in names}))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env={**own, "OMI_DATA_DIR": folder},
        capture_output=True, text=True, timeout=60, check=True,
    )  # fmt: skip
    found: dict[str, float] = json.loads(done.stdout)
    return found


def test_the_page_has_its_tables() -> None:
    assert len(ROWS) > 40
    assert len({where for _, _, where in ROWS}) == len(ROWS), "a bound stands in the page twice"


@pytest.mark.parametrize(("what", "bound", "where"), ROWS, ids=[where for _, _, where in ROWS])
def test_each_bound_is_the_one_in_force(what: str, bound: float, where: str, defaults: dict[str, float]) -> None:
    module, _, name = where.partition(":")
    value = getattr(import_module(module), name) if name else defaults[where]
    assert float(value) == bound, what


def test_every_bound_that_can_be_set_is_in_the_page() -> None:
    source = (ROOT / "omi" / "settings_bounds.py").read_text()
    read = set(re.findall(r"env_(?:int|float)\(\s*\"([A-Z_]+)\"", source))
    assert read - {where for _, _, where in ROWS} == set()
