"""An uploaded recording as 16 kHz mono WAV, or an answer that says what is wrong with it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from django.core.files.uploadedfile import UploadedFile
from rest_framework.request import Request

from omi.accounts.requests import uid_of
from omi.core import workspace
from omi.core.decoders import decoding
from omi.serving import admission
from speakers.api.errors import Refused
from transcription.audio.codecs import codec, open_decoder
from transcription.audio.convert import AudioError, AudioLimits, decode_to_wav
from transcription.audio.wav import wav_bytes

LARGEST = 100 * 1024 * 1024
"""Bytes: three minutes of 48 kHz stereo in floats are 70 MB."""
LONGEST_PACKET = 1275
"""Bytes of the largest Opus packet (RFC 6716)."""


@contextmanager
def uploaded_wav(request: Request) -> Iterator[Path]:
    """The multipart field ``file``, decoded in a child process into a folder that is gone afterwards.

    Raises Refused: 413 too large, 422 no file, 400 with a reason where it is no audio of a fit length. NoRoom where the
    server takes nothing new.
    """
    admission.admit_upload()
    if int(request.META.get("CONTENT_LENGTH") or 0) > LARGEST:
        raise Refused(413, "too_large", f"The upload is larger than {LARGEST} bytes.")
    upload = request.FILES.get("file")
    if not isinstance(upload, UploadedFile):
        raise Refused(422, "missing", "The multipart field 'file' is missing.")
    if (upload.size or 0) > LARGEST:  # a chunked request has no length to be refused by
        raise Refused(413, "too_large", f"The upload is larger than {LARGEST} bytes.")
    with workspace.temporary("voice-") as folder:
        source = Path(folder) / "upload"
        with source.open("wb") as target:
            for piece in upload.chunks():
                target.write(piece)
        with decoding(uid_of(request)):
            wav = _decoded(source, Path(folder) / "voice.wav")
        yield wav


@contextmanager
def packets_wav(packets: Sequence[Sequence[int]]) -> Iterator[Path]:
    """Yield a WAV file that is made of Opus packets of 10 ms (``upload-bytes``), each a list of byte values. A broken
    packet becomes 10 ms of silence; raises Refused where most are."""
    try:
        frames = [bytes(packet) for packet in packets]
    except (TypeError, ValueError) as error:
        raise Refused(422, "invalid_packets", "Each packet must be a list of numbers from 0 to 255.") from error
    if any(len(frame) > LONGEST_PACKET for frame in frames):
        raise Refused(422, "invalid_packets", f"A packet may have at most {LONGEST_PACKET} bytes.")
    decoder = open_decoder(codec("opus"))
    with workspace.temporary("voice-") as folder:
        path = Path(folder) / "voice.wav"
        path.write_bytes(wav_bytes(decoder.decode(frames)))
        if decoder.bad > len(frames) // 2:
            raise Refused(400, "broken", "Most of the packets are no Opus audio.")
        yield path


def _decoded(source: Path, wav: Path) -> Path:
    try:
        # Length is judged by the enrolment, which knows its limits and names them; here only work is bounded.
        decode_to_wav(source, wav, limits=AudioLimits(max_seconds=3600.0, cpu_seconds=60))
    except AudioError as error:
        raise Refused(400, error.code, error.sentence) from error
    return wav
