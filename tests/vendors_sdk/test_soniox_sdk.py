"""The soniox SDK against the simulator."""

from __future__ import annotations

import json
import threading
import time
from typing import Any

import httpx
import pytest
from soniox import SonioxClient
from soniox.errors import SonioxError, SonioxRealtimeError
from soniox.types.api import CreateTranscriptionConfig
from soniox.types.realtime import RealtimeSTTConfig

from demo.vendors.server import VendorServer
from demo.vendors.truth import Recording
from tests.vendors_sdk.conftest import WORDS


def client(vendors: VendorServer, key: str = "sim-key") -> SonioxClient:
    urls = vendors.urls
    return SonioxClient(api_key=key, api_base_url=urls["SONIOX_API_URL"] + "/v1", websocket_base_url=urls["SONIOX_URL"])


def config(**more: Any) -> RealtimeSTTConfig:
    base: dict[str, Any] = {
        "model": "stt-rt-v5",
        "audio_format": "pcm_s16le",
        "sample_rate": 16000,
        "num_channels": 1,
        "enable_speaker_diarization": True,
        "enable_endpoint_detection": True,
    }
    return RealtimeSTTConfig(**{**base, **more})


def listen(vendors: VendorServer, chunks: list[bytes], **more: Any) -> list[Any]:
    events: list[Any] = []
    with client(vendors).realtime.stt.connect(config=config(**more)) as session:

        def read() -> None:
            events.extend(session.receive_events())

        reader = threading.Thread(target=read, daemon=True)
        reader.start()
        try:
            for chunk in chunks:
                session.send_byte_chunk(chunk)
            session.finish()
        except SonioxRealtimeError:
            pass  # the fault under test closed the socket
        reader.join(10)
        assert not reader.is_alive()
    return events


def finals(events: list[Any]) -> list[Any]:
    return [t for e in events for t in e.tokens if t.is_final and t.text not in ("<end>", "<fin>")]


def test_live_finals_come_once_with_speakers_endpoints_and_a_finished_message(
    vendors: VendorServer, chunks: list[bytes], recording: Recording
) -> None:
    events = listen(vendors, chunks)
    tokens = finals(events)
    assert "".join(t.text for t in tokens).split() == WORDS
    assert len(tokens) > len(WORDS)  # sub-words
    assert [t.speaker for t in tokens if t.text.startswith(" ")] == ["1"] * 4 + ["2"] * 5 + ["1"] * 3
    starts = [t.start_ms for t in tokens if t.text.startswith(" ")]
    assert starts == pytest.approx([w.start * 1000 for w in recording.words], abs=20)
    assert sum(t.text == "<end>" for e in events for t in e.tokens) == 3
    assert events[-1].finished is True
    assert events[-1].tokens == []
    assert any(t.is_final is False for e in events for t in e.tokens)
    entry = vendors.log("soniox", "live")[0]
    assert entry["headers"]["authorization"] == "Bearer sim-key"
    assert "api_key" not in entry["texts"][0]
    assert entry["texts"][-1] == ""


def test_a_finalize_is_answered_by_fin(vendors: VendorServer, chunks: list[bytes]) -> None:
    with client(vendors).realtime.stt.connect(config=config()) as session:
        for chunk in chunks[:14]:
            session.send_byte_chunk(chunk)
        session.keep_alive()
        session.finalize()
        texts = []
        for event in session.receive_events():
            texts += [t.text for t in event.tokens if t.is_final]
            if "<fin>" in texts:
                break
    assert "".join(texts).split()[:2] == WORDS[:2]
    assert texts[-1] == "<fin>"


def test_a_restart_comes_in_band_with_503(vendors: VendorServer, chunks: list[bytes]) -> None:
    vendors.faults("soniox", {"kind": "error", "code": 503, "after_audio": 2.0})
    events = listen(vendors, chunks)
    assert events[-1].error_code == 503
    assert events[-1].error_type == "service_unavailable"
    assert "Please restart" in events[-1].error_message


def test_wrong_key_bad_config_and_idle(vendors: VendorServer, chunks: list[bytes]) -> None:
    with (
        pytest.raises(SonioxRealtimeError) as caught,
        client(vendors, "wrong").realtime.stt.connect(config=config()) as session,
    ):
        session.send_byte_chunk(b"")
    assert "401" in repr(caught.value.__cause__)
    events = listen(vendors, chunks, model="stt-rt-v1")
    assert events[-1].error_code == 400
    assert events[-1].error_type == "model_not_available"
    vendors.set(scale=0.01)
    with client(vendors).realtime.stt.connect(config=config()) as session:
        last = list(session.receive_events())[-1]
    assert last.error_code == 408
    assert last.error_type == "request_timeout"


def test_async_file_gives_tokens_with_speakers(vendors: VendorServer, wav: bytes) -> None:
    soniox = client(vendors)
    vendors.set(soniox_seconds=0.2)
    uploaded = soniox.files.upload(wav, filename="talk.wav")
    made = soniox.stt.create(
        model="stt-async-v5", file_id=uploaded.id, config=CreateTranscriptionConfig(enable_speaker_diarization=True)
    )
    assert made.status in ("queued", "processing")
    done = soniox.stt.wait(made.id, interval_sec=0.1, timeout_sec=5)
    assert done.status == "completed"
    transcript = soniox.stt.get_transcript(made.id)
    assert transcript.text.split() == WORDS
    assert {t.speaker for t in transcript.tokens} == {"1", "2"}
    soniox.stt.delete(made.id)
    with pytest.raises(SonioxError):
        soniox.stt.get(made.id)


def test_an_undecodable_file_ends_in_error(vendors: VendorServer) -> None:
    soniox = client(vendors)
    uploaded = soniox.files.upload(b"no audio at all", filename="x.wav")
    made = soniox.stt.create(model="stt-async-v5", file_id=uploaded.id)
    done = soniox.stt.wait(made.id, interval_sec=0.1, timeout_sec=5)
    assert done.status == "error"
    assert done.error_type


def test_an_audio_url_and_the_webhook_with_its_secret(vendors: VendorServer, wav: bytes, hook: Any) -> None:
    url, got = hook
    upload = vendors.urls["FAL_QUEUE_URL"] + "/files/upload"
    stored = httpx.post(upload, content=wav, headers={"Authorization": "Bearer cdn-token"}).json()["access_url"]
    config = CreateTranscriptionConfig(
        webhook_url=url, webhook_auth_header_name="X-Secret", webhook_auth_header_value="s3"
    )
    made = client(vendors).stt.create(model="stt-async-v5", audio_url=stored, config=config)
    for _ in range(100):
        if got:
            break
        time.sleep(0.05)
    headers, body = got[0]
    assert json.loads(body) == {"id": made.id, "status": "completed"}
    assert headers["x-secret"] == "s3"
    assert client(vendors).stt.get_transcript(made.id).text.split() == WORDS
