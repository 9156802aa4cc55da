"""From the built-in engine to a model of sherpa-onnx and back, with the real extractor."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from django.conf import settings
from django.core.management import call_command
from django.test import override_settings

from omi.core.providers import one
from speakers import calibration, enrolment, gallery, learning, retroactive
from speakers.engines.scale import scale_of
from speakers.explain import explain
from speakers.identify import identify
from speakers.live import label_voices
from speakers.models import ProfileVersion, VoiceEmbedding, VoiceSample, pack
from speakers.quality import RejectedAudio
from speakers.reasons import Reason
from speakers.shapes import Person
from tests.support.speaker_model import write_speaker_model

from .conftest import UID, Talk, WriteWav

pytestmark = pytest.mark.django_db


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_speaker_model(tmp_path_factory.mktemp("models") / "voice.onnx")


@pytest.fixture
def changed(david: Person, model: Path) -> Iterator[None]:
    """Anna and David were enrolled with the built-in engine; now ``OMI_VOICE_MODEL`` names the model."""
    voices = {"BACKEND": "speakers.engines.registry.ConfiguredVoices", "OPTIONS": {"model": str(model)}}
    with override_settings(PROVIDERS={**settings.PROVIDERS, "voices": voices}):
        yield
        one("voices").close()


def test_reembed_makes_the_profiles_of_the_new_engine_and_keeps_the_old(
    changed: None, capsys: pytest.CaptureFixture[str]
) -> None:
    assert gallery.without_embedding(None, one("voices")).count() == 2
    call_command("reembed")
    assert "2 embedded, 0 left" in capsys.readouterr().out
    found = gallery.candidates(UID, one("voices"))
    assert found.profiles.shape == (2, 4, 64)
    assert found.engine == "sherpa-onnx"
    assert VoiceEmbedding.objects.filter(engine="campplus").count() == 2
    assert ProfileVersion.objects.filter(engine="campplus", active=True).count() == 2
    call_command("reembed")
    assert "0 embedded, 0 left" in capsys.readouterr().out


def test_an_engine_without_calibration_suggests_and_takes_no_label_away(
    changed: None, david: Person, talk: Talk, wav: WriteWav
) -> None:
    """Cosines that mean nothing yet say nothing against the labels of the engine before."""
    labels = {"SPEAKER_01": {"is_user": True}, "SPEAKER_00": {"person_id": david.id}}
    segments = [item.model_copy(update=labels.get(item.speaker, {})) for item in talk.segments()]
    result = identify(UID, wav(talk.pcm), segments, memory_id="m1")
    assert result.segments == segments
    assert {voice.reason for voice in result.voices} == {Reason.NOT_CALIBRATED}
    told = {voice["speaker"]: voice for voice in explain(UID, "m1")["voices"]}
    assert told["SPEAKER_00"]["engine_version"] == one("voices").version
    assert told["SPEAKER_01"]["suggestion"]["is_user"]
    assert told["SPEAKER_00"]["suggestion"]["person_id"] == david.id
    assert label_voices(UID, {"SPEAKER_01": [talk.of("Anna")]}) == {}
    assert {found.state for found in retroactive.find(UID)} == {"no_recording"}


def test_its_own_calibration_is_used(
    changed: None, talk: Talk, wav: WriteWav, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(calibration, "FOLDER", tmp_path)
    voices = one("voices")
    cuts = [(turn["start"], turn["end"]) for turn in talk.turns]
    cohort = voices.embed_segments(talk.pcm, cuts)
    weights = calibration.Weights(bias=0.0, norm=40.0)
    calibration.save(
        voices.name, voices.version, profile=weights, voice=weights, least=0.0, cohort=cohort[None], about={}
    )
    try:
        result = identify(UID, wav(talk.pcm), talk.segments())
        assert {voice.engine for voice in result.voices} == {"sherpa-onnx"}
        assert Reason.NOT_CALIBRATED not in {voice.reason for voice in result.voices}
    finally:
        calibration.forget_read()


def test_a_voice_can_be_enrolled_on_the_scale_of_another_engine(
    changed: None, talk: Talk, wav: WriteWav, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Parts of one voice are 0.5 to 0.7 alike with WeSpeaker: on another scale every recording is of two."""
    monkeypatch.setattr("speakers.quality.unity", lambda rows: 0.6)
    assert enrolment.enrol_user(UID, wav(talk.of("Anna"))).profile.engine == "sherpa-onnx"
    monkeypatch.setattr("speakers.quality.unity", lambda rows: 0.2)
    with pytest.raises(RejectedAudio, match="More than one voice"):
        enrolment.enrol_user(UID, wav(talk.of("Anna")))
    assert learning.rules_of(UID, one("voices")).margin == scale_of(one("voices")).margin


def test_one_can_go_back_without_embedding_anything(changed: None, talk: Talk, wav: WriteWav) -> None:
    call_command("reembed")
    with override_settings(
        PROVIDERS={**settings.PROVIDERS, "voices": {"BACKEND": "speakers.engines.registry.ConfiguredVoices"}}
    ):
        before = VoiceEmbedding.objects.count()
        result = identify(UID, wav(talk.pcm), talk.segments())
        assert any(segment.is_user for segment in result.segments)
        assert VoiceEmbedding.objects.count() == before
    assert np.isfinite(gallery.candidates(UID, one("voices")).profiles).all()


@pytest.fixture
def old(david: Person) -> None:
    """Anna and David were enrolled with Resemblyzer, which an earlier release had."""
    vector = np.ones(256, np.float32) / 16
    VoiceEmbedding.objects.update(engine="resemblyzer", engine_version="0.1.4", vector=pack(vector), copies=b"")
    ProfileVersion.objects.update(engine="resemblyzer", engine_version="0.1.4", vector=pack(vector), copies=b"")


def test_profiles_of_an_engine_that_was_taken_out_are_made_again_from_their_recordings(
    old: None, talk: Talk, wav: WriteWav, capsys: pytest.CaptureFixture[str]
) -> None:
    call_command("reembed")
    assert "2 embedded, 0 left" in capsys.readouterr().out
    assert gallery.candidates(UID, one("voices")).profiles.shape == (2, 4, 192)
    assert any(segment.is_user for segment in identify(UID, wav(talk.pcm), talk.segments()).segments)


def test_such_a_profile_without_a_recording_names_nobody_and_takes_no_label_away(
    old: None, talk: Talk, wav: WriteWav
) -> None:
    VoiceSample.objects.update(audio="")
    call_command("reembed")
    segments = [item.model_copy(update={"is_user": item.speaker == "SPEAKER_01"}) for item in talk.segments()]
    result = identify(UID, wav(talk.pcm), segments)
    assert result.segments == segments
    assert {voice.reason for voice in result.voices} == {Reason.NO_PROFILES}
    enrolment.enrol_user(UID, wav(talk.of("Anna")))
    assert any(segment.is_user for segment in identify(UID, wav(talk.pcm), talk.segments()).segments)
