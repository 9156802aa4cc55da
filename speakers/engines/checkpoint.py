"""Reading a PyTorch checkpoint of the zip form without PyTorch: tensors of 32-bit floats by name, and nothing else."""

from __future__ import annotations

import hashlib
import io
import pickle
import zipfile
from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

_MOST_BYTES = 512 * 1024 * 1024


class WeightsError(Exception):
    """The file is not the checkpoint that is expected, or is not there."""


class _Unpickler(pickle.Unpickler):
    """Knows tensors and dictionaries of them. ``archive`` holds the numbers of each storage."""

    def __init__(self, content: bytes, archive: zipfile.ZipFile, root: str) -> None:
        super().__init__(io.BytesIO(content))
        self._archive, self._root = archive, root

    def find_class(self, module: str, name: str) -> Any:
        known: dict[tuple[str, str], Any] = {
            ("collections", "OrderedDict"): OrderedDict,
            ("torch._utils", "_rebuild_tensor_v2"): _rebuild,
            ("torch", "FloatStorage"): "<f4",
            ("torch", "LongStorage"): "<i8",
        }
        try:
            return known[module, name]
        except KeyError:
            raise WeightsError(f"the checkpoint wants {module}.{name}, which weights have no need of") from None

    def persistent_load(self, pid: Any) -> NDArray[Any]:
        if not (isinstance(pid, tuple) and len(pid) == 5 and pid[0] == "storage" and pid[1] in ("<f4", "<i8")):
            raise WeightsError("a storage of the checkpoint is of another kind")
        return np.frombuffer(self._archive.read(f"{self._root}data/{pid[2]}"), pid[1])


def _rebuild(storage: NDArray[Any], offset: int, shape: tuple[int, ...], stride: tuple[int, ...], *_: object) -> Any:
    if offset + sum((size - 1) * step for size, step in zip(shape, stride, strict=True)) >= max(1, len(storage)):
        raise WeightsError("a tensor reaches past its storage")
    strides = tuple(step * storage.itemsize for step in stride)
    return np.lib.stride_tricks.as_strided(storage[offset:], shape, strides).copy()


def read_zip_checkpoint(path: Path, sha256: str) -> dict[str, NDArray[np.float32]]:
    """Tensors by name. WeightsError where the file is not the one with this hash, or not such a file."""
    with path.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if found != sha256:
        raise WeightsError(f"{path.name} is not the file that was measured: its SHA-256 is {found}")
    try:
        with zipfile.ZipFile(path) as archive:
            if sum(item.file_size for item in archive.infolist()) > _MOST_BYTES:
                raise WeightsError(f"{path.name} claims an impossible size")
            (name,) = (item for item in archive.namelist() if item.endswith("data.pkl"))
            tensors = _Unpickler(archive.read(name), archive, name.removesuffix("data.pkl")).load()
    except (zipfile.BadZipFile, pickle.UnpicklingError, EOFError, KeyError, TypeError, ValueError) as error:
        raise WeightsError(f"{path.name} is not a readable checkpoint: {error}") from error
    if not isinstance(tensors, dict) or not all(isinstance(value, np.ndarray) for value in tensors.values()):
        raise WeightsError(f"{path.name} holds something else than tensors by name")
    return {key: np.asarray(value, np.float32) for key, value in tensors.items() if value.dtype == np.dtype("<f4")}
