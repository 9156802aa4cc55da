"""A deleted person is in no answer and in no document any more, and nobody who is late brings them back."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.utils import timezone

from memories import editing
from memories.models import MemoryRow
from memories.privacy import export, person_forgetting
from memories.repository import memories, processing, transcripts
from memories.shapes import Memory, ProcessingMemory, Structured
from omi.accounts import tokens
from omi.core.errors import ErrorKind, ProviderError
from omi.stores import audio
from omi.stores.models import LocalDocument
from speakers import people
from speakers.models import VoiceSample
from speakers.shapes import Person
from tests.stores.conftest import NOW
from transcription.segments import Segment

pytestmark = pytest.mark.django_db


def app(uid: str = "ana") -> Client:
    return Client(headers={"Authorization": f"Bearer {tokens.mint(uid)}"}, raise_request_exception=False)


def segments(person: str | None) -> list[Segment]:
    return [
        Segment(id=f"s{n}", text=f"words number {n}", speaker=f"SPEAKER_0{n % 2}", start=n, end=n + 1,
                person_id=person if n % 2 else None)
        for n in range(4)
    ]  # fmt: skip


def talk(identity: str, person: str, **fields: Any) -> Memory:
    made = memories.create_memory(
        "ana",
        Memory(
            id=identity, created_at=NOW, structured=Structured(title="Talk", overview="They talk."),
            transcript_segments=segments(person), active_transcript="deepgram_streaming", **fields,
        ),
    )  # fmt: skip
    transcripts.save_transcript("ana", identity, "deepgram_streaming", segments(person))
    transcripts.save_transcript("ana", identity, "fal_whisperx", segments(person)[:2])
    return made


@pytest.fixture
def david() -> Person:
    return people.create_person("ana", "David")


@pytest.fixture
def named(david: Person) -> Person:
    talk("m1", david.id, visibility="shared")
    editing.assign_segments("ana", "m1", ["s1", "s3"], editing.Decision(person_id=david.id), speaker="SPEAKER_01")
    processing.create(
        "ana",
        ProcessingMemory(
            id="p1", created_at=NOW, transcript_segments=segments(david.id),
            assigned={"s1": {"is_user": False, "person_id": david.id}, "s0": {"is_user": True, "person_id": None}},
        ),
    )  # fmt: skip
    return david


def stored(uid: str = "ana") -> str:
    """All documents of the user but the people, as they lie in the store."""
    rows = LocalDocument.objects.filter(path__startswith=f"users/{uid}/").exclude(path__contains="/people/")
    return "\n".join(rows.values_list("body", flat=True))


def exported() -> str:
    with zipfile.ZipFile(io.BytesIO(export.export_user("ana").read())) as archive:
        return "\n".join(archive.read(name).decode() for name in archive.namelist())


ANSWERS: dict[str, Callable[[Client], Any]] = {
    "list": lambda client: client.get("/v1/memories"),
    "get": lambda client: client.get("/v1/memories/m1"),
    "speakers": lambda client: client.get("/v1/memories/m1/speakers"),
    "transcripts": lambda client: client.get("/v1/memories/m1/transcripts"),
    "versions": lambda client: client.get("/v1/memories/m1/transcripts/versions"),
    "shared": lambda client: client.get("/v1/memories/m1/shared"),
    "conversation": lambda client: client.get("/v1/processing-memories/p1"),
    "people": lambda client: client.get("/v1/users/people"),
    "search": lambda client: client.post(
        "/v1/memories/search", json.dumps({"query": "words"}), content_type="application/json"
    ),
}


@pytest.mark.parametrize("answer", ANSWERS)
@pytest.mark.parametrize("seconds", [person_forgetting.AT_ONCE, -1.0])
def test_no_answer_names_a_deleted_person(
    named: Person, answer: str, seconds: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also while a worker has still to clear the documents (-1: nothing was cleared in the request)."""
    monkeypatch.setattr(person_forgetting, "AT_ONCE", seconds)
    before = ANSWERS[answer](app())
    assert before.status_code == 200
    assert answer == "shared" or named.id in before.content.decode()
    assert app().delete(f"/v1/users/people/{named.id}").status_code == 204
    after = ANSWERS[answer](app())
    assert (after.status_code, named.id in after.content.decode()) == (200, False)


