"""Whatever a vendor says of a job that it was given: a ticket, a wait, a transcript, or one error. Nothing else."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from omi.core.errors import ProviderError
from tests.attack.effort import tries
from tests.attack.mutated import ANY_JSON, mutated, outcome
from tests.attack.test_vendor_answers_recordings import FAL, SONIOX
from tests.support import sound
from transcription.vendors.batch import fal_whisperx, soniox
from transcription.vendors.batch.base import Pending, PrerecordedRequest, Ticket, Transcript
from transcription.vendors.batch.http import Answer

QUEUE = "https://queue.fal.run/fal-ai/whisper/requests/1"
SUBMITTED = {"request_id": "1", "status_url": f"{QUEUE}/status", "response_url": QUEUE, "cancel_url": f"{QUEUE}/cancel"}
STATUS = {"status": "IN_QUEUE", "request_id": "1", "queue_position": 3, "error": None, "error_type": None}
JOB = {"id": "1", "status": "completed", "error_type": None, "file_id": "f1"}
ODD_ADDRESS = st.sampled_from(["http://[", "https://queue.fal.run@evil", "//", "x" * 10_000, "https://[::1"])


@pytest.fixture(autouse=True)
def _keys(settings: Any) -> None:
    settings.FAL_KEY = settings.SONIOX_API_KEY = "key"
    settings.FAL_QUEUE_URL = "https://queue.fal.run"


@pytest.fixture
def recording(tmp_path: Path) -> PrerecordedRequest:
    path = tmp_path / "r.wav"
    sound.write_wav(path, bytes(3200))
    return PrerecordedRequest(path=path, seconds=30.0, language="en", url="https://example.org/r.wav")


def says(monkeypatch: pytest.MonkeyPatch, module: Any, *bodies: Any) -> None:
    """The vendor's answers, one after the other; the last one for ever."""
    left = list(bodies)
    monkeypatch.setattr(module, "exchange", lambda *a, **k: Answer(200, {}, left.pop(0) if left[1:] else left[0]))


def anything(answer: dict[str, Any]) -> st.SearchStrategy[Any]:
    odd = st.sampled_from(sorted(answer)).flatmap(lambda key: ODD_ADDRESS.map(lambda value: answer | {key: value}))
    return st.one_of(mutated(answer).map(lambda made: made[0]), odd, ANY_JSON)


def answered(ask: Callable[[Any], Any]) -> Any:
    made = outcome(ask, None)
    assert isinstance(made, Pending | Transcript | ProviderError)
    return made


@tries(150)
@given(body=anything(SUBMITTED))
def test_fal_taking_a_job(body: Any, recording: PrerecordedRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    says(monkeypatch, fal_whisperx, body)
    made = answered(lambda _: fal_whisperx.FalWhisperX().submit(recording))
    if isinstance(made, Pending):
        made.ticket.model_dump_json()
        assert all(made.ticket.state[name].startswith("https://queue.fal") for name in ("status_url", "response_url"))


@tries(150)
@given(status=anything(STATUS), body=anything(FAL))
def test_fal_telling_of_a_job(status: Any, body: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    ticket = Ticket(vendor="fal_whisperx", id="1", state={**SUBMITTED, "seconds": 30.0})
    says(monkeypatch, fal_whisperx, status, body)
    answered(lambda _: fal_whisperx.FalWhisperX().poll(ticket))


@tries(150)
@given(file=anything({"id": "f1"}), job=anything({"id": "1"}))
def test_soniox_taking_a_job(
    file: Any, job: Any, recording: PrerecordedRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    says(monkeypatch, soniox, file, job)
    answered(lambda _: soniox.SonioxPrerecorded().submit(recording))


@tries(150)
@given(job=anything(JOB), body=anything(SONIOX))
def test_soniox_telling_of_a_job(job: Any, body: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    says(monkeypatch, soniox, job, body)
    answered(lambda _: soniox.SonioxPrerecorded().poll(Ticket(vendor="soniox", id="1", state={"seconds": 30.0})))
