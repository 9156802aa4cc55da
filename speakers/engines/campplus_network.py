"""The network of CAM++ in NumPy: filter banks in, 192 numbers out.

A small two-dimensional front end, a time-delay layer of stride 2, three densely connected blocks of time-delay layers
whose outputs are masked by the context (of the whole and of each 100 frames), mean and deviation over time, and a
projection. Wang, Zheng, Chen, Cheng, Chen: "CAM++: A Fast and Efficient Network for Speaker Verification Using
Context-Aware Masking", Interspeech 2023. Batch normalisations are folded into the layers beside them.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float32]

BLOCKS = ((12, 1), (24, 2), (16, 2))
"""Layers and dilation of each dense block."""
GROWTH = 32
SEGMENT = 100
"""Frames (of 20 ms) of one piece of context."""


@dataclass(frozen=True, slots=True)
class _Plane:
    """A convolution over frequency and time, channels last, with its normalisation: rows (frequency, time, channel)."""

    weight: Array
    bias: Array
    stride: int
    size: int


@dataclass(frozen=True, slots=True)
class _Dense:
    scale: Array
    shift: Array
    narrow: Array
    narrow_bias: Array
    local: Array
    context: tuple[Array, Array, Array, Array]
    dilation: int


class CamppNetwork:
    """The network of CAM++. ``weights``: the checkpoint's tensors by name. Only reads after construction, so threads
    may share it."""

    def __init__(self, weights: dict[str, Array]) -> None:
        self._weights = weights
        plane = self._plane
        self._first = plane("head.conv1", "head.bn1", 1)
        self._residual = [
            (
                plane(f"head.layer{layer}.{at}.conv1", f"head.layer{layer}.{at}.bn1", 2 - at),
                plane(f"head.layer{layer}.{at}.conv2", f"head.layer{layer}.{at}.bn2", 1),
                plane(f"head.layer{layer}.{at}.shortcut.0", f"head.layer{layer}.{at}.shortcut.1", 2)
                if not at
                else None,
            )
            for layer in (1, 2)
            for at in (0, 1)
        ]
        self._last = plane("head.conv2", "head.bn2", 2)
        scale, self._entry_bias = self._norm("xvector.tdnn.nonlinear.batchnorm")
        kernel = weights["xvector.tdnn.linear.weight"] * scale[:, None, None]
        self._entry = np.ascontiguousarray(kernel.transpose(2, 1, 0).reshape(-1, len(scale)))
        self._blocks = [
            [self._dense(f"xvector.block{block}.tdnnd{layer}", dilation) for layer in range(1, layers + 1)]
            for block, (layers, dilation) in enumerate(BLOCKS, 1)
        ]
        self._transits = [
            (*self._norm(f"xvector.transit{block}.nonlinear.batchnorm"), self._point(f"xvector.transit{block}.linear"))
            for block in (1, 2, 3)
        ]
        self._out = self._norm("xvector.out_nonlinear.batchnorm")
        scale, self._bias = self._norm("xvector.dense.nonlinear.batchnorm")
        self._projection = self._point("xvector.dense.linear") * scale

    def __call__(self, features: Array) -> Array:
        """(n, frames, 80) filter banks without their mean to (n, 192), not yet of unit length."""
        planes = _relu(_convolved(np.ascontiguousarray(features.transpose(2, 0, 1))[..., None], self._first))
        for first, second, shortcut in self._residual:
            inner = _convolved(_relu(_convolved(planes, first)), second)
            inner += _convolved(planes, shortcut) if shortcut is not None else planes
            planes = _relu(inner)
        planes = _relu(_convolved(planes, self._last))
        bands, count, frames, channels = planes.shape
        rows = planes.transpose(1, 2, 3, 0).reshape(count, frames, channels * bands)
        frames = (frames - 1) // 2 + 1
        padded = np.pad(rows, ((0, 0), (2, 2), (0, 0)))
        taken = [padded[:, at : at + 2 * frames - 1 : 2] for at in range(5)]
        hidden = _relu(np.concatenate(taken, axis=2) @ self._entry + self._entry_bias)
        for layers, (scale, shift, weight) in zip(self._blocks, self._transits, strict=True):
            hidden = _relu(_grown(hidden, layers) * scale + shift) @ weight
        hidden = _relu(hidden * self._out[0] + self._out[1])
        spread = hidden.std(axis=1, ddof=1) if frames > 1 else np.full_like(hidden[:, 0], 0.01)
        pooled = np.concatenate([hidden.mean(axis=1), spread], axis=1)
        return np.asarray(pooled @ self._projection + self._bias, np.float32)

    def _norm(self, name: str) -> tuple[Array, Array]:
        """Batch normalisation as a factor and a summand; one without parameters of its own has factor 1."""
        weights = self._weights
        scale = 1 / np.sqrt(weights[f"{name}.running_var"] + 1e-5)
        scale = scale * weights.get(f"{name}.weight", np.float32(1))
        shift = weights.get(f"{name}.bias", np.float32(0)) - weights[f"{name}.running_mean"] * scale
        return scale.astype(np.float32), shift.astype(np.float32)

    def _plane(self, name: str, norm: str, stride: int) -> _Plane:
        kernel = self._weights[f"{name}.weight"]
        scale, shift = self._norm(norm)
        rows = (kernel * scale[:, None, None, None]).transpose(2, 3, 1, 0).reshape(-1, len(scale))
        return _Plane(np.ascontiguousarray(rows), shift, stride, kernel.shape[2])

    def _point(self, name: str) -> Array:
        return np.ascontiguousarray(self._weights[f"{name}.weight"][:, :, 0].T)

    def _dense(self, name: str, dilation: int) -> _Dense:
        scale, shift = self._norm(f"{name}.nonlinear1.batchnorm")
        factor, bias = self._norm(f"{name}.nonlinear2.batchnorm")
        local = self._weights[f"{name}.cam_layer.linear_local.weight"].transpose(2, 1, 0).reshape(-1, GROWTH)
        context = (
            self._point(f"{name}.cam_layer.linear1"),
            self._weights[f"{name}.cam_layer.linear1.bias"],
            self._point(f"{name}.cam_layer.linear2"),
            self._weights[f"{name}.cam_layer.linear2.bias"],
        )
        narrow = self._point(f"{name}.linear1") * factor
        return _Dense(scale, shift, narrow, bias, np.ascontiguousarray(local), context, dilation)


def _relu(values: Array) -> Array:
    return np.maximum(values, 0, out=values)


def _convolved(planes: Array, layer: _Plane) -> Array:
    """``planes``: (bands, n, frames, channels). Strides are over the bands only."""
    if layer.size == 1:
        return np.asarray(planes[:: layer.stride] @ layer.weight + layer.bias, np.float32)
    bands, count, frames, channels = planes.shape
    padded = np.zeros((bands + 2, count, frames + 2, channels), np.float32)
    padded[1:-1, :, 1:-1] = planes
    out = np.empty(((bands - 1) // layer.stride + 1, count, frames, layer.weight.shape[1]), np.float32)
    for band in range(len(out)):
        at = band * layer.stride
        around = [padded[at + up, :, left : left + frames] for up in range(3) for left in range(3)]
        out[band] = np.concatenate(around, axis=2) @ layer.weight
    out += layer.bias
    return out


def _grown(hidden: Array, layers: list[_Dense]) -> Array:
    """What goes in and what each layer adds, side by side."""
    count, frames, channels = hidden.shape
    grown = np.empty((count, frames, channels + GROWTH * len(layers)), np.float32)
    grown[..., :channels] = hidden
    for layer in layers:
        grown[..., channels : channels + GROWTH] = _added(grown[..., :channels], layer)
        channels += GROWTH
    return grown


def _added(grown: Array, layer: _Dense) -> Array:
    narrow = _relu(grown * layer.scale + layer.shift) @ layer.narrow
    narrow += layer.narrow_bias
    narrow = _relu(narrow)
    frames, reach = narrow.shape[1], layer.dilation
    padded = np.pad(narrow, ((0, 0), (reach, reach), (0, 0)))
    taken = [padded[:, at * reach : at * reach + frames] for at in range(3)]
    added: Array = np.concatenate(taken, axis=2) @ layer.local
    inner, inner_bias, outer, outer_bias = layer.context
    whole = narrow.mean(axis=1, keepdims=True)
    for start in range(0, frames, SEGMENT):
        context = narrow[:, start : start + SEGMENT].mean(axis=1, keepdims=True) + whole
        mask = np.maximum(context @ inner + inner_bias, 0) @ outer + outer_bias
        added[:, start : start + SEGMENT] *= 0.5 * np.tanh(0.5 * mask) + 0.5  # the sigmoid as tanh: it cannot overflow
    return added
