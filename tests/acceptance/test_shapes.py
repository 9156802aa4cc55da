"""Status codes and shapes that the app of September 2024 compares exactly."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest

from tests.acceptance import flutter
from tests.acceptance.living import ENOUGH, heard
from tests.acceptance.wire import App, creation
from tests.support import sound

pytestmark = pytest.mark.process

Lived = dict[str, Any]


def test_everything_the_socket_said_can_be_read_by_the_app(lived: Lived) -> None:
    for message in lived["messages"]:
        flutter.message(message)
    assert heard(lived["messages"]) > ENOUGH  # there was something to read
    kinds = [message["type"] for message in lived["messages"] if isinstance(message, dict)]
    order = ["new_processing_memory_created", "new_memory_creating", "new_memory_created"]
    assert [kind for kind in kinds if kind in order] == order
    events = [message for message in lived["messages"] if isinstance(message, dict) and "event_number" in message]
    numbers = [event["event_number"] for event in events]
    assert numbers == sorted(set(numbers))


def test_the_created_event_holds_the_memory_that_the_list_holds(lived: Lived) -> None:
    event = lived["created"]
    listed = flutter.every(flutter.memory, lived["app"].get("/v1/memories?limit=50").json(), "list")
    assert event["memory"]["id"] == event["memory_id"] == listed[0]["id"]
    assert listed[0]["processing_memory_id"] == event["processing_memory_id"]


def test_post_processing_answers_at_once_with_the_memory_in_progress(lived: Lived) -> None:
    """The original held the call open for minutes."""
    answer = lived["accepted"]
    assert answer.status_code == 200
    assert answer.elapsed.total_seconds() < 10
    assert flutter.memory(answer.json())["postprocessing"]["status"] == "in_progress"


def test_post_processing_ends_with_an_event_and_a_completed_memory(lived: Lived) -> None:
    assert lived["ended"]["type"] == "memory_post_processing_success", lived["ended"]
    assert lived["ended"]["memory_id"] == lived["memory_id"]
    flutter.message(lived["ended"])
    memory = flutter.memory(lived["memory"])
    assert memory["postprocessing"]["status"] == "completed"
    assert memory["discarded"] is False
    assert memory["structured"]["title"]
    assert len(memory["transcript_segments"]) > 1


GETS = [
    ("/v1/memories/{id}", flutter.memory),
    ("/v1/memories/{id}/transcripts", flutter.transcripts),
    ("/v1/memories/{id}/photos", lambda value: flutter.every(flutter.photo, value, "photos")),
    ("/v1/memories/{id}/recording", lambda value: flutter.a(bool, value["has_recording"], "has_recording")),
    ("/v1/users/people", lambda value: flutter.every(flutter.person, value, "people")),
    ("/v1/users/people/{person}", flutter.person),
    ("/v3/speech-profile", lambda value: flutter.a(bool, value["has_profile"], "has_profile")),
    ("/v4/speech-profile", lambda value: flutter.maybe(str, value["url"], "url")),
    ("/v3/speech-profile/expand", lambda value: flutter.every(lambda i, w: flutter.a(str, i, w), value, "samples")),
    (
        "/v1/users/store-recording-permission",
        lambda value: flutter.a(bool, value["store_recording_permission"], "permission"),
    ),
    ("/v1/public-memories", lambda value: flutter.every(flutter.memory, value, "public")),
    ("/v1/processing-memories/{processing}", lambda value: flutter.a(str, value["id"], "id")),
]


@pytest.mark.parametrize(("path", "parse"), GETS, ids=[path for path, _ in GETS])
def test_what_the_app_reads(lived: Lived, path: str, parse: Callable[[Any], Any]) -> None:
    where = {
        "id": lived["memory_id"],
        "person": lived["person"]["id"],
        "processing": lived["created"]["processing_memory_id"],
    }
    answer = lived["app"].get(path.format(**where))
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "application/json"
    parse(answer.json())


def test_the_kept_recording_is_there_because_the_user_allowed_it(lived: Lived) -> None:
    assert lived["app"].get(f"/v1/memories/{lived['memory_id']}/recording").json() == {"has_recording": True}


def test_a_created_memory_is_200_and_floats_stay_floats(app: App) -> None:
    """The app sends whole numbers where the seconds are whole, and crashes when it gets them back as such."""
    place = {"latitude": 52, "longitude": 13}
    photos = [{"base64": "aGk=", "description": "a boat"}]
    answer = app.post(
        "/v1/memories?trigger_integrations=true&source=null", json=creation(geolocation=place, photos=photos)
    )
    assert answer.status_code == 200, answer.text
    memory = flutter.created(answer.json())["memory"]
    assert '"start":8.0' in answer.text.replace(" ", "")
    assert '"latitude":52.0' in answer.text.replace(" ", "")
    assert memory["photos"] == photos
    assert app.get(f"/v1/memories/{memory['id']}/photos").json() == photos


def test_speaker_labels_that_the_app_cannot_read_never_come_back(app: App) -> None:
    """A client may send anything; the app must still be able to open its list of memories."""
    for label in ("Anna", "SPEAKER", "SPEAKER_", "SPEAKER_x", "_", "SPEAKER_1_2", "SPEAKER_" + "9" * 5000, ""):
        body = creation()
        body["transcript_segments"][0]["speaker"] = label
        answer = app.post("/v1/memories?trigger_integrations=false", json=body)
        assert answer.status_code in (200, 422), (label, answer.text)
        if answer.status_code == 200:
            flutter.created(answer.json())
    flutter.every(flutter.memory, app.get("/v1/memories").json(), "list")


@pytest.mark.parametrize("times", [(-1, 4), (5, 4), ("nan", 4), (0, "inf"), (None, 4), ([], 1), (0, 1e400)])
def test_segment_times_that_cannot_be_are_422(app: App, times: tuple[Any, Any]) -> None:
    body = creation()
    body["transcript_segments"][0] |= {"start": times[0], "end": times[1]}
    if times[1] == 1e400:
        assert math.isinf(times[1])
        import json

        content = json.dumps(body).replace("Infinity", "1e400")
        answer = app.post(
            "/v1/memories?trigger_integrations=false", content=content, headers={"Content-Type": "application/json"}
        )
    else:
        answer = app.post("/v1/memories?trigger_integrations=false", json=body)
    assert answer.status_code == 422, answer.text
    assert app.get("/v1/memories").json() == []


def test_nothing_to_remember_is_400(app: App) -> None:
    answer = app.post("/v1/memories?trigger_integrations=false", json=creation(transcript_segments=[]))
    assert (answer.status_code, answer.json()) == (400, {"detail": "Transcript segments or photos are required"})
    missing = app.post("/v1/memories", json=creation())
    assert missing.status_code == 422
    assert missing.json()["detail"][0]["loc"] == ["query", "trigger_integrations"]


def test_delete_is_204_without_a_body_and_then_404(app: App) -> None:
    memory = app.create_memory()
    answer = app.delete(f"/v1/memories/{memory['id']}")
    assert (answer.status_code, answer.content) == (204, b"")
    for gone in (app.get(f"/v1/memories/{memory['id']}"), app.delete(f"/v1/memories/{memory['id']}")):
        assert (gone.status_code, gone.json()) == (404, {"detail": "Memory not found"})
    # Nor can it be reprocessed back to life (the original did not check).
    assert app.post(f"/v1/memories/{memory['id']}/reprocess").status_code == 404
    assert app.get("/v1/memories").json() == []


def test_people_are_200_200_ok_and_204(app: App) -> None:
    made = app.post("/v1/users/people", json={"name": "Anna"})
    assert made.status_code == 200
    person = flutter.person(made.json())
    assert app.get(f"/v1/users/people/{person['id']}?include_speech_samples=true").json()["name"] == "Anna"
    renamed = app.patch(f"/v1/users/people/{person['id']}/name?value=Hanna")
    assert (renamed.status_code, renamed.json()) == (200, {"status": "ok"})
    assert [one["name"] for one in app.get("/v1/users/people").json()] == ["Hanna"]
    gone = app.delete(f"/v1/users/people/{person['id']}")
    assert (gone.status_code, gone.content) == (204, b"")
    answer = app.get(f"/v1/users/people/{person['id']}")
    assert answer.status_code == 404
    assert answer.json()["detail"] == "Person not found"
    for name in ("", "A", "x" * 41):
        assert app.post("/v1/users/people", json={"name": name}).status_code == 422, name


def test_edits_answer_as_that_route_always_did(app: App) -> None:
    memory = app.create_memory()
    path = f"/v1/memories/{memory['id']}"
    for name in ("value", "visibility"):
        answer = app.patch(f"{path}/visibility?{name}=shared")
        assert (answer.status_code, answer.json()) == (200, {"status": "Ok"})
    shared = httpx_get(app, f"{path}/shared")
    assert shared.status_code == 200
    assert flutter.memory(shared.json())["geolocation"] is None
    assert app.patch(f"{path}/visibility?value=private").json() == {"status": "Ok"}
    private = httpx_get(app, f"{path}/shared")
    assert (private.status_code, private.json()) == (404, {"detail": "Memory is private"})
    events = app.patch(f"{path}/events", json={"events_idx": [0, 7], "values": [True, True]})
    assert (events.status_code, events.json()) == (200, {"status": "Ok"})
    assert app.patch(f"{path}/events", json={"events_idx": [0], "values": []}).status_code == 422
    assigned = app.patch(f"{path}/segments/1/assign?assign_type=is_user&value=true&use_for_speech_training=false")
    assert assigned.status_code == 200
    assert flutter.memory(assigned.json())["transcript_segments"][1]["is_user"] is True
    wrong = app.patch(f"{path}/segments/1/assign?assign_type=nobody&value=true")
    assert (wrong.status_code, wrong.json()["detail"]) == (400, "Invalid assign type")
    unknown = app.patch(f"{path}/segments/1/assign?assign_type=person_id&value=nobody")
    assert (unknown.status_code, unknown.json()["detail"]) == (404, "Person not found")


def httpx_get(app: App, path: str) -> Any:
    """Without a token, as a stranger with a link."""
    import httpx

    return httpx.get(app.url + path, timeout=30)


def test_recording_permission_is_asked_given_and_taken_back(app: App) -> None:
    path = "/v1/users/store-recording-permission"
    assert app.get(path).json() == {"store_recording_permission": False}
    assert app.post(f"{path}?value=true").json() == {"status": "ok"}
    assert app.get(path).json() == {"store_recording_permission": True}
    assert app.delete(path).json() == {"status": "ok"}
    assert app.get(path).json() == {"store_recording_permission": False}
    assert app.post(path).status_code == 422


def test_the_fcm_token_answers_ok_with_a_capital(app: App) -> None:
    answer = app.post("/v1/users/fcm-token", json={"fcm_token": "t", "time_zone": "Europe/Berlin"})
    assert (answer.status_code, answer.json()) == (200, {"status": "Ok"})


def test_a_location_fix_keeps_what_it_does_not_name(lived: Lived) -> None:
    """A fault of the original: omitting ``emotional_feedback`` reset it."""
    app, path = lived["app"], f"/v1/processing-memories/{lived['created']['processing_memory_id']}"
    assert app.patch(path, json={"emotional_feedback": True}).status_code == 200
    answer = app.patch(path, json={"geolocation": {"latitude": 52, "longitude": 13}})
    assert answer.status_code == 200
    result = answer.json()["result"]
    assert set(result) == {"id", "timer_start", "created_at", "geolocation", "emotional_feedback"}
    assert result["emotional_feedback"] is True
    flutter.geolocation(result["geolocation"], "geolocation")
    flutter.instant(result["created_at"], "created_at")


def test_no_path_has_a_trailing_slash_and_none_redirects(app: App) -> None:
    """A redirect loses the body of a POST."""
    for path in ("/v1/memories/", "/v1/users/people/", "/v3/upload-audio/"):
        for answer in (app.get(path), app.post(path, json={})):
            assert (answer.status_code, answer.json()) == (404, {"detail": "Not Found"}), path


def test_the_wrong_method_is_405_in_json(app: App) -> None:
    answer = app.http.put("/v1/memories", json={})
    assert answer.status_code == 405
    assert isinstance(answer.json()["detail"], str)


def test_enrolment_answers_200_with_a_link_that_plays(app: App, talk: bytes) -> None:
    from demo.material import bundled, pcm

    enrol = bundled().enrol_user
    assert enrol is not None
    answer = app.upload("/v3/upload-audio", sound.wav(pcm(enrol)))
    assert answer.status_code == 200, answer.text
    flutter.a(str, answer.json()["url"], "url")
    assert app.get("/v3/speech-profile").json() == {"has_profile": True}
    link = app.get("/v4/speech-profile").json()["url"]
    assert httpx_get(app, link.removeprefix(app.url)).content[:4] == b"RIFF"
