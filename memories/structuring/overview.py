"""An overview of two or three whole sentences: what it was about, what was found or decided, who does what.

Extractive: the sentences are the talk's own, tidied. What was said of oneself ("I need to look at the pipes") is told
of the speaker ("Peter needs to look at the pipes") where the form is plain English, and is quoted with the speaker's
name where it is not. The last sentence says what the action items say.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from memories.shapes import ActionItem
from memories.structuring.sentences import Sentence, tidy, words
from memories.structuring.tongues.base import Tongue

TOLD, TASKS = 2, 2
"""Sentences of the talk, and tasks in the sentence after them."""
CHARACTERS = 600
FEWEST_WORDS, MOST_WORDS = 5, 40

_LEADS = re.compile(
    r"^(?:(?:and|but|so|then|well|yes|yeah|no|okay|ok|also|oh|hey|right|sure|great|hello everyone|hi|thanks|thank you|i mean"
    r"|ja|und|aber|also|gut|oui|et|mais|donc|alors|bon|sí|y|pero|bueno|pues|vale)\b[ ,.!]*)+",
    re.IGNORECASE,
)
_SMALL_TALK = re.compile(
    r"\b(?:good (?:morning|afternoon|evening|to see)|how are you|how was your|nice to|see you|thank|thanks|sounds (?:good|great|wonderful|perfect)"
    r"|have a (?:good|nice|safe|great)|my name is|welcome|guten (?:morgen|tag)|danke|hallo|buenos|buenas|gracias|hola|bonjour|merci"
    r"|i'm sorry to hear|no problem|you're welcome|can you hear)\b",
    re.IGNORECASE,
)
_DECIDED = re.compile(
    r"\b(?:decid\w+|agree(?:d)? (?:to|on|that)|we'll go with|let's go with|going with|the plan is|settled on|final(?:ly)? (?:price|decision)"
    r"|will (?:take|cost|be)|beschlossen|entschieden|wir nehmen|se decidió|decidimos|hemos decidido|on a décidé|nous avons décidé|diagnos\w+"
    r"|results?|ergebnis\w*|resultados?|résultats?)\b",
    re.IGNORECASE,
)
_FIGURE = re.compile(r"\d|\b(?:hundred|thousand|million|percent|dollars|euros?|hundert|tausend|mil|cent)\b", re.IGNORECASE)
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
_OTHERS = re.compile(r"\b(?:i|i'm|i'll|i've|i'd|we|we're|we'll|we've|us|our|ours|you|you're|you'll|your|yours|let's)\b", re.IGNORECASE)
_OWN = {"my": "their", "me": "them", "myself": "themselves", "mine": "theirs"}
_WILL = {"en": "will", "de": "wird", "es": "va a", "fr": "va"}
_AND = {"en": "and", "de": "und", "es": "y", "fr": "et"}
_EVERYBODY = frozenset({"everyone", "alle", "todos", "tous"})


def bonus(sentence: Sentence, tongue: Tongue) -> float:
    """How well a sentence stands by itself in an overview: a factor for its weight in the talk, 0 for none."""
    text = sentence.text
    count = len(sentence.words)
    if count < FEWEST_WORDS or count > MOST_WORDS or text.rstrip().endswith("?") or _SMALL_TALK.search(text):
        return 0.0
    factor = min(1.0, count / 10)
    told = tidy(text, tongue)
    if not tongue.personal.search(told):
        factor *= 1.5
    elif not (tongue.code == "en" and _third_person(_without_lead(told), sentence.speaker)):
        factor *= 0.6
    if _DECIDED.search(text):
        factor *= 1.4
    return factor * (1.25 if _FIGURE.search(text) else 1.0)


def overview(chosen: Sequence[Sentence], items: Sequence[ActionItem], tongue: Tongue) -> str:
    """``chosen`` in the order of the talk, then what is to be done; at most CHARACTERS, cut between words."""
    lines = [_told(sentence, tongue) for sentence in chosen]
    tasks = _tasks(items, tongue)
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
    """"I need to look at my pipes" as "Peter needs to look at their pipes"; empty where that is not sure."""
    found = _FIRST.match(text)
    if found is None or _OTHERS.search(found["rest"]):
        return ""
    verb = found["verb"].strip().casefold()
    third = _I_VERBS.get(verb) or (verb if verb.endswith("ed") and len(verb) > 4 else None)
    if third is None:
        return ""
    rest = re.sub(r"\b(?:my|me|myself|mine)\b", lambda own: _OWN[own[0].casefold()], found["rest"], flags=re.IGNORECASE)
    return f"{speaker} {third}{rest}"


def _without_lead(text: str) -> str:
    return _LEADS.sub("", text, count=1).strip(" ,;:")


def _whole(text: str) -> str:
    text = text[:1].upper() + text[1:]
    return text if text[-1:] in ".!?。！？…" else f"{text}."


def _tasks(items: Sequence[ActionItem], tongue: Tongue) -> str:
    """"David will call the builder this afternoon and Anna will send the budget by Friday.\""""
    told: list[str] = []
    ready = [item for item in items if item.owner and item.owner not in _EVERYBODY]
    for item in sorted(ready, key=lambda item: item.due_at is None):
        what = item.description.rpartition(" (")[0] or item.description
        first = what.split(" ", 1)[0].casefold()
        spanish_or_french = tongue.code in ("es", "fr") and not first.endswith(("er", "ir", "ar", "re"))
        if spanish_or_french or set(words(what)) & {"you", "your", "me", "i", "dir", "dein", "deine", "mir", "te", "tu"}:
            continue
        told.append(f"{item.owner} {_WILL[tongue.code]} {what[:1].lower() + what[1:]}")
        if len(told) == TASKS:
            break
    return _whole(f", {_AND[tongue.code]} ".join(told)) if told else ""
