"""Readers make a dataset of a folder: the product's plain layout, LibriSpeech's, and audio with RTTM turns (AMI).

``load`` tells the layout by the files that are there. The export of a user is read by ``export_reader``.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from memories.evaluation.dataset import Dataset, DatasetError, Item, Question, parsed
from memories.evaluation.export_reader import is_export, read_export

AUDIO = (".flac", ".wav", ".ogg", ".opus", ".mp3", ".m4a")
ITEMS, QUESTIONS = "items", "questions.json"


def load(source: Path, workspace: Path) -> Dataset:
    """The dataset at ``source``: a folder, or a zip that is a user's export, which is unpacked into ``workspace``.

    Raises DatasetError where there is none, or where a file of it is not as docs/evaluation.md says.
    """
    if not source.exists():
        raise DatasetError(source, "there is no such file or folder")
    if is_export(source):
        return read_export(source, workspace)
    if not source.is_dir():
        raise DatasetError(source, "a dataset is a folder, or the zip of a user's export")
    read = next((reader for found, reader in _LAYOUTS if found(source)), None)
    if read is None:
        raise DatasetError(source, f"no {ITEMS}/*.json, no *.trans.txt, no *.rttm: no dataset of a known layout")
    dataset = read(source)
    if not dataset.items:
        raise DatasetError(source, "the dataset has no items")
    return dataset


def read_plain(folder: Path) -> Dataset:
    """The product's own layout: ``items/NAME.json``, and ``questions.json`` where search is measured.

    Paths in an item are relative to the item's file.
    """
    items = [_item(file) for file in sorted((folder / ITEMS).glob("*.json"))]
    questions = []
    file = folder / QUESTIONS
    if file.exists():
        known = {item.name for item in items}
        for number, given in enumerate(_listed(file), 1):
            question: Question = parsed(Question, given, file, f"question {number}")
            if unknown := set(question.items) - known:
                raise DatasetError(file, f"there is no item {min(unknown)!r}", f"question {number}: items")
            questions.append(question)
    return Dataset(name=folder.name, items=items, questions=questions)


def read_librispeech(folder: Path) -> Dataset:
    """LibriSpeech's layout: ``READER-CHAPTER.trans.txt`` with ``ID TEXT`` lines, beside ``ID.flac``. It is English."""
    items = []
    for file in sorted(folder.rglob("*.trans.txt")):
        for number, line in enumerate(_lines(file), 1):
            name, _, text = line.partition(" ")
            audio = file.parent / f"{name}.flac"
            if not text.strip():
                raise DatasetError(file, "a line holds an utterance's id, a blank and its text", f"line {number}")
            if not audio.exists():
                raise DatasetError(file, f"there is no {audio.name} beside it", f"line {number}")
            items.append(parsed(Item, {"name": name, "audio": audio, "text": text.lower()}, file, f"line {number}"))
    return Dataset(name=folder.name, items=items)


def read_rttm(folder: Path) -> Dataset:
    """Audio with ``NAME.rttm`` (who speaks when) beside ``NAME.flac``, as the AMI corpus comes. ``NAME.txt`` beside
    both is what is said, where it is known."""
    items = []
    for file in sorted(folder.rglob("*.rttm")):
        turns = []
        for number, line in enumerate(_lines(file), 1):
            fields = line.split()
            if fields[0] not in ("SPEAKER", "SPKR-INFO", ";;"):
                raise DatasetError(file, f"{fields[0]!r} is no type of an RTTM line", f"line {number}")
            if fields[0] != "SPEAKER":
                continue
            if len(fields) < 8:
                raise DatasetError(file, f"a SPEAKER line has 8 fields or more, not {len(fields)}", f"line {number}")
            try:
                start, length = float(fields[3]), float(fields[4])
            except ValueError as error:
                raise DatasetError(file, "fields 4 and 5 are start and length in seconds", f"line {number}") from error
            turns.append({"speaker": fields[7], "start": start, "end": start + length})
        item: dict[str, Any] = {"name": file.stem, "audio": _beside(file), "turns": turns}
        text = file.with_suffix(".txt")
        if text.exists():
            item["text"] = " ".join(_lines(text))
        items.append(parsed(Item, item, file))
    return Dataset(name=folder.name, items=items)


def _item(file: Path) -> Item:
    given = _json(file)
    if not isinstance(given, dict):
        raise DatasetError(file, "an item is a JSON object")
    given = {"name": file.stem, **given}
    if isinstance(given.get("audio"), str):
        given["audio"] = _existing(file, given["audio"], "audio")
    speakers = given.get("speakers")
    for name, speaker in speakers.items() if isinstance(speakers, dict) else ():
        if isinstance(speaker, dict) and isinstance(speaker.get("enrolment"), str):
            place = f"speakers.{name}.enrolment"
            speaker["enrolment"] = _existing(file, speaker["enrolment"], place)
    item: Item = parsed(Item, given, file)
    if item.clip is not None and not 0 <= item.clip[0] < item.clip[1]:
        raise DatasetError(file, "a clip is two moments, the earlier one first", "clip")
    return item


def _existing(file: Path, name: str, place: str) -> Path:
    path = (file.parent / name).resolve()
    if not path.is_file():
        raise DatasetError(file, f"there is no file {name}", place)
    return path


def _beside(file: Path) -> Path:
    audio = next((path for suffix in AUDIO if (path := file.with_suffix(suffix)).exists()), None)
    if audio is None:
        raise DatasetError(file, f"there is no recording {file.stem}{{{','.join(AUDIO)}}} beside it")
    return audio


def _listed(file: Path) -> list[Any]:
    given = _json(file)
    if not isinstance(given, list):
        raise DatasetError(file, "it must hold a list of questions")
    return given


def _json(file: Path) -> Any:
    try:
        return json.loads(_text(file))
    except json.JSONDecodeError as error:
        raise DatasetError(file, f"it is no JSON: {error.msg}", f"line {error.lineno}") from error


def _lines(file: Path) -> list[str]:
    return [line.strip() for line in _text(file).splitlines() if line.strip()]


def _text(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise DatasetError(file, "it is no UTF-8 text", f"byte {error.start}") from error


def _has(pattern: str) -> Callable[[Path], bool]:
    return lambda folder: next(folder.glob(pattern), None) is not None


_LAYOUTS: tuple[tuple[Callable[[Path], bool], Callable[[Path], Dataset]], ...] = (
    (_has(f"{ITEMS}/*.json"), read_plain),
    (_has("**/*.trans.txt"), read_librispeech),
    (_has("**/*.rttm"), read_rttm),
)
"""Which layout a folder has, asked in order."""
