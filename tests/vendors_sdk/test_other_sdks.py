"""hume-expression-measurement, pinecone and firebase-admin's messaging against the simulators."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import firebase_admin
import httpx
import numpy as np
import pytest
from firebase_admin import credentials, exceptions, messaging
from google.oauth2.credentials import Credentials
from hume_expression_measurement import (
    AudioFileConfig,
    ExpressionMeasurementClient,
    ExpressionMeasurementClientEnvironment,
)
from hume_expression_measurement.core.api_error import ApiError
from pinecone import Pinecone
from pinecone.exceptions import PineconeException

from demo.vendors.server import VendorServer
from demo.vendors.truth import Recording, resample
from tests.support import sound


def hume(vendors: VendorServer, key: str = "sim-key") -> ExpressionMeasurementClient:
    base = vendors.urls["HUME_URL"]
    environment = ExpressionMeasurementClientEnvironment(base=base, production=base.replace("http", "ws", 1))
    return ExpressionMeasurementClient(api_key=key, environment=environment)


ONCE: Any = {"max_retries": 0}


def test_hume_measures_utterances_of_the_real_audio(vendors: VendorServer, wav: bytes, recording: Recording) -> None:
    answer = hume(vendors).audio.measure(
        file=("a.wav", wav, "audio/wav"), config=AudioFileConfig(measurement_timer_ms=3000)
    )
    assert answer.received.audio_duration_ms == pytest.approx(recording.seconds * 1000, abs=1)
    assert len(answer.utterances) == 3
    assert answer.utterances[0].audio_start_ms == pytest.approx(recording.words[0].start * 1000, abs=60)
    assert {m.trigger for m in answer.measurements} == {"speech_ended"}
    for measurement in answer.measurements:
        chances = [e.probability for e in measurement.expressions]
        assert chances == sorted(chances, reverse=True)
        assert 0 < chances[0] <= 1
    quiet = resample(recording.pcm, 16000, 16000) // 200
    silent = hume(vendors).audio.measure(file=("a", quiet.astype(np.int16).tobytes(), "application/octet-stream"))
    assert silent.utterances == []
    assert silent.measurements == []


def test_hume_refuses_what_it_cannot_take(vendors: VendorServer, wav: bytes) -> None:
    cases = [
        (sound.wav(bytes(16000), 8000), "sim-key", 400, "audio_decode_failed"),
        (b"odd", "sim-key", 400, "audio_decode_failed"),
        (wav[:-100], "sim-key", 400, "audio_decode_failed"),
        (b"fLaC" + bytes(100), "sim-key", 415, "unsupported_media_type"),
        (bytes(26 * 1024 * 1024), "sim-key", 413, "audio_too_long"),
        (wav, "wrong", 401, None),
    ]
    for data, key, status, code in cases:
        with pytest.raises(ApiError) as caught:
            hume(vendors, key).audio.measure(file=("a.wav", data, "audio/wav"), request_options=ONCE)
        assert caught.value.status_code == status
        if code:
            body = caught.value.body
            assert (body["code"] if isinstance(body, dict) else body.code) == code
    vendors.faults("hume", {"kind": "refuse", "status": 503}, {"kind": "refuse", "status": 429})
    for status in (503, 429):
        with pytest.raises(ApiError) as caught:
            hume(vendors).audio.measure(file=("a.wav", wav, "audio/wav"), request_options=ONCE)
        assert caught.value.status_code == status


def index(vendors: VendorServer, key: str = "sim-key") -> Any:
    return Pinecone(api_key=key).Index(host=vendors.urls["PINECONE_INDEX_HOST"])


def test_pinecone_keeps_filters_updates_lists_and_deletes(vendors: VendorServer) -> None:
    store = index(vendors)
    rows = [
        {"id": f"m{i}", "values": [1.0, i / 10, 0.0], "metadata": {"uid": "u1" if i < 3 else "u2", "at": i}}
        for i in range(6)
    ]
    assert store.upsert(vectors=rows, namespace="ns1").upserted_count == 6
    found = store.query(
        vector=[1, 0, 0], top_k=2, namespace="ns1", filter={"uid": {"$eq": "u2"}}, include_metadata=True
    )
    assert [m.id for m in found.matches] == ["m3", "m4"]
    assert found.matches[0].metadata["at"] == 3
    both = store.query(
        vector=[1, 0, 0], top_k=9, namespace="ns1", filter={"$and": [{"uid": "u1"}, {"at": {"$gte": 1}}]}
    )
    assert {m.id for m in both.matches} == {"m1", "m2"}
    store.update(id="m1", set_metadata={"title": "x"}, namespace="ns1")
    assert store.fetch(ids=["m1", "zz"], namespace="ns1").vectors["m1"].metadata == {"uid": "u1", "at": 1, "title": "x"}
    assert store.describe_index_stats().total_vector_count == 6
    store.delete(filter={"uid": "u2"}, namespace="ns1")
    store.delete(ids=["m0"], namespace="ns1")
    assert store.query(vector=[1, 0, 0], top_k=9, namespace="ns1").matches
    assert store.query(vector=[1, 0, 0], top_k=9, namespace="other").matches in ([], ())
    assert vendors.log("pinecone", "upsert")[0]["headers"]["api-key"] == "sim-key"


def test_pinecone_by_name_through_the_control_plane(vendors: VendorServer) -> None:
    pinecone = Pinecone(api_key="sim-key", host=vendors.urls["PINECONE_INDEX_HOST"])
    assert pinecone.Index("memories").describe_index_stats().total_vector_count == 0


def test_pinecone_limits(vendors: VendorServer) -> None:
    store = index(vendors)
    store.upsert(vectors=[{"id": "a", "values": [1.0, 0.0]}])
    for bad in (
        {"id": "a", "values": [1.0, 0.0, 0.0]},
        {"id": "a", "values": [0.0, 0.0]},
        {"id": "é", "values": [1.0, 0.0]},
        {"id": "a", "values": [1.0, 0.0], "metadata": {"x": None}},
        {"id": "a", "values": [1.0, 0.0], "metadata": {"x": "y" * 50_000}},
    ):
        with pytest.raises((PineconeException, ValueError)):
            store.upsert(vectors=[bad])
    with pytest.raises((PineconeException, ValueError)):
        store.query(vector=[1, 0], top_k=10_001)
    answer = httpx.post(
        vendors.urls["PINECONE_INDEX_HOST"] + "/vectors/upsert",
        headers={"Api-Key": "sim-key"},
        json={"vectors": [{"id": "a", "values": [1, 0], "metadata": {"x": {"nested": 1}}}]},
    )
    assert answer.status_code == 400
    assert answer.json()["code"] == 3
    with pytest.raises(PineconeException):
        index(vendors, "wrong").describe_index_stats()


def test_pinecone_writes_are_seen_late_or_lost_when_asked(vendors: VendorServer) -> None:
    store = index(vendors)
    vendors.faults("pinecone", {"kind": "invisible", "seconds": 0.3, "op": "upsert"}, {"kind": "lost", "op": "upsert"})
    store.upsert(vectors=[{"id": "late", "values": [1.0, 0.0]}])
    store.upsert(vectors=[{"id": "lost", "values": [1.0, 0.0]}])
    assert not store.query(vector=[1, 0], top_k=5).matches
    time.sleep(0.35)
    assert [m.id for m in store.query(vector=[1, 0], top_k=5).matches] == ["late"]


class Static(credentials.Base):
    def get_credential(self) -> Credentials:
        return Credentials(token="sim-key")


@pytest.fixture
def push(vendors: VendorServer, monkeypatch: pytest.MonkeyPatch) -> Iterator[firebase_admin.App]:
    app = firebase_admin.initialize_app(Static(), {"projectId": "demo"}, name="sim-push")
    url = vendors.urls["FCM_URL"] + "/v1/projects/{0}/messages:send"
    monkeypatch.setattr(messaging._MessagingService, "FCM_URL", url)
    yield app
    firebase_admin.delete_app(app)


def test_fcm_takes_a_message_and_knows_its_errors(vendors: VendorServer, push: firebase_admin.App) -> None:
    message = messaging.Message(
        token="device-1", data={"memory_id": "m1"}, notification=messaging.Notification(title="Hi", body="There")
    )
    assert messaging.send(message, app=push).startswith("projects/demo/messages/")
    assert vendors.state.store["fcm"]["messages"][0]["data"] == {"memory_id": "m1"}
    with pytest.raises(messaging.UnregisteredError):
        messaging.send(messaging.Message(token="unregistered-2"), app=push)
    vendors.faults("fcm", *({"kind": "refuse", "status": s} for s in (403, 429, 400)))
    for kind in (
        messaging.SenderIdMismatchError,
        messaging.QuotaExceededError,
        exceptions.InvalidArgumentError,
    ):
        with pytest.raises(kind):
            messaging.send(message, app=push)
