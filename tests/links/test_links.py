"""A link shows what its owner chose, to whoever has it, until it expires or is revoked; and nothing else."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from memories import editing, upkeep
from memories.links import shared
from memories.links.models import SharedLink
from memories.privacy import erasure
from memories.privacy.export import export_user
from memories.shapes import ActionItem, Event, Memory, Structured
from omi.core.masking import masked
from speakers import people
from tests.api.conftest import Caller

Make = Callable[..., Memory]
M = "/v1/memories/alice-memory-1"
ALL = ["title", "overview", "action_items", "events", "transcript"]


@pytest.fixture
def memory(make_memory: Make) -> Memory:
    structured = Structured(
        title="Boat trip", overview="They plan.", action_items=[ActionItem(description="Buy bread", owner="Zacharias")],
        events=[Event(title="Trip", start=timezone.now())],
    )  # fmt: skip
    made = make_memory(
        "alice", structured=structured, geolocation={"latitude": 1.5, "longitude": 2.5, "address": "Harbour 1"},
        recording="recording.wav", external_data={"secret": "external"},
    )  # fmt: skip
    person = people.create_person("alice", "Zacharias")
    return editing.assign_segments("alice", made.id, ["s0"], editing.Decision(person_id=person.id))


def made(app: Caller, **body: Any) -> dict[str, Any]:
    answer = app.send("POST", f"{M}/links", body)
    assert answer.status_code == 200, answer.content
    assert answer["Cache-Control"] == "no-store"
    link: dict[str, Any] = answer.json()
    return link


def test_a_link_shows_the_chosen_fields_and_no_other(memory: Memory, alice: Caller) -> None:
    for fields in (["title"], ["overview", "transcript"], ["events", "action_items"]):
        shown = Client().get(made(alice, fields=fields)["url"]).json()
        assert [name for name in ALL if shown[name] is not None] == sorted(fields, key=ALL.index)
    told = Client().get(made(alice, fields=["transcript"])["url"]).json()["transcript"]
    assert [item["text"] for item in told] == [item.text for item in memory.transcript_segments]


def test_nothing_of_place_people_or_recording_shows_through(memory: Memory, alice: Caller) -> None:
    answer = Client().get(made(alice, fields=ALL)["url"])
    person = memory.transcript_segments[0].person_id
    assert person
    for secret in (person, "Zacharias", "Harbour", "recording.wav", "external", "alice", "1.5", '"id"'):
        assert secret not in answer.content.decode()
    assert answer["Referrer-Policy"] == "no-referrer"
    assert answer["Cache-Control"] == "no-store"


def test_views_are_counted_and_a_revoked_link_is_gone(memory: Memory, alice: Caller) -> None:
    link = made(alice)
    for _ in range(3):
        assert Client().get(link["url"]).status_code == 200
    listed = alice.get(f"{M}/links").json()
    assert [(item["id"], item["views"], item["expired"]) for item in listed] == [(link["id"], 3, False)]
    assert "url" not in listed[0]
    assert alice.delete(f"{M}/links/{link['id']}").status_code == 204
    assert alice.delete(f"{M}/links/{link['id']}").status_code == 404
    never = Client().get("/v1/shared/never-was")
    gone = Client().get(link["url"])
    assert (gone.status_code, gone.json()) == (never.status_code, never.json()) == (404, never.json())


def test_a_link_expires_and_is_cleared_up_a_month_later(memory: Memory, alice: Caller) -> None:
    link = made(alice, days=1)
    SharedLink.objects.update(expires_at=timezone.now() - timedelta(seconds=1))
    assert Client().get(link["url"]).status_code == 404
    assert alice.get(f"{M}/links").json()[0]["expired"] is True
    assert upkeep.prune() == 0
    SharedLink.objects.update(expires_at=timezone.now() - shared.KEPT - timedelta(seconds=1))
    assert upkeep.prune() == 1


def test_a_link_ends_with_the_memory_and_with_the_account(memory: Memory, alice: Caller, make_memory: Make) -> None:
    link = made(alice)
    assert alice.delete(M).status_code == 204
    assert Client().get(link["url"]).status_code == 404
    assert not SharedLink.objects.exists()
    other = make_memory("alice")
    answer = alice.send("POST", f"/v1/memories/{other.id}/links", {}).json()
    erasure.erase_user("alice")
    assert erasure.verify_user_erased("alice") == {}
    assert Client().get(answer["url"]).status_code == 404


def test_the_secret_is_stored_exported_and_logged_nowhere(memory: Memory, alice: Caller) -> None:
    link = made(alice)
    secret = link["url"].rsplit("/", 1)[1]
    assert secret not in json.dumps(list(SharedLink.objects.values()), default=str)
    assert secret not in masked(f"GET {link['url']} HTTP/1.1")
    assert export_user("alice").read()
    assert [item["id"] for item in shared.exported("alice")["links"]] == [link["id"]]


def test_links_are_bounded_per_memory(memory: Memory, alice: Caller, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shared, "MOST_PER_MEMORY", 2)
    for _ in range(2):
        made(alice)
    assert alice.send("POST", f"{M}/links", {}).status_code == 409
    SharedLink.objects.update(expires_at=timezone.now())
    made(alice)


@pytest.mark.parametrize(
    "body",
    [
        {"fields": []},
        {"fields": ["geolocation"]},
        {"days": 0},
        {"days": 366},
        {"days": "7"},
        {"audio": "yes"},
        {"voices": True},
    ],
)
def test_what_does_not_fit_is_refused(memory: Memory, alice: Caller, body: dict[str, Any]) -> None:
    assert alice.send("POST", f"{M}/links", body).status_code == 422


def test_strangers_have_a_rate_by_address(memory: Memory, alice: Caller, settings: Any) -> None:
    url = made(alice)["url"]
    settings.OMI_STRANGERS_PER_MINUTE = 2
    assert [Client().get(url, REMOTE_ADDR="192.0.2.8").status_code for _ in range(3)] == [200, 200, 429]
