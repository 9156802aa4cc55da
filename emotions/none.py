"""No emotions: what ``OMI_EMOTIONS=none`` chooses."""

from __future__ import annotations

from emotions.base import EmotionRequest, EmotionTimeline


class NoEmotions:
    """Measures nothing and says so."""

    name = "none"
    model_name = "none"
    remote = False

    def measure(self, request: EmotionRequest) -> EmotionTimeline:
        return EmotionTimeline(
            vendor=self.name, model=self.model_name, kind="estimate", note="Emotion measurement is switched off."
        )
