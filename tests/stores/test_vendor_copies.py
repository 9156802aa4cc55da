"""What a vendor keeps of a recording is erased with the memory: at a simulated Soniox, which holds real copies."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from memories.models import ErasureReceipt
from memories.pipeline import service
from memories.pipeline.models import RunStep
from memories.privacy import erasure
from memories.repository import memories
from memories.shapes import Memory
from omi.stores.models import LocalDocument
from tests.pipeline.late import until
from tests.support.vendor_fixtures import silence, talk, vendor_server, vendors
from transcription.vendors.batch.base import Pending, PrerecordedRequest
from transcription.vendors.batch.soniox import SonioxPrerecorded

__all__ = ["silence", "talk", "vendor_server", "vendors"]
pytestmark = pytest.mark.django_db


@pytest.fixture
def sent(vendors: Any, silence: Path, settings: Any) -> Any:
    """A memory whose run handed its recording to Soniox."""
    settings.PROVIDERS = {
        **settings.PROVIDERS,
        "prerecorded": [{"BACKEND": "transcription.vendors.batch.soniox.SonioxPrerecorded"}],
    }
    memories.create_memory("ana", Memory(id="m", created_at=datetime.now(UTC)))
    run = service.start("reprocess", "ana", "m", actor="test")
    answer = SonioxPrerecorded().submit(PrerecordedRequest(path=silence, seconds=11.0))
    assert isinstance(answer, Pending)
    ticket = answer.ticket.model_dump(mode="json")
    RunStep.objects.update_or_create(run=run, name="transcribe", defaults={"position": 1, "output": {"ticket": ticket}})
    jobs = vendors.state.store["soniox"]["transcriptions"]
    until(lambda: all(job["public"]["status"] != "processing" for job in jobs.values()))
    return vendors


def kept(vendors: Any) -> int:
    held = vendors.state.store["soniox"]
    return len(held["files"]) + len(held["transcriptions"])


Erase = Callable[[], erasure.Receipt]
BOTH = [lambda: erasure.erase_memory("ana", "m"), lambda: erasure.erase_user("ana")]


@pytest.mark.parametrize("erase", BOTH, ids=["memory", "user"])
def test_audio_and_transcript_go_at_the_vendor_and_stand_in_the_receipt(sent: Any, erase: Erase) -> None:
    receipt = erase()
    assert receipt.complete
    assert receipt.erased["runs"]["vendor_copies"] == 1
    assert kept(sent) == 0


@pytest.mark.parametrize("erase", BOTH, ids=["memory", "user"])
def test_a_vendor_that_is_down_delays_nothing_else_and_is_asked_again(sent: Any, erase: Erase) -> None:
    sent.faults("soniox", {"kind": "refuse", "status": 503, "times": -1})
    receipt = erase()
    assert not receipt.complete
    assert list(receipt.failed) == ["runs"]
    assert not LocalDocument.objects.filter(path__contains="memories/m").exists()
    assert kept(sent) == 2  # the file and the transcription
    sent.faults("soniox", clear=True)
    assert erasure.finish_pending() == 1
    assert kept(sent) == 0
    row = ErasureReceipt.objects.get()
    assert (row.complete, row.uid, row.erased["runs"]["vendor_copies"]) == (True, "", 1)


def test_a_vendor_that_refuses_for_good_is_left_and_told(sent: Any, caplog: pytest.LogCaptureFixture) -> None:
    sent.faults("soniox", {"kind": "refuse", "status": 401, "times": -1})
    receipt = erasure.erase_memory("ana", "m")
    assert receipt.complete
    assert receipt.erased["runs"]["vendor_copies"] == 0
    assert "vendor_job_left" in caplog.text


def test_a_job_that_still_runs_is_erased_when_it_is_over(sent: Any) -> None:
    sent.faults(
        "soniox", {"kind": "refuse", "status": 409, "op": "delete", "times": 2}
    )  # "Transcription is being processed."
    receipt = erasure.erase_memory("ana", "m")
    assert receipt.failed == {"runs": "processing"}
    assert kept(sent) == 1  # the text is not there yet; the recording is gone at once
    assert erasure.finish_pending() == 1
    assert kept(sent) == 0
