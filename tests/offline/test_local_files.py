"""The app's own upload of what it recorded offline: by the names of the files."""

from __future__ import annotations

from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile

from memories.offline import working
from memories.offline.models import SyncBatch, SyncFile
from omi.accounts import users
from omi.core.errors import ErrorKind, ProviderError
from omi.stores import audio
from omi.stores.models import AudioObject
from tests.offline.conftest import App, at

pytestmark = pytest.mark.django_db
NOON = int(at(0).timestamp())


def packets(count: int, fill: int = 1) -> bytes:
    packet = bytes([0x08 << 3]) + bytes([fill]) * 20
    return b"".join(len(packet).to_bytes(4, "little") + packet for _ in range(count))


def send(app: App, *files: tuple[str, bytes]) -> Any:
    uploads = [SimpleUploadedFile(name, content, "application/octet-stream") for name, content in files]
    return app.client.post("/v1/sync-local-files", {"files": uploads})


def test_the_apps_files_become_a_batch_by_their_names(app: App, settings: Any) -> None:
    settings.OMI_SYNC_PIECE_BYTES = 10_000
    users.update_user("alice", language="de")
    content = packets(1500)
    answer = send(
        app, (f"audio_omi_opus_16000_1_fs160_{NOON}.bin", content),
        (f"audio_omi_opusfs320_16000_1_fs320_{NOON * 1000 + 60_000}.bin", packets(1500, 2)),
    )  # fmt: skip
    assert answer.status_code == 200, answer.content
    told = answer.json()
    assert (told["new_memories"], told["updated_memories"]) == ([], [])
    batch = SyncBatch.objects.get(pk=told["batch"])
    assert (batch.state, batch.device_id, batch.language) == ("queued", "", "de")
    files = list(SyncFile.objects.order_by("number"))
    assert [(item.codec, item.captured_at, item.state) for item in files] == [
        ("opus", at(0), "whole"), ("opus_fs320", at(60), "whole"),
    ]  # fmt: skip
    assert b"".join(audio.open(name).read() for name in files[0].pieces) == content
    assert working.work(told["batch"]) == "done"
    assert app.shown(told["batch"])["files"][0]["seconds"] == pytest.approx(15.0)


def test_the_same_files_again_are_taken_once(app: App) -> None:
    name = f"audio_omi_opus_16000_1_fs160_{NOON}.bin"
    first = send(app, (name, packets(200))).json()["batch"]
    again = send(app, (name, packets(200))).json()["batch"]
    assert (working.work(first), working.work(again)) == ("done", "done")
    assert app.states(again) == ["duplicate"]
    assert app.states(send(app, (name, packets(200))).json()["batch"]) == ["duplicate"]
    assert AudioObject.objects.filter(deleted_at=None).count() == 0


def test_a_request_that_fails_half_way_leaves_no_batch_that_waits_for_the_rest(
    app: App, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = [(f"audio_fs160_{NOON + 60 * number}.bin", packets(200, number + 1)) for number in range(2)]
    real, stored = audio.put, []

    def put(*args: Any, **kwargs: Any) -> Any:
        stored.append(1)
        if len(stored) == 2:
            raise ProviderError("audio", "unreachable", kind=ErrorKind.TRANSIENT)
        return real(*args, **kwargs)

    monkeypatch.setattr(audio, "put", put)
    assert send(app, *files).status_code == 503
    assert not SyncBatch.objects.filter(state__in=("receiving", "queued")).exists()
    batch = send(app, *files).json()["batch"]
    assert app.states(batch) == ["whole", "whole"]


@pytest.mark.parametrize(
    "name",
    ["talk.wav", "audio_omi_opus.bin", "audio_fs160_12.bin", "audio_omi_opus_16000_1_fs480_1795176000.bin",
     "audio_omi_opus_16000_1_fs160_315532800.bin", "audio_omi_pcm16_16000_1_fs160_1763640000.bin",
     "audio_fs160_9999999999999.bin"],
)  # fmt: skip
def test_a_name_that_does_not_say_what_it_is_is_refused(app: App, name: str) -> None:
    answer = send(app, (f"audio_fs160_{NOON}.bin", packets(5)), (name, packets(5)))
    assert (answer.status_code, "file 1" in answer.json()["detail"].lower()) == (400, True)
    assert not SyncBatch.objects.exists()


def test_nothing_too_much_and_no_one_is_told_so(app: App, settings: Any) -> None:
    assert app.client.post("/v1/sync-local-files", {}).status_code == 422
    assert send(app, (f"audio_fs160_{NOON}.bin", b"")).status_code in (400, 422)
    settings.OMI_MAX_UPLOAD_BYTES = 100
    assert send(app, (f"audio_fs160_{NOON}.bin", packets(20))).status_code == 413
    settings.OMI_MAX_UPLOAD_BYTES = 10**6
    settings.OMI_SYNC_BATCHES = 0
    assert send(app, (f"audio_fs160_{NOON}.bin", packets(20))).status_code == 429
