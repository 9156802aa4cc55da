"""Every layout is read; what is wrong with a dataset is told with the file and the place in it."""

from __future__ import annotations

import json
import zipfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from memories.evaluation.dataset import DatasetError
from memories.evaluation.readers import load
from memories.privacy.export import export_user
from memories.repository import memories as repository
from memories.shapes import Memory, UserEdits
from omi.accounts import users
from omi.stores import audio
from speakers import people
from transcription.segments import Segment

SHIPPED = Path(__file__).resolve().parents[2] / "demo" / "accuracy"


def test_the_shipped_set_is_read(tmp_path: Path) -> None:
    dataset = load(SHIPPED, tmp_path)
    assert {item.language for item in dataset.items} >= {"en", "de", "es", "fr", "it"}
    assert {item.audio is None for item in dataset.items} == {True, False}
    assert len(dataset.questions) >= 10
    talk = next(item for item in dataset.items if item.name == "conversation")
    assert talk.user == "Anna"
    assert talk.reference is not None
    assert talk.reference.startswith("Good morning. It is good")


def test_the_shipped_set_is_small() -> None:
    assert sum(path.stat().st_size for path in SHIPPED.rglob("*") if path.is_file()) < 4_000_000


def test_librispeech_is_read(tmp_path: Path) -> None:
    folder = tmp_path / "1688" / "142285"
    folder.mkdir(parents=True)
    (folder / "1688-142285.trans.txt").write_text("1688-142285-0000 THERE'S IRON THEY SAY\n")
    (folder / "1688-142285-0000.flac").write_bytes(b"x")
    [item] = load(tmp_path, tmp_path / "work").items
    assert (item.name, item.reference, item.turns) == ("1688-142285-0000", "there's iron they say", None)


def test_rttm_is_read(tmp_path: Path) -> None:
    (tmp_path / "a.flac").write_bytes(b"x")
    (tmp_path / "a.rttm").write_text(
        ";; comment\nSPEAKER a 1 2.5 0.5 <NA> <NA> FEO066 <NA> <NA>\nSPEAKER a 1 4 1 <NA> <NA> MEE068 <NA> <NA>\n"
    )
    [item] = load(tmp_path, tmp_path / "work").items
    assert [(turn.speaker, turn.start, turn.end) for turn in item.turns or []] == [
        ("FEO066", 2.5, 3.0), ("MEE068", 4.0, 5.0),
    ]  # fmt: skip
    assert item.reference is None
    (tmp_path / "a.txt").write_text("what was said")
    assert load(tmp_path, tmp_path / "work").items[0].reference == "what was said"


def plain(folder: Path, item: Any, questions: Any = None) -> Path:
    (folder / "items").mkdir(exist_ok=True)
    (folder / "items" / "a.wav").write_bytes(b"x")
    (folder / "items" / "a.json").write_text(item if isinstance(item, str) else json.dumps(item))
    if questions is not None:
        (folder / "questions.json").write_text(json.dumps(questions))
    return folder


@pytest.mark.parametrize(
    ("item", "told"),
    [
        ("{", "a.json, line 1: it is no JSON"),
        ([], "a.json: an item is a JSON object"),
        ({}, "a.json: an item has audio, or turns with text"),
        ({"audio": "b.wav"}, "a.json, audio: there is no file b.wav"),
        ({"audio": "a.wav", "tunes": []}, "a.json, tunes: Extra inputs"),
        ({"audio": "a.wav", "clip": [3, 1]}, "a.json, clip: a clip is two moments"),
        ({"audio": "a.wav", "turns": [{"speaker": "A", "start": 2, "end": 1}]},
         "a.json, turns.0: the turn ends (1 s) before it starts (2 s)"),
        ({"audio": "a.wav", "turns": [{"speaker": "A", "start": 0, "end": 1}], "speakers": {"B": {}}},
         "a.json: turns of A, who is not one of the item's speakers"),
        ({"audio": "a.wav", "speakers": {"A": {"role": "user"}}},
         "a.json, speakers.A: a user has an enrolment recording"),
        ({"audio": "a.wav", "speakers": {"A": {"role": "user", "enrolment": "c.wav"}}},
         "a.json, speakers.A.enrolment: there is no file c.wav"),
    ],
)  # fmt: skip
def test_a_bad_item_is_told_with_file_and_place(tmp_path: Path, item: Any, told: str) -> None:
    with pytest.raises(DatasetError) as caught:
        load(plain(tmp_path, item), tmp_path / "work")
    assert told in str(caught.value)


def test_a_question_about_no_item_is_told(tmp_path: Path) -> None:
    folder = plain(tmp_path, {"audio": "a.wav"}, [{"question": "what?", "items": ["z"]}])
    with pytest.raises(DatasetError, match=r"questions\.json, question 1: items: there is no item 'z'"):
        load(folder, tmp_path / "work")


