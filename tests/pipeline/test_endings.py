"""The sentence of an ending says what was."""

from __future__ import annotations

from typing import Any

import pytest

from memories.pipeline import failure_catalogue
from memories.pipeline.models import PostProcessingRun, RunStep
from memories.pipeline.status import document
from omi.core.errors import ErrorKind, MissingDependency, Outcome, ProviderError
from omi.core.vendor_errors import KEY_REFUSED, broken_answer, from_status, unreachable, unreadable
from transcription.vendors.batch import deepgram as deepgram_prerecorded
from transcription.vendors.batch import fal_whisperx
from transcription.vendors.batch import soniox as soniox_prerecorded
from transcription.vendors.batch.http import Answer
from transcription.vendors.live import deepgram, soniox, speechmatics

REFUSED = {
    "fal": fal_whisperx.error_from("fal_whisperx", Answer(401, {}, {"detail": "Invalid key"})),
    "fal, not allowed": fal_whisperx.error_from("fal_whisperx", Answer(403, {}, {"detail": "No"})),
    "deepgram": deepgram_prerecorded.error_from("deepgram", Answer(401, {}, {"err_code": "INVALID_AUTH"})),
    "soniox": soniox_prerecorded.error_from("soniox", Answer(401, {}, {"error_type": "unauthenticated"})),
    "deepgram live": deepgram.refused(401, "{}", {}),
    "soniox live": soniox.refused(401, "{}", {}),
    "soniox live, in band": soniox.in_band({"error_code": 401, "error_type": "unauthenticated"}),
    "speechmatics live": speechmatics.refused(401, "", {}),
    "speechmatics live, in band": speechmatics.failure("not_authorised"),
}


@pytest.mark.parametrize("error", REFUSED.values(), ids=REFUSED)
def test_a_refused_key_has_one_wording_and_is_not_told_as_not_set_up(error: ProviderError) -> None:
    assert error.message.startswith(KEY_REFUSED)
    assert (error.kind, error.outcome) == (ErrorKind.PERMANENT, Outcome.CONFIG_ERROR)
    assert failure_catalogue.for_provider_error(error).id == "vendor_key_refused"


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (broken_answer("openai", "gave an empty answer", code="empty_answer"), "vendor_broken_answer"),
        (broken_answer("openai", "answered with a web page"), "vendor_broken_answer"),
        (unreadable("fal_whisperx", "the result has no list of words"), "vendor_broken_answer"),
        (unreachable("openai", timed_out=True), "vendor_timeout"),
        (unreachable("openai", timed_out=False), "vendor_unavailable"),
        (from_status("openai", 503), "vendor_unavailable"),
        (from_status("openai", 402), "vendor_quota"),
        (from_status("openai", 404, outcome=Outcome.CONFIG_ERROR), "not_configured"),
        (MissingDependency("openai", "the key", "Set it."), "not_configured"),
    ],
)
def test_each_failure_has_its_sentence(error: ProviderError, message: str) -> None:
    assert failure_catalogue.for_provider_error(error, "structure").id == message


@pytest.mark.parametrize("message", ["vendor_broken_answer", "vendor_unavailable"])
def test_only_a_timeout_says_that_nothing_came_in_time(message: str) -> None:
    assert "in time" not in failure_catalogue.get(message).sentence


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("counts", "attempts"), [([0, 0, 0], 0), ([1, 1, 1], 1), ([1, 3, 1], 3), ([1, 3, 2], 4), ([0, 0, 2], 2)], ids=str
)
def test_attempts_are_tries_and_not_steps(counts: list[int], attempts: int) -> None:
    """A run of eight steps that all went well was told as eight attempts."""
    run: Any = PostProcessingRun.objects.create(uid="u", memory_id="m", kind="postprocess")
    for position, count in enumerate(counts):
        RunStep.objects.create(run=run, name=f"s{position}", position=position, attempts=count)
    assert document(run)["attempts"] == attempts
