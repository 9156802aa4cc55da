"""Quality gates and the order of an enrolment."""

from __future__ import annotations

import numpy as np
import pytest

from omi.core.errors import ErrorKind, ProviderError
from omi.stores import audio
from omi.stores.models import AudioObject
from speakers import enrolment, gallery, learning
from speakers.clips import BadRecording
from speakers.models import USER, ProfileVersion, VoiceConsent, VoiceEmbedding, VoiceSample
from speakers.quality import RejectedAudio

from .conftest import RATE, UID, Talk, WriteWav, music, noise

pytestmark = pytest.mark.django_db


def refused(pcm: np.ndarray, wav: WriteWav) -> str:
    with pytest.raises(RejectedAudio) as caught:
        enrolment.enrol_user(UID, wav(pcm))
    assert caught.value.sentence.endswith(".")
    assert not VoiceSample.objects.exists()
    assert not AudioObject.objects.exists()
    return caught.value.code


def test_silence_is_refused_as_empty(wav: WriteWav) -> None:
    assert refused(np.zeros(RATE * 10, np.int16), wav) == "empty"


def test_music_is_no_voice(wav: WriteWav) -> None:
    assert refused(music(20), wav) in {"empty", "too_little_speech"}


def test_one_second_is_too_short(talk: Talk, wav: WriteWav) -> None:
    assert refused(talk.enrol_user[RATE : RATE * 2], wav) == "too_short"


