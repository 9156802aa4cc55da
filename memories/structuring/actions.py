"""Action items by rule: commitments ("I will call ...") and requests ("please ask ...", "do not forget to ...").

Rather one too few than one that nobody took on: a clause counts only with a verb that people do tasks with, or with a
day by which something is to be done, and never under a condition, as a question about oneself, or about the past.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, time

from memories.shapes import ActionItem
from memories.structuring.dates import find, on_the_clock, period_end, says_today
from memories.structuring.sentences import Sentence, clauses, tidy
from memories.structuring.tongues.base import Tongue
from memories.structuring.tongues.de import infinitive
from memories.structuring.tongues.en import ENGLISH_TONGUE
from memories.structuring.words import words

MAX_ITEMS = 20
MAX_CANDIDATES = 200
"""Items that are compared with each other: of more, a talk is a list, and the first ones stand for it."""
MAX_PEOPLE = 50
"""Voices among whom the one that was asked is looked for."""
NEAR = 6
"""Sentences back to which "it" and "that" may point."""
MAX_WORDS = 24
"""Of an item: what is longer is a talk inside a clause, and is cut."""
_SAME = 0.6  # share of common content words above which two items are one
_FILL = frozenset(
    """
        a an the to of on in at by for and or my our your his her their you me us it this that before after up out
        down off over back
        der die das den dem des ein eine einen zu für mit am im und mir dir ihnen euch noch
        el la los las un una de del para por con y que le les me te
        le les des du au aux à et pour avec il faut lui leur
    """.split()
)
_EVERYONE = {"en": "everyone", "de": "alle", "es": "todos", "fr": "tous"}
_LOOSE = re.compile(r"[ ,;:.!?…-]+$")
_TO_YOU = re.compile(
    r"\b((?:re)?send|give|show|bring|tell|e?mail|text|get|buy|lend|forward|read|sing|write|make|cook|order|book)"
    r" you (?=\w)| (?:to|for) you\b()",
    re.IGNORECASE,
)
_DONE = re.compile(
    r"\b(?:already (?:did|done|have|sent|called)|(?:did|done|sent|called) (?:it|that|them) (?:already|yesterday)"
    r"|i've done|i already"
    r"|done that|schon (?:gemacht|erledigt)|ya (?:lo )?(?:hice|está)|c'est (?:déjà )?fait|déjà fait)\b",
    re.IGNORECASE,
)
_COURTESY = re.compile(
    r",? (?:please|okay|ok|right|alright|then|too|as well|as usual|if you can|if possible|thanks|thank you"
                       r"|bitte|por favor"
                       r"|s'il te plaît|s'il vous plaît|vale|oder|ja)$", re.IGNORECASE)  # fmt: skip
_QUOTED = re.compile(
    r"""(?:^|(?<=[\s(,:]))["“„«»][^"“”„«»]*(?:["“”«»]|$)|^[^"“”„«»]*["“”«»](?=[\s,.!?]|$)""",
)
"""Words within quotation marks, and those before a mark that only closes: the sentence before opened it."""
_MY = re.compile(r"\bmy\b", re.IGNORECASE)
_ME = re.compile(r"\bme\b", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class _Item:
    """``owner`` None where nobody was named; ``asked``: by somebody else. ``due`` aware, ``day_only`` without a
    clock."""

    what: str
    owner: str | None
    asked: bool
    due: datetime | None
    day_only: bool = True
    called: bool = False
    """By name: who answers, or whom a wrong label lets answer, does not change that."""
    index: int = 0
    """Of the sentence."""


def action_items(talk: Sequence[Sentence], anchor: datetime, tongue: Tongue = ENGLISH_TONGUE) -> list[ActionItem]:
    """Items in the order of the talk, each with who is to do it and by when where that was said, none twice.

    ``anchor`` is the moment of the talk in the user's zone. A request is its hearer's: who was called by name, who
    takes it on in the next sentence, or the other one of two.
    """
    found: list[_Item] = []
    people = list(dict.fromkeys(sentence.speaker for sentence in talk))[:MAX_PEOPLE]
    for index, sentence in enumerate(talk):
        if len(found) >= MAX_CANDIDATES:
            break
        question = sentence.text.rstrip().endswith("?")
        for clause in clauses(_own_words(sentence.text, tongue), tongue):
            item = _item(clause, sentence.speaker, question, anchor, tongue)
            if item is None:
                continue
            if item.asked and _is_done(talk, index):
                continue
            if item.asked and item.owner is None:
                called = _VOCATIVE.search(sentence.text) is not None
                item = replace(item, owner=_hearer(talk, index, people, tongue), called=called)
            if _stands_for_another(item.what, tongue):
                asked_about = _asked_about(talk, index, item, tongue)
                if _take_on(found, item, index) or not asked_about:
                    continue
                item = replace(item, what=asked_about)
            elif set(words(item.what)[:3]) & _PERSONS:
                item = replace(item, what=_asked_about(talk, index, item, tongue) or item.what)
            item = replace(item, index=index)
            twin = next((at for at, known in enumerate(found) if _alike(known.what, item.what)), None)
            if twin is None:
                found.append(item)
            else:
                found[twin] = _both(found[twin], item)
    return [_shown(item) for item in found[:MAX_ITEMS]]


def _own_words(text: str, tongue: Tongue) -> str:
    """A sentence without what it cites: somebody else promised that, or asked for it."""
    return _QUOTED.sub(" ", tongue.reported.sub(" ", text)).strip()


def _item(clause: str, speaker: str, question: bool, anchor: datetime, tongue: Tongue) -> _Item | None:
    request, commitment = tongue.request.search(clause), tongue.commitment.search(clause)
    match = request or commitment
    if match is None or (match is commitment and question) or tongue.unreal.search(clause[: match.end()]):
        return None
    groups = {name.rstrip("23"): value for name, value in match.groupdict().items() if value}
    what = _LOOSE.sub("", tongue.reasons.sub("", groups["what"].strip()))
    for _ in range(2):
        what = _LOOSE.sub("", _COURTESY.sub("", what))
    if tongue.verb_last:
        what = infinitive(groups.get("verb", ""), what)
    what = " ".join(what.split(" ")[:MAX_WORDS])
    if len(words(what)) < 2 or tongue.idle.match(what):
        return None
    due, day_only, deadline = _due(what, anchor, tongue)
    a_task = tongue.task.search(what) if tongue.verb_last else tongue.task.match(what)
    if a_task is None and not (deadline and match is commitment):
        return None
    if (
        due is not None
        and not deadline
        and tongue.happening.match(what.rpartition(" ")[2] if tongue.verb_last else what)
    ):
        return None  # "meet on Thursday" stands in the calendar
    if match is request:
        own = tongue.remind_me.search(match[0]) is not None
        if tongue.code == "en" and not own:
            what = _MY.sub(f"{speaker}'s", _ME.sub(speaker, what))
        return _Item(what, speaker if own else _called(clause, match), not own, due, day_only)
    alone = tongue.alone.match(groups["who"]) is not None
    what = _MY.sub("their", _without_you(what)) if alone and tongue.code == "en" else what
    return _Item(what, speaker if alone else _EVERYONE[tongue.code], False, due, day_only)


def _stands_for_another(what: str, tongue: Tongue) -> bool:
    """``Sign it tonight``, ``do that``: what is to be done was said before."""
    said = words(what)
    return bool(set(said[:4]) & tongue.pronouns) and len(_content(what) - tongue.pronouns - _WHEN) <= 1


def _take_on(found: list[_Item], item: _Item, index: int) -> bool:
    """Take on the last item near that this may point to: with its verb, or asked for and not yet answered. Says
    whether there is one."""
    verb = words(item.what)[0]
    for at in range(len(found) - 1, -1, -1):
        known = found[at]
        if index - known.index > NEAR:
            return False
        if words(known.what)[0] == verb or (known.asked and verb in _DOES):
            owner = known.owner if known.asked and known.called else item.owner or known.owner
            day_only = item.day_only if item.due else known.day_only
            found[at] = replace(known, owner=owner, asked=False, due=item.due or known.due, day_only=day_only)
            return True
    return False


def _asked_about(talk: Sequence[Sentence], index: int, item: _Item, tongue: Tongue) -> str:
    """What "I'll book them" means after somebody else's "did you book the band?"; empty where nobody asked."""
    verb = words(item.what)[0]
    for sentence in talk[max(0, index - NEAR) : index][::-1]:
        asked = tongue.asks_whether.search(tidy(sentence.text, tongue))
        if asked is None or sentence.speaker == talk[index].speaker:
            continue
        first, _, rest = _LOOSE.sub("", asked["what"]).partition(" ")
        if first.casefold().startswith(verb) and rest and not set(words(rest)) & tongue.pronouns:
            return f"{verb} {rest}"
    return ""


_PERSONS = frozenset(("him", "her"))
_DOES = frozenset("do take get handle sort das es hacerlo faire m'en".split())
_WHEN = frozenset(
    """
        today tonight tomorrow morning afternoon evening lunch dinner monday tuesday wednesday thursday friday saturday
        sunday week soon now right away later then first back do work school
    """.split()
)


def _without_you(what: str) -> str:
    """``Send you a quote`` and ``send a quote to you`` as ``send a quote``: the talk does not say who "you" is."""
    return _TO_YOU.sub(lambda found: f"{found[1]} " if found[1] else "", what)


def _due(what: str, anchor: datetime, tongue: Tongue) -> tuple[datetime | None, bool, bool]:
    """When it is to be done, whether only a day was said, and whether that was said as a deadline."""
    moments = find(what, anchor, tongue)
    if moments:
        return moments[0].start, not moments[0].has_time, moments[0].deadline
    if says_today(what, tongue):  # also when the afternoon that was said has begun
        return on_the_clock(anchor.date(), time(23, 59), anchor), True, False
    period = period_end(what, anchor, tongue)
    return (on_the_clock(period[0], time(23, 59), anchor), True, True) if period else (None, True, False)


def _called(clause: str, match: re.Match[str]) -> str | None:
    """A name before or after the request: "David, can you ...", "Can you ..., Anna?"."""
    named = re.search(r"(?:^|, |and |so |okay )([A-ZÄÖÜÉ][\w'-]+), ?$", clause[: match.start()])
    return named[1] if named and named[1].casefold() not in _NO_NAMES else None


_VOCATIVE = re.compile(
    r"(?:^|[,.!] )([A-ZÄÖÜÉ][\w'-]+), (?:(?:can|could|would|will) you|please|kannst du|könntest du|können sie|bitte"
    r"|puedes|podrías|peux-tu|pouvez-vous|s'il te plaît)\b"
)
"""Who is called by name before a request: "Great, Kate, can you ..."."""
_NO_NAMES = frozenset(
    "somebody someone everybody everyone anybody anyone and so but okay ok yes yeah no well then also oh please"
    " hey und ja y sí et oui bon gut pues bueno alors".split()
)


def _hearer(talk: Sequence[Sentence], index: int, people: Sequence[str], tongue: Tongue) -> str | None:
    asking = talk[index].speaker
    called = _VOCATIVE.search(talk[index].text)
    if called and called[1].casefold() not in _NO_NAMES:
        return called[1]
    named = next(
        (name for name in people if name != asking and re.search(rf"\b{re.escape(name)}\b", talk[index].text)), None
    )
    if named:
        return named
    for answer in talk[index + 1 : index + 4]:
        if answer.speaker != asking:
            taken = tongue.accepts.match(answer.text.strip()) or tongue.commitment.search(answer.text)
            if taken or len(people) == 2:
                return answer.speaker
            break
    return next((name for name in people if name != asking), None) if len(people) == 2 else None


def _is_done(talk: Sequence[Sentence], index: int) -> bool:
    """Whether the answer to a request says that it was done before."""
    answer = next((it for it in talk[index + 1 : index + 3] if it.speaker != talk[index].speaker), None)
    return answer is not None and _DONE.search(answer.text) is not None


def _both(known: _Item, item: _Item) -> _Item:
    """One item of a request and of the answer that takes it on: who does it and when by the answer, what by the
    longer of the two."""
    fuller = item if len(_content(item.what)) >= len(_content(known.what)) else known
    newer = known if item.asked and not known.asked else item
    due = newer if newer.due is not None else (item if item.due is not None else known)
    owner = newer.owner or known.owner or item.owner
    return _Item(fuller.what, owner, known.asked and item.asked, due.due, due.day_only)


def _shown(item: _Item) -> ActionItem:
    """``Call the builder (David, 2026-11-27)``: the date beside the words, which mean nothing a week later."""
    text = item.what[:1].upper() + item.what[1:]
    when = f"{item.due:%Y-%m-%d}" if item.due and item.day_only else f"{item.due:%Y-%m-%d %H:%M}" if item.due else ""
    notes = ", ".join(note for note in (item.owner, when) if note)
    return ActionItem(
        description=f"{text} ({notes})" if notes else text,
        owner=item.owner,
        due_at=item.due.astimezone(UTC) if item.due else None,
    )


def _content(text: str) -> set[str]:
    return set(words(text)) - _FILL


def _alike(a: str, b: str) -> bool:
    first, second = _content(a), _content(b)
    return bool(first and second) and len(first & second) / min(len(first), len(second)) >= _SAME
