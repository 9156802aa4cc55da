"""Journals of one test only."""

from __future__ import annotations

from pathlib import Path

import pytest

from transcription.journal import store


@pytest.fixture
def own_journals(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No journal but this test's own: housekeeping finishes what it finds, also what another test left half done."""
    monkeypatch.setattr(store, "root", lambda: tmp_path / "journal")