def test_ten_minutes_are_too_long_and_refused_before_any_work(
    talk: Talk, wav: WriteWav, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(enrolment, "analyse", lambda *_: pytest.fail("the recording was analysed"))
    assert refused(np.tile(talk.enrol_user, 32), wav) == "too_long"


def test_two_voices_are_refused(talk: Talk, wav: WriteWav) -> None:
    both = np.concatenate([talk.enrol_user[: RATE * 8], talk.enrol_person[: RATE * 8]])
    assert refused(both, wav) == "multiple_speakers"


def test_two_voices_that_take_turns_are_refused(talk: Talk, wav: WriteWav) -> None:
    assert refused(talk.pcm[: RATE * 30], wav) == "multiple_speakers"


def test_noise_is_refused(talk: Talk, wav: WriteWav) -> None:
    level = np.sqrt(np.mean(talk.enrol_user.astype(float) ** 2)) * 0.8
    noisy = np.clip(talk.enrol_user + noise(len(talk.enrol_user) / RATE, level=level), -32768, 32767).astype(np.int16)
    assert refused(noisy, wav) in {"noise", "too_little_speech"}


def test_an_overdriven_recording_is_refused(talk: Talk, wav: WriteWav) -> None:
    loud = np.clip(talk.enrol_user.astype(np.int32) * 60, -32768, 32767).astype(np.int16)
    assert refused(loud, wav) == "clipping"


def test_a_whisper_at_the_other_end_of_the_room_is_refused(talk: Talk, wav: WriteWav) -> None:
    assert refused((talk.enrol_user / 400).astype(np.int16), wav) in {"too_quiet", "empty", "too_little_speech"}


def test_seconds_of_speech_count_not_seconds_of_file(talk: Talk, wav: WriteWav) -> None:
    short = np.concatenate([np.zeros(RATE * 20, np.int16), talk.enrol_user[: int(RATE * 2.5)]])
    assert refused(short, wav) == "too_little_speech"


def test_another_rate_is_refused_where_nothing_decodes(talk: Talk, wav: WriteWav) -> None:
    with pytest.raises(BadRecording):
        enrolment.enrol_user(UID, wav(talk.enrol_user, rate=8_000))


def test_speech_played_backwards_is_accepted(talk: Talk, wav: WriteWav) -> None:
    """Words of no language: the gates know voices only (issues #12899 and #7187 of the original)."""
    assert enrolment.enrol_user(UID, wav(talk.enrol_user[: RATE * 10][::-1])).quality.voiced_seconds > 5


def test_consent_is_kept_with_version_and_time(enrolled: str) -> None:
    consent = VoiceConsent.objects.get(uid=enrolled)
    assert consent.version == enrolment.CONSENT_VERSION
    assert consent.given_at is not None
    assert consent.withdrawn_at is None


def test_a_new_recording_replaces_the_old_one_and_makes_a_new_version(
    enrolled: str, talk: Talk, wav: WriteWav, django_capture_on_commit_callbacks: object
) -> None:
    old = VoiceSample.objects.get()
    with django_capture_on_commit_callbacks(execute=True):
        done = enrolment.enrol_user(enrolled, wav(talk.of("Anna")))
    old.refresh_from_db()
    assert old.status == VoiceSample.Status.REMOVED
    assert done.profile.number == 2
    assert done.profile.sample_ids == [str(done.sample.id)]
    assert list(ProfileVersion.objects.filter(active=True)) == [done.profile]
    assert [item.purpose for item in audio.for_user(enrolled)] == ["profile"]
    assert audio.get(done.sample.audio).delete_after is None


def test_what_was_learned_beside_a_wrong_recording_is_doubted_by_the_right_one(
    db: None, talk: Talk, wav: WriteWav
) -> None:
    """Somebody else's voice was enrolled, and more of it was learned; the user, never recognised, records anew."""
    enrolment.enrol_user(UID, wav(talk.enrol_person))
    turn = max((t for t in talk.turns if t["speaker"] == "David"), key=lambda t: t["end"] - t["start"])
    learned = learning.learn_from_segment(
        UID, None, wav(talk.pcm), turn["start"], turn["end"], 12, memory_id="m1", segment_id="s1"
    ).sample
    assert learned is not None
    assert learned.status == VoiceSample.Status.ACCEPTED
    done = enrolment.enrol_user(UID, wav(talk.enrol_user))
    learned.refresh_from_db()
    assert learned.status == VoiceSample.Status.CANDIDATE
    assert done.profile.sample_ids == [str(done.sample.id)]


def test_what_agrees_with_the_new_recording_or_was_confirmed_stays(enrolled: str, talk: Talk, wav: WriteWav) -> None:
    for name, confirmed in (("Anna", False), ("Peter", True)):
        turn = max((t for t in talk.turns if t["speaker"] == name), key=lambda t: t["end"] - t["start"])
        learning.learn_from_segment(
            UID, None, wav(talk.pcm), turn["start"], turn["end"], 12,
            memory_id="m1", segment_id=name, confirmed=confirmed,
        )  # fmt: skip
    assert len(enrolment.enrol_user(UID, wav(talk.enrol_user)).profile.sample_ids) == 3


def test_the_old_profile_survives_an_engine_that_fails(
    enrolled: str, talk: Talk, wav: WriteWav, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The embedding is made before anything is replaced."""

    def fails(*_: object) -> None:
        raise ProviderError("voices", "stopped", kind=ErrorKind.TRANSIENT)

    monkeypatch.setattr(enrolment, "analyse", fails)
    with pytest.raises(ProviderError):
        enrolment.enrol_user(enrolled, wav(talk.of("Anna")))
    assert VoiceSample.objects.get().status == VoiceSample.Status.ACCEPTED
    assert ProfileVersion.objects.get(active=True).number == 1


def test_the_old_profile_survives_a_database_that_fails(
    enrolled: str, talk: Talk, wav: WriteWav, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gallery, "store_embedding", lambda *_: (_ for _ in ()).throw(RuntimeError("disk full")))
    with pytest.raises(RuntimeError):
        enrolment.enrol_user(enrolled, wav(talk.of("Anna")))
    sample = VoiceSample.objects.get()
    assert sample.status == VoiceSample.Status.ACCEPTED
    assert audio.get(sample.audio).delete_after is None
    stray = AudioObject.objects.exclude(name=sample.audio).get()
    assert stray.delete_after is not None, "what was stored in vain must be swept"


def test_several_samples_make_one_profile(enrolled: str, talk: Talk, wav: WriteWav) -> None:
    enrolment.add_sample(enrolled, USER, wav(talk.of("Anna")))
    profile = ProfileVersion.objects.get(active=True)
    assert len(profile.sample_ids) == 2
    vectors = [row.array for row in VoiceEmbedding.objects.all()]
    assert all(float(vector @ profile.array) > 0.9 for vector in vectors)


def test_a_missing_embedding_heals_itself(david: object, enrolled: str) -> None:
    """One failed extraction made a person unmatchable for ever (PR #10453 of the original)."""
    from omi.core.providers import one

    VoiceEmbedding.objects.all().delete()
    ProfileVersion.objects.all().delete()
    found = gallery.candidates(enrolled, one("voices"))
    assert len(found.ids) == 2
    assert ProfileVersion.objects.filter(active=True).count() == 2


def test_a_sample_without_audio_is_tried_once_and_stops_nobody(david: object, enrolled: str) -> None:
    from omi.core.providers import one

    broken = VoiceSample.objects.get(person_id=USER)
    audio.delete(broken.audio)
    VoiceEmbedding.objects.all().delete()
    ProfileVersion.objects.all().delete()
    assert len(gallery.candidates(enrolled, one("voices")).ids) == 1
    broken.refresh_from_db()
    assert broken.unreadable_by == "campplus zh-en-advanced"
    assert gallery.heal(enrolled, one("voices")) == 0


class OtherEngine:
    name, version, dimension = "other", "1", 4

    def embed_segments(self, pcm: np.ndarray, segments: list[tuple[float, float]]) -> np.ndarray:
        return np.tile(np.array([1, 0, 0, 0], np.float32), (len(segments), 1))


def test_embeddings_of_two_engines_are_never_compared(enrolled: str) -> None:
    engine = OtherEngine()
    found = gallery.candidates(enrolled, engine)
    assert found.profiles.shape == (1, 4, 4), "healed with the new engine, in its own dimension"
    assert VoiceEmbedding.objects.filter(engine="campplus").count() == 1, "and one can go back"
    newer = OtherEngine()
    newer.version = "2"
    VoiceSample.objects.update(unreadable_by="other 2")
    assert gallery.candidates(enrolled, newer).ids == []
