"""The server itself: command line, control endpoints, fault scripts, Opus and containers, exact closing."""

from __future__ import annotations

import asyncio
import contextlib
import json
import subprocess
import sys
import urllib.request
from pathlib import Path
from typing import Any

import av
import httpx
import numpy as np
import pytest
import websockets

from demo.vendors.server import VendorServer
from demo.vendors.truth import Recording
from tests.support import sound
from tests.vendors_sdk.conftest import WORDS

AUTH = {"Authorization": "Token sim-key"}
QUERY = "model=nova-3&smart_format=true&endpointing=300"


def words_of(messages: list[str]) -> list[str]:
    out = []
    for text in messages:
        message = json.loads(text)
        if message["type"] == "Results" and message["is_final"]:
            out += [w["punctuated_word"] for w in message["channel"]["alternatives"][0]["words"]]
    return out


async def talk(url: str, frames: list[bytes | str], headers: dict[str, str] = AUTH) -> tuple[list[str], int | None]:
    """Send frames, read to the end: messages and the close code (None without a close frame)."""
    got: list[str] = []
    async with websockets.connect(url, additional_headers=headers, max_size=None) as socket:

        async def read() -> int | None:
            try:
                while True:
                    got.append(str(await socket.recv()))
            except websockets.ConnectionClosed as closed:
                return closed.rcvd.code if closed.rcvd else None

        reader = asyncio.create_task(read())
        try:
            for frame in frames:
                await socket.send(frame)
        except websockets.ConnectionClosed:
            pass
        return got, await asyncio.wait_for(reader, 10)


def live(vendors: VendorServer, query: str) -> str:
    return vendors.urls["DEEPGRAM_URL"].replace("http", "ws", 1) + "/v1/listen?" + query


def opus_packets(recording: Recording) -> list[bytes]:
    """20 ms raw packets, as a device sends them."""
    codec: Any = av.CodecContext.create("libopus", "w")
    codec.sample_rate, codec.layout, codec.format, codec.bit_rate = 16000, "mono", "s16", 24000
    codec.open()
    packets = []
    for i in range(0, len(recording.pcm) - 320, 320):
        frame = av.AudioFrame.from_ndarray(recording.pcm[None, i : i + 320].copy(), format="s16", layout="mono")
        frame.sample_rate = 16000
        packets += [bytes(p) for p in codec.encode(frame)]
    return packets


def mulaw(pcm: Any) -> bytes:
    x = pcm.astype(np.int32)
    sign, magnitude = np.where(x < 0, 0x80, 0), np.minimum(np.abs(x), 32635) + 0x84
    exponent = np.floor(np.log2(magnitude)).astype(np.int32) - 7
    mantissa = (magnitude >> (exponent + 3)) & 0x0F
    return bytes((~(sign | (exponent << 4) | mantissa) & 0xFF).astype(np.uint8).tobytes())


def test_raw_opus_packets_mulaw_and_a_wav_stream_are_heard(
    vendors: VendorServer, recording: Recording, wav: bytes
) -> None:
    end = '{"type":"CloseStream"}'
    encoded = mulaw(recording.pcm)
    cases: list[tuple[str, list[bytes | str]]] = [
        ("&encoding=opus&sample_rate=16000", [*opus_packets(recording), end]),
        ("&encoding=mulaw&sample_rate=16000", [encoded[i : i + 999] for i in range(0, len(encoded), 999)] + [end]),
        ("", [wav[i : i + 5001] for i in range(0, len(wav), 5001)] + [end]),
    ]
    for query, frames in cases:
        got, code = asyncio.run(talk(live(vendors, QUERY + query), frames))
        assert (query, words_of(got)) == (query, WORDS)
        assert code == 1000


def test_garbage_audio_closes_with_1008(vendors: VendorServer) -> None:
    _, code = asyncio.run(talk(live(vendors, QUERY), [b"garbage audio"]))
    assert code == 1008


def test_audio_that_was_not_sent_is_not_heard_and_a_second_connection_starts_at_zero(
    vendors: VendorServer, recording: Recording, chunks: list[bytes]
) -> None:
    query = QUERY + "&encoding=linear16&sample_rate=16000&diarize=true"
    cut = int((recording.words[3].end + 0.5) * 10)
    got, _ = asyncio.run(talk(live(vendors, query), [*chunks[cut:], '{"type":"CloseStream"}']))
    assert words_of(got) == WORDS[4:]
    first = next(m for m in map(json.loads, got) if m["type"] == "Results" and m["channel"]["alternatives"][0]["words"])
    word = first["channel"]["alternatives"][0]["words"][0]
    assert word["speaker"] == 0  # B of the recording: numbering belongs to the connection
    assert word["start"] == pytest.approx(recording.words[4].start - cut / 10, abs=0.02)


