"""Uploads for post-processing and enrolment: what is no fit recording is a 4xx with a reason, the memory unharmed."""

from __future__ import annotations

import socket as sockets
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest

from demo.servers import Installation
from tests.acceptance import flutter, recordings
from tests.acceptance.conftest import MAX_UPLOAD
from tests.acceptance.wire import App, Json
from tests.support import sound

pytestmark = pytest.mark.process


@pytest.fixture(scope="module")
def owner(make_app: Any) -> App:
    app: App = make_app()
    return app


@pytest.fixture(scope="module")
def memory(owner: App) -> Json:
    made = owner.create_memory()
    path = f"/v1/memories/{made['id']}/post-processing"
    owner.wait(path, lambda run: run["state"] == "finished")  # the title is made: nothing else will change it
    found: Json = owner.get(f"/v1/memories/{made['id']}").json()
    return found


@pytest.fixture
def refuse(owner: App, memory: Json) -> Any:
    """Upload, and hold that the refusal left the memory as it was and open for a better recording."""
    path = f"/v1/memories/{memory['id']}"

    def refused(content: Any, name: str = "talk.wav") -> httpx.Response:
        run = owner.get(f"{path}/post-processing").json()["id"]
        answer = owner.upload(f"{path}/post-processing", content, name)
        assert 400 <= answer.status_code < 500, answer.text
        assert owner.get(path).json() == memory
        assert owner.get(f"{path}/post-processing").json()["id"] == run
        assert isinstance(answer.json()["detail"], str | list)
        return answer

    return refused


@pytest.mark.parametrize("name", recordings.NOT_AUDIO)
def test_what_is_not_audio_is_400(refuse: Any, name: str) -> None:
    answer = refuse(recordings.NOT_AUDIO[name])
    assert answer.status_code == 400
    assert answer.json()["code"] in ("not_audio", "empty", "broken")


def test_an_empty_file_and_a_bare_header_are_400_empty(refuse: Any) -> None:
    for content in (b"", sound.wav(b"")):
        assert len(content) in (0, 44)
        answer = refuse(content)
        assert answer.status_code in (400, 422), answer.text
        if answer.status_code == 400:
            assert answer.json()["code"] in ("empty", "not_audio")


def test_a_riff_that_claims_more_than_it_holds_is_judged_by_what_it_holds(refuse: Any) -> None:
    answer = refuse(recordings.lying(sound.tone(2)[44:]))
    assert (answer.status_code, answer.json()["code"]) == (400, "too_short")


def test_9_99_s_is_too_short_and_10_0_s_is_not(refuse: Any, owner: App) -> None:
    """The original answered 500 and marked the memory canceled."""
    answer = refuse(sound.tone(9.99))
    assert (answer.status_code, answer.json()["code"]) == (400, "too_short")
    assert "10 seconds" in answer.json()["detail"]
    made = owner.create_memory()
    taken = owner.upload(f"/v1/memories/{made['id']}/post-processing", sound.tone(10.0))
    assert taken.status_code == 200
    assert flutter.memory(taken.json())["postprocessing"]["status"] == "in_progress"


@pytest.mark.parametrize("kind", sorted(recordings.playlists(Path("/x"))))
def test_a_playlist_reads_no_file_of_the_server(refuse: Any, server: Installation, kind: str) -> None:
    """A real recording lies on the server's disk; a decoder that follows the playlist would take it."""
    target = server.folder / "bait.wav"
    target.write_bytes(sound.tone(20))
    for name in ("talk.wav", "talk.m3u8", "talk.mpd"):
        answer = refuse(recordings.playlists(target)[kind], name)
        assert (answer.status_code, answer.json()["code"]) == (400, "not_audio"), answer.text


@pytest.mark.parametrize(
    "name",
    ["../../../../tmp/owned.wav", "../x", "a/b/c.wav", "C:\\x.wav", "%00.wav", "x" * 400 + ".wav", ".wav", "🧠.wav"],
)
def test_the_name_of_the_file_is_only_a_name(owner: App, server: Installation, name: str) -> None:
    made = owner.create_memory()
    answer = owner.upload(f"/v1/memories/{made['id']}/post-processing", sound.tone(10.5), name)
    assert answer.status_code == 200, answer.text
    assert not Path("/tmp/owned.wav").exists()
    kept = [
        path.relative_to(server.folder / "audio") for path in (server.folder / "audio").rglob("*") if path.is_file()
    ]
    assert not any("owned" in str(path) or "🧠" in str(path) for path in kept)


