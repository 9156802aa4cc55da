"""What a memory's page shows. Words only where they were revealed; everything else is ids, times and counts.

The number of queries does not depend on how much there is of anything.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any, Final
from urllib.parse import urlencode

from django.http import QueryDict
from django.urls import reverse
from django.utils.safestring import SafeString

from emotions.base import EmotionTimeline
from memories.admin import answers, masking, moments, pictures, trace, voices, wording_diff
from memories.admin.trace import Trace
from memories.console.models import AuditEntry
from memories.models import MemoryRow, UserEvent
from memories.pipeline import failure_catalogue, queries
from memories.pipeline.models import PostProcessingRun, RunStep, StepArtifact
from memories.pipeline.states import State
from memories.registry import records
from memories.repository import emotions as emotion_store
from memories.repository.transcripts import TranscriptVersion
from memories.shapes import Memory
from memories.support import ACTIONS
from memories.support import runs as run_actions
from memories.support import situation as situations
from memories.support.situation import Situation
from omi.core.errors import ProviderError
from omi.stores.documents.base import DocumentError
from omi.stores.models import AudioObject
from speakers import people
from transcription.segments import Segment, end_of

SEGMENTS: Final = 2000
"""Segments that one page shows; a longer transcript has several pages."""
AUDIT: Final = 50
EVENTS: Final = 20


@dataclass(frozen=True, slots=True)
class RunLine:
    """One run in the list of a memory's runs; ``seconds``: how long it has taken, ``chosen``: whether it is drawn."""

    row: PostProcessingRun
    url: str
    chosen: bool
    seconds: float | None


@dataclass(frozen=True, slots=True)
class VersionLine:
    """A kept transcript. ``name`` is ``model@version``."""

    version: TranscriptVersion
    name: str
    words: int
    voices: int
    seconds: float
    figures: list[tuple[str, Any]]
    reasons: list[str]
    accepted: bool | None
    compare: str


def of(row: MemoryRow, query: QueryDict, *, revealed: bool, audible: bool) -> dict[str, Any]:
    """The template's context for ``row``. ``audible``: recordings may be played, too."""
    now = situations.of(row.uid, row.memory_id)
    chosen = trace.chosen_run(now, query)
    shown = trace.read(chosen, query) if chosen is not None else None
    failed = chosen is not None and chosen.state == State.FINISHED and not chosen.succeeded
    retry = run_actions.retry_preview(now, {}) if failed and now.alive else None
    return {
        "row": row,
        "now": now,
        "problem": now.problem,
        "revealed": revealed,
        "audible": audible and revealed,
        "answers": answers.of(now, shown, answers.spent_on(row.uid, row.memory_id), retry),
        "runs": [_run_line(run, chosen) for run in now.runs],
        "more_runs": max(0, queries.runs_of(row.uid, row.memory_id).count() - len(now.runs))
        if len(now.runs) == situations.RUNS
        else 0,
        "trace": shown,
        "detail": _detail(shown, revealed) if shown is not None else None,
        "versions": [
            _version_line(item, query)
            for item in sorted((item for each in now.versions.values() for item in each), key=_shown_first)
        ],
        "facts": _facts(row, now.memory),
        "made_with": _made_with(row),
        "events": UserEvent.objects.filter(uid=row.uid, memory_id=row.memory_id).order_by("-number")[:EVENTS],
        "audit": AuditEntry.objects.filter(uid=row.uid, memory_id=row.memory_id)[:AUDIT],
        **_words(row, now, query, revealed=revealed, audible=audible),
    }


def actions_of(now: Situation, permitted: Sequence[str]) -> list[dict[str, Any]]:
    """The buttons: of what may be done by whom is looking, with the reason where it cannot be done now."""
    return [
        {"action": action, "why_not": action.why_not(now)} for action in ACTIONS.values() if action.name in permitted
    ]


def _run_line(run: PostProcessingRun, chosen: PostProcessingRun | None) -> RunLine:
    seconds = (run.finished_at - run.created_at).total_seconds() if run.finished_at is not None else None
    return RunLine(run, trace.address(run), chosen is not None and run.pk == chosen.pk, seconds)


