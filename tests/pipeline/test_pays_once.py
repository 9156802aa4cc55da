"""What was paid for is not paid for again: across runs, across parts of one request, across a crash."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from demo.vendors.server import VendorServer
from memories.pipeline import runner, service
from memories.pipeline.engine import fault_injection
from memories.pipeline.models import PostProcessingRun, RunStep, StepArtifact, VendorCall
from memories.pipeline.vendor_calls import circuit_breaker, partial_results
from memories.repository import memories as repository
from memories.repository import transcripts
from memories.shapes import Memory, Structured
from omi.core import providers
from omi.core.errors import Outcome
from omi.stores import audio
from tests.pipeline import fakes
from tests.pipeline.conftest import MEMORY, UID
from tests.support.vendor_fixtures import Talk, talk, vendor_server, vendors
from transcription.segments import Segment

__all__ = ["talk", "vendor_server", "vendors"]
pytestmark = pytest.mark.django_db

Drive = Callable[..., PostProcessingRun]
EMOTIONS = {"emotional_feedback": True}


def vector() -> list[float]:
    return list(providers.one("vectors").fetch([f"{UID}-{MEMORY}"], namespace="ns1")[f"{UID}-{MEMORY}"].values)


def test_the_same_text_is_embedded_once_whichever_run_asks(
    memory: Memory, upload: Any, heard: Any, drive: Drive
) -> None:
    same = Structured(title="The table on Friday", overview="They book a table.")
    fakes.SCRIPT["structurer"] = [same, same, same.model_copy(update={"overview": "They book two tables."})]
    fakes.SCRIPT["first"] = [fakes.words(fakes.TEXT + " then")]
    first = drive(service.start("postprocess", UID, MEMORY, actor="test", audio=upload()))
    providers.one("vectors").delete([f"{UID}-{MEMORY}"], namespace="ns1")
    second = drive(service.start("reprocess", UID, MEMORY, actor="test"))
    assert fakes.count("structurer", "structure") == 2, "who asks for another title gets one"
    assert fakes.count("embedder", "embed") == 1
    assert RunStep.objects.get(run=second, name="index").reused_from == first.steps.get(name="index")
    assert any(vector()), "the kept vector is written again"
    assert not VendorCall.objects.filter(operation="embed", duplicate=True).exists()
    drive(service.start("reprocess", UID, MEMORY, actor="test"))
    assert fakes.count("embedder", "embed") == 2, "another text has another vector"
    assert not VendorCall.objects.filter(operation="embed", duplicate=True).exists()


def test_another_embedding_model_makes_another_vector(
    memory: Memory, drive: Drive, monkeypatch: pytest.MonkeyPatch
) -> None:
    same = Structured(title="The table on Friday", overview="They book a table.")
    fakes.SCRIPT["structurer"] = [same, same]
    drive(service.start("reprocess", UID, MEMORY, actor="test"))
    monkeypatch.setattr(fakes.FakeEmbedder, "model_name", "another-model")
    drive(service.start("reprocess", UID, MEMORY, actor="test"))
    assert fakes.count("embedder", "embed") == 2


def failed_after_transcription(upload: Any, drive: Drive) -> PostProcessingRun:
    fakes.SCRIPT["first"] = [fakes.words(fakes.TEXT + " then")]
    fakes.SCRIPT["structurer"] = [fakes.permanent("structurer", Outcome.CONFIG_ERROR)]
    run = drive(service.start("postprocess", UID, MEMORY, actor="test", audio=upload()))
    assert not run.succeeded
    return run


def test_the_same_recording_uploaded_again_after_a_failure_is_not_transcribed_again(
    memory: Memory, upload: Any, heard: Any, drive: Drive
) -> None:
    """The app knows no retry: it uploads again. The paid transcript was thrown away."""
    failed = failed_after_transcription(upload, drive)
    again = drive(service.start("postprocess", UID, MEMORY, actor="test", audio=upload()))
    assert (again.pk != failed.pk, again.follows, again.outcome) == (True, None, "success")
    assert fakes.count("first", "submit") == 1
    assert VendorCall.objects.filter(operation="transcribe").count() == 1
    reused = again.steps.exclude(reused_from=None).values_list("name", flat=True)
    assert list(reused) == ["prepare_audio", "transcribe", "assess"]


def test_prepared_audio_that_was_deleted_is_prepared_again_from_the_new_upload(
    memory: Memory, upload: Any, heard: Any, drive: Drive
) -> None:
    failed = failed_after_transcription(upload, drive)
    for kept in audio.for_memory(UID, MEMORY):
        audio.delete(kept)
    again = drive(service.start("postprocess", UID, MEMORY, actor="test", audio=upload()))
    assert again.outcome == "success"
    assert again.steps.get(name="prepare_audio").reused_from is None
    assert again.steps.get(name="transcribe").reused_from == failed.steps.get(name="transcribe")
    assert fakes.count("first", "submit") == 1


def test_another_recording_takes_over_nothing(memory: Memory, upload: Any, heard: Any, drive: Drive) -> None:
    failed_after_transcription(upload, drive)
    drive(service.start("postprocess", UID, MEMORY, actor="test", audio=upload(seed=2)))
    assert fakes.count("first", "submit") == 2


# --- parts of one request ---


class Killed(BaseException):
    """The worker dies here."""


def long_talk(settings: Any) -> None:
    """A transcript that the language model can only read in parts, and the real adapter to ask it."""
    settings.PROVIDERS = settings.PROVIDERS | {
        "structurer": {
            "BACKEND": "memories.structuring.openai.OpenAIStructurer", "OPTIONS": {"context_tokens": 1400}
        },
    }  # fmt: skip
    said = "We will repair the kitchen of the school before the end of the month and then we will meet again in May"
    segments = [
        Segment(id=f"s{at}", text=f"{said} {at}.", speaker=f"SPEAKER_0{at % 2}", start=at, end=at + 1)
        for at in range(60)
    ]
    repository.update_memory(UID, MEMORY, {"transcript_segments": segments})


def asked_about(vendors: VendorServer) -> Counter[str]:
    """How often each part, and the whole ("merge"), was asked about with success."""
    answered = [entry for entry in vendors.log("openai", "chat") if entry["status"] == 200]
    return Counter((re.findall(r"part \d+ of \d+", entry["text"]) or ["merge"])[0] for entry in answered)


@pytest.mark.parametrize("failing", [1, 2], ids=["the second part fails", "the merge fails"])
def test_a_long_talk_goes_on_after_its_last_paid_part(
    memory: Memory, drive: Drive, settings: Any, vendors: VendorServer, failing: int
) -> None:
    long_talk(settings)
    well = [{"kind": "delay", "seconds": 0.0, "op": "chat"}] * failing
    vendors.faults("openai", *well, {"kind": "refuse", "status": 503, "op": "chat"})
    run = drive(service.start("reprocess", UID, MEMORY, actor="test"))
    assert run.outcome == "success"
    parts = asked_about(vendors)
    assert set(parts.values()) == {1}
    assert len(parts) == 3
    first, second = VendorCall.objects.filter(operation="structure").order_by("id")
    assert (first.outcome, second.outcome, second.duplicate) == ("upstream_error", "success", False)
    assert first.input_tokens > 300, "what was paid before the failure is in the ledger"
    assert first.cost > 0
    assert second.input_tokens > 100
    assert not StepArtifact.objects.filter(name__startswith="part:").exists(), "they are not needed any more"


def test_a_worker_that_dies_between_two_parts_pays_for_none_again(
    memory: Memory, drive: Drive, settings: Any, vendors: VendorServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    long_talk(settings)
    run = service.start("reprocess", UID, MEMORY, actor="test")

    def die(point: str) -> None:
        if point == "structure-part":
            raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(fault_injection, "point", die)
        with pytest.raises(Killed):
            runner.work(run.pk)
    assert asked_about(vendors).total() == 1
    PostProcessingRun.objects.filter(pk=run.pk).update(lease_until=timezone.now() - timedelta(seconds=1))
    assert drive(run).outcome == "success"
    assert set(asked_about(vendors).values()) == {1}


def test_a_run_that_is_canceled_pays_for_no_further_part(
    memory: Memory, settings: Any, vendors: VendorServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    long_talk(settings)
    run = service.start("reprocess", UID, MEMORY, actor="test")
    real = partial_results.StoredPartialResults.keep

    def keep(self: Any, part: str, answer: Any) -> None:
        service.cancel(run, actor="user")
        real(self, part, answer)

    monkeypatch.setattr(partial_results.StoredPartialResults, "keep", keep)
    assert runner.work(run.pk) == "canceled"
    assert len(vendors.log("openai", "chat")) == 1


def test_a_later_run_takes_the_parts_of_one_that_failed_unless_it_is_to_begin_anew(
    memory: Memory, drive: Drive, settings: Any, vendors: VendorServer
) -> None:
    long_talk(settings)
    vendors.faults("openai", {"kind": "delay", "seconds": 0.0, "op": "chat"}, {"kind": "quota", "op": "chat"})
    failed = drive(service.start("reprocess", UID, MEMORY, actor="test"))
    assert failed.message_id == "vendor_quota"
    circuit_breaker.reset("openai")
    again = drive(service.retry(failed, actor="staff", reason="paid"))
    assert again.outcome == "success"
    assert set(asked_about(vendors).values()) == {1}
    drive(service.retry(again, actor="staff", reason="another title", from_step="structure"))
    assert set(asked_about(vendors).values()) == {2}


def test_parts_are_erased_with_the_memory(memory: Memory, drive: Drive, settings: Any, vendors: VendorServer) -> None:
    long_talk(settings)
    vendors.faults("openai", {"kind": "delay", "seconds": 0.0, "op": "chat"}, {"kind": "quota", "op": "chat"})
    drive(service.start("reprocess", UID, MEMORY, actor="test"))
    assert StepArtifact.objects.filter(name__startswith="part:").count() == 1
    service.forget_memory(UID, MEMORY)
    assert not StepArtifact.objects.exists()


def test_hume_is_paid_once_for_each_part_of_a_recording(
    memory: Memory, upload: Any, heard: Any, drive: Drive, settings: Any, vendors: VendorServer, talk: Talk,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    from emotions import hume

    monkeypatch.setattr(hume, "PART_SECONDS", 6.0)
    monkeypatch.setattr(hume, "CUT_SECONDS", 3.0)
    settings.PROVIDERS = settings.PROVIDERS | {"emotions": {"BACKEND": "emotions.hume.HumeEmotions"}}
    vendors.faults("hume", {"kind": "delay", "seconds": 0.0}, {"kind": "refuse", "status": 503}, {"kind": "drop"})
    kept = upload(talk.path.read_bytes())
    run = drive(service.start("postprocess", UID, MEMORY, actor="test", audio=kept, options=EMOTIONS))
    assert run.steps.get(name="emotions").outcome == "success"
    sizes = [entry["body_bytes"] - 44 for entry in vendors.log("hume", "file") if entry["status"] == 200]
    assert len(sizes) >= 3
    assert sum(sizes) == round(talk.seconds * 16_000) * 2, "every sample was measured once"
    rows = VendorCall.objects.filter(vendor="hume")
    assert sum(row.audio_seconds for row in rows) == pytest.approx(talk.seconds, abs=0.01)
    assert all(row.cost > 0 for row in rows if row.audio_seconds)
    # Refused, dropped, done: what was dropped may have been measured, so that the one after it counts as doubled.
    assert list(rows.order_by("id").values_list("possibly_billed", "duplicate")) == [
        (False, False),
        (True, False),
        (False, True),
    ]


def test_a_changed_live_transcript_is_judged_again(memory: Memory, upload: Any, heard: Any, drive: Drive) -> None:
    """Only the names of the other transcripts were hashed: the old judgement was taken over whatever they said."""
    fakes.SCRIPT["first"] = [fakes.words(fakes.TEXT + " then")]
    fakes.SCRIPT["structurer"] = [fakes.permanent("structurer", Outcome.CONFIG_ERROR)]
    other = [Segment(text="a live transcript of the same talk", start=1.0, end=7.6)]
    transcripts.save_transcript(UID, MEMORY, "soniox_streaming", other)
    run = drive(service.start("postprocess", UID, MEMORY, actor="test", audio=upload()))
    assert run.outcome == "config_error"
    transcripts.save_transcript(UID, MEMORY, "soniox_streaming", [other[0].model_copy(update={"text": fakes.TEXT})])
    again = drive(service.retry(run, actor="test"))
    steps = {step.name: step for step in again.steps.all()}
    assert steps["transcribe"].reused_from is not None
    assert steps["assess"].reused_from is None
    assert steps["assess"].output["figures"]["agreement"] > run.steps.get(name="assess").output["figures"]["agreement"]


def test_another_vocabulary_is_asked_for_anew_and_the_same_one_is_not(
    memory: Memory, upload: Any, heard: Any, drive: Drive, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the vendor is told to expect is sent, and was no part of the hash."""
    from omi.accounts.users import update_user

    real = fakes.FakePrerecorded.__init__

    def takes_words(self: fakes.FakePrerecorded, *args: Any, **options: Any) -> None:
        real(self, *args, **options)
        self.capabilities = replace(self.capabilities, vocabulary=True)

    monkeypatch.setattr(fakes.FakePrerecorded, "__init__", takes_words)
    run, asked = None, []
    for words in (["Omi"], ["Omi"], ["Omi", "Resemblyzer"]):
        update_user(UID, vocabulary=words)
        fakes.SCRIPT["structurer"] = [fakes.permanent("structurer", Outcome.CONFIG_ERROR)]
        run = drive(
            service.retry(run, actor="test")
            if run
            else service.start("postprocess", UID, MEMORY, actor="test", audio=upload())
        )
        asked.append(fakes.count("first", "submit"))
    assert asked == [1, 1, 2]
    assert not VendorCall.objects.filter(operation="transcribe", duplicate=True).exists()
