"""Each learner: what it takes as evidence, what it may change, how it is judged, and that harm is taken back."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import timedelta
from importlib import import_module
from io import StringIO
from typing import Any

import numpy as np
import pytest
from django.apps import apps
from django.core.management import CommandError, call_command
from django.utils import timezone

from memories.experiments.assigning import forget_known
from memories.experiments.models import DecisionRecord, TunedValue
from memories.feedback.models import LabelledCase
from memories.learning import learner, running, upkeep, vendors, voices
from memories.learning.models import VendorFigure
from memories.vocabulary import terms
from omi.accounts.users import update_user
from omi.core import tuned
from speakers.models import SpeakerDecision, UserThreshold, VoiceEmbedding, VoiceSample, pack
from speakers.policy import ACCEPT, SHIFT_LIMIT

pytestmark = pytest.mark.django_db
UID = "alice"


def corrected(number: int, machine: str, person: str, uid: str = UID, **more: Any) -> LabelledCase:
    return LabelledCase.objects.create(
        id=f"case-{uid}-{number}", uid=uid, memory_id=f"m{number}", segment_id="s", part="transcript",
        machine={"text": machine}, person={"text": person}, created_at=timezone.now(),
        expires_at=timezone.now() + timedelta(days=9), **more,
    )  # fmt: skip


def outcomes(**how: Any) -> dict[str, str]:
    return {outcome.learner: outcome.done for outcome in running.learn(**how)}


def test_a_term_corrected_twice_is_learned_with_its_record_and_once_is_not() -> None:
    corrected(1, "ask cuban eighties about it", "ask Kubernetes about it.")
    corrected(2, "the graph on a panel", "the Grafana panel")
    assert outcomes() == {}
    corrected(3, "we run cooper net ease", "we run Kubernetes")
    corrected(4, "we went there", "they went there", uid="bob")
    corrected(5, "we went here", "they went here", uid="bob")
    said = StringIO()
    call_command("learn", dry_run=True, stdout=said)
    assert "would apply: vocabulary for alice" in said.getvalue()
    assert terms.of(UID).terms == []
    assert outcomes() == {"vocabulary": "applied"}
    assert terms.of(UID).learned == ["Kubernetes"]
    assert terms.of("bob").terms == []  # words that everybody says are no terms
    row = TunedValue.objects.get()
    assert (row.uid, row.value, row.before["figure"], row.state) == (UID, ["Kubernetes"], 0.0, "applied")
    assert row.after["figure"] > 0.5
    assert sorted(row.evidence["terms"]["Kubernetes"]) == ["case-alice-1", "case-alice-3"]
    assert outcomes() == {}
    assert not DecisionRecord.objects.exists()  # one user's words stand in that user's rows alone


def test_a_learned_term_that_is_corrected_away_goes_and_is_not_learned_again() -> None:
    for number in (1, 2):
        corrected(number, "cuban eighties", "Kubernetes")
    outcomes()
    for number in (3, 4):
        corrected(number, "the Kubernetes sang", "the Cuban eighties sang")
    assert outcomes()["vocabulary"] == "rolled back"
    assert "Kubernetes" not in terms.of(UID).terms
    assert TunedValue.objects.filter(value=["Kubernetes"]).get().state == "rolled_back"


def test_learning_is_off_for_a_user_and_for_the_deployment(settings: Any) -> None:
    for number in (1, 2):
        corrected(number, "cuban eighties", "Kubernetes")
    update_user(UID, improvement={"learning": False})
    assert outcomes() == {}
    update_user(UID, improvement={"learning": True})
    settings.OMI_LEARNING = False
    assert upkeep.learn() == 0
    settings.OMI_LEARNING = True
    assert upkeep.learn() == 1
    update_user(UID, improvement={"learning": False})
    assert outcomes() == {"vocabulary": "rolled back"}
    assert terms.of(UID).terms == []
    update_user("bob", improvement={"learning": True})
    for number in (1, 2):
        corrected(number, "graph on a", "Grafana", uid="bob")
    assert upkeep.learn() == 1
    settings.OMI_LEARNING = False
    assert upkeep.learn() == 1
    assert terms.of("bob").terms == []


def voice(person: int, seed: int, noise: float = 0.35) -> np.ndarray:
    base = np.random.default_rng(person).normal(size=64)
    found = base / np.linalg.norm(base) + noise * np.random.default_rng(seed).normal(size=64) / 8
    return (found / np.linalg.norm(found)).astype(np.float32)


def sample(owner: str, vector: np.ndarray, **more: Any) -> VoiceSample:
    made = VoiceSample.objects.create(uid=UID, person_id=owner, source="segment", seconds=9, voiced_seconds=8, **more)
    VoiceEmbedding.objects.create(sample=made, engine="e", engine_version="1", vector=pack(vector))
    return made


def test_a_wrong_confirmation_does_not_spread() -> None:
    """Three samples of Anna, and one of Ben's voice that somebody confirmed as Anna's: it is set aside, and nothing of
    Anna's or Ben's is. The profile that is left no longer takes Ben's voice for hers."""
    right = [sample("anna", voice(1, seed)) for seed in (11, 12, 13)] + [
        sample("ben", voice(2, seed)) for seed in (21, 22, 23)
    ]
    poison = sample("anna", voice(2, 24), confirmed=True)
    assert outcomes(only="voices", dry_run=True, uid=UID) == {"voices": "would apply"}
    assert outcomes(only="voices", uid=UID) == {"voices": "applied"}
    poison.refresh_from_db()
    assert (poison.status, poison.confirmed) == ("candidate", False)
    assert {item.status for item in VoiceSample.objects.filter(pk__in=[item.pk for item in right])} == {"accepted"}
    row = TunedValue.objects.get()
    assert row.after["figure"] > row.before["figure"]
    assert outcomes(only="voices", uid=UID) == {}
    # The user listened to it, and says that it is hers after all: the learner gives way and does not insist.
    VoiceSample.objects.filter(pk=poison.pk).update(status="accepted", confirmed=True)
    assert outcomes(only="voices", uid=UID) == {"voices": "rolled back"}
    assert outcomes(only="voices", uid=UID) == {"voices": "refused"}
    poison.refresh_from_db()
    assert poison.status == "accepted"


