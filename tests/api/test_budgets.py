"""A user who has had what one may have in a day is told so: 429 with ``Retry-After``, and nothing is begun."""

from __future__ import annotations

from typing import Any

import pytest

from memories.pipeline.models import PostProcessingRun
from memories.repository import transcripts
from omi.stores.models import AudioObject
from tests.api.conftest import Caller
from tests.api.test_postprocessing import Make, tone, url

SEGMENTS = [{"text": "we should book the table", "speaker": "SPEAKER_00", "start": 0.0, "end": 2.0, "is_user": True}]
CREATE = {"started_at": "2026-11-01T10:00:00Z", "finished_at": "2026-11-01T10:01:00Z", "transcript_segments": SEGMENTS}


def refused(answer: Any) -> None:
    assert answer.status_code == 429
    assert "today" in answer.json()["detail"]
    assert 0 < int(answer.headers["Retry-After"]) <= 86400


def test_memories_are_bounded(alice: Caller, bob: Caller, settings: Any) -> None:
    settings.OMI_RUNS_PER_DAY = 2
    for _ in range(2):
        assert alice.send("POST", "/v1/memories?trigger_integrations=false", CREATE).status_code == 200
    refused(alice.send("POST", "/v1/memories?trigger_integrations=false", CREATE))
    assert bob.send("POST", "/v1/memories?trigger_integrations=false", CREATE).status_code == 200
    assert PostProcessingRun.objects.filter(uid="alice").count() == 2


def test_searches_are_bounded(alice: Caller, settings: Any) -> None:
    settings.OMI_SEARCHES_PER_DAY = 1
    assert alice.send("POST", "/v1/memories/search", {"query": "table"}).status_code == 200
    refused(alice.send("POST", "/v1/memories/search", {"query": "table"}))


@pytest.mark.parametrize("name", ["OMI_RUNS_PER_DAY", "OMI_UPLOAD_BYTES_PER_DAY", "OMI_PAID_CALLS_PER_DAY"])
def test_uploads_are_bounded_and_what_is_refused_is_not_kept(
    alice: Caller, make_memory: Make, settings: Any, name: str
) -> None:
    from memories.pipeline import budgets

    memory = make_memory()
    setattr(settings, name, 1)
    budgets.paid("alice")
    budgets.spend("alice", runs=1) if name == "OMI_RUNS_PER_DAY" else None
    refused(alice.upload(url(memory), tone(11)))
    assert not AudioObject.objects.exists()


def test_reprocessing_of_one_memory_is_bounded_per_day(alice: Caller, make_memory: Make, settings: Any) -> None:
    settings.OMI_RETRIES_PER_DAY = 2
    memory = make_memory()
    where = f"/v1/memories/{memory.id}/reprocess"
    for language in ("en", "de"):
        assert alice.send("POST", f"{where}?language_code={language}").status_code == 200
    answer = alice.send("POST", f"{where}?language_code=fr")
    assert (answer.status_code, "too often" in answer.json()["detail"]) == (429, True)
    assert 86000 < int(answer.headers["Retry-After"]) <= 86400
    assert PostProcessingRun.objects.filter(memory_id=memory.id).count() == 2


def test_whatever_makes_a_memory_anew_is_bounded_per_day(alice: Caller, make_memory: Make, settings: Any) -> None:
    """Reprocessing was; going to and fro between transcripts, and deleting and restoring, asked the model as often as
    one liked."""
    settings.OMI_RETRIES_PER_DAY, settings.OMI_RESTORE_DAYS = 2, 7
    memory = make_memory()
    where = f"/v1/memories/{memory.id}"
    transcripts.save_transcript("alice", memory.id, "fal_whisperx", memory.transcript_segments)

    def activate(model: str) -> int:
        return int(alice.send("POST", f"{where}/transcripts/{model}/activate").status_code)

    assert activate("fal_whisperx") == 200
    assert alice.delete(where).status_code == 204
    assert alice.send("POST", f"{where}/restore").status_code == 200
    assert activate("fal_whisperx") == 429
    assert alice.send("POST", f"{where}/reprocess").status_code == 429
    assert alice.delete(where).status_code == 204
    answer = alice.send("POST", f"{where}/restore")
    assert answer.status_code == 429
    assert int(answer.headers["Retry-After"]) > 0


@pytest.mark.parametrize("way", ["activate", "restore"])
def test_whatever_makes_a_memory_anew_is_part_of_the_users_budget(
    way: str, alice: Caller, make_memory: Make, settings: Any
) -> None:
    settings.OMI_RESTORE_DAYS, settings.OMI_RUNS_PER_DAY = 7, 1
    memory = make_memory()
    transcripts.save_transcript("alice", memory.id, "fal_whisperx", memory.transcript_segments)
    where = f"/v1/memories/{memory.id}"
    assert alice.send("POST", f"{where}/reprocess").status_code == 200
    if way == "restore":
        assert alice.delete(where).status_code == 204
    path = {"restore": "restore", "activate": "transcripts/fal_whisperx/activate"}[way]
    refused(alice.send("POST", f"{where}/{path}"))


def test_a_transcript_that_would_hold_up_everybody_is_refused(alice: Caller, settings: Any) -> None:
    """200,000 segments of one user made another user's small write wait for four seconds."""
    many = [{**SEGMENTS[0], "start": number / 10, "end": number / 10 + 0.1} for number in range(20_001)]
    answer = alice.send("POST", "/v1/memories?trigger_integrations=false", {**CREATE, "transcript_segments": many})
    assert answer.status_code == 422
    assert answer.json()["detail"][0]["type"] == "too_long"
    many.pop()
    answer = alice.send("POST", "/v1/memories?trigger_integrations=false", {**CREATE, "transcript_segments": many})
    assert answer.status_code == 200
