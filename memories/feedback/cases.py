"""Shared cases as a dataset of ``manage.py evaluate``: what was wrong, with what is right, so that each release says
how many of them are right by now.

Users and memories are numbers that follow from a key of this export alone, and names are masked in talks that are known
by their text. Audio is cut out only where the user keeps recordings and shared the case; its text is what the person
wrote, for the audio says it anyway, and a masked name could never be heard right.
"""

from __future__ import annotations

import hashlib
import json
import secrets
import wave
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from memories.feedback.models import LabelledCase, Part
from omi.accounts.users import get_user
from omi.core import workspace
from omi.stores import audio
from transcription.audio.convert import decode_to_wav

MARGIN: Final = 0.3
"""Seconds of audio around a segment."""
CASES: Final = "cases.json"


def export(folder: Path, *, since: datetime | None = None, part: str = "") -> dict[str, int]:
    """Write every shared case that can be measured into ``folder``; what was written, and what was left out, by kind.

    A case is left out (``no audio``) where words or voices were wrong and no recording of them may be used.
    """
    (folder / "items").mkdir(parents=True, exist_ok=True)
    rows = LabelledCase.objects.filter(shared=True).order_by("created_at")
    rows = rows.filter(created_at__gte=since) if since is not None else rows
    key, counts = secrets.token_hex(16), {"written": 0, "no audio": 0, "no text": 0}
    told: dict[str, dict[str, Any]] = {}
    for case in (rows.filter(part=part) if part else rows).iterator():
        if not get_user(case.uid).improvement.cases:
            continue
        name = f"case-{hashlib.sha256(f'{key}{case.pk}'.encode()).hexdigest()[:12]}"
        item = _item(case, folder / "items", name)
        if item is None:
            counts["no text" if case.part == Part.SUMMARY else "no audio"] += 1
            continue
        (folder / "items" / f"{name}.json").write_text(json.dumps(item, ensure_ascii=False, indent=1) + "\n")
        told[name] = {"part": case.part, "cause": case.cause, "made_with": case.made_with, **_wanted(case)}
        counts["written"] += 1
    (folder / CASES).write_text(json.dumps(told, ensure_ascii=False, indent=1) + "\n")
    return counts


def _item(case: LabelledCase, items: Path, name: str) -> dict[str, Any] | None:
    language = (case.language or "en").split("-")[0]
    if case.part == Part.SUMMARY:
        turns = case.context.get("turns")
        if not turns:
            return None
        expected = {"discarded": case.person["discarded"]} if "discarded" in case.person else {}
        return {"language": language, "turns": turns, "expected": expected}
    if case.part != Part.TRANSCRIPT or not _cut(case, items / f"{name}.wav"):
        return None  # a voice is measured with its enrolment, which is biometric: only in a user's own export
    return {"language": language, "audio": f"{name}.wav", "text": str(case.person.get("text", ""))}


def _wanted(case: LabelledCase) -> dict[str, Any]:
    """What must be there for the case to be right."""
    if case.part == Part.TRANSCRIPT:
        return {"text": str(case.person.get("text", ""))}
    return {"expected": {name: value for name, value in case.person.items() if name != "person_id"}}


def _cut(case: LabelledCase, target: Path) -> bool:
    """The segment's audio, where the user lets recordings be kept; False: there is none."""
    if not get_user(case.uid).store_recording_permission:
        return False
    for row in _recordings(case):
        with workspace.temporary("case-") as folder:
            wav = Path(folder) / "recording.wav"
            decode_to_wav(audio.local_copy(row, Path(folder)), wav)
            with wave.open(str(wav), "rb") as source, wave.open(str(target), "wb") as made:
                rate = source.getframerate()
                start = max(0, round((float(case.context["start"]) - MARGIN) * rate))
                end = min(source.getnframes(), round((float(case.context["end"]) + MARGIN) * rate))
                made.setparams(source.getparams())
                source.setpos(min(start, source.getnframes()))
                made.writeframes(source.readframes(max(0, end - start)))
        return True
    return False


def _recordings(case: LabelledCase) -> Iterator[Any]:
    for row in reversed(list(audio.for_memory(case.uid, case.memory_id, "recording"))):
        if row.complete:
            yield row
