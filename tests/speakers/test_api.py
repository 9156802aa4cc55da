"""The routes of the app: exact status codes, no trailing slashes, strangers get 404."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from rest_framework.test import APIClient

from omi.core.errors import ErrorKind, ProviderError
from omi.core.providers import one
from speakers import enrolment, learning, people
from speakers.models import VoiceConsent, VoiceSample
from speakers.shapes import Person

from .conftest import RATE, UID, Talk, WriteWav, noise

pytestmark = pytest.mark.django_db
Api = Callable[..., APIClient]


def form(path: Path) -> dict[str, SimpleUploadedFile]:
    return {"file": SimpleUploadedFile("profile.wav", path.read_bytes(), content_type="audio/wav")}


def test_uploading_a_voice_gives_a_profile_and_200(api: Api, talk: Talk, wav: WriteWav, remembered: None) -> None:
    client = api()
    assert client.get("/v3/speech-profile").json() == {"has_profile": False}
    assert client.get("/v4/speech-profile").json() == {"url": None}
    response = client.post("/v3/upload-audio", form(wav(talk.enrol_user)))
    assert response.status_code == 200, "creates answer 200"
    body = response.json()
    assert body["profile_version"] == 1
    assert client.get("/v3/speech-profile").json() == {"has_profile": True}
    status = client.get("/v3/speech-profile/status").json()
    assert status["has_profile"]
    assert status["sample_count"] == 1
    assert status["duration_seconds"] == pytest.approx(len(talk.enrol_user) / RATE, abs=0.1)
    assert status["consent_version"] == enrolment.CONSENT_VERSION
    assert status["engine"] == "campplus"


def test_the_link_plays_the_sample_without_a_token_and_only_for_minutes(
    api: Api, enrolled: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = api().get("/v4/speech-profile").json()["url"]
    response = Client().get(url)
    assert response.status_code == 200
    assert b"".join(response)[:4] == b"RIFF"
    forged = url[:-3] + "abc"
    assert Client().get(forged).status_code == 404
    monkeypatch.setattr("speakers.api.links.SECONDS", -1)
    assert Client().get(url).status_code == 404


def test_other_rates_and_stereo_are_decoded_not_refused(api: Api, talk: Talk, wav: WriteWav) -> None:
    stereo = np.repeat(talk.enrol_user, 2)  # the same signal on both channels
    assert api().post("/v3/upload-audio", form(wav(stereo, channels=2))).status_code == 200


@pytest.mark.parametrize(
    ("make", "code"),
    [
        (lambda talk: np.zeros(RATE * 8, np.int16), "empty"),
        (lambda talk: talk.enrol_user[:RATE], "too_short"),
        (lambda talk: np.tile(talk.enrol_user, 32), "too_long"),
        (
            lambda talk: np.concatenate([talk.enrol_user[: RATE * 8], talk.enrol_person[: RATE * 8]]),
            "multiple_speakers",
        ),
        (lambda talk: noise(8.0), "empty"),
    ],
)
def test_unfit_recordings_answer_400_with_a_reason(
    api: Api, talk: Talk, wav: WriteWav, make: Callable[[Talk], np.ndarray], code: str
) -> None:
    response = api().post("/v3/upload-audio", form(wav(make(talk))))
    assert response.status_code == 400
    assert response.json()["code"] == code
    assert isinstance(response.json()["detail"], str)
    assert not VoiceSample.objects.exists()


def test_what_is_no_audio_answers_400(api: Api) -> None:
    upload = {"file": SimpleUploadedFile("profile.wav", b"#EXTM3U\nfile:///etc/passwd\n")}
    response = api().post("/v3/upload-audio", upload)
    assert response.status_code == 400
    assert response.json()["code"] == "not_audio"


def test_no_file_is_422_and_no_token_401(api: Api) -> None:
    assert api().post("/v3/upload-audio", {}).status_code == 422
    assert APIClient().get("/v3/speech-profile").status_code == 401
    assert APIClient().get("/v1/users/people").status_code == 401


def test_an_engine_that_fails_is_503_and_changes_nothing(
    api: Api, enrolled: str, talk: Talk, wav: WriteWav, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: object) -> None:
        raise ProviderError("voices", "stopped", kind=ErrorKind.TRANSIENT)

    monkeypatch.setattr(enrolment, "analyse", fails)
    assert api().post("/v3/upload-audio", form(wav(talk.enrol_user))).status_code == 503
    assert api().get("/v3/speech-profile").json() == {"has_profile": True}


def test_deleting_the_profile_forgets_the_voice_and_one_can_learn_again(
    api: Api, enrolled: str, talk: Talk, wav: WriteWav
) -> None:
    client = api()
    assert client.delete("/v3/speech-profile").status_code == 200
    assert client.get("/v3/speech-profile").json() == {"has_profile": False}
    assert not VoiceSample.objects.exists()
    assert VoiceConsent.objects.get().withdrawn_at is not None
    assert client.post("/v3/upload-audio", form(wav(talk.enrol_user))).status_code == 200


def test_upload_bytes_judges_duration_as_the_original_did(api: Api) -> None:
    assert api().post("/v3/upload-bytes", {"bytes": [[1]], "duration": 9}, format="json").status_code == 400
    assert api().post("/v3/upload-bytes", {"bytes": [[1]], "duration": 121}, format="json").status_code == 400
    assert api().post("/v3/upload-bytes", {"bytes": [[256]], "duration": 20}, format="json").status_code == 422
    assert api().post("/v3/upload-bytes", {"duration": 20}, format="json").status_code == 422


def test_upload_bytes_takes_opus_packets(api: Api, talk: Talk) -> None:
    import av

    encoder = av.CodecContext.create("libopus", "w")
    encoder.sample_rate, encoder.layout, encoder.format = 16_000, "mono", "s16"
    encoder.options = {"frame_duration": "10"}
    encoder.open()
    packets = []
    for start in range(0, 11 * RATE, 160):
        frame = av.AudioFrame.from_ndarray(talk.enrol_user[None, start : start + 160], format="s16", layout="mono")
        frame.sample_rate = 16_000
        packets += [list(bytes(packet)) for packet in encoder.encode(frame)]
    response = api().post("/v3/upload-bytes", {"bytes": packets, "duration": 11}, format="json")
    assert (response.status_code, response.json()) == (200, {"status": "ok"})
    assert api().get("/v3/speech-profile").json() == {"has_profile": True}


def test_people_are_made_listed_renamed_and_deleted_with_the_apps_codes(api: Api) -> None:
    client = api()
    made = client.post("/v1/users/people", {"name": "Ana"}, format="json")
    assert made.status_code == 200
    person_id = made.json()["id"]
    assert made.json()["speech_samples"] == []
    assert [item["name"] for item in client.get("/v1/users/people").json()] == ["Ana"]
    assert client.patch(f"/v1/users/people/{person_id}/name?value=Anna").json() == {"status": "ok"}
    shown = client.get(f"/v1/users/people/{person_id}").json()
    assert shown["name"] == "Anna"
    assert shown["updated_at"] > shown["created_at"]
    assert client.delete(f"/v1/users/people/{person_id}").status_code == 204
    assert client.get(f"/v1/users/people/{person_id}").status_code == 404
    assert client.get("/v1/users/people").json() == []


@pytest.mark.parametrize("name", ["", "A", "x" * 41, "  a  ", "bad\x00name"])
def test_a_name_has_two_to_forty_characters(api: Api, name: str) -> None:
    assert api().post("/v1/users/people", {"name": name}, format="json").status_code == 422
    person = people.create_person(UID, "Ana")
    assert api().patch(f"/v1/users/people/{person.id}/name", QUERY_STRING=f"value={name}").status_code == 422
    assert people.get_person(UID, person.id).name == "Ana"


@pytest.mark.parametrize("path", ["", "/samples", "/name?value=Ana"])
def test_a_person_of_another_user_is_not_found(api: Api, david: Person, talk: Talk, wav: WriteWav, path: str) -> None:
    url = f"/v1/users/people/{david.id}{path}"
    stranger = api("stranger")
    method = stranger.patch if "name" in path else stranger.get
    assert method(url).status_code == 404
    assert stranger.delete(f"/v1/users/people/{david.id}").status_code == 404
    assert people.get_person(UID, david.id).name == "David"


@pytest.mark.parametrize("person_id", ["..", "%2e%2e", "a%2Fb", "x" * 3000, "__x__", "%00"])
def test_ids_that_are_no_ids_are_not_found(api: Api, person_id: str) -> None:
    assert api().get(f"/v1/users/people/{person_id}").status_code == 404


def test_a_document_that_is_no_person_hides_nobody_else(api: Api) -> None:
    """Another program wrote it: one such document made the whole list, and every identification, fail."""
    ana = people.create_person(UID, "Ana")
    one("documents").create(f"users/{UID}/people/odd", {"id": "odd", "name": None})
    assert [item["id"] for item in api().get("/v1/users/people").json()] == [ana.id]
    assert api().get("/v1/users/people/odd").status_code == 404
    assert people.names(UID) == {ana.id: "Ana"}


def test_samples_of_a_person_are_uploaded_listed_and_removed(
    api: Api, david: Person, talk: Talk, wav: WriteWav
) -> None:
    client = api()
    base = f"/v1/users/people/{david.id}"
    assert client.post(f"{base}/samples", form(wav(talk.of("David")[: 6 * RATE]))).status_code == 200
    listed = client.get(f"{base}/samples").json()
    assert [item["status"] for item in listed] == ["accepted", "accepted"]
    assert len(client.get(f"{base}?include_speech_samples=true").json()["speech_samples"]) == 2
    assert client.delete(f"{base}/samples/{listed[1]['id']}").status_code == 204
    assert client.delete(f"{base}/samples/{listed[1]['id']}").status_code == 404
    assert client.delete(f"{base}/samples/{uuid.uuid4()}").status_code == 404
    assert len(client.get(f"{base}/samples").json()) == 1


def test_what_was_learned_from_a_segment_is_listed_and_taken_out(
    api: Api, enrolled: str, talk: Talk, wav: WriteWav
) -> None:
    turn = max((t for t in talk.turns if t["speaker"] == "Anna"), key=lambda t: t["end"] - t["start"])
    learning.learn_from_segment(
        UID, None, wav(talk.pcm), turn["start"], turn["end"], 12, memory_id="m1", segment_id="s1", segment_index=4
    )
    client = api()
    assert len(client.get("/v3/speech-profile/expand").json()) == 1
    remove = "/v3/speech-profile/expand?memory_id=m1&person_id=null&segment_idx="
    assert client.delete(remove + "x").status_code == 422
    assert client.delete(remove + "4").json() == {"status": "ok"}
    assert client.get("/v3/speech-profile/expand").json() == []
    assert client.get("/v3/speech-profile/expand?person_id=nobody").status_code == 404
