"""deepgram-sdk against the simulator."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest
from deepgram import AsyncDeepgramClient, DeepgramClient
from deepgram.core.api_error import ApiError
from deepgram.core.events import EventType
from deepgram.environment import DeepgramClientEnvironment
from websockets.exceptions import ConnectionClosed, ConnectionClosedError, InvalidStatus

from demo.vendors.server import VendorServer
from demo.vendors.truth import Recording
from tests.vendors_sdk.conftest import WORDS

LIVE: dict[str, Any] = {
    "model": "nova-3",
    "encoding": "linear16",
    "sample_rate": 16000,
    "interim_results": True,
    "endpointing": 300,
    "diarize": True,
    "smart_format": True,
    "utterance_end_ms": 1000,
    "vad_events": True,
    "mip_opt_out": True,
}


def client(vendors: VendorServer, key: str = "sim-key") -> DeepgramClient:
    return DeepgramClient(api_key=key, environment=environment(vendors))


def environment(vendors: VendorServer) -> DeepgramClientEnvironment:
    base = vendors.urls["DEEPGRAM_URL"]
    ws = base.replace("http", "ws", 1)
    return DeepgramClientEnvironment(base=base, production=ws, agent=ws, agent_rest=base)


def listen(
    vendors: VendorServer, chunks: list[bytes], heard_at: int | None = None, **options: Any
) -> tuple[list[Any], list[Any]]:
    """Stream through the SDK; the messages and the errors it raised. After ``heard_at`` chunks it waits for a final
    result: a connection that is reset takes along what lies unread."""
    messages: list[Any] = []
    errors: list[Any] = []
    with client(vendors).listen.v1.connect(**{**LIVE, **options}) as socket:
        socket.on(EventType.MESSAGE, messages.append)
        socket.on(EventType.ERROR, errors.append)
        reader = threading.Thread(target=socket.start_listening, daemon=True)
        reader.start()
        try:
            for number, chunk in enumerate(chunks):
                if number == heard_at:
                    _wait_until(lambda: results(messages, True))
                socket.send_media(chunk)
            socket.send_keep_alive()
            socket.send_finalize()
            socket.send_close_stream()
        except ConnectionClosed as error:
            errors.append(error)
        reader.join(10)
        assert not reader.is_alive()
    return messages, errors


def _wait_until(there: Callable[[], Any]) -> None:
    end = time.monotonic() + 10
    while not there():
        assert time.monotonic() < end
        time.sleep(0.01)


def results(messages: list[Any], final: bool) -> list[Any]:
    return [m for m in messages if m.type == "Results" and m.is_final is final]


def said(messages: list[Any]) -> list[str]:
    return [w.punctuated_word for m in messages for w in m.channel.alternatives[0].words]


def test_live_hears_every_word_with_speakers_and_stream_times(
    vendors: VendorServer, chunks: list[bytes], recording: Recording
) -> None:
    messages, errors = listen(vendors, chunks)
    assert not errors
    finals = results(messages, True)
    assert said(finals) == WORDS
    words = [w for m in finals for w in m.channel.alternatives[0].words]
    assert [w.speaker for w in words] == [0] * 4 + [1] * 5 + [0] * 3
    assert [w.start for w in words] == pytest.approx([w.start for w in recording.words], abs=0.02)
    assert any(m.speech_final for m in finals)
    assert messages[-1].type == "Metadata"
    assert messages[-1].duration == pytest.approx(recording.seconds, abs=0.01)
    kinds = [m.type for m in messages]
    assert set(kinds) == {"Results", "SpeechStarted", "Metadata", "UtteranceEnd"}
    ends = [m.last_word_end for m in messages if m.type == "UtteranceEnd"]
    assert ends[:2] == pytest.approx([recording.words[3].end, recording.words[8].end], abs=0.02)


def test_each_final_is_announced_by_interims(vendors: VendorServer, chunks: list[bytes]) -> None:
    messages, _ = listen(vendors, chunks)
    spoken = [m for m in messages if m.type == "Results" and m.channel.alternatives[0].words]
    assert not spoken[0].is_final
    texts = [(m.is_final, m.channel.alternatives[0].transcript) for m in spoken]
    for number, (final, text) in enumerate(texts):
        assert not final or texts[number - 1] == (False, text)


def test_the_log_shows_key_scheme_frames_and_keepalive_as_text(vendors: VendorServer, chunks: list[bytes]) -> None:
    listen(vendors, chunks)
    entry = vendors.log("deepgram", "live")[0]
    assert entry["headers"]["authorization"] == "Token sim-key"
    assert "sim-key" not in entry["url"]
    assert ["mip_opt_out", "true"] in entry["query"]
    assert entry["frames"] == len(chunks)
    assert entry["audio_bytes"] == sum(map(len, chunks))
    assert [t.split('"')[3] for t in entry["texts"]] == ["KeepAlive", "Finalize", "CloseStream"]
    assert entry["closed"] == 1000


def test_a_wrong_key_is_refused_at_the_handshake(vendors: VendorServer) -> None:
    with pytest.raises((ApiError, InvalidStatus)) as caught, client(vendors, "wrong").listen.v1.connect(**LIVE):
        pass
    error = caught.value
    assert (error.status_code if isinstance(error, ApiError) else error.response.status_code) == 401


@pytest.mark.asyncio
async def test_the_async_client_gets_the_vendors_error_body(vendors: VendorServer) -> None:
    vendors.faults("deepgram", {"kind": "refuse", "status": 402, "op": "live"})
    asynchronous = AsyncDeepgramClient(api_key="sim-key", environment=environment(vendors))
    with pytest.raises(ApiError) as caught:
        async with asynchronous.listen.v1.connect(**LIVE):
            pass
    assert caught.value.status_code == 402


@pytest.mark.parametrize("code", [1011, 1008])
def test_a_close_fault_reaches_the_client_with_its_code(vendors: VendorServer, chunks: list[bytes], code: int) -> None:
    vendors.faults("deepgram", {"kind": "close", "code": code, "reason": "x", "after_audio": 2.0})
    _, errors = listen(vendors, chunks)
    assert any(isinstance(e, ConnectionClosedError) and e.rcvd and e.rcvd.code == code for e in errors)


def test_a_drop_leaves_no_close_frame_and_keeps_what_was_said_before(
    vendors: VendorServer, chunks: list[bytes]
) -> None:
    vendors.faults("deepgram", {"kind": "drop", "after_frames": 30})
    messages, errors = listen(vendors, chunks, heard_at=29)
    assert errors
    assert all(getattr(e, "rcvd", None) is None for e in errors)
    heard = said(results(messages, True))
    assert heard == WORDS[: len(heard)]
    assert 0 < len(heard) < len(WORDS)
    assert vendors.log("deepgram", "live")[0]["frames"] == 30


def test_faults_on_results(vendors: VendorServer, chunks: list[bytes]) -> None:
    vendors.faults("deepgram", {"kind": "duplicate_finals"})
    messages, _ = listen(vendors, chunks, interim_results=False, utterance_end_ms=None)
    texts = [m.channel.alternatives[0].transcript for m in results(messages, True)]
    assert texts[0] == texts[1] != texts[2]
    vendors.faults("deepgram", {"kind": "out_of_order"})
    messages, _ = listen(vendors, chunks)
    starts = [m.start for m in results(messages, True)]
    assert starts != sorted(starts)
    assert sorted(said(results(messages, True))) == sorted(WORDS)
    vendors.faults("deepgram", {"kind": "null_speakers"})
    messages, _ = listen(vendors, chunks)
    assert {w.speaker for m in results(messages, True) for w in m.channel.alternatives[0].words} == {None}
    vendors.faults("deepgram", {"kind": "malformed", "after_results": 13})
    listen(vendors, chunks)
    sent = vendors.log("deepgram", "live")[-1]["sent"]
    assert [t for t in sent if not t.endswith("}")]


def test_idle_for_ten_scaled_seconds_closes_with_net_0001(vendors: VendorServer) -> None:
    vendors.set(scale=0.02)
    with client(vendors).listen.v1.connect(**LIVE) as socket, pytest.raises(ConnectionClosedError) as caught:
        socket.recv()
    assert caught.value.rcvd is not None
    assert caught.value.rcvd.code == 1011
    assert "NET-0001" in caught.value.rcvd.reason


def test_prerecorded_gives_words_utterances_and_speakers(vendors: VendorServer, wav: bytes) -> None:
    answer: Any = client(vendors).listen.v1.media.transcribe_file(
        request=wav, model="nova-3", diarize=True, utterances=True, punctuate=True
    )
    alternative = answer.results.channels[0].alternatives[0]
    assert alternative.transcript.split() == WORDS
    assert [u.speaker for u in answer.results.utterances] == [0, 1, 0]
    assert vendors.log("deepgram", "file")[0]["body_bytes"] == len(wav)


def test_prerecorded_errors_have_status_and_body(vendors: VendorServer) -> None:
    media = client(vendors).listen.v1.media
    with pytest.raises(ApiError) as caught:
        media.transcribe_file(request=b"this is no audio", model="nova-3")
    assert caught.value.status_code == 400
    vendors.faults("deepgram", {"kind": "refuse", "status": 429, "retry_after": 7})
    with pytest.raises(ApiError) as caught:
        media.transcribe_file(request=b"", model="nova-3", request_options={"max_retries": 0})
    assert caught.value.status_code == 429
    assert caught.value.headers["retry-after"] == "7"
    assert caught.value.body["err_code"] == "TOO_MANY_REQUESTS"


def test_a_callback_is_answered_at_once_and_delivered_later(vendors: VendorServer, wav: bytes, hook: Any) -> None:
    url, got = hook
    accepted: Any = client(vendors).listen.v1.media.transcribe_file(request=wav, model="nova-3", callback=url)
    vendors.wait("deepgram", "file", lambda log: len(log[0]["deliveries"]) == 1)
    headers, body = got[0]
    result = json.loads(body)
    assert result["metadata"]["request_id"] == accepted.request_id
    assert len(result["results"]["channels"][0]["alternatives"][0]["words"]) == len(WORDS)
    assert headers["dg-token"]
