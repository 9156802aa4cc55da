"""Asking: passages are found, then a model or the passages themselves answer. What is asked is kept nowhere."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from typing import Any

import structlog
from django.utils import timezone

from memories.asking import evidence, extractive, model_answer
from memories.asking.shapes import Answer, Cited, Sentence
from memories.structuring.openai_client import VENDOR
from omi.accounts.users import get_user, zone
from omi.core import providers
from omi.core.errors import ProviderError

log = structlog.get_logger(__name__)

EXTRACTIVE = "extractive"
Event = tuple[str, dict[str, Any]]


def ask(
    uid: str, question: str, earlier: list[tuple[str, str]], days: tuple[date, date] | None = None
) -> Iterator[Event]:
    """Events of an answer: ``passages`` first, a ``sentence`` each as it is there, ``answer`` (the whole) at the end.

    ``earlier``: questions and answers before. Where the language model is out of reach, or breaks off before its first
    sentence, the passages answer. Raises ProviderError where nothing can be searched.
    """
    asked = evidence.understood(uid, question, [before for before, _ in earlier])
    found = evidence.passages(uid, asked, days=days)
    chosen = days or asked.days
    yield "passages", {"passages": [_cited(item).model_dump(mode="json") for item in found]}
    sentences: list[Sentence] = []
    method = EXTRACTIVE
    for made_by, sentence in _sentences(uid, question, earlier, asked, found):
        method = made_by
        if sentence is not None:
            sentences.append(sentence)
            yield "sentence", sentence.model_dump(mode="json")
    used = {number for sentence in sentences for number in sentence.cites}
    whole = Answer(
        known=bool(sentences), sentences=sentences, passages=[_cited(item) for item in found if item.number in used],
        method=method, start=chosen[0] if chosen else None, end=chosen[1] if chosen else None,
    )  # fmt: skip
    yield "answer", whole.model_dump(mode="json")


def answered(
    uid: str, question: str, earlier: list[tuple[str, str]], days: tuple[date, date] | None = None
) -> dict[str, Any]:
    """The whole answer at once."""
    *_, (_, whole) = ask(uid, question, earlier, days)
    return whole


def _sentences(
    uid: str, question: str, earlier: list[tuple[str, str]], asked: evidence.Understood, found: list[evidence.Passage]
) -> Iterator[tuple[str, Sentence | None]]:
    structurer = providers.one("structurer")
    if found and structurer.name == VENDOR:
        user = get_user(uid)
        moment = timezone.now().astimezone(zone(user)).strftime("%A, %Y-%m-%d %H:%M")
        told = 0
        try:
            yield structurer.model_name, None
            for sentence in model_answer.answer(uid, question, earlier, found, user=user.name, moment=moment):
                told += 1
                yield structurer.model_name, sentence
            return
        except ProviderError as error:
            log.warning("ask_without_model", uid=uid, code=error.code)
            if told:
                return
    for sentence in extractive.answer(asked, found):
        yield EXTRACTIVE, sentence


def _cited(item: evidence.Passage) -> Cited:
    return Cited(
        number=item.number, memory_id=item.memory_id, title=item.title, at=item.at, start=item.start, end=item.end,
        speaker=item.speaker, text=item.text,
    )  # fmt: skip
