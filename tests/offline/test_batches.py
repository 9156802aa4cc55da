"""The doors of offline batches: what is announced, how pieces come, and what is refused."""

from __future__ import annotations

import io
import json
import zipfile
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.utils import timezone

from memories.offline import batches, ending, reading, receiving, working
from memories.offline.models import SyncBatch, SyncFile
from memories.pipeline.models import DailyUse
from memories.privacy import erasure, export
from omi.stores import audio
from omi.stores.models import AudioObject
from tests.offline.conftest import UID, App, at, pcm, told
from tests.pipeline import fakes

pytestmark = pytest.mark.django_db
CONTENT = pcm(("talk", 3.0))
HALF = len(CONTENT) // 2


def refused(app: App, *files: dict[str, Any], **more: Any) -> Any:
    return app.post("/v1/sync", {"files": list(files), **more})


def kept() -> int:
    return AudioObject.objects.filter(deleted_at=None).count()


def test_an_upload_goes_on_where_it_broke_off(app: App) -> None:
    batch = app.announce(told(CONTENT, 0))
    upload = batch["files"][0]["upload"]
    assert app.piece(upload, CONTENT[:HALF]).headers["Upload-Offset"] == str(HALF)
    head = app.client.head(upload)
    asked = [head.headers[name] for name in ("Upload-Offset", "Upload-Length", "Tus-Resumable", "Cache-Control")]
    assert (head.status_code, asked) == (200, [str(HALF), str(len(CONTENT)), "1.0.0", "no-store"])
    answer = app.piece(upload, CONTENT[HALF:], HALF)
    assert (answer.status_code, answer.headers["Upload-Offset"]) == (204, str(len(CONTENT)))
    assert (app.shown(batch["id"])["state"], app.states(batch["id"])) == ("queued", ["whole"])
    stored = SyncFile.objects.get()
    assert b"".join(audio.open(name).read() for name in stored.pieces) == CONTENT


@pytest.mark.parametrize("offset", [0, HALF + 1, 10**9])
def test_a_piece_that_does_not_follow_is_told_where_to_begin(app: App, offset: int) -> None:
    upload = app.announce(told(CONTENT, 0))["files"][0]["upload"]
    app.piece(upload, CONTENT[:HALF])
    answer = app.piece(upload, CONTENT[HALF:], offset)
    assert (answer.status_code, answer.json()["offset"], answer.headers["Upload-Offset"]) == (409, HALF, str(HALF))
    assert kept() == 1


def test_a_piece_that_was_taken_twice_at_once_counts_once(app: App, monkeypatch: pytest.MonkeyPatch) -> None:
    upload = app.announce(told(CONTENT, 0))["files"][0]["upload"]
    real = audio.put

    def slow(*args: Any, **kwargs: Any) -> Any:
        monkeypatch.setattr(audio, "put", real)
        assert app.piece(upload, CONTENT[:HALF]).status_code == 204  # the client's second try is faster
        return real(*args, **kwargs)

    monkeypatch.setattr(audio, "put", slow)
    assert app.piece(upload, CONTENT[:HALF]).status_code == 409
    assert (kept(), SyncFile.objects.get().offset) == (1, HALF)


def test_more_than_was_announced_is_refused_and_not_kept(app: App, settings: Any) -> None:
    upload = app.announce(told(CONTENT, 0))["files"][0]["upload"]
    assert app.piece(upload, CONTENT + b"x").status_code == 413
    settings.OMI_SYNC_PIECE_BYTES = 1000
    assert app.piece(upload, CONTENT[:1001]).status_code == 413
    assert app.piece(upload, CONTENT[:1000]).status_code == 204
    assert kept() == 1