def raw(server: Installation, app: App, path: str, parts: bytes) -> httpx.Response:
    headers = {"Content-Type": "multipart/form-data; boundary=B"}
    return app.http.post(path, content=parts, headers=headers)


def part(name: str, filename: bytes, content: bytes) -> bytes:
    head = b'--B\r\nContent-Disposition: form-data; name="' + name.encode() + b'"; filename="' + filename + b'"\r\n'
    return head + b"Content-Type: audio/wav\r\n\r\n" + content + b"\r\n"


def gone_within(folder: Path, kept: set[Path], seconds: float = 10.0) -> None:
    """Django closes a request's files after its answer is sent: the client may look before they are gone."""
    deadline = time.monotonic() + seconds
    while left := set(folder.iterdir()) - kept:
        assert time.monotonic() < deadline, left
        time.sleep(0.05)


def test_nul_in_a_name_and_bytes_that_are_no_text_harm_nothing(server: Installation, owner: App) -> None:
    made = owner.create_memory()
    path = f"/v1/memories/{made['id']}/post-processing"
    for filename in (b"..", b"", b"x" * 5000, b"a\x00.wav", b"\xff\xfe.wav", b"a\r\nX: y.wav", b'"; name="x'):
        answer = raw(server, owner, path, part("file", filename, sound.tone(1)) + b"--B--\r\n")
        assert answer.status_code in (400, 422), (filename, answer.text)


def test_two_files_in_one_form_are_judged_by_the_last_and_leave_nothing_behind(
    server: Installation, owner: App
) -> None:
    made = owner.create_memory()
    path = f"/v1/memories/{made['id']}/post-processing"
    before = set((server.folder / "uploads").iterdir())  # of uploads that others broke off
    parts = part("file", b"a.wav", sound.tone(11)) + part("file", b"b.wav", b"no audio") + b"--B--\r\n"
    answer = raw(server, owner, path, parts)
    assert (answer.status_code, answer.json()["code"]) == (400, "not_audio")
    gone_within(server.folder / "uploads", before)


@pytest.mark.parametrize(
    "body", [b"", b"--B", b"--B\r\n\r\n", b"--B--\r\n", b"garbage", part("other", b"a.wav", b"x") + b"--B--\r\n"]
)
def test_a_form_without_the_file_is_422(server: Installation, owner: App, memory: Json, body: bytes) -> None:
    """In the project's own words: Twisted, which daphne stands on, must not have parsed (and refused) it in memory."""
    answer = raw(server, owner, f"/v1/memories/{memory['id']}/post-processing", body)
    assert answer.status_code in (400, 422), answer.text
    assert answer.json()["detail"]


def test_another_content_type_is_415_or_422(owner: App, memory: Json) -> None:
    path = f"/v1/memories/{memory['id']}/post-processing"
    for kind in ("application/json", "text/plain", "audio/wav", "multipart/form-data", ""):
        answer = owner.post(path, content=b"{}", headers={"Content-Type": kind})
        assert answer.status_code in (400, 415, 422), (kind, answer.text)


def test_too_large_is_413_and_the_memory_unharmed(refuse: Any) -> None:
    answer = refuse(sound.wav(bytes(MAX_UPLOAD + 200_000)))
    assert (answer.status_code, answer.json()["code"]) == (413, "too_large")


def test_too_large_is_refused_at_its_declared_length_before_it_is_sent(
    server: Installation, owner: App, memory: Json
) -> None:
    """Ten gigabytes are announced, one kilobyte is sent: the answer does not wait for the rest."""
    address = urlsplit(server.url)
    with sockets.create_connection((address.hostname or "", address.port or 0), timeout=10) as line:
        head = (
            f"POST /v1/memories/{memory['id']}/post-processing HTTP/1.1\r\nHost: 127.0.0.1\r\n"
            f"Authorization: Bearer {owner.token}\r\nContent-Type: multipart/form-data; boundary=B\r\n"
            "Content-Length: 10000000000\r\n\r\n"
        )
        line.sendall(head.encode() + bytes(1000))
        assert line.recv(4096).startswith(b"HTTP/1.1 413")


