"""fal-client against the simulator (its hosts are module constants, so the test overwrites them)."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
import time
from typing import Any
from urllib.request import urlopen

import fal_client
import fal_client.client
import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from demo.vendors.server import VendorServer
from tests.vendors_sdk.conftest import WORDS

APP = "fal-ai/whisper"


@pytest.fixture
def client(vendors: VendorServer, monkeypatch: pytest.MonkeyPatch) -> fal_client.SyncClient:
    base = vendors.urls["FAL_QUEUE_URL"]
    monkeypatch.setattr(fal_client.client, "QUEUE_URL_FORMAT", base + "/")
    monkeypatch.setattr(fal_client.client, "REST_URL", base)
    monkeypatch.setattr(fal_client.client, "CDN_URL", base)
    return fal_client.SyncClient(key="sim-key")


def arguments(wav: bytes, **more: Any) -> dict[str, Any]:
    uri = "data:audio/wav;base64," + base64.b64encode(wav).decode()
    return {"audio_url": uri, "task": "transcribe", "diarize": True, "chunk_level": "word", "version": "3", **more}


def test_a_data_uri_is_transcribed_word_by_word(vendors: VendorServer, client: Any, wav: bytes) -> None:
    vendors.set(fal_seconds=0.4)
    handle = client.submit(APP, arguments(wav))
    seen = [type(s).__name__ for s in handle.iter_events(with_logs=True, interval=0.05)]
    assert seen[0] == "Queued"
    assert "InProgress" in seen
    assert seen[-1] == "Completed"
    output = handle.get()
    assert output["text"].split() == WORDS
    assert [c["text"].strip() for c in output["chunks"]] == WORDS
    assert [c["speaker"] for c in output["chunks"]] == ["SPEAKER_00"] * 4 + ["SPEAKER_01"] * 5 + ["SPEAKER_00"] * 3
    assert len(output["diarization_segments"]) == 3
    assert output["inferred_languages"] == ["en"]
    assert vendors.log("fal", "submit")[0]["headers"]["authorization"] == "Key sim-key"


def test_an_uploaded_file_is_fetched(client: Any, wav: bytes) -> None:
    url = client.upload(wav, "audio/wav", "talk.wav")
    output = client.subscribe(APP, arguments(wav, audio_url=url, chunk_level="segment", diarize=False))
    assert output["text"].split() == WORDS
    assert len(output["chunks"]) == 3
    assert all("speaker" not in c for c in output["chunks"])


@pytest.mark.asyncio
async def test_the_async_client_and_the_old_alias(client: Any, wav: bytes) -> None:
    handle = await fal_client.AsyncClient(key="sim-key").submit("110602490-whispercpp", arguments(wav))
    assert (await asyncio.wait_for(handle.get(), 10))["text"].split() == WORDS


def test_failures_are_completed_with_error_and_the_result_gives_the_status(
    vendors: VendorServer, client: Any, wav: bytes
) -> None:
    handle = client.submit(APP, {"audio_url": "data:audio/wav;base64," + base64.b64encode(b"nothing").decode()})
    with pytest.raises(fal_client.FalClientHTTPError) as caught:
        handle.get()
    assert caught.value.status_code == 422
    assert caught.value.response_headers["x-fal-retryable"] == "false"
    vendors.faults("fal", {"kind": "failed", "status": 503, "error_type": "runner_disconnected", "op": "submit"})
    handle = client.submit(APP, arguments(wav))
    while not isinstance(status := handle.status(), fal_client.Completed):
        time.sleep(0.02)
    assert status.error_type == "runner_disconnected"
    with pytest.raises(fal_client.FalClientHTTPError):
        fal_client.SyncClient(key="wrong").submit(APP, arguments(wav))


def test_null_speakers_null_end_stuck_and_cancel(vendors: VendorServer, client: Any, wav: bytes) -> None:
    vendors.faults("fal", {"script": [{"kind": "null_speakers", "every": 3}, {"kind": "null_ends"}], "op": "submit"})
    output = client.submit(APP, arguments(wav)).get()
    assert output["chunks"][0]["speaker"] is None
    assert output["chunks"][1]["speaker"] == "SPEAKER_00"
    assert output["chunks"][-1]["timestamp"][1] is None
    vendors.faults("fal", {"kind": "stuck", "op": "submit"})
    handle = client.submit(APP, arguments(wav))
    assert isinstance(handle.status(), fal_client.Queued)
    handle.cancel()
    assert isinstance(handle.status(), fal_client.Completed)


def verify(vendors: VendorServer, headers: dict[str, str], body: bytes) -> bool:
    parts = [headers[f"x-fal-webhook-{k}"] for k in ("request-id", "user-id", "timestamp")]
    message = "\n".join([*parts, hashlib.sha256(body).hexdigest()]).encode()
    keys = json.load(urlopen(vendors.urls["FAL_JWKS_URL"]))["keys"]
    for key in keys:
        try:
            raw = base64.urlsafe_b64decode(key["x"] + "=" * (-len(key["x"]) % 4))
            Ed25519PublicKey.from_public_bytes(raw).verify(bytes.fromhex(headers["x-fal-webhook-signature"]), message)
        except InvalidSignature:
            continue
        return abs(time.time() - int(parts[2])) <= 300
    return False


@pytest.mark.parametrize(
    ("mode", "count", "good"),
    [(None, 1, True), ("twice", 2, True), ("bad_signature", 1, False), ("old", 1, False), ("never", 0, False)],
)
def test_webhooks_are_signed(
    vendors: VendorServer, client: Any, hook: Any, wav: bytes, mode: str | None, count: int, good: bool
) -> None:
    url, got = hook
    if mode:
        vendors.faults("fal", {"kind": "webhook", "mode": mode, "op": "submit"})
    handle = client.submit(APP, arguments(wav), webhook_url=url)
    handle.get()
    vendors.wait("fal", "submit", lambda log: len(log[-1]["deliveries"]) >= count)
    assert len(got) == count
    for headers, body in got:
        assert verify(vendors, headers, body) is good
        content = json.loads(body)
        assert content["status"] == "OK"
        assert content["request_id"] == handle.request_id
        assert content["payload"]["text"].split() == WORDS