def _detail(shown: Trace, revealed: bool) -> dict[str, Any]:
    """The right side: of the chosen step, else of the run."""
    step = shown.step
    run = shown.run
    message = answers.told(run)
    context: dict[str, Any] = {"run": run, "step": step, "message": message if not run.succeeded else None}
    if step is None:
        options = {name: value for name, value in run.options.items() if name != "text"}
        return {**context, "input": masking.shown(options, revealed=revealed), "events": shown.events}
    attempts = shown.attempts_of(step)
    trouble = next((item for item in reversed(attempts) if item.error_code or item.result != "done"), None)
    return {
        **context,
        "attempts": list(reversed(attempts)),
        "trouble": trouble,
        "advice": failure_catalogue.get(trouble.message_id) if trouble is not None and trouble.message_id else None,
        "calls": shown.calls_of(step),
        "cost": sum(item.cost for item in shown.calls_of(step)),
        "input": _inputs(shown, step),
        "output": masking.shown(step.output, revealed=revealed),
        "checkpoint": masking.shown(step.checkpoint, revealed=revealed),
        "artifacts": StepArtifact.objects.filter(step=step).values_list("name", "sha256")[:20],
        "retry": urlencode({"run": run.pk, "from_step": step.name}),
        "close": trace.address(run, "none"),
    }


def _inputs(shown: Trace, step: RunStep) -> str:
    """What the step read, as far as rows tell: the recording, the steps before it, and the hash of all of it."""
    before = [item.name for item in shown.steps if item.position < step.position and item.output]
    lines = [f"steps before it: {', '.join(before) or 'none'}"]
    if shown.run.audio and step.name in ("prepare_audio", "transcribe", "identify_speakers", "emotions"):
        lines.append(f"recording: {shown.run.audio}")
    if shown.run.options:
        lines.append(f"options: {', '.join(sorted(shown.run.options))}")
    lines.append(f"hash of all of it: {step.input_hash or 'not read yet'}")
    return "\n".join(lines)


def _shown_first(version: TranscriptVersion) -> tuple[bool, float]:
    return not version.active, -version.created_at.timestamp()


def _version_line(version: TranscriptVersion, query: QueryDict) -> VersionLine:
    name = f"{version.model}@{version.version}"
    figures = version.meta.get("figures") or {}
    return VersionLine(
        version, name,
        words=sum(len(segment.text.split()) for segment in version.segments),
        voices=len({segment.speaker for segment in version.segments}),
        seconds=end_of(version.segments),
        figures=sorted((str(key).replace("_", " "), value) for key, value in figures.items()),
        reasons=[str(item) for item in version.meta.get("reasons") or []],
        accepted=version.meta.get("accepted"),
        compare="?" + urlencode({**{key: query[key] for key in ("run", "step") if key in query}, "compare": name}),
    )  # fmt: skip


def _words(row: MemoryRow, now: Situation, query: QueryDict, *, revealed: bool, audible: bool) -> dict[str, Any]:
    """Everything that is somebody's words, voice or mood. Without names and words where nothing is revealed."""
    memory = now.memory
    segments = sorted(memory.transcript_segments, key=lambda item: (item.start, item.end)) if memory else []
    palette = voices.colours(segments)
    names = voices.Names(people.names(row.uid) if revealed else {}, revealed=revealed)
    context: dict[str, Any] = {"voices": voices.decided(row.uid, row.memory_id, names, palette)}
    if memory is None:
        return context
    context |= {"edits": _edits(memory, revealed)}
    if not revealed:
        return context
    first = max(0, min(_number(query.get("from", "")), len(segments) - 1)) // SEGMENTS * SEGMENTS
    seconds = end_of(segments)
    other = wording_diff.chosen(now, query.get("compare", ""))
    timeline = _emotions(row)
    named = next((item for item in now.playable if item.name == query.get("recording")), None)
    player = named or (now.playable[0] if now.playable else None)
    return {
        **context,
        "memory": memory,
        "said": _said(row, segments[first : first + SEGMENTS], names, palette, player if audible else None),
        "first": first + 1,
        "parts": [
            {"url": "?" + urlencode({"from": at}), "label": f"{at + 1}–{min(at + SEGMENTS, len(segments))}",
             "here": at == first}
            for at in range(0, len(segments), SEGMENTS)
        ] if len(segments) > SEGMENTS else [],
        "regions": pictures.regions(segments, seconds, palette),
        "seconds": seconds,
        "recordings": now.playable,
        "player": player,
        "compared": wording_diff.compare(wording_diff.words(segments), wording_diff.words(other[1])) if other else None,
        "compared_with": f"{other[0].split('@')[0]} {other[0].split('@')[1][:8]}" if other else "",
        "timeline": timeline,
        "lanes": pictures.lanes(timeline, seconds) if timeline is not None else [],
        "legend": [
            {"label": label, "colour": colour,
             "who": names.speaker(next(item for item in segments if item.speaker == label))}
            for label, colour in list(palette.items())[:20]
        ],
    }  # fmt: skip