def test_a_file_may_not_come_in_more_pieces_than_may_be(app: App, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(receiving, "MOST_PIECES", 2)
    upload = app.announce(told(CONTENT, 0))["files"][0]["upload"]
    answers = [app.piece(upload, CONTENT[number : number + 1], number).status_code for number in range(3)]
    assert answers == [204, 204, 413]


def test_an_empty_piece_changes_nothing(app: App) -> None:
    upload = app.announce(told(CONTENT, 0))["files"][0]["upload"]
    empty = {"Content-Type": "application/offset+octet-stream"}
    assert app.piece(upload, b"", **empty).headers["Upload-Offset"] == "0"
    assert kept() == 0


@pytest.mark.parametrize(
    ("headers", "kind", "code"),
    [
        ({"Upload-Offset": "-1"}, "application/offset+octet-stream", 422),
        ({}, "application/offset+octet-stream", 422),
        ({"Upload-Offset": "0"}, "application/octet-stream", 415),
        ({"Upload-Offset": "0", "Tus-Resumable": "0.2.2"}, "application/offset+octet-stream", 412),
    ],
    ids=["no number", "no offset", "another type", "another version"],
)
def test_what_is_no_piece_is_refused(app: App, headers: dict[str, str], kind: str, code: int) -> None:
    upload = app.announce(told(CONTENT, 0))["files"][0]["upload"]
    answer = app.client.generic("PATCH", upload, CONTENT, kind, headers=headers)
    assert (answer.status_code, answer.headers["Tus-Resumable"]) == (code, "1.0.0")
    assert kept() == 0


def test_a_files_name_may_be_of_any_script(app: App) -> None:
    app.announce({**told(CONTENT, 0), "name": "Recording at 3.04.05\u202fPM \U0001f468\u200d\U0001f467.m4a"})


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("captured_at", "1970-01-01T00:00:00Z"),
        ("captured_at", "2999-01-01T00:00:00Z"),
        ("captured_at", "yesterday"),
        ("codec", "mulaw8"),
        ("sample_rate", 11_025),
        ("size", 0),
        ("sha256", "A" * 64),
        ("name", "a\nb"),
        ("more", 1),
    ],
)
def test_a_file_that_cannot_be_is_refused_with_its_place(app: App, field: str, value: Any) -> None:
    answer = refused(app, told(CONTENT, 0), {**told(CONTENT, 0), field: value})
    assert answer.status_code == 422, answer.content
    assert answer.json()["detail"][0]["loc"][:3] == ["body", "files", 1]
    assert not SyncBatch.objects.exists()


def test_what_is_too_much_is_told_as_such(app: App, settings: Any) -> None:
    settings.OMI_SYNC_FILES = 2
    many = [told(pcm(("talk", 1.0), seed=seed), seed) for seed in range(3)]
    assert (refused(app, *many).status_code, refused(app).status_code) == (422, 422)
    settings.OMI_MAX_UPLOAD_BYTES = 100
    assert refused(app, many[0]).status_code == 413
    settings.OMI_MAX_UPLOAD_BYTES = 10**9
    settings.OMI_SYNC_BYTES = 50_000
    app.announce(many[0])
    answer = refused(app, many[1])
    assert (answer.status_code, answer.headers["Retry-After"]) == (429, "600")
    settings.OMI_SYNC_BYTES = 10**9
    settings.OMI_SYNC_BATCHES = 1
    assert refused(app, many[1]).status_code == 429
    settings.OMI_SYNC_BATCHES = 5
    settings.OMI_UPLOAD_BYTES_PER_DAY = 60_000
    assert "Retry-After" in refused(app, many[1]).headers
    assert DailyUse.objects.get(kind="upload_bytes").amount == 32_000
    assert SyncBatch.objects.count() == 1


def test_batches_of_a_day_are_bounded_also_where_nothing_has_to_be_sent(
    app: App, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batches, "MOST_PER_DAY", 1)
    app.announce(told(CONTENT, 0))
    SyncBatch.objects.update(state="done")
    assert refused(app, told(CONTENT, 0)).status_code == 429


def test_the_same_key_gives_the_same_batch_and_other_files_are_a_conflict(app: App) -> None:
    headers = {"Idempotency-Key": "walk-1"}
    first = app.announce(told(CONTENT, 0), **headers)
    assert app.announce(told(CONTENT, 0), **headers)["id"] == first["id"]
    body = {"device_id": "pendant", "files": [told(CONTENT, 1)]}
    assert app.post("/v1/sync", body, **headers).status_code == 409
    assert app.post("/v1/sync", body, **{"Idempotency-Key": "k" * 256}).status_code == 422


def test_a_file_twice_in_one_batch_is_sent_once(app: App) -> None:
    batch = app.announce(told(CONTENT, 0), told(CONTENT, 0))
    assert [item["state"] for item in batch["files"]] == ["waiting", "duplicate"]
    assert app.piece(batch["files"][1]["upload"], CONTENT).status_code == 409


