"""Whisper in CTranslate2 (MIT), on this machine's processor with 8-bit weights: one window of audio in, words out.

A window is as long as what is said in it, not 30 s: the encoder takes shorter ones, which costs a sixth of the time
for 10 s; where the answer is doubtful the same window is heard again with silence up to 30 s, as in training.
"""

from __future__ import annotations

import re
import zlib
from dataclasses import dataclass, field
from difflib import SequenceMatcher
from typing import TYPE_CHECKING, Any

import numpy as np

from transcription.engines.base import configuration_error
from transcription.engines.whisper.features import FRAMES, RATE, log_mel
from transcription.engines.whisper.files import ENGINE, bundled_folder, checked_folder, memory_needed, verify_bundled
from transcription.engines.whisper.tokens import Tokens
from transcription.engines.whisper.words import TimedWord, timed, trimmed, within_speech

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

WINDOW_SECONDS = 28.0
"""Longest window: Whisper's 30 s less the padding."""
PADDING_SECONDS = 2.0
"""Silence behind a window: with 0.3 s five of eight answers said a phrase twice, with 1 s two, with 2 s or more one."""
SHORTEST_SECONDS = 1.0

NO_SPEECH, DOUBTFUL, SILENT = 0.6, -1.0, -0.6
"""Whisper's own thresholds (``transcribe.py``): an average log probability under -1.0 is doubtful. Where the model
itself says that nobody speaks (over 0.6) -0.6 already is, and the answer is thrown away."""
COMPRESSIBLE = 2.4
"""Text that deflate makes this many times smaller repeats itself (Whisper's threshold)."""
REPEATS = 3
"""So many times the same words in a row is a loop."""
LONGEST_LOOP = 16
"""Words that are looked for in a row: a sentence."""
ECHO = 5
"""Words of a phrase that is believed to be said twice only if the model says so with silence up to 30 s behind it."""
SAME_MARK = 8
"""So many times the same character in a row is a loop, too: an apostrophe repeats no word."""
ALIKE = 0.6
"""Share of their characters that two hearings of a doubtful window must have in common to be believed."""
TEMPERATURES = (0.2, 0.6)
_SAME_MARK = re.compile(rf"(\S)\1{{{SAME_MARK - 1},}}")


@dataclass(slots=True)
class Answer:
    """What was heard in one window. ``tokens`` are the prefix and what follows; ``text`` is of what follows, ``score``
    its average log probability, ``no_speech`` the model's probability that nobody speaks."""

    tokens: list[int]
    text: str
    score: float
    no_speech: float
    words: list[TimedWord] = field(default_factory=list)
    before: str = ""
    """The end of the prefix."""

    @property
    def loops(self) -> bool:
        return (
            compression(self.text) > COMPRESSIBLE or repeats(self.text) >= REPEATS or bool(_SAME_MARK.search(self.text))
        )

    @property
    def echoes(self) -> bool:
        """Whether a phrase stands there twice: people do so now and then, a model that misses the end more often."""
        return echoes(f"{self.before} {self.text}")

    @property
    def doubtful(self) -> bool:
        return self.loops or self.score < (SILENT if self.no_speech > NO_SPEECH else DOUBTFUL)


class Window:
    """The audio of one window and what the encoder made of it."""

    def __init__(self, pcm: NDArray[np.int16], encoded: Any, steps: int) -> None:
        self.pcm = pcm
        self.encoded = encoded
        self.steps = steps

    @property
    def seconds(self) -> float:
        return len(self.pcm) / RATE


