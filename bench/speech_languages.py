"""Sentences in other languages, spoken by espeak-ng, and what the engine makes of them.

espeak-ng is a formant synthesiser: no person sounds like it, and Whisper has learned from people. The figures show that
a language works (it is detected, written in its own script, most of it right), not how well it hears people.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import unicodedata

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

WITHOUT_BLANKS = frozenset({"ja", "zh"})


def available() -> bool:
    return shutil.which("espeak-ng") is not None


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
    """What errors are counted in: words, or characters where there are no blanks between words."""
    plain = unicodedata.normalize("NFKC", text).lower()
    bare = re.sub(r"[^\w\s]", " ", plain)
    return list("".join(bare.split())) if language in WITHOUT_BLANKS else bare.split()
