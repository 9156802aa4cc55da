"""A small real speaker model for sherpa-onnx: random features of the log mels, pooled. It knows no voice in particular,
but it is a file that the C++ extractor loads and runs, and one voice is nearer to itself than to another."""

from __future__ import annotations

from pathlib import Path

import numpy as np

METADATA = {
    "framework": "wespeaker",
    "language": "none",
    "url": "made by the tests",
    "comment": "random features",
    "sample_rate": "16000",
    "output_dim": "64",
    "normalize_samples": "1",
    "feature_normalize_type": "",
}
"""What WeSpeaker's exports carry and sherpa-onnx 2.0.1 reads."""


def write_speaker_model(path: Path, *, seed: int = 0, metadata: dict[str, str] | None = None) -> Path:
    """(n, frames, 80) log mels to (n, 64): mean and deviation over time of 32 rectified random projections."""
    from onnx import TensorProto, checker, helper, numpy_helper

    rng = np.random.default_rng(seed)
    constants = {
        "projection": rng.normal(size=(80, 32)).astype(np.float32) / 9,
        "centre": np.full(80, 12.0, np.float32),  # about the middle of the log mels of speech
        "least": np.array([1e-6], np.float32),
    }
    nodes = [
        helper.make_node("Sub", ["feats", "centre"], ["centred"]),
        helper.make_node("MatMul", ["centred", "projection"], ["projected"]),
        helper.make_node("Relu", ["projected"], ["hidden"]),
        helper.make_node("ReduceMean", ["hidden"], ["mean"], axes=[1], keepdims=0),
        helper.make_node("Mul", ["hidden", "hidden"], ["squared"]),
        helper.make_node("ReduceMean", ["squared"], ["power"], axes=[1], keepdims=0),
        helper.make_node("Mul", ["mean", "mean"], ["mean_power"]),
        helper.make_node("Sub", ["power", "mean_power"], ["variance"]),
        helper.make_node("Max", ["variance", "least"], ["positive"]),
        helper.make_node("Sqrt", ["positive"], ["deviation"]),
        helper.make_node("Concat", ["mean", "deviation"], ["embs"], axis=1),
    ]
    graph = helper.make_graph(
        nodes,
        "speaker",
        [helper.make_tensor_value_info("feats", TensorProto.FLOAT, ["B", "T", 80])],
        [helper.make_tensor_value_info("embs", TensorProto.FLOAT, ["B", 64])],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    helper.set_model_props(model, METADATA if metadata is None else metadata)
    checker.check_model(model, full_check=True)
    path.write_bytes(model.SerializeToString())
    return path