def test_stall_drop_and_garbage_script(vendors: VendorServer, chunks: list[bytes]) -> None:
    query = QUERY + "&encoding=linear16&sample_rate=16000"
    vendors.faults(
        "deepgram",
        {"script": [{"kind": "stall", "after_audio": 2.0}, {"kind": "drop", "after_seconds": 0.5}], "op": "live"},
    )
    got, code = asyncio.run(talk(live(vendors, query), list(chunks)))
    assert words_of(got) == WORDS[: len(words_of(got))]
    assert len(words_of(got)) < len(WORDS)
    assert code is None
    got, code = asyncio.run(talk(live(vendors, query), [*chunks, '{"type":"CloseStream"}']))
    assert words_of(got) == WORDS
    assert code == 1000


def test_http_faults_and_control_endpoints(vendors: VendorServer) -> None:
    base = vendors.urls["SIM_URL"]
    url = vendors.urls["HUME_URL"] + "/v1/expression/audio/file"
    with httpx.Client(timeout=2) as http:
        bad = http.post(f"{base}/_sim/faults", json={"vendor": "hume", "kind": "no such kind"})
        assert bad.status_code == 400
        assert "refuse" in bad.json()["error"]
        http.post(f"{base}/_sim/faults", json={"vendor": "hume", "kind": "html"}).raise_for_status()
        assert http.post(url).headers["content-type"].startswith("text/html")
        http.post(f"{base}/_sim/faults", json={"vendor": "hume", "faults": [{"kind": "drop"}, {"kind": "hang"}]})
        with pytest.raises(httpx.RemoteProtocolError):
            http.post(url)
        with pytest.raises(httpx.ReadTimeout):
            http.post(url, timeout=0.2)
        assert http.post(url).status_code == 401
        entries = http.get(f"{base}/_sim/log", params={"vendor": "hume"}).json()["entries"]
        assert [e["faults"] for e in entries] == [["html"], ["drop"], ["hang"], []]
        http.post(f"{base}/_sim/reset").raise_for_status()
        assert http.get(f"{base}/_sim/log").json() == {"entries": []}


def test_the_command_serves_a_truth_file(recording: Recording, tmp_path: Path) -> None:
    sound.write_wav(tmp_path / "talk.wav", recording.pcm.tobytes())
    truth = {"audio": "talk.wav", "words": [vars(w) for w in recording.words]}
    (tmp_path / "talk.json").write_text(json.dumps(truth))
    command = [sys.executable, "-m", "demo.vendors", "--port", "0", "--truth", str(tmp_path / "talk.json")]
    root = Path(__file__).resolve().parents[2]
    with subprocess.Popen(command, cwd=root, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            urls = json.loads(process.stdout.readline())
            request = urllib.request.Request(
                urls["DEEPGRAM_URL"] + "/v1/listen?model=nova-3&punctuate=true",
                data=(tmp_path / "talk.wav").read_bytes(),
                headers={"Authorization": f"Token {urls['DEEPGRAM_API_KEY']}", "Content-Type": "audio/wav"},
            )
            with urllib.request.urlopen(request, timeout=10) as answer:
                result = json.load(answer)
            assert result["results"]["channels"][0]["alternatives"][0]["transcript"].split() == WORDS
        finally:
            process.terminate()
        assert process.wait(10) == 0


START = {
    "message": "StartRecognition",
    "audio_format": {"type": "file"},
    "transcription_config": {"language": "en"},
}


def test_speechmatics_ends_a_silent_session_with_an_error_and_1008(vendors: VendorServer) -> None:
    vendors.set(scale=0.001)
    headers = {"Authorization": "Bearer sim-key"}
    got, code = asyncio.run(talk(vendors.urls["SPEECHMATICS_URL"], [json.dumps(START)], headers))
    assert [json.loads(m)["message"] for m in got] == ["RecognitionStarted", "Error"]
    assert json.loads(got[-1])["type"] == "idle_timeout"
    assert code == 1008


def test_speechmatics_warns_before_an_hour_of_pings_without_audio_is_over(vendors: VendorServer) -> None:
    vendors.set(scale=0.0005)  # an hour is 1.8 s

    async def run() -> list[str]:
        got: list[str] = []
        url, headers = vendors.urls["SPEECHMATICS_URL"], {"Authorization": "Bearer sim-key"}
        async with websockets.connect(url, additional_headers=headers, ping_interval=0.03) as socket:
            await socket.send(json.dumps(START))
            with contextlib.suppress(websockets.ConnectionClosedError):  # 1008
                while True:
                    got.append(json.loads(await asyncio.wait_for(socket.recv(), 5))["message"])
        return got

    assert asyncio.run(run()) == ["RecognitionStarted", "Warning", "Warning", "Warning", "Error"]
