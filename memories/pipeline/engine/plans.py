"""Which steps a kind of run has, in order."""

from __future__ import annotations

from typing import Final

from memories.pipeline.states import Kind

PLANS: Final[dict[str, tuple[str, ...]]] = {
    Kind.POSTPROCESS: (
        "prepare_audio", "transcribe", "assess", "identify_speakers", "structure", "index", "emotions", "publish",
    ),
    # The three after the first are skipped unless live transcription failed and the journal holds the recording. Voices
    # are judged where there is a recording and anybody to recognise.
    Kind.CAPTURE: (
        "gather", "prepare_audio", "transcribe", "assess", "identify_speakers", "structure", "index", "publish",
    ),
    Kind.REPROCESS: ("structure", "index", "publish"),
}  # fmt: skip

OPTIONAL: Final = frozenset({"emotions"})
"""Steps whose failure is recorded and shown, and never fails the run. The ``asked`` of each says whether anybody wants
what it makes."""


def plan_for(kind: str) -> list[str]:
    """Return the names of the steps of this kind of run, in the order in which they are done."""
    return list(PLANS[kind])


def first_step(kind: str, from_step: str | None) -> str:
    """Return the step that a run begins with: ``from_step``, else the first. Raises ValueError, naming the steps."""
    plan = PLANS[kind]
    if from_step and from_step not in plan:
        raise ValueError(f"{kind} has no step {from_step!r}; its steps are {', '.join(plan)}")
    return from_step or plan[0]
