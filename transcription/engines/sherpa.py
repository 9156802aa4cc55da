"""k2's sherpa-onnx (Apache-2.0, an optional extra: 68 MB) with a model folder as its release pages offer them.

Four kinds of folder are told apart by their files: a streaming transducer, an offline transducer, Whisper, and a
CTC model (NeMo, SenseVoice). A folder may hold float and int8 files side by side: int8 is preferred.
"""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Any

import numpy as np

from transcription.audio.vad import FRAME_SECONDS, checked_pcm, speech_regions
from transcription.engines.base import RATE, configuration_error, require_files
from transcription.engines.live import LiveByUtterances
from transcription.segments import Word

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from transcription.engines.utterances import Utterance

ENGINE = "sherpa-onnx"
_PARTIAL_EVERY = 0.3
_TAIL = np.zeros(RATE // 2, np.float32)  # a streaming transducer looks ahead: silence flushes its last words


class Kind(StrEnum):
    """The kinds of models that sherpa-onnx loads; only STREAMING hears while somebody speaks, the others utterances."""

    STREAMING = "streaming transducer"
    TRANSDUCER = "offline transducer"
    WHISPER = "whisper"
    CTC = "ctc"


def find(folder: Path, part: str, ending: str = ".onnx") -> Path | None:
    """The file of a model part (`encoder`, `tokens`...), whatever release name stands around it."""
    files = sorted(p for p in folder.glob(f"*{part}*{ending}") if p.is_file())
    return next((p for p in files if ".int8." in p.name), files[0] if files else None)


def kind_of(folder: Path) -> Kind | None:
    """Return the kind of the model in the folder; None when it is not a sherpa-onnx model at all."""
    encoder, joiner = find(folder, "encoder"), find(folder, "joiner")
    if joiner and encoder:
        return Kind.STREAMING if _streams(folder, encoder) else Kind.TRANSDUCER
    if encoder and find(folder, "decoder"):
        return Kind.WHISPER
    if find(folder, "model"):
        return Kind.CTC
    return Kind.TRANSDUCER if joiner or encoder else None


def missing_files(folder: Path, kind: Kind) -> list[str]:
    """Return the patterns of the files that a model of this kind needs and the folder lacks."""
    parts = {
        Kind.STREAMING: ["encoder", "decoder", "joiner"],
        Kind.TRANSDUCER: ["encoder", "decoder", "joiner"],
        Kind.WHISPER: ["encoder", "decoder"],
        Kind.CTC: ["model"],
    }[kind]
    missing = [f"*{part}*.onnx" for part in parts if find(folder, part) is None]
    return missing if find(folder, "tokens", ".txt") else [*missing, "*tokens*.txt"]


def _streams(folder: Path, encoder: Path) -> bool:
    """k2's exports carry their chunk length as metadata, which ONNX keeps at the end of the file."""
    if "streaming" in folder.name.lower():
        return True
    with encoder.open("rb") as file:
        file.seek(max(0, encoder.stat().st_size - 65_536))
        return b"decode_chunk_len" in file.read()


def words_from_tokens(tokens: list[str], times: list[float], start: float, end: float) -> list[Word]:
    """Join word pieces ("▁" or a space begins a word). A word lasts until the next, and no longer than 0.5 s past
    its last piece: transducers say when a piece begins, not when it ends."""
    words: list[tuple[str, float, float]] = []
    for token, time in zip(tokens, times, strict=False):
        text = token.replace("▁", " ")
        moment = start + time
        if not words or text.startswith(" "):
            words.append((text.strip(), moment, moment))
        else:
            first = words[-1]
            words[-1] = (first[0] + text.strip(), first[1], moment)
    spoken = [word for word in words if word[0]]
    result = []
    for index, (text, first_piece, last_piece) in enumerate(spoken):
        following = spoken[index + 1][1] if index + 1 < len(spoken) else end
        finish = max(min(following, last_piece + 0.5, end), first_piece + 0.01)
        result.append(Word(text=text, start=round(first_piece, 3), end=round(finish, 3)))
    return result


class _Recognizer:
    """One loaded model of any of the four kinds; an utterance in, words out."""

    def __init__(self, folder: Path, threads: int = 1) -> None:
        kind = kind_of(folder)
        if kind is None:
            raise configuration_error(ENGINE, f"the folder {folder.name!r} holds no sherpa-onnx model")
        require_files(ENGINE, folder, missing_files(folder, kind))
        try:
            import sherpa_onnx
        except ImportError as error:
            raise configuration_error(ENGINE, "the package is missing: pip install sherpa-onnx==2.0.1") from error
        self.streaming = kind is Kind.STREAMING
        paths = {part: str(find(folder, part)) for part in ("encoder", "decoder", "joiner") if find(folder, part)}
        tokens = str(find(folder, "tokens", ".txt"))
        try:
            self._recognizer: Any = self._load(sherpa_onnx, kind, paths, tokens, folder, threads)
        except (RuntimeError, AssertionError, ValueError) as error:
            cause = str(error).replace(str(folder), folder.name).strip().partition("\n")[0][:200]
            raise configuration_error(ENGINE, f"the model in {folder.name!r} cannot be loaded: {cause}") from error

    @staticmethod
    def _load(library: Any, kind: Kind, paths: dict[str, str], tokens: str, folder: Path, threads: int) -> Any:
        if kind is Kind.STREAMING:
            return library.OnlineRecognizer.from_transducer(
                tokens=tokens, **paths, num_threads=threads, enable_endpoint_detection=False
            )
        offline = library.OfflineRecognizer
        if kind is Kind.TRANSDUCER:
            model_type = "nemo_transducer" if "nemo" in folder.name.lower() else ""
            return offline.from_transducer(tokens=tokens, **paths, num_threads=threads, model_type=model_type)
        if kind is Kind.WHISPER:
            # The package's own default is English, whatever is spoken; empty means that the model hears which it is.
            return offline.from_whisper(tokens=tokens, **paths, num_threads=threads, language="")
        model = str(find(folder, "model"))
        if "sense-voice" in folder.name.lower():
            return offline.from_sense_voice(tokens=tokens, model=model, num_threads=threads, use_itn=True)
        return offline.from_nemo_ctc(tokens=tokens, model=model, num_threads=threads)

    def stream(self) -> Any:
        return self._recognizer.create_stream()

    def decode(self, stream: Any, audio: NDArray[np.float32], start: float, end: float, *, last: bool) -> list[Word]:
        """Feed `audio` and read what the stream has heard since `start`."""
        stream.accept_waveform(RATE, audio)
        recognizer = self._recognizer
        if not self.streaming:
            recognizer.decode_stream(stream)
            result = stream.result
            return self._words(result.tokens, result.timestamps, result.text, start, end)
        if last:
            stream.accept_waveform(RATE, _TAIL)
            stream.input_finished()
        while recognizer.is_ready(stream):
            recognizer.decode_stream(stream)
        times = recognizer.timestamps(stream)
        return self._words(recognizer.tokens(stream), times, recognizer.get_result(stream), start, end)

    @staticmethod
    def _words(tokens: list[str], times: list[float], text: str, start: float, end: float) -> list[Word]:
        if tokens and len(times) == len(tokens):
            return words_from_tokens(list(tokens), list(times), start, end)
        # Whisper exports give no times: spread the words over the utterance by their length.
        spoken = text.split()
        total = sum(len(word) for word in spoken)
        words, position = [], start
        for word in spoken:
            finish = position + (end - start) * len(word) / total
            words.append(Word(text=word, start=round(position, 3), end=round(finish, 3)))
            position = finish
        return words


def _floats(pcm: NDArray[np.int16]) -> NDArray[np.float32]:
    return (pcm / np.float32(32768)).astype(np.float32)


class SherpaBatch:
    """See `BatchEngine`: speech regions of at most 20 s, each decoded whole."""

    model = "sherpa_onnx"

    def __init__(self, folder: Path) -> None:
        self._recognizer = _Recognizer(folder)

    def transcribe(self, pcm: NDArray[np.int16]) -> list[Word]:
        words: list[Word] = []
        for start, end in speech_regions(checked_pcm(pcm), max_speech=20.0):
            audio = _floats(pcm[round(start * RATE) : round(end * RATE)])
            words += self._recognizer.decode(self._recognizer.stream(), audio, start, end, last=True)
        return words


class _Decoder:
    def __init__(self, recognizer: _Recognizer) -> None:
        self._recognizer = recognizer
        self._stream: Any = None
        self._following: tuple[float, int] | None = None

    def final(self, utterance: Utterance) -> list[Word]:
        recognizer = self._recognizer
        self._following = None
        audio = _floats(utterance.pcm())
        return recognizer.decode(recognizer.stream(), audio, utterance.start, utterance.end, last=True)

    def partial(self, utterance: Utterance) -> list[Word] | None:
        if not self._recognizer.streaming:
            return None
        if self._following is None or self._following[0] != utterance.start:
            self._stream, self._following = self._recognizer.stream(), (utterance.start, 0)
        known = self._following[1]
        if (len(utterance.frames) - known) * FRAME_SECONDS < _PARTIAL_EVERY:
            return None
        audio = _floats(np.frombuffer(b"".join(utterance.frames[known:]), np.int16))
        self._following = (utterance.start, len(utterance.frames))
        return self._recognizer.decode(self._stream, audio, utterance.start, utterance.end, last=False)


class SherpaLive:
    """See `LiveModel`; partials only from a streaming model. What language is spoken its folder decided."""

    model = "sherpa_onnx_streaming"

    def __init__(self, folder: Path) -> None:
        self._recognizer = _Recognizer(folder)

    def stream(self, *, language: str | None = None, vocabulary: str = "", offset: float = 0.0) -> LiveByUtterances:
        return LiveByUtterances(_Decoder(self._recognizer), offset=offset, longest=20.0)
