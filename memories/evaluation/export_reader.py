"""The export reader makes a dataset of a user's export (``memories.privacy.export``): recordings that the
user agreed to keep, with the speakers that the user set.

A machine's transcript is no truth about the machine. So only memories in which the user said who spoke are taken, and
only the turns that the user spoke of; their words are the machine's and are not used. Whoever has a voice sample that
does not come from the same memory is enrolled with it, everybody else is a stranger.
"""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import Any

from memories.evaluation.dataset import Dataset, DatasetError, Item, parsed
from speakers.models import USER

RECORDINGS = ("recording", "upload")
"""Purposes of audio that is a whole conversation, the best first."""
THE_USER = "user"
"""The name of the export's own user among the speakers."""


def is_export(source: Path) -> bool:
    """Whether ``source`` is a user's export: its zip, or the folder that was unpacked from it."""
    if source.is_dir():
        return (source / "profile.json").exists() and (source / "audio.json").exists()
    return zipfile.is_zipfile(source)


def read_export(source: Path, workspace: Path) -> Dataset:
    """The memories of an export whose speakers the user set and that have a recording; a zip is unpacked into
    ``workspace``. Raises DatasetError where the user did not permit that recordings are kept."""
    if source.is_dir():
        return _read(source, source)
    folder = workspace / "export"
    with zipfile.ZipFile(source) as archive:
        archive.extractall(folder)  # zipfile keeps members whose names lead out of the folder inside of it
    return _read(folder, source)


def _read(folder: Path, source: Path) -> Dataset:
    profile = _object(folder / "profile.json", source)
    if profile.get("store_recording_permission") is not True:
        raise DatasetError(source, "this user has not permitted that recordings are kept", "profile.json")
    audio = _Audio(folder, source)
    people = {
        str(person.get("id")): str(person.get("name"))
        for file in sorted((folder / "people").glob("*.json"))
        for person in [_object(file, source)]
    }
    items = []
    for file in sorted((folder / "memories").glob("*.json")):
        memory = _object(file, source)
        recording = audio.recording(str(memory.get("id")))
        if recording is not None and (turns := _turns(memory, people)):
            items.append(_item(memory, recording, turns, audio.enrolments(str(memory["id"]), people), file))
    if not items:
        raise DatasetError(source, "there is no memory that has its recording and whose speakers the user set")
    return Dataset(name=source.stem, items=items)


class _Audio:
    """The export's recordings and voice samples: ``audio.json`` and ``voices.json`` say what each file belongs to."""

    def __init__(self, folder: Path, source: Path) -> None:
        entries = [entry for entry in _listed(folder / "audio.json", source) if isinstance(entry, dict)]
        self._paths = {
            str(entry.get("file")): folder / "audio" / str(entry.get("purpose")) / str(entry.get("file"))
            for entry in entries
        }
        self._recordings = {(entry.get("memory_id"), entry.get("purpose")): str(entry.get("file")) for entry in entries}
        samples = _object(folder / "voices.json", source).get("samples") or []
        self._samples = [sample for sample in samples if not sample.get("removed_at")]

    def recording(self, memory_id: str) -> Path | None:
        names = [self._recordings.get((memory_id, purpose)) for purpose in RECORDINGS]
        return next((path for name in names if name and (path := self._paths[name]).is_file()), None)

    def enrolments(self, memory_id: str, people: dict[str, str]) -> dict[str, Path]:
        """A sample by the speaker's name; none that was learned from the memory that is measured."""
        found: dict[str, Path] = {}
        for sample in self._samples:
            path = self._paths.get(str(sample.get("audio")))
            name = _name(sample.get("person_id"), people)
            if name and path is not None and path.is_file() and sample.get("memory_id") != memory_id:
                found[name] = path
        return found


def _turns(memory: dict[str, Any], people: dict[str, str]) -> list[dict[str, Any]]:
    """The turns that the user spoke of, under the names that the user gave."""
    edits = memory.get("edits") or {}
    by_segment, by_voice = edits.get("segments") or {}, edits.get("speakers") or {}
    turns = []
    for segment in memory.get("transcript_segments") or []:
        said = by_segment.get(segment.get("id")) or by_segment.get(segment.get("speaker"))
        said = said or by_voice.get(segment.get("id")) or by_voice.get(segment.get("speaker"))
        if said is not None:
            who = _name(USER if said.get("is_user") else said.get("person_id"), people) or str(segment.get("speaker"))
            turns.append({"speaker": who, "start": segment.get("start"), "end": segment.get("end")})
    return turns


def _item(
    memory: dict[str, Any], recording: Path, turns: list[dict[str, Any]], enrolments: dict[str, Path], file: Path
) -> Item:
    speakers = {}
    for name in {turn["speaker"] for turn in turns} | set(enrolments):
        role = "stranger" if name not in enrolments else "user" if name == THE_USER else "person"
        speakers[name] = {"role": role, "enrolment": enrolments.get(name)}
    given: dict[str, Any] = {
        "name": file.stem, "audio": recording, "language": memory.get("language") or "en", "turns": turns,
        "speakers": speakers, "partial": True,
    }  # fmt: skip
    item: Item = parsed(Item, given, file)
    return item


def _name(person_id: object, people: dict[str, str]) -> str | None:
    return THE_USER if person_id == USER else people.get(str(person_id))


def _object(file: Path, source: Path) -> dict[str, Any]:
    found = _json(file, source)
    if not isinstance(found, dict):
        raise DatasetError(source, "it must hold a JSON object", file.name)
    return found


def _json(file: Path, source: Path) -> Any:
    try:
        return json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DatasetError(source, "it is missing, or no JSON: this is no export of a user", file.name) from error


def _listed(file: Path, source: Path) -> list[Any]:
    found = _json(file, source)
    if not isinstance(found, list):
        raise DatasetError(source, "it must hold a JSON list", file.name)
    return found
