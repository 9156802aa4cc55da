"""A supportive message after a talk: through the whole pipeline to the push port."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pytest

from emotions.base import EmotionScore, EmotionSpan, EmotionTimeline
from memories.pipeline import runner, service
from memories.pipeline.models import PostProcessingRun
from memories.pipeline.steps import publish
from memories.shapes import Memory
from omi.accounts.users import update_user
from omi.core.errors import ErrorKind, ProviderError
from omi.push.base import PushResult
from tests.pipeline import fakes
from tests.pipeline.conftest import UID

pytestmark = pytest.mark.django_db

Drive = Callable[..., PostProcessingRun]
SENT: list[tuple[list[str], str, str, dict[str, str]]] = []


class FakePush:
    name = "fake"

    def send(self, tokens: Sequence[str], title: str, body: str, data: Mapping[str, str]) -> PushResult:
        SENT.append((list(tokens), title, body, dict(data)))
        if "broken" in tokens:
            raise ProviderError("fcm", "answered 503", kind=ErrorKind.TRANSIENT, code="503")
        return PushResult(delivered=len(tokens))


@pytest.fixture
def happy(memory: Memory, settings: Any, monkeypatch: pytest.MonkeyPatch) -> list[EmotionSpan]:
    """Half a minute of the user's own clear joy; change the list for something else."""
    settings.PROVIDERS = settings.PROVIDERS | {"push": {"BACKEND": "tests.pipeline.test_push.FakePush"}}
    SENT.clear()
    spans = [
        EmotionSpan(start=start, end=start + 10.0, is_user=True, emotions=[EmotionScore(name="joy", score=0.9)])
        for start in (0.0, 10.0, 20.0)
    ]

    def measure(self: Any, request: Any) -> EmotionTimeline:
        return EmotionTimeline(vendor="emotions", model="fake", kind="expression", spans=list(spans))

    monkeypatch.setattr(fakes.FakeEmotions, "measure", measure)
    update_user(UID, emotional_feedback_push=True, fcm_tokens=["phone"])
    return spans


def go(upload: Any, drive: Drive) -> PostProcessingRun:
    run = service.start("postprocess", UID, "5a3f2f5e-0000-4000-8000-000000000001", actor="test", audio=upload(),
                        options={"emotional_feedback": True})  # fmt: skip
    return drive(run)


def test_who_asked_for_it_gets_one_message(happy: Any, memory: Memory, upload: Any, heard: Any, drive: Drive) -> None:
    assert go(upload, drive).outcome == "success"
    [(tokens, title, text, data)] = SENT
    assert (tokens, title, data) == (["phone"], "Omi", {"memory_id": memory.id})
    assert "happy" in text
    assert fakes.TEXT not in text


def test_nobody_else_does(happy: Any, upload: Any, heard: Any, drive: Drive) -> None:
    update_user(UID, emotional_feedback_push=False)
    assert go(upload, drive).outcome == "success"
    assert SENT == []


def test_an_unclear_measurement_says_nothing(happy: list[EmotionSpan], upload: Any, heard: Any, drive: Drive) -> None:
    happy[:] = [EmotionSpan(start=0.0, end=30.0, is_user=True, emotions=[EmotionScore(name="joy", score=0.3)])]
    assert go(upload, drive).outcome == "success"
    assert SENT == []


def test_another_persons_joy_is_not_the_users(happy: list[EmotionSpan], upload: Any, heard: Any, drive: Drive) -> None:
    """What one person feels is told to no other."""
    happy[:] = [span.model_copy(update={"is_user": False}) for span in happy]
    assert go(upload, drive).outcome == "success"
    assert SENT == []


def test_consent_withdrawn_while_the_run_works(happy: Any, upload: Any, heard: Any, monkeypatch: Any,
                                               drive: Drive) -> None:  # fmt: skip
    real = publish._tell

    def withdrawn(ctx: Any) -> None:
        assert ctx.user.emotional_feedback_push
        update_user(UID, emotional_feedback_push=False)
        real(ctx)

    monkeypatch.setattr(publish, "_tell", withdrawn)
    assert go(upload, drive).outcome == "success"
    assert SENT == []


def test_a_worker_that_dies_after_sending_sends_no_second_one(
    happy: Any, memory: Memory, upload: Any, heard: Any, monkeypatch: Any, drive: Drive
) -> None:
    class Killed(BaseException):
        pass

    from datetime import timedelta

    from django.utils import timezone

    from memories.pipeline.engine import checkpoints

    run = service.start("postprocess", UID, memory.id, actor="test", audio=upload(),
                        options={"emotional_feedback": True})  # fmt: skip
    with monkeypatch.context() as patch:
        real = checkpoints.complete_step

        def dies(ctx: Any, step: Any, *rest: Any, **more: Any) -> None:
            if step.name == "publish":
                raise Killed
            real(ctx, step, *rest, **more)

        patch.setattr(checkpoints, "complete_step", dies)
        with pytest.raises(Killed):
            runner.work(run.pk)
    assert len(SENT) == 1
    PostProcessingRun.objects.filter(pk=run.pk).update(lease_until=timezone.now() - timedelta(seconds=1))
    assert drive(run).outcome == "success"
    assert len(SENT) == 1


def test_a_push_service_that_is_away_fails_nothing(happy: Any, upload: Any, heard: Any, drive: Drive) -> None:
    update_user(UID, fcm_tokens=["broken"])
    assert go(upload, drive).outcome == "success"
    assert len(SENT) == 1
