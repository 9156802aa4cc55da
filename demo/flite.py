"""Speech synthesis with word times through Debian's libflite (only `make_recordings.py` needs it).

The word times are the synthesiser's own: each word's first and last phone in the utterance that produced the samples.
They are exact to flite's frame of 5 ms.
"""

from __future__ import annotations

import ctypes
import ctypes.util
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True)
class SpokenWord:
    """One token as flite's text normaliser spoke it; times in seconds from the start of its utterance."""

    text: str
    start: float
    end: float


class _Wave(ctypes.Structure):
    _fields_ = [
        ("type", ctypes.c_char_p),
        ("sample_rate", ctypes.c_int),
        ("num_samples", ctypes.c_int),
        ("num_channels", ctypes.c_int),
        ("samples", ctypes.POINTER(ctypes.c_short)),
    ]


class Flite:
    """Debian's flite 2.2 with the CMU voices slt, rms and awb."""

    def __init__(self) -> None:
        self._lib = ctypes.CDLL("libflite.so.1", mode=ctypes.RTLD_GLOBAL)
        for name in ("usenglish", "cmulex"):
            ctypes.CDLL(f"libflite_{name}.so.1", mode=ctypes.RTLD_GLOBAL)
        signatures: dict[str, tuple[type | None, list[type]]] = {
            "flite_synth_text": (ctypes.c_void_p, [ctypes.c_char_p, ctypes.c_void_p]),
            "utt_wave": (ctypes.POINTER(_Wave), [ctypes.c_void_p]),
            "utt_relation": (ctypes.c_void_p, [ctypes.c_void_p, ctypes.c_char_p]),
            "relation_head": (ctypes.c_void_p, [ctypes.c_void_p]),
            "item_next": (ctypes.c_void_p, [ctypes.c_void_p]),
            "ffeature_string": (ctypes.c_char_p, [ctypes.c_void_p, ctypes.c_char_p]),
            "ffeature_float": (ctypes.c_float, [ctypes.c_void_p, ctypes.c_char_p]),
            "delete_utterance": (None, [ctypes.c_void_p]),
        }
        for name, (result, arguments) in signatures.items():
            function = getattr(self._lib, name)
            function.restype, function.argtypes = result, arguments
        self._lib.flite_init()
        self._voices: dict[str, int] = {}

    def _voice(self, name: str) -> int:
        if name not in self._voices:
            library = ctypes.CDLL(f"libflite_cmu_us_{name}.so.1")
            register = getattr(library, f"register_cmu_us_{name}")
            register.restype, register.argtypes = ctypes.c_void_p, [ctypes.c_char_p]
            self._voices[name] = register(None)
        return self._voices[name]

    def speak(self, text: str, voice: str) -> tuple[NDArray[np.int16], list[SpokenWord]]:
        """16 kHz mono samples of `text` and the words spoken (numbers come out as words)."""
        lib = self._lib
        utterance = lib.flite_synth_text(text.encode(), self._voice(voice))
        try:
            wave = lib.utt_wave(utterance).contents
            if wave.sample_rate != 16000 or wave.num_channels != 1:
                raise RuntimeError(f"voice {voice}: {wave.sample_rate} Hz x {wave.num_channels} instead of 16 kHz mono")
            samples = np.ctypeslib.as_array(wave.samples, (wave.num_samples,)).astype(np.int16)
            words = []
            item = lib.relation_head(lib.utt_relation(utterance, b"Word"))
            while item:
                name = lib.ffeature_string(item, b"name").decode()
                start = lib.ffeature_float(item, b"R:SylStructure.daughter1.daughter1.R:Segment.p.end")
                end = lib.ffeature_float(item, b"R:SylStructure.daughtern.daughtern.R:Segment.end")
                words.append(SpokenWord(name, round(start, 3), round(end, 3)))
                item = lib.item_next(item)
            return samples, words
        finally:
            lib.delete_utterance(utterance)