class Whisper:
    """A loaded model. ``hear`` may be called for any number of streams, one after the other."""

    def __init__(self, folder: Path, *, memory_mb: int | None = None, threads: int = 1) -> None:
        config = checked_folder(folder)
        memory_needed(folder, memory_mb)
        if folder == bundled_folder():
            verify_bundled()
        try:
            import ctranslate2
        except ImportError as error:
            missing = "the package ctranslate2 is missing: pip install -r requirements.txt"
            raise configuration_error(ENGINE, missing) from error
        self._library: Any = ctranslate2
        self.tokens = Tokens(folder, ENGINE)
        try:
            self._model: Any = ctranslate2.models.Whisper(
                str(folder), device="cpu", compute_type="int8", inter_threads=1, intra_threads=threads
            )
        except (RuntimeError, ValueError, OSError) as error:
            raise configuration_error(ENGINE, f"model.bin in {folder.name!r} cannot be loaded: {error}") from error
        self.multilingual = bool(self._model.is_multilingual)
        self.bands = int(self._model.n_mels)
        self.heads = bool(config.get("alignment_heads"))

    def window(self, pcm: NDArray[np.int16], *, whole: bool = False) -> Window:
        """Encode at most 30 s of audio (16 kHz int16). ``whole``: with silence up to 30 s behind it."""
        pcm = pcm[: round(WINDOW_SECONDS * RATE)]
        spectrum = log_mel(pcm, self.bands)
        seconds = max(SHORTEST_SECONDS, len(pcm) / RATE + PADDING_SECONDS)
        frames = FRAMES if whole else min(FRAMES, 2 * round(seconds * 50))
        view = self._library.StorageView.from_array(np.ascontiguousarray(spectrum[None, :, :frames]))
        return Window(pcm, self._model.encode(view), min(frames, -(-len(pcm) // 160)))

    def languages(self, window: Window) -> dict[str, float]:
        """Probability of each language."""
        [found] = self._model.detect_language(window.encoded)
        return {token[2:-2]: float(probability) for token, probability in found}

    def answer(
        self,
        window: Window,
        prompt: Sequence[int],
        *,
        prefix: Sequence[int] = (),
        beam: int = 5,
        temperature: float = 0.0,
        fresh: float | None = None,
    ) -> Answer:
        """Have the model write what it hears in a window. ``prefix``: tokens that the answer begins with; they are part
        of it. ``fresh``: seconds of the window that they do not cover (its whole length where there is no prefix)."""
        if temperature:
            self._library.set_random_seed(0)  # the same for every process; within one, chance goes on where it was
        search = (
            {"beam_size": 1, "num_hypotheses": 5, "sampling_topk": 0, "sampling_temperature": temperature}
            if temperature
            else {"beam_size": beam, "num_hypotheses": beam}
        )
        # A person says at most some eight tokens a second: a loop ends there, not after 448 of them.
        # (CTranslate2 counts a prefix twice.)
        most = min(448, len(prompt) + 2 * len(prefix) + 12 + round(10 * (window.seconds if fresh is None else fresh)))
        [result] = self._model.generate(
            window.encoded,
            [[*prompt, *prefix]],
            max_length=most,
            return_scores=True,
            return_no_speech_prob=True,
            **search,
        )
        # CTranslate2 gives the prefix back and counts its tokens as certain, so that answers which end early look best:
        # what counts is the score of the rest alone.
        found = []
        for sequence, average in zip(result.sequences_ids, result.scores, strict=True):
            tokens = [token for token in sequence if token < self.tokens.end]
            fresh_tokens = len(tokens) - len(prefix)
            found.append((float(average) * (len(tokens) + 1) / (fresh_tokens + 1), tokens))
        score, tokens = max(found)
        rest = tokens[len(prefix) :]
        before = self.tokens.text(prefix[-48:])
        return Answer(tokens, self.tokens.text(rest).strip(), score, float(result.no_speech_prob), before=before)

    def place(
        self, window: Window, answer: Answer, language: str | None, speech: Sequence[tuple[float, float]]
    ) -> None:
        """Fill in ``answer.words``: each word where it was said; ``speech`` as for ``within_speech``."""
        if not answer.tokens:
            return
        opening = self.tokens.opening(language)
        [aligned] = self._model.align(window.encoded, opening, [answer.tokens], window.steps)
        words = timed(self.tokens.words(answer.tokens), aligned.alignments, aligned.text_token_probs, window.seconds)
        answer.words = within_speech(words, trimmed(window.pcm, speech))

    def hear(
        self,
        pcm: NDArray[np.int16],
        language: str | None,
        *,
        vocabulary: str = "",
        context: Sequence[int] = (),
        beam: int = 5,
    ) -> tuple[Window, Answer]:
        """The best answer to a window of at most ``WINDOW_SECONDS``; empty where nobody speaks.

        What is doubtful is heard again: without context and with silence up to 30 s, then with growing chance
        (Whisper's temperature fallback). Where all hearings are doubtful, the best one that does not loop is taken, if
        another one says nearly the same: chance alone makes whole sentences of laughter.
        """
        window = self.window(pcm)
        prompt = self.tokens.prompt(language, vocabulary=vocabulary, context=context)
        best = self.answer(window, prompt, beam=beam)
        if not best.doubtful and not best.echoes:
            return window, best
        tried = [(window, best)]
        window = self.window(pcm, whole=True)
        prompt = self.tokens.prompt(language)
        for temperature in (0.0, *TEMPERATURES):
            again = self.answer(window, prompt, beam=beam, temperature=temperature)
            tried.append((window, again))
            if not again.doubtful:
                return window, again
        window, best = max(tried, key=lambda item: (not item[1].loops, item[1].score))
        alone = best.doubtful and not any(
            alike(best.text, other.text) for _, other in tried if other is not best and not other.loops
        )
        if best.loops or alone or (best.doubtful and best.no_speech > NO_SPEECH) or best.score < 2 * DOUBTFUL:
            best = Answer([], "", best.score, best.no_speech)
        return window, best


def compression(text: str) -> float:
    """Return how many times shorter zlib makes a text: Whisper's measure of text that repeats itself; 0 for no text."""
    data = text.encode()
    return len(data) / len(zlib.compress(data)) if data else 0.0


def repeats(text: str) -> int:
    """How often the most repeated run of up to ``LONGEST_LOOP`` words stands in a row (characters without blanks).

    One word alone counts as half: people do say "no, no, no, no".
    """
    words = units(text)
    most = 1
    for size in range(1, LONGEST_LOOP + 1):
        run = 1
        at = size
        while at + size <= len(words):
            if words[at : at + size] == words[at - size : at]:
                run += 1
                at += size
            else:
                if run > 1:
                    most = max(most, run // 2 if size == 1 else run)
                run, at = 1, at + 1
        most = max(most, run // 2 if size == 1 else run)
    return most


def alike(text: str, other: str) -> bool:
    """Whether two hearings say nearly the same, however they are written."""
    mine, theirs = "".join(units(text)), "".join(units(other))
    return SequenceMatcher(None, mine, theirs, autojunk=False).ratio() >= ALIKE if mine and theirs else False


def echoes(text: str) -> bool:
    """Whether any ``ECHO`` words stand there twice in the same order (twice as many characters without blanks)."""
    words = units(text)
    size = ECHO if len(text.split()) > 1 else 2 * ECHO
    runs = [tuple(words[at : at + size]) for at in range(len(words) - size + 1)]
    return len(set(runs)) < len(runs)


def units(text: str) -> list[str]:
    """Words without marks; characters where there are no blanks."""
    words = ["".join(character for character in word if character.isalnum()) for word in text.casefold().split()]
    return words if len(words) > 1 else list("".join(words))
