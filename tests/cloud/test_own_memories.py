"""What a user does with memories, on the stores of a cloud deployment: labels, templates, healings, merging, recordings
captured offline; and that nothing of it is left when the account goes."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from demo import material
from demo.app import App
from demo.material import Material
from tests.cloud.deployment import Deployment
from tests.cloud.journey import PART

pytestmark = pytest.mark.process

NOON = datetime.now(UTC).replace(hour=12, minute=0, second=0, microsecond=0) - timedelta(days=2)
NO_PLUGINS = {"trigger_integrations": "false"}


def until(asked: Callable[[], Any], seconds: float = 90.0) -> Any:
    """What ``asked`` gives as soon as it is true."""
    end = time.monotonic() + seconds
    while not (found := asked()):
        assert time.monotonic() < end
        time.sleep(0.3)
    return found


@pytest.fixture(scope="module")
def owner(cloud: Deployment) -> tuple[str, App]:
    return cloud.sign_in("owner")


@pytest.fixture(scope="module")
def app(owner: tuple[str, App]) -> App:
    return owner[1]


@pytest.fixture(scope="module")
def harbour(app: App) -> list[str]:
    """Two talks of one morning, an hour between them."""
    return [
        _talk(app, 0, "Hannah rents the boat at the harbour.", "She pays four hundred dollars for it."),
        _talk(app, 60, "Hannah called about the sails.", "Please order new sails by Friday."),
    ]


def _talk(app: App, minute: int, *said: str) -> str:
    segments = [
        {"text": text, "speaker": "SPEAKER_00", "is_user": True, "start": 5 * place, "end": 5 * place + 4}
        for place, text in enumerate(said)
    ]
    at = NOON + timedelta(minutes=minute)
    given = {"started_at": at.isoformat(), "finished_at": (at + timedelta(seconds=30)).isoformat(), "language": "en"}
    made = app.call("POST", "/v1/memories", params=NO_PLUGINS, json={**given, "transcript_segments": segments})
    until(lambda: _memory(app, made["memory"]["id"])["structured"]["title"])
    return str(made["memory"]["id"])


def _memory(app: App, memory_id: str) -> dict[str, Any]:
    return dict(app.call("GET", f"/v1/memories/{memory_id}"))


def _words(app: App, memory_id: str) -> str:
    return " ".join(item["text"] for item in _memory(app, memory_id)["transcript_segments"])


def test_a_folder_is_in_the_document_and_in_the_filters(
    cloud: Deployment, owner: tuple[str, App], harbour: list[str]
) -> None:
    uid, app = owner
    folder = app.call("POST", "/v1/labels", json={"kind": "folder", "name": "Sailing"})["id"]
    app.call("PATCH", f"/v1/memories/{harbour[0]}/labels", json={"folder_id": folder})
    document = cloud.firestore.document(f"users/{uid}/memories/{harbour[0]}").get().to_dict()
    assert document["edits"]["folder_id"] == folder
    assert [item["id"] for item in app.call("GET", "/v1/memories", params={"folder": folder})] == harbour[:1]
    found = app.call("GET", "/v1/search", params={"q": "Hannah", "folder": folder})["hits"]
    assert [hit["memory_id"] for hit in found] == harbour[:1]


def test_a_template_is_filled_by_the_model(app: App, harbour: list[str]) -> None:
    app.call("PUT", f"/v1/memories/{harbour[1]}/template", json={"template_id": "meeting"})
    made = until(lambda: _memory(app, harbour[1])["structured"].get("template"))
    assert made["id"] == "meeting"
    assert made["method"] not in ("", "extractive")
    sections = _memory(app, harbour[1])["structured"]["sections"]
    assert [point for section in sections for point in section["points"]]


def test_a_misheard_name_is_put_right_in_both_and_back(app: App, harbour: list[str]) -> None:
    healing = app.call("POST", "/v1/vocabulary/healings", json={"heard": "Hannah", "term": "Hanna"})
    assert (healing["state"], healing["memories"]) == ("done", 2)
    assert all("Hanna " in _words(app, memory_id) for memory_id in harbour)
    app.call("POST", f"/v1/vocabulary/healings/{healing['id']}/undo")
    assert all("Hannah " in _words(app, memory_id) for memory_id in harbour)


def test_two_become_one_in_every_store_and_two_again(
    cloud: Deployment, owner: tuple[str, App], harbour: list[str]
) -> None:
    uid, app = owner
    before = [_memory(app, memory_id) for memory_id in harbour]
    asked = app.call("POST", "/v1/memories/merge", json={"memory_ids": harbour})
    where = f"/v1/reshapings/{asked['id']}"
    until(lambda: app.call("GET", where)["state"] == "done")
    (made,) = app.call("GET", where)["made"]
    assert _words(app, made) == " ".join(item["text"] for memory in before for item in memory["transcript_segments"])
    assert cloud.vectors([f"{uid}-{made}"])
    assert cloud.vectors([f"{uid}-{memory_id}" for memory_id in harbour]) == {}
    found = app.call("GET", "/v1/search", params={"q": "sails"})["hits"]
    assert [hit["memory_id"] for hit in found] == [made]
    until(lambda: app.call("GET", f"/v1/memories/{made}/post-processing")["state"] == "finished")

    app.call("POST", f"{where}/undo")
    until(lambda: app.call("GET", where)["state"] == "undone")
    for memory in before:
        back = _memory(app, memory["id"])
        assert (back["structured"], back["transcript_segments"]) == (
            memory["structured"],
            memory["transcript_segments"],
        )
    app.call("GET", f"/v1/memories/{made}", expect=404)
    assert len(cloud.vectors([f"{uid}-{memory_id}" for memory_id in (*harbour, made)])) == 2


def test_a_recording_from_offline_becomes_a_memory_of_its_time(app: App, talk: Material) -> None:
    content = material.pcm(talk.recording)[: round(PART * 16_000) * 2]
    file = {"captured_at": NOON.isoformat(), "codec": "pcm16", "size": len(content),
            "sha256": hashlib.sha256(content).hexdigest()}  # fmt: skip
    batch = app.call("POST", "/v1/sync", json={"device_id": "pendant", "files": [file]})
    headers = {"Upload-Offset": "0", "Content-Type": "application/offset+octet-stream"}
    app.call("PATCH", batch["files"][0]["upload"], expect=204, content=content, headers=headers)
    until(lambda: app.call("GET", f"/v1/sync/{batch['id']}")["state"] == "done")
    (conversation,) = app.call("GET", f"/v1/sync/{batch['id']}")["conversations"]
    until(lambda: app.http.get(f"/v1/memories/{conversation['memory_id']}").status_code == 200)
    made = _memory(app, conversation["memory_id"])
    began = datetime.fromisoformat(made["started_at"])
    assert timedelta(0) <= began - NOON < timedelta(seconds=10)
    assert len(made["transcript_segments"]) > 2


def test_nothing_of_all_this_is_left_when_the_account_goes(cloud: Deployment, owner: tuple[str, App]) -> None:
    uid, app = owner
    ids = [memory["id"] for memory in app.call("GET", "/v1/memories")]
    assert len(ids) == 3
    app.call("DELETE", "/v1/users/delete-account")
    verify = f"from django.core.management import call_command; call_command('erase_user', '{uid}', '--verify')"
    assert "nothing of this user is left" in cloud.printed(verify)
    assert cloud.documents_of(uid) == {}
    assert cloud.vectors([f"{uid}-{memory_id}" for memory_id in ids]) == {}
