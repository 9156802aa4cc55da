"""A supportive message after a talk: only for who asked for it, and only when the measurement is clear.

The words are fixed sentences, not written by a model: nothing of the transcript leaves in a push message, and nobody
can put words into it by talking.
"""

from __future__ import annotations

from dataclasses import dataclass

from emotions.base import EmotionTimeline
from emotions.timeline import EmotionMean, of_user

MIN_SECONDS = 10.0  # of the user's own speech
MIN_MEAN = 0.5  # probability averaged over it
MIN_SPANS = 2
ESTIMATE_SECONDS = 20.0  # an estimate must rest on more
LOW_VALENCE, HIGH_VALENCE = 0.25, 0.75

_GROUPS: dict[str, frozenset[str]] = {
    "joy": frozenset(
        {"joy", "amusement", "excitement", "contentment", "satisfaction", "happiness", "delight", "enthusiasm", "pride"}
    ),
    "sadness": frozenset(
        {"sadness", "disappointment", "grief", "sorrow", "loneliness", "despair", "hurt", "nostalgia", "melancholy"}
    ),
    "anger": frozenset({"anger", "annoyance", "frustration", "irritation", "contempt", "rage", "resentment"}),
    "worry": frozenset({"anxiety", "fear", "distress", "worry", "nervousness", "stress", "panic", "horror", "doubt"}),
    "tiredness": frozenset({"tiredness", "boredom", "exhaustion", "fatigue", "sleepiness"}),
    "calm": frozenset({"calmness", "calm", "relief", "serenity", "peacefulness", "relaxation"}),
}
_MESSAGES = {
    "joy": "You sounded happy in your last talk. Enjoy it!",
    "sadness": "Your last talk sounded a bit heavy. Be kind to yourself today.",
    "anger": "Your last talk sounded tense. A short walk may do you good.",
    "worry": "You sounded a little worried in your last talk. Take a slow breath: one thing at a time.",
    "tiredness": "You sounded tired in your last talk. Perhaps it is time for a break.",
    "calm": "You sounded calm in your last talk. Keep that going.",
    "estimate_good": "Your last talk was full of good words. Have a lovely day!",
    "estimate_bad": "Your last talk had some hard words in it. Be kind to yourself today.",
}


@dataclass(frozen=True, slots=True)
class Feedback:
    """A supportive message to the user. ``confidence``: the mean probability (or the distance from neutral) that the
    message rests on."""

    title: str
    text: str
    emotion: str
    confidence: float


def feedback(timeline: EmotionTimeline, *, opted_in: bool) -> Feedback | None:
    """The message to push, or None: not asked for, too little of the user's own speech, or nothing clear."""
    if not opted_in:
        return None
    user = of_user(timeline)
    return _from_estimate(user) if timeline.kind == "estimate" else _from_expression(user)


def _from_expression(user: list[EmotionMean]) -> Feedback | None:
    clear = [item for item in user if item.mean >= MIN_MEAN and item.spans >= MIN_SPANS and item.seconds >= MIN_SECONDS]
    if not clear:
        return None
    top = clear[0]  # a clear "neutral" above everything else is an answer, too: no message
    group = next((name for name, members in _GROUPS.items() if top.name in members), None)
    return Feedback("Omi", _MESSAGES[group], top.name, round(top.mean, 3)) if group else None


def _from_estimate(user: list[EmotionMean]) -> Feedback | None:
    valence = next((item for item in user if item.name == "valence"), None)
    if valence is None or valence.seconds < ESTIMATE_SECONDS or valence.spans < MIN_SPANS:
        return None
    if LOW_VALENCE < valence.mean < HIGH_VALENCE:
        return None
    good = valence.mean >= HIGH_VALENCE
    text = _MESSAGES["estimate_good" if good else "estimate_bad"]
    return Feedback("Omi", text, "valence", round(abs(valence.mean - 0.5) * 2, 3))
