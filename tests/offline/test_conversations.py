"""What becomes of a batch: the memories of its conversations, each moment of them once."""

from __future__ import annotations

import numpy as np
import pytest

from memories.offline import working
from memories.pipeline.models import VendorCall
from omi.stores.models import AudioObject
from tests.offline.conftest import TALK, UID, App, Make, at, memories, pcm, script, texts
from tests.support.sound import wav
from transcription import journal
from transcription.client import _opus
from transcription.journal.records import RecordFile, packets_of

pytestmark = pytest.mark.django_db


def test_three_files_of_two_conversations_become_two_memories_at_their_time(app: App, make: Make) -> None:
    script("we should book the table for friday", "the dentist moved my appointment")
    batch = app.send(
        (pcm(*TALK, seed=1), 0, "pcm16"), (pcm(*TALK, seed=2), 60, "pcm16"), (wav(pcm(*TALK, seed=3)), 1000, "file")
    )  # fmt: skip
    assert working.work(batch) == "done"
    assert [run.outcome for run in make()] == ["success", "success"]
    first, second = memories()
    assert (texts(first), texts(second)) == (
        ["we should book the table for friday"], ["the dentist moved my appointment"]
    )  # fmt: skip
    assert [item.time_zero for item in (first, second)] == [at(1), at(1001)]
    shown = app.shown(batch)
    assert (shown["state"], [item["state"] for item in shown["files"]]) == ("done", ["placed"] * 3)
    assert [item["memory_ids"] for item in shown["files"]] == [[first.id], [first.id], [second.id]]
    assert [item["state"] for item in shown["conversations"]] == ["made", "made"]
    books = first.accounting.values()
    assert [round(part["received"], 1) for part in books] == [8.0, 8.0]  # a second of quiet on either side
    assert all(part["failed"] == 0.0 for part in books)


def test_both_stretches_of_a_conversation_are_sent_to_the_vendor_once(app: App, make: Make) -> None:
    script("one")
    batch = app.send((pcm(*TALK, seed=1), 0, "pcm16"), (pcm(*TALK, seed=2), 60, "pcm16"))
    working.work(batch)
    make()
    [call] = VendorCall.objects.filter(operation="transcribe")
    assert call.audio_seconds == pytest.approx(16.0, abs=0.1)  # two of eight seconds


def test_the_audio_goes_when_the_batch_is_done_and_no_copy_of_it_is_left(app: App, make: Make) -> None:
    script("one")
    batch = app.send((pcm(*TALK), 0, "pcm16"))
    assert AudioObject.objects.filter(purpose="sync", deleted_at=None).count() == 1
    working.work(batch)
    make()
    assert not AudioObject.objects.filter(purpose="sync", deleted_at=None).exists()


def test_opus_packets_become_the_journals_audio_as_they_are(app: App) -> None:
    packets = _opus(np.frombuffer(pcm(("talk", 12.0)), "<i2"), 160)
    content = b"".join(len(packet).to_bytes(4, "little") + packet for packet in packets)
    batch = app.send((content, 0, "opus"))
    working.work(batch)
    assert app.shown(batch)["files"][0]["seconds"] == pytest.approx(len(packets) / 100)
    [entry] = journal.sessions(UID)
    with entry.audio.open("rb") as file:
        records = RecordFile(file.fileno(), bytes.fromhex(entry.meta.marker))
        kept = [packet for record in iter(records.next, None) for packet in packets_of(record.payload)]
    assert (entry.meta.codec, kept) == ("opus", packets)


def test_the_same_files_again_are_told_at_once_and_make_nothing(app: App, make: Make) -> None:
    script("one", "two")
    content = pcm(*TALK)
    working.work(app.send((content, 0, "pcm16")))
    make()
    again = app.send((content, 0, "pcm16"), (pcm(*TALK, seed=9), 5000, "pcm16"))
    assert app.states(again) == ["duplicate", "whole"]
    working.work(again)
    make()
    assert (len(memories()), app.states(again)) == (2, ["duplicate", "placed"])


def test_the_same_recording_in_another_file_is_heard_already(app: App, make: Make) -> None:
    script("one", "two")
    content = pcm(*TALK)
    working.work(app.send((content, 0, "pcm16")))
    make()
    again = app.send((wav(content), 0, "file"))  # other bytes, the same moment
    assert working.work(again) == "done"
    assert make() == []
    assert (app.states(again), len(memories())) == (["heard"], 1)
