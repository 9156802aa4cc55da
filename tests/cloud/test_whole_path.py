"""One conversation through every room of a cloud deployment; each store is looked at past the project's own code."""

from __future__ import annotations

import json

import httpx
import pytest

from demo import material, measure
from demo.app import App
from demo.material import Material
from tests.cloud.deployment import Deployment
from tests.cloud.journey import Journey

pytestmark = pytest.mark.process
LIVE = {"deepgram_streaming", "soniox_streaming", "speechmatics_streaming"}


def test_the_run_succeeds_with_every_step(journey: Journey) -> None:
    assert journey.run["outcome"] == "success", journey.run
    states = {step["name"]: step["state"] for step in journey.run["steps"]}
    expected = ["prepare_audio", "transcribe", "assess", "identify_speakers", "emotions", "publish"]
    assert {name: states[name] for name in expected} == dict.fromkeys(expected, "done")
    # The recording was heard as the live talk was: then the summary made from it is right already.
    assert {states["structure"], states["index"]} <= {"done", "skipped"}


@pytest.mark.parametrize("model", sorted(LIVE | {"fal_whisperx"}))
def test_every_vendors_transcript_is_kept_under_its_name(journey: Journey, model: str) -> None:
    kept = journey.transcripts()
    assert model in kept, sorted(kept)
    assert journey.word_error_rate(kept[model]) < 0.05


def test_the_live_words_came_while_the_talk_went_on(journey: Journey) -> None:
    assert journey.word_error_rate(journey.heard.ordered()) < 0.05
    assert journey.heard.first_word is not None
    assert journey.heard.first_word < journey.heard.duration / 2


def test_the_user_the_known_person_and_the_stranger_are_told_apart(journey: Journey, talk: Material) -> None:
    who = {talk.user: "user", **journey.people, **dict.fromkeys(talk.strangers, "unknown")}
    result = measure.speaker_accuracy(talk.words, journey.memory()["transcript_segments"], who)
    assert result["accuracy"] > 0.95, result


def test_the_document_is_in_firestore_in_the_originals_place(cloud: Deployment, journey: Journey) -> None:
    found = cloud.firestore.document(f"users/{journey.uid}/memories/{journey.memory_id}").get().to_dict()
    assert found is not None
    assert found["id"] == journey.memory_id
    assert found["postprocessing"]["status"] == "completed"
    assert found["structured"]["title"]
    assert not found["discarded"]
    assert not found["deleted"]
    paths = cloud.documents_of(journey.uid)
    base = f"users/{journey.uid}/memories/{journey.memory_id}"
    for model in (*LIVE, "fal_whisperx"):
        assert any(path.startswith(f"{base}/{model}/") for path in paths), model


def test_nothing_of_the_memory_is_in_the_local_twins(cloud: Deployment, journey: Journey) -> None:
    assert cloud.running.environment["DATABASE_URL"].startswith("postgres")
    assert not list(cloud.running.folder.glob("*.sqlite3*"))
    assert not [path for path in (cloud.running.folder / "audio").glob("**/*") if path.is_file()]
    counted = cloud.printed(
        "from omi.stores.models import LocalDocument as D, LocalVector as V; "
        "print('LOCAL', D.objects.count(), V.objects.count())",
    )
    assert "LOCAL 0 0" in counted


def test_the_vector_is_in_pinecone_under_the_originals_id(cloud: Deployment, journey: Journey) -> None:
    identity = f"{journey.uid}-{journey.memory_id}"
    found = cloud.vectors([identity])
    assert list(found) == [identity]
    metadata = found[identity]["metadata"]
    assert (metadata["uid"], metadata["memory_id"]) == (journey.uid, journey.memory_id)
    assert 1_600_000_000 < metadata["created_at"] < 4_000_000_000  # seconds, as the original's filters expect
    assert len(found[identity]["values"]) == 3072


def test_the_recording_is_in_the_bucket_under_a_name_that_gives_nothing_away(
    cloud: Deployment, journey: Journey
) -> None:
    objects = cloud.objects()
    audio = httpx.get(
        f"{cloud.running.url}/v1/memories/{journey.memory_id}/recording/audio",
        headers={"Authorization": f"Bearer {journey.app.token}"},
        timeout=30,
        follow_redirects=True,
    )
    assert audio.status_code == 200
    assert audio.content[:4] == b"RIFF"
    assert len(audio.content) in objects.values()
    for name in objects:
        assert journey.uid not in name
        assert journey.memory_id not in name


def test_fal_got_an_address_that_is_signed_and_ends(journey: Journey) -> None:
    assert len(journey.fal_jobs) == 1
    assert "X-Goog-Signature=" in journey.fal_jobs[0]["text"]
    assert "X-Goog-Expires=" in journey.fal_jobs[0]["text"]


