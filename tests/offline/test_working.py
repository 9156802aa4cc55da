"""What a worker makes of a batch: conversations as live sessions would have left them, each once, whatever happens."""

from __future__ import annotations

import errno
from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Any

import pytest
from django.conf import settings as configured
from django.utils import timezone

from memories.capture import conversations
from memories.ids import memory_id_for
from memories.mirror.models import MemoryRow
from memories.offline import batches, leases, working
from memories.offline.models import SyncBatch, SyncConversation, SyncFile
from memories.pipeline import subprocess_runner, tasks
from memories.pipeline.models import ClusterBeat, PostProcessingRun, VendorCall
from memories.privacy import erasure
from memories.repository import memories as repository
from memories.repository import processing
from memories.reshaping import plans
from omi.core.errors import ErrorKind, OwnFault, StoreError
from omi.stores import audio
from omi.stores.models import AudioObject
from tests.offline.conftest import UID, App, at, pcm, wav
from tests.pipeline import fakes
from transcription import journal
from transcription.audio.codecs import codec
from transcription.journal import whole
from transcription.ports import SessionInfo

pytestmark = pytest.mark.django_db
Make = Callable[[], Sequence[PostProcessingRun]]
TALK = [("quiet", 2.0), ("talk", 6.0), ("quiet", 2.0)]


def script(*texts: str) -> None:
    """What the vendor hears in the recordings that it is sent, one after another."""
    fakes.SCRIPT["first"] = [fakes.words(text, start=1.2, step=0.4) for text in texts]


def memories() -> list[Any]:
    rows = MemoryRow.objects.filter(uid=UID, deleted=False).order_by("created_at")
    return [repository.get_memory(UID, name) for name in rows.values_list("memory_id", flat=True)]


def texts(memory: Any) -> list[str]:
    return [item.text for item in memory.transcript_segments]


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


def test_opus_packets_become_the_journals_audio_as_they_are(app: App, make: Make) -> None:
    packet = bytes([0x08 << 3]) + b"\x01" * 20  # 10 ms of SILK
    content = b"".join(len(packet).to_bytes(4, "little") + packet for _ in range(1500))
    batch = app.send((content, 0, "opus"))
    working.work(batch)
    assert app.shown(batch)["files"][0]["seconds"] == pytest.approx(15.0)


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


def live(until: float = 100.0, **more: Any) -> Any:
    """A live session of the same device, of ``until`` seconds from noon on, over which the network broke."""
    session = SessionInfo(UID, "live-session", at(0), "en", "pcm16", 16_000, "pendant")
    place = conversations.open_conversation(session)
    said = fakes.words("good morning to you all", start=1.0, step=0.4)
    conversations.store_segments(session, place, [fakes_piece(said)], last_audio=until, heard_at=at(until).timestamp())
    processing.mutate(UID, place.id, lambda found: {
        "audio": {"live-session": {"until": until, "at": at(until).timestamp(), "over": more.get("over", True)}}
    })  # fmt: skip
    return session, place


def fakes_piece(said: Any) -> Any:
    from transcription.ports import Piece
    from transcription.segments import Segment

    text = " ".join(word.text for word in said)
    return Piece(0, [Segment(id="live-0", text=text, start=said[0].start, end=said[-1].end, speaker="SPEAKER_00",
                             stt_provider="deepgram_streaming")])  # fmt: skip


def test_what_was_captured_after_a_live_conversation_broke_off_continues_it(app: App, make: Make) -> None:
    _, place = live()
    script("and we go on offline")
    batch = app.send((pcm(*TALK), 110, "pcm16"))
    working.work(batch)
    make()
    [memory] = memories()
    assert memory.id == memory_id_for(place.id)
    assert texts(memory) == ["good morning to you all", "and we go on offline"]
    assert memory.transcript_segments[1].start == pytest.approx(112.2, abs=0.2)
    assert app.shown(batch)["conversations"][0]["joined"] is True


def test_what_was_heard_live_is_not_taken_again_from_a_device_that_stored_it_too(app: App, make: Make) -> None:
    live(until=10.0)
    batch = app.send((pcm(*TALK), 0, "pcm16"))
    working.work(batch)
    assert app.states(batch) == ["heard"]
    assert make() == []


