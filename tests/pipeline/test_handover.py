"""The address under which a vendor fetches a recording from our own file system."""

from __future__ import annotations

import time
from typing import Any

import pytest
from django.test import Client

from memories.pipeline import service
from memories.pipeline.vendor_calls import signed_urls
from memories.shapes import Memory
from omi.stores import audio
from tests.pipeline.conftest import UID, wav

pytestmark = pytest.mark.django_db


def body(answer: Any) -> bytes:
    import asyncio

    async def read() -> bytes:
        return b"".join([piece async for piece in answer.streaming_content])

    return asyncio.run(read())


@pytest.fixture
def path(memory: Memory, upload: Any, settings: Any) -> str:
    settings.OMI_PUBLIC_URL = "https://omi.example"
    url = signed_urls.fetch_url(upload().name, 60)
    assert url is not None
    assert url.startswith("https://omi.example/v1/vendors/audio/")
    return url.removeprefix("https://omi.example")


@pytest.mark.django_db(transaction=True)
def test_the_vendor_reads_the_recording_whole_or_in_part(path: str) -> None:
    whole = Client().get(path)
    assert (whole.status_code, whole["Content-Type"]) == (200, "audio/wav")
    assert body(whole) == wav()
    part = Client().get(path, headers={"Range": "bytes=4-7"})
    assert (part.status_code, body(part)) == (206, wav()[4:8])
    assert Client().head(path).status_code == 200
    assert Client().post(path).status_code == 405


def test_the_address_ends_with_the_job(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now + 61)
    assert Client().get(path).status_code == 403


def test_a_changed_address_opens_nothing(path: str) -> None:
    assert Client().get(path[:-3] + "abc").status_code == 403
    assert Client().get("/v1/vendors/audio/anything").status_code == 403


def test_erased_audio_is_gone(path: str) -> None:
    """No audio in a public place, and none after its deletion."""
    for kept in audio.for_memory(UID, "5a3f2f5e-0000-4000-8000-000000000001"):
        audio.delete(kept)
    assert Client().get(path).status_code == 404


def test_without_a_public_address_the_audio_travels_in_the_request(memory: Memory, upload: Any, settings: Any) -> None:
    settings.OMI_PUBLIC_URL = settings.FAL_WEBHOOK_URL = ""
    assert (signed_urls.fetch_url(upload().name, 60), signed_urls.webhook_url()) == (None, None)
    settings.OMI_PUBLIC_URL = "https://omi.example"
    assert signed_urls.webhook_url() == "https://omi.example/v1/vendors/fal/webhook"


def test_the_step_gives_the_vendor_the_address(memory: Memory, upload: Any, heard: Any, settings: Any) -> None:
    from memories.pipeline import runner
    from tests.pipeline.fakes import FakePrerecorded

    settings.OMI_PUBLIC_URL = "https://omi.example"
    given: list[Any] = []
    real = FakePrerecorded.submit

    def submit(self: FakePrerecorded, request: Any) -> Any:
        given.append(request)
        return real(self, request)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(FakePrerecorded, "submit", submit)
        run = service.start("postprocess", UID, memory.id, actor="test", audio=upload())
        assert runner.work(run.pk) == "finished"
    assert given[0].url.startswith("https://omi.example/v1/vendors/audio/")
    assert given[0].speakers is None, "the live count is not forced on the vendor"
