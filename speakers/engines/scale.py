"""What an engine's cosines mean: from where on two embeddings are one voice, by what is compared.

Another engine lives on another scale: a rule that forgot this would refuse every enrolment with a WeSpeaker model as
two voices.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from speakers.engines import VoiceEngine


@dataclass(frozen=True, slots=True)
class Scale:
    """Cosines above which two things are one voice."""

    window: float
    """Two groups of windows of 1.6 s, when a recording is diarized."""
    cluster: float
    """The means of two clusters, when a recording is diarized."""
    part: float
    """The two most different parts of a recording that somebody wants to be enrolled with."""
    label: float
    """All that two labels of different connections say, where both say much (``speakers.turns.joined``)."""
    sentence: float
    """The same where one of them says a second."""
    utterance: float
    """Words of a live session (1 s of audio or more, mostly 2) and a voice so far."""
    margin: float
    """By which the best candidate must beat the runner-up."""


CAMPPLUS = Scale(window=0.32, cluster=0.60, part=0.55, label=0.65, sentence=0.40, utterance=0.37, margin=0.10)
"""Measured on 15 speakers of the choosing side, clean and in noise, women against women and men against men: windows of
one voice agree by 0.51 to 0.58 in the middle (two voices on average by at most 0.34), halves of what one voice says by
0.77 and more (two voices by at most 0.59), parts of 5 s by 0.65 and more. ``utterance`` by what became of whole
conversations (``bench.live_voices``): 0.35 to 0.38 are alike, at 0.43 every second person has two voices, at 0.30 two
have one."""
MARGIN_TRAINED = Scale(window=0.35, cluster=0.60, part=0.45, label=0.65, sentence=0.55, utterance=0.55, margin=0.10)
"""Other models of WeSpeaker, ECAPA, 3D-Speaker: strangers near 0.1, one voice over 5 s and more mostly above 0.6. Not
measured here, for want of weights: chosen so that two voices are rather kept apart, one rather enrolled."""


def scale_of(engine: VoiceEngine) -> Scale:
    """Return the cosines that the engine's embeddings are judged by."""
    return CAMPPLUS if engine.name == "campplus" else MARGIN_TRAINED
