"""What a step is given: the run, what earlier steps left, the memory, the prepared audio, and a place for files."""

from __future__ import annotations

import copy
import hashlib
import tempfile
import threading
from datetime import timedelta
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import structlog

from memories.pipeline.engine import content_hash
from memories.pipeline.engine import lease as claim
from memories.pipeline.engine.results import RunCanceled, StepError
from memories.pipeline.models import PostProcessingRun, RunStep, StepArtifact, StepAttempt, VendorCall
from memories.pipeline.states import GOOD, StepState
from omi.core import providers, rows, workspace

if TYPE_CHECKING:
    from collections.abc import Callable

    from memories.repository.transcripts import TranscriptVersion
    from memories.shapes import Memory
    from omi.accounts.users import UserDoc


class Context:
    """One worker's hold of one run. Reads are cached while it lasts; every write is fenced."""

    def __init__(self, run: PostProcessingRun, lease: claim.Lease, steps: list[RunStep]) -> None:
        self.run = run
        self.lease = lease
        self.steps = {step.name: step for step in steps}
        self.uid = run.uid
        self.memory_id = run.memory_id
        self.options: dict[str, Any] = run.options
        self.log = structlog.get_logger("memories.pipeline").bind(
            uid=run.uid, memory_id=run.memory_id, run_id=run.pk, kind=run.kind
        )
        self.attempts: list[StepAttempt] = []  # of this worker, not yet written (progress.attempt)
        self.unsaved: list[RunStep] = []  # ended, and not written yet (unsaved)
        self.unsaved_artifacts: list[StepArtifact] = []
        self.unsaved_calls: list[VendorCall] = []  # answered
        self.paid = 0  # calls of this execution of the step that cost money (ledger.call)
        self.has_parts = False  # parts of the step's request were kept (kept_parts)
        self.more_time: Callable[[], None] = lambda: None  # the step at work got on: its time begins anew
        self._artifacts: dict[tuple[str, str], Any] = {}
        self._users = 1  # of the folder: the worker, and each call that is out (hold, close)
        self._counting = threading.Lock()
        self._folder: tempfile.TemporaryDirectory[str] | None = None
        self._wav: Path | None = None

    # --- the step at work ---

    @property
    def step(self) -> RunStep:
        return self.steps[self.run.current_step]

    @property
    def checkpoint(self) -> dict[str, Any]:
        """A copy: change it and give it back with ``Wait`` or ``save_checkpoint``."""
        return copy.deepcopy(dict(self.step.checkpoint))

    def save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Make something durable before going on (a vendor's ticket). Raises LeaseLost or RunCanceled."""
        from django.db import transaction

        from memories.pipeline.engine import durable, unsaved

        self.step.checkpoint = checkpoint  # first: a worker that cannot write it now waits with it in its hand

        def once() -> None:
            with transaction.atomic():
                if self.unsaved or self.unsaved_calls:
                    unsaved.begin(self)
                else:
                    claim.write(self.lease)
                RunStep.objects.filter(pk=self.step.pk).update(checkpoint=checkpoint)

        durable.write(once)
        unsaved.forget(self)

    def failures_elsewhere(self) -> int:
        """Tries of the run's other steps beyond the one that each is due: what they had of the run's budget."""
        return sum(max(0, step.attempts - 1) for step in self.steps.values() if step.name != self.run.current_step)

    def check(self) -> None:
        """Raise LeaseLost or RunCanceled unless this worker still has the run. Call it before anything becomes visible.

        What was done until now is written down then; that there was nothing to do can be found again.
        """
        from memories.pipeline.engine import unsaved

        if any(step.state != StepState.SKIPPED for step in self.unsaved):
            unsaved.write(self)
        else:
            claim.check(self.lease)

    # --- what earlier steps left ---

    def did(self, name: str) -> bool:
        """Whether the step is part of this run and brought something."""
        step = self.steps.get(name)
        return step is not None and step.state == StepState.DONE

    def output(self, name: str) -> dict[str, Any]:
        step = self.steps.get(name)
        return dict(step.output) if step is not None else {}

    def artifact(self, step: str, name: str) -> Any:
        """A large result of an earlier step. Raises StepError where it was erased."""
        key = (step, name)
        if key not in self._artifacts:
            row = StepArtifact.objects.filter(step=self.steps[step], name=name).first()
            if row is None:
                raise StepError("internal_error", f"{step} left no {name}")
            self._artifacts[key] = content_hash.unpack(bytes(row.body))
        return self._artifacts[key]

    def remember_artifact(self, step: str, name: str, value: Any) -> None:
        self._artifacts[(step, name)] = value

    def anew(self, name: str) -> bool:
        """Whether this run was asked to do the step again, whatever earlier runs have."""
        plan, first = self.run.plan, self.run.from_step
        return bool(first) and plan.index(name) >= plan.index(first)

    @cached_property
    def earlier(self) -> dict[tuple[str, str], int]:
        """What the memory's other runs did well: name and input hash of a step to the newest such row."""
        runs = rows.select(PostProcessingRun, ("id",), {"uid": self.uid, "memory_id": self.memory_id})
        others = [run for (run,) in runs if run != self.run.pk]
        if not others:
            return {}
        done = {"run__in": others, "state": StepState.DONE, "outcome__in": GOOD}
        found = rows.select(RunStep, ("name", "input_hash", "id"), done, order="id")
        return {(name, digest): step for name, digest, step in found if digest}

    # --- the memory and its user ---

    @cached_property
    def memory(self) -> Memory:
        """The memory as it was when this worker took the run. Raises RunCanceled where it is gone."""
        from memories.repository.memories import MemoryNotFound, get_memory

        try:
            return get_memory(self.uid, self.memory_id)
        except MemoryNotFound as error:
            raise RunCanceled("memory_gone") from error

    @cached_property
    def transcripts(self) -> dict[str, TranscriptVersion]:
        """The stored transcripts by model, as they were when this worker first asked."""
        from memories.repository.transcripts import list_transcripts

        return list_transcripts(self.uid, self.memory_id)

    @cached_property
    def user(self) -> UserDoc:
        from omi.accounts.users import get_user

        user = get_user(self.uid)
        if user.account_deleted:
            raise RunCanceled("account_gone")
        return user

    @property
    def language(self) -> str | None:
        """What is spoken: as asked for this run, else the memory's, else the user's; None asks for detection."""
        asked = self.options.get("language")
        if asked:
            return str(asked)
        if self.run.kind == "capture":
            gathered = self.output("gather").get("language")
            return gathered or self.user.language or None
        return self.memory.language or self.user.language or None

    # --- files ---

    @property
    def folder(self) -> Path:
        """A private folder on this machine, gone when the worker has put the run down and no call reads it any more."""
        if self._folder is None:
            self._folder = workspace.temporary(f"run-{self.run.pk}-")
        return Path(self._folder.name)

    def wav(self) -> Path:
        """The prepared recording (16 kHz mono WAV, memory time). Raises StepError where it is gone."""
        if self._wav is None:
            self._wav = self.local_copy(str(self.output("prepare_audio").get("audio", "")))
        return self._wav

    def recorded(self) -> bool:
        """Whether the prepared recording is there. It need not be where its words are."""
        try:
            self.wav()
        except StepError:
            return False
        return True

    def prepared_here(self, wav: Path) -> None:
        """This worker has just made the prepared recording: it need not be fetched from the store."""
        self._wav = wav

    def local_copy(self, name: str) -> Path:
        """An audio object as a local file. Raises StepError("audio_missing")."""
        from omi.stores import audio

        if not name:
            raise StepError("audio_missing")
        try:
            return Path(audio.local_copy(name, self.folder))
        except (FileNotFoundError, LookupError) as error:
            raise StepError("audio_missing") from error

    def store_audio(self, purpose: str, wav: Path, keep_for: timedelta | None) -> str:
        """Keep a WAV of this memory; the object that an earlier try stored is taken where it is the same."""
        from omi.stores import audio

        with wav.open("rb") as file:
            sha = hashlib.file_digest(file, "sha256").hexdigest()
        self.check()
        for known in audio.for_memory(self.uid, self.memory_id, purpose=purpose):
            if known.sha256 == sha:
                audio.keep(known, keep_for)
                return str(known.name)
        with wav.open("rb") as file:
            made = audio.put(
                self.uid, purpose, file, memory_id=self.memory_id, suffix=".wav", keep_for=keep_for,
                fence=lambda: claim.write(self.lease),
            )  # fmt: skip
        return str(made.name)

    def hold(self) -> None:
        """Somebody else reads the files, too: they stay until everybody has called ``close``."""
        with self._counting:
            self._users += 1

    def close(self) -> None:
        with self._counting:
            self._users -= 1
            last = self._users == 0
        if last and self._folder is not None:
            self._folder.cleanup()

    # --- providers ---

    @staticmethod
    def provider(port: str) -> Any:
        return providers.one(port)