def test_a_file_that_another_batch_never_got_is_sent_again(app: App) -> None:
    app.announce(told(CONTENT, 0))
    assert app.announce(told(CONTENT, 0))["files"][0]["state"] == "waiting"


def test_a_whole_file_of_a_batch_that_misses_another_is_sent_again_and_taken_once(app: App, make: Any) -> None:
    fakes.SCRIPT["first"] = [fakes.words("hello there my friend", start=1.0)]
    other = pcm(("talk", 3.0), seed=2)
    left = app.announce(told(CONTENT, 0), told(other, 600))
    app.piece(left["files"][0]["upload"], CONTENT)  # the app dies, and begins anew
    assert app.announce(told(CONTENT, 0))["files"][0]["state"] == "waiting"
    batch = app.send((CONTENT, 0, "pcm16"))
    assert (working.work(batch), app.states(batch)) == ("done", ["placed"])
    make()
    erasure.erase_memory(UID, app.shown(batch)["files"][0]["memory_ids"][0])
    app.post(f"/v1/sync/{left['id']}/finish")
    assert (working.work(left["id"]), app.states(left["id"])) == ("done", ["duplicate", "missing"])
    assert (make(), kept()) == ([], 0)


def test_bytes_are_a_duplicate_only_once_they_were_looked_at(app: App) -> None:
    wrong = bytes(len(CONTENT))
    batch = app.announce(told(CONTENT, 0))
    app.piece(batch["files"][0]["upload"], wrong)
    again = app.announce(told(CONTENT, 0))
    assert again["files"][0]["state"] == "waiting"  # what came is not what was announced, as the worker finds
    assert (working.work(batch["id"]), app.states(batch["id"])) == ("done", ["refused"])


def test_finished_early_the_rest_is_missing_and_no_more_bytes_are_taken(app: App) -> None:
    other = pcm(("talk", 3.0), seed=2)
    batch = app.announce(told(CONTENT, 0), told(other, 60))
    first, second = (item["upload"] for item in batch["files"])
    app.piece(first, CONTENT)
    app.piece(second, other[:100])
    for _ in range(2):
        assert app.post(f"/v1/sync/{batch['id']}/finish").json()["state"] == "queued"
    assert app.states(batch["id"]) == ["whole", "missing"]
    assert (app.piece(second, other[100:], 100).status_code, kept()) == (409, 1)


def test_a_dropped_batch_leaves_no_bytes(app: App) -> None:
    batch = app.announce(told(CONTENT, 0))
    app.piece(batch["files"][0]["upload"], CONTENT[:HALF])
    assert app.client.delete(f"/v1/sync/{batch['id']}").status_code == 204
    assert (kept(), app.client.get(f"/v1/sync/{batch['id']}").status_code) == (0, 404)


def test_a_piece_that_comes_while_its_batch_is_dropped_is_not_kept(app: App, monkeypatch: pytest.MonkeyPatch) -> None:
    batch = app.announce(told(CONTENT, 0))
    upload = batch["files"][0]["upload"]
    app.piece(upload, CONTENT[:HALF])
    real = audio.delete

    def meanwhile(obj: Any) -> bool:
        monkeypatch.setattr(audio, "delete", real)
        assert app.piece(upload, CONTENT[HALF:], HALF).status_code == 409
        return real(obj)

    monkeypatch.setattr(audio, "delete", meanwhile)
    assert app.client.delete(f"/v1/sync/{batch['id']}").status_code == 204
    assert (kept(), SyncBatch.objects.count()) == (0, 0)


def test_the_store_is_not_waited_for_in_a_transaction(app: App, monkeypatch: pytest.MonkeyPatch) -> None:
    batch = app.announce(told(CONTENT, 0))
    app.piece(batch["files"][0]["upload"], CONTENT[:HALF])
    real, open_transactions = audio.delete, []

    def delete(obj: Any) -> bool:
        open_transactions.append(len(connection.savepoint_ids))  # beside the test's own
        return real(obj)

    monkeypatch.setattr(audio, "delete", delete)
    app.post(f"/v1/sync/{batch['id']}/finish")
    assert (open_transactions, kept()) == ([0], 0)