def test_too_large_without_a_length_is_refused_while_it_is_read(server: Installation, owner: App, memory: Json) -> None:
    """Chunked: no length is declared. Far less than all of it may reach the disk."""
    sent = 0

    def endless() -> Iterator[bytes]:
        nonlocal sent
        yield part("file", b"a.wav", b"")[:-2]
        while sent < 40 * MAX_UPLOAD:
            sent += 65536
            yield bytes(65536)

    try:
        answer = raw(server, owner, f"/v1/memories/{memory['id']}/post-processing", endless())  # type: ignore[arg-type]
        assert answer.status_code == 413, answer.text
    except (httpx.WriteError, httpx.ReadError, httpx.RemoteProtocolError):
        pass  # cut off while sending: refused as well
    gone_within(server.folder / "uploads", set())
    assert owner.get(f"/v1/memories/{memory['id']}").json() == memory


def test_silence_is_taken_and_never_replaces_the_transcript(owner: App) -> None:
    """Nothing good is overwritten by something empty."""
    made = owner.create_memory()
    path = f"/v1/memories/{made['id']}"
    assert owner.upload(f"{path}/post-processing", recordings.silence(11)).status_code == 200
    run = owner.wait(
        f"{path}/post-processing", lambda run: run["kind"] == "postprocess" and run["state"] == "finished", 90
    )
    heard = {step["name"]: step["outcome"] for step in run["steps"]}
    assert heard["transcribe"] == "expected_silence", run
    after = flutter.memory(owner.get(path).json())
    assert [item["text"] for item in after["transcript_segments"]] == [
        item["text"] for item in made["transcript_segments"]
    ]


def test_the_same_recording_again_joins_its_run(owner: App, speech_wav: bytes) -> None:
    made = owner.create_memory()
    path = f"/v1/memories/{made['id']}/post-processing"
    runs = set()
    for _ in range(3):
        assert owner.upload(path, speech_wav).status_code == 200
        runs.add(owner.get(path).json()["id"])
    assert len(runs) == 1


@pytest.mark.parametrize("route", ["/v3/upload-audio", "person"])
def test_enrolment_refuses_the_same_hostile_files(owner: App, server: Installation, route: str) -> None:
    path = route
    if route == "person":
        person = owner.post("/v1/users/people", json={"name": "Bernd"}).json()
        path = f"/v1/users/people/{person['id']}/samples"
    target = server.folder / "bait.wav"
    target.write_bytes(sound.tone(20))
    hostile = {**recordings.NOT_AUDIO, **recordings.playlists(target), "header": sound.wav(b"")}
    hostile |= {"silence": recordings.silence(8), "too short": sound.tone(1)}
    for name, content in hostile.items():
        answer = owner.upload(path, content)
        assert answer.status_code == 400, (name, answer.text)
        assert answer.json()["code"], name
    assert owner.upload(path, sound.wav(bytes(MAX_UPLOAD + 200_000))).status_code == 413
    assert owner.post(path, files={"other": b"x"}).status_code == 422
    assert owner.get("/v3/speech-profile").json() == {"has_profile": False}
    gone_within(server.folder / "uploads", set())


def test_upload_bytes_refuses_what_is_no_packet(owner: App) -> None:
    for body in (
        {},
        {"bytes": "x", "duration": 20},
        {"bytes": [[256]], "duration": 20},
        {"bytes": [[-1]], "duration": 20},
    ):
        assert owner.post("/v3/upload-bytes", json=body).status_code == 422, body
    for duration in (9, 121):
        assert owner.post("/v3/upload-bytes", json={"bytes": [], "duration": duration}).status_code == 400
    for packets in ([], [[]] * 100, [[7, 8, 9]] * 1500, [[1] * 1275] * 10):
        answer = owner.post("/v3/upload-bytes", json={"bytes": packets, "duration": 15})
        assert answer.status_code == 400, answer.text
