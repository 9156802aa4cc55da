"""Word measures: errors of words and characters (jiwer), errors with speakers (meeteval), and the alignment to show."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from memories.evaluation.dataset import Item
from memories.evaluation.heard import MadeMemory
from memories.evaluation.wording import MissingLibrary, normalised

Parts = dict[str, tuple[float, float]]
"""By name of a figure what an item adds to its numerator and its denominator."""

COLLAR = 5.0
"""Seconds by which tcpWER lets a word lie beside its reference: the value of the CHiME challenges, for turns whose
words have no times of their own."""


@dataclass(frozen=True, slots=True)
class Piece:
    """Words that are ``equal`` in both, or what stands in their place: ``substitute``, ``delete``, ``insert``."""

    kind: str
    reference: str
    heard: str


def word_parts(item: Item, heard: MadeMemory) -> Parts:
    """Word and character errors, and those that count a word under the wrong speaker as wrong. Empty without a
    reference text, or where nothing is said."""
    reference = item.reference
    if reference is None or not (true := normalised(reference, item.language)) or item.audio is None:
        return {}
    said = normalised(heard.text, item.language)
    words, characters = (
        _jiwer().process_words(true, said),
        _jiwer().process_characters(true.replace(" ", ""), said.replace(" ", "")),
    )
    return {
        "wer": (_errors(words), len(true.split())),
        "cer": (_errors(characters), len(true.replace(" ", ""))),
        **_with_speakers(item, heard),
    }


def alignment(item: Item, heard: MadeMemory) -> list[Piece]:
    """The reference and what was heard, side by side; empty without a reference text."""
    if item.reference is None or item.audio is None:
        return []
    true = normalised(item.reference, item.language).split()
    said = normalised(heard.text, item.language).split()
    found = _jiwer().process_words(" ".join(true), " ".join(said)).alignments[0]
    return [
        Piece(
            chunk.type,
            " ".join(true[chunk.ref_start_idx : chunk.ref_end_idx]),
            " ".join(said[chunk.hyp_start_idx : chunk.hyp_end_idx]),
        )
        for chunk in found
    ]


def _with_speakers(item: Item, heard: MadeMemory) -> Parts:
    turns = item.turns or []
    if item.partial or len({turn.speaker for turn in turns}) < 2 or any(not turn.text for turn in turns):
        return {}
    lists, rates = _meeteval()
    reference = _listed(lists, item, [(turn.speaker, turn.start, turn.end, turn.text) for turn in turns])
    said = _listed(lists, item, [(it.voice, it.start, it.end, it.text) for it in heard.stretches])
    concatenated = rates.cp_word_error_rate(reference, said)
    timed = rates.time_constrained_minimum_permutation_word_error_rate(reference, said, collar=COLLAR)
    return {
        "cpwer": (concatenated.errors, concatenated.length),
        "tcpwer": (timed.errors, timed.length),
    }


def _listed(lists: Any, item: Item, spoken: list[tuple[str, float, float, str]]) -> Any:
    rows = [
        {"session_id": item.name, "speaker": speaker, "start_time": start, "end_time": max(end, start + 0.01),
         "words": normalised(text, item.language)}
        for speaker, start, end, text in spoken
    ]  # fmt: skip
    return lists(rows)


def _errors(output: Any) -> int:
    return int(output.substitutions + output.deletions + output.insertions)


def _jiwer() -> Any:
    try:
        import jiwer
    except ImportError as error:
        raise MissingLibrary("jiwer") from error
    return jiwer


def _meeteval() -> tuple[Any, Any]:
    try:
        from meeteval import wer
        from meeteval.io import SegLST
    except ImportError as error:
        raise MissingLibrary("meeteval") from error
    return SegLST, wer
