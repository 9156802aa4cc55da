"""Voice measures: diarization error (simpleder), who was named how, where turns begin and end, and invented words.

Speech of the product is where its words are: ``heard.stretches``. Speech of the reference is where its turns are.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from memories.evaluation.dataset import Item
from memories.evaluation.heard import UNKNOWN, MadeMemory
from memories.evaluation.wording import MissingLibrary
from memories.evaluation.words import Parts

COLLAR: Final = 0.25
"""Seconds around each boundary of the reference that DER leaves out: NIST's, because people disagree by that much."""
NEAR: Final = 0.5
"""Seconds beside a turn in which a word still belongs to it."""
FRAMES: Final = 100
"""A second is divided into so many frames to count who speaks."""
NOBODY, SEVERAL = -1, -2


def voice_parts(item: Item, heard: MadeMemory) -> Parts:
    """Return the parts of every figure that is measured against the turns; empty without turns, or without audio."""
    if item.audio is None or item.turns is None:
        return invented_parts(item, heard) if item.audio is not None and item.text == "" else {}
    parts = label_parts(item, heard)
    if not item.partial:
        parts |= invented_parts(item, heard)
        if item.turns:
            parts |= diarization_parts(item, heard) | edge_parts(item, heard)
    return parts


def diarization_parts(item: Item, heard: MadeMemory) -> Parts:
    """Seconds of missed, invented and confused speech of the reference's seconds; overlapping speech counts."""
    reference = [(turn.speaker, turn.start, turn.end) for turn in item.turns or []]
    said = [(it.voice, it.start, it.end) for it in heard.stretches]
    found = _simpleder().DER(reference, said, collar=COLLAR, detailed=True)
    wrong = found["miss"] + found["false_alarm"] + found["confusion"]
    return {"der": (wrong, found["ref_length"])} if found["ref_length"] > 0 else {}


def label_parts(item: Item, heard: MadeMemory) -> Parts:
    """Seconds in which one speaker talks and a word was heard, by whether the name on it is right.

    Nobody is named where nobody is enrolled: then nothing is measured.
    """
    roles = {name: speaker.role for name, speaker in item.speakers.items()}
    if not any(role != "stranger" for role in roles.values()):
        return {}
    names = [*roles, UNKNOWN]
    frames = round(FRAMES * max([heard.seconds, *(turn.end for turn in item.turns or [])]))
    true, said = np.full(frames, NOBODY), np.full(frames, NOBODY)
    for turn in item.turns or []:
        part = true[_frames(turn.start, turn.end)]
        part[:] = np.where((part == NOBODY) | (part == names.index(turn.speaker)), names.index(turn.speaker), SEVERAL)
    for it in heard.stretches:
        said[_frames(it.start, it.end)] = names.index(it.who if it.who in roles else UNKNOWN)
    both = (true >= 0) & (said >= 0)
    strangers = np.isin(true, [names.index(name) for name, role in roles.items() if role == "stranger"])
    unknown = said == names.index(UNKNOWN)
    right = np.where(strangers, unknown, true == said)
    user = said == names.index(item.user) if item.user else np.zeros(frames, bool)
    return {
        "speaker_labels": _share(both & right, both),
        **_where("stranger_as_user", both & strangers & user, both & strangers),
        **_where("stranger_named", both & strangers & ~unknown, both & strangers),
        **_where("known_missed", both & ~strangers & unknown, both & ~strangers),
        **_where("known_confused", both & ~strangers & ~unknown & ~right, both & ~strangers),
    }


def edge_parts(item: Item, heard: MadeMemory) -> Parts:
    """How far the first word of a turn begins, and the last one ends, from where the turn does (seconds, edges)."""
    wrong, edges = 0.0, 0
    for turn in item.turns or []:
        inside = [word for word in heard.words if turn.start - NEAR <= word.middle <= turn.end + NEAR]
        if inside:
            wrong += abs(min(word.start for word in inside) - turn.start)
            wrong += abs(max(word.end for word in inside) - turn.end)
            edges += 2
    return {"edge_error": (wrong, edges)} if edges else {}


def invented_parts(item: Item, heard: MadeMemory) -> Parts:
    """Words where nobody speaks, and the hours of that silence."""
    turns = item.turns or []
    invented = sum(
        all(word.middle < turn.start - NEAR or word.middle > turn.end + NEAR for turn in turns) for word in heard.words
    )
    spoken = np.zeros(round(FRAMES * heard.seconds), bool)
    for turn in turns:
        spoken[_frames(turn.start - NEAR, turn.end + NEAR)] = True
    silent = float((~spoken).sum()) / FRAMES / 3600
    return {"invented": (invented, silent)} if silent > 0 else {}


def _frames(start: float, end: float) -> slice:
    return slice(max(0, round(start * FRAMES)), max(0, round(end * FRAMES)))


def _share(hits: NDArray[np.bool_], among: NDArray[np.bool_]) -> tuple[float, float]:
    return float(hits.sum()) / FRAMES, float(among.sum()) / FRAMES


def _where(name: str, hits: NDArray[np.bool_], among: NDArray[np.bool_]) -> Parts:
    return {name: _share(hits, among)} if among.any() else {}


def _simpleder() -> Any:
    try:
        import simpleder
    except ImportError as error:
        raise MissingLibrary("simpleder") from error
    return simpleder