def test_many_batches_are_read_as_quickly_as_one(app: App, django_assert_num_queries: Any) -> None:
    for seed in range(3):
        app.announce(told(pcm(("talk", 1.0), seed=seed), seed))
    found = list(batches.of_user(UID))
    with django_assert_num_queries(4):
        assert [len(item.batch.files.all()) for item in reading.shown(found)] == [1, 1, 1]


def test_batches_are_listed_newest_first_in_pages(app: App) -> None:
    made = [app.announce(told(pcm(("talk", 1.0), seed=seed), seed))["id"] for seed in range(3)]
    first = app.client.get("/v1/sync?limit=2").json()
    rest = app.client.get(f"/v1/sync?limit=2&before={first[-1]['id']}").json()
    assert [item["id"] for item in (*first, *rest)] == made[::-1]


def test_of_a_stranger_it_knows_nothing(app: App) -> None:
    batch = app.announce(told(CONTENT, 0))
    bob = App("bob")
    upload = batch["files"][0]["upload"]
    asked = [
        bob.client.get(f"/v1/sync/{batch['id']}"), bob.post(f"/v1/sync/{batch['id']}/finish"),
        bob.client.delete(f"/v1/sync/{batch['id']}"), bob.client.head(upload), bob.piece(upload, CONTENT),
        bob.client.get(f"/v1/sync?before={batch['id']}"), bob.client.head(f"/v1/sync/{batch['id']}/files/99"),
    ]  # fmt: skip
    assert {answer.status_code for answer in asked} == {404}
    assert (bob.client.get("/v1/sync").json(), kept()) == ([], 0)
    assert bob.announce(told(CONTENT, 0))["files"][0]["state"] == "waiting"  # what alice sent tells bob nothing


def test_the_export_has_the_batches_and_the_erasure_leaves_none(app: App) -> None:
    fakes.SCRIPT["first"] = [fakes.words("one")]
    batch = app.send((CONTENT, 0, "pcm16"))
    assert working.work(batch) == "done"
    app.piece(app.announce(told(pcm(("talk", 4.0)), 900))["files"][0]["upload"], b"1234")
    with zipfile.ZipFile(io.BytesIO(export.export_user(UID).read())) as archive:
        shown = {item["id"]: item for item in json.loads(archive.read("offline.json"))}
        assert [name for name in archive.namelist() if name.startswith("audio/sync/")]
    assert shown[batch]["files"][0]["captured_at"] == at(0).isoformat()
    assert shown[batch]["conversations"][0]["memory_id"]
    erasure.erase_user(UID)
    assert {name: left for name, left in erasure.verify_user_erased(UID).items() if left} == {}


def test_an_erased_memory_is_no_longer_named_and_its_file_does_not_make_it_again(app: App, make: Any) -> None:
    fakes.SCRIPT["first"] = [fakes.words("one")]
    batch = app.send((CONTENT, 0, "pcm16"))
    working.work(batch)
    make()
    memory_id = app.shown(batch)["files"][0]["memory_ids"][0]
    erasure.erase_memory(UID, memory_id, now=True)
    assert app.shown(batch)["files"][0]["memory_ids"] == []
    assert app.announce(told(CONTENT, 0))["files"][0]["state"] == "duplicate"


def test_rows_of_batches_that_are_over_go_after_their_time(app: App) -> None:
    working.work(app.send((pcm(("quiet", 3.0)), 0, "pcm16")))
    app.announce(told(CONTENT, 0))
    SyncBatch.objects.update(ended_at=timezone.now() - ending.KEPT - timedelta(days=1))
    SyncBatch.objects.filter(state="receiving").update(ended_at=None)
    assert ending.prune() == 1
    assert [item.batch.state for item in SyncFile.objects.all()] == ["receiving"]


def test_nothing_came_of_a_batch_in_its_time(app: App) -> None:
    batch = app.announce(told(CONTENT, 0))
    app.piece(batch["files"][0]["upload"], CONTENT[:100])
    SyncBatch.objects.update(expires_at=timezone.now() - timedelta(seconds=1))
    assert working.tick() == 0
    assert (app.shown(batch["id"])["state"], app.states(batch["id"]), kept()) == ("expired", ["missing"], 0)
