"""Resemblyzer's encoder in NumPy: nothing to install, and what runs unless something else is asked for."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from speakers.engines.weights import LAYERS, bundled_weights

if TYPE_CHECKING:
    from numpy.typing import NDArray


class NumpyEncoder:
    """See `Encoder`. Three LSTM layers and a projection; only reads, so threads may share it."""

    def __init__(self) -> None:
        self._weights = bundled_weights()

    def __call__(self, mels: NDArray[np.float32]) -> NDArray[np.float32]:
        weights = self._weights
        sequence = np.ascontiguousarray(mels.transpose(1, 0, 2))  # time first: each step is one contiguous block
        for layer in range(LAYERS):
            bias = weights[f"lstm.bias_ih_l{layer}"] + weights[f"lstm.bias_hh_l{layer}"]
            sequence = _lstm(sequence, weights[f"lstm.weight_ih_l{layer}"], weights[f"lstm.weight_hh_l{layer}"], bias)
        projected: NDArray[np.float32] = sequence[-1] @ weights["linear.weight"].T + weights["linear.bias"]
        return np.maximum(projected, 0.0)


def _lstm(
    inputs: NDArray[np.float32], w_in: NDArray[np.float32], w_rec: NDArray[np.float32], bias: NDArray[np.float32]
) -> NDArray[np.float32]:
    """torch.nn.LSTM's equations (gates in the order input, forget, cell, output): (time, n, in) to (time, n, 256)."""
    steps, count, _ = inputs.shape
    size = w_rec.shape[1]
    # All inputs' share of the gates in one product: the only large BLAS call of the layer.
    gates_in = (inputs.reshape(steps * count, -1) @ w_in.T + bias).reshape(steps, count, 4 * size)
    recurrent = np.ascontiguousarray(w_rec.T)
    hidden = np.zeros((count, size), np.float32)
    cell = np.zeros((count, size), np.float32)
    outputs = np.empty((steps, count, size), np.float32)
    for step in range(steps):
        gates = gates_in[step] + hidden @ recurrent
        sigmoids = 0.5 * np.tanh(0.5 * gates) + 0.5  # the sigmoid as tanh: it cannot overflow
        candidate = np.tanh(gates[:, 2 * size : 3 * size])
        cell = sigmoids[:, size : 2 * size] * cell + sigmoids[:, :size] * candidate
        hidden = sigmoids[:, 3 * size :] * np.tanh(cell)
        outputs[step] = hidden
    return outputs
