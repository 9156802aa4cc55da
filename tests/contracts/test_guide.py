"""docs/adding-a-provider.md is true: its files exist, and every adapter that can be chosen is under a contract."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from django.utils.module_loading import import_string

from omi import settings_providers as settings

ROOT = Path(__file__).resolve().parents[2]
GUIDE = (ROOT / "docs" / "adding-a-provider.md").read_text()
PORTS = {
    "live": (settings._LIVE, "test_live.py", "_LIVE"),
    "prerecorded": (settings._PRERECORDED, "test_prerecorded.py", "_PRERECORDED"),
    "structurer": (settings._STRUCTURERS, "test_structurer.py", "_STRUCTURERS"),
    "embedder": (settings._EMBEDDERS, "test_embedder.py", "_EMBEDDERS"),
    "emotions": (settings._EMOTIONS, "test_emotions.py", "_EMOTIONS"),
}


def test_every_file_that_the_guide_names_is_there() -> None:
    named = re.findall(r"`((?:docs|omi|memories|transcription|speakers|emotions|tests)/[\w/.]*)`", GUIDE)
    assert len(named) > 15
    assert [name for name in named if not (ROOT / name).exists()] == []


@pytest.mark.parametrize("port", PORTS)
def test_the_contract_suite_takes_its_adapters_from_the_settings(port: str) -> None:
    _, suite, table = PORTS[port]
    assert f"sorted({table})" in (ROOT / "tests" / "contracts" / suite).read_text()
    assert suite in GUIDE


@pytest.mark.parametrize("port", PORTS)
def test_each_adapter_is_named_as_it_is_chosen(port: str) -> None:
    for name, path in PORTS[port][0].items():
        assert import_string(path)().name == name
