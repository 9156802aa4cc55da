"""The worked example of docs/improvement.md, from the declaration to the way back, with simulated vendors.

Two vendors are tried in shadow mode on 200 memories: one mishears less than the vendor of today, one refuses and
mishears more. People rate pairs blind, with their own mistakes. Nothing here is timed or random without a seed.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pytest
from django.core.management import CommandError, call_command
from django.utils import timezone

from memories.experiments import analysis, assigning, deciding, declaring, rating, shadow, upkeep
from memories.experiments.declaring import Declaration
from memories.experiments.models import DecisionRecord, Experiment, Rating, ShadowResult, TunedValue
from memories.pipeline.engine.context import Context
from memories.pipeline.models import PostProcessingRun, RunStep, VendorCall
from memories.pipeline.steps import transcribe
from memories.repository import memories as repository
from memories.repository import transcripts
from memories.shapes import Memory
from omi.accounts.users import update_user
from omi.core import providers, tuned
from omi.core.errors import ErrorKind, ProviderError
from omi.stores import audio
from tests.support import sound
from transcription.segments import Segment, Word
from transcription.vendors.batch.base import PrerecordedCapabilities, PrerecordedRequest, Ticket, Transcript

SAID = "the harbour office opens at nine and the ferry to the island leaves from the second pier every hour".split()
MEMORIES, USERS = 200, 40
USUAL, BETTER, WORSE = "local", "deepgram", "soniox"
ERRORS = {USUAL: 0.20, BETTER: 0.06, WORSE: 0.35}
REFUSES = {WORSE: 0.4}


class Vendor:
    """Mishears each word with a stated chance, which follows from the vendor and the recording alone."""

    def __init__(self, name: str) -> None:
        self.name = self.model_name = name
        self.capabilities = PrerecordedCapabilities(None, diarization=False, remote=False, cost_per_minute=0.006)

    def hear(self, seed: int) -> list[str]:
        chance = np.random.default_rng([seed, sorted(ERRORS).index(self.name)])
        if chance.random() < REFUSES.get(self.name, 0.0):
            raise ProviderError(self.name, "refused", kind=ErrorKind.PERMANENT, code="422")
        return [word if chance.random() > ERRORS[self.name] else f"un{word}" for word in SAID]

    def submit(self, request: PrerecordedRequest) -> Transcript:
        seed = int.from_bytes(request.path.read_bytes()[-4:], "little")
        words = [
            Word(text=word, start=at * 0.4, end=at * 0.4 + 0.3, speaker=None) for at, word in enumerate(self.hear(seed))
        ]
        return Transcript(vendor=self.name, model=self.name, words=words)

    def forget(self, ticket: Ticket) -> None:
        """Keeps nothing."""


class Usual(Vendor):
    def __init__(self) -> None:
        super().__init__(USUAL)


class Better(Vendor):
    def __init__(self) -> None:
        super().__init__(BETTER)


class Worse(Vendor):
    def __init__(self) -> None:
        super().__init__(WORSE)


@pytest.fixture(autouse=True)
def _vendors(settings: Any, db: None) -> None:
    own = [{"BACKEND": f"{__name__}.{kind.__name__}"} for kind in (Usual, Better, Worse)]
    settings.PROVIDERS = {**settings.PROVIDERS, "prerecorded": own}


def wrong(words: list[str]) -> int:
    return sum(word.startswith("un") for word in words)


def passed(number: int) -> PostProcessingRun:
    """A memory that the vendor of today has transcribed, and its run, as the pipeline leaves them."""
    uid, memory_id = f"user-{number % USERS}", f"memory-{number}"
    body = sound.wav(np.random.default_rng(number).integers(-99, 99, 1600).astype(np.int16).tobytes()[:-4]
                     + number.to_bytes(4, "little"))  # fmt: skip
    stored = audio.put(uid, "upload", body, memory_id=memory_id, suffix=".wav", keep_for=timedelta(hours=24))
    words = Vendor(USUAL).hear(number)
    repository.create_memory(
        uid,
        Memory(
            id=memory_id, created_at=datetime(2026, 11, 1, tzinfo=UTC), language="en", active_transcript=USUAL,
            transcript_segments=[Segment(id="s", text=" ".join(words), speaker="SPEAKER_00", start=0, end=8)],
        ),
    )  # fmt: skip
    now = timezone.now()
    run = PostProcessingRun.objects.create(
        uid=uid, memory_id=memory_id, kind="postprocess", state="finished", outcome="success", finished_at=now,
        actor="test",
    )  # fmt: skip
    output = {"audio": stored.name, "seconds": 8.0, "silence": False}
    RunStep.objects.create(run=run, name="prepare_audio", position=0, state="done", outcome="success", output=output)
    return run


def raters(experiment: Experiment, seed: int) -> Iterator[Rating]:
    """People who see A and B and nothing else, prefer what has fewer wrong words, and are mistaken one time in ten."""
    chance = np.random.default_rng(seed)
    while (pair := rating.next_pair(experiment, "rater")) is not None:
        first, second = (wrong(" ".join(text for _, _, text in side).split()) for side in (pair.first, pair.second))
        choice = "same" if first == second else "a" if first < second else "b"
        if chance.random() < 0.1:
            choice = str(chance.choice(["a", "b"]))
        yield rating.rate(pair.result, "rater", choice)


def declared(**more: Any) -> Experiment:
    return declaring.declare(
        Declaration.model_validate(
            {
                "name": "other-vendors",
                "hypothesis": "Another pre-recorded vendor mishears less than the one of today.",
                "tunable": "prerecorded_order",
                "variants": {"today": [USUAL], "better": [BETTER, USUAL], "worse": [WORSE, USUAL]},
                "control": "today", "mode": "shadow", "metric": "preferred", "planned": 200,
                "guardrails": [{"metric": "failed", "most": 0.1}], "daily_cost": 5.0,
                **more,
            }
        )
    )  # fmt: skip


def first_choice(uid: str) -> str:
    """Which vendor the pipeline would ask for a new recording of this user."""
    run = PostProcessingRun(uid=uid, memory_id="new", kind="postprocess", plan=["prepare_audio"])
    ctx = Context(run, None, [RunStep(run=run, name="prepare_audio", position=0, state="done")])  # type: ignore[arg-type]
    return str(transcribe._ordered(ctx)[0].name)


def held_out_errors() -> float:
    """Word errors of the vendor that is in force, on recordings that no part of the experiment has seen."""
    heard = [
        providers.many("prerecorded") and Vendor(first_choice(f"new-{n % 7}")).hear(10_000 + n) for n in range(150)
    ]
    return sum(wrong(words) for words in heard) / (len(heard) * len(SAID))


def test_a_better_vendor_is_promoted_a_worse_one_stopped_and_one_command_goes_back(settings: Any) -> None:
    settings.OMI_PRERECORDED = [USUAL, BETTER, WORSE]
    experiment = deciding.start(declared(), actor="ana", reason="the quarter's comparison")
    for number in range(USERS - 2):  # two users did not permit it
        update_user(f"user-{number}", improvement={"shadow": True})
    before = held_out_errors()
    assert before == pytest.approx(ERRORS[USUAL], abs=0.02)
    shown = {}
    for start in range(0, MEMORIES, 20):
        for number in range(start, start + 20):
            run = passed(number)
            if number % 10 == 0:
                shown[(run.uid, run.memory_id)] = repository.get_memory(run.uid, run.memory_id)
        upkeep.tick()
        experiment.refresh_from_db()
        for _ in raters(experiment, start):
            pass
        upkeep.tick()
    experiment.refresh_from_db()

    # The worse one was stopped by its guardrail, early, and nothing more was asked of it.
    assert list(experiment.stopped) == ["worse"]
    assert "failed is" in experiment.stopped["worse"]
    asked = ShadowResult.objects.filter(variant="worse").count()
    assert asked < MEMORIES / 2
    assert ShadowResult.objects.filter(variant="better", state="done").count() == MEMORIES * (USERS - 2) / USERS
    # Consent: nobody's audio went to a second vendor without it. Aside: nothing of it is anywhere that a user looks.
    assert not ShadowResult.objects.filter(uid__in=["user-38", "user-39"]).exists()
    assert all(repository.get_memory(*key) == memory for key, memory in shown.items())
    assert transcripts.list_transcripts("user-0", "memory-0") == {}

    verdict = analysis.analyse(experiment).verdicts["better"]
    assert verdict.verdict == "better"
    assert verdict.own.low > 0.5
    with pytest.raises(declaring.Refused, match="was stopped"):
        deciding.promote(experiment, "worse", actor="ana", reason="no")
    call_command("experiments", "promote", "other-vendors", variant="better", reason="fewer words are misheard")
    assert {first_choice(f"user-{number}") for number in range(5)} == {BETTER}
    after = held_out_errors()
    assert after == pytest.approx(ERRORS[BETTER], abs=0.02)
    assert before - after > 0.10  # quality rises by what was measured: 14 per cent points

    call_command("experiments", "rollback", "other-vendors", reason="the vendor raised its price")
    assert first_choice("user-0") == USUAL
    assert held_out_errors() == before
    actions = list(DecisionRecord.objects.order_by("id").values_list("action", "variant"))
    assert actions == [("start", ""), ("stop_variant", "worse"), ("promote", "better"), ("roll_back", "")]
    promoted = DecisionRecord.objects.get(action="promote")
    assert promoted.figures["verdicts"]["better"]["verdict"] == "better"
    assert not TunedValue.objects.filter(state="applied").exists()


def test_two_alike_vendors_stay_quiet_though_somebody_looks_after_every_memory(monkeypatch: Any) -> None:
    monkeypatch.setitem(ERRORS, BETTER, ERRORS[USUAL])
    experiment = deciding.start(
        declared(name="alike", variants={"today": [USUAL], "other": [BETTER]}), actor="ana", reason="A/A"
    )
    for number in range(USERS):
        update_user(f"user-{number}", improvement={"shadow": True})
    chance = np.random.default_rng(8)
    for number in range(MEMORIES):
        result = ShadowResult.objects.create(
            experiment=experiment, uid=f"user-{number % USERS}", memory_id=f"m{number}", variant="other", state="done",
            values={"failed": 0.0}, at=timezone.now(), ended_at=timezone.now(),
        )  # fmt: skip
        one, other = wrong(Vendor(USUAL).hear(number)), wrong(Vendor(BETTER).hear(number))
        value = 0.5 if one == other else float(other < one)
        value = value if chance.random() > 0.1 else float(chance.random() < 0.5)
        Rating.objects.create(result=result, rater="r", value=value, at=timezone.now())
        if number % 5 == 0:
            assert analysis.analyse(experiment).verdicts["other"].verdict in ("undecided", "no difference")
    upkeep.tick()
    experiment.refresh_from_db()
    assert (experiment.state, experiment.stopped) == ("running", {})
    assert analysis.analyse(experiment).verdicts["other"].verdict in ("undecided", "no difference")


def test_a_days_money_is_the_bound_of_shadow_calls(monkeypatch: Any) -> None:
    experiment = deciding.start(
        declared(name="poor", daily_cost=0.0025, variants={"today": [USUAL], "other": [BETTER]}), actor="a", reason="r"
    )
    for number in range(10):
        update_user(f"user-{number}", improvement={"shadow": True})
    runs = [passed(number) for number in range(10)]
    upkeep.tick()
    assert ShadowResult.objects.filter(experiment=experiment).count() == 3  # 8 seconds are 0.0008 dollars
    assert shadow.tick(timezone.now() + timedelta(minutes=10)) == 0
    assert not VendorCall.objects.exclude(outcome="success").exists()
    assert len(runs) == 10


def test_what_was_lost_with_its_worker_ends_as_failed_and_is_not_asked_again() -> None:
    experiment = deciding.start(declared(), actor="ana", reason="r")
    now = timezone.now()
    for number, hours in enumerate((5, 7)):
        ShadowResult.objects.create(
            experiment=experiment, uid="u", memory_id=f"m-{number}", variant="better", at=now - timedelta(hours=hours)
        )
    assert shadow.tick(now) == 1
    assert list(ShadowResult.objects.order_by("at").values_list("state", "error")) == [
        ("failed", "lost with its worker"), ("waiting", ""),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("wrongly", "said"),
    [
        ({"variants": {"today": [USUAL]}}, "variants"),
        ({"control": "tomorrow"}, "control"),
        ({"tunable": "moon_phase"}, "no tunable"),
        ({"variants": {"today": [USUAL], "other": ["nobody"]}}, "no vendor"),
        ({"metric": "thumb"}, "preferred"),
        ({"tunable": "search_words", "variants": {"today": 0.6, "other": 0.5}}, "shadow"),
        ({"guardrails": [{"metric": "failed"}]}, "either most or least"),
    ],
)
def test_what_cannot_be_judged_cannot_be_declared(wrongly: dict[str, Any], said: str) -> None:
    with pytest.raises((declaring.Refused, ValueError), match=said):
        declared(**wrongly)


def test_what_was_declared_is_not_changed_and_ends_only_once(tmp_path: Any) -> None:
    experiment = declared()
    assert declared() == experiment
    with pytest.raises(declaring.Refused, match="is not changed"):
        declared(planned=400)
    with pytest.raises(CommandError, match="is draft"):
        call_command("experiments", "promote", "other-vendors", variant="better", reason="x")
    deciding.start(experiment, actor="a", reason="r")
    with pytest.raises(declaring.Refused, match="is running"):
        deciding.start(declared(name="second"), actor="a", reason="r")
    deciding.stop(experiment, actor="a", reason="enough")
    with pytest.raises(CommandError, match="stopped"):
        call_command("experiments", "start", "other-vendors", reason="again")


def test_a_users_variant_is_by_hash_recorded_at_first_effect_and_never_mixed_in_a_memory() -> None:
    experiment = declaring.declare(
        {
            "name": "meaning", "hypothesis": "More weight on the words finds more.", "tunable": "search_words",
            "variants": {"now": 0.6, "more": 0.8}, "control": "now", "planned": 40, "metric": "thumb",
            "guardrails": [{"metric": "thumb", "least": 0.5}], "per_user": 2,
        }
    )  # fmt: skip

    def asked(uid: str, memory_id: str = "") -> float:
        return float(tuned.value("search_words", 0.6, uid=uid, memory_id=memory_id))

    assert asked("u1", "m") == 0.6
    assert not experiment.exposures.exists()
    deciding.start(experiment, actor="a", reason="r")
    users = [f"u{number}" for number in range(80)]
    first = {uid: asked(uid, "m") for uid in users}
    assert {uid: asked(uid, "m") for uid in users} == first
    assert experiment.exposures.count() == 80
    assert 25 < sum(value == 0.8 for value in first.values()) < 55
    assert analysis.analyse(experiment).ratio < 10
    some = next(uid for uid in users if first[uid] == 0.8)
    assert tuned.variants(some, "m") == {"meaning": "more"}
    # Users under the new variant do not like it: two memories of each make one observation.
    for uid in users:
        asked(uid, "n")
        for memory_id in ("m", "n"):
            assigning.observe(uid, memory_id, {"thumb": 0.1 if first[uid] == 0.8 else 0.8})
    verdict = analysis.analyse(experiment).verdicts["more"]
    assert (verdict.verdict, verdict.own.count) == ("worse", sum(value == 0.8 for value in first.values()))
    assert len(deciding.watch()) == 1
    experiment.refresh_from_db()
    assert experiment.state == "stopped"
    assert asked(some, "o") == 0.6  # a new memory
    assert tuned.variants(some, "m") == {"meaning": "more"}


def test_groups_of_the_wrong_sizes_stop_the_experiment() -> None:
    experiment = declaring.declare(
        {
            "name": "skewed", "hypothesis": "The groups come out of balance.", "tunable": "search_words",
            "variants": {"now": 0.6, "more": 0.8}, "control": "now", "planned": 100, "metric": "thumb",
        }
    )  # fmt: skip
    deciding.start(experiment, actor="a", reason="r")
    for number in range(200):
        experiment.exposures.create(uid=f"u{number}", variant="now" if number % 4 else "more", at=timezone.now())
    [told] = deciding.watch()
    assert "wrong sizes" in told
    experiment.refresh_from_db()
    assert experiment.state == "stopped"
