"""Several hosts, each with a disk of its own, on one database and one audio store."""

from __future__ import annotations

import os
import time
import wave
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.utils import timezone

from memories.mirror.models import ErasureReceipt
from memories.privacy import erasure
from omi.core import clock, providers
from omi.core.errors import StoreError
from omi.stores import audio
from omi.stores.models import AudioObject
from tests.transcription.fakes import MemorySink
from transcription import journal
from transcription.audio.codecs import codec
from transcription.hosts import handover, heartbeats, host_requests
from transcription.hosts.models import Host, HostJournal, HostRequest
from transcription.journal import survey, whole
from transcription.journal.store import FINISHED
from transcription.ports import HOST_LOST, SessionInfo
from transcription.session import host_upkeep

pytestmark = pytest.mark.django_db(transaction=True)
UID, BEGAN = "anna", datetime(2026, 11, 1, 12, tzinfo=UTC)
SINK = MemorySink()
On = Callable[[str], None]


def shared_sink() -> MemorySink:
    return SINK


@dataclass
class Talk:
    """A conversation of one session, as the recording needs it."""

    id: str = "c0"
    session_ids: list[str] = field(default_factory=lambda: ["s1"])
    timer_start: float = BEGAN.timestamp()


@pytest.fixture
def on(settings: Any, tmp_path: Path) -> On:
    """``on("a")``: what follows happens on host a."""
    settings.OMI_HOSTS = 3
    settings.PROVIDERS = {**settings.PROVIDERS, "session_sink": {"BACKEND": f"{__name__}.shared_sink"}}
    providers.forget()
    SINK.__init__()  # type: ignore[misc]

    def there(name: str) -> None:
        settings.OMI_DATA_DIR, settings.OMI_HOST_ID = tmp_path / name, name
        settings.OMI_DATA_DIR.mkdir(exist_ok=True)

    for name in ("a", "b"):
        there(name)
        heartbeats.beat()
    return there


def spoken(session: str = "s1", seconds: float = 2.0, *, decided: float = 0.0, finished: bool = True) -> journal.Entry:
    """A session's journal on the disk of this host."""
    info = SessionInfo(UID, session, BEGAN, "en", "pcm16", 16000)
    written = journal.Journal.open(info, codec("pcm16", 16000), watch=True)
    assert written.append([b"\1\0" * round(16000 * seconds)])
    written.entry.meta.conversation, written.entry.meta.conversation_started_at = "c0", BEGAN.isoformat()
    if finished:
        written.entry.meta.state = FINISHED
    written.entry.save()
    written.entry.save_progress(decided, 0.0)
    written.abandon()
    return written.entry


def seconds_of(wav: Path | None) -> float:
    assert wav is not None
    with wave.open(str(wav)) as source:
        return source.getnframes() / 16000


def test_an_ended_session_is_handed_over_and_read_on_another_host(on: On, tmp_path: Path) -> None:
    on("a")
    entry = spoken()
    handover.closed(entry)
    on("b")
    with pytest.raises(StoreError, match="host a") as waits:  # a memory without the audio would be made otherwise
        handover.recording_for(UID, Talk(), tmp_path / "early.wav")
    assert waits.value.retryable
    on("a")
    assert handover.hand_over(entry)
    assert not entry.folder.exists()
    on("b")
    assert seconds_of(handover.recording_for(UID, Talk(), tmp_path / "out.wav")) == pytest.approx(2.0)
    assert not (tmp_path / "sessions").exists()  # no copy is left beside it
    assert handover.release("s1", None, UID)
    assert not AudioObject.objects.filter(deleted_at__isnull=True).exists()
    assert not HostJournal.objects.exists()


def test_on_one_host_journals_stay_on_its_disk(on: On, settings: Any, tmp_path: Path) -> None:
    settings.OMI_HOSTS = 1
    on("a")
    entry = spoken()
    handover.closed(entry)
    assert not handover.hand_over(entry)
    assert host_upkeep.tick() == {}
    assert seconds_of(handover.recording_for(UID, Talk(), tmp_path / "out.wav")) == pytest.approx(2.0)
    assert not HostJournal.objects.exists()


def test_the_audio_store_may_be_away_for_a_while(on: On, monkeypatch: pytest.MonkeyPatch) -> None:
    on("a")
    spoken()

    def away(*_: Any, **__: Any) -> Any:
        raise ConnectionError("away")

    with monkeypatch.context() as patch:
        patch.setattr(audio.storage(), "save", away)
        assert host_upkeep.tick()["handed_over"] == 0
        assert HostJournal.objects.get().state == "closed"
    assert host_upkeep.tick()["handed_over"] == 1
    assert HostJournal.objects.get().state == "handed"


