"""The encoder in NumPy gives what sentence-transformers gives for the same weights."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

from memories.structuring import minilm
from memories.structuring.local_embedder import LocalEmbedder
from omi.core.errors import MissingDependency, Outcome


def test_similarities_are_those_of_the_published_model_card() -> None:
    """huggingface.co/sentence-transformers/all-MiniLM-L6-v2, the widget's example: 0.695, 0.943, 0.257."""
    model = LocalEmbedder()
    vectors = np.array(
        model.embed(
            ["That is a happy person", "That is a happy dog", "That is a very happy person", "Today is a sunny day"]
        )
    )
    assert vectors[0] @ vectors[1:].T == pytest.approx([0.695, 0.943, 0.257], abs=0.002)


def test_no_torch_and_no_hub_is_imported() -> None:
    assert "torch" not in sys.modules
    assert "huggingface_hub" not in sys.modules


def test_missing_weights_are_said_with_their_cure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(minilm, "PACKAGE", "no_such_package_of_weights")
    with pytest.raises(MissingDependency, match="requirements-weights") as caught:
        LocalEmbedder().embed(["hello"])
    assert caught.value.outcome is Outcome.CONFIG_ERROR
