"""An overview of two or three whole sentences: what it was about, what was found or decided, who does what.

Extractive: the sentences are the talk's own, tidied. What was said of oneself ("I need to look at the pipes") is told
of the speaker ("Peter needs to look at the pipes") where the form is plain English, and is quoted with the speaker's
name where it is not. The last sentence says what the action items say.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from memories.shapes import ActionItem
from memories.structuring.sentences import Sentence, tidy
from memories.structuring.tongues.base import Tongue
from memories.structuring.words import words

TOLD, TASKS = 2, 2
"""Sentences of the talk, and tasks in the sentence after them."""
CHARACTERS = 600
FEWEST_WORDS, MOST_WORDS = 5, 40

_LEADS = re.compile(
    r"^(?:(?:and|but|so|then|well|yes|yeah|no|okay|ok|also|oh|ah|hey|right now|oye|right|sure|great"
    r"|hello everyone|hi|thanks|thank you|i mean"
    r"|ja|und|aber|also|gut|oui|et|mais|donc|alors|bon|sí|y|pero|bueno|pues|vale)\b[ ,.!]*)+",
    re.IGNORECASE,
)
SMALL_TALK = re.compile(
    r"\b(?:good (?:morning|afternoon|evening|to see)|how are you|how was your|nice to|see you|thank|thanks"
    r"|sounds (?:good|great|wonderful|perfect)"
    r"|have a (?:good|nice|safe|great)|my name is|welcome|guten (?:morgen|tag)|danke|hallo|buenos|buenas|gracias"
    r"|hola|bonjour|merci"
    r"|i'm sorry to hear|no problem|you're welcome|can you hear)\b",
    re.IGNORECASE,
)
DECIDED = re.compile(
    r"\b(?:decid\w+|agree(?:d)? (?:to|on|that)|we'll go with|let's go with|going with|the plan is|settled on"
    r"|final(?:ly)? (?:price|decision)"
    r"|will (?:take|cost|be)|beschlossen|entschieden|wir nehmen|se decidió|decidimos|hemos decidido|on a décidé"
    r"|nous avons décidé|diagnos\w+"
    r"|results?|ergebnis\w*|resultados?|résultats?)\b",
    re.IGNORECASE,
)
_DANGLING = re.compile(
    r"^(?:it|it's|that|that's|this|they|he|she|her|his|their|those|these|there's one|there is one|one|before that"
    r"|c'est|ça|cela|eso|esto)\b",
    re.IGNORECASE,
)
"""What begins so stands on a sentence that is not there."""
_VAGUE = re.compile(
    r"\b(?:think about it|to be honest|or something|i don't know|not sure|i have to say|keine ahnung|no sé"
    r"|je ne sais pas)\b",
    re.IGNORECASE,
)
_WILL_DO = re.compile(r"^(?:i'll|i will|we'll|we will|let's|let me|ich werde|voy a|je vais)\b", re.IGNORECASE)
FIGURE = re.compile(
    r"[$€£]|\d{2}|\b(?:hundred|thousand|million|percent|dollars|euros?|hundert|tausend|mil|cent)\b", re.IGNORECASE
)
_I_VERBS = {
    "am": "is", "'m": "is", "have": "has", "'ve": "has", "do": "does", "was": "was", "had": "had", "will": "will",
    "'ll": "will", "can": "can", "could": "could", "should": "should", "must": "must", "might": "might", "went": "went",
    "saw": "saw", "took": "took", "made": "made", "found": "found", "got": "got", "bought": "bought", "told": "told",
    "said": "said", "came": "came", "did": "did", "met": "met", "left": "left", "heard": "heard", "felt": "felt",
    "thought": "thought", "sent": "sent", "paid": "paid", "spoke": "spoke", "wrote": "wrote", "need": "needs",
    "want": "wants", "think": "thinks", "hope": "hopes", "work": "works", "live": "lives", "like": "likes",
    "know": "knows", "prefer": "prefers", "believe": "believes", "use": "uses", "expect": "expects", "plan": "plans",
    "teach": "teaches", "study": "studies", "feel": "feels", "suggest": "suggests", "recommend": "recommends",
}  # fmt: skip
_FIRST = re.compile(r"^I(?P<verb>'m|'ve|'ll| [a-z]+)\b(?P<rest>.*)$", re.DOTALL)
_OTHERS = re.compile(
    r"\b(?:i|i'm|i'll|i've|i'd|we|we're|we'll|we've|us|our|ours|you|you're|you'll|your|yours|let's)\b", re.IGNORECASE
)
_OWN = {"my": "their", "me": "them", "myself": "themselves", "mine": "theirs"}
_OWN_WORDS = re.compile(r"\b(?:my|me|myself|mine)\b", re.IGNORECASE)
_WILL = {"en": "will", "de": "wird", "es": "va a", "fr": "va"}
_AND = {"en": "and", "de": "und", "es": "y", "fr": "et"}
_TO_SOMEBODY = frozenset("you your me i them it that dir dein deine mir te tu".split())
_EVERYBODY = frozenset({"everyone", "alle", "todos", "tous"})


def bonus(sentence: Sentence, tongue: Tongue, *, dated: bool = False) -> float:
    """How well a sentence stands by itself in an overview: a factor for its weight in the talk, 0 for none.

    ``dated``: an event was found in it, which makes it sure. What somebody will do is said by the last sentence.
    """
    text = sentence.text
    told = _without_lead(tidy(text, tongue))
    count = len(words(told))
    if count < FEWEST_WORDS or count > MOST_WORDS or SMALL_TALK.search(text):
        return 0.0
    if text.rstrip().endswith("?") or tongue.asks.match(told):
        return 0.0
    factor = min(1.0, count / 10)
    if tongue.request.search(told):
        factor *= 0.2
    if dated:
        factor *= 1.1
    if _WILL_DO.match(told):
        factor *= 0.15
    if _DANGLING.match(told) or _VAGUE.search(told):
        factor *= 0.4
    if tongue.unreal.search(told):
        factor *= 0.5
    if not tongue.personal.search(told):
        factor *= 1.5
    elif not (tongue.code == "en" and _third_person(told, sentence.speaker)):
        factor *= 0.5
    if DECIDED.search(text):
        factor *= 1.4
    return factor * (1.25 if FIGURE.search(text) else 1.0)


def overview(chosen: Sequence[Sentence], items: Sequence[ActionItem], tongue: Tongue) -> str:
    """Return ``chosen`` in the order of the talk, then what is to be done; at most CHARACTERS, cut between words."""
    lines = [_told(sentence, tongue) for sentence in chosen]
    told = [set(words(line)) for line in lines]
    tasks = _tasks([item for item in items if not _is_told(item, told)], tongue)
    if tasks:
        lines.append(tasks)
    text = " ".join(line for line in lines if line)
    return text if len(text) <= CHARACTERS else text[: CHARACTERS - 1].rsplit(" ", 1)[0] + "…"


def _told(sentence: Sentence, tongue: Tongue) -> str:
    text = _without_lead(tidy(sentence.text, tongue))
    if not text:
        return ""
    if not tongue.personal.search(text):
        return _whole(text)
    if tongue.code == "en":
        told = _third_person(text, sentence.speaker)
        if told:
            return _whole(told)
    return f"{sentence.speaker}: “{_whole(text)}”"


def _third_person(text: str, speaker: str) -> str:
    """``I need to look at my pipes`` as ``Peter needs to look at their pipes``; empty where that is not sure."""
    if text[:3].casefold() == "my " and not _OTHERS.search(text):
        return f"{speaker}'s {_of_theirs(text[3:])}"
    found = _FIRST.match(text)
    if found is None or _OTHERS.search(found["rest"]):
        return ""
    verb = found["verb"].strip().casefold()
    third = _I_VERBS.get(verb) or (verb if verb.endswith("ed") and len(verb) > 4 else None)
    if third is None:
        return ""
    return f"{speaker} {third}{_of_theirs(found['rest'])}"


def _of_theirs(text: str) -> str:
    return _OWN_WORDS.sub(lambda own: _OWN[own[0].casefold()], text)


def _without_lead(text: str) -> str:
    return _LEADS.sub("", text, count=1).strip(" ,;:")


def _whole(text: str) -> str:
    text = text[:1].upper() + text[1:]
    return text if text[-1:] in ".!?。！？…" else f"{text}."


def _is_told(item: ActionItem, lines: Sequence[set[str]]) -> bool:
    said = set(words(item.description.rpartition(" (")[0]))
    return any(len(said & line) >= 0.8 * len(said) for line in lines)


def _tasks(items: Sequence[ActionItem], tongue: Tongue) -> str:
    """``David will call the builder this afternoon, and Anna will send the budget by Friday.``"""
    told: dict[str, list[str]] = {}
    ready = [item for item in items if item.owner and item.owner not in _EVERYBODY]
    for item in sorted(ready, key=lambda item: item.due_at is None):
        what = item.description.rpartition(" (")[0] or item.description
        first = what.split(" ", 1)[0].casefold()
        spanish_or_french = tongue.code in ("es", "fr") and not first.endswith(("er", "ir", "ar", "re"))
        if spanish_or_french or set(words(what)) & _TO_SOMEBODY:
            continue
        told.setdefault(item.owner or "", []).append(what[:1].lower() + what[1:])
        if sum(map(len, told.values())) == TASKS:
            break
    link = f" {_AND[tongue.code]} "
    who = [f"{owner} {_WILL[tongue.code]} {link.join(tasks)}" for owner, tasks in told.items()]
    return _whole(f",{link}".join(who)) if who else ""
