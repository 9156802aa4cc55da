"""What a client may send to ``/listen`` and should not: each is answered clearly, and the server stays well."""

from __future__ import annotations

import os
import random
import re
import time
from difflib import SequenceMatcher
from pathlib import Path
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed

from demo.measure import normalise
from demo.servers import Installation
from tests.acceptance.wire import App, Socket, listen

pytestmark = pytest.mark.process


def say(socket: Socket, pcm: bytes, size: int = 3200) -> None:
    for start in range(0, len(pcm), size):
        socket.send(pcm[start : start + size])


def finished(socket: Socket, seconds: float = 60.0) -> Any:
    socket.send('{"type": "finish"}')
    return socket.event("new_memory_created", seconds=seconds)


def words(socket: Socket) -> str:
    return " ".join(item["text"] for message in socket.messages if isinstance(message, list) for item in message)


@pytest.mark.parametrize(
    ("query", "names"),
    [
        ({"codec": "mp3"}, "codec"),
        ({"codec": ""}, "codec"),
        ({"codec": "pcm16", "sample_rate": "44100"}, "sample_rate"),
        ({"sample_rate": "-1"}, "sample_rate"),
        ({"sample_rate": "fast"}, "sample_rate"),
        ({"sample_rate": "9" * 40}, "sample_rate"),
        ({"channels": "2"}, "channels"),
        ({"stt_service": "whisper"}, "stt_service"),
        ({"language": "klingon-of-the-empire"}, "language"),
        ({"language": "1"}, "language"),
        ({"language": "../../etc"}, "language"),
        ({"new_memory_watch": "perhaps"}, "new_memory_watch"),
        ({"include_speech_profile": "7"}, "include_speech_profile"),
        ({"after": "x"}, "after"),
    ],
)
def test_a_parameter_that_cannot_be_closes_with_1008_and_is_named(
    server: Installation, app: App, query: dict[str, str], names: str
) -> None:
    with listen(server.url, app.token, **query) as socket:
        assert socket.closed() == 1008
        refused = socket.messages[-1]
        assert (refused["type"], refused["status"], refused["reason"]) == ("service_status", "refused", "bad_request")
        assert names in refused["status_text"]


@pytest.mark.parametrize("service", ["deepgram", "soniox", "speechmatics"])
def test_a_service_that_is_not_configured_gives_way_to_the_one_that_is(
    server: Installation, app: App, service: str
) -> None:
    """The app sends one by its own setting; without a key the audio is heard all the same."""
    with listen(server.url, app.token, stt_service=service) as socket:
        assert socket.status("ready")
        socket.alive()


def test_a_language_that_no_engine_knows_is_told_and_the_audio_is_kept(
    server: Installation, app: App, talk: bytes
) -> None:
    with listen(server.url, app.token, language="xx") as socket:
        say(socket, talk[:64000])
        failed = socket.status("stt_failed")
        assert failed["reason"]
        assert "kept" in failed["status_text"]
        socket.alive()


@pytest.mark.parametrize(
    "text",
    [
        "hello",
        "",
        "{",
        "[]",
        "null",
        "1",
        '"audio"',
        '{"type": 5}',
        '{"type": "nonsense"}',
        '{"no": "type"}',
        "[" * 20000,
        '{"type":"speaker_assigned"}',
        '{"type":"speaker_assigned","segment_ids":[1],"person_id":[]}',
        '{"type":"speaker_assigned","segment_ids":["never"],"person_id":"user"}',
        "\x00",
        "x" * 100000,
    ],
    ids=lambda text: repr(text[:40]),
)
def test_text_where_audio_is_due_is_ignored_and_said_to_be(server: Installation, app: App, text: str) -> None:
    """In the original a text frame ended the session."""
    with listen(server.url, app.token) as socket:
        socket.send(text)
        assert socket.status("ignored")["reason"]
        socket.alive()


def test_binary_where_json_is_due_is_audio_and_ends_an_unauthenticated_socket(server: Installation) -> None:
    with listen(server.url, None, path="/v4/web/listen") as socket:
        socket.send(b'{"type":"auth","token":"x"}')
        assert socket.closed() == 1008


def test_an_oversized_frame_closes_with_1009_and_what_came_before_is_kept(
    server: Installation, app: App, talk: bytes
) -> None:
    with listen(server.url, app.token) as socket:
        say(socket, talk[: 5 * 32000])
        socket.until(lambda m: isinstance(m, list), 30)
        socket.send(bytes(300 * 1024))
        assert socket.closed() == 1009
    event = app.events({"new_memory_created"}, seconds=60)
    assert event["memory"]["transcript_segments"]


def test_a_giant_frame_never_reaches_the_memory_of_the_process(server: Installation, app: App) -> None:
    """Sixty megabytes in one message: refused by the server's own limit or by ours, never an answer 1011."""
    before = resident(server.web_pid)
    with listen(server.url, app.token) as socket:
        try:
            socket.send(bytes(60 * 1024 * 1024))
            assert socket.closed(30) == 1009
        except ConnectionClosed as error:
            code = error.rcvd.code if error.rcvd else 1006
            if code not in (1006, 1009):  # cut off while sending, or told so
                pytest.fail(f"closed with {code}")
    assert resident(server.web_pid) - before < 150
    assert app.get("/v1/memories").status_code == 200


