"""axe-core, the accessibility checker, from npm: fetched once in a pinned version and kept beside the test tools."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

VERSION = "4.10.3"
_HOME = Path(__file__).resolve().parents[2] / "var" / "tools" / f"axe-core-{VERSION}"


def script() -> Path:
    """The checker's file. Skips the test where it can be had neither from the kept copy nor from npm."""
    given = os.environ.get("TESTS_AXE")
    file = Path(given) if given else _HOME / "node_modules" / "axe-core" / "axe.min.js"
    if file.is_file():
        return file
    npm = shutil.which("npm")
    if npm is None:
        pytest.skip("no npm on this machine: apt-get install npm, or name axe.min.js in TESTS_AXE")
    _HOME.mkdir(parents=True, exist_ok=True)
    command = [npm, "install", "--prefix", str(_HOME), "--no-audit", "--no-fund", "--ignore-scripts",
               f"axe-core@{VERSION}"]  # fmt: skip
    try:
        subprocess.run(command, check=True, capture_output=True, timeout=90)
    except (subprocess.SubprocessError, OSError) as error:
        pytest.skip(f"axe-core cannot be installed: {error}")
    return file


COLOURS = ("color-contrast", "link-in-text-block")
"""Rules that another theme of the same page may break."""


def serious(page: Any, *rules: str) -> list[str]:
    """Faults of impact serious or critical on the page that is shown, each with the first element that has it; of all
    rules, or of ``rules`` alone.

    The checker is put into an isolated world of the browser's tools, where the page's CSP does not hold.
    """
    if not page.evaluate("'axe' in window"):
        page.evaluate(script().read_text(encoding="utf-8"))
    page.evaluate(
        "Promise.allSettled(document.getAnimations().map(each => each.finished))"
    )  # colours that still change
    found = page.evaluate(
        """rules => axe.run(document, {resultTypes: ['violations'],
             ...(rules.length ? {runOnly: {type: 'rule', values: rules}} : {})})""",
        list(rules),
    )
    return [
        f"{item['id']}: {item['nodes'][0]['html'][:200]} {item['nodes'][0].get('failureSummary', '')[:300]}"
        for item in found["violations"]
        if item["impact"] in ("serious", "critical")
    ]
