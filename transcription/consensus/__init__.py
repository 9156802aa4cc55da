"""One transcript from several vendors' transcripts of the same audio: a word-level vote (after ROVER, Fiscus 1997).

``align`` puts the words side by side, ``trust`` says how much each vendor's and each pair's word is worth, ``ballot``
decides, ``placing`` puts the result where the shown segments are. Pure; times in seconds.
"""

from __future__ import annotations

from transcription.consensus.align import plain
from transcription.consensus.ballot import vote
from transcription.consensus.placing import MODEL, in_shown_segments
from transcription.consensus.trust import weights_from

__all__ = ["MODEL", "in_shown_segments", "plain", "vote", "weights_from"]
