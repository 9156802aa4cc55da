"""A local speech model that cannot be used: the run says so in one sentence, and the recording stays."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from memories.pipeline import service
from memories.pipeline.models import PostProcessingRun
from memories.pipeline.status import document
from memories.shapes import Memory
from omi.core.errors import ProviderError
from omi.stores import audio
from tests.pipeline import fakes
from tests.pipeline.conftest import MEMORY, UID, copied
from tests.support.sound import write_wav
from transcription.vendors.batch.base import PrerecordedRequest
from transcription.vendors.batch.local import LocalPrerecorded


@pytest.mark.django_db
def test_a_run_ends_with_the_sentence_and_keeps_the_recording(
    memory: Memory,
    upload: Any,
    heard: Any,
    drive: Callable[..., PostProcessingRun],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    monkeypatch.setattr("transcription.audio.convert.decode_to_wav", copied)
    for name in ("model.bin", "config.json", "tokenizer.json", "vocabulary.txt"):
        (tmp_path / name).write_bytes(b"{}")
    talk = write_wav(tmp_path / "talk.wav", bytes(32_000))
    with pytest.raises(ProviderError) as refused:
        LocalPrerecorded(str(tmp_path)).submit(PrerecordedRequest(talk, 1.0, diarize=False))
    fakes.SCRIPT["first"], fakes.SCRIPT["second"] = [refused.value], [refused.value]
    run = drive(service.start("postprocess", UID, MEMORY, actor="test", audio=upload()))
    told = document(run)
    assert (told["outcome"], told["message"]["id"]) == ("config_error", "not_configured")
    assert "damaged or of another format than CTranslate2's" in run.detail
    assert audio.for_memory(UID, MEMORY)