def test_no_document_no_export_and_no_page_of_staff_names_them(named: Person) -> None:
    assert named.id in stored()
    app().delete(f"/v1/users/people/{named.id}")
    assert named.id not in stored()
    assert named.id not in exported()
    assert "David" not in "\n".join(LocalDocument.objects.values_list("body", flat=True))
    client = Client()
    client.force_login(User.objects.create_superuser("staff"))
    row = MemoryRow.objects.get(memory_id="m1")
    client.post(f"/admin/memories/memoryrow/{row.pk}/reveal/", {"reason": "asked"})
    page = client.get(f"/admin/memories/memoryrow/{row.pk}/change/").content.decode()
    assert "words number 1" in page
    assert named.id not in page


def test_what_was_said_of_others_stays(named: Person) -> None:
    clara = people.create_person("ana", "Clara")
    talk("m2", clara.id)
    editing.assign_segments("ana", "m2", ["s1"], editing.Decision(person_id=clara.id))
    people.delete_person("ana", named.id)
    found = memories.get_memory("ana", "m2")
    assert {item.person_id for item in found.transcript_segments} == {None, clara.id}
    assert found.edits.segments["s1"]["person_id"] == clara.id
    assert processing.get("ana", "p1").assigned == {"s0": {"is_user": True, "person_id": None}}


def test_a_worker_clears_what_the_request_had_no_time_for(
    named: Person, monkeypatch: pytest.MonkeyPatch, django_capture_on_commit_callbacks: Any
) -> None:
    from django_q.models import OrmQ

    monkeypatch.setattr(person_forgetting, "AT_ONCE", -1.0)
    with django_capture_on_commit_callbacks(execute=True):
        assert app().delete(f"/v1/users/people/{named.id}").status_code == 204
    assert named.id in stored()
    tasks = [item.task for item in OrmQ.objects.all()]
    [arguments] = [task["args"] for task in tasks if task["func"] == person_forgetting.FINISH]
    with monkeypatch.context() as away:
        away.setattr(person_forgetting, "forget", _fails)
        assert not person_forgetting.finish(*arguments), "a store is away: once this was all that was tried"
    again = next(item for item in OrmQ.objects.order_by("-pk") if item.task["func"] == person_forgetting.FINISH)
    assert again.lock is not None
    assert again.lock > timezone.now() + timedelta(minutes=9)
    assert person_forgetting.finish(*again.task["args"])
    assert named.id not in stored()


def _fails(*_: Any) -> bool:
    raise ProviderError("firestore", "the store is away", kind=ErrorKind.TRANSIENT)


def test_a_late_writer_does_not_bring_them_back(named: Person) -> None:
    """A run that had loaded the gallery, a socket with its labels, a copy of the memory from before."""
    copy = memories.get_memory("ana", "m1")
    people.delete_person("ana", named.id)
    late = segments(named.id)
    memories.update_memory("ana", "m1", {"transcript_segments": late})
    memories.update_memory("ana", "m1", {"edits.segments": {"s1": {"is_user": False, "person_id": named.id}}})
    memories.update_memory("ana", "m1", {"edits": copy.edits})
    memories.create_memory("ana", copy.model_copy(update={"id": "m9"}))
    transcripts.save_transcript("ana", "m1", "soniox_async", late)
    processing.update("ana", "p1", {"transcript_segments": late, "assigned": {"s1": {"person_id": named.id}}})
    processing.create("ana", ProcessingMemory(id="p9", created_at=NOW, transcript_segments=late))
    assert named.id not in stored()


