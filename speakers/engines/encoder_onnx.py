"""Resemblyzer's encoder in ONNX Runtime (``OMI_VOICE_RUNTIME=onnx``): an option, for it weighs 100 MB installed.

The graph of standard ONNX operators is made from the bundled weights when it is first needed and kept as a file, so
that no second copy of the weights is shipped (docs/decisions/0009).
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from omi.core.errors import MissingDependency
from speakers.engines.weights import LAYERS, bundled_weights

if TYPE_CHECKING:
    from numpy.typing import NDArray

GRAPH_FILE = "resemblyzer-0.1.4-graph-1.onnx"
"""Another form of the graph gets another number: a file that an older release left behind is then not taken."""
OPSET, IR_VERSION = 17, 8
"""Of 2022: read by every ONNX Runtime from 1.12 on."""
FIX = "pip install onnxruntime==1.32.0 onnx==1.23.2, or unset OMI_VOICE_RUNTIME"


class OnnxEncoder:
    """See `Encoder`. ``folder`` is where the graph is kept (5.7 MB). Raises MissingDependency for a missing package."""

    def __init__(self, folder: Path) -> None:
        try:
            import onnxruntime
        except ImportError as error:
            raise MissingDependency("onnxruntime", "the package onnxruntime", FIX) from error
        path = folder / GRAPH_FILE
        if not path.is_file():
            write_graph(path)
        try:
            self._session = _session(onnxruntime, path)
        except Exception:  # whatever stopped half-way through a write, or a full disk: once made again, it must load
            write_graph(path)
            self._session = _session(onnxruntime, path)

    def __call__(self, mels: NDArray[np.float32]) -> NDArray[np.float32]:
        (embeddings,) = self._session.run(None, {"mels": mels})
        return np.asarray(embeddings, np.float32)


def write_graph(path: Path) -> None:
    """Make the graph and put it in place in one step: two processes may do so at once."""
    content = graph_bytes()
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile(dir=path.parent, prefix=f".{path.name}.", delete=False) as file:
        try:
            file.write(content)
            file.close()
            Path(file.name).replace(path)
        except BaseException:
            Path(file.name).unlink(missing_ok=True)
            raise


def graph_bytes() -> bytes:
    """The encoder as an ONNX model: (n, frames, 40) ``mels`` to (n, 256) ``embeddings``."""
    try:
        from onnx import TensorProto, helper, numpy_helper
    except ImportError as error:
        raise MissingDependency("onnx", "the package onnx, which writes the graph once,", FIX) from error
    weights = bundled_weights()
    constants = {
        "axis0": np.array([0], np.int64),
        "axis1": np.array([1], np.int64),
        "projection": weights["linear.weight"],
        "projection_bias": weights["linear.bias"],
    }
    nodes = [helper.make_node("Transpose", ["mels"], ["sequence0"], perm=[1, 0, 2])]
    for layer in range(LAYERS):
        w_in, w_rec = (_gates(weights[f"lstm.weight_{side}_l{layer}"]) for side in ("ih", "hh"))
        biases = [_gates(weights[f"lstm.bias_{side}_l{layer}"]) for side in ("ih", "hh")]
        # ONNX counts directions, of which there is one: a leading axis here, the second one of the whole sequence.
        constants |= {f"w{layer}": w_in[None], f"r{layer}": w_rec[None], f"b{layer}": np.concatenate(biases)[None]}
        inputs = [f"sequence{layer}", f"w{layer}", f"r{layer}", f"b{layer}"]
        if layer < LAYERS - 1:
            nodes += [
                helper.make_node("LSTM", inputs, [f"directions{layer}"], hidden_size=w_rec.shape[1]),
                helper.make_node("Squeeze", [f"directions{layer}", "axis1"], [f"sequence{layer + 1}"]),
            ]
        else:
            nodes += [
                helper.make_node("LSTM", inputs, ["", "last_directions"], hidden_size=w_rec.shape[1]),
                helper.make_node("Squeeze", ["last_directions", "axis0"], ["last"]),
            ]
    nodes += [
        helper.make_node("Gemm", ["last", "projection", "projection_bias"], ["projected"], transB=1),
        helper.make_node("Relu", ["projected"], ["embeddings"]),
    ]
    graph = helper.make_graph(
        nodes,
        "resemblyzer",
        [helper.make_tensor_value_info("mels", TensorProto.FLOAT, ["windows", "frames", 40])],
        [helper.make_tensor_value_info("embeddings", TensorProto.FLOAT, ["windows", 256])],
        [numpy_helper.from_array(np.ascontiguousarray(value), name) for name, value in constants.items()],
    )
    model = helper.make_model(
        graph, producer_name="omi", opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION
    )
    return bytes(model.SerializeToString())


def _gates(rows: NDArray[np.float32]) -> NDArray[np.float32]:
    """torch's gate order (input, forget, cell, output) as ONNX has it (input, output, forget, cell)."""
    into, forget, cell, out = np.split(rows, 4)
    return np.concatenate([into, out, forget, cell])


def _session(runtime: Any, path: Path) -> Any:
    options = runtime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1  # as the NumPy encoder: one core a process
    options.enable_cpu_mem_arena = False
    options.log_severity_level = 3
    return runtime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
