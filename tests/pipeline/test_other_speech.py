"""Whether the new transcript is of what was said, in the language it was said in."""

from __future__ import annotations

import json
from collections.abc import Callable
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest

from memories.language_detection import FUNCTION_WORDS, written_in
from memories.pipeline import service
from memories.pipeline.models import PostProcessingRun
from memories.pipeline.rules import acceptance
from memories.pipeline.rules.text_similarity import same_speech, similarity
from memories.repository import memories as repository
from memories.repository import transcripts
from memories.shapes import Memory
from tests.pipeline import fakes
from tests.pipeline.conftest import MEMORY, UID
from transcription.segments import Segment
from transcription.vendors.batch.base import Ticket
from transcription.vendors.batch.fal_whisperx import FalWhisperX

Drive = Callable[..., PostProcessingRun]
FOLDER = Path(__file__).resolve().parents[1] / "transcription"
CONVERSATION = json.loads((FOLDER / "hearings.json").read_text())["conversation"]
HEARD = {name: [word[0].lower() for word in words] for name, words in CONVERSATION["heard"].items()}
HEARD["true"] = CONVERSATION["true"]

EN = "we should book the table for friday evening and ask anna whether she can bring the slides"
DE = "wir sollten den tisch für freitag abend reservieren und anna fragen ob sie die folien mitbringen kann"
RAIN = "the football match yesterday was terrible because it rained all the time and nobody scored a single goal"
WEAK = "which would but the table for five they even in and as can a whether she can brings lies"
"""Half of its words are wrong, as a weak engine hears ``EN``."""

SENTENCES = {
    "en": EN, "de": DE,
    "fr": "nous devons réserver la table pour vendredi soir et demander à anna si elle peut apporter les images",
    "es": "tenemos que reservar la mesa para el viernes por la noche y preguntar a ana si puede traer las fotos",
    "it": "dobbiamo prenotare il tavolo per venerdì sera e chiedere ad anna se può portare le foto per la riunione",
    "pt": "temos que reservar a mesa para sexta à noite e perguntar à ana se ela pode trazer as fotos para a reunião",
    "nl": "we moeten de tafel voor vrijdagavond reserveren en anna vragen of ze de foto's mee kan nemen naar huis",
    "ru": "нам надо заказать столик на вечер пятницы и спросить анну может ли она принести слайды потому что их нет",
    "uk": "нам треба замовити столик на вечір п'ятниці і спитати анну чи може вона принести слайди бо їх у нас немає",
}  # fmt: skip


def said(text: str, start: float = 0.0, end: float = 9.0) -> list[Segment]:
    return [Segment(text=text, start=start, end=end)]


def judge(new: str, shown: str, **more: Any) -> acceptance.Assessment:
    live = {name: said(text) for name, text in more.pop("live", {}).items()}
    return acceptance.assess(new=said(new), shown=said(shown), live=live, regions=[(0.0, 9.0)], **more)


@pytest.mark.parametrize(("one", "other"), list(combinations(HEARD, 2)))
def test_two_hearings_of_one_conversation_are_of_the_same_speech(one: str, other: str) -> None:
    """The worst of them has 54 % word errors."""
    assert same_speech(HEARD[one], HEARD[other])
    assert similarity(HEARD[one], HEARD[other]) > 0.4


@pytest.mark.parametrize(("one", "other"), list(combinations(sorted(set(HEARD) - {"phrases"}), 2)))
def test_two_halves_of_a_conversation_are_not(one: str, other: str) -> None:
    """Of one talk about the same few things: as near as other speech comes. (The worst hearing lies on the bound.)"""
    half = min(len(HEARD[one]), len(HEARD[other])) // 2
    assert same_speech(HEARD[one][:half], HEARD[other][half : 2 * half]) is False


def test_too_few_words_and_a_hearing_with_gaps_are_not_judged() -> None:
    assert same_speech(EN.split()[:14], RAIN.split()) is None
    assert same_speech(HEARD["true"][:30], HEARD["true"]) is None


def test_a_good_transcript_is_not_rejected_because_the_live_one_is_weak() -> None:
    assert judge(EN, WEAK, language="en").accepted
    assert judge(EN, WEAK, language="en", live={"a": WEAK}).accepted


@pytest.mark.parametrize("live", [{}, {"a": EN}], ids=["nothing else", "the shown one is stored too"])
def test_a_transcript_of_another_talk_is_rejected(live: dict[str, str]) -> None:
    """Only two live transcripts that agree were asked; the shown one was never compared."""
    decision = judge(RAIN, EN, language="en", heard_language="en", live=live)
    assert not decision.accepted
    assert decision.reasons == ["the new transcript says something else than the shown one at the same time"]