def _said(
    row: MemoryRow,
    segments: Sequence[Segment],
    names: voices.Names,
    palette: Mapping[str, int],
    sound: AudioObject | None,
) -> SafeString:
    """The rows of the transcript. Made here and not in the template, which takes a second for two thousand. Escaped is
    what anybody said or is called; numbers and our own address are not gone through again in every row."""
    link = reverse("admin:memories_memoryrow_audio", args=[row.pk, sound.name]) if sound is not None else ""

    def line(item: Segment) -> str:
        clock, start = moments.clock(item.start), f"{item.start:.2f}"
        at = f'<a class="at" href="{link}#t={start}">{clock}</a>' if link else f'<span class="at">{clock}</span>'
        return (
            f'<li class="voice-{int(palette[item.speaker])}" data-start="{start}" data-end="{item.end:.2f}">{at} '
            f'<span class="who">{escape(names.speaker(item))}</span> <span class="text">{escape(item.text)}</span></li>'
        )

    return SafeString("\n".join(map(line, segments)))


def _edits(memory: Memory, revealed: bool) -> list[tuple[str, str]]:
    """What the user set themselves, which wins over every run."""
    edits = memory.edits
    told = [(name, str(getattr(edits, name))) for name in ("title", "overview", "category") if getattr(edits, name)]
    listed = [(name, value if revealed else f"•••• ({len(value)} characters)") for name, value in told]
    for name, count in (
        ("voices named", len(edits.speakers)),
        ("segments named", len(edits.segments)),
        ("calendar events marked", len(edits.events_created)),
    ):
        if count:
            listed.append((name, str(count)))
    return listed


def _emotions(row: MemoryRow) -> EmotionTimeline | None:
    try:
        return emotion_store.load_emotions(row.uid, row.memory_id)
    except (ProviderError, DocumentError):
        return None


def _made_with(row: MemoryRow) -> list[tuple[str, str]]:
    """What made each part, as the conditions of a replay are written."""
    found = records.of_memory(row.uid, row.memory_id)
    told = {
        part: " ".join(f"{name}={found[part][name]}" for name in records.CONDITIONS if name in found[part])
        for part in records.PARTS
        if part in found
    }
    return list(told.items())


def _number(text: str) -> int:
    return int(text) if text.isascii() and text.isdecimal() and len(text) < 9 else 0


def _facts(row: MemoryRow, memory: Memory | None) -> list[tuple[str, Any]]:
    told = memory.postprocessing if memory else None
    structured = memory.structured if memory else None
    return [
        ("User", row.uid),
        ("Memory", row.memory_id),
        ("Created", row.created_at),
        ("Started", row.started_at),
        ("Finished", row.finished_at),
        ("Language", row.language or "–"),
        ("Source", row.source or "–"),
        ("Visibility", row.visibility),
        ("Conversation", row.processing_memory_id or "–"),
        ("Shown transcript", row.active_transcript or "–"),
        ("Segments", row.segments),
        ("Why it failed", (told.fail_reason if told else None) or "–"),
        ("Action items", len(structured.action_items) if structured else "–"),
        ("Calendar events", len(structured.events) if structured else "–"),
        ("Revision", row.revision),
    ]
