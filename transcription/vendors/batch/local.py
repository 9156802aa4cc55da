"""Pre-recorded transcription on this machine, by the engine that ``OMI_SPEECH_MODEL`` names (Whisper base without).

The engine runs in a child process with a time limit, one at a time on a machine. It tells no voices apart: ``speakers``
does that, from the audio.
"""

from __future__ import annotations

from pathlib import Path

from django.conf import settings

from omi.core.errors import ErrorKind, ProviderError
from transcription.engines.batch import one_at_a_time, transcribe_in_child
from transcription.engines.description import describe
from transcription.engines.registry import check, detect
from transcription.languages import WHISPER, base
from transcription.vendors.batch.base import (
    Pending,
    PrerecordedCapabilities,
    PrerecordedRequest,
    Ticket,
    Transcript,
    require,
)
from transcription.vendors.batch.cleaning import commonest
from transcription.vendors.batch.http import open_recording


class LocalPrerecorded:
    """Answers at once (in CPU time: about an eighth of the recording's length with Whisper base)."""

    name = "local"

    def __init__(self, model_folder: str | None = None) -> None:
        folder = settings.OMI_SPEECH_MODEL if model_folder is None else model_folder
        self._folder = Path(folder) if folder else None

    @property
    def model_name(self) -> str:
        try:
            return f"local_{self._engine()}".replace("-", "_")
        except ProviderError:  # a folder that is no model: ``submit`` says so, a name must not raise
            return "local_unusable_model"

    @property
    def capabilities(self) -> PrerecordedCapabilities:
        # What a sherpa-onnx folder hears is written in no file of it: its owner chose it.
        whisper = self.model_name == "local_whisper"
        return PrerecordedCapabilities(
            languages=WHISPER if whisper else None,
            diarization=False,
            vocabulary=whisper,
            detects_language=whisper,
            remote=False,
        )

    def about(self) -> str:
        """Return what the model is, for ``doctor``; raises ProviderError, one sentence, where it cannot be used."""
        return describe(self._folder)

    def submit(self, request: PrerecordedRequest) -> Transcript:
        require(self.name, self.capabilities, request)
        open_recording(self.name, request.path).close()
        engine = self._engine()
        if self._folder is not None:
            check(self._folder)
        lock = Path(settings.OMI_DATA_DIR) / "locks" / "local-recording"
        with one_at_a_time(lock, engine, request.timeout) as seconds:
            words = transcribe_in_child(
                request.path,
                engine,
                self._folder,
                language=base(request.language),
                vocabulary=", ".join(request.vocabulary),
                timeout=seconds,
            )
        return Transcript(
            vendor=self.name,
            model=self.model_name,
            words=sorted(words, key=lambda word: (word.start, word.end)),
            language=commonest(word.language for word in words),
            audio_seconds=request.seconds,
        )

    def poll(self, ticket: Ticket) -> Pending | Transcript:
        raise ProviderError(
            self.name, "answers at once and queues nothing", kind=ErrorKind.PERMANENT, code="unknown_job"
        )

    def cancel(self, ticket: Ticket) -> None:
        """Do nothing: nothing runs between two calls."""

    def forget(self, ticket: Ticket) -> None:
        """Do nothing: this machine keeps nothing of a job."""

    def _engine(self) -> str:
        return detect(self._folder)
