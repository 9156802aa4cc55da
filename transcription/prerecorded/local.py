"""Pre-recorded transcription on this machine, by the engine that ``OMI_SPEECH_MODEL`` names (pocketsphinx without).

The engine runs in a child process with a time limit. It tells no voices apart: ``speakers`` does that, from the audio.
"""

from __future__ import annotations

from pathlib import Path

from django.conf import settings

from omi.errors import ErrorKind, ProviderError
from transcription.prerecorded.base import (
    Pending,
    PrerecordedCapabilities,
    PrerecordedRequest,
    Ticket,
    Transcript,
    require,
)
from transcription.prerecorded.cleaning import commonest
from transcription.prerecorded.http import open_recording


class LocalPrerecorded:
    """Answers at once (in CPU time: about a third of the recording's length with pocketsphinx)."""

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
        # What another model folder hears is written in no file of it: its owner chose it.
        english = frozenset({"en"}) if self._folder is None else None
        return PrerecordedCapabilities(languages=english, diarization=False, remote=False)

    def submit(self, request: PrerecordedRequest) -> Transcript:
        from transcription.engines.batch import transcribe_in_child

        require(self.name, self.capabilities, request)
        open_recording(self.name, request.path).close()
        words = transcribe_in_child(request.path, self._engine(), self._folder, timeout=request.timeout)
        return Transcript(
            vendor=self.name,
            model=self.model_name,
            words=sorted(words, key=lambda word: (word.start, word.end)),
            language="en" if self._folder is None else commonest(word.language for word in words),
            audio_seconds=request.seconds,
        )

    def poll(self, ticket: Ticket) -> Pending | Transcript:
        raise ProviderError(
            self.name, "answers at once and queues nothing", kind=ErrorKind.PERMANENT, code="unknown_job"
        )

    def cancel(self, ticket: Ticket) -> None:
        """Nothing runs between two calls."""

    def forget(self, ticket: Ticket) -> None:
        """Nothing is kept."""

    def _engine(self) -> str:
        from transcription.engines.registry import detect

        return detect(self._folder)