def test_a_person_who_goes_in_the_middle_of_a_write_is_not_written(named: Person) -> None:
    def change(memory: Memory) -> dict[str, Any]:
        return {"transcript_segments": segments(named.id)}

    people.delete_person("ana", named.id)
    assert {item.person_id for item in memories.mutate_memory("ana", "m1", change).transcript_segments} == {None}


def test_their_voice_is_erased_at_the_next_try_where_the_storage_was_away(
    named: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = audio.put("ana", "sample", b"voice", keep_for=None)
    VoiceSample.objects.create(
        uid="ana", person_id=named.id, audio=kept.name, seconds=5, voiced_seconds=5, source="profile", status="accepted"
    )

    def away(*_: Any) -> None:
        raise ProviderError("audio storage", "the audio storage is out of reach", kind=ErrorKind.TRANSIENT, code="x")

    with monkeypatch.context() as broken:
        broken.setattr(audio, "delete", away)
        assert app().delete(f"/v1/users/people/{named.id}").status_code == 503
    assert app().get(f"/v1/users/people/{named.id}").status_code == 404
    assert app().delete(f"/v1/users/people/{named.id}").status_code == 204
    assert not VoiceSample.objects.filter(person_id=named.id).exists()
    assert app().delete(f"/v1/users/people/{named.id}").status_code == 404


def test_clearing_up_reaches_every_page(david: Person, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(person_forgetting, "AT_ONCE", 600.0)  # seconds: a slow machine would leave the rest to a worker
    for number in range(2 * person_forgetting.PAGE + 1):
        memories.create_memory(
            "ana",
            Memory(id=f"m{number}", created_at=NOW + timedelta(seconds=number), transcript_segments=segments(david.id)),
        )
    people.delete_person("ana", david.id)
    assert david.id not in stored()
    assert memories.get_memory("ana", "m0").revision == 2


def test_un_naming_withdraws_the_sample_whatever_the_segment_is_called_now(named: Person) -> None:
    """Another transcript is shown since: the same moments have another id."""
    from memories.voice_learning import from_segment

    kept = audio.put("ana", "sample", b"voice", keep_for=None)
    sample = VoiceSample.objects.create(
        uid="ana", person_id=named.id, audio=kept.name, seconds=1, voiced_seconds=1, source="segment",
        status="accepted", memory_id="m1", segment_id="of another transcript", start=1.1, end=1.9,
    )  # fmt: skip
    assert from_segment("ana", "m1", "s0", None, False) == "forgotten"
    sample.refresh_from_db()
    assert sample.status == "accepted"
    assert from_segment("ana", "m1", "s1", None, False) == "forgotten"
    sample.refresh_from_db()
    assert sample.status == "removed"


@pytest.mark.parametrize(
    ("segment_id", "ids", "keep", "removed"),
    [
        ("s1", ["s0", "s1"], None, True),
        ("s1", ["s0"], None, False),
        ("of another transcript", ["s0", "s1"], None, True),
        ("s1", ["s1"], "the person", False),
        ("s1", ["s1"], "somebody else", True),
        ("of another transcript", ["s1"], "somebody else", False),
    ],
)
def test_many_segments_that_are_named_otherwise_forget_what_they_taught(
    named: Person, segment_id: str, ids: list[str], keep: str | None, removed: bool
) -> None:
    from memories.voice_learning import forget_segments

    kept = audio.put("ana", "sample", b"voice", keep_for=None)
    sample = VoiceSample.objects.create(
        uid="ana", person_id=named.id, audio=kept.name, seconds=1, voiced_seconds=1, source="segment",
        status="accepted", memory_id="m1", segment_id=segment_id, start=1.1, end=1.9,
    )  # fmt: skip
    assert forget_segments("ana", "m1", ids, named.id if keep == "the person" else keep) == int(removed)
    sample.refresh_from_db()
    assert sample.status == ("removed" if removed else "accepted")
