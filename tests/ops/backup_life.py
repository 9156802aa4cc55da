"""Run in a process of its own on a data folder: ``live`` puts somebody in every store, ``look`` prints what is there,
``erase UID MEMORY`` erases a user and a memory of somebody else."""

from __future__ import annotations

import hashlib
import json
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import django

from tests.support import heard_once

django.setup()
heard_once.in_this_process()

from demo.material import RECORDINGS, pcm, wav  # noqa: E402
from memories.mirror import compare  # noqa: E402
from memories.passages import whole  # noqa: E402
from memories.privacy import erasure  # noqa: E402
from memories.repository import memories, transcripts  # noqa: E402
from memories.search.query import search  # noqa: E402
from memories.shapes import Memory  # noqa: E402
from memories.user_events import log  # noqa: E402
from omi.accounts import users  # noqa: E402
from omi.core import workspace  # noqa: E402
from omi.stores import audio  # noqa: E402
from omi.stores.models import AudioObject  # noqa: E402
from speakers import enrolment, people  # noqa: E402
from speakers.models import VoiceEmbedding  # noqa: E402
from transcription import journal  # noqa: E402
from transcription.audio.codecs import codec  # noqa: E402
from transcription.ports import SessionInfo  # noqa: E402
from transcription.segments import Segment  # noqa: E402

NOW = datetime(2026, 11, 22, 15, 30, tzinfo=UTC)


def live() -> None:
    """Ana with two memories and her voice, Ben with one."""
    for uid, identity, words in (
        ("ana", "harbour", "We walk along the harbour"), ("ana", "regret", "Something to regret"),
        ("ben", "bakery", "The bakery opens at six"),
    ):  # fmt: skip
        users.update_user(uid, name=uid.title(), store_recording_permission=True)
        segment = Segment(id="s", text=words, start=0, end=1)
        made = memories.create_memory(
            uid, Memory(id=identity, created_at=NOW, structured={"title": words}, transcript_segments=[segment])
        )
        transcripts.save_transcript(uid, identity, "deepgram_streaming", [segment])
        whole.write(uid, [made])
        audio.put(uid, "recording", f"voice of {identity}".encode(), memory_id=identity, keep_for=None)
        log.append(uid, log.MEMORY_CREATED, {"memory_id": identity})
        chosen = codec("pcm16")
        session = SessionInfo(uid, f"session-{identity}", datetime.now(UTC), "en", "pcm16", chosen.sample_rate)
        written = journal.Journal.open(session, chosen, watch=True)
        written.append([identity.encode() * 400])
        written.abandon()
    people.create_person("ana", "Cleo")
    with workspace.temporary() as folder:
        enrolment.enrol_user("ana", wav(Path(folder) / "profile.wav", pcm(RECORDINGS / "enrol_user.flac")))


def look() -> dict[str, Any]:
    """What the code finds, by user."""
    seen: dict[str, Any] = {}
    for uid in compare.users():
        seen[uid] = {
            "memories": {one.id: one.transcript_segments[0].text for one in memories.list_memories(uid).memories},
            "search": [hit.memory.id for hit in search(uid, "harbour")] if uid == "ana" else [],
            "events": [str(event) for event in log.after(uid, 0)],
            "audio": sorted(
                _sum(audio.open(row).read()) for row in AudioObject.objects.filter(uid=uid, deleted_at=None)
            ),
            "voices": [
                _sum(bytes(one.vector)) for one in VoiceEmbedding.objects.filter(sample__uid=uid).order_by("pk")
            ],
            "people": [one.name for one in people.list_people(uid)],
            "journals": {entry.session_id: _sum(b"".join(journal.read_pcm(entry))) for entry in journal.sessions(uid)},
            "differences": [item.kind for item in compare.check_user(uid)],
        }
    return seen


def _sum(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


if __name__ == "__main__":
    if sys.argv[1] == "live":
        live()
    elif sys.argv[1] == "erase":
        erasure.erase_user(sys.argv[2])
        erasure.erase_memory("ana", sys.argv[3], now=True)
    print(json.dumps(look()))
