"""Whichever gate is shut, every upload is answered 503 with ``Retry-After`` and every new socket closed with 1013, and
what reads is answered. The gates are shut by what they measure."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from django.conf import settings as now_set
from django.utils import timezone

from memories.pipeline.engine import queue
from memories.pipeline.models import PostProcessingRun
from memories.repository import memories as repository
from memories.shapes import Memory
from omi.serving import admission, guard
from omi.stores.models import AudioObject
from tests.api.conftest import Caller
from tests.transcription.live_session import run
from tests.transcription.wire import Wire, fresh
from transcription import journal
from transcription.listen import connection_limits

pytestmark = pytest.mark.django_db
__all__ = ["fresh"]

GATES = ("disk_nearly_full", "database_slow", "queue_too_old")
MEMORY = "5a3f2f5e-0000-4000-8000-000000000001"


@pytest.fixture(params=GATES)
def shut(request: pytest.FixtureRequest, settings: Any) -> Iterator[str]:
    """One gate, after as many looks as it takes to shut."""
    if request.param == "disk_nearly_full":
        settings.OMI_ADMIT_FREE_BYTES = 2**60
    elif request.param == "database_slow":
        settings.OMI_ADMIT_DATABASE_SECONDS = 1e-9
    else:
        queue.wake(1)
        age = now_set.OMI_ADMIT_QUEUE_SECONDS + 60
        queue.messages().update(lock=timezone.now() - timedelta(seconds=age))
    for _ in range(3):
        found = admission.look()
    assert [gate.refusal.code for gate in found] == [request.param]
    yield request.param
    for gate in admission.gates():
        gate.open()
    connection_limits._left.clear()


@pytest.fixture
def caller() -> Caller:
    now = timezone.now()
    repository.create_memory("ana", Memory(id=MEMORY, created_at=now, started_at=now, finished_at=now))
    return Caller("ana")


def _batch(caller: Caller) -> str:
    """Announced before the gate shut: nothing of it is here."""
    file = {"captured_at": "2026-11-01T10:00:00Z", "codec": "opus", "size": 4, "sha256": "0" * 64}
    answer = caller.send("POST", "/v1/sync", {"device_id": "d", "language": "en", "files": [file]})
    assert answer.status_code in (200, 201), answer.content
    return str(answer.json()["id"])


UPLOADS: dict[str, Callable[[Caller], Any]] = {
    "a recording of a memory": lambda caller: caller.upload(f"/v1/memories/{MEMORY}/post-processing", b"RIFF"),
    "recordings made offline": lambda caller: caller.upload("/v1/sync-local-files", b"x", "a_fs160_1.bin"),
    "a piece of a batch": lambda caller: caller.client.patch(
        f"/v1/sync/{_batch(caller)}/files/0", b"1234", "application/offset+octet-stream",
        headers={"Upload-Offset": "0", "Tus-Resumable": "1.0.0"},
    ),
    "the user's voice": lambda caller: caller.upload("/v3/upload-audio", b"RIFF"),
    "the user's voice as packets": lambda caller: caller.send(
        "POST", "/v3/upload-bytes", {"bytes": [[1, 2]], "duration": 30}
    ),
    "a person's voice": lambda caller: caller.upload(
        f"/v1/users/people/{caller.send('POST', '/v1/users/people', {'name': 'Tom'}).json()['id']}/samples", b"RIFF"
    ),
}  # fmt: skip


@pytest.mark.parametrize("what", UPLOADS)
def test_an_upload_is_refused_by_each_gate(shut: str, caller: Caller, what: str) -> None:
    refused = admission.REFUSED.labels("upload", shut)
    before = refused._value.get()
    answer = UPLOADS[what](caller)
    assert (answer.status_code, answer.json()["code"]) == (503, shut), answer.content
    assert answer.headers["Retry-After"] == str(admission.RETRY_SECONDS)
    assert refused._value.get() == before + 1
    assert not AudioObject.objects.exists()
    assert not PostProcessingRun.objects.exists()
    assert caller.get(f"/v1/memories/{MEMORY}").status_code == 200


def test_a_new_socket_is_refused_by_each_gate(shut: str, fresh: None) -> None:
    async def work() -> Wire:
        async with Wire() as wire:
            await wire.until(lambda: wire.code is not None)
        return wire

    wire = run(work)
    assert wire.reasons("refused") == [shut]
    assert wire.code == 1013
    assert list(journal.sessions()) == []


@pytest.mark.parametrize(
    ("path", "kind", "upload"),
    [
        (b"/v1/memories/1/post-processing", b"multipart/form-data; boundary=x", True),
        (b"/v1/sync/b/files/0", b"application/offset+octet-stream", True),
        (b"/v3/upload-bytes?x=1", b"application/json", True),
        (b"/v1/memories/1/transcript", b"application/json", False),
    ],
)
def test_the_door_knows_large_bodies_that_are_uploads(path: bytes, kind: bytes, upload: bool) -> None:
    request: Any = guard.Guarded()
    request.channel = SimpleNamespace(_path=path)
    request.requestHeaders = SimpleNamespace(getRawHeaders=lambda name: [kind] if name == b"content-type" else None)
    assert request._is_upload() is upload
