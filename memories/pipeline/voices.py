"""Speaker labels for words of a provider that cannot tell voices apart."""

from __future__ import annotations

import wave
from bisect import bisect_right
from collections.abc import Sequence
from pathlib import Path

from omi.providers import one
from transcription.segments import Word, speaker_label


def with_speakers(words: Sequence[Word], wav: Path, regions: Sequence[Sequence[float]]) -> list[Word]:
    """Each word with the label of the diarized turn that it overlaps most (the nearest one where it overlaps none).

    ``regions``: speech in the recording, seconds. Raises ProviderError when the voice engine fails.
    """
    import numpy as np

    from speakers.diarization import diarize

    with wave.open(str(wav), "rb") as file:
        pcm = np.frombuffer(file.readframes(file.getnframes()), np.int16)
    turns = diarize(pcm, [(start, end) for start, end in regions], one("voices"))
    if not turns:
        return list(words)
    starts = [turn.start for turn in turns]
    labelled = []
    for word in words:
        near = bisect_right(starts, word.end)
        around = turns[max(0, near - 4) : near + 1]
        best = max(around, key=lambda turn: min(turn.end, word.end) - max(turn.start, word.start))
        labelled.append(word.model_copy(update={"speaker": speaker_label(best.speaker)}))
    return labelled
