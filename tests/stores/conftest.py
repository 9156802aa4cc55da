"""A user with something in every store."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings as django_settings
from django.test import override_settings

from memories.mirror import compare
from memories.passages import whole
from memories.repository import memories, processing, transcripts
from memories.shapes import Memory, ProcessingMemory
from omi.accounts import users
from omi.stores import audio
from omi.stores.documents import documents, path
from transcription.segments import Segment

NOW = datetime(2026, 11, 22, 15, 30, tzinfo=UTC)


@pytest.fixture(autouse=True)
def local_stores(tmp_path: Path, settings: Any) -> Iterator[None]:
    settings.PROVIDERS = {**django_settings.PROVIDERS, "embedder": {"BACKEND": "tests.support.letters.Letters"}}
    chosen = {
        **django_settings.STORAGES["audio"],
        "OPTIONS": {**django_settings.STORAGES["audio"]["OPTIONS"], "location": tmp_path / "audio"},
    }
    settings.OMI_DATA_DIR = tmp_path
    with override_settings(STORAGES={**django_settings.STORAGES, "audio": chosen}):
        yield


@pytest.fixture
def furnish() -> Callable[[str, str], Memory]:
    """Put a user and one memory with everything that hangs on it into every store."""

    def build(uid: str, identity: str) -> Memory:
        users.update_user(uid, name="Ana", store_recording_permission=True)
        processing.create(uid, ProcessingMemory(id=f"p-{identity}", created_at=NOW, memory_id=identity))
        segment = Segment(id="s", text="secret words", start=0, end=1)
        made = memories.create_memory(
            uid,
            Memory(
                id=identity, created_at=NOW, structured={"title": "Secret title"}, transcript_segments=[segment],
                processing_memory_id=f"p-{identity}", photos=[{"base64": "aGk=", "description": "d"}],
            ),
        )  # fmt: skip
        transcripts.save_transcript(uid, identity, "deepgram_streaming", [segment])
        transcripts.save_transcript(uid, identity, "fal_whisperx", [segment], {"n": 1})
        documents().create(f"{path('users', uid, 'memories', identity)}/hume/1", {"start": 0.0, "end": 1.0})
        documents().create(path("users", uid, "people", f"person-{identity}"), {"name": "Ben", "created_at": NOW})
        compare.repair(compare.Difference("row_missing", uid, f"person-{identity}", "people"))
        whole.write(uid, [made])
        for purpose in ("recording", "upload"):
            audio.put(uid, purpose, b"secret voice", memory_id=identity, keep_for=None)
        _event(uid, identity)
        return made

    return build


def _event(uid: str, identity: str) -> None:
    from memories.user_events import log

    log.append(uid, log.MEMORY_CREATED, {"memory_id": identity})
