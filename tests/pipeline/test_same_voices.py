"""One label a voice through drops of vendors and clients: by what another vendor heard, then by the voices."""

from __future__ import annotations

from memories.pipeline.rules import voice_matching
from speakers.turns import connections, relabelled
from transcription.segments import Segment


def turn(start: float, end: float, label: str, provider: str = "deepgram_streaming") -> Segment:
    return Segment(id=f"{provider}{start}", text="x", speaker=label, start=start, end=end, stt_provider=provider)


def dialogue(drops: list[float], provider: str = "deepgram_streaming") -> tuple[list[Segment], list[str]]:
    """A and B in turns of 3 s for a minute; labels are counted anew at each drop. And who really spoke."""
    labels: dict[str, str] = {}
    segments, truth, number = [], [], 0
    for n in range(20):
        if any(n * 3.0 - 3.0 < drop <= n * 3.0 for drop in drops):
            labels = {}
        name = "AB"[n % 2]
        if name not in labels:
            labels[name], number = f"SPEAKER_{number:02d}", number + 1
        segments.append(turn(n * 3.0, n * 3.0 + 2.8, labels[name], provider))
        truth.append(name)
    return segments, truth


def right(segments: list[Segment], truth: list[str]) -> float:
    """Share of the segments whose label is that of most of its speaker's."""
    held: dict[str, dict[str, int]] = {}
    for item, name in zip(segments, truth, strict=True):
        held.setdefault(item.speaker, {}).setdefault(name, 0)
        held[item.speaker][name] += 1
    best: dict[str, str] = {}
    for label in sorted(held, key=lambda label: -max(held[label].values())):
        name = max(held[label], key=lambda name: held[label][name])
        if name not in best.values():
            best[label] = name
    return sum(best.get(item.speaker) == name for item, name in zip(segments, truth, strict=True)) / len(truth)


def test_after_four_drops_of_one_vendor_another_one_says_who_is_who() -> None:
    shown, truth = dialogue([11.0, 23.0, 35.0, 47.0])
    assert right(shown, truth) < 0.5
    heard, _ = dialogue([], "soniox_streaming")
    owner = connections(shown)
    joined = relabelled(shown, owner, voice_matching.voices(shown, owner, heard))
    assert right(joined, truth) == 1.0
    assert [item.text for item in joined] == [item.text for item in shown]


def test_voices_that_one_connection_told_apart_are_never_joined() -> None:
    shown, _ = dialogue([23.0])
    mixed = [item.model_copy(update={"speaker": "SPEAKER_00"}) for item in dialogue([], "soniox_streaming")[0]]
    owner = connections(shown)
    joined = relabelled(shown, owner, voice_matching.voices(shown, owner, mixed))
    for start, end in ((0.0, 23.0), (23.0, 60.0)):
        assert len({item.speaker for item in joined if start <= item.start < end}) == 2
