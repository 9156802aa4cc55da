"""Read a PyTorch checkpoint's tensors with NumPy: no torch, and no code of the file is run.

The format is PyTorch's legacy one (before 1.6): three header pickles, the pickle of the object with persistent ids
in place of the storages, the pickle of the storage keys, then each storage as an 8-byte count and raw little-endian
numbers. The unpickler knows three names and refuses every other.
"""

from __future__ import annotations

import pickle
from collections import OrderedDict
from functools import lru_cache
from typing import IO, TYPE_CHECKING, Any, NoReturn, Protocol

import numpy as np

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

_MAGIC = 0x1950A86A20F9469CFC6C
_PROTOCOL = 1001
_MOST_NUMBERS = 1 << 28  # 1 GB: far above any voice model


LAYERS = 3
"""LSTM layers of Resemblyzer's encoder."""


class WeightsError(Exception):
    """The file is not a checkpoint of the expected form."""


class Encoder(Protocol):
    """What runs the bundled weights."""

    def __call__(self, mels: NDArray[np.float32]) -> NDArray[np.float32]:
        """(n, frames, 40) power mels to (n, 256) embeddings that are not negative and not yet normalised."""
        ...


class _Tensor:
    def __init__(self, key: str, offset: int, shape: tuple[int, ...], stride: tuple[int, ...]) -> None:
        self.key, self.offset, self.shape, self.stride = key, offset, shape, stride


def _rebuild(storage: str, offset: int, shape: tuple[int, ...], stride: tuple[int, ...], *_: object) -> _Tensor:
    return _Tensor(storage, offset, shape, stride)


class _FloatStorage:
    """Marks storages of 32-bit floats, the only kind read."""


class _Unpickler(pickle.Unpickler):
    _KNOWN: dict[tuple[str, str], Any] = {
        ("collections", "OrderedDict"): OrderedDict,
        ("torch._utils", "_rebuild_tensor_v2"): _rebuild,
        ("torch", "FloatStorage"): _FloatStorage,
    }

    def find_class(self, module: str, name: str) -> Any:
        try:
            return self._KNOWN[module, name]
        except KeyError:
            raise WeightsError(f"the checkpoint wants {module}.{name}, which weights have no need of") from None

    def persistent_load(self, pid: Any) -> str:
        if not (isinstance(pid, tuple) and len(pid) == 6 and pid[0] == "storage" and pid[1] is _FloatStorage):
            raise WeightsError("a storage of the checkpoint is not of 32-bit floats")
        return str(pid[2])


def read_checkpoint(path: Path, section: str) -> dict[str, NDArray[np.float32]]:
    """The tensors of `checkpoint[section]` by name. WeightsError for anything but such a file."""
    with path.open("rb") as file:
        try:
            if _load(file) != _MAGIC or _load(file) != _PROTOCOL:
                _refuse(path)
            _load(file)
            checkpoint, keys = _load(file), _load(file)
            storages = {key: _storage(file) for key in keys}
            tensors: dict[str, _Tensor] = checkpoint[section]
            return {name: _array(tensor, storages) for name, tensor in tensors.items() if isinstance(tensor, _Tensor)}
        except (pickle.UnpicklingError, EOFError, KeyError, TypeError, ValueError, AttributeError, IndexError) as error:
            raise WeightsError(f"{path.name} is not a readable checkpoint: {error}") from error


def _refuse(path: Path) -> NoReturn:
    raise WeightsError(f"{path.name} is not a PyTorch checkpoint of the legacy form")


def _load(file: IO[bytes]) -> Any:
    return _Unpickler(file).load()


def _storage(file: IO[bytes]) -> NDArray[np.float32]:
    count = int.from_bytes(file.read(8), "little")
    if not 0 <= count <= _MOST_NUMBERS:
        raise ValueError("a storage claims an impossible size")
    data = file.read(count * 4)
    if len(data) != count * 4:
        raise EOFError("the file ends inside a storage")
    return np.frombuffer(data, "<f4")


def _array(tensor: _Tensor, storages: dict[str, NDArray[np.float32]]) -> NDArray[np.float32]:
    storage = storages[tensor.key][tensor.offset :]
    if sum((size - 1) * step for size, step in zip(tensor.shape, tensor.stride, strict=True)) >= len(storage):
        raise ValueError("a tensor reaches past its storage")
    strides = tuple(step * 4 for step in tensor.stride)
    return np.lib.stride_tricks.as_strided(storage, tensor.shape, strides).copy()


def weights_path() -> Path:
    """The checkpoint inside the installed resemblyzer wheel; WeightsError when the wheel is not installed."""
    from importlib.metadata import PackageNotFoundError, distribution
    from pathlib import Path

    try:
        return Path(str(distribution("resemblyzer").locate_file("resemblyzer/pretrained.pt")))
    except PackageNotFoundError:
        raise WeightsError("the voice weights are missing: pip install --no-deps -r requirements-weights.txt") from None


@lru_cache(maxsize=1)
def bundled_weights() -> dict[str, NDArray[np.float32]]:
    """Resemblyzer's tensors by torch's names (``lstm.weight_ih_l0``, ``linear.bias``...)."""
    path = weights_path()
    if not path.is_file():
        raise WeightsError(f"{path.name} is missing from the installed resemblyzer: reinstall requirements-weights.txt")
    return read_checkpoint(path, "model_state")
