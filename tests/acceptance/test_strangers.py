"""Somebody else's things are not found, on every route that takes an id, and asking changes nothing.

The routes come from the OpenAPI document, which a test holds to the URL table: a new route cannot be forgotten.
"""

from __future__ import annotations

import re
from typing import Any

import pytest

from tests.acceptance.schema import Operation, example, operations
from tests.acceptance.wire import App, Json
from tests.support import sound

pytestmark = pytest.mark.process

TAKES_AN_ID = re.compile(r"{\w+_id}")
ROUTES = [operation for operation in operations() if TAKES_AN_ID.search(operation.path)]
IN_QUERY = [op for op in operations() if any(p["name"] in ("memory_id", "person_id") for p in op.parameters)]


@pytest.fixture(scope="module")
def owned(lived: Json) -> dict[str, str]:
    """What the owner has, by the names that routes use."""
    app: App = lived["app"]
    person = lived["person"]["id"]
    from demo.material import bundled, pcm

    voice = next(iter(bundled().people.values()))
    sample = app.upload(f"/v1/users/people/{person}/samples", sound.wav(pcm(voice)))
    assert sample.status_code == 200, sample.text
    webhook = app.post("/v1/webhooks", json={"url": "https://hooks.example.org/omi"})
    assert webhook.status_code == 200, webhook.text
    feedback = app.post("/v1/feedback", json={"part": "summary", "memory_id": lived["memory_id"], "thumb": "up"})
    assert feedback.status_code == 200, feedback.text
    bread = app.post(f"/v1/memories/{lived['memory_id']}/action-items", json={"description": "Buy bread"})
    assert bread.status_code == 200, bread.text
    task = app.get("/v1/action-items").json()["items"][0]
    kept = {"captured_at": "2026-11-20T12:00:00Z", "codec": "pcm16", "size": 9}
    batch = app.post("/v1/sync", json={"files": [{**kept, "sha256": digit * 64} for digit in "01"]})
    assert batch.status_code == 200, batch.text
    healing = app.post("/v1/vocabulary/healings", json={"heard": "bread", "term": "Brot"})
    assert healing.status_code == 200, healing.text
    link = app.post(f"/v1/memories/{lived['memory_id']}/links", json={"fields": ["title"]})
    assert link.status_code == 200, link.text
    two = [app.create_memory()["id"] for _ in range(2)]
    reshaping = app.post("/v1/memories/merge", json={"memory_ids": two})
    assert reshaping.status_code == 200, reshaping.text
    label = app.post("/v1/labels", json={"kind": "folder", "name": "Harbour"})
    assert label.status_code == 200, label.text
    comment = app.post(f"/v1/memories/{lived['memory_id']}/comments", json={"text": "Hers"})
    assert comment.status_code == 200, comment.text
    template = app.post("/v1/templates", json={"name": "Harbour", "sections": [{"heading": "Boats"}]})
    assert template.status_code == 200, template.text
    return {
        "reshaping_id": reshaping.json()["id"],
        "template_id": template.json()["id"],
        "label_id": label.json()["id"],
        "comment_id": comment.json()["id"],
        "healing_id": healing.json()["id"],
        "batch_id": batch.json()["id"],
        "link_id": link.json()["id"],
        "task_id": task["id"],
        "feedback_id": feedback.json()["id"],
        "webhook_id": webhook.json()["id"],
        "number": "1",
        "memory_id": lived["memory_id"],
        "person_id": person,
        "processing_memory_id": lived["created"]["processing_memory_id"],
        "sample_id": sample.json()["sample_id"],
        "model": next(iter(app.get(f"/v1/memories/{lived['memory_id']}/transcripts/versions").json()))["model"],
        "index": "0",
        "file_format": "vtt",
        "segment_id": lived["memory"]["transcript_segments"][0]["id"],
        "item_id": bread.json()["id"],
        "change_id": app.get(f"/v1/memories/{lived['memory_id']}/changes").json()[0]["id"],
    }


def everything(app: App) -> Any:
    """All of a user's state that the API shows, links left out (each is signed anew)."""
    memories = app.get("/v1/memories").json()
    people = [{**one, "speech_samples": len(one["speech_samples"])} for one in app.get("/v1/users/people").json()]
    more = {}
    for memory in memories:
        path = f"/v1/memories/{memory['id']}"
        for part in (
            "action-items",
            "changes",
            "comments",
            "links",
            "transcripts/versions",
            "recording",
            "post-processing",
            "emotions",
            "speakers",
        ):
            answer = app.get(f"{path}/{part}")
            more[f"{path}/{part}"] = (answer.status_code, answer.json())
    profile = app.get("/v3/speech-profile/status").json()
    return memories, people, more, {**profile, "url": bool(profile["url"])}