def test_another_devices_conversation_is_left_alone(app: App, make: Make) -> None:
    live()
    script("of another device")
    working.work(app.send((pcm(*TALK), 110, "pcm16"), device="watch"))
    make()
    assert [texts(memory) for memory in memories()] == [["of another device"]]


def test_a_conversation_that_is_open_now_is_made_when_it_ends(app: App, make: Make, settings: Any) -> None:
    settings.OMI_GAP_SECONDS = 10**9  # whoever was heard at noon is heard now
    session, place = live(over=False)
    script("and we go on offline")
    batch = app.send((pcm(*TALK), 110, "pcm16"))
    working.work(batch)
    assert make() == []
    assert app.shown(batch)["conversations"][0]["state"] == "goes_on"
    conversations.finish_conversation(session, place, reason="finish", accounting=None, keep=False)
    make()
    assert texts(memories()[0]) == ["good morning to you all", "and we go on offline"]


def test_a_live_session_that_returns_goes_on_with_its_own_conversation(app: App, make: Make) -> None:
    """What was captured yesterday is not the device's newest conversation, though it came last."""
    _, place = live()
    script("yesterday")
    working.work(app.send((pcm(*TALK), -86_400, "pcm16")))
    later = SessionInfo(UID, "second-session", at(130), "en", "pcm16", 16_000, "pendant")
    resumed = conversations.resume_conversation(later)
    assert resumed is not None
    assert (resumed.id, resumed.offset) == (place.id, 130.0)


@pytest.mark.parametrize(
    ("content", "kind", "problem"),
    [(b"no recording at all" * 50, "file", "not_audio"), (b"\xff" * 400, "opus", "broken")],
    ids=["no recording", "no packets"],
)
def test_a_file_that_cannot_be_read_is_refused_and_the_others_go_on(
    app: App, make: Make, content: bytes, kind: str, problem: str
) -> None:
    script("one")
    batch = app.send((content, 0, kind), (pcm(*TALK), 60, "pcm16"))
    assert working.work(batch) == "done"
    make()
    shown = app.shown(batch)["files"]
    assert [(item["state"], item["problem"]) for item in shown] == [("refused", problem), ("placed", None)]
    assert len(memories()) == 1


def test_a_file_that_is_not_the_one_that_was_announced_is_refused(app: App, make: Make) -> None:
    content = pcm(*TALK)
    batch = app.send((content, 0, "pcm16"))
    SyncFile.objects.update(sha256="0" * 64)
    working.work(batch)
    assert [(item["state"], item["problem"]) for item in app.shown(batch)["files"]] == [("refused", "checksum")]


