"""The repository, the mirror and erasure on the cloud's side: Firestore and GCS emulators, simulated Pinecone."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from django.conf import settings as django_settings
from django.core.files.base import ContentFile
from django.test import override_settings

from memories.mirror import compare
from memories.models import MemoryRow
from memories.passages import whole
from memories.privacy import erasure, export
from memories.repository import memories, transcripts
from memories.reshaping import asking, working
from memories.search import word_index
from memories.shapes import Memory
from omi.accounts import users
from omi.stores import audio
from omi.stores.models import AudioObject
from omi.stores.vectors import namespace, vectors
from omi.stores.vectors.base import Vector
from tests.support.sound import tone
from transcription.segments import Segment

pytestmark = [pytest.mark.django_db, pytest.mark.process]


@pytest.fixture
def cloud(firestore_project: str, gcs_url: str, settings: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    from demo.vendors.server import VendorServer

    monkeypatch.setenv("STORAGE_EMULATOR_HOST", gcs_url)
    settings.GOOGLE_CLOUD_PROJECT = firestore_project
    bucket = {
        "BACKEND": "omi.stores.gcs.AudioBucket",
        "OPTIONS": {"bucket_name": "omi-audio", "project_id": firestore_project},
    }
    with VendorServer(vendors=("pinecone",), pinecone_delay=0.0) as server:
        settings.PINECONE_INDEX_HOST = server.urls["PINECONE_INDEX_HOST"]
        settings.PINECONE_API_KEY = server.urls.get("PINECONE_API_KEY", "sim-key")
        settings.PROVIDERS = {
            **django_settings.PROVIDERS,
            "documents": {"BACKEND": "omi.stores.documents.firestore.FirestoreDocuments"},
            "vectors": {"BACKEND": "omi.stores.vectors.pinecone.PineconeVectors"},
            "embedder": {"BACKEND": "tests.support.letters.Letters", "OPTIONS": {"dimension": 3}},
        }
        with override_settings(STORAGES={**django_settings.STORAGES, "audio": bucket}):
            yield


@pytest.mark.usefixtures("cloud")
def test_a_users_life_from_the_first_memory_to_the_last_trace() -> None:
    uid = f"user-{uuid.uuid4().hex}"
    long = [Segment(id=f"s{n}", text="word " * 40, start=n, end=n + 1) for n in range(5000)]
    for number in range(3):
        made = Memory(
            id=f"m{number}",
            created_at=datetime(2026, 11, 22, 15, number, tzinfo=UTC),
            structured={"title": f"Title {number}"},
            transcript_segments=long if number == 1 else long[:2],
        )
        whole.write(uid, [memories.create_memory(uid, made)])
        transcripts.save_transcript(uid, made.id, "fal_whisperx", made.transcript_segments)
        audio.put(uid, "recording", b"voice", memory_id=made.id, keep_for=None)
    page = memories.list_memories(uid, limit=2)
    assert [item.id for item in page.memories] == ["m2", "m1"]
    assert page.memories[1].transcript_segments == long
    assert [item.id for item in memories.list_memories(uid, limit=2, cursor=page.next_cursor).memories] == ["m0"]
    assert memories.update_memory(uid, "m1", {"structured.title": "New"}).revision == 2
    assert len(transcripts.list_transcripts(uid, "m1")["fal_whisperx"].segments) == 5000
    assert list(compare.check_user(uid)) == []
    assert [item for item in compare.check_sample(1000) if item.uid == uid] == []
    MemoryRow.objects.filter(uid=uid).delete()
    assert compare.rebuild_user(uid) == 3
    assert {hit.memory_id for hit in word_index.find(uid, "word")} == {"m0", "m1", "m2"}

    stray = f"{uuid.uuid4().hex}.wav"
    audio.storage().save(stray, ContentFile(b"voice"))
    vectors().upsert([Vector("gone-m", [1.0, 2.0, 3.0], {"uid": "gone", "memory_id": "m"})], namespace=namespace())
    found = {item.identity for item in compare.check_strays()}
    assert {stray, "gone-m"} <= found  # other tests of this session may have left bytes in the bucket
    assert not any(name in found for name in audio.storage().listdir("")[1] if AudioObject.objects.filter(name=name))
    assert export.export_user(uid).read(2) == b"PK"

    receipt = erasure.erase_memory(uid, "m1")
    assert receipt.complete, receipt.failed
    assert [item.id for item in memories.list_memories(uid).memories] == ["m2", "m0"]
    assert list(compare.check_user(uid)) == []

    receipt = erasure.erase_user(uid)
    assert receipt.complete, receipt.failed
    assert erasure.verify_user_erased(uid) == {}


@pytest.mark.usefixtures("cloud")
def test_memories_become_one_and_are_two_again() -> None:
    """In Firestore one transaction over three documents and their chunks; the rows follow behind it."""
    uid = f"user-{uuid.uuid4().hex}"
    users.update_user(uid, store_recording_permission=True)
    for number in range(2):
        said = [Segment(id=f"{number}-{n}", text="word " * 40, start=n / 20, end=n / 20 + 1) for n in range(3000)]
        made = Memory(
            id=f"m{number}",
            created_at=datetime(2026, 11, 22, 15, 5 * number, tzinfo=UTC),
            structured={"title": f"Title {number}"},
            transcript_segments=said,
        )
        whole.write(uid, [memories.create_memory(uid, made)])
        audio.put(uid, "recording", tone(1), memory_id=made.id, keep_for=None)
    before = [memories.get_memory(uid, name).model_dump(exclude={"revision"}) for name in ("m0", "m1")]

    row = asking.merge(uid, ["m0", "m1"], fence=lambda: None)
    working.work(row.pk)
    row.refresh_from_db()
    assert (row.state, row.recording, row.code) == ("done", "kept", "")
    (merged,) = memories.list_memories(uid).memories
    assert len(merged.transcript_segments) == 6000
    assert [item for item in compare.check_user(uid) if item.kind not in ("words_missing", "words_stale")] == []

    asking.undo(uid, row.pk, fence=lambda: None)
    working.work(row.pk)
    row.refresh_from_db()
    assert (row.state, row.code) == ("undone", "")
    assert [memories.get_memory(uid, name).model_dump(exclude={"revision"}) for name in ("m0", "m1")] == before
    assert erasure.erase_user(uid).complete
    assert erasure.verify_user_erased(uid) == {}