def test_of_two_samples_that_disagree_nobody_knows_which_is_wrong() -> None:
    vectors = {
        "1": ("anna", voice(1, 1)),
        "2": ("anna", voice(2, 2)),
        "3": ("ben", voice(2, 3)),
        "4": ("ben", voice(2, 4)),
    }
    assert voices.foreign_samples(vectors) == {}
    alike = {f"{person}{seed}": (str(person), voice(person, seed)) for person in (5, 6, 7) for seed in range(40, 46)}
    assert voices.foreign_samples(alike) == {}


def test_a_users_threshold_follows_what_the_user_said_within_its_bounds() -> None:
    for number in range(60):
        right = number % 3 > 0
        SpeakerDecision.objects.create(
            uid=UID, memory_id=f"m{number}", voice="SPEAKER_00", manual=True, reason="manual", best="anna",
            person_id="anna" if right else "ben", probability=0.985 if right else 0.96,
        )  # fmt: skip
    assert outcomes(only="calibration") == {"calibration": "applied"}
    value = tuned.value("speaker_accept", ACCEPT, uid=UID)
    assert 0.96 < value <= ACCEPT + SHIFT_LIMIT
    assert tuned.value("speaker_accept", ACCEPT, uid="bob") == ACCEPT
    for number in range(2):
        SpeakerDecision.objects.create(
            uid=UID, memory_id=f"later{number}", voice="SPEAKER_00", manual=True, reason="manual", best="anna",
            person_id="ben", probability=0.999,
        )  # fmt: skip
    assert outcomes(only="calibration")["calibration"] == "rolled back"
    assert tuned.value("speaker_accept", ACCEPT, uid=UID) == ACCEPT


def figures(errors: dict[str, float], measured: str, items: int = 60, *, kind: str = "prerecorded") -> None:
    for vendor, share in errors.items():
        for item in range(items):
            VendorFigure.objects.create(
                vendor=vendor, kind=kind, language="de", measured=measured, item=f"i{item}", words=40,
                wrong=40 * share + item % 3, seconds=5, audio=60, cost=0.001, at=timezone.now(),
            )  # fmt: skip


def test_vendors_are_ordered_by_what_was_measured_in_a_language(settings: Any, tmp_path: Any) -> None:
    settings.OMI_PRERECORDED = ["deepgram", "soniox"]
    figures({"deepgram": 0.12}, "one")
    assert outcomes(only="vendors") == {}  # the other one was not measured
    figures({"deepgram": 0.12, "soniox": 0.118}, "two")
    assert outcomes(only="vendors") == {}  # not clearly
    VendorFigure.objects.all().delete()
    figures({"deepgram": 0.12, "soniox": 0.08}, "three")
    assert outcomes(only="vendors") == {"vendors": "applied"}
    order = tuned.value("prerecorded_order", None, uid="anybody")
    assert order == {"": ["deepgram", "soniox"], "de": ["soniox", "deepgram"]}
    assert DecisionRecord.objects.get().subject == "learner:vendors"
    VendorFigure.objects.all().delete()
    figures({"deepgram": 0.05, "soniox": 0.11}, "four")
    assert outcomes(only="vendors")["vendors"] == "rolled back"
    bad = tmp_path / "x.json"
    bad.write_text("[]")
    with pytest.raises(CommandError, match="is no evaluation"):
        call_command("learn", figures=bad)


