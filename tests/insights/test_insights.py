"""Insights: counted from voices that may be counted, and patterns that are none are not told."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from xml.etree import ElementTree

from django.utils import timezone

from emotions.base import EmotionScore, EmotionSpan, EmotionTimeline
from memories import upkeep
from memories.insights import counting
from memories.insights.models import SpokenFigures
from memories.privacy import erasure
from memories.privacy.erasure_parts import remains
from memories.repository import emotions
from memories.shapes import Memory, Structured
from speakers import people
from speakers.models import VoiceConsent
from tests.api.conftest import Caller
from tests.search.conftest import DAY
from transcription.segments import Segment

Remember = Callable[..., Memory]
SPAN = "start=2026-11-01&end=2026-11-30"


def feel(memory: Memory, *named: str) -> None:
    spans = [
        EmotionSpan(start=n * 20.0, end=n * 20.0 + 10, emotions=[EmotionScore(name=name, score=0.9)])
        for n, name in enumerate(named)
    ]
    emotions.save_emotions("alice", memory.id, EmotionTimeline(vendor="v", model="m", kind="estimate", spans=spans))


def test_what_is_counted() -> None:
    segments = [
        Segment(text="How are you? And the cat?", speaker="SPEAKER_00", is_user=True, start=0, end=6),
        Segment(text="I am", speaker="SPEAKER_01", person_id="anna", start=5, end=9),
        Segment(text="well and I am well", speaker="SPEAKER_01", person_id="anna", start=9, end=12),
        Segment(text="A stranger speaks", speaker="SPEAKER_02", start=12, end=20),
        Segment(text="大熊猫", speaker="SPEAKER_00", is_user=True, start=20, end=22),
    ]
    spans = [EmotionSpan(start=5.5, end=9.5, emotions=[EmotionScore(name="Joy", score=1.0)])]
    made = counting.count(segments, EmotionTimeline(vendor="v", model="m", kind="estimate", spans=spans))
    assert set(made) == {"", "anna"}
    user, anna = made[""], made["anna"]
    assert (user.seconds, user.words, user.turns, user.questions, user.interruptions) == (8.0, 9, 2, 2, 0)
    assert (anna.seconds, anna.words, anna.turns, anna.questions, anna.interruptions) == (7.0, 7, 1, 0, 1)
    assert len(set(anna.first)) == 4
    assert dict(anna.emotions) == {"joy": 4.0}


def test_only_voices_with_a_consent_and_as_long_as_it_holds(
    alice: Caller,
    bob: Caller,
    remember: Remember,
) -> None:
    anna, ben = (people.create_person("alice", name).id for name in ("Anna", "Ben"))
    consent = VoiceConsent.objects.create(uid="alice", person_id=anna, version="1", source="test")
    remember("Talk", ("", "I say"), (anna, "she says more"), (ben, "he, too"), (None, "somebody"))
    upkeep.insights()

    def shown() -> list[str | None]:
        return sorted((item["name"] or "") for item in alice.get(f"/v1/insights?{SPAN}").json()["people"])

    assert shown() == ["", "Anna"]
    assert bob.get(f"/v1/insights?{SPAN}").json()["people"] == []
    VoiceConsent.objects.filter(pk=consent.pk).update(withdrawn_at=timezone.now())
    assert shown() == [""]
    upkeep.insights()
    assert set(SpokenFigures.objects.values_list("voice", flat=True)) == {""}


def test_figures_go_with_memory_person_and_account(remember: Remember) -> None:
    anna = people.create_person("alice", "Anna").id
    VoiceConsent.objects.create(uid="alice", person_id=anna, version="1", source="test")
    first = remember("One", ("", "I say"), (anna, "she says"))
    remember("Two", ("", "I say"), (anna, "she says"))
    upkeep.insights()
    assert SpokenFigures.objects.count() == 4
    erasure.erase_memory("alice", first.id, now=True)
    assert SpokenFigures.objects.count() == 2
    people.delete_person("alice", anna)
    assert SpokenFigures.objects.count() == 1
    erasure.erase_user("alice")
    assert remains("alice")["insights"] == 0


def weeks(remember: Remember, count: int, monday: str, else_: str) -> None:
    """A tense Monday at work and a calm talk at home in each of ``count`` weeks."""
    start = DAY - timedelta(days=DAY.weekday() + 7 * count)
    for week in range(count):
        for offset, category, name in ((0, "work", monday), (2, "personal", else_)):
            memory = remember(
                "Talk", ("", "some words"), ("", "and more"), ("", "again"),
                created_at=start + timedelta(days=7 * week + offset),
                structured=Structured(title="Talk", overview="x", category=category),
            )  # fmt: skip
            feel(memory, name, name, "calm")
    upkeep.index_passages()
    upkeep.insights()


def test_a_pattern_is_told_from_a_count_and_an_effect_on(alice: Caller, remember: Remember) -> None:
    weeks(remember, 7, "tense", "calm")
    told = alice.get("/v1/insights?start=2026-09-01&end=2026-11-30").json()
    tense = [item for item in told["patterns"] if item["emotion"] == "tense"]
    assert {item["kind"] for item in tense} == {"weekday", "category", "weekday_category"}
    both = next(item for item in tense if item["kind"] == "weekday_category")
    assert both["text"] == "More tense on Mondays about work than otherwise"
    assert (both["memories"], both["weeks"], both["share"], both["otherwise"]) == (7, 7, 0.667, 0.0)
    assert told["thresholds"]["memories"] == 6


def test_too_few_or_too_alike_is_no_pattern(alice: Caller, remember: Remember) -> None:
    weeks(remember, 5, "tense", "calm")
    assert alice.get("/v1/insights?start=2026-09-01&end=2026-11-30").json()["patterns"] == []
    SpokenFigures.objects.all().delete()
    weeks(remember, 7, "tense", "tense")
    assert alice.get("/v1/insights?start=2026-09-01&end=2026-11-30").json()["patterns"] == []


def test_plots_are_plain_svg_and_have_a_table(alice: Caller, bob: Caller, remember: Remember) -> None:
    memory = remember(
        "Talk", ("", "some <b>words</b>"), structured=Structured(title="T", overview="x", category="work")
    )
    feel(memory, '"><script>')
    upkeep.index_passages()
    upkeep.insights()
    for name in ("talk-time", "topics", "emotions"):
        answer = alice.get(f"/v1/insights/plots/{name}.svg?{SPAN}")
        assert answer["Content-Type"] == "image/svg+xml"
        tree = ElementTree.fromstring(answer.content)
        assert tree.get("role") == "img"
        text = answer.content.decode()
        assert not any(word in text for word in ("<script", "style=", " on", "href"))
        page = alice.get(f"/v1/insights/plots/{name}.html?{SPAN}").content.decode()
        assert page.count("<th scope=") >= 3
        assert "<script" not in page
    assert alice.get(f"/v1/insights/plots/nothing.svg?{SPAN}").status_code == 404
    assert bob.get(f"/v1/insights/plots/topics.svg?{SPAN}").status_code == 200


def test_days_that_do_not_fit_are_422(alice: Caller) -> None:
    for query in ("start=x", "start=2026-01-02&end=2026-01-01", "start=2020-01-01&end=2026-01-01", "end=0001-01-01"):
        assert alice.get(f"/v1/insights?{query}").status_code == 422, query
