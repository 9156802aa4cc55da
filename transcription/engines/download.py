"""Fetch a model of the catalogue from its publisher's release page, where the network allows.

Only for `manage.py models --fetch`: nothing is ever downloaded on its own.
"""

from __future__ import annotations

import shutil
import tarfile
from collections.abc import Callable
from pathlib import Path

from transcription.engines.models import ModelCard
from transcription.engines.whisper.files import sha256

_ARCHIVES, _FOLDERS = "https://github.com", "https://huggingface.co"
_MOST_BYTES = 4 * 1024**3


class DownloadError(Exception):
    """The model could not be had. The text is one sentence for a person."""


def fetch(card: ModelCard, folder: Path, *, progress: Callable[[str], object]) -> Path:
    """Download and unpack; returns the folder (speech) or file (voice) that ``card.setting`` takes.

    The download goes to a ``.part`` file first, so that an interrupted one is never mistaken for a model. Where the
    catalogue knows the sha256 of a file, it must be this one.
    """
    folder.mkdir(parents=True, exist_ok=True)
    if card.folder is not None:
        return _files(card, folder / card.name, progress)
    if card.archive is None:
        raise DownloadError(f"{card.name} has no archive that can be fetched.")
    name = card.archive.rsplit("/", 1)[1]
    archive = folder / name
    _download(f"{_ARCHIVES}/{card.archive}", archive, progress)
    if not name.endswith(".tar.bz2"):
        return archive
    progress("Unpacking ...")
    try:
        with tarfile.open(archive) as packed:
            packed.extractall(folder, filter="data")
    except (tarfile.TarError, OSError, EOFError) as error:
        raise DownloadError(f"{name} did not arrive whole.") from error
    finally:
        archive.unlink(missing_ok=True)
    place = folder / name.removesuffix(".tar.bz2")
    missing = [pattern for pattern in card.files if not list(place.glob(pattern))]
    if missing:
        raise DownloadError(f"{name} does not hold {', '.join(missing)}.")
    return place


def _files(card: ModelCard, place: Path, progress: Callable[[str], object]) -> Path:
    """The model's single files, the large one last: a folder without it is no model. What is there already is kept."""
    place.mkdir(exist_ok=True)
    for name, expected in sorted(card.sha256.items(), key=lambda item: item[0] == "model.bin"):
        target = place / name
        if target.is_file() and sha256(target) == expected:
            continue
        progress(f"{name} ...")
        arriving = place / f"{name}.new"
        _download(f"{_FOLDERS}/{card.folder}/{name}", arriving, progress)
        found = sha256(arriving)
        if found != expected:
            arriving.unlink()
            raise DownloadError(f"{name} is not what was published: expected sha256 {expected}, found {found}.")
        arriving.rename(target)
    return place


def _download(url: str, target: Path, progress: Callable[[str], object]) -> None:
    import httpx

    part = target.with_suffix(target.suffix + ".part")
    name = target.name.removesuffix(".new")
    received = 0
    try:
        with httpx.stream("GET", url, follow_redirects=True, timeout=30.0) as answer, part.open("wb") as file:
            if answer.status_code != 200:
                raise DownloadError(f"The publisher answered {answer.status_code} for {name}.")
            for chunk in answer.iter_bytes(1 << 20):
                received += len(chunk)
                if received > _MOST_BYTES:
                    raise DownloadError(f"{name} is larger than {_MOST_BYTES >> 30} GiB.")
                file.write(chunk)
                if received % (32 << 20) < len(chunk):
                    progress(f"{received >> 20} MB ...")
        shutil.move(part, target)
    except httpx.HTTPError as error:
        raise DownloadError(f"{name} cannot be fetched from here ({type(error).__name__}).") from error
    except OSError as error:
        raise DownloadError(f"{name} cannot be written: {error.strerror}.") from error
    finally:
        part.unlink(missing_ok=True)
