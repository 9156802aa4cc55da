"""What a step is given: the run, what earlier steps left, the memory, the prepared audio, and a place for files.

Steps read it, and so does whoever writes for them (``checkpoints``, ``recordings``): it changes no row, document or
object itself. What it changes is its own: calls that have ended and late answers are collected here until the next
write of the step takes them along, and what was read or prepared is kept so that it need not be fetched again.
"""

from __future__ import annotations

import copy
import tempfile
import threading
from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from typing import Any

import structlog

from memories.pipeline.engine import content_hash, lease
from memories.pipeline.engine.results import RunCanceled, StepError
from memories.pipeline.models import PostProcessingRun, RunStep, StepArtifact, VendorCall
from memories.pipeline.states import GOOD, StepState
from memories.repository.memories import MemoryNotFound, get_memory
from memories.repository.transcripts import TranscriptVersion, list_transcripts
from memories.shapes import Memory
from omi.accounts.users import UserDoc, get_user
from omi.core import providers, workspace
from omi.stores import audio


class Context:
    """One worker's hold of one run. What it has read is kept while it lasts.

    ``more_time`` is called when the step at work got on (a part of its answer is kept): its time begins anew.
    """

    def __init__(
        self, run: PostProcessingRun, held: lease.Lease, steps: list[RunStep], *,
        more_time: Callable[[], None] = lambda: None,
    ) -> None:  # fmt: skip
        self.run = run
        self.lease = held
        self.steps = {step.name: step for step in steps}
        self.uid = run.uid
        self.memory_id = run.memory_id
        self.options: dict[str, Any] = run.options
        self.log = structlog.get_logger("memories.pipeline").bind(
            uid=run.uid, memory_id=run.memory_id, run_id=run.pk, kind=run.kind
        )
        self.calls: list[VendorCall] = []  # have ended: written with what follows from them (checkpoints.write)
        self.answers: list[VendorCall] = []  # late answers that the step at work was given (client.ask)
        self.paid = 0  # calls of this execution of the step that cost money
        self.has_parts = False  # parts of the step's request were kept (partial_results)
        self.more_time = more_time
        self._artifacts: dict[tuple[str, str], Any] = {}
        self._users = 1  # of the folder: the worker, and each call that is out (hold, close)
        self._counting = threading.Lock()
        self._folder: tempfile.TemporaryDirectory[str] | None = None
        self._wav: Path | None = None

    @property
    def emotions_asked(self) -> bool:
        """Whether emotions were asked for, by this run's options or by the memory."""
        return bool(self.options.get("emotional_feedback") or self.memory.emotional_feedback)

    # --- the step at work ---

    @property
    def step(self) -> RunStep:
        return self.steps[self.run.current_step]

    @property
    def checkpoint(self) -> dict[str, Any]:
        """A copy: change it and give it back with ``Wait`` or ``checkpoints.save``."""
        return copy.deepcopy(dict(self.step.checkpoint))

    def failures_elsewhere(self) -> int:
        """Tries of the run's other steps beyond the one that each is due: what they had of the run's budget."""
        return sum(max(0, step.attempts - 1) for step in self.steps.values() if step.name != self.run.current_step)

    def check(self) -> None:
        """Make sure that this worker has the run, before anything becomes visible; raises LeaseLost or RunCanceled."""
        lease.check(self.lease)

    def use_answers(self) -> None:
        """What follows from the late answers is in the step's checkpoint now: they go with the next write."""
        for call in self.answers:
            call.answer = None
        self.calls += self.answers
        self.answers = []

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
        done = RunStep.objects.filter(
            run__uid=self.uid, run__memory_id=self.memory_id, state=StepState.DONE, outcome__in=GOOD
        ).exclude(run_id=self.run.pk)
        found = done.exclude(input_hash="").order_by("pk").values_list("name", "input_hash", "pk")
        return {(name, digest): step for name, digest, step in found}

    # --- the memory and its user ---

    @cached_property
    def memory(self) -> Memory:
        """The memory as it was when this worker took the run. Raises RunCanceled where it is gone."""
        try:
            return get_memory(self.uid, self.memory_id)
        except MemoryNotFound as error:
            raise RunCanceled("memory_gone") from error

    @cached_property
    def transcripts(self) -> dict[str, TranscriptVersion]:
        """The stored transcripts by model, as they were when this worker first asked."""
        return list_transcripts(self.uid, self.memory_id)

    @cached_property
    def user(self) -> UserDoc:
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
        """A private folder on this machine, gone when the worker has let the run go and no call reads it any more."""
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
        if not name:
            raise StepError("audio_missing")
        try:
            return Path(audio.local_copy(name, self.folder))
        except (FileNotFoundError, LookupError) as error:
            raise StepError("audio_missing") from error

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
