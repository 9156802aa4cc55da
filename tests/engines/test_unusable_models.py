"""Every way in which a speech model can be unusable is one clear sentence, from whoever is asked."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command

from omi.core.errors import ErrorKind, Outcome, ProviderError, UnsupportedFeature
from tests.support.sound import write_wav
from tests.transcription.live_session import Run
from transcription.checks import speech_model
from transcription.engines import registry
from transcription.engines.whisper.files import SHA256, bundled_model
from transcription.vendors.batch.base import PrerecordedRequest
from transcription.vendors.batch.local import LocalPrerecorded
from transcription.vendors.live.base import LiveRequest
from transcription.vendors.live.local import LocalLive


def linked(folder: Path, leave_out: str = "") -> Path:
    folder.mkdir()
    for name in SHA256:
        if name != leave_out:
            (folder / name).symlink_to(bundled_model() / name)
    return folder


def gone(folder: Path) -> None:
    """There is no such folder."""


def without_a_file(folder: Path) -> None:
    linked(folder, "tokenizer.json")


def damaged(folder: Path) -> None:
    (linked(folder, "model.bin") / "model.bin").write_bytes(b"{}" * 100)


def half(folder: Path) -> None:
    with (linked(folder, "model.bin") / "model.bin").open("wb") as file:
        file.write((bundled_model() / "model.bin").read_bytes()[:100_000])


def of_another_format(folder: Path) -> None:
    folder.mkdir()
    (folder / "model.safetensors").write_bytes(bytes(100))


CASES: dict[str, tuple[Callable[[Path], object], str]] = {
    "no folder": (gone, "the speech model folder 'model' does not exist"),
    "a file is missing": (without_a_file, "the model folder 'model' lacks tokenizer.json"),
    "damaged": (damaged, "model.bin in 'model' (200 bytes) is damaged or of another format than CTranslate2's"),
    "half a download": (half, "model.bin in 'model' (100000 bytes) is not whole; fetch it again"),
    "another format": (of_another_format, "the folder 'model' is no speech model: looked for model.bin"),
    "too large": (linked, "the model in 'model' needs about 482 MB of memory and 300 MB are allowed"),
}


@pytest.fixture(params=CASES.values(), ids=CASES)
def unusable(request: pytest.FixtureRequest, settings: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The sentence; the model that ``OMI_SPEECH_MODEL`` names is so."""
    make, sentence = request.param
    make(tmp_path / "model")
    settings.OMI_SPEECH_MODEL = str(tmp_path / "model")
    settings.OMI_DATA_DIR = tmp_path
    if make is linked:
        monkeypatch.setattr(registry, "MEMORY_MB", 300)
    return str(sentence)


def test_doctor_and_the_start_of_the_server_say_so(unusable: str) -> None:
    [warning] = speech_model(None)
    assert unusable in warning.msg
    assert "audio is kept" in warning.msg
    for vendor in (LocalPrerecorded(), LocalLive()):
        with pytest.raises(ProviderError) as error:
            vendor.about()
        assert unusable in error.value.message
    out = StringIO()
    call_command("providers", stdout=out)
    assert unusable in out.getvalue()


def test_the_socket_is_told_and_the_audio_is_kept(unusable: str) -> None:
    async def work() -> Run:
        it = Run(LocalLive())  # type: ignore[arg-type]
        await it.live(bytes(64_000))
        return it

    it = asyncio.run(asyncio.wait_for(work(), 60))
    assert it.states() == ["stt_failed"]
    assert unusable in it.statuses[0]["reason"]
    assert it.statuses[0]["retryable"] is False
    accounting = it.sink.finished[0].accounting
    assert accounting is not None
    assert accounting.failed == pytest.approx(2.0, abs=0.1), "failed, so that it is transcribed later"


def test_a_recording_is_refused_with_it(unusable: str, tmp_path: Path) -> None:
    talk = write_wav(tmp_path / "talk.wav", bytes(32_000))
    with pytest.raises(ProviderError) as error:
        LocalPrerecorded().submit(PrerecordedRequest(path=talk, seconds=1.0, diarize=False))
    assert unusable in error.value.message
    assert (error.value.kind, error.value.outcome) == (ErrorKind.PERMANENT, Outcome.CONFIG_ERROR)


def test_a_language_that_the_model_does_not_know_is_said_before_anything_is_sent(tmp_path: Path) -> None:
    for ask in (
        lambda: asyncio.run(LocalLive().open(LiveRequest(language="xx", diarize=False))),
        lambda: LocalPrerecorded().submit(PrerecordedRequest(tmp_path / "x.wav", 1.0, language="xx", diarize=False)),
    ):
        with pytest.raises(UnsupportedFeature, match="xx") as error:
            ask()
        assert error.value.kind is ErrorKind.PERMANENT