def resident(pid: int) -> float:
    """Megabytes."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6


def test_odd_splits_of_pcm_are_heard_as_the_whole(server: Installation, app: App, talk: bytes) -> None:
    """PCM is a byte stream: BLE splits it anywhere. Empty and 1-byte frames are part of it."""
    piece = talk[: 6 * 32000]
    chance = random.Random(5)
    with listen(server.url, app.token) as socket:
        at = 0
        while at < len(piece):
            size = chance.choice([1, 1, 2, 3, 247, 73, 3201, 6399])
            socket.send(piece[at : at + size])
            at += size
            if chance.random() < 0.1:
                socket.send(b"")
        event = finished(socket)
        odd = words(socket)
    with listen(server.url, app.token) as socket:
        say(socket, piece)
        finished(socket)
        whole = words(socket)
    # Word for word they may differ: what a live engine hears depends a little on how much it had when it listened.
    assert SequenceMatcher(None, normalise(odd), normalise(whole), autojunk=False).ratio() >= 0.8
    assert len(whole.split()) > 5
    assert 2 < event["memory"]["transcript_segments"][-1]["end"] <= 6.5


def test_an_odd_byte_at_the_end_is_dropped(server: Installation, app: App, talk: bytes) -> None:
    with listen(server.url, app.token) as socket:
        say(socket, talk[: 5 * 32000] + b"\x07")
        assert finished(socket)["memory"]["transcript_segments"]


@pytest.mark.parametrize("codec", ["opus", "opus_fs320"])
def test_opus_garbage_is_silence_of_its_length_and_harms_nobody(server: Installation, app: App, codec: str) -> None:
    chance = random.Random(7)
    before = len(accounts(server))
    with listen(server.url, app.token, codec=codec) as socket:
        for size in [*range(1, 60), 400, 1275, 1276, 5000, *[40] * 200]:
            socket.send(chance.randbytes(size))
        socket.alive()
        socket.send('{"type": "finish"}')
        assert socket.status("finishing")
    until = time.monotonic() + 30
    while len(found := accounts(server)) == before:
        assert time.monotonic() < until, "the session has not ended"
        time.sleep(0.1)
    assert found[-1]["received"] > 1  # none of the frames is lost from the time line, the oversized one neither
    assert found[-1]["transcribed"] == 0
    assert found[-1]["silence"] + found[-1]["failed"] == pytest.approx(found[-1]["received"], abs=0.05)
    assert app.get("/v1/memories").json() == []


def accounts(server: Installation) -> list[dict[str, float]]:
    """Seconds of each session that has ended, by what became of them, as the web process wrote them down."""
    lines = (server.folder / "web.log").read_text(errors="replace").splitlines()
    return [
        {name: float(seconds) for name, seconds in re.findall(r"(received|transcribed|silence|failed)=([\d.]+)", line)}
        for line in lines
        if "session_ended" in line
    ]


def test_silence_alone_makes_no_memory(server: Installation, app: App) -> None:
    with listen(server.url, app.token) as socket:
        say(socket, bytes(10 * 32000))
        socket.send('{"type": "finish"}')
        socket.status("finishing")
        time.sleep(2)
        socket.alive()
        assert words(socket) == ""
    assert app.get("/v1/memories").json() == []


def test_finish_without_audio_is_said_to_be_nothing(server: Installation, app: App) -> None:
    with listen(server.url, app.token) as socket:
        socket.send('{"type": "finish"}')
        assert socket.status("ignored")["reason"] == "nothing_to_finish"


def test_one_user_cannot_take_every_seat(server: Installation, app: App) -> None:
    from contextlib import ExitStack

    with ExitStack() as stack:
        for _ in range(5):
            stack.enter_context(listen(server.url, app.token)).status("ready")
        sixth = stack.enter_context(listen(server.url, app.token))
        assert sixth.closed() == 1008
        assert sixth.messages[-1]["reason"] == "too_many_sockets"
    with listen(server.url, app.token) as again:
        again.status("ready")


def test_an_unknown_path_refuses_the_upgrade(server: Installation, app: App) -> None:
    from websockets.exceptions import InvalidStatus

    for path in ("/listen/", "/v9/listen", "/"):
        with pytest.raises(InvalidStatus) as refused, listen(server.url, app.token, path=path):
            pass
        assert refused.value.response.status_code == 403


def test_pcm8_is_sixteen_bit_at_8_khz(server: Installation, app: App, talk: bytes) -> None:
    """The 8 is kilohertz."""
    import numpy as np

    half = np.frombuffer(talk[: 5 * 32000], "<i2").reshape(-1, 2).mean(axis=1).astype("<i2").tobytes()
    with listen(server.url, app.token, codec="pcm8", sample_rate=8000) as socket:
        say(socket, half, 320)
        memory = finished(socket)["memory"]
    assert 3 < memory["transcript_segments"][-1]["end"] < 5.5


def test_a_client_that_comes_back_continues_its_conversation(server: Installation, app: App, talk: bytes) -> None:
    with listen(server.url, app.token) as socket:
        say(socket, talk[: 8 * 32000])
        first = socket.event("new_processing_memory_created", seconds=30)
    with listen(server.url, app.token) as socket:
        say(socket, talk[8 * 32000 : 16 * 32000])
        second = socket.event("new_processing_memory_created", "new_memory_created", seconds=60)
        event = finished(socket)
    assert second["processing_memory_id"] == event["processing_memory_id"] == first["processing_memory_id"]
    memories = app.get("/v1/memories").json()
    assert len(memories) == 1
    starts = [item["start"] for item in memories[0]["transcript_segments"]]
    assert starts == sorted(starts)
    ids = [item["id"] for item in memories[0]["transcript_segments"]]
    assert len(ids) == len(set(ids))
