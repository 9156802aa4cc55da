"""The console's pages: declaring, deciding with a reason, rating blind, and the queue of feedback."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.utils import timezone

from memories.experiments import rating
from memories.experiments.models import DecisionRecord, Experiment, Rating, ShadowResult
from memories.feedback.models import Report
from memories.pipeline.engine import content_hash
from omi.stores import audio
from tests.api.conftest import make_memory
from tests.support import sound

__all__ = ["make_memory"]

LIST = "/admin/experiments/experiment/"
GIVEN = {
    "name": "other-vendor", "hypothesis": "Another vendor mishears less than today's.", "tunable": "prerecorded_order",
    "variants": '{"today": ["local"], "other": ["deepgram"]}', "control": "today", "mode": "shadow", "share": "1",
    "metric": "preferred", "guardrails": "[]", "planned": "100", "alpha": "0.05", "per_user": "1", "daily_cost": "1",
}  # fmt: skip


@pytest.fixture
def staff(db: None) -> Client:
    client = Client()
    client.force_login(User.objects.create_superuser("ana"))
    return client


def shadowed(experiment: Experiment, number: int, control: str, variant: str) -> ShadowResult:
    body = {"control": [[0, 1, control]], "variant": [[0, 1, variant]]}
    return ShadowResult.objects.create(
        experiment=experiment, uid="alice", memory_id=f"alice-memory-{number}", variant="other", state="done",
        body=content_hash.pack(body)[1], values={"failed": 0.0}, at=timezone.now(), ended_at=timezone.now(),
    )  # fmt: skip


def test_an_experiment_is_declared_started_rated_and_promoted_in_the_console(
    staff: Client, make_memory: Callable[..., Any], settings: Any
) -> None:
    refused = staff.post(f"{LIST}add/", {**GIVEN, "control": "tomorrow"})
    assert "the control is one of the variants" in refused.content.decode()
    assert staff.post(f"{LIST}add/", GIVEN).status_code == 302
    experiment = Experiment.objects.get()
    page = f"{LIST}{experiment.pk}/change/"
    staff.post(page, {"_do": "Start", "why": ""})
    staff.post(page, {"_do": "Promote other", "why": "too early"})
    experiment.refresh_from_db()
    assert experiment.state == "draft"
    staff.post(page, {"_do": "Start", "why": "the quarter's comparison"})
    for number in range(1, 13):
        make_memory()
        shadowed(experiment, number, "The fairy leaves.", "The ferry leaves.")
    audio.put("alice", "recording", sound.tone(1), memory_id="alice-memory-1", suffix=".wav", keep_for=None)
    rate = f"{LIST}{experiment.pk}/rate/"
    before = staff.get(rate)
    assert "ferry" not in before.content.decode()
    assert staff.get(f"{LIST}sound/{ShadowResult.objects.first().pk}/").status_code == 403  # type: ignore[union-attr]
    staff.post(rate, {"choice": "a", "result": "1"})
    assert not Rating.objects.exists()  # nothing without a reason
    staff.post(rate, {"reason": "weekly rating"})
    first_seen = set()
    for _ in range(12):
        shown = staff.get(rate)
        text = shown.content.decode()
        assert "other" not in re.sub(r'name="csrf.*?>|other-vendor', "", text)
        first_seen.add("ferry" if text.index("ferry leaves") < text.index("fairy leaves") else "fairy")
        result = re.search(r'name="result" value="(\d+)"', text)
        assert result is not None
        if "<audio" in text:
            assert b"".join(staff.get(f"{LIST}sound/{result[1]}/"))[:4] == b"RIFF"
        choice = "a" if text.index("ferry leaves") < text.index("fairy leaves") else "b"
        staff.post(rate, {"choice": choice, "result": result[1]})
        staff.post(rate, {"choice": "same", "result": result[1]})  # a second press changes nothing
    assert first_seen == {"ferry", "fairy"}  # the order is hidden: it is another one from pair to pair
    assert set(Rating.objects.values_list("value", flat=True)) == {1.0}
    assert "Nothing is left" in staff.get(rate).content.decode()
    policy = staff.get(page).headers["Content-Security-Policy"]
    assert "script-src 'self'" in policy
    assert not re.search(r"<script(?![^>]*src=)|style=", staff.get(page).content.decode().split("By now")[1])
    told = staff.post(page, {"_do": "Promote other", "why": "twelve of twelve"}, follow=True).content.decode()
    assert "deepgram is not asked by anybody: add it to OMI_PRERECORDED first" in told
    experiment.refresh_from_db()
    assert experiment.state == "running"
    settings.OMI_PRERECORDED = ["local", "deepgram"]
    staff.post(page, {"_do": "Promote other", "why": "twelve of twelve"})
    staff.post(page, {"_do": "Roll back", "why": "the price rose"})
    actions = DecisionRecord.objects.order_by("id").values_list("action", "actor", "reason")
    assert list(actions) == [
        ("start", "ana", "the quarter's comparison"), ("promote", "ana", "twelve of twelve"),
        ("roll_back", "ana", "the price rose"),
    ]  # fmt: skip


def test_a_pair_is_shown_to_three_people_at_most(db: None) -> None:
    experiment = Experiment.objects.create(
        name="x", hypothesis="h", tunable="structurer", variants={}, control="a", mode="shadow", metric="preferred",
        planned=20,
    )  # fmt: skip
    result = shadowed(experiment, 1, "a", "b")
    for rater in ("r1", "r2", "r3"):
        assert rating.next_pair(experiment, rater) is not None
        assert rating.rate(result, rater, "bad").value == 0.5
    assert rating.next_pair(experiment, "r4") is None
    assert rating.next_pair(experiment, "r1") is None


def test_feedback_is_grouped_by_cause_and_its_words_are_masked(staff: Client, db: None) -> None:
    for number in range(3):
        Report.objects.create(
            id=f"fb_{number}", uid=f"u{number % 2}", key=str(number), memory_id=f"m{number}", part="summary", thumb=-1,
            reasons=["invented"], text="Nobody said <b>that</b>.", made_with={"structure": {"model": "gpt-4o"}},
            created_at=timezone.now(), expires_at=timezone.now() + timedelta(days=1),
        )  # fmt: skip
    causes = staff.get("/admin/feedback/report/causes/").content.decode()
    row = re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", causes))
    assert "summary invented gpt-4o 3 2" in row
    look = "/admin/feedback/report/fb_0/look/"
    assert "Nobody said" not in staff.get(look).content.decode()
    assert staff.get("/admin/feedback/report/").status_code == 200
    staff.post(look, {"reveal": "1", "reason": "complaint 12"})
    assert "Nobody said &lt;b&gt;that" in staff.get(look).content.decode()
    staff.post(look, {"cause": "prompt adds dates"})
    closed = Report.objects.get(pk="fb_0")
    assert (closed.state, closed.cause) == ("closed", "prompt adds dates")
    anybody = Client()
    anybody.force_login(User.objects.create_user("ben", is_staff=True))
    assert anybody.get(look).status_code == 403
    assert anybody.get("/admin/feedback/report/causes/").status_code == 403
