"""The journal that is written of an offline recording."""

from __future__ import annotations

from typing import Any

import pytest
from django.conf import settings

from tests.offline.conftest import UID, Killed, at
from transcription import journal
from transcription.audio.codecs import codec
from transcription.journal import whole
from transcription.ports import SessionInfo

pytestmark = pytest.mark.django_db


def test_a_journal_is_not_seen_before_all_of_it_is_on_the_disk(tmp_path: Any) -> None:
    session = SessionInfo(UID, "offline-1", at(0), "en", "pcm16", 16_000)

    def dies() -> Any:
        yield bytes(32_000)
        assert list(journal.sessions(UID)) == []
        raise Killed

    def write(frames: Any) -> Any:
        return whole.write(
            session, codec("pcm16"), frames, conversation="c-1", conversation_started_at=at(0), offset=0.0
        )

    with pytest.raises(Killed):
        write(dies())
    assert list(journal.sessions(UID)) == []
    entry = write([bytes(200_001)])
    assert b"".join(journal.read_pcm(entry)) == bytes(200_000)
    assert (write(dies()).folder, settings.OMI_DATA_DIR in entry.folder.parents) == (entry.folder, True)
    journal.forget_user(UID)
