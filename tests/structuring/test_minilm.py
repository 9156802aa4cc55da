"""The encoder in NumPy gives what sentence-transformers gives for the same weights."""

from __future__ import annotations

import os
import subprocess
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


def test_a_query_is_read_as_far_as_words_reach_and_no_further() -> None:
    """A search waits for it: a thousand marks are a thousand tokens, a thousand letters of words some 200."""
    model = LocalEmbedder()
    [words, marks, begun, whole] = (
        model.embed([text], query=query)[0]
        for text, query in (("bread and milk " * 66, True), ("," * 1000, True), ("," * 254, True), ("," * 1000, False))
    )
    assert marks == pytest.approx(begun, abs=1e-5)
    assert whole != pytest.approx(begun, abs=1e-5)
    assert words == pytest.approx(model.embed(["bread and milk " * 66])[0], abs=1e-5)


def test_no_process_takes_all_cores_for_one_query() -> None:
    """What the settings leave to NumPy before it is imported; an operator's own number stays."""
    for given, found in (({}, "1"), ({"OPENBLAS_NUM_THREADS": "4"}, "4")):
        environment = {name: value for name, value in os.environ.items() if name != "OPENBLAS_NUM_THREADS"}
        code = "import omi.settings, os, sys; print('numpy' in sys.modules, os.environ['OPENBLAS_NUM_THREADS'])"
        done = subprocess.run(
            [sys.executable, "-c", code], env={**environment, **given}, capture_output=True, text=True, timeout=60
        )
        assert done.stdout.split() == ["False", found], done.stderr


def test_missing_weights_are_said_with_their_cure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(minilm, "PACKAGE", "no_such_package_of_weights")
    with pytest.raises(MissingDependency, match="requirements-weights") as caught:
        LocalEmbedder().embed(["hello"])
    assert caught.value.outcome is Outcome.CONFIG_ERROR
