"""One transcript from several vendors' transcripts of the same audio: a word-level vote (ROVER, Fiscus 1997).

``align`` puts the words side by side, ``ballot`` decides, ``placing`` puts the result where the shown segments are.
Pure; times in seconds.
"""

from __future__ import annotations

from transcription.consensus.align import plain
from transcription.consensus.ballot import vote, weights_from
from transcription.consensus.placing import MODEL, in_shown_segments

__all__ = ["MODEL", "in_shown_segments", "plain", "vote", "weights_from"]
