"""The same request gives the same run, whatever it joined; another one under its key is refused."""

from __future__ import annotations

from typing import Any

import pytest

from memories.pipeline import runner, service
from memories.pipeline.engine import content_hash
from memories.pipeline.models import PostProcessingRun, RequestKey
from memories.shapes import Memory
from tests.pipeline.conftest import MEMORY, UID, wav

pytestmark = pytest.mark.django_db


@pytest.fixture
def post(memory: Memory, upload: Any, heard: Any) -> Any:
    def start(seed: int = 1, key: str | None = None, **more: Any) -> PostProcessingRun:
        audio = upload(wav(seed=seed))
        return service.start("postprocess", UID, MEMORY, actor="t", audio=audio, idempotency_key=key, **more)

    return start


def test_a_key_is_remembered_where_its_first_request_joined_a_run(post: Any) -> None:
    run = post()
    assert post(key="k").pk == run.pk
    with pytest.raises(service.IdempotencyConflict):
        post(seed=2, key="k")
    assert post(key="k").pk == run.pk
    assert PostProcessingRun.objects.count() == 1


def test_a_key_stands_for_its_request_also_after_the_run_failed(post: Any) -> None:
    run = post(key="k")
    service.cancel(run, actor="t")
    assert post(key="k").pk == run.pk
    assert post().pk != run.pk


def test_keys_are_their_users_and_of_any_length(post: Any) -> None:
    run = post(key="x" * 300)
    assert post(key="x" * 300).pk == run.pk
    assert RequestKey.objects.get().key == content_hash.of("x" * 300)
    with pytest.raises(service.IdempotencyConflict):
        post(seed=2, key="x" * 300)
    other = service.start("reprocess", "user-2", "another", actor="t", idempotency_key="x" * 300)
    assert other.uid == "user-2"


def test_keys_go_with_the_memory_and_with_the_user(post: Any) -> None:
    post(key="one")
    service.forget_memory(UID, MEMORY)
    assert not RequestKey.objects.exists()
    post(key="two")
    service.forget_user(UID)
    assert not RequestKey.objects.exists()


def test_the_same_recording_joins_a_retry_at_work_and_after_its_success(post: Any) -> None:
    run = post()
    service.cancel(run, actor="t")
    again = service.retry(run, actor="t")
    assert post().pk == again.pk
    assert runner.work(again.pk) == "finished"
    assert PostProcessingRun.objects.get(pk=again.pk).outcome == "success"
    assert post().pk == again.pk
    assert post(seed=2).pk != again.pk
    assert post(options={"emotional_feedback": True}).pk != again.pk
