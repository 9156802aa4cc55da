"""Sentences in other languages: spoken by people, and by espeak-ng.

People: the announcements of the telephone exchange Asterisk, which Debian packages with their texts (one professional
reader for each language, 16 kHz, CC-BY-SA): `apt-get install asterisk-core-sounds-{es,fr,it,ru}{,-g722}`. They are read
from where they are installed, or from the folder that ``OMI_BENCH_PROMPTS`` names (as `dpkg-deb -x` lays them).

espeak-ng is a formant synthesiser: no person sounds like it, and Whisper has learned from people. Its figures show that
a language works (it is detected, written in its own script, most of it right), not how well people are heard.
"""

from __future__ import annotations

import gzip
import os
import re
import shutil
import subprocess
import unicodedata
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

SENTENCES: dict[str, tuple[str, str]] = {
    "de": ("de", "Guten Morgen, wir treffen uns am Montag um neun Uhr im Büro. Bitte bring die Unterlagen mit."),
    "fr": ("fr-fr", "Bonjour, nous avons une réunion demain matin à dix heures. Merci d'apporter les documents."),
    "es": ("es", "Buenos días, mañana tenemos una reunión a las diez. Por favor, trae los documentos."),
    "it": ("it", "Buongiorno, domani mattina abbiamo una riunione alle dieci. Porta i documenti, per favore."),
    "pt": ("pt-br", "Bom dia, amanhã temos uma reunião às dez horas. Por favor, traga os documentos."),
    "ru": ("ru", "Доброе утро, завтра у нас встреча в десять часов. Пожалуйста, принесите документы."),
    "ja": ("ja", "おはようございます。あしたのかいぎはじゅうじからです。"),
    "zh": ("cmn", "早上好,我们明天上午十点开会。请把文件带来。"),
}
"""By language: espeak-ng's voice, and what it says."""

PROMPTS = 12
"""Announcements of each language, the longest ones of ``CHARACTERS`` that have no figure and no key's name in them."""
CHARACTERS = range(60, 201)
PEOPLE = ("es", "fr", "it", "ru")
WITHOUT_BLANKS = frozenset({"ja", "zh"})


def available() -> bool:
    return shutil.which("espeak-ng") is not None


def announcements(language: str) -> list[tuple[NDArray[np.int16], str]]:
    """What a person reads and its text; empty where the packages are not installed."""
    root = Path(os.environ.get("OMI_BENCH_PROMPTS", "/"))
    name = f"asterisk-core-sounds-{language}"
    texts = root / "usr/share/doc" / name / f"core-sounds-{language}.txt.gz"
    folders = sorted(root.glob(f"usr/share/asterisk/sounds/{language}_*_*"))
    if not texts.is_file() or not folders:
        return []
    found = [(folders[0] / f"{name}.g722", text) for name, text in _texts(texts) if len(text) in CHARACTERS]
    chosen = sorted((item for item in found if item[0].is_file()), key=lambda item: (-len(item[1]), item[0]))
    return [(_g722(path), text) for path, text in chosen[:PROMPTS]]


def _texts(path: Path) -> Iterator[tuple[str, str]]:
    for line in gzip.decompress(path.read_bytes()).decode("utf-8-sig").splitlines():
        named = re.match(r"([\w/-]+): (.*)$", line)
        if named and not re.search(r"[\d\[<(]", named[2]):
            yield named[1], named[2]


def _g722(path: Path) -> NDArray[np.int16]:
    import av

    with av.open(str(path), format="g722") as container:
        return np.concatenate([frame.to_ndarray().ravel() for frame in container.decode(audio=0)]).astype(np.int16)


def spoken(voice: str, text: str, *, words_a_minute: int = 140) -> NDArray[np.int16]:
    """16 kHz mono."""
    from scipy.signal import resample_poly

    command = ["espeak-ng", "-v", voice, "-s", str(words_a_minute), "--stdout", text]
    wav = subprocess.run(command, check=True, capture_output=True, timeout=60).stdout
    pcm = np.frombuffer(wav[44 : len(wav) - len(wav) % 2], np.int16)  # 22.05 kHz mono after a header of 44 bytes
    sound = resample_poly(pcm.astype(np.float64), 320, 441)
    pause = np.zeros(8000)
    return np.clip(np.rint(np.concatenate([pause, sound, pause])), -32768, 32767).astype(np.int16)


def units(text: str, language: str) -> list[str]:
    """What errors are counted in: words, or characters where there are no blanks between words. Accents do not count
    (as in Whisper's basic normalizer with ``remove_diacritics``): Asterisk's Spanish texts have none."""
    apart = unicodedata.normalize("NFKD", text).lower()
    kept = "".join(mark for mark in apart if language in WITHOUT_BLANKS or not unicodedata.combining(mark))
    plain = unicodedata.normalize("NFKC", kept)
    bare = re.sub(r"[^\w\s]", " ", plain)
    return list("".join(bare.split())) if language in WITHOUT_BLANKS else bare.split()
