"""Post-processing over HTTP: the real adapters and steps against the simulated vendors. Fixtures to import."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.utils import timezone

from demo.vendors.server import VendorServer
from memories.pipeline import runner, service
from memories.pipeline.models import PostProcessingRun, StepAttempt, VendorBreaker, VendorCall
from memories.repository import memories as repository
from memories.shapes import Memory
from omi.core.errors import Outcome
from tests.pipeline import fakes
from tests.pipeline.conftest import MEMORY, UID, Regions
from tests.support.vendor_fixtures import Talk

FAL = "transcription.vendors.batch.fal_whisperx.FalWhisperX"
DEEPGRAM = "transcription.vendors.batch.deepgram.DeepgramPrerecorded"
SONIOX = "transcription.vendors.batch.soniox.SonioxPrerecorded"

EVER = {"times": -1}
Process = Callable[..., PostProcessingRun]


@pytest.fixture
def process(
    memory: Memory, upload: Any, heard: Regions, talk: Talk, vendors: VendorServer, settings: Any
) -> Iterator[Process]:  # fmt: skip
    """Post-process the talk with fal, then Deepgram, OpenAI and Hume; ``heard_by`` names others in order."""
    settings.PROVIDERS = settings.PROVIDERS | {
        "prerecorded": [{"BACKEND": FAL}, {"BACKEND": DEEPGRAM}],
        "structurer": {"BACKEND": "memories.structuring.openai.OpenAIStructurer"},
        "embedder": {"BACKEND": "memories.structuring.openai_embedder.OpenAIEmbedder"},
        "emotions": {"BACKEND": "emotions.hume.HumeEmotions"},
    }
    # What was heard live is too short to be held against what the simulators say, which is another talk.
    short = [item.model_copy(update={"text": "we should book the table"}) for item in memory.transcript_segments]
    repository.update_memory(UID, MEMORY, {"transcript_segments": short})
    heard[:] = [[talk.words[0].start, talk.words[-1].end]]

    def go(*heard_by: str, **options: Any) -> PostProcessingRun:
        if heard_by:
            settings.PROVIDERS = settings.PROVIDERS | {"prerecorded": [{"BACKEND": name} for name in heard_by]}
        kept = upload(talk.path.read_bytes())
        run = service.start("postprocess", UID, MEMORY, actor="test", audio=kept, options=options)
        for _ in range(120):
            runner.work(run.pk)
            run.refresh_from_db()
            if run.state == "finished":
                sound(run, talk.seconds)
                return run
            # What it waits for has come: its time, and the probe of a vendor that failed lately.
            PostProcessingRun.objects.filter(pk=run.pk).update(due_at=timezone.now())
            VendorBreaker.objects.filter(open=True).update(retry_at=timezone.now())
        raise AssertionError(f"{run} did not end")

    yield go
    fakes.reset()


def sound(run: PostProcessingRun, seconds: float) -> None:
    """What holds after every run, however the vendors behaved."""
    shown = repository.get_memory(UID, MEMORY)
    assert run.outcome in set(Outcome)
    assert run.notified
    assert shown.postprocessing is not None
    assert shown.postprocessing.status in ("completed", "failed")
    assert shown.structured.title.strip()
    assert shown.transcript_segments, "what was shown is never taken away"
    for segment in shown.transcript_segments:
        assert 0 <= segment.start <= segment.end <= seconds + 0.01
        assert segment.speaker.startswith("SPEAKER_")
        assert segment.text.strip()
    assert not VendorCall.objects.filter(outcome="").exists(), "the ledger knows how each call ended"
    assert StepAttempt.objects.filter(step__run=run).count() == sum(run.steps.values_list("attempts", flat=True))


def model() -> str | None:
    return repository.get_memory(UID, MEMORY).active_transcript


def calls(vendor: str, operation: str) -> list[str]:
    return list(VendorCall.objects.filter(vendor=vendor, operation=operation).values_list("outcome", flat=True))