def test_weights_of_the_vote_are_what_was_measured_and_are_taken_back_when_newer_figures_differ(settings: Any) -> None:
    settings.OMI_LIVE = ["deepgram", "soniox"]
    settings.OMI_VENDOR_ACCURACY = {"deepgram": 0.9, "soniox": 0.9}
    figures({"deepgram": 0.05}, "one", kind="live")
    assert outcomes(only="weights") == {}  # the other one was not measured
    VendorFigure.objects.all().delete()
    figures({"deepgram": 0.02, "soniox": 0.2}, "two", kind="live")
    assert outcomes(only="weights", dry_run=True) == {"weights": "would apply"}
    assert outcomes(only="weights") == {"weights": "applied"}
    weights = tuned.value("live_accuracy", None, uid="anybody")
    assert 0.93 < weights["deepgram"] < 0.98
    assert 0.75 < weights["soniox"] < 0.8
    row = TunedValue.objects.get(name="live_accuracy")
    assert row.before["figure"] < row.after["figure"]
    assert row.before["cases"] > 10
    assert outcomes(only="weights") == {}
    VendorFigure.objects.all().delete()
    figures({"deepgram": 0.3, "soniox": 0.02}, "three", kind="live")
    assert outcomes(only="weights")["weights"] == "rolled back"
    assert tuned.value("live_accuracy", None, uid="anybody") is None


def test_figures_come_from_an_evaluation(tmp_path: Any) -> None:
    item = {"parts": {"wer": [3.0, 40.0]}, "heard": {"latency": 4.0, "seconds": 60.0, "cost": 0.01}}
    file = tmp_path / "made.json"
    file.write_text(json.dumps({"variants": {"soniox": {"measurement": {"items": {"a": item, "b": item}}}}}))
    assert vendors.take(file, kind="prerecorded", language="de-AT") == 2
    assert vendors.take(file, kind="prerecorded", language="de-AT") == 2
    assert VendorFigure.objects.filter(language="de", wrong=3.0).count() == 2


def test_a_threshold_that_is_no_better_on_what_was_held_out_is_refused(monkeypatch: Any) -> None:
    """Chosen on noise: the half it was chosen on likes it, the other half does not."""
    chance = np.random.default_rng(3)
    refused = 0
    for turn in range(20):
        points = [learner.Point(float(chance.random()), bool(chance.random() < 0.5), f"{turn}-{n}") for n in range(60)]
        for found in learner.threshold_proposal(
            points, [0.3, 0.4, 0.5, 0.6, 0.7], 0.5, learner="t", name="search_words", least=40, told="noise"
        ):  # fmt: skip
            refused += not found.better
    assert refused >= 5
    clear = [learner.Point(n / 100, n >= 70, str(n)) for n in range(100)]
    [found] = learner.threshold_proposal(
        clear, [0.5, 0.6, 0.7, 0.8], 0.5, learner="t", name="search_words", least=40, told="clear"
    )  # fmt: skip
    assert (found.value, found.better) == (0.7, True)


Made = Callable[..., Any]


def test_discards_are_learned_from_talks_that_were_fetched_back(settings: Any, monkeypatch: Any) -> None:
    from memories.learning import rules

    points = [learner.Point(3.0, True, f"a{n}") for n in range(20)] + [
        learner.Point(2.0, False, f"b{n}") for n in range(8)
    ]
    monkeypatch.setattr(rules, "judged_talks", lambda since=None: points if since is None else [])
    assert outcomes(only="discard") == {"discard": "applied"}
    assert tuned.value("discard_below", 4, uid="anybody") == 3
    call_command("learn", rollback=TunedValue.objects.get().pk, reason="too many short talks")
    assert tuned.value("discard_below", 4, uid="anybody") == 4
    assert outcomes(only="discard") == {"discard": "refused"}  # the same was taken back before


def test_what_corrections_had_taught_without_a_record_is_a_value_with_one() -> None:
    """``speakers.UserThreshold.shift`` moved the threshold beside what was learned: neither seen nor taken back."""
    for uid, shift in (("ann", 0.02), ("bob", 0.04), ("cid", 0.0)):
        UserThreshold.objects.create(uid=uid, shift=shift, corrections=4)
    TunedValue.objects.create(
        name="speaker_accept", uid="bob", value=0.97, origin="learner:calibration", actor="learning", at=timezone.now()
    )
    import_module("memories.learning.migrations.0002_thresholds_with_a_record").record_shifts(apps, None)
    forget_known()
    now = {uid: tuned.value("speaker_accept", ACCEPT, uid=uid) for uid in ("ann", "bob", "cid")}
    assert now == {"ann": 0.97, "bob": 0.99, "cid": ACCEPT}
    assert set(UserThreshold.objects.values_list("shift", flat=True)) == {0.0}
    assert "4 corrections" in TunedValue.objects.get(uid="ann").why
    update_user("ann", improvement={"learning": False, "cases": False, "shadow": False})
    assert outcomes(only="calibration") == {"calibration": "rolled back"}
    assert tuned.value("speaker_accept", ACCEPT, uid="ann") == ACCEPT