def test_a_file_that_takes_too_long_to_be_listened_to_holds_up_no_other(
    app: App, make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    script("one")
    real = subprocess_runner.call

    def slow(function: str, arguments: dict[str, Any], *, timeout: float) -> Any:
        if function.endswith(".speech"):
            monkeypatch.setattr(subprocess_runner, "call", real)
            raise OwnFault("the work took too long", code=subprocess_runner.TOO_LONG)
        return real(function, arguments, timeout=timeout)

    monkeypatch.setattr(subprocess_runner, "call", slow)
    batch = app.send((pcm(*TALK, seed=1), 0, "pcm16"), (pcm(*TALK, seed=2), 60, "pcm16"))
    assert working.work(batch) == "done"
    assert [(item["state"], item["problem"]) for item in app.shown(batch)["files"]] == [
        ("refused", "took_too_long"), ("placed", None),
    ]  # fmt: skip


def test_quiet_is_silent(app: App, make: Make) -> None:
    batch = app.send((pcm(("quiet", 12.0)), 0, "pcm16"))
    working.work(batch)
    assert (app.states(batch), make()) == (["silent"], [])


class Killed(BaseException):
    pass


def test_a_memory_that_a_batch_will_go_on_with_is_not_merged_or_split_before(
    app: App, make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its words would come to a memory that is hidden."""
    script("good morning", "and we go on")
    working.work(app.send((pcm(*TALK, seed=1), 0, "pcm16")))
    make()
    [memory] = memories()
    batch = app.send((pcm(*TALK, seed=2), 30, "pcm16"))

    def full(*_: Any) -> None:
        raise OSError("no space left")

    with monkeypatch.context() as patched:
        patched.setattr(working._Work, "_store", full)
        assert working.work(batch) == "waits"
    with pytest.raises(plans.NotPossible) as refused:
        plans.check(UID, [memory])
    assert refused.value.code == "going_on"
    SyncBatch.objects.update(due_at=timezone.now())
    assert working.work(batch) == "done"
    make()
    [memory] = memories()
    assert texts(memory) == ["good morning", "and we go on"]
    plans.check(UID, [memory])


@pytest.mark.parametrize("where", ["_look_at", "_place", "_write", "_store", "_settle", "ask", "store", "hand_over"])
def test_killed_anywhere_the_next_worker_goes_on_and_nothing_is_done_twice(
    app: App, make: Make, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    """Each killed once, behind what it does: its effect is there, and nobody was told."""
    script("one", "two")
    batch = app.send((pcm(*TALK, seed=1), 0, "pcm16"), (pcm(*TALK, seed=2), 1000, "pcm16"))
    owner: Any = {"ask": working.offline, "store": working.offline, "hand_over": working.handing}.get(
        where, working._Work
    )
    real = getattr(owner, where)
    killed = []

    def once(*args: Any, **kwargs: Any) -> Any:
        result = real(*args, **kwargs)
        if not killed:
            killed.append(True)
            raise Killed
        return result

    monkeypatch.setattr(owner, where, once)
    with pytest.raises(Killed):
        working.work(batch)
    assert working.work(batch) == "not_claimed"  # it may be at work
    SyncBatch.objects.update(until=timezone.now() - timedelta(seconds=1))
    assert working.work(batch) == "done"
    make()
    assert [texts(memory) for memory in memories()] == [["one"], ["two"]]
    assert VendorCall.objects.filter(operation="transcribe").count() == 2
    assert len(list(journal.sessions(UID))) == 2


def test_a_worker_that_wakes_up_late_writes_nothing(app: App, monkeypatch: pytest.MonkeyPatch) -> None:
    batch = app.send((pcm(*TALK), 0, "pcm16"))
    real = working._Work._place

    def overtaken(self: Any) -> None:
        SyncBatch.objects.update(until=timezone.now() - timedelta(seconds=1))
        assert leases.Turn.take(batch) is not None
        real(self)

    monkeypatch.setattr(working._Work, "_place", overtaken)
    assert working.work(batch) == "lost"
    assert not SyncConversation.objects.exists()


def test_a_batch_that_its_workers_die_of_is_given_up(app: App) -> None:
    batch = app.send((pcm(*TALK), 0, "pcm16"))
    SyncBatch.objects.update(tries=working.MOST_TRIES)
    assert working.work(batch) == "gave_up"
    assert app.shown(batch)["state"] == "failed"
    assert not AudioObject.objects.filter(deleted_at=None).exists()


def test_a_store_that_is_away_delays_the_batch_and_costs_it_nothing(
    app: App, make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    script("one")
    batch = app.send((pcm(*TALK), 0, "pcm16"))

    def away(*_: Any, **__: Any) -> Any:
        raise StoreError("audio storage", "out of reach", kind=ErrorKind.TRANSIENT, code="timeout")

    with monkeypatch.context() as patch:
        patch.setattr(audio, "open", away)
        assert working.work(batch) == "waits"
    assert working.work(batch) == "not_claimed"
    SyncBatch.objects.update(due_at=timezone.now())
    assert working.tick() == 1
    assert working.work(batch) == "done"
    assert SyncBatch.objects.get().tries == 1
    make()
    assert len(memories()) == 1


def test_while_it_works_the_turn_is_kept_and_the_cluster_is_not_taken_for_one_that_hangs(
    app: App, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OMI_CLUSTER_ID", "here")
    monkeypatch.setattr(tasks, "_last_sign", 0.0)
    turn = leases.Turn.take(app.send((pcm(*TALK), 0, "pcm16")))
    assert turn is not None
    SyncBatch.objects.update(until=timezone.now())
    assert turn.renew()
    assert SyncBatch.objects.get().until > timezone.now()
    assert ClusterBeat.objects.filter(name="here").exists()
    SyncBatch.objects.update(claim="another")
    assert not turn.renew()


def test_what_was_heard_live_is_known_however_many_conversations_came_since(app: App, make: Make) -> None:
    for number in range(45):
        session = SessionInfo(UID, f"s{number}", at(number * 1000), "en", "pcm16", 16_000, "pendant")
        place = conversations.open_conversation(session)
        audio_of = {session.session_id: {"until": 12.0, "at": at(number * 1000 + 12).timestamp(), "over": True}}
        processing.update(UID, place.id, {"audio": audio_of, "last_audio": 12.0})
    batch = app.send((pcm(*TALK, seed=1), 0, "pcm16"), (pcm(*TALK, seed=2), 44_500, "pcm16"))
    working.work(batch)
    assert app.states(batch) == ["heard", "placed"]


def test_a_user_whose_journals_fill_their_share_of_the_disk_waits_and_loses_nothing(
    app: App, make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    script("one")
    batch = app.send((pcm(*TALK), 0, "pcm16"))

    def full(uid: str) -> None:
        raise OSError(errno.EDQUOT, "the user's journals fill their share of the disk")

    with monkeypatch.context() as patch:
        patch.setattr(whole.QUOTA, "require", full)
        assert working.work(batch) == "waits"
    assert list(journal.sessions(UID)) == []
    SyncBatch.objects.update(due_at=timezone.now())
    assert working.work(batch) == "done"
    make()
    assert [texts(memory) for memory in memories()] == [["one"]]


def test_two_batches_of_one_user_are_worked_on_one_after_the_other(app: App) -> None:
    first = app.send((pcm(*TALK, seed=1), 0, "pcm16"))
    second = app.send((pcm(*TALK, seed=2), 5, "pcm16"))
    assert leases.Turn.take(first) is not None
    assert working.work(second) == "not_claimed"


def test_past_the_days_budget_the_rest_waits_until_tomorrow(app: App, make: Make, settings: Any) -> None:
    settings.OMI_RUNS_PER_DAY = 1
    script("one", "two")
    batch = app.send((pcm(*TALK, seed=1), 0, "pcm16"), (pcm(*TALK, seed=2), 1000, "pcm16"))
    assert working.work(batch) == "waits"
    make()
    assert len(memories()) == 1
    assert [item["state"] for item in app.shown(batch)["conversations"]] == ["made", "waiting"]


def test_what_came_of_a_batch_that_was_never_finished_is_worked_on_when_its_time_is_over(app: App, make: Make) -> None:
    script("one")
    content, missing = pcm(*TALK, seed=1), pcm(*TALK, seed=2)
    from tests.offline.conftest import told

    batch = app.announce(told(content, 0), told(missing, 60))
    app.piece(batch["files"][0]["upload"], content)
    app.piece(batch["files"][1]["upload"], missing[:1000])
    SyncBatch.objects.update(expires_at=timezone.now() - timedelta(seconds=1))
    batches.expire()
    assert working.work(batch["id"]) == "done"
    assert app.states(batch["id"]) == ["placed", "missing"]
    assert not AudioObject.objects.filter(purpose="sync", deleted_at=None).exists()


def test_an_erased_account_keeps_nothing_of_a_batch_that_is_being_worked_on(
    app: App, monkeypatch: pytest.MonkeyPatch
) -> None:
    batch = app.send((pcm(*TALK), 0, "pcm16"))
    real = whole.write

    def erased_meanwhile(*args: Any, **kwargs: Any) -> Any:
        erasure.erase_user(UID)
        return real(*args, **kwargs)

    monkeypatch.setattr(whole, "write", erased_meanwhile)
    assert working.work(batch) == "erased"
    assert {name: left for name, left in erasure.verify_user_erased(UID).items() if left} == {}


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
    assert (write(dies()).folder, configured.OMI_DATA_DIR in entry.folder.parents) == (entry.folder, True)
    journal.forget_user(UID)
