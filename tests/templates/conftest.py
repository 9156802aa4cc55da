"""The callers and memories of the API's tests, the runs of the pipeline's, and the simulated language model."""

from __future__ import annotations

import importlib
import json
from typing import Any

import pytest

from memories.pipeline import subprocess_runner
from tests.api.conftest import alice, bob, make_memory
from tests.pipeline.conftest import drive
from tests.support.vendor_fixtures import silence, talk, vendor_server, vendors

__all__ = ["alice", "bob", "drive", "make_memory", "silence", "talk", "vendor_server", "vendors"]


@pytest.fixture(autouse=True)
def _computed_here(monkeypatch: pytest.MonkeyPatch) -> None:
    """Functions of child processes in this one, with the JSON that they are given and give."""

    def call(function: str, arguments: dict[str, Any], *, timeout: float) -> Any:
        module, _, name = function.rpartition(".")
        answer = getattr(importlib.import_module(module), name)(**json.loads(json.dumps(arguments)))
        return json.loads(json.dumps(answer))

    monkeypatch.setattr(subprocess_runner, "call", call)