def ask(app: App, operation: Operation, owned: dict[str, str], **more: Any) -> Any:
    """The route with a request that the owner would be answered with success."""
    path = re.sub(r"{(\w+)}", lambda found: owned[found.group(1)], operation.path)
    query = {
        parameter["name"]: example(parameter["schema"], owned.get(parameter["name"]))
        for parameter in operation.parameters
        if parameter["in"] == "query" and parameter["name"] not in ("from_step",)
    }
    if "assign_type" in query:
        query |= {"assign_type": "is_user", "value": "true"}
    if "visibility" in path:
        query["value"] = "public"
    if "multipart/form-data" in operation.bodies:
        return app.http.request(
            operation.method, path, params=query, files={"file": ("a.wav", sound.tone(11), "audio/wav")}, **more
        )
    body = None
    if operation.body_schema is not None:
        body = example(operation.body_schema, None, owned)
        if operation.path.endswith("/assign-bulk"):
            body = {"speaker": "SPEAKER_00", "is_user": True}
        if isinstance(body, dict) and "url" in body:
            body["url"] = "https://hooks.example.org/elsewhere"
        if operation.path.endswith("/events"):
            body = {"events_idx": [0], "values": [True]}
    return app.http.request(operation.method, path, params=query, json=body, **more)


def test_there_are_routes_to_ask() -> None:
    assert len(ROUTES) > 25
    assert {"GET", "POST", "PUT", "PATCH", "DELETE"} == {operation.method for operation in ROUTES}


@pytest.mark.parametrize("operation", ROUTES, ids=[operation.name for operation in ROUTES])
def test_a_strangers_id_is_404(app: App, owned: dict[str, str], operation: Operation) -> None:
    answer = ask(app, operation, owned)
    assert answer.status_code == 404, (answer.status_code, answer.text[:300])
    assert answer.json()["detail"]
    # Word for word what one gets for an id that never was: nobody learns which ids exist.
    never = ask(
        app,
        operation,
        {
            **owned,
            **{name: "never-was" for name in owned if name.endswith("_id")},
            "sample_id": "00000000-0000-0000-0000-000000000000",
        },
    )
    assert never.json() == answer.json()


def test_a_stranger_changed_nothing(app: App, lived: Json, owned: dict[str, str]) -> None:
    before = everything(lived["app"])
    for operation in ROUTES:
        ask(app, operation, owned)
    assert everything(lived["app"]) == before
    assert everything(app)[:3] == ([], [], {})


def test_a_strangers_id_in_a_query_or_a_body_is_worth_nothing(app: App, lived: Json, owned: dict[str, str]) -> None:
    own = app.create_memory()
    path = f"/v1/memories/{own['id']}"
    assert app.get("/v3/speech-profile/expand", params={"person_id": owned["person_id"]}).status_code == 404
    removed = app.delete("/v3/speech-profile/expand", params={**owned, "segment_idx": 0})
    assert removed.status_code == 404
    assigned = app.patch(f"{path}/segments/0/assign?assign_type=person_id&value={owned['person_id']}")
    assert assigned.status_code == 404
    bulk = app.patch(f"{path}/segments/assign-bulk", json={"speaker": "SPEAKER_00", "person_id": owned["person_id"]})
    assert bulk.status_code == 404
    found = app.post("/v1/memories/search", json={"query": "mountains children", "person_id": owned["person_id"]})
    assert found.status_code in (200, 404)
    if found.status_code == 200:
        assert found.json()["hits"] == []
    assert app.get("/v1/reshapings", params={"memory_id": owned["memory_id"]}).json() == []
    assert len(IN_QUERY) == 3  # a fourth route with an id in its query belongs into this test


def test_a_strangers_processing_memory_cannot_be_claimed_by_creating_a_memory(
    app: App, lived: Json, owned: dict[str, str]
) -> None:
    """The memory's id follows from it; that id in another user's hands is another memory."""
    before = everything(lived["app"])
    mine = app.create_memory(processing_memory_id=owned["processing_memory_id"])
    assert mine["structured"]["title"] != lived["memory"]["structured"]["title"]
    assert mine["transcript_segments"][0]["text"].startswith("We meet on Monday")
    assert app.delete(f"/v1/memories/{mine['id']}").status_code == 204
    assert everything(lived["app"]) == before


def test_events_of_others_are_not_heard(app: App, lived: Json) -> None:
    app.create_memory()
    event = app.events({"new_memory_created", "memory_post_processing_success"}, after=0)
    assert event["memory_id"] != lived["memory_id"]
    assert lived["app"].uid not in str(event)
