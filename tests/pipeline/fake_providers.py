"""The providers of the tests by name: a settings module may import this before any model can be loaded."""

from __future__ import annotations

from typing import Any


def providers(base: dict[str, Any], *prerecorded: dict[str, Any]) -> dict[str, Any]:
    """``settings.PROVIDERS`` with the fakes; ``prerecorded`` are the options of each pre-recorded one, in order."""
    return {
        **base,
        "prerecorded": [
            {"BACKEND": "tests.pipeline.fakes.FakePrerecorded", "OPTIONS": options}
            for options in (prerecorded or ({"name": "first"},))
        ],
        "structurer": {"BACKEND": "tests.pipeline.fakes.FakeStructurer"},
        "embedder": {"BACKEND": "tests.pipeline.fakes.FakeEmbedder"},
        "emotions": {"BACKEND": "tests.pipeline.fakes.FakeEmotions"},
    }
