"""A small real speech model for sherpa-onnx: a CTC graph of NeMo's form that says "low" or "high" by where the energy
of a frame lies. It understands nothing, but the C++ recogniser loads it and decodes with it."""

from __future__ import annotations

from pathlib import Path

import numpy as np

METADATA = {
    "vocab_size": "3",
    "normalize_type": "per_feature",
    "subsampling_factor": "4",
    "model_type": "EncDecCTCModelBPE",
    "version": "1",
    "model_author": "the tests",
    "is_giga_am": "0",
}
"""What NeMo's exports carry and sherpa-onnx 2.0.1 reads."""


def write_speech_model(folder: Path, *, metadata: dict[str, str] | None = None) -> Path:
    """``model.onnx`` and ``tokens.txt``: (n, 80, frames) mels to (n, frames / 4, 3) log probabilities."""
    from onnx import TensorProto, checker, helper, numpy_helper

    halves = np.zeros((80, 3), np.float32)
    halves[:40, 0] = halves[40:, 1] = 0.1
    constants = {
        "halves": halves,
        "blank": np.array([0, 0, 0.05], np.float32),
        "first": np.array([0], np.int64),
        "last": np.array([1 << 40], np.int64),
        "time": np.array([1], np.int64),
        "every": np.array([4], np.int64),
    }
    nodes = [
        helper.make_node("Transpose", ["audio_signal"], ["frames"], perm=[0, 2, 1]),
        helper.make_node("Slice", ["frames", "first", "last", "time", "every"], ["some"]),
        helper.make_node("MatMul", ["some", "halves"], ["energies"]),
        helper.make_node("Add", ["energies", "blank"], ["scores"]),
        helper.make_node("LogSoftmax", ["scores"], ["logprobs"], axis=-1),
        helper.make_node("Identity", ["length"], ["length_out"]),
    ]
    graph = helper.make_graph(
        nodes,
        "speech",
        [
            helper.make_tensor_value_info("audio_signal", TensorProto.FLOAT, ["B", 80, "T"]),
            helper.make_tensor_value_info("length", TensorProto.INT64, ["B"]),
        ],
        [
            helper.make_tensor_value_info("logprobs", TensorProto.FLOAT, ["B", "S", 3]),
            helper.make_tensor_value_info("length_out", TensorProto.INT64, ["B"]),
        ],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    helper.set_model_props(model, METADATA if metadata is None else metadata)
    checker.check_model(model, full_check=True)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "model.onnx").write_bytes(model.SerializeToString())
    (folder / "tokens.txt").write_text("▁low 0\n▁high 1\n<blk> 2\n")
    return folder