@pytest.mark.parametrize(
    ("name", "text", "told"),
    [
        ("a.trans.txt", "only-an-id\n", "a.trans.txt, line 1: a line holds"),
        ("a.trans.txt", "x SOME TEXT\n", "a.trans.txt, line 1: there is no x.flac"),
        ("a.rttm", "SPEAKER a 1 x 1 <NA> <NA> A <NA> <NA>\n", "a.rttm, line 1: fields 4 and 5"),
        ("a.rttm", "SPEAKER a 1 1\n", "a.rttm, line 1: a SPEAKER line has 8 fields"),
        ("a.rttm", "WORD\n", "a.rttm, line 1: 'WORD' is no type"),
        ("a.rttm", "", "a.rttm: there is no recording a"),
    ],
)
def test_a_bad_line_is_told_with_its_number(tmp_path: Path, name: str, text: str, told: str) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(DatasetError) as caught:
        load(tmp_path, tmp_path / "work")
    assert told in str(caught.value)


def test_what_is_no_dataset_is_told(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="no dataset of a known layout"):
        load(tmp_path, tmp_path)
    with pytest.raises(DatasetError, match="there is no such file or folder"):
        load(tmp_path / "x", tmp_path)
    (tmp_path / "x").write_text("hello")
    with pytest.raises(DatasetError, match="a dataset is a folder"):
        load(tmp_path / "x", tmp_path)


def export(path: Path, *, permitted: bool = True) -> Path:
    """A user's export of two memories, of which the user corrected one."""
    segment = {"id": "s1", "text": "hello", "speaker": "SPEAKER_00", "start": 0.5, "end": 1.5}
    other = {**segment, "id": "s2", "speaker": "SPEAKER_01", "start": 2.0, "end": 3.0}
    edits = {"segments": {"s1": {"is_user": True, "person_id": None}}, "speakers": {}}
    memories = {
        "m1": {"id": "m1", "language": "de", "transcript_segments": [segment, other], "edits": edits},
        "m2": {"id": "m2", "transcript_segments": [segment], "edits": {}},
    }
    stored = [
        {"file": "r1", "purpose": "recording", "memory_id": "m1"},
        {"file": "r2", "purpose": "recording", "memory_id": "m2"},
        {"file": "v1", "purpose": "profile", "memory_id": ""},
        {"file": "v2", "purpose": "sample", "memory_id": "m1"},
    ]
    samples = [{"person_id": "", "audio": "v1", "memory_id": ""}, {"person_id": "p1", "audio": "v2", "memory_id": "m1"}]
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("profile.json", json.dumps({"store_recording_permission": permitted}))
        archive.writestr("audio.json", json.dumps(stored))
        archive.writestr("voices.json", json.dumps({"samples": samples}))
        archive.writestr("people/p1.json", json.dumps({"id": "p1", "name": "Petra"}))
        for entry in stored:
            archive.writestr(f"audio/{entry['purpose']}/{entry['file']}", b"x")
        for name, memory in memories.items():
            archive.writestr(f"memories/{name}.json", json.dumps(memory))
    return path


def test_of_an_export_only_what_the_user_said_is_true(tmp_path: Path) -> None:
    [item] = load(export(tmp_path / "alice.zip"), tmp_path / "work").items
    assert item.name == "m1"
    assert item.partial
    assert [(turn.speaker, turn.text) for turn in item.turns or []] == [("user", "")]
    # Petra's sample comes from this very memory: it would be recognised by itself.
    assert {name: speaker.role for name, speaker in item.speakers.items()} == {"user": "user"}
    assert item.reference is None


def test_an_export_without_the_users_permission_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="has not permitted that recordings are kept"):
        load(export(tmp_path / "bob.zip", permitted=False), tmp_path / "work")


def test_a_zip_that_is_no_export_is_told(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("x", "")
    with pytest.raises(DatasetError, match=r"profile\.json: it is missing"):
        load(tmp_path / "a.zip", tmp_path / "work")


@pytest.mark.django_db
def test_the_products_own_export_is_read(tmp_path: Path) -> None:
    uid, memory_id = "exporter", "5a3f2f5e-0000-4000-8000-000000000009"
    users.set_recording_permission(uid, True)
    anna = people.create_person(uid, "Anna")
    segments = [
        Segment(id="s1", text="hello", speaker="SPEAKER_00", start=0.5, end=1.5),
        Segment(id="s2", text="good day", speaker="SPEAKER_01", start=2.0, end=3.0),
    ]
    edits = UserEdits(segments={"s2": {"is_user": False, "person_id": anna.id}})
    memory = Memory(
        id=memory_id, created_at=datetime(2026, 11, 1, tzinfo=UTC), language="en", transcript_segments=segments,
        edits=edits,
    )  # fmt: skip
    repository.create_memory(uid, memory)
    audio.put(uid, "recording", b"RIFF....", memory_id=memory_id, suffix=".wav", keep_for=None)
    path = tmp_path / "export.zip"
    path.write_bytes(export_user(uid).read())
    [item] = load(path, tmp_path / "work").items
    assert item.name == memory_id
    assert [(turn.speaker, turn.start, turn.end) for turn in item.turns or []] == [("Anna", 2.0, 3.0)]
    assert item.audio is not None
    assert item.audio.read_bytes() == b"RIFF...."
    assert item.speakers["Anna"].role == "stranger"
