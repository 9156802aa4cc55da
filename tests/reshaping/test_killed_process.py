"""A real process is killed by SIGKILL between any two writes of a merge and of its undoing."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from tests.pipeline.process.cluster import Installation
from tests.reshaping.test_kills import BACK, FORWARD

pytestmark = pytest.mark.process

APART = ["Words of one.", "Words of two."]
TOGETHER = ["Words of one. Words of two."]


def test_whichever_write_it_dies_behind_the_originals_are_shown_or_the_result(tmp_path: Path) -> None:
    installation = Installation(tmp_path, quick=True)
    try:
        asked = (str(installation.faults), FORWARD, BACK)
        told = installation.python(f"from tests.reshaping.killed import told\nanswer = told(*{asked!r})")
    finally:
        installation.close()
    assert [item["point"] for item in told] == [*FORWARD, *BACK]
    assert {item["signal"] for item in told} == {signal.SIGKILL}
    replaced = ("replaced", "vectors", "cleared", "back-prepared")
    for item in told:
        assert item["after"] == (TOGETHER if item["point"] in replaced else APART), item["point"]
        undone = item["point"] in BACK
        assert (item["end"], item["state"]) == ((APART, "undone") if undone else (TOGETHER, "done")), item["point"]
        assert item["finished"], item["point"]
