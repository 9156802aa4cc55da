"""``/v1/memories``: shapes and status codes that the app compares exactly."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

import pytest

from memories.capture import create
from memories.pipeline.models import PostProcessingRun
from memories.repository import memories as repository
from memories.shapes import Memory, Photo
from memories.user_events import log
from tests.api.conftest import Caller

Make = Callable[..., Memory]

BODY = {
    "started_at": "2026-11-20T10:00:00Z",
    "finished_at": "2026-11-20T10:01:00Z",
    "transcript_segments": [
        {"text": "Second.", "speaker": "SPEAKER_01", "is_user": False, "start": 5, "end": 6},
        {"text": "Remember to buy milk.", "speaker": "SPEAKER_00", "is_user": True, "start": 0, "end": 4},
    ],
    "language": "en",
}


def test_create_answers_200_with_memory_and_messages(alice: Caller) -> None:
    answer = alice.send("POST", "/v1/memories?trigger_integrations=true&source=null", BODY)
    assert answer.status_code == 200
    body = answer.json()
    assert set(body) == {"memory", "messages"}
    assert body["messages"] == []
    assert body["memory"]["source"] == "friend"
    assert [item["start"] for item in body["memory"]["transcript_segments"]] == [0.0, 5.0]
    run = PostProcessingRun.objects.get(uid="alice", memory_id=body["memory"]["id"])
    assert run.kind == "reprocess"
    assert [event["type"] for event in log.after("alice", 0)] == ["new_memory_created"]


def test_times_are_json_floats_everywhere(alice: Caller) -> None:
    """The app casts to double and crashes on an integer."""
    created = alice.send("POST", "/v1/memories?trigger_integrations=false", BODY).json()["memory"]
    text = alice.get(f"/v1/memories/{created['id']}").content.decode()
    for name in ("start", "end"):
        for value in re.findall(rf'"{name}":\s*([0-9.]+)', text):
            assert "." in value, f"{name} is {value}"


@pytest.mark.parametrize("query", ["", "?trigger_integrations=perhaps"])
def test_create_without_trigger_integrations_is_422_in_fastapis_form(alice: Caller, query: str) -> None:
    answer = alice.send("POST", f"/v1/memories{query}", BODY)
    assert answer.status_code == 422
    assert answer.json()["detail"][0]["loc"] == ["query", "trigger_integrations"]


def test_create_without_words_and_photos_is_400(alice: Caller) -> None:
    answer = alice.send("POST", "/v1/memories?trigger_integrations=false", {**BODY, "transcript_segments": []})
    assert (answer.status_code, answer.json()) == (400, {"detail": "Transcript segments or photos are required"})


@pytest.mark.parametrize("content", [b"{", b"[]", b'{"started_at": "soon"}', b"\xff\xfe"])
def test_create_with_a_broken_body_is_422_and_does_not_repeat_it(alice: Caller, content: bytes) -> None:
    answer = alice.client.generic("POST", "/v1/memories?trigger_integrations=false", content, "application/json")
    assert answer.status_code == 422
    assert isinstance(answer.json()["detail"], list)
    assert "soon" not in answer.content.decode()


def test_create_twice_for_one_processing_memory_is_one_memory(alice: Caller) -> None:
    body = {**BODY, "processing_memory_id": "p-1"}
    first = alice.send("POST", "/v1/memories?trigger_integrations=false", body).json()["memory"]
    second = alice.send("POST", "/v1/memories?trigger_integrations=false", body).json()["memory"]
    assert first["id"] == second["id"]
    assert len(alice.get("/v1/memories").json()) == 1


def test_list_is_newest_first_with_discarded_and_without_deleted(alice: Caller, make_memory: Make) -> None:
    kept, discarded, gone = make_memory(), make_memory(discarded=True), make_memory()
    repository.delete_memory("alice", gone.id)
    make_memory("bob")
    assert [item["id"] for item in alice.get("/v1/memories").json()] == [discarded.id, kept.id]
    assert [item["id"] for item in alice.get("/v1/memories?include_discarded=false").json()] == [kept.id]


def test_list_pages_by_offset_and_by_cursor(alice: Caller, make_memory: Make) -> None:
    ids = [make_memory().id for _ in range(5)][::-1]
    assert [item["id"] for item in alice.get("/v1/memories?limit=2&offset=2").json()] == ids[2:4]
    page = alice.get("/v1/memories?limit=3")
    newer = make_memory()
    rest = alice.get(f"/v1/memories?limit=3&cursor={page.headers['X-Next-Cursor']}")
    assert [item["id"] for item in page.json() + rest.json()] == ids
    assert "X-Next-Cursor" not in rest.headers
    assert newer.id not in rest.content.decode()


def test_a_foreign_cursor_is_422(alice: Caller) -> None:
    assert alice.get("/v1/memories?cursor=nonsense").status_code == 422


def test_an_unchanged_list_and_memory_are_304(alice: Caller, make_memory: Make) -> None:
    memory = make_memory()
    for path in ("/v1/memories", f"/v1/memories/{memory.id}"):
        tag = alice.get(path).headers["ETag"]
        again = alice.get(path, If_None_Match=tag)
        assert (again.status_code, again.content) == (304, b"")
        repository.update_memory("alice", memory.id, {"structured.title": f"Changed {path}"})
        assert alice.get(path, If_None_Match=tag).status_code == 200


def test_get_shows_every_field_of_the_original(alice: Caller, make_memory: Make) -> None:
    memory = make_memory(photos=[Photo(base64="aGk=", description="a boat")])
    body = alice.get(f"/v1/memories/{memory.id}").json()
    assert body["photos"] == [{"base64": "aGk=", "description": "a boat"}]
    assert alice.get(f"/v1/memories/{memory.id}/photos").json() == body["photos"]
    assert body["created_at"].endswith("Z")
    assert body["structured"]["category"] == "other"
    assert isinstance(body["structured"]["events"][0]["duration"], int)
    assert body["plugins_results"] == []
    assert set(body["transcript_segments"][0]) >= {"text", "speaker", "speaker_id", "is_user", "person_id"}
    for name in ("started_at", "finished_at", "source", "language", "geolocation", "external_data", "postprocessing"):
        assert name in body


def test_a_discarded_memory_can_be_read_and_a_deleted_one_not(alice: Caller, make_memory: Make) -> None:
    discarded, gone = make_memory(discarded=True), make_memory()
    repository.delete_memory("alice", gone.id)
    assert alice.get(f"/v1/memories/{discarded.id}").json()["discarded"] is True
    assert alice.get(f"/v1/memories/{gone.id}").json() == {"detail": "Memory not found"}


def test_delete_answers_204_without_a_body_and_stops_what_runs(alice: Caller, make_memory: Make) -> None:
    memory = make_memory()
    alice.send("POST", f"/v1/memories/{memory.id}/reprocess")
    answer = alice.delete(f"/v1/memories/{memory.id}")
    assert (answer.status_code, answer.content) == (204, b"")
    assert alice.get(f"/v1/memories/{memory.id}").status_code == 404
    assert alice.delete(f"/v1/memories/{memory.id}").status_code == 404
    assert PostProcessingRun.objects.filter(memory_id=memory.id, state="finished", outcome="canceled").exists()


def test_reprocess_answers_the_memory_and_starts_a_forced_run(alice: Caller, make_memory: Make) -> None:
    memory = make_memory(discarded=True)
    answer = alice.send("POST", f"/v1/memories/{memory.id}/reprocess?language_code=de")
    assert (answer.status_code, answer.json()["id"]) == (200, memory.id)
    run = PostProcessingRun.objects.get(memory_id=memory.id)
    assert run.options == {"force": True, "language": "de"}


def test_title_and_overview_are_the_users_own_words(alice: Caller, make_memory: Make) -> None:
    memory = make_memory()
    body = alice.send("PATCH", f"/v1/memories/{memory.id}", {"title": "  Our island  "}).json()
    assert body["structured"]["title"] == body["edits"]["title"] == "Our island"
    assert body["structured"]["overview"] == "They plan a boat trip."
    again = alice.send("PATCH", f"/v1/memories/{memory.id}", {"title": None}).json()
    assert again["edits"]["title"] is None


def test_no_trailing_slash_and_no_redirect(alice: Caller) -> None:
    """A redirect would lose the body of a POST."""
    answer = alice.send("POST", "/v1/memories/?trigger_integrations=false", BODY)
    assert (answer.status_code, answer.json()) == (404, {"detail": "Not Found"})


@pytest.mark.parametrize("method", ["PUT", "TRACE"])
def test_other_methods_are_405_with_detail(alice: Caller, method: str) -> None:
    answer = alice.send(method, "/v1/memories")
    assert answer.status_code == 405
    assert "detail" in json.loads(answer.content)


def test_get_is_the_same_number_of_reads_however_long_the_memory(
    alice: Caller, make_memory: Make, django_assert_max_num_queries: Any
) -> None:
    from tests.api.conftest import segment

    long = make_memory(transcript_segments=[segment(f"s{n}", f"word {n}", "SPEAKER_00", n, n + 1) for n in range(2000)])
    with django_assert_max_num_queries(6):  # one of them asks how long it is
        assert len(alice.get(f"/v1/memories/{long.id}").json()["transcript_segments"]) == 2000


@pytest.mark.parametrize("days", [0, 7])
def test_a_memory_that_was_deleted_is_not_posted_again(days: int, alice: Caller, settings: Any) -> None:
    """An app that repeats its request after the deletion was answered with 500."""
    settings.OMI_RESTORE_DAYS = days
    body = {
        "transcript_segments": [{"text": "Hello there.", "start": 0, "end": 1}],
        "started_at": "2026-11-22T10:00:00Z", "finished_at": "2026-11-22T10:00:01Z", "processing_memory_id": "p-1",
    }  # fmt: skip
    made = alice.send("POST", "/v1/memories?trigger_integrations=false", body).json()["memory"]
    assert alice.send("POST", "/v1/memories?trigger_integrations=false", body).json()["memory"]["id"] == made["id"]
    assert alice.delete(f"/v1/memories/{made['id']}").status_code == 204
    answer = alice.send("POST", "/v1/memories?trigger_integrations=false", body)
    assert (answer.status_code, answer.json()["code"]) == (409, "deleted")
    assert alice.get("/v1/memories").json() == []


def test_the_same_request_twice_at_once_is_one_memory(alice: Caller, monkeypatch: pytest.MonkeyPatch) -> None:
    body = {
        "transcript_segments": [{"text": "Hello there.", "start": 0, "end": 1}],
        "started_at": "2026-11-22T10:00:00Z", "finished_at": "2026-11-22T10:00:01Z", "processing_memory_id": "p-1",
    }  # fmt: skip
    first: list[Any] = []
    ordered = create._ordered

    def meanwhile(*args: Any) -> Any:
        if not first:
            first.append(None)
            first.append(alice.send("POST", "/v1/memories?trigger_integrations=false", body))
        return ordered(*args)

    monkeypatch.setattr(create, "_ordered", meanwhile)
    answer = alice.send("POST", "/v1/memories?trigger_integrations=false", body)
    assert (first[1].status_code, answer.status_code) == (200, 200)
    assert answer.json()["memory"]["id"] == first[1].json()["memory"]["id"]
    assert len(alice.get("/v1/memories").json()) == 1
