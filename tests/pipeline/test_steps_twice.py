"""Every step may be run twice: the shared rule of all steps."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from memories.pipeline import runner, service
from memories.pipeline.engine import checkpoints, content_hash, plans
from memories.pipeline.engine import lease as leases
from memories.pipeline.engine.context import Context
from memories.pipeline.engine.results import Done, Skip
from memories.pipeline.models import PostProcessingRun
from memories.repository import memories as repository
from memories.repository import transcripts
from memories.shapes import Memory
from memories.user_events import log
from omi.core import clock, providers
from omi.stores import audio
from tests.pipeline import fakes
from tests.pipeline.conftest import MEMORY, UID
from tests.pipeline.conversations import MEMORY as CAPTURED
from tests.pipeline.conversations import conversation, segment
from tests.pipeline.conversations import start as start_capture

pytestmark = pytest.mark.django_db


def world(memory_id: str) -> dict[str, Any]:
    """Everything that a step could have written, without times."""
    found = repository.find_memory(UID, memory_id)
    document = found.model_dump(mode="json", exclude={"revision"}) if found else None
    stored = {
        model: [len(transcripts.list_versions(UID, memory_id, model)), content_hash.of([s.text for s in item.segments])]
        for model, item in transcripts.list_transcripts(UID, memory_id).items()
    }
    vectors = providers.one("vectors").fetch([f"{UID}-{memory_id}"], namespace="ns1")
    return {
        "document": document,
        "transcripts": stored,
        "vectors": sorted(vectors),
        "audio": sorted((item.purpose, item.sha256) for item in audio.for_memory(UID, memory_id)),
        "events": [(item["type"], item["event_number"]) for item in log.after(UID, 0)],
    }


def walk_twice(run: PostProcessingRun, memory_id: str) -> None:
    """Do each step, then do it again as a second worker would after the first one died unseen."""
    lease = leases.claim(PostProcessingRun.objects.get(pk=run.pk))
    assert lease is not None
    run = PostProcessingRun.objects.get(pk=run.pk)
    ctx = Context(run, lease, list(run.steps.order_by("position")))
    for name in run.plan:
        module = runner.load(name)
        assert module is not None
        run.current_step = name
        first_inputs = content_hash.of(module.inputs(ctx))
        first = module.run(ctx)
        after_first = copy.deepcopy(world(memory_id))
        again = Context(run, lease, list(run.steps.order_by("position")))
        assert content_hash.of(module.inputs(again)) == first_inputs or name == "publish", name
        second = module.run(again)
        assert type(second) is type(first), name
        assert world(memory_id) == after_first, name
        if isinstance(second, Done) and isinstance(first, Done):
            assert content_hash.of(second.artifacts) == content_hash.of(first.artifacts), name
            position = run.plan.index(name)
            following = run.plan[position + 1] if position + 1 < len(run.plan) else ""
            checkpoints.complete_step(ctx, ctx.steps[name], clock.now(), first, input_hash="", following=following)
        elif isinstance(first, Skip):
            checkpoints.skip_step(ctx, ctx.steps[name], clock.now(), first.reason, following="")


def test_every_step_of_post_processing_twice(memory: Memory, upload: Any, heard: Any) -> None:
    from omi.accounts.users import update_user

    update_user(UID, store_recording_permission=True)
    fakes.SCRIPT["first"] = [fakes.words(fakes.TEXT + " then")] * 2
    run = service.start("postprocess", UID, MEMORY, actor="test", audio=upload(), options={"emotional_feedback": True})
    walk_twice(run, MEMORY)


def test_every_step_of_capture_twice(db: None, monkeypatch: pytest.MonkeyPatch, heard: Any) -> None:
    from tests.pipeline.conftest import wav

    def recording(uid: str, found: Any, dest: Any) -> Any:
        dest.write_bytes(wav(20.0))
        return dest

    monkeypatch.setattr("transcription.journal.recording.recording_for", recording)
    conversation(segment(1, "we should book", 1.0), accounting={"session": {"failed": 5.0}})
    walk_twice(start_capture(), CAPTURED)


def test_every_step_of_reprocessing_twice(memory: Memory) -> None:
    walk_twice(service.start("reprocess", UID, MEMORY, actor="test"), MEMORY)


def test_every_planned_step_exists() -> None:
    for plan in plans.PLANS.values():
        assert all(runner.load(name) is not None for name in plan)
    assert runner.load("no_such_step") is None
    assert runner.load("../../etc") is None