def test_another_transcript_bears_the_new_one_out() -> None:
    assert judge(RAIN, EN, language="en", live={"a": EN, "b": RAIN}).accepted


def test_only_what_was_heard_at_the_same_time_is_compared() -> None:
    """Live transcription failed for most of the talk: that the rest is new says nothing against the new transcript."""
    rest = " ".join(f"word{index} again" for index in range(60))
    decision = acceptance.assess(
        new=[*said(EN), *said(rest, 20.0, 80.0)], shown=said(WEAK), live={}, regions=[(0.0, 9.0), (20.0, 80.0)]
    )
    assert decision.accepted


@pytest.mark.parametrize("live", [{}, {"deepgram_streaming": DE}], ids=["nothing else", "live"])
@pytest.mark.parametrize("heard", [None, "de", "en"])
@pytest.mark.parametrize("wanted", ["de", None])
def test_a_translation_is_rejected(wanted: str | None, heard: str | None, live: dict[str, str]) -> None:
    """Other languages came back as translations. The letters are the same, so the script tells nothing."""
    decision = judge(EN, DE, language=wanted, heard_language=heard, live=live)
    assert not decision.accepted
    assert "another language" in decision.reasons[0]


def test_what_the_vendor_heard_counts_where_the_text_is_too_short_to_tell() -> None:
    short, other = "bitte den tisch reservieren", "please book the table"
    assert not judge(other, short, language="de", heard_language="en").accepted
    assert judge(short, "bitte tisch reservieren", language="de", heard_language="nl").accepted  # it misjudged itself


def test_a_corrected_language_may_replace_what_was_heard_in_the_wrong_one() -> None:
    assert judge(DE, EN, language="de", heard_language="de").accepted
    assert not judge(DE, EN, language="de", heard_language="en").accepted


@pytest.mark.parametrize("code", SENTENCES)
def test_small_words_tell_languages_of_one_script_apart(code: str) -> None:
    assert written_in(acceptance.tokens(said(SENTENCES[code]))) == code


def test_the_language_of_a_bad_hearing_is_still_told_and_few_words_tell_nothing() -> None:
    assert {written_in(words) for words in HEARD.values()} == {"en"}
    assert written_in(EN.split()[:14]) is None
    assert written_in([f"x{index}" for index in range(40)]) is None
    assert all(word == word.casefold() for words in FUNCTION_WORDS.values() for word in words)


def test_fal_reports_what_it_heard_and_not_what_it_was_asked() -> None:
    ticket = Ticket(vendor="fal_whisperx", id="x", state={"seconds": 5, "language": "de"})
    chunks = [{"text": "hello", "timestamp": [0, 1], "speaker": None}]
    told = FalWhisperX().transcript(ticket, {"text": "hello", "chunks": chunks, "inferred_languages": ["en"]})
    assert told.language == "en"
    assert FalWhisperX().transcript(ticket, {"text": "hello", "chunks": chunks}).language is None


@pytest.mark.django_db
def test_what_was_heard_reaches_the_judgement_and_the_language_asked_for_stays_the_memorys(
    memory: Memory, upload: Any, heard: Any, drive: Drive
) -> None:
    repository.update_memory(UID, MEMORY, {"language": "de", "transcript_segments": said(DE, 1.0, 7.6)})
    run = drive(service.start("postprocess", UID, MEMORY, actor="test", audio=upload()))  # the fake hears English
    assert run.message_id == "kept_live_transcript"
    assert run.steps.get(name="transcribe").output["heard"] == "en"
    assert repository.get_memory(UID, MEMORY).language == "de"
    kept = transcripts.list_transcripts(UID, MEMORY)["first_model"]
    assert kept.meta["reasons"] == ["the new transcript is in another language than the shown one"]


@pytest.mark.django_db
def test_a_rejected_transcript_bears_no_other_one_out(memory: Memory, upload: Any, heard: Any, drive: Drive) -> None:
    transcripts.save_transcript(UID, MEMORY, "second_model", said(RAIN, 1.0, 7.6), {"accepted": False})
    fakes.SCRIPT["first"] = [fakes.words(RAIN, step=0.37)]
    run = drive(service.start("postprocess", UID, MEMORY, actor="test", audio=upload()))
    assert run.message_id == "kept_live_transcript"
