"""The words of a text, as transcripts are compared by them. Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence

from memories.wording import composed
from transcription.segments import Segment


def tokens(segments: Sequence[Segment]) -> list[str]:
    """Words in lower case without punctuation; scripts without blanks count letter by letter."""
    return tokens_in(" ".join(segment.text for segment in segments))


def tokens_in(text: str) -> list[str]:
    """Return the words of a text in lower case (NFKC); in Japanese, Chinese, Korean and Thai each character is one."""
    text = composed(text, "NFKC").casefold()
    spaced = re.sub(r"([\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af\u0e00-\u0e7f])", r" \1 ", text)
    return re.findall(r"[^\W_]+(?:['’][^\W_]+)*", spaced)