def test_fals_signed_webhook_was_taken_at_once(journey: Journey) -> None:
    assert [item.get("status") for item in journey.fal_jobs[0]["deliveries"]] == [200]


def test_no_recording_was_paid_for_twice(cloud: Deployment, journey: Journey) -> None:
    query = (
        "from memories.pipeline.models import VendorCall as C; "
        f"print('CALLS', sorted(C.objects.filter(run__uid='{journey.uid}', operation__in=['transcribe', 'emotions'])"
        ".values_list('vendor', 'duplicate')))"
    )
    assert "CALLS [('fal_whisperx', False), ('hume', False)]" in cloud.printed(query)


def test_the_emotions_are_humes(journey: Journey) -> None:
    timeline = journey.app.call("GET", f"/v1/memories/{journey.memory_id}/emotions")
    assert timeline["vendor"] == "hume"
    assert timeline["spans"]


def test_a_push_reaches_the_phone_and_a_phone_that_is_gone_is_forgotten(cloud: Deployment, journey: Journey) -> None:
    phone, gone = f"phone-of-{journey.uid}", f"unregistered-{journey.uid}"
    journey.app.call("POST", "/v1/users/fcm-token", json={"fcm_token": gone, "time_zone": "UTC"})
    said = cloud.printed(f"from omi.push import push; print('DELIVERED', push('{journey.uid}', 'Title', 'Body', {{}}))")
    assert "DELIVERED 1" in said
    sent = [json.loads(entry["text"])["message"]["token"] for entry in cloud.vendors.log("fcm", "send")]
    assert {phone, gone} <= set(sent)
    kept = cloud.firestore.document(f"users/{journey.uid}").get().to_dict()
    assert phone in repr(kept)
    assert gone not in repr(kept)


def test_each_event_came_once_and_in_order(journey: Journey) -> None:
    types = [event["type"] for event in journey.events]
    on_the_way = {
        "new_processing_memory_created",
        "memory_post_processing_started",
        "memory_post_processing_waiting",
        "action_item_created",
    }  # when a worker has read the memory, which is every minute
    assert [kind for kind in types if kind not in on_the_way] == [
        "new_memory_creating",
        "new_memory_created",
        "memory_post_processing_success",
    ]
    numbers = [event["event_number"] for event in journey.events]
    assert numbers == sorted(set(numbers))
    socket = [event["type"] for event in journey.heard.events if "event_number" in event]
    assert "new_memory_creating" in socket


@pytest.mark.parametrize("query", material.SEARCHES)
def test_search_finds_the_conversation_by_what_was_said(journey: Journey, query: str) -> None:
    hits = journey.app.call("POST", "/v1/memories/search", json={"query": query, "limit": 3})["hits"]
    assert [hit["memory"]["id"] for hit in hits] == [journey.memory_id]
    assert hits[0]["semantic"] is not None, "the vectors were not asked"


def test_the_mirror_agrees_with_every_store(cloud: Deployment, journey: Journey) -> None:
    cloud.running.manage("mirror", "--check", "--uid", journey.uid)


class TestAnotherUser:
    """A stranger gets 404, never another user's data, never a hint that it exists."""

    @pytest.fixture(scope="class")
    def stranger(self, cloud: Deployment) -> App:
        return cloud.sign_in("eve")[1]

    @pytest.mark.parametrize(
        ("method", "path"),
        [
            ("GET", ""),
            ("PATCH", ""),
            ("DELETE", ""),
            ("GET", "/transcripts"),
            ("GET", "/transcripts/versions"),
            ("GET", "/emotions"),
            ("GET", "/post-processing"),
            ("POST", "/post-processing/cancel"),
            ("POST", "/post-processing/retry"),
            ("GET", "/recording/audio"),
            ("GET", "/speakers"),
            ("POST", "/transcripts/soniox_streaming/activate"),
        ],
    )
    def test_gets_404_for_what_is_not_theirs(self, stranger: App, journey: Journey, method: str, path: str) -> None:
        body = {"json": {"title": "mine now"}} if method == "PATCH" else {}
        stranger.call(method, f"/v1/memories/{journey.memory_id}{path}", expect=404, **body)
        assert journey.memory()["structured"]["title"] != "mine now"

    def test_neither_lists_nor_finds_nor_hears_of_it(self, stranger: App, journey: Journey) -> None:
        assert stranger.call("GET", "/v1/memories") == []
        assert stranger.call("POST", "/v1/memories/search", json={"query": material.SEARCHES[0]})["hits"] == []
        assert stranger.call("GET", "/v1/users/people") == []
        for person in journey.people.values():
            stranger.call("GET", f"/v1/users/people/{person}", expect=404)
