"""One damaged document: every reader of many goes on without it, staff see it, its owner deletes it."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.management import call_command
from django.test import Client

from memories import upkeep
from memories.mirror import compare, move
from memories.models import MemoryRow
from memories.privacy import export
from memories.repository import emotions, memories, processing, transcripts
from memories.search import query
from memories.shapes import Memory
from omi.accounts import tokens, users
from omi.stores.documents import documents
from omi.stores.documents.base import Unreadable
from omi.stores.models import DamagedDocument, LocalDocument
from speakers import people

pytestmark = pytest.mark.django_db
Furnish = Callable[[str, str], Memory]
TEXTS = ["{not json", "", "[1, 2]", '"text"', '{"a": {"$date": "yesterday"}}', "[" * 100_000]


def damage(path: str, text: str = TEXTS[0]) -> None:
    assert LocalDocument.objects.filter(path=path).update(body=text) == 1


def app(uid: str = "ana") -> Client:
    return Client(headers={"Authorization": f"Bearer {tokens.mint(uid)}"}, raise_request_exception=False)


@pytest.fixture
def three(furnish: Furnish) -> None:
    for name in ("m1", "m2", "m3"):
        furnish("ana", name)
    damage("users/ana/memories/m2")


@pytest.mark.parametrize("text", TEXTS)
def test_a_list_shows_the_others_and_tells_staff_the_id(furnish: Furnish, text: str) -> None:
    for name in ("m1", "m2", "m3"):
        furnish("ana", name)
    damage("users/ana/memories/m2", text)
    answer = app().get("/v1/memories")
    assert (answer.status_code, sorted(item["id"] for item in answer.json())) == (200, ["m1", "m3"])
    assert list(DamagedDocument.objects.values_list("path", flat=True)) == ["users/ana/memories/m2"]


def test_pages_go_on_behind_a_damaged_one(three: None) -> None:
    """Also where it is the last of its page."""
    client, seen, cursor = app(), [], ""
    for _ in range(3):
        answer = client.get(f"/v1/memories?limit=1&cursor={cursor}")
        assert answer.status_code == 200
        seen += [item["id"] for item in answer.json()]
        cursor = answer.headers.get("X-Next-Cursor", "")
    assert (sorted(seen), cursor) == (["m1", "m3"], "")


def test_the_one_itself_is_an_error_with_a_log_line(three: None, caplog: pytest.LogCaptureFixture) -> None:
    answer = app().get("/v1/memories/m2")
    assert answer.status_code == 500
    assert "cannot be read" in answer.json()["detail"]
    assert any("users/ana/memories/m2" in str(record.msg) for record in caplog.records)


def test_a_search_finds_the_others(three: None) -> None:
    found = app().post("/v1/memories/search", json.dumps({"query": "secret"}), content_type="application/json")
    assert found.status_code == 200
    assert sorted(hit["memory"]["id"] for hit in found.json()["hits"]) == ["m1", "m3"]
    assert [hit.memory.id for hit in query.search("ana", "title", 10)] != []


def test_its_owner_deletes_it_with_all_that_hangs_on_it(three: None) -> None:
    assert app().delete("/v1/memories/m2").status_code == 204
    assert not LocalDocument.objects.filter(path__startswith="users/ana/memories/m2").exists()
    assert not LocalDocument.objects.filter(path="users/ana/processing_memories/p-m2").exists()
    assert not MemoryRow.objects.filter(memory_id="m2").exists()
    assert not DamagedDocument.objects.exists()
    assert app().delete("/v1/memories/m2").status_code == 404


@pytest.mark.parametrize("path", ["users/ana", "users/ana/memories/m1", "users/ana/people/person-m1",
                                  "users/ana/processing_memories/p-m1"])  # fmt: skip
def test_an_account_is_erased_whatever_is_damaged(furnish: Furnish, path: str) -> None:
    furnish("ana", "m1")
    damage(path)
    answer = app().delete("/v1/users/delete-account")
    assert answer.status_code == 200
    assert answer.json()["receipt"]["complete"] is True
    assert not LocalDocument.objects.filter(path__startswith="users/ana").exists()


def test_the_check_of_the_mirror_names_it_and_compares_the_rest(three: None) -> None:
    damage("users/ana/people/person-m1")
    damage("users/ana/processing_memories/p-m1")
    MemoryRow.objects.filter(memory_id="m3").update(segments=7)
    found = [(item.kind, item.identity) for item in compare.check_user("ana")]
    unreadable = {identity for kind, identity in found if kind == "document_unreadable"}
    assert unreadable == {"m2", "person-m1", "p-m1"}
    assert ("row_stale", "m3") in found
    compare.rebuild_user("ana")
    assert MemoryRow.objects.get(memory_id="m3").segments == 1
    out = io.StringIO()
    with pytest.raises(BaseException, match="differences"):
        call_command("mirror", "--check", stdout=out)
    assert "m2" in out.getvalue()


def test_the_scheduled_sample_goes_on(three: None) -> None:
    found = compare.check_sample(50)
    assert [item.identity for item in found if item.kind == "document_unreadable"] == ["m2"]


def test_an_export_holds_the_rest_and_says_what_is_missing(three: None) -> None:
    with zipfile.ZipFile(io.BytesIO(export.export_user("ana").read())) as archive:
        names = set(archive.namelist())
        assert {"memories/m1.json", "memories/m3.json", "profile.json", "unreadable.json"} <= names
        assert json.loads(archive.read("unreadable.json")) == ["memories/m2"]


def test_a_damaged_version_of_a_transcript_hides_no_other(furnish: Furnish) -> None:
    furnish("ana", "m1")
    one = LocalDocument.objects.filter(collection="users/ana/memories/m1/fal_whisperx").get()
    damage(one.path)
    assert sorted(transcripts.list_transcripts("ana", "m1")) == ["deepgram_streaming"]
    assert app().get("/v1/memories/m1/transcripts/versions").status_code == 200
    damage("users/ana/memories/m1/hume/1")
    assert emotions.load_emotions("ana", "m1") is not None
    damage(LocalDocument.objects.filter(collection="users/ana/memories/m1/photos").get().path)
    assert app().get("/v1/memories/m1/photos").json() == []


def test_a_damaged_segment_of_the_original_hides_no_other(furnish: Furnish) -> None:
    """The original kept a document for each segment; one with a wrong time took the whole transcript along."""
    furnish("ana", "m1")
    where = "users/ana/memories/m1/soniox_streaming"
    documents().set(f"{where}/a", {"text": "Hi.", "start": "soon", "end": 1.0, "speaker": "SPEAKER_00"})
    documents().set(f"{where}/b", {"text": "Hello there.", "start": 1.0, "end": 2.0, "speaker": "SPEAKER_00"})
    documents().set(f"{where}/c", {"text": 5, "start": 2.0, "end": 3.0, "speaker": "SPEAKER_00"})
    [version] = transcripts.list_versions("ana", "m1", "soniox_streaming")
    assert [(item.id, item.text) for item in version.segments] == [("b", "Hello there.")]
    assert {row.path for row in DamagedDocument.objects.all()} == {f"{where}/a", f"{where}/c"}


def test_a_photo_with_a_strange_place_hides_neither_its_memory_nor_the_others(furnish: Furnish) -> None:
    furnish("ana", "m1")
    documents().set("users/ana/memories/m1/photos/odd", {"base64": "aGk=", "description": "odd", "index": "first"})
    documents().set("users/ana/memories/m1/photos/bad", {"base64": 5})
    assert sorted(photo.description for photo in memories.get_memory("ana", "m1").photos) == ["d", "odd"]
    assert app().get("/v1/memories/m1").status_code == 200


@pytest.mark.parametrize("data", [{"vendor": "hume"}, {"transcript_segments": 5}, {"transcript_segments": [{}]}])
def test_a_damaged_timeline_of_emotions_is_none(data: dict[str, Any], furnish: Furnish) -> None:
    furnish("ana", "m1")
    documents().set("users/ana/memories/m1/emotions/odd", data)
    documents().delete("users/ana/memories/m1/hume/1")
    assert emotions.load_emotions("ana", "m1") is None
    assert app().get("/v1/memories/m1/emotions").status_code == 404


def test_a_measurement_of_the_original_without_end_hides_no_other(furnish: Furnish) -> None:
    furnish("ana", "m1")
    documents().set("users/ana/memories/m1/hume/odd", {"start": float("inf"), "end": 2.0})
    assert [span["end"] for span in app().get("/v1/memories/m1/emotions").json()["spans"]] == [1.0]


def test_a_damaged_person_hides_no_other(furnish: Furnish) -> None:
    furnish("ana", "m1")
    people.create_person("ana", "Clara")
    damage("users/ana/people/person-m1")
    assert list(people.names("ana").values()) == ["Clara"]
    assert app().get("/v1/users/people").status_code == 200
    assert app().get("/v1/users/people/person-m1").status_code == 404


def test_a_damaged_conversation_does_not_keep_its_user_from_talking(furnish: Furnish) -> None:
    furnish("ana", "m1")
    assert processing.latest_open("ana", None) is not None
    damage("users/ana/processing_memories/p-m1")
    assert processing.latest_open("ana", None) is None


def test_a_damaged_profile_allows_nothing_and_stops_nothing(furnish: Furnish) -> None:
    furnish("ana", "m1")
    damage("users/ana")
    assert not users.get_user("ana").store_recording_permission
    assert app().get("/v1/memories").status_code == 200
    assert app().get("/v1/users/store-recording-permission").status_code == 200
    with pytest.raises(Unreadable):  # a write would put a document of one field in its place
        users.update_user("ana", name="Ana")


def test_a_profile_with_a_number_for_its_devices_is_a_damaged_one(furnish: Furnish) -> None:
    furnish("ana", "m1")
    documents().set("users/ana", {"fcm_tokens": 5, "store_recording_permission": True})
    assert not users.get_user("ana").store_recording_permission
    assert app().get("/v1/users/store-recording-permission").status_code == 200
    assert DamagedDocument.objects.filter(path="users/ana").exists()


def test_a_move_of_stores_moves_the_rest_and_names_it(three: None) -> None:
    unreadable: list[str] = []
    moved = [document.path for document in move.tree(documents(), "users/ana", unreadable)]
    assert unreadable == ["users/ana/memories/m2"]
    assert {"users/ana/memories/m1", "users/ana/memories/m3"} <= set(moved)


def test_staff_see_it_in_a_list_and_its_page_opens(three: None) -> None:
    app().get("/v1/memories")
    client = Client()
    client.force_login(User.objects.create_superuser("ana"))
    listed = client.get("/admin/stores/damageddocument/")
    assert listed.status_code == 200
    assert b"users/ana/memories/m2" in listed.content
    assert client.get("/admin/memories/memoryrow/").status_code == 200
    row = MemoryRow.objects.get(memory_id="m2")
    shown = client.get(f"/admin/memories/memoryrow/{row.pk}/change/")
    assert (shown.status_code, b"cannot be read" in shown.content) == (200, True)


def test_a_repaired_one_leaves_the_list(three: None) -> None:
    app().get("/v1/memories")
    assert upkeep.look_again() == 0
    body = LocalDocument.objects.get(path="users/ana/memories/m1").body
    damage("users/ana/memories/m2", body)
    assert upkeep.look_again() == 1
    assert not DamagedDocument.objects.exists()


def test_a_known_one_is_not_written_again_at_every_look(three: None, django_assert_num_queries: Any) -> None:
    memories.list_memories("ana")
    first = DamagedDocument.objects.get().last_seen
    memories.list_memories("ana")
    assert DamagedDocument.objects.get().last_seen == first
