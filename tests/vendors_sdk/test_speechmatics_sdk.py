"""speechmatics-rt against the simulator."""

from __future__ import annotations

import asyncio
import contextlib
import io
from typing import Any

import pytest
from speechmatics.rt import (
    AsyncClient,
    AudioEncoding,
    AudioFormat,
    ConversationConfig,
    ServerMessageType,
    SpeakerDiarizationConfig,
    SpeakerIdentifier,
    TranscriptionConfig,
    TransportError,
)

from demo.vendors.server import VendorServer
from demo.vendors.truth import Recording
from tests.vendors_sdk.conftest import WORDS

FORMAT = AudioFormat(encoding=AudioEncoding.PCM_S16LE, sample_rate=16000, chunk_size=3200)


def config(**more: Any) -> TranscriptionConfig:
    base: dict[str, Any] = {"language": "en", "diarization": "speaker", "enable_partials": True, "max_delay": 2.0}
    return TranscriptionConfig(**{**base, **more})


def listen(vendors: VendorServer, recording: Recording, key: str = "sim-key", **more: Any) -> list[dict[str, Any]]:
    async def run() -> list[dict[str, Any]]:
        messages: list[dict[str, Any]] = []
        async with AsyncClient(api_key=key, url=vendors.urls["SPEECHMATICS_URL"]) as client:
            for kind in ServerMessageType:
                client.on(kind, messages.append)
            source = io.BytesIO(recording.pcm.tobytes())
            await client.transcribe(source, transcription_config=config(**more), audio_format=FORMAT, timeout=10)
        return messages

    return asyncio.run(run())


def words(messages: list[dict[str, Any]], kind: str = "AddTranscript") -> list[dict[str, Any]]:
    return [r for m in messages if m["message"] == kind for r in m["results"]]


def test_a_session_hears_words_punctuation_and_speakers(vendors: VendorServer, recording: Recording) -> None:
    messages = listen(vendors, recording, conversation_config=ConversationConfig(end_of_utterance_silence_trigger=0.5))
    results = words(messages)
    text = ""
    for r in results:
        text += ("" if r.get("attaches_to") == "previous" else " ") + r["alternatives"][0]["content"]
    assert text.split() == WORDS
    assert {r["type"] for r in results} == {"word", "punctuation"}
    labels = [r["alternatives"][0]["speaker"] for r in results if r["type"] == "word"]
    assert labels == ["S1"] * 4 + ["S2"] * 5 + ["S1"] * 3
    starts = [r["start_time"] for r in results if r["type"] == "word"]
    assert starts == pytest.approx([w.start for w in recording.words], abs=0.02)
    kinds = [m["message"] for m in messages]
    assert kinds[0] == "RecognitionStarted"
    assert kinds[-1] == "EndOfTranscript"
    assert kinds.count("EndOfUtterance") == 3
    assert kinds.index("AddPartialTranscript") < kinds.index("AddTranscript")
    assert [m["seq_no"] for m in messages if m["message"] == "AudioAdded"] == list(
        range(1, kinds.count("AudioAdded") + 1)
    )
    assert vendors.log("speechmatics")[0]["headers"]["authorization"] == "Bearer sim-key"


def test_enrolled_speakers_get_their_own_label(vendors: VendorServer, recording: Recording) -> None:
    async def ask() -> list[dict[str, Any]]:
        arrived = asyncio.Event()
        found: list[dict[str, Any]] = []
        async with AsyncClient(api_key="sim-key", url=vendors.urls["SPEECHMATICS_URL"]) as client:
            client.on(ServerMessageType.SPEAKERS_RESULT, lambda m: (found.extend(m["speakers"]), arrived.set()))
            await client.start_session(transcription_config=config(), audio_format=FORMAT)
            await client.send_audio(recording.pcm.tobytes())
            await client.send_message({"message": "GetSpeakers"})
            await asyncio.wait_for(arrived.wait(), 5)
            await client.stop_session()
        return found

    speakers = asyncio.run(ask())
    assert [s["label"] for s in speakers] == ["S1", "S2"]
    ada = SpeakerIdentifier(label="Ada", speaker_identifiers=speakers[1]["speaker_identifiers"])
    again = listen(vendors, recording, speaker_diarization_config=SpeakerDiarizationConfig(speakers=[ada]))
    labels = [r["alternatives"][0]["speaker"] for r in words(again) if r["type"] == "word"]
    assert labels == ["S1"] * 4 + ["Ada"] * 5 + ["S1"] * 3


def test_quota_is_an_error_message_then_4005(vendors: VendorServer, recording: Recording) -> None:
    vendors.faults("speechmatics", {"kind": "error", "type": "quota_exceeded", "after_audio": 1.0})
    messages: list[dict[str, Any]] = []

    async def run() -> None:
        async with AsyncClient(api_key="sim-key", url=vendors.urls["SPEECHMATICS_URL"]) as client:
            client.on(ServerMessageType.ERROR, messages.append)
            await client.transcribe(io.BytesIO(recording.pcm.tobytes()), transcription_config=config(),
                                    audio_format=FORMAT, timeout=10)  # fmt: skip

    with contextlib.suppress(TransportError):  # raised only when the SDK was writing as the socket closed
        asyncio.run(run())
    assert messages
    assert messages[0]["type"] == "quota_exceeded"
    assert vendors.log("speechmatics")[0]["closed"] == 4005


def test_a_wrong_key_and_a_wrong_model_are_refused(vendors: VendorServer, recording: Recording) -> None:
    with pytest.raises(Exception, match="401"):
        listen(vendors, recording, key="wrong")
    vendors.faults("speechmatics", {"kind": "refuse", "status": 429, "retry_after": 3})
    with pytest.raises(Exception, match="429"):
        listen(vendors, recording)


def test_unknown_speakers_are_uu(vendors: VendorServer, recording: Recording) -> None:
    vendors.faults("speechmatics", {"kind": "null_speakers"})
    assert {r["alternatives"][0]["speaker"] for r in words(listen(vendors, recording))} == {"UU"}