def test_the_survey_tells_how_long_an_ended_journal_has_waited_for_the_audio_store(on: On, settings: Any) -> None:
    on("a")
    hour_ago = time.time() - 3600
    for entry in (spoken("s1"), spoken("s2", finished=False)):
        os.utime(entry.audio, (hour_ago, hour_ago))
    spoken("s3")
    seen = survey.look()
    assert seen.unsent == pytest.approx(3600, abs=600)
    assert seen.count == {"finished": 2, "open": 1}
    assert host_upkeep.tick()["handed_over"] == 3, "the open one is recovered and goes, too"
    assert survey.look().unsent == 0.0
    spoken("s4")
    settings.OMI_HOSTS = 1  # there it stays on the disk, until a run has read it
    assert survey.look().unsent == 0.0


def test_a_process_that_dies_after_the_row_leaves_one_copy(on: On, monkeypatch: pytest.MonkeyPatch) -> None:
    on("a")
    entry = spoken()
    with monkeypatch.context() as patch:
        patch.setattr(journal.Entry, "remove", lambda self: None)  # it died before this
        handover.hand_over(entry)
    assert handover.hand_over(entry)
    assert not entry.folder.exists()
    assert AudioObject.objects.filter(deleted_at__isnull=True).count() == 1


def test_a_host_that_died_recovers_its_sessions_at_its_next_start(on: On) -> None:
    on("a")
    spoken(finished=False, decided=1.0)
    on("b")
    host_upkeep.tick()
    assert not SINK.finished  # nobody else can
    on("a")
    host_upkeep.tick()
    [finished] = SINK.finished
    assert (finished.reason, finished.accounting.received) == ("recovered", pytest.approx(2.0))  # type: ignore[union-attr]
    assert HostJournal.objects.get().state == "handed"


def silent_since(host: str, minutes: float) -> None:
    Host.objects.filter(pk=host).update(seen_at=timezone.now() - timedelta(minutes=minutes))


def test_a_host_that_stays_away_is_lost_and_its_seconds_have_failed(on: On, tmp_path: Path) -> None:
    on("a")
    spoken("s1", 3.0, decided=1.25, finished=False)
    spoken("s2", 1.0)
    heartbeats.follow()
    on("b")
    silent_since("a", 59)
    host_upkeep.tick()
    assert not SINK.finished
    silent_since("a", 61)
    host_upkeep.tick()
    host_upkeep.tick()
    [finished] = SINK.finished  # s2 had told its sink itself
    told = finished.accounting
    assert told is not None
    assert (finished.session.session_id, told.reasons) == ("s1", {HOST_LOST: pytest.approx(1.75)})
    assert told.transcribed + told.silence + told.failed == pytest.approx(told.received) == pytest.approx(3.0)
    assert handover.recording_for(UID, Talk(session_ids=["s1", "s2"]), tmp_path / "out.wav") is None  # nobody waits


def test_a_lost_host_that_returns_gives_everything_back(on: On, tmp_path: Path) -> None:
    on("a")
    spoken("s1", 3.0, decided=1.25, finished=False)
    heartbeats.follow()
    on("b")
    call_command("hosts", lost="a")
    on("a")
    host_upkeep.tick()
    assert [item.reason for item in SINK.finished] == [HOST_LOST, "recovered"]
    assert not Host.objects.filter(lost_at__isnull=False).exists()
    on("b")
    assert seconds_of(handover.recording_for(UID, Talk(), tmp_path / "out.wav")) == pytest.approx(3.0)


def test_only_another_known_host_can_be_declared_lost(on: On) -> None:
    on("b")
    for name in ("b", "nobody"):
        with pytest.raises(CommandError):
            call_command("hosts", lost=name)
    call_command("hosts", lost="a", dry_run=True)
    assert not Host.objects.filter(lost_at__isnull=False).exists()


def test_an_erasure_reaches_every_host_and_its_receipt_waits_for_all(on: On) -> None:
    on("a")
    spoken("s1")
    spoken("s2", finished=False)
    handover.hand_over(journal.find("s1", UID))  # type: ignore[arg-type]
    on("b")
    receipt = erasure.erase_user(UID)
    assert not receipt.complete
    assert receipt.failed == {"hosts": "not confirmed by a"}
    assert not AudioObject.objects.filter(deleted_at__isnull=True).exists()
    left = {}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(host_requests, "ANSWER_SECONDS", 0.1)
        patch.setattr(host_requests.look, "__defaults__", (0.1,))
        left = erasure.verify_user_erased(UID)
    assert left == {"journals on a (no answer)": 1}
    on("a")
    assert journal.remaining(UID) == 1
    host_upkeep.tick()
    assert journal.remaining(UID) == 0
    on("b")
    erasure.finish_pending()
    told = ErasureReceipt.objects.get()
    assert (told.complete, told.erased["hosts"]) == (True, {"a": 1})
    assert not HostJournal.objects.exists()
    assert not HostRequest.objects.exists()


def test_a_lost_host_is_named_and_erases_when_it_returns(on: On) -> None:
    on("a")
    spoken()
    on("b")
    call_command("hosts", lost="a")
    receipt = erasure.erase_user(UID)
    assert (receipt.complete, receipt.erased["hosts"]) == (True, {"lost: a": 1})
    on("a")
    host_upkeep.tick()
    assert journal.remaining(UID) == 0
    assert not AudioObject.objects.filter(deleted_at__isnull=True).exists()


def test_a_journal_of_an_erased_account_is_not_handed_over(on: On) -> None:
    on("a")
    entry = spoken()
    on("b")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(host_requests, "erase", lambda uid: {})  # it has not heard of it yet
        erasure.erase_user(UID)
    on("a")
    assert not handover.hand_over(entry)
    assert not entry.folder.exists()
    assert not AudioObject.objects.filter(deleted_at__isnull=True).exists()


def test_a_journal_erased_on_its_way_does_not_stay_in_the_store(on: On, monkeypatch: pytest.MonkeyPatch) -> None:
    on("a")
    entry = spoken()
    put = audio.put

    def slow(*args: Any, **more: Any) -> AudioObject:
        stored = put(*args, **more)
        host_requests.forget_handed(UID, "s1")  # the memory is erased on another host, and this one is asked
        entry.remove()
        return stored

    monkeypatch.setattr(audio, "put", slow)
    assert not handover.hand_over(entry)
    assert not AudioObject.objects.filter(deleted_at__isnull=True).exists()
    assert not HostJournal.objects.exists()


def test_a_host_that_leaves_in_order_is_not_missed(on: On) -> None:
    on("a")
    spoken()
    host_upkeep.leave()
    assert HostJournal.objects.get().state == "handed"
    assert list(Host.objects.values_list("pk", flat=True)) == ["b"]
    on("b")
    spoken("s2", finished=False)
    writing = journal.find("s2", UID)
    assert writing is not None
    lock = writing.lock()  # a session of another process of this host goes on
    host_upkeep.leave()
    assert list(Host.objects.values_list("pk", flat=True)) == ["b"]
    assert lock is not None
    writing.unlock(lock)


def test_a_clock_that_is_wrong_is_put_right_by_the_databases(settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    settings.OMI_HOSTS = 2
    monkeypatch.setattr(clock, "connection", type("PostgreSQL", (), {"vendor": "postgresql"}))
    monkeypatch.setattr(clock._comparison, "behind", 300.0)
    monkeypatch.setattr(clock._comparison, "fresh", lambda: True)
    assert clock.now() - timezone.now() == pytest.approx(timedelta(seconds=300), abs=timedelta(seconds=1))
    heartbeats.beat()
    assert Host.objects.get().clock_behind == 300.0
    settings.OMI_HOSTS = 1
    assert abs((clock.now() - timezone.now()).total_seconds()) < 1


def test_what_was_captured_offline_is_handed_over_and_heard_on_another_host(on: On, tmp_path: Path) -> None:
    on("a")
    session = SessionInfo(UID, "s1", BEGAN, "en", "pcm16", 16_000)
    entry = whole.write(
        session, codec("pcm16"), [bytes(32_000)] * 3, conversation="c0", conversation_started_at=BEGAN, offset=0.0
    )
    handover.closed(entry)
    assert not handover.is_handed("s1")
    on("b")
    with pytest.raises(StoreError):
        handover.recording_for(UID, Talk(), tmp_path / "early.wav")
    on("a")
    assert handover.hand_over(entry)
    assert handover.is_handed("s1")
    on("b")
    made = handover.recording_for(UID, Talk(), tmp_path / "made.wav")
    assert made is not None
    with wave.open(str(made)) as file:
        assert file.getnframes() == 48_000
